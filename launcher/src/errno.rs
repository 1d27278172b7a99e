//! Error numbers in words. Without std, rustix prints only "os error 1".
//!
//! The words are those of C libraries in lower case, as Go spells them: podman and Docker (which compares case) look for
//! "permission denied", "operation not permitted" and "no such file or directory" to choose their exit status.

use rustix::io::Errno;

use crate::error::keep;
use crate::msg;
use crate::text::{Digits, cut};
use crate::texts::Text;

/// The error number as `operation not permitted (EPERM)`.
pub fn words(errno: Errno) -> &'static str {
    match row(errno) {
        ("", _) => keep(msg!("error #"), &[Digits::signed(errno.raw_os_error().into()).as_str()]),
        (name, text) => keep(msg!("# (#)"), &[text, name]),
    }
}

/// The text alone, for the messages that clients compare.
pub fn text(errno: Errno) -> &'static str {
    match row(errno) {
        ("", _) => words(errno),
        (_, text) => text,
    }
}

/// The name and the text of `errno`; nothing where it is not in the table.
#[inline(never)]
fn row(errno: Errno) -> (&'static str, &'static str) {
    let mut rest = Text::Errno.get();
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
    // How the operation begins, the name of the error number, and the hint. The first that fits counts.
    let mut rest = Text::Hints.get();
    while !rest.is_empty() {
        let mut row = cut(&mut rest, b'\n');
        let start = cut(&mut row, b';');
        if operation.starts_with(start) && cut(&mut row, b';') == name {
            return row;
        }
    }
    ""
}

/// The error numbers, which differ between architectures, in the order of [`Text::Errno`], which has the
/// name of each and the text.
const NUMBERS: [Errno; 47] = [
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
    Errno::PROTONOSUPPORT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_and_unknown_numbers() {
        assert_eq!(words(Errno::ACCESS), "permission denied (EACCES)");
        assert_eq!(words(Errno::from_raw_os_error(4000)), "error 4000");
        assert_eq!(text(Errno::ACCESS), "permission denied");
        assert_eq!(text(Errno::from_raw_os_error(4000)), "error 4000");
    }

    #[test]
    fn texts_are_lower_case_because_docker_compares_case() {
        assert_eq!(Text::Errno.get().lines().count(), NUMBERS.len());
        for errno in NUMBERS {
            let (name, text) = row(errno);
            assert!(text.starts_with(|c: char| c.is_lowercase()), "{name}");
            assert!(name.starts_with('E'), "{name}");
        }
        assert_eq!(row(Errno::DQUOT).0, "EDQUOT");
    }

    #[test]
    fn hints_are_about_known_numbers() {
        let step = if cfg!(miri) { 8 } else { 1 };
        for row in Text::Hints.get().lines().step_by(step) {
            let name = row.split(';').nth(1).unwrap_or_default();
            assert!(Text::Errno.get().lines().any(|row| row.starts_with(name)), "{row}");
        }
        assert_eq!(
            hint("mount overlay", Errno::NODEV),
            "the kernel needs CONFIG_OVERLAY_FS"
        );
        assert_eq!(hint("mount overlay", Errno::from_raw_os_error(4000)), "");
    }
}
