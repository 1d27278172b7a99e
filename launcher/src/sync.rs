//! What roci and the container process say to each other while the container is made.
//!
//! ```text
//!   roci (create, run, exec)                 the process
//!   ------------------------                 -----------
//!   spawn ──────────────────────────────────▶
//!                        ◀── Spawned(pid) ── only where a stage in between made it (see namespaces)
//!   write uid_map, gid_map, join cgroups
//!   ────────────────────────────────── Go ─▶ only with a new user namespace
//!                        ◀─── Network + fd ─ only where its network namespace gets devices
//!   make or move them
//!   ────────────────────────────────── Go ─▶
//!                        ◀──────── Overlay ─ only where the root file system is another one than was asked for
//!   note it
//!   ────────────────────────────────── Go ─▶
//!                        ◀────────── Hooks ─ only where prestart or createRuntime hooks exist; mounts are done
//!   run the hooks
//!   ────────────────────────────────── Go ─▶
//!                        ◀─────── Listener ─ only where the seccomp profile notifies
//!   take it, send it on
//!   ────────────────────────────────── Go ─▶
//!                        ◀──── Master + fd ─ only for a terminal that roci itself relays
//!                        ◀────────── Ready ─ all but the program's start is done
//!   write state.json, pid file
//!   ────────────────────────────────── Go ─▶ waits on exec.fifo (create) or goes on (run, exec)
//! ```
//!
//! In place of any message the process may send `Failed` with the text of its error and exit. When roci dies, the process
//! reads the end of the socket and exits too, so a `kill -9` of roci leaves no half-made container process behind.
//! Messages are datagrams: none is ever half.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketType, send, shutdown};
use spec_core::limits::MESSAGE_BYTES_MAX;
use sys::OwnedFd;
use sys::Register;
use sys::process::{exit, inherited_fd};

use crate::container::write_all;
use crate::error::{Error, Failure, set_ending};
use crate::msg;
use crate::text::utf8;
use crate::undo;

/// One message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// From the stage in between: the container process has this pid.
    Spawned = b'P',
    /// The mounts are done; hooks of the runtime's namespaces are due.
    Hooks = b'H',
    /// The process has a seccomp listener, under the number that follows.
    Listener = b'L',
    /// A netlink socket of the network namespace comes along: devices are to be made there, or moved.
    Network = b'N',
    /// The overlay that was asked for could not be had; what it is instead follows.
    Overlay = b'O',
    /// The master of the terminal comes along.
    Master = b'M',
    /// Everything that can fail before the program starts has been done.
    Ready = b'R',
    /// It failed; the text follows.
    Failed = b'E',
    /// Go on.
    Go = b'G',
}

/// A message that was received.
pub struct Message<'a> {
    /// What it says.
    pub kind: Kind,
    /// What follows.
    pub payload: &'a [u8],
    /// A descriptor that came along.
    pub fd: Option<OwnedFd>,
}

impl Message<'_> {
    /// The error that the process sent becomes this one's.
    pub fn error(&self) -> Error {
        Error::said(utf8(self.payload))
    }
}

/// Where this process, which is not the one that was called, tells that it failed.
#[derive(Clone, Copy)]
struct Line {
    fd: i32,
    /// Whether `start` listens at the other end, and not the roci that made this process.
    is_gate: bool,
}

static LINE: Register<Line> = Register::new(Line { fd: -1, is_gate: false });

/// From here on this process's failure goes over `socket`. What the process that made it has to undo is not its own.
#[inline(never)]
pub fn tell_over(socket: &Socket) {
    undo::forget_all();
    LINE.set(Line {
        fd: socket.fd.as_raw_fd(),
        is_gate: false,
    });
    set_ending(tell);
}

/// From here on it goes through the gate.
pub fn tell_through(gate: BorrowedFd<'_>) {
    LINE.set(Line {
        fd: gate.as_raw_fd(),
        is_gate: true,
    });
}

fn tell(failure: Failure<'_>) -> ! {
    let (Failure::Operation(text) | Failure::Usage(text)) = failure;
    let Line { fd, is_gate } = LINE.get();
    let fd = inherited_fd(fd);
    if is_gate {
        let _ = write_all(fd, text.as_bytes());
    } else {
        let mut memory = [0; MESSAGE_BYTES];
        let _ = rustix::io::write(fd, datagram(Kind::Failed, text.as_bytes(), &mut memory));
    }
    exit(1)
}

fn datagram<'m>(kind: Kind, payload: &[u8], memory: &'m mut [u8; MESSAGE_BYTES]) -> &'m [u8] {
    let [first, rest @ ..] = memory;
    *first = kind as u8;
    sys::copy(rest, payload);
    memory.get(..=payload.len()).unwrap_or(memory)
}

/// Bytes of the longest message.
pub const MESSAGE_BYTES: usize = MESSAGE_BYTES_MAX + 1;

/// One end.
pub struct Socket {
    fd: OwnedFd,
    /// The process's end uses `read` and `write` alone, which a seccomp profile allows if it allows anything. That a write to
    /// a roci that has died ends this process with SIGPIPE is what is wanted.
    is_plain: bool,
}

/// Makes both ends: roci's, and the process's.
pub fn pair() -> Result<(Socket, Socket), Errno> {
    let (a, b) = sys::fd::socket_pair(SocketType::SEQPACKET)?;
    Ok((Socket { fd: a, is_plain: false }, Socket { fd: b, is_plain: true }))
}

impl Socket {
    /// Sends `kind` and `payload`.
    pub fn send(&self, kind: Kind, payload: &[u8]) -> Result<(), Errno> {
        let mut memory = [0; MESSAGE_BYTES];
        let bytes = datagram(kind, payload, &mut memory);
        if self.is_plain {
            return rustix::io::write(&self.fd, bytes).map(drop);
        }
        match send(&self.fd, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::PIPE) => {
                // It has ended, and may have said why. Nothing more is waited for.
                let _ = shutdown(&self.fd, Shutdown::Both);
                let mut memory = [0; MESSAGE_BYTES];
                match self.receive(&mut memory) {
                    Ok(Some(message)) if message.kind == Kind::Failed => message.error().never(),
                    _ => Err(Errno::PIPE),
                }
            }
            sent => sent.map(drop),
        }
    }

    /// Sends `kind` and a descriptor.
    pub fn send_fd(&self, kind: Kind, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        send_fd(self.fd.as_fd(), &[kind as u8], fd)
    }

    /// Waits for a message; `None` where the other side has gone.
    pub fn receive<'a>(&self, memory: &'a mut [u8; MESSAGE_BYTES]) -> Result<Option<Message<'a>>, Errno> {
        let (n, fd) = loop {
            match sys::socket::receive(self.fd.as_fd(), memory) {
                Ok(received) => break received,
                // What it sent last is still there where it ended without reading all of ours (once, instead of the end).
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(errno) => return Err(errno),
            }
        };
        let Some((&first, payload)) = memory.get(..n).unwrap_or_default().split_first() else {
            return Ok(None);
        };
        let kinds = [
            Kind::Spawned,
            Kind::Hooks,
            Kind::Listener,
            Kind::Network,
            Kind::Overlay,
            Kind::Master,
            Kind::Ready,
            Kind::Failed,
            Kind::Go,
        ];
        let kind = kinds
            .into_iter()
            .find(|kind| *kind as u8 == first)
            .ok_or(Errno::BADMSG)?;
        Ok(Some(Message { kind, payload, fd }))
    }

    /// Waits for `Go`. Where roci has died instead, so does this process: nobody would ever start, wait for or delete what it
    /// is to become.
    pub fn wait_for_go(&self) {
        let mut byte = [0; 1];
        loop {
            match rustix::io::read(&self.fd, &mut byte) {
                Err(Errno::INTR) => {}
                Ok(1) if byte[0] == Kind::Go as u8 => return,
                Ok(_) | Err(Errno::CONNRESET) => exit(1),
                Err(errno) => Error::new(msg!("wait for roci"), errno).never(),
            }
        }
    }

    /// The descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Closes it, which the other side hears.
    pub fn close(self) {
        self.fd.close();
    }
}

/// Sends `bytes` and exactly one descriptor, as the receivers of console sockets expect.
pub fn send_fd(socket: BorrowedFd<'_>, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
    sys::socket::send_with_fd(socket, &[bytes, b"", b""], fd)
}
