//! What `roci-boot`, which supervises the containers of a device, is asked for: `logs`, `stop`, `restart`, `poweroff`,
//! `reboot`, and what `start` and `list` cannot know themselves. spec-core has what is said.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use spec_core::device::protocol::{
    ANSWER_BYTES, Answer, ENDS, NAME_BYTES_MAX, NO_END, Operation, PHASES, SOCKET, name, read_answer, text_of,
    write_request,
};
use sys::OwnedFd;
use sys::fd::{read, socket};
use sys::socket::connect;

use crate::cli::{Command, Invocation, Opt};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::output::Output;
use crate::text::{Digits, Line, Pieces, cut, utf8};

/// A line to the supervisor, which was asked for this. What says that there is none are `ENOENT` and `ECONNREFUSED`.
#[inline(never)]
fn asked(operation: Operation, name: &[u8; NAME_BYTES_MAX]) -> core::result::Result<OwnedFd, Errno> {
    let line = socket(AddressFamily::UNIX, SocketType::SEQPACKET)?;
    let path = CStr::from_bytes_until_nul(SOCKET.as_bytes()).unwrap_or_default();
    connect(line.as_fd(), path)?;
    rustix::io::write(&line, &write_request(operation, name))?;
    Ok(line)
}

/// Hears the answers, of which a refusal is an error.
#[inline(never)]
fn hear(line: &OwnedFd, each: &mut dyn FnMut(&Answer<'_>)) -> Result<()> {
    let mut memory = [0; ANSWER_BYTES];
    loop {
        let bytes = read(line.as_fd(), &mut memory).during(msg!("hear from roci-boot"))?;
        match read_answer(bytes) {
            Some(Answer::Refused(why)) => return Err(Error::said(utf8(why))),
            Some(Answer::Done) => return Ok(()),
            Some(answer) => each(&answer),
            None => return Err(Error::said(msg!("roci-boot has ended"))),
        }
    }
}

/// `logs`, `stop`, `restart`, `poweroff`, `reboot`.
pub fn ask(invocation: &Invocation) -> Result<()> {
    let operation = match invocation.command {
        Command::Logs if invocation.has(Opt::Follow) => Operation::Follow,
        Command::Logs => Operation::Logs,
        Command::Stop => Operation::Stop,
        Command::Restart => Operation::Restart,
        Command::Poweroff => Operation::PowerOff,
        _ => Operation::Reboot,
    };
    carry_out(operation, &name_of(invocation))
}

/// Starts the container, where it is one that is supervised.
pub fn start(invocation: &Invocation) -> Result<bool> {
    let name = name_of(invocation);
    let mut is_supervised = false;
    for_each(invocation, &mut |row| is_supervised |= row.name == name)?;
    if is_supervised {
        carry_out(Operation::Start, &name)?;
    }
    Ok(is_supervised)
}

fn name_of(invocation: &Invocation) -> [u8; NAME_BYTES_MAX] {
    let word = invocation.positional(0).map_or(&b""[..], CStr::to_bytes);
    // Whoever is not known by this name is not known by a longer one.
    name(utf8(word)).unwrap_or([b'?'; NAME_BYTES_MAX])
}

fn carry_out(operation: Operation, name: &[u8; NAME_BYTES_MAX]) -> Result<()> {
    let line = match asked(operation, name) {
        Err(Errno::NOENT | Errno::CONNREFUSED) => return Err(Error::said(msg!("roci-boot does not run here"))),
        line => line.during(msg!("connect to roci-boot"))?,
    };
    hear(&line, &mut |answer| {
        if let Answer::Output(text) = answer {
            let mut text = *text;
            while !text.is_empty() {
                match sys::process::write_stdout(text) {
                    Ok(n) => text = text.get(n..).unwrap_or_default(),
                    Err(Errno::INTR) => {}
                    // The reader has seen enough, or there is none.
                    Err(_) => sys::process::exit(0),
                }
            }
        }
    })
}

/// Calls `each` with every supervised container; with none where there is no supervisor, or the caller's containers are not
/// the device's.
pub fn for_each(invocation: &Invocation, each: &mut dyn FnMut(&Row)) -> Result<()> {
    if invocation.value(Opt::Root).is_some() {
        return Ok(());
    }
    let Ok(line) = asked(Operation::List, &[0; NAME_BYTES_MAX]) else {
        return Ok(());
    };
    hear(&line, &mut |answer| {
        if let Answer::Row(row) = answer {
            each(row);
        }
    })
}

/// A container that is supervised.
pub use spec_core::device::protocol::Row;

/// The columns of `list` that a supervised container has beyond others.
pub const COLUMNS: [&str; 4] = ["SUPERVISED", "RESTARTS", "LAST", "UPTIME"];

/// Writes them.
pub fn write_columns(out: &mut Output, row: &Row) {
    let (mut last, mut uptime) = (Line::new(), Line::new());
    let mut end = ENDS.get(row.end.into()).unwrap_or("?");
    last.str(cut(&mut end, b'_'));
    if row.end < NO_END {
        last.str(" ").number(row.code.into());
    } else if !end.is_empty() {
        last.str(" ").str(end);
    }
    if row.uptime > 0 {
        uptime.number(row.uptime / 1000).str("s");
    }
    let phase = PHASES.get(row.phase.into()).unwrap_or("?");
    let restarts = Digits::of(row.restarts.into());
    for text in [
        phase,
        restarts.as_str(),
        last.text().unwrap_or_default(),
        uptime.text().unwrap_or_default(),
    ] {
        out.column(text, 10);
    }
}

/// The name in a row.
pub fn row_name(row: &Row) -> &str {
    text_of(&row.name)
}

/// What is listed now is not to be listed again: it loses its name, by which it would be.
pub fn take(row: &mut Row) -> Row {
    let listed = *row;
    row.name = [0; NAME_BYTES_MAX];
    listed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::understood;

    #[test]
    fn columns_of_who_is_supervised() {
        let row = Row {
            phase: 2,
            end: NO_END,
            code: 0,
            restarts: 0,
            pid: 7,
            uptime: 0,
            name: name("web").expect("a name"),
        };
        let columns = |row| {
            let mut out = Output::new();
            write_columns(&mut out, &row);
            std::string::String::from(out.collected())
        };
        for (row, expected) in [
            (row, "running    0          -                     "),
            (
                Row {
                    phase: 5,
                    end: 0,
                    code: 3,
                    restarts: 12,
                    ..row
                },
                "backoff    12         exit 3                ",
            ),
            (
                Row {
                    phase: 3,
                    end: 1,
                    code: 9,
                    uptime: 61_999,
                    ..row
                },
                "ready      0          signal 9   61s        ",
            ),
            // What is told in two words is told without a number.
            (
                Row {
                    phase: 7,
                    end: 5,
                    code: 9,
                    uptime: 1,
                    ..row
                },
                "failed     0          not ready  0s         ",
            ),
            (Row { end: 3, ..row }, "running    0          oom                   "),
            (
                Row {
                    phase: 99,
                    end: 99,
                    ..row
                },
                "?          0          ?                     ",
            ),
        ] {
            assert_eq!(columns(row), expected);
        }
        assert_eq!(row_name(&row), "web");
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn names_that_are_too_long_are_nobodys() {
        let of = |id: &str| name_of(&understood(&std::format!("roci stop {id}")));
        assert_eq!(Some(of("web")), name("web"));
        let longest = "a".repeat(NAME_BYTES_MAX);
        assert_eq!(Some(of(&longest)), name(&longest));
        // It cannot be the name of a container.
        assert_eq!(of(&std::format!("{longest}a")), [b'?'; NAME_BYTES_MAX]);
    }
}
