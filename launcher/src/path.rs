//! Paths that are put together at run time.

use core::ffi::CStr;
use core::fmt;

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use spec_core::limits::PATH_BYTES_MAX;
use sys::ScratchString;

/// A path of at most `PATH_MAX` bytes with its NUL.
pub struct Path(ScratchString);

/// Without the NUL.
const LONGEST: usize = PATH_BYTES_MAX - 1;
/// For formatted paths, which are made of numbers and short names.
const LONGEST_FORMATTED: usize = 511;

impl Path {
    /// Joins `parts` as they are.
    ///
    /// # Errors
    /// `ENAMETOOLONG`, as the kernel would say.
    pub fn join(parts: &[&[u8]]) -> Result<Self, Errno> {
        ScratchString::join(parts, LONGEST).map(Self).ok_or(Errno::NAMETOOLONG)
    }

    /// Formats a path.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub fn format(text: fmt::Arguments<'_>) -> Result<Self, Errno> {
        ScratchString::format(text, LONGEST_FORMATTED)
            .map(Self)
            .ok_or(Errno::NAMETOOLONG)
    }

    /// The bytes, to change single ones.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    /// For the kernel. A NUL inside ends the path there, which is what the kernel would see too.
    pub fn as_c_str(&self) -> &CStr {
        self.0.as_c_str()
    }

    /// Opens what is there, which exists, below `directory`; the descriptor is closed on exec.
    #[inline(never)]
    pub fn open(&self, directory: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_in(directory, self.as_c_str(), flags)
    }

    /// The path as a string that lives as long as the program.
    pub fn keep(&self) -> crate::error::Result<&'static CStr> {
        crate::error::keep_c_str(format_args!("{}", self.as_str()))
    }

    /// For people.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Opens what is at `path`, which exists, below `directory`; the descriptor is closed on exec.
#[inline(never)]
pub fn open_in(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(directory, path, flags | OFlags::CLOEXEC, Mode::empty())
}

/// The components of a path, without empty ones and without `.`.
pub fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_max_counts_the_nul() {
        let longest = [b'a'; PATH_BYTES_MAX - 1];
        assert!(Path::join(&[&longest]).is_ok());
        assert_eq!(Path::join(&[&longest, b"a"]).err(), Some(Errno::NAMETOOLONG));
    }

    #[test]
    fn components_skip_what_means_nothing() {
        let parts: std::vec::Vec<_> = components(b"//a/./b//../c/").collect();
        assert_eq!(parts, [b"a".as_slice(), b"b", b"..", b"c"]);
    }
}
