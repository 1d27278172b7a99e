//! Where text goes, piece by piece, without the formatter of `core`: that costs the executable several kilobytes, and each
//! call of it several times the bytes of a call of this.

use core::fmt;

/// What takes text. A sink that can be too small remembers that it was.
pub trait Sink {
    /// Takes `text`, which follows what came before.
    fn put(&mut self, text: &str);
}

/// Whatever the formatter of `core` can write into. A failure is not told: strings have none, and `sys` has none either.
impl<W: fmt::Write> Sink for W {
    fn put(&mut self, text: &str) {
        let _ = self.write_str(text);
    }
}

/// What can be shown to people.
///
/// Those that are errors can be formatted, too, which nothing in the executables does.
pub trait Show {
    /// Writes one line without its end.
    fn write_to(&self, out: &mut dyn Sink);
}

/// A number in decimal digits.
pub struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    /// The digits of `number`.
    pub fn of(number: u64) -> Self {
        let mut digits = Self {
            bytes: [0; 20],
            start: 20,
        };
        let mut rest = number;
        loop {
            digits.push(b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                return digits;
            }
        }
    }

    /// The digits of `number`, with its sign if it is negative.
    pub fn signed(number: i64) -> Self {
        let mut digits = Self::of(number.unsigned_abs());
        if number < 0 {
            digits.push(b'-');
        }
        digits
    }

    /// Puts `byte` before what is there. The longest numbers of both kinds have 20 characters.
    fn push(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }

    /// The digits for the kernel.
    #[inline(never)]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// The digits as text.
    #[inline(never)]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Writes the digits of `number`.
#[inline(never)]
pub(crate) fn put_number(out: &mut dyn Sink, number: u64) {
    out.put(Digits::of(number).as_str());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_the_longest_numbers() {
        assert_eq!(Digits::of(0).as_str(), "0");
        assert_eq!(Digits::of(u64::MAX).as_str(), "18446744073709551615");
        assert_eq!(Digits::signed(i64::MIN).as_str(), "-9223372036854775808");
        assert_eq!(Digits::signed(42).as_str(), "42");
        assert_eq!(Digits::signed(0).as_str(), "0");
    }
}
