//! Standard output, buffered.

use crate::error::{Error, Result};
use crate::msg;
use crate::text::{Pieces, Sink};

/// Collects what a command prints. A failure is remembered and reported once, at the end.
pub struct Output {
    memory: [u8; 1024],
    len: usize,
    failed: Option<rustix::io::Errno>,
}

impl Output {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            memory: [0; 1024],
            len: 0,
            failed: None,
        }
    }

    /// Writes a cell of a table: `text`, blanks up to `width` characters, and one more.
    #[inline(never)]
    pub fn column(&mut self, text: &str, width: usize) {
        self.str(text);
        // A character of UTF-8 has one byte that does not continue it.
        let characters = text.bytes().filter(|byte| byte & 0xc0 != 0x80).count();
        for _ in characters..width {
            self.str(" ");
        }
        self.str(" ");
    }

    /// What was collected and not printed yet.
    #[cfg(test)]
    pub fn collected(&self) -> &str {
        core::str::from_utf8(&self.memory[..self.len]).expect("UTF-8")
    }

    fn flush(&mut self) {
        let mut rest = self.memory.get(..self.len).unwrap_or_default();
        while !rest.is_empty() && self.failed.is_none() {
            match sys::process::write_stdout(rest) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => self.failed = Some(errno),
            }
        }
        self.len = 0;
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<()> {
        self.flush();
        match self.failed {
            // The reader has seen enough (`roci list | head -1`).
            None | Some(rustix::io::Errno::PIPE) => Ok(()),
            Some(errno) => Err(Error::new(msg!("write output"), errno)),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Output {
    #[inline(never)]
    fn put(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.len == self.memory.len() {
                self.flush();
            }
            if let Some(place) = self.memory.get_mut(self.len) {
                *place = byte;
            }
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_wide_as_what_is_seen_of_them() {
        for (text, width, expected) in [
            ("a", 3, "a   "),
            ("abc", 3, "abc "),
            ("abcd", 3, "abcd "),
            ("", 2, "   "),
            // Two bytes, three, and four, of one character each.
            ("\u{e9}", 3, "\u{e9}   "),
            ("\u{20ac}\u{1f600}", 3, "\u{20ac}\u{1f600}  "),
        ] {
            let mut out = Output::new();
            out.column(text, width);
            assert_eq!(out.collected(), expected);
        }
    }
}
