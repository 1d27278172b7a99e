//! Terminals: made in the container, handed out, relayed.

use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, Gid, OFlags, Uid, fchown};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::pty::unlockpt;
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use spec_core::process::ConsoleSize;
use sys::fd::{is_device, open, open_terminal_of};
use sys::file::replace_standard_stream;
use sys::process::inherited_fd;
use sys::terminal::Modes;
use sys::{FileSystem, OwnedFd};

use crate::error::{During, Error, Result};
use crate::mounts::bind_fd;
use crate::msg;
use crate::path::{Path, split_last, without_slashes};
use crate::root::{Links, Root, make_target};
use crate::sync::{Kind, Socket, send_fd};
use crate::text::utf8;

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS_MAGIC: u32 = 0x1cd1;

/// The two ends of a terminal.
pub struct Console {
    /// What the user's side holds.
    pub master: OwnedFd,
    slave: OwnedFd,
}

impl Console {
    /// Makes a terminal from the container's own devpts, before its root is entered.
    ///
    /// Everything is checked on descriptors: that ptmx is the one of a devpts, and that the other end is what the kernel
    /// says belongs to it, not what lies at some path (CVE-2025-52565).
    pub fn make(root: &Root, size: Option<ConsoleSize>) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = root
            .open(c"/dev/pts/ptmx", flags, Links::Refuse)
            .during(msg!("open /dev/pts/ptmx"))?;
        let is_ptmx = is_device(master.as_fd(), FileType::CharacterDevice, 5, 2).during(msg!("stat /dev/pts/ptmx"))?;
        let magic = FileSystem::of(master.as_fd()).during(msg!("stat /dev/pts"))?.magic;
        if !is_ptmx || magic != DEVPTS_MAGIC {
            return Err(Error::said(msg!("/dev/pts/ptmx is not a terminal multiplexer")));
        }
        unlockpt(&master).during(msg!("unlock terminal"))?;
        let slave = open_terminal_of(master.as_fd()).during(msg!("open terminal"))?;
        if let Some(size) = size {
            set_size(master.as_fd(), size.height, size.width).during(msg!("set terminal size"))?;
        }
        Ok(Self { master, slave })
    }

    /// The same in the root that this process is in already (`exec`).
    pub fn make_here(size: Option<ConsoleSize>) -> Result<Self> {
        let slash = open(c"/", OFlags::PATH | OFlags::DIRECTORY);
        Self::make(&Root::new(slash.during(msg!("open /"))?), size)
    }

    /// Puts the terminal at `/dev/console`.
    pub fn mount(&self, root: &Root) -> Result<()> {
        let dev = root
            .make_directories(c"/dev", Links::Refuse)
            .during(msg!("open /dev"))?;
        let target = make_target(dev.as_fd(), c"console").during(msg!("make /dev/console"))?;
        bind_fd(self.slave.as_fd(), target.as_fd()).during(msg!("mount /dev/console"))
    }

    /// Makes it the controlling terminal and the standard streams of this process, a session leader, and gives it to `uid`.
    pub fn take(&self, uid: u32) -> Result<()> {
        // The group stays what devpts gave it (tty).
        match fchown(&self.slave, Some(Uid::from_raw(uid)), None::<Gid>) {
            // An id without a mapping: the terminal works all the same.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(errno) => return Err(Error::new(msg!("chown terminal"), errno)),
        }
        rustix::process::ioctl_tiocsctty(&self.slave).during(msg!("set controlling terminal"))?;
        for stream in 0..3 {
            replace_standard_stream(self.slave.as_fd(), stream).during(msg!("set standard streams"))?;
        }
        Ok(())
    }

    /// Sends the master to who asked for it, with the name that receivers expect beside it; without a console socket that is
    /// the roci at the other end of `socket`.
    pub fn hand_out(&self, console_socket: Option<&OwnedFd>, socket: &Socket) -> Result<()> {
        match console_socket {
            Some(console_socket) => send_fd(console_socket.as_fd(), b"/dev/ptmx", self.master.as_fd()),
            None => socket.send_fd(Kind::Master, self.master.as_fd()),
        }
        .during(msg!("send terminal"))
    }
}

fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> core::result::Result<(), Errno> {
    tcsetwinsize(
        terminal,
        Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )
}

/// Connects to a socket that waits for a descriptor (`--console-socket`, `--pidfd-socket`).
pub fn connect_socket(path: &CStr) -> Result<OwnedFd> {
    let socket = sys::fd::socket(AddressFamily::UNIX, SocketType::STREAM).during(msg!("make socket"))?;
    let text = utf8(path.to_bytes());
    let connect_to = |name: &CStr| sys::socket::connect(socket.as_fd(), name);
    if path.count_bytes() < ADDRESS_BYTES {
        connect_to(path).during_with(msg!("connect to #"), text)?;
        return Ok(socket);
    }
    // A longer path is reached through a descriptor of its directory.
    let (directory, name) = split_last(path.to_bytes());
    let parent = Path::new(without_slashes(directory));
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let directory = open(parent.as_c_str(), flags).during_with(msg!("open #"), parent.as_str())?;
    let directory_path = crate::mounts::fd_path(directory.as_fd());
    let short = Path::of(&[directory_path.as_bytes(), b"/", name]);
    connect_to(short.as_c_str()).during_with(msg!("connect to #"), text)?;
    Ok(socket)
}

/// Bytes of a socket's path with its NUL: `sun_path` of `struct sockaddr_un`.
const ADDRESS_BYTES: usize = 108;

/// The caller's terminal in raw mode, and as it was again at the end.
pub struct RawMode {
    before: Option<Modes>,
}

impl RawMode {
    /// Makes standard input raw, where it is a terminal.
    pub fn enter() -> Self {
        let stdin = inherited_fd(0);
        let before = Modes::of(stdin).ok();
        if let Some(before) = &before {
            let _ = before.raw().set(stdin);
        }
        Self { before }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = before.set_after_output(inherited_fd(0));
        }
    }
}

/// Gives the container's terminal the size of the caller's.
pub fn copy_size(master: BorrowedFd<'_>) {
    if let Ok(size) = tcgetwinsize(inherited_fd(0)) {
        let _ = tcsetwinsize(master, size);
    }
}

/// Stops the container's terminal from turning a newline into carriage return and newline, which the caller's terminal
/// does already.
pub fn clear_output_processing(master: BorrowedFd<'_>) {
    if let Ok(modes) = Modes::of(master) {
        let _ = modes.without_newline_processing().set(master);
    }
}

/// A chunk on its way.
struct Pipe {
    memory: [u8; 4096],
    start: usize,
    end: usize,
    open: bool,
}

impl Pipe {
    const fn new() -> Self {
        Self {
            memory: [0; 4096],
            start: 0,
            end: 0,
            open: true,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn fill(&mut self, from: BorrowedFd<'_>) {
        match rustix::io::read(from, &mut self.memory) {
            Ok(0) => self.open = false,
            Ok(n) => (self.start, self.end) = (0, n),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO on the master: the last process that had the terminal is gone.
            Err(_) => self.open = false,
        }
    }

    fn drain(&mut self, to: BorrowedFd<'_>) {
        match rustix::io::write(to, self.memory.get(self.start..self.end).unwrap_or_default()) {
            Ok(n) => self.start += n,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                self.start = self.end;
                self.open = false;
            }
        }
    }
}

/// Carries bytes between the caller's standard streams and the container's terminal, until the terminal is closed or
/// `on_signal` (called when `signals` is readable) says that it is over.
pub fn relay(master: BorrowedFd<'_>, signals: BorrowedFd<'_>, mut on_signal: impl FnMut() -> bool) {
    let (stdin, stdout) = (inherited_fd(0), inherited_fd(1));
    let mut input = Pipe::new();
    let mut output = Pipe::new();
    let mut over = false;
    loop {
        // Only who has something to do is polled: a closed stream that is not listed cannot make us spin.
        let mut fds = heapless::Vec::<PollFd<'_>, 4>::new();
        let mut watch = |fd, flags: PollFlags| {
            if flags.is_empty() {
                return usize::MAX;
            }
            // Four streams, four places.
            let _ = fds.push(PollFd::from_borrowed_fd(fd, flags));
            fds.len() - 1
        };
        let reads_output = output.open && output.is_empty();
        let to_master = if input.is_empty() {
            PollFlags::empty()
        } else {
            PollFlags::OUT
        };
        let from_master = if reads_output {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let master_at = watch(
            master,
            if output.open {
                from_master | to_master
            } else {
                PollFlags::empty()
            },
        );
        let signals_at = watch(signals, if over { PollFlags::empty() } else { PollFlags::IN });
        let stdin_at = watch(
            stdin,
            if input.open && input.is_empty() && !over {
                PollFlags::IN
            } else {
                PollFlags::empty()
            },
        );
        let stdout_at = watch(
            stdout,
            if output.is_empty() {
                PollFlags::empty()
            } else {
                PollFlags::OUT
            },
        );
        // Once the program has ended, only what is still in the terminal is carried out.
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let timeout = (over && output.is_empty()).then_some(&now);
        match poll(&mut fds, timeout) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(0) => return,
            Ok(_) => {}
        }
        let events = |at: usize| fds.get(at).map_or(PollFlags::empty(), PollFd::revents);
        let (master_events, signal_events) = (events(master_at), events(signals_at));
        let (stdin_events, stdout_events) = (events(stdin_at), events(stdout_at));
        if !signal_events.is_empty() && on_signal() {
            over = true;
        }
        if master_events.contains(PollFlags::OUT) {
            input.drain(master);
        }
        if reads_output && master_events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            output.fill(master);
        }
        if !stdin_events.is_empty() {
            input.fill(stdin);
        }
        if !stdout_events.is_empty() {
            output.drain(stdout);
        }
        if !output.open {
            // Nobody has the terminal any more, so nobody reads what was typed.
            input.open = false;
            input.start = input.end;
            if over && output.is_empty() {
                return;
            }
        }
    }
}
