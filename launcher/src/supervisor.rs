//! What `roci-boot`, which supervises the containers of a device, is asked for: `logs`, `stop`, `restart`, `poweroff`,
//! `reboot`, and what `start` and `list` cannot know themselves. spec-core has what is said.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use spec_core::device::protocol::{
    ANSWER_BYTES, Answer, ENDS, NAME_BYTES_MAX, NO_END, Operation, PHASES, Row, SOCKET, name, read_answer, text_of,
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

/// A line to the supervisor.
struct Supervisor(OwnedFd);

impl Supervisor {
    /// `None` where there is none.
    fn connect() -> core::result::Result<Option<Self>, Errno> {
        let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET)?;
        let path = CStr::from_bytes_until_nul(SOCKET.as_bytes()).unwrap_or_default();
        match connect(socket.as_fd(), path) {
            Ok(()) => Ok(Some(Self(socket))),
            Err(Errno::NOENT | Errno::CONNREFUSED) => {
                socket.close();
                Ok(None)
            }
            Err(errno) => Err(errno),
        }
    }

    fn ask(&self, operation: Operation, name: &[u8; NAME_BYTES_MAX]) -> Result<()> {
        rustix::io::write(&self.0, &write_request(operation, name)).during(msg!("ask the supervisor"))?;
        Ok(())
    }

    /// The next answer; an error where it is a refusal, or none.
    fn answer<'m>(&self, memory: &'m mut [u8; ANSWER_BYTES]) -> Result<Answer<'m>> {
        let bytes = read(self.0.as_fd(), memory).during(msg!("hear from the supervisor"))?;
        match read_answer(bytes) {
            Some(Answer::Refused(why)) => Err(Error::said(utf8(why))),
            Some(answer) => Ok(answer),
            None => Err(Error::said(msg!("the supervisor has ended"))),
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
    match Supervisor::connect().during(msg!("connect to roci-boot"))? {
        Some(supervisor) => carry_out(&supervisor, operation, name_of(invocation)),
        None => Err(Error::said(msg!("roci-boot does not run here"))),
    }
}

/// Starts the container, where it is one that is supervised.
pub fn start(invocation: &Invocation) -> Result<bool> {
    let name = name_of(invocation);
    let mut is_supervised = false;
    for_each(invocation, &mut |row| is_supervised |= row.name == name)?;
    if is_supervised && let Ok(Some(supervisor)) = Supervisor::connect() {
        carry_out(&supervisor, Operation::Start, name)?;
    }
    Ok(is_supervised)
}

fn name_of(invocation: &Invocation) -> [u8; NAME_BYTES_MAX] {
    let word = invocation.positional(0).map_or(&b""[..], CStr::to_bytes);
    // Whoever is not known by this name is not known by a longer one.
    name(utf8(word)).unwrap_or([b'?'; NAME_BYTES_MAX])
}

fn carry_out(supervisor: &Supervisor, operation: Operation, name: [u8; NAME_BYTES_MAX]) -> Result<()> {
    supervisor.ask(operation, &name)?;
    let mut memory = [0; ANSWER_BYTES];
    loop {
        match supervisor.answer(&mut memory)? {
            Answer::Output(mut text) => {
                while !text.is_empty() {
                    match sys::process::write_stdout(text) {
                        Ok(n) => text = text.get(n..).unwrap_or_default(),
                        Err(Errno::INTR) => {}
                        // The reader has seen enough.
                        Err(Errno::PIPE) => return Ok(()),
                        Err(errno) => return Err(Error::new(msg!("write output"), errno)),
                    }
                }
            }
            _ => return Ok(()),
        }
    }
}

/// Calls `each` with every supervised container; with none where there is no supervisor, or the caller's containers are not
/// the device's.
pub fn for_each(invocation: &Invocation, each: &mut dyn FnMut(&Row)) -> Result<()> {
    if invocation.has(Opt::Root) {
        return Ok(());
    }
    let Ok(Some(supervisor)) = Supervisor::connect() else {
        return Ok(());
    };
    supervisor.ask(Operation::List, &[0; NAME_BYTES_MAX])?;
    let mut memory = [0; ANSWER_BYTES];
    while let Answer::Row(row) = supervisor.answer(&mut memory)? {
        each(&row);
    }
    Ok(())
}

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
