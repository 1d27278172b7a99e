//! Text without the formatter of `core`: where a number or a name stands between two words, a call of that costs several
//! times the bytes of a call of this.

use rustix::io::Errno;
pub use spec_core::sink::{Digits, Sink};
pub use spec_core::text::has;

/// One piece of text after the other, into anything. A writer that can fail remembers that it did.
pub trait Pieces: Sink + Sized {
    /// Writes `text`.
    fn str(&mut self, text: &str) -> &mut Self {
        self.put(text);
        self
    }

    /// Writes `pattern` with the words in the places of its `#`s, one after the other.
    #[inline(never)]
    fn fill(&mut self, pattern: &str, words: &[&str]) {
        let mut words = words.iter();
        let mut rest = pattern;
        while !rest.is_empty() {
            let text = cut(&mut rest, b'#');
            self.str(text);
            self.str(words.next().copied().unwrap_or_default());
        }
    }

    /// Writes the digits of `number`.
    fn number(&mut self, number: u64) -> &mut Self {
        self.str(Digits::of(number).as_str())
    }

    /// Writes the digits of `number`, with its sign if it is negative.
    fn signed(&mut self, number: i64) -> &mut Self {
        self.str(Digits::signed(number).as_str())
    }
}

impl<S: Sink> Pieces for S {}

/// Bytes of the longest line that one of the kernel's files is given.
const LINE_BYTES_MAX: usize = 256;

/// A line for one of the kernel's files.
pub struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    /// More than there is room for where the line is too long.
    len: usize,
}

impl Line {
    /// Nothing yet.
    #[inline(never)]
    pub const fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES_MAX],
            len: 0,
        }
    }

    /// What was written.
    ///
    /// # Errors
    /// `E2BIG` where that is more than there is room for.
    pub fn text(&self) -> Result<&str, Errno> {
        let bytes = self.bytes.get(..self.len).ok_or(Errno::TOOBIG)?;
        Ok(utf8(bytes))
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Line {
    #[inline(never)]
    fn put(&mut self, text: &str) {
        let end = self.len.saturating_add(text.len());
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            sys::copy(place, text.as_bytes());
        }
        self.len = end;
    }
}

/// `bytes` as text; a question mark where they are none.
#[inline(never)]
pub fn utf8(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("?")
}

/// Cuts the text before the next `mark` off `rest`, and the mark with it. Tables that are one text are read with it: their
/// rows are parted by one mark and the fields of a row by another.
#[inline(never)]
pub fn cut<'a>(rest: &mut &'a str, mark: u8) -> &'a str {
    let end = rest.bytes().position(|byte| byte == mark).unwrap_or(rest.len());
    let (first, after) = rest.split_at_checked(end).unwrap_or_default();
    *rest = after.get(1..).unwrap_or_default();
    first
}

/// The parts of `text` between the `mark`s, as `str::split` has them.
pub fn parts(text: &str, mark: u8) -> impl Iterator<Item = &str> + Clone {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let (part, after) = split_once(rest?, mark);
        rest = after;
        Some(part)
    })
}

/// What stands before the first `mark` and, where there is one, behind it.
#[inline(never)]
pub fn split_once(text: &str, mark: u8) -> (&str, Option<&str>) {
    let mut rest = text;
    let first = cut(&mut rest, mark);
    (first, (first.len() < text.len()).then_some(rest))
}

/// The number that `text` is in decimal digits, all of it; a sign is none of them.
#[inline(never)]
pub fn parse_number(text: &str) -> Option<u64> {
    let mut number = 0_u64;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_take_the_places_of_marks() {
        let mut line = Line::new();
        line.fill("#: a # b#", &["one", "two", "three"]);
        assert_eq!(line.text(), Ok("one: a two bthree"));
    }

    #[test]
    fn a_line_that_is_too_long_is_no_line() {
        let mut line = Line::new();
        assert_eq!(line.str("a ").number(7).signed(-1).text(), Ok("a 7-1"));
        for _ in 0..LINE_BYTES_MAX {
            line.str("aa");
        }
        assert_eq!(line.text(), Err(Errno::TOOBIG));
    }

    #[test]
    fn parts_as_split_has_them() {
        for text in ["", ":", "a", "a:", ":a", "a::b"] {
            let expected: std::vec::Vec<_> = text.split(':').collect();
            assert_eq!(parts(text, b':').collect::<std::vec::Vec<_>>(), expected, "{text}");
        }
        assert_eq!(split_once("a=b=c", b'='), ("a", Some("b=c")));
        assert_eq!(split_once("a", b'='), ("a", None));
    }

    #[test]
    fn numbers_without_signs() {
        assert_eq!(parse_number("18446744073709551615"), Some(u64::MAX));
        for text in ["", "+1", "-1", "1 ", "18446744073709551616"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn fields_one_after_the_other() {
        let mut rest = "one two";
        assert_eq!(
            (cut(&mut rest, b' '), cut(&mut rest, b' '), cut(&mut rest, b' ')),
            ("one", "two", "")
        );
    }
}
