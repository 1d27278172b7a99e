//! Lines of `roci-boot`, on the console or in the kernel's log.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sys::OwnedFd;
use sys::fd::open;
use sys::poll::{Watch, poll};
use sys::process::write_stderr;

pub use crate::message::{Line, line};

/// Tells something about `subject`.
pub fn say(subject: &[u8], what: &[&[u8]]) {
    let mut text = Line::new();
    for part in what {
        text.push(part);
    }
    to_console(line(&[b"roci-boot: ", subject, b": ", text.as_bytes()]).as_bytes());
}

/// Tells what went wrong with `subject`.
pub fn complain(subject: &[u8], what: &str) {
    say(subject, &[what.as_bytes()]);
}

/// Writes to the console, which was opened so that a write does not wait: a line that stands still must not stop the
/// device. What it cannot take in time is left out.
pub fn to_console(text: &[u8]) {
    /// A slow line sends a hundred characters in that time.
    const PATIENCE_MS: u64 = 100;
    let mut rest = text;
    while !rest.is_empty() {
        match write_stderr(rest) {
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut console = [Watch::to_write_number(2)];
                if poll(&mut console, Some(PATIENCE_MS)) != Ok(1) {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// Writes a line to the kernel's log, with the level of a notice.
pub fn to_kmsg(parts: &[&[u8]]) {
    let Ok(log) = open(c"/dev/kmsg", OFlags::WRONLY | OFlags::NONBLOCK) else {
        return;
    };
    let mut text = Line::new();
    text.push(b"<5>");
    for part in parts {
        text.push(part);
    }
    let _ = rustix::io::write(&log, text.as_bytes());
    log.close();
}

/// Makes `console` the standard streams.
pub fn use_console(console: OwnedFd) {
    for number in 0..3 {
        let _ = sys::file::replace_standard_stream(console.as_fd(), number);
    }
    console.close();
}
