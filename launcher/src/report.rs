//! The only printer: the error line on stderr and in the log, warnings, and the steps of `-v`.

use core::ffi::CStr;
use core::fmt::{self, Write};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use spec_core::limits::MESSAGE_BYTES_MAX;
use sys::Truncating;

use crate::error::Error;
use crate::text::Pieces;
use crate::time::Rfc3339;

/// Where lines go.
pub struct Reporter {
    log: Option<OwnedFd>,
    json: bool,
    verbose: bool,
}

impl Reporter {
    /// Lines go to stderr and, where a log file is named, into that too. A log that cannot be opened is itself the error.
    pub fn new(log: Option<&CStr>, json: bool, verbose: bool) -> crate::error::Result<Self> {
        use crate::error::During;
        let log = match log {
            // Appended, never truncated: containerd gives one file to all calls for a container and reads it whole.
            Some(path) => Some(
                rustix::fs::open(
                    path,
                    OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o644),
                )
                .during_with(format_args!("open log {}", path.to_str().unwrap_or("?")))?,
            ),
            None => None,
        };
        Ok(Self { log, json, verbose })
    }

    /// Lines go to stderr alone.
    pub const fn plain() -> Self {
        Self {
            log: None,
            json: false,
            verbose: false,
        }
    }

    /// The line of a failed call, the only one that it writes: `roci: <command> <id>: <error>`.
    pub fn error(&self, command: &str, id: &str, error: &Error) {
        let mut memory = [0; MESSAGE_BYTES_MAX];
        let mut line = Truncating::new(&mut memory);
        line.str("roci: ").str(command);
        line.str(if command.is_empty() || id.is_empty() { "" } else { " " });
        line.str(id);
        line.str(if command.is_empty() && id.is_empty() { "" } else { ": " });
        let _ = write!(line, "{error}");
        self.line("error", line.finish());
    }

    /// Something that the user should know and that does not stop the operation. It goes to stderr only: podman parses the
    /// log as one JSON object, so a failed call may write one line to it and a successful one none.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        let mut memory = [0; MESSAGE_BYTES_MAX];
        let mut line = Truncating::new(&mut memory);
        let _ = line.str("roci: warning: ").write_fmt(text);
        to_stderr(line.finish());
    }

    /// A step that was done, for `-v`.
    pub fn step(&self, text: fmt::Arguments<'_>) {
        if self.verbose {
            let mut memory = [0; MESSAGE_BYTES_MAX];
            let mut line = Truncating::new(&mut memory);
            let _ = line.write_fmt(text);
            to_stderr(line.finish());
        }
    }

    fn line(&self, level: &str, text: &str) {
        to_stderr(text);
        let Some(log) = &self.log else { return };
        let mut memory = [0; 2 * MESSAGE_BYTES_MAX];
        let mut line = Truncating::new(&mut memory);
        if self.json {
            line.str("{\"level\":\"").str(level).str("\",\"msg\":");
            let _ = spec_core::state::write_json_string(&mut line, text);
            line.str(",\"time\":\"");
            let _ = Rfc3339::now().write(&mut line);
            line.str("\"}\n");
        } else {
            line.str("time=\"");
            let _ = Rfc3339::now().write(&mut line);
            line.str("\" level=").str(level).str(" msg=\"").str(text).str("\"\n");
        }
        // One write, so that lines of concurrent calls do not mix. A log that is full must not hide the error on stderr.
        let _ = rustix::io::write(log, line.finish().as_bytes());
    }
}

fn to_stderr(text: &str) {
    let mut memory = [0; MESSAGE_BYTES_MAX + 1];
    let mut line = Truncating::new(&mut memory);
    line.str(text).str("\n");
    let _ = sys::process::write_stderr(line.finish().as_bytes());
}
