//! Directories: making them, and what is in them.

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{Mode, mkdirat};
use rustix::io::{Errno, Result};

use crate::call::call;

const BYTES: usize = 2048;
/// Bytes of `struct linux_dirent64` before the name: two numbers of 64 bits, the record's length, and the type.
pub(crate) const HEAD: usize = 19;

/// Makes the directory `path` below `directory`, where there is not one already.
#[inline(never)]
pub fn make(directory: BorrowedFd<'_>, path: &CStr, mode: Mode) -> Result<()> {
    match mkdirat(directory, path, mode) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// The names in a directory, read a few at a time, without `.` and `..`.
pub struct Names<'a> {
    directory: BorrowedFd<'a>,
    /// Whether all that is no directory is left out.
    is_choosy: bool,
    memory: [u8; BYTES],
    at: usize,
    end: usize,
}

impl<'a> Names<'a> {
    /// The names in `directory`, from where it was read to.
    #[inline(never)]
    pub fn of(directory: BorrowedFd<'a>) -> Self {
        Self {
            directory,
            is_choosy: false,
            memory: [0; BYTES],
            at: 0,
            end: 0,
        }
    }

    /// The names of directories in `directory`, which is on a file system that tells them from others (`d_type`).
    pub fn of_directories(directory: BorrowedFd<'a>) -> Self {
        let mut names = Self::of(directory);
        names.is_choosy = true;
        names
    }

    /// The next one. It lends the name, so this is no `Iterator`.
    #[allow(clippy::should_implement_trait)]
    #[inline(never)]
    pub fn next(&mut self) -> Result<Option<&CStr>> {
        loop {
            if self.at >= self.end {
                let fd = self.directory.as_raw_fd() as usize;
                let memory = &mut self.memory;
                // SAFETY: getdents64 writes at most as many bytes as it is told, which is the length of the buffer, of which
                // nobody has a slice now: the last one was lent from `self`, which this call has alone.
                let n = unsafe {
                    call(
                        k::__NR_getdents64,
                        [fd, memory.as_mut_ptr().expose_provenance(), BYTES, 0, 0, 0],
                    )
                }?;
                (self.at, self.end) = (0, n);
            }
            let rest = self.memory.get(self.at..self.end).unwrap_or_default();
            let Some(([.., low, high, kind], rest)) = rest.split_first_chunk::<HEAD>() else {
                return Ok(None);
            };
            let name = CStr::from_bytes_until_nul(rest).unwrap_or_default();
            let is_wanted = !self.is_choosy || u32::from(*kind) == k::DT_DIR;
            let (start, is_name) = (self.at + HEAD, is_wanted && name != c"." && name != c"..");
            self.at += usize::from(u16::from_ne_bytes([*low, *high])).max(HEAD);
            if is_name {
                let name = self.memory.get(start..).unwrap_or_default();
                return Ok(Some(CStr::from_bytes_until_nul(name).unwrap_or_default()));
            }
        }
    }
}
