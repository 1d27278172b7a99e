//! Paths that are put together at run time.

use core::ffi::CStr;

use rustix::fd::BorrowedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sys::OwnedFd;
use sys::ScratchString;
use sys::fd::open_in;

use crate::text::Digits;

/// A path with its NUL. One that is longer than `PATH_MAX` is a name that every kernel refuses as too long.
pub struct Path(ScratchString);

impl Path {
    /// A copy of `path`.
    #[inline(never)]
    pub fn new(path: &[u8]) -> Self {
        Self::of(&[path])
    }

    /// Joins `parts` as they are.
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(ScratchString::join(parts))
    }

    /// `PID/NAME`, below a procfs.
    #[inline(never)]
    pub fn of_process(pid: i32, name: &str) -> Self {
        Self::of(&[Digits::signed(pid.into()).as_bytes(), b"/", name.as_bytes()])
    }

    /// `start` and a number.
    #[inline(never)]
    pub fn numbered(start: &str, number: u32) -> Self {
        Self::of(&[start.as_bytes(), Digits::of(number.into()).as_bytes()])
    }

    /// Puts `new` into the place of every `old`; neither is a NUL.
    pub fn replace(&mut self, old: u8, new: u8) {
        self.0.replace(old, new);
    }

    /// For the kernel. A NUL inside ends the path there, which is what the kernel would see too.
    pub fn as_c_str(&self) -> &CStr {
        self.0.as_c_str()
    }

    /// For longer paths.
    pub fn as_bytes(&self) -> &[u8] {
        self.as_c_str().to_bytes()
    }

    /// Opens what is there, which exists, below `directory`; the descriptor is closed on exec.
    #[inline(never)]
    pub fn open(&self, directory: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_in(directory, self.as_c_str(), flags)
    }

    /// Gives the memory of the path back: see [`ScratchString`].
    pub fn free(self) {
        self.0.free();
    }

    /// The path for the rest of the program.
    pub fn leak(self) -> &'static CStr {
        self.0.leak()
    }

    /// For people.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// The components of a path, without empty ones and without `.`.
pub struct Components<'a> {
    /// What has not been looked at.
    pub rest: &'a [u8],
}

/// The components of `path`.
pub fn components(path: &[u8]) -> Components<'_> {
    Components { rest: path }
}

impl<'a> Iterator for Components<'a> {
    type Item = &'a [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            while let [b'/', rest @ ..] = self.rest {
                self.rest = rest;
            }
            let slash = self.rest.iter().position(|byte| *byte == b'/');
            let (component, rest) = self.rest.split_at_checked(slash.unwrap_or(self.rest.len()))?;
            self.rest = rest;
            match component {
                b"" => return None,
                b"." => {}
                _ => return Some(component),
            }
        }
    }
}

/// The path without slashes at its end.
#[inline(never)]
pub fn without_slashes(mut path: &[u8]) -> &[u8] {
    while let [shorter @ .., b'/'] = path {
        path = shorter;
    }
    path
}

/// What of a path stands before its last slash, with that, and what stands behind it.
#[inline(never)]
pub fn split_last(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    path.split_at_checked(slash.map_or(0, |slash| slash + 1))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec_core::limits::PATH_BYTES_MAX;

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn path_max_counts_the_nul() {
        let longest = [b'a'; PATH_BYTES_MAX - 1];
        assert_eq!(Path::of(&[&longest]).as_c_str().to_bytes(), longest);
        let refused = Path::of(&[&longest, b"a"]);
        assert_eq!(
            refused.open(rustix::fs::CWD, OFlags::PATH).err(),
            Some(Errno::NAMETOOLONG)
        );
    }

    #[test]
    fn components_skip_what_means_nothing() {
        let parts: std::vec::Vec<_> = components(b"//a/./b//../c/").collect();
        assert_eq!(parts, [b"a".as_slice(), b"b", b"..", b"c"]);
        assert_eq!(components(b"/./").next(), None);
    }

    #[test]
    fn the_last_component() {
        assert_eq!(without_slashes(b"/a/b//"), b"/a/b");
        assert_eq!(without_slashes(b"/dev//"), b"/dev");
        assert_eq!(without_slashes(b"//"), b"");
        assert_eq!(split_last(b"/a/b"), (&b"/a/"[..], &b"b"[..]));
        assert_eq!(split_last(b"b"), (&b""[..], &b"b"[..]));
    }
}
