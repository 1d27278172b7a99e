//! What happens on a bug: one line on stderr, exit status 101.

/// Writes to stderr and ignores failure: there is nobody left to tell.
fn say(text: &str) {
    let _ = crate::process::write_stderr(text.as_bytes());
}

/// Ends the program with 101.
pub fn end() -> ! {
    crate::process::exit(101)
}

/// Prints where the program found itself wrong.
pub fn report(info: &core::panic::PanicInfo<'_>) {
    say("roci: internal error: ");
    if let Some(text) = info.message().as_str() {
        say(text);
    }
    if let Some(place) = info.location() {
        say(" at ");
        say(place.file());
        let mut digits = [b':', b'0', b'0', b'0', b'0'];
        let mut rest = place.line();
        for digit in digits.iter_mut().skip(1).rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        say(core::str::from_utf8(&digits).unwrap_or_default());
    }
    say("\n");
}
