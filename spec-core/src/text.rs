//! Strings as the kernel wants them: UTF-8, decoded, followed by a NUL.

use core::ffi::CStr;
use core::fmt;

/// A string of the configuration, decoded, free of NUL bytes, and stored with a terminating NUL behind it, so that the
/// same sixteen bytes serve as `&str` for people and as `&CStr` for the kernel without another copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    /// The text and one NUL.
    with_nul: &'a str,
}

impl<'a> Text<'a> {
    /// The empty string.
    pub const EMPTY: Self = Self { with_nul: "\0" };

    /// Takes a string that ends in its only NUL, or `None` if that is not so.
    pub fn from_str_with_nul(with_nul: &'a str) -> Option<Self> {
        let text = with_nul.strip_suffix('\0')?;
        if has(text, 0) {
            return None;
        }
        Some(Self { with_nul })
    }

    /// Takes a string of a checked document with one NUL behind it: the grammar lets none into a string.
    pub(crate) fn from_checked(with_nul: &'a str) -> Self {
        Self { with_nul }
    }

    /// The text without its NUL.
    pub fn as_str(self) -> &'a str {
        // The constructor saw the NUL; `trim_end_matches` would be wrong only if there were more than one.
        self.with_nul.strip_suffix('\0').unwrap_or_default()
    }

    /// The text as the kernel takes it.
    pub fn as_c_str(self) -> &'a CStr {
        CStr::from_bytes_until_nul(self.with_nul.as_bytes()).unwrap_or_default()
    }

    /// Whether there is no character.
    pub fn is_empty(self) -> bool {
        self.with_nul.len() <= 1
    }
}

/// Whether `mark` is in `text`.
///
/// `contains` brings code that reads a long text by words, which is of no use for texts as short as ours.
#[inline(never)]
pub fn has(text: &str, mark: u8) -> bool {
    text.bytes().any(|byte| byte == mark)
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
