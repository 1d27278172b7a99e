//! The only printer: the error line on stderr and in the log, warnings, and the steps of `-v`.

use core::ffi::CStr;

use rustix::fs::{Mode, OFlags};
use spec_core::limits::MESSAGE_BYTES_MAX;
use sys::fd::create_in;
use sys::{Register, Truncating};

use crate::error::{During, Wording};
use crate::msg;
use crate::text::{Pieces, utf8};
use crate::time::Rfc3339;

/// Where lines go, beside stderr.
#[derive(Clone, Copy)]
struct Places {
    /// The log's descriptor, which nobody closes, or -1.
    log: i32,
    json: bool,
    verbose: bool,
}

static PLACES: Register<Places> = Register::new(Places {
    log: -1,
    json: false,
    verbose: false,
});

/// From here on lines go into the file `log` too, where one is named. One that cannot be opened is itself the error.
pub fn set_places(log: Option<&CStr>, json: bool, verbose: bool) -> crate::error::Result<()> {
    let log = match log {
        // Appended, never truncated: containerd gives one file to all calls for a container and reads it whole.
        Some(path) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
            let file = create_in(rustix::fs::CWD, path, flags, Mode::from_raw_mode(0o644))
                .during_with(msg!("open log #"), utf8(path.to_bytes()))?;
            rustix::fd::IntoRawFd::into_raw_fd(file)
        }
        None => -1,
    };
    PLACES.set(Places { log, json, verbose });
    Ok(())
}

/// The line of a failed call, the only one that it writes: `roci: <command> <id>: <text>`.
pub fn error(command: &str, id: &str, text: &str) {
    let mut memory = [0; MESSAGE_BYTES_MAX];
    let mut line = Truncating::new(&mut memory);
    line.str("roci: ").str(command);
    line.str(if command.is_empty() || id.is_empty() { "" } else { " " });
    line.str(id);
    line.str(if command.is_empty() && id.is_empty() { "" } else { ": " });
    line.str(text);
    let text = line.finish();
    to_stderr(text);
    let Places { log, json, .. } = PLACES.get();
    if log < 0 {
        return;
    }
    let now = Rfc3339::now().line();
    let now = now.text().unwrap_or_default();
    let mut memory = [0; 2 * MESSAGE_BYTES_MAX];
    let mut line = Truncating::new(&mut memory);
    if json {
        line.str("{\"level\":\"error\",\"msg\":");
        spec_core::state::write_json_string(&mut line, text);
        line.str(",\"time\":\"").str(now).str("\"}\n");
    } else {
        line.str("time=\"").str(now);
        line.str("\" level=error msg=\"").str(text).str("\"\n");
    }
    // One write, so that lines of concurrent calls do not mix. A log that is full must not hide the error on stderr.
    let _ = rustix::io::write(sys::process::inherited_fd(log), line.finish().as_bytes());
}

/// Something that the user should know and that does not stop the operation. It goes to stderr only: podman parses the log
/// as one JSON object, so a failed call may write one line to it and a successful one none.
///
/// `word` takes the place of the `#` in `text`.
pub fn warn(text: impl Wording, word: &str) {
    say("roci: warning: ", text.text(), word);
}

/// A step that was done, for `-v`.
#[inline(never)]
pub fn step(text: impl Wording, word: &str) {
    if PLACES.get().verbose {
        say("", text.text(), word);
    }
}

#[inline(never)]
fn say(prefix: &str, text: &str, word: &str) {
    let mut memory = [0; MESSAGE_BYTES_MAX];
    let mut line = Truncating::new(&mut memory);
    line.str(prefix).fill(text, &[word]);
    to_stderr(line.finish());
}

fn to_stderr(text: &str) {
    let mut memory = [0; MESSAGE_BYTES_MAX + 1];
    let mut line = Truncating::new(&mut memory);
    line.str(text).str("\n");
    let _ = sys::process::write_stderr(line.finish().as_bytes());
}
