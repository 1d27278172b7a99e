//! Paths that are put together at run time.

use core::ffi::CStr;
use core::fmt;

use heapless::Vec;
use rustix::io::Errno;
use spec_core::limits::PATH_BYTES_MAX;

/// A path of at most `PATH_MAX` bytes with its NUL, on the stack.
pub struct Path {
    bytes: Vec<u8, PATH_BYTES_MAX>,
}

impl Path {
    /// Joins `parts` as they are.
    ///
    /// # Errors
    /// `ENAMETOOLONG`, as the kernel would say.
    pub fn join(parts: &[&[u8]]) -> Result<Self, Errno> {
        let mut path = Self { bytes: Vec::new() };
        for part in parts {
            path.bytes.extend_from_slice(part).map_err(|_| Errno::NAMETOOLONG)?;
        }
        path.bytes.push(0).map_err(|_| Errno::NAMETOOLONG)?;
        Ok(path)
    }

    /// Formats a path.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub fn format(text: fmt::Arguments<'_>) -> Result<Self, Errno> {
        let mut path = Self { bytes: Vec::new() };
        fmt::write(&mut path, text).map_err(|_| Errno::NAMETOOLONG)?;
        path.bytes.push(0).map_err(|_| Errno::NAMETOOLONG)?;
        Ok(path)
    }

    /// Appends `part`; with `dots_to_slashes`, every dot in it becomes a slash.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub fn append(&mut self, part: &[u8], dots_to_slashes: bool) -> Result<(), Errno> {
        self.bytes.pop();
        for &byte in part {
            let byte = if dots_to_slashes && byte == b'.' { b'/' } else { byte };
            self.bytes.push(byte).map_err(|_| Errno::NAMETOOLONG)?;
        }
        self.bytes.push(0).map_err(|_| Errno::NAMETOOLONG)
    }

    /// For the kernel. A NUL inside ends the path there, which is what the kernel would see too.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// For people.
    pub fn as_str(&self) -> &str {
        self.as_c_str().to_str().unwrap_or("?")
    }
}

impl fmt::Write for Path {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes.extend_from_slice(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// The components of a path, without empty ones and without `.`.
pub fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|component| !component.is_empty() && *component != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_and_formatted() {
        assert_eq!(Path::join(&[b"/a", b"/", b"b"]).unwrap().as_c_str(), c"/a/b");
        assert_eq!(Path::format(format_args!("self/fd/{}", 7)).unwrap().as_str(), "self/fd/7");
    }

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
