//! Standard output, buffered.

use core::fmt;

use crate::error::{Error, Result};

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

    fn flush(&mut self) {
        let mut rest = &self.memory[..self.len];
        while !rest.is_empty() && self.failed.is_none() {
            match sys::process::write_stdout(rest) {
                Ok(n) => rest = &rest[n..],
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
            Some(errno) => Err(Error::new("write output", errno)),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut bytes = text.as_bytes();
        while !bytes.is_empty() {
            if self.len == self.memory.len() {
                self.flush();
            }
            let n = bytes.len().min(self.memory.len() - self.len);
            self.memory[self.len..self.len + n].copy_from_slice(&bytes[..n]);
            self.len += n;
            bytes = &bytes[n..];
        }
        Ok(())
    }
}
