//! Error numbers in words. Without std, rustix prints only "os error 1".
//!
//! The words are those of C libraries in lower case, as Go spells them: podman and Docker (which compares case) look for
//! "permission denied", "operation not permitted" and "no such file or directory" to choose their exit status.

use core::fmt;

use rustix::io::Errno;

use crate::text::{Digits, cut};

/// Prints an error number as `operation not permitted (EPERM)`.
pub struct Words(pub Errno);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, text) = row(self.0);
        if name.is_empty() {
            f.write_str("error ")?;
            return f.write_str(Digits::signed(self.0.raw_os_error().into()).as_str());
        }
        for piece in [text, " (", name, ")"] {
            f.write_str(piece)?;
        }
        Ok(())
    }
}

/// The text alone, for the messages that clients compare.
pub fn text(errno: Errno) -> &'static str {
    match row(errno) {
        ("", _) => "unknown error",
        (_, text) => text,
    }
}

/// The name and the text of `errno`; nothing where it is not in the table.
#[inline(never)]
fn row(errno: Errno) -> (&'static str, &'static str) {
    let mut rest = TEXTS;
    for known in NUMBERS {
        let mut row = cut(&mut rest, b'\n');
        if known == errno {
            return (cut(&mut row, b' '), row);
        }
    }
    ("", "")
}

/// What to change on the host, where the operation and the error number tell; nothing where they do not.
pub fn hint(operation: &str, errno: Errno) -> &'static str {
    let (name, _) = row(errno);
    let mut rest = HINTS;
    while !rest.is_empty() {
        let mut row = cut(&mut rest, b'\n');
        let start = cut(&mut row, b';');
        if operation.starts_with(start) && cut(&mut row, b';') == name {
            return row;
        }
    }
    ""
}

/// The error numbers, which differ between architectures, in the order of [`TEXTS`].
const NUMBERS: [Errno; 46] = [
    Errno::PERM,
    Errno::NOENT,
    Errno::SRCH,
    Errno::INTR,
    Errno::IO,
    Errno::NXIO,
    Errno::TOOBIG,
    Errno::NOEXEC,
    Errno::BADF,
    Errno::CHILD,
    Errno::AGAIN,
    Errno::NOMEM,
    Errno::ACCESS,
    Errno::FAULT,
    Errno::BUSY,
    Errno::EXIST,
    Errno::XDEV,
    Errno::NODEV,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::INVAL,
    Errno::NFILE,
    Errno::MFILE,
    Errno::NOTTY,
    Errno::TXTBSY,
    Errno::FBIG,
    Errno::NOSPC,
    Errno::ROFS,
    Errno::MLINK,
    Errno::PIPE,
    Errno::RANGE,
    Errno::DEADLK,
    Errno::NAMETOOLONG,
    Errno::NOSYS,
    Errno::NOTEMPTY,
    Errno::LOOP,
    Errno::OVERFLOW,
    Errno::USERS,
    Errno::NOTSOCK,
    Errno::OPNOTSUPP,
    Errno::AFNOSUPPORT,
    Errno::CONNREFUSED,
    Errno::CONNRESET,
    Errno::TIMEDOUT,
    Errno::STALE,
    Errno::DQUOT,
];

/// The name of each error number, and the text.
const TEXTS: &str = "\
EPERM operation not permitted
ENOENT no such file or directory
ESRCH no such process
EINTR interrupted system call
EIO input/output error
ENXIO no such device or address
E2BIG argument list too long
ENOEXEC exec format error
EBADF bad file descriptor
ECHILD no child processes
EAGAIN resource temporarily unavailable
ENOMEM cannot allocate memory
EACCES permission denied
EFAULT bad address
EBUSY device or resource busy
EEXIST file exists
EXDEV invalid cross-device link
ENODEV no such device
ENOTDIR not a directory
EISDIR is a directory
EINVAL invalid argument
ENFILE too many open files in system
EMFILE too many open files
ENOTTY inappropriate ioctl for device
ETXTBSY text file busy
EFBIG file too large
ENOSPC no space left on device
EROFS read-only file system
EMLINK too many links
EPIPE broken pipe
ERANGE numerical result out of range
EDEADLK resource deadlock avoided
ENAMETOOLONG file name too long
ENOSYS function not implemented
ENOTEMPTY directory not empty
ELOOP too many levels of symbolic links
EOVERFLOW value too large for defined data type
EUSERS too many users
ENOTSOCK socket operation on non-socket
EOPNOTSUPP operation not supported
EAFNOSUPPORT address family not supported by protocol
ECONNREFUSED connection refused
ECONNRESET connection reset by peer
ETIMEDOUT connection timed out
ESTALE stale file handle
EDQUOT disk quota exceeded
";

/// How the operation begins, the name of the error number, and the hint. The first that fits counts.
const HINTS: &str = "\
clone;EINVAL;a namespace type is missing: the kernel needs CONFIG_NAMESPACES with PID_NS, NET_NS, IPC_NS, UTS_NS and, if asked for, USER_NS and TIME_NS
clone;ENOSPC;too many namespaces or too deep: see /proc/sys/user/max_*_namespaces
clone;EUSERS;user namespaces are nested too deep
clone;EPERM;namespaces need root, or a new user namespace, which /proc/sys/user/max_user_namespaces or kernel.unprivileged_userns_clone may forbid
clone;EAGAIN;the limit of processes is reached: RLIMIT_NPROC or a pids cgroup
mount overlay;ENODEV;the kernel needs CONFIG_OVERLAY_FS
mount mqueue;ENODEV;the kernel needs CONFIG_POSIX_MQUEUE
mount devpts;ENODEV;the kernel needs CONFIG_UNIX98_PTYS
mount cgroup2;ENODEV;the kernel needs CONFIG_CGROUPS
mount;ENODEV;the kernel does not have this file system
mount proc;EPERM;in a user namespace /proc can be mounted only where the host's is not covered by other mounts
pivot_root;EINVAL;the root of this mount namespace cannot be left
set id mapping;EINVAL;the kernel needs CONFIG_USER_NS
set idmap;EINVAL;the file system of the source cannot be idmapped, or the kernel is older than 5.12
set rlimit;EPERM;raising a hard limit needs CAP_SYS_RESOURCE
set oom score;EACCES;lowering it needs CAP_SYS_RESOURCE
set capabilities;EPERM;a capability that roci does not have itself cannot be given
";

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
        assert_eq!(TEXTS.lines().count(), NUMBERS.len());
        for errno in NUMBERS {
            let (name, text) = row(errno);
            assert!(text.starts_with(|c: char| c.is_lowercase()), "{name}");
            assert!(name.starts_with('E'), "{name}");
        }
        assert_eq!(row(Errno::DQUOT).0, "EDQUOT");
    }

    #[test]
    fn hints_are_about_known_numbers() {
        for row in HINTS.lines() {
            let name = row.split(';').nth(1).unwrap_or_default();
            assert!(TEXTS.lines().any(|row| row.starts_with(name)), "{row}");
        }
        assert_eq!(
            hint("mount overlay", Errno::NODEV),
            "the kernel needs CONFIG_OVERLAY_FS"
        );
        assert_eq!(hint("mount overlay", Errno::from_raw_os_error(4000)), "");
    }
}
