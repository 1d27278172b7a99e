//! The one line that is printed when something fails: `roci-init: PROGRAM: no such file or directory`.

use crate::text::Text;
use rustix::io::Errno;
use sys::process::write_stderr;

/// A longer line is cut.
const LINE_BYTES_MAX: usize = 512;

/// A line that is put together.
pub type Line = Text<LINE_BYTES_MAX>;

/// Prints what went wrong with `subject`.
pub fn complain(subject: &[u8], what: &str) {
    tell(&[b"roci-init: ", subject, b": ", what.as_bytes()]);
}

/// Prints a line, in one write, so that lines of several processes do not mix.
pub fn tell(parts: &[&[u8]]) {
    let _ = write_stderr(line(parts).as_bytes());
}

/// The line of these parts, with its end.
pub fn line(parts: &[&[u8]]) -> Line {
    let mut line = Line::new();
    for part in parts {
        line.push(part);
    }
    let end = if line.cut(LINE_BYTES_MAX - "…\n".len()) {
        "…\n"
    } else {
        "\n"
    };
    line.push(end.as_bytes());
    line
}

/// An error number in the words of C libraries, in lower case, which is what clients of containers look for.
pub fn words(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM => "operation not permitted",
        Errno::NOENT => "no such file or directory",
        Errno::IO => "input/output error",
        Errno::TOOBIG => "argument list too long",
        Errno::NOEXEC => "exec format error",
        Errno::AGAIN => "resource temporarily unavailable",
        Errno::NOMEM => "cannot allocate memory",
        Errno::ACCESS => "permission denied",
        Errno::NOTDIR => "not a directory",
        Errno::ISDIR => "is a directory",
        Errno::INVAL => "invalid argument",
        Errno::TXTBSY => "text file busy",
        Errno::NAMETOOLONG => "file name too long",
        Errno::LOOP => "too many levels of symbolic links",
        _ => "cannot be executed",
    }
}
