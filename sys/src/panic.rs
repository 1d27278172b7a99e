//! What happens on a bug: one line on stderr, exit status 101.

use core::fmt::{self, Write};

/// Writes to stderr and ignores failure: there is nobody left to tell.
struct Stderr;

impl Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let _ = crate::process::write_stderr(text.as_bytes());
        Ok(())
    }
}

/// Prints where the program found itself wrong, and exits with 101.
pub fn report(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut stderr = Stderr;
    let _ = stderr.write_str("roci: internal error: ");
    if let Some(text) = info.message().as_str() {
        let _ = stderr.write_str(text);
    }
    if let Some(place) = info.location() {
        let _ = stderr.write_str(" at ");
        let _ = stderr.write_str(place.file());
        let mut digits = [b':', b'0', b'0', b'0', b'0'];
        let mut rest = place.line();
        for digit in digits.iter_mut().skip(1).rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let _ = stderr.write_str(core::str::from_utf8(&digits).unwrap_or_default());
    }
    let _ = stderr.write_str("\n");
    crate::process::exit(101)
}
