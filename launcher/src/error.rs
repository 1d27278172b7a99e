//! What went wrong, as three facts: where in the configuration (the site), what was done (the operation), and why it
//! failed (the cause).
//!
//! The leaf that makes a system call knows the error number; the function around it knows the operation; the loop that
//! counts knows the site. Nobody in between adds anything, and only `main` prints.

use core::ffi::CStr;
use core::fmt;
use core::num::NonZeroU32;

use rustix::io::Errno;
use spec_core::limits::MESSAGE_BYTES_MAX;

use crate::errno;

/// The usual result.
pub type Result<T> = core::result::Result<T, Error>;

/// An error: the number of its facts on a shelf, so that a `Result` is passed in registers and `?` costs a comparison.
#[derive(Clone, Copy)]
pub struct Error(NonZeroU32);

/// What is known of an error.
#[derive(Clone, Copy)]
pub struct Facts {
    /// The element of the configuration, as in `mounts[3] /proc`; empty where it is no element's fault.
    pub site: &'static str,
    /// What was being done, as in `mount proc`; empty where the cause says it all.
    pub operation: &'static str,
    /// Why it failed.
    pub cause: Cause,
}

/// Errors that one process can make. Most make none; attempts with a fallback make one each.
const FACTS_MAX: usize = 64;

static FACTS: sys::Shelf<Facts, FACTS_MAX> = sys::Shelf::new();

/// Stands for whatever comes when the shelf is full.
static MANY: Facts = Facts {
    site: "",
    operation: "",
    cause: Cause::Said("too many errors"),
};

/// Why an operation failed.
#[derive(Clone, Copy)]
pub enum Cause {
    /// The kernel said no.
    Errno(Errno),
    /// A rule of roci or of the specification; the text is whole.
    Said(&'static str),
    /// The command line is wrong: exit status 2.
    Usage(&'static str),
}

/// The texts of errors that are not known at compile time. An operation makes a handful of them.
static NOTES: sys::Notes<{ 4 * MESSAGE_BYTES_MAX }> = sys::Notes::new();

/// Formats a text that lives as long as the program.
pub fn keep(text: fmt::Arguments<'_>) -> &'static str {
    NOTES.keep(text)
}

/// The same with a NUL, for the kernel.
pub fn keep_c_str(text: fmt::Arguments<'_>) -> Result<&'static CStr> {
    CStr::from_bytes_until_nul(keep(format_args!("{text}\0")).as_bytes()).map_err(|_| Error::said("text is too long"))
}

impl Error {
    #[cold]
    fn make(site: &'static str, operation: &'static str, cause: Cause) -> Self {
        Self(FACTS.put(Facts { site, operation, cause }))
    }

    fn facts(self) -> &'static Facts {
        FACTS.get(self.0).unwrap_or(&MANY)
    }

    /// `operation` failed with `errno`.
    pub fn new(operation: &'static str, errno: Errno) -> Self {
        Self::make("", operation, Cause::Errno(errno))
    }

    /// The rule `text` was broken.
    pub fn said(text: &'static str) -> Self {
        Self::make("", "", Cause::Said(text))
    }

    /// The same with a text made now.
    pub fn says(text: fmt::Arguments<'_>) -> Self {
        Self::said(keep(text))
    }

    /// The command line is wrong.
    pub fn usage(text: fmt::Arguments<'_>) -> Self {
        Self::make("", "", Cause::Usage(keep(text)))
    }

    /// The same error, at a place in the configuration. An inner site is more exact and stays.
    pub fn at(self, site: fmt::Arguments<'_>) -> Self {
        let Facts {
            site: inner,
            operation,
            cause,
        } = *self.facts();
        if inner.is_empty() {
            Self::make(keep(site), operation, cause)
        } else {
            self
        }
    }

    /// Why it failed.
    pub fn cause(&self) -> Cause {
        self.facts().cause
    }

    /// The kernel's error number, where it is the cause.
    pub fn errno(&self) -> Option<Errno> {
        match self.facts().cause {
            Cause::Errno(errno) => Some(errno),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { site, operation, cause } = *self.facts();
        for part in [site, operation] {
            if !part.is_empty() {
                f.write_str(part)?;
                f.write_str(": ")?;
            }
        }
        match cause {
            Cause::Errno(errno) => {
                errno::Words(errno).fmt(f)?;
                let hint = errno::hint(operation, errno);
                if !hint.is_empty() {
                    f.write_str(" (")?;
                    f.write_str(hint)?;
                    f.write_str(")")?;
                }
                Ok(())
            }
            Cause::Said(text) | Cause::Usage(text) => f.write_str(text),
        }
    }
}

/// Adds the operation to a system call's result.
pub trait During<T> {
    /// Names what was being done.
    fn during(self, operation: &'static str) -> Result<T>;
    /// Names what was being done, with a text that is made only if it failed.
    fn during_with(self, operation: fmt::Arguments<'_>) -> Result<T>;
}

impl<T> During<T> for rustix::io::Result<T> {
    fn during(self, operation: &'static str) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(errno) => Err(Error::new(operation, errno)),
        }
    }

    fn during_with(self, operation: fmt::Arguments<'_>) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(errno) => Err(Error::new(keep(operation), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn three_facts_make_one_line() {
        let error = Error::new("mount proc", Errno::BUSY).at(format_args!("mounts[{}] {}", 3, "/proc"));
        assert_eq!(
            error.to_string(),
            "mounts[3] /proc: mount proc: device or resource busy (EBUSY)"
        );
    }

    #[test]
    fn the_inner_site_stays() {
        let error = Error::said("x").at(format_args!("inner")).at(format_args!("outer"));
        assert_eq!(error.to_string(), "inner: x");
    }

    #[test]
    fn a_hint_follows_where_one_is_known() {
        let error = Error::new("mount overlay", Errno::NODEV);
        assert_eq!(
            error.to_string(),
            "mount overlay: no such device (ENODEV) (the kernel needs CONFIG_OVERLAY_FS)"
        );
    }
}
