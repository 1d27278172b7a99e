//! Error numbers in words. Without std, rustix prints only "os error 1".
//!
//! The words are those of C libraries in lower case, as Go spells them: podman and Docker (which compares case) look for
//! "permission denied", "operation not permitted" and "no such file or directory" to choose their exit status.

use core::fmt;

use rustix::io::Errno;

/// Prints an error number as `operation not permitted (EPERM)`.
pub struct Words(pub Errno);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TABLE.iter().find(|(errno, ..)| *errno == self.0) {
            Some((_, name, text)) => {
                f.write_str(text)?;
                f.write_str(" (")?;
                f.write_str(name)?;
                f.write_str(")")
            }
            None => write!(f, "error {}", self.0.raw_os_error()),
        }
    }
}

/// The text alone, for the messages that clients compare.
pub fn text(errno: Errno) -> &'static str {
    TABLE
        .iter()
        .find(|(known, ..)| *known == errno)
        .map_or("unknown error", |(_, _, text)| text)
}

const TABLE: &[(Errno, &str, &str)] = &[
    (Errno::PERM, "EPERM", "operation not permitted"),
    (Errno::NOENT, "ENOENT", "no such file or directory"),
    (Errno::SRCH, "ESRCH", "no such process"),
    (Errno::INTR, "EINTR", "interrupted system call"),
    (Errno::IO, "EIO", "input/output error"),
    (Errno::NXIO, "ENXIO", "no such device or address"),
    (Errno::TOOBIG, "E2BIG", "argument list too long"),
    (Errno::NOEXEC, "ENOEXEC", "exec format error"),
    (Errno::BADF, "EBADF", "bad file descriptor"),
    (Errno::CHILD, "ECHILD", "no child processes"),
    (Errno::AGAIN, "EAGAIN", "resource temporarily unavailable"),
    (Errno::NOMEM, "ENOMEM", "cannot allocate memory"),
    (Errno::ACCESS, "EACCES", "permission denied"),
    (Errno::FAULT, "EFAULT", "bad address"),
    (Errno::BUSY, "EBUSY", "device or resource busy"),
    (Errno::EXIST, "EEXIST", "file exists"),
    (Errno::XDEV, "EXDEV", "invalid cross-device link"),
    (Errno::NODEV, "ENODEV", "no such device"),
    (Errno::NOTDIR, "ENOTDIR", "not a directory"),
    (Errno::ISDIR, "EISDIR", "is a directory"),
    (Errno::INVAL, "EINVAL", "invalid argument"),
    (Errno::NFILE, "ENFILE", "too many open files in system"),
    (Errno::MFILE, "EMFILE", "too many open files"),
    (Errno::NOTTY, "ENOTTY", "inappropriate ioctl for device"),
    (Errno::TXTBSY, "ETXTBSY", "text file busy"),
    (Errno::FBIG, "EFBIG", "file too large"),
    (Errno::NOSPC, "ENOSPC", "no space left on device"),
    (Errno::ROFS, "EROFS", "read-only file system"),
    (Errno::MLINK, "EMLINK", "too many links"),
    (Errno::PIPE, "EPIPE", "broken pipe"),
    (Errno::RANGE, "ERANGE", "numerical result out of range"),
    (Errno::DEADLK, "EDEADLK", "resource deadlock avoided"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG", "file name too long"),
    (Errno::NOSYS, "ENOSYS", "function not implemented"),
    (Errno::NOTEMPTY, "ENOTEMPTY", "directory not empty"),
    (Errno::LOOP, "ELOOP", "too many levels of symbolic links"),
    (Errno::OVERFLOW, "EOVERFLOW", "value too large for defined data type"),
    (Errno::USERS, "EUSERS", "too many users"),
    (Errno::NOTSOCK, "ENOTSOCK", "socket operation on non-socket"),
    (Errno::OPNOTSUPP, "EOPNOTSUPP", "operation not supported"),
    (
        Errno::AFNOSUPPORT,
        "EAFNOSUPPORT",
        "address family not supported by protocol",
    ),
    (Errno::CONNREFUSED, "ECONNREFUSED", "connection refused"),
    (Errno::CONNRESET, "ECONNRESET", "connection reset by peer"),
    (Errno::TIMEDOUT, "ETIMEDOUT", "connection timed out"),
    (Errno::STALE, "ESTALE", "stale file handle"),
    (Errno::DQUOT, "EDQUOT", "disk quota exceeded"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn known_and_unknown_numbers() {
        assert_eq!(Words(Errno::ACCESS).to_string(), "permission denied (EACCES)");
        assert_eq!(Words(Errno::from_raw_os_error(4000)).to_string(), "error 4000");
    }

    #[test]
    fn texts_are_lower_case_because_docker_compares_case() {
        for (_, name, text) in TABLE {
            assert!(text.starts_with(|c: char| c.is_lowercase()), "{name}");
        }
    }
}
