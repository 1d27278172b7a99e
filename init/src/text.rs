//! Text and numbers, without the formatting machinery of `core`, which is larger than this program.
//!
//! The functions are written so that the compiler sees that none of them can panic: a single panic that it cannot exclude
//! would bring that machinery with it.

use core::ffi::CStr;

/// Text that is put together in `N` bytes. What does not fit is left out, and that is known.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    /// How long the text would be.
    len: usize,
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    /// Appends.
    pub fn push(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = *byte;
            }
            self.len += 1;
        }
    }

    /// Cuts the text to `len` bytes; the value is whether there was something to cut.
    pub fn cut(&mut self, len: usize) -> bool {
        let longer = self.len > len;
        self.len = self.len.min(len);
        longer
    }

    /// The text, or as much of it as there is room for.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    /// The text for the kernel, or `None` where there is no room for it and its NUL.
    pub fn as_c_str(&self) -> Option<&CStr> {
        // What was not written is zero, so the NUL is there unless the text fills the memory.
        CStr::from_bytes_until_nul(&self.bytes).ok()
    }
}

/// What follows `prefix` in `text`.
pub fn after<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if text.get(..prefix.len())? == prefix {
        text.get(prefix.len()..)
    } else {
        None
    }
}

/// The digits of `number`, written to the end of `memory`.
pub fn digits(mut number: u32, memory: &mut [u8; 10]) -> &[u8] {
    let mut count = 0;
    for slot in memory.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        count += 1;
        if number == 0 {
            break;
        }
    }
    // Written so that the compiler sees that it cannot fail: a panic would bring the formatting machinery with it.
    memory.get(memory.len().saturating_sub(count)..).unwrap_or_default()
}

/// The number that `text` spells, if it is no more than `most`.
pub fn number(text: &[u8], most: u32) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(u32::from(digit))?;
        (digit <= 9 && number <= most).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded() {
        let mut text = Text::<8>::new();
        text.push(b"/usr");
        text.push(b"/sh");
        assert_eq!(
            (text.as_bytes(), text.as_c_str()),
            (b"/usr/sh".as_slice(), Some(c"/usr/sh"))
        );
        text.push(b"ell");
        assert_eq!((text.as_bytes(), text.as_c_str()), (b"/usr/she".as_slice(), None));
        assert!(text.cut(4));
        assert!(!text.cut(4));
        assert_eq!(text.as_bytes(), b"/usr");
    }

    #[test]
    fn prefixes_are_taken_off() {
        assert_eq!(after(b"PATH=/bin", b"PATH="), Some(b"/bin".as_slice()));
        assert_eq!(after(b"PATH=", b"PATH="), Some(b"".as_slice()));
        assert_eq!((after(b"PATH", b"PATH="), after(b"path=", b"PATH=")), (None, None));
    }

    #[test]
    fn numbers_become_digits() {
        for (number, text) in [
            (0, "0"),
            (7, "7"),
            (10, "10"),
            (4_194_304, "4194304"),
            (u32::MAX, "4294967295"),
        ] {
            assert_eq!(digits(number, &mut [0; 10]), text.as_bytes());
        }
    }

    #[test]
    fn digits_become_numbers() {
        let check = |text: &str, expect| assert_eq!(number(text.as_bytes(), 255), expect, "{text}");
        check("0", Some(0));
        check("007", Some(7));
        check("255", Some(255));
        for wrong in ["", "256", "-1", "+1", " 1", "1 ", "0x1", "4294967296", "99999999999"] {
            check(wrong, None);
        }
    }
}
