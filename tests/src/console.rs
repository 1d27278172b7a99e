//! Both ends of a terminal: the socket that a client gives to the runtime, and a terminal for the runtime to run in.

use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::termios::Winsize;
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The client's end of `--console-socket`.
pub struct ConsoleSocket {
    listener: UnixListener,
    /// Where the runtime has to connect to.
    pub path: PathBuf,
}

impl ConsoleSocket {
    /// Listens on `path`, which may be longer than a socket address can be.
    pub fn listen(path: &Path) -> Self {
        let directory = File::open(path.parent().expect("a directory")).expect("the directory");
        let name = path.file_name().expect("a name").to_string_lossy();
        let short = format!("/proc/self/fd/{}/{name}", std::os::fd::AsRawFd::as_raw_fd(&directory));
        let listener = UnixListener::bind(short).expect("the socket");
        Self {
            listener,
            path: path.to_owned(),
        }
    }

    /// The path as an argument.
    pub fn arg(&self) -> &str {
        self.path.to_str().expect("a UTF-8 path")
    }

    /// Receives the message of the runtime, which must hold exactly one descriptor; the payload is its name.
    #[track_caller]
    pub fn receive(&self) -> (Terminal, String) {
        self.listener.set_nonblocking(true).expect("non-blocking");
        let mut connection = None;
        crate::eventually("the runtime connects to the console socket", || {
            connection = self.listener.accept().ok();
            connection.is_some()
        });
        let (stream, _) = connection.expect("a connection");
        stream.set_nonblocking(false).expect("blocking");
        stream
            .set_read_timeout(Some(crate::patience(10)))
            .expect("a time limit");
        // Room for more than the one descriptor that is allowed, so that a second one is seen.
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut payload = [0; 4096];
        let received = rustix::net::recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut payload)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .expect("a message");
        let mut fds: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        assert_eq!(fds.len(), 1, "exactly one descriptor belongs into the message");
        assert!(received.bytes > 0, "the message needs a payload to carry a descriptor");
        assert!(received.bytes < 4096, "go-runc reads a name of at most 4096 bytes");
        let mut rest = Vec::new();
        let _ = (&stream).read_to_end(&mut rest);
        assert!(rest.is_empty(), "one message, and nothing after it");
        let name = String::from_utf8_lossy(&payload[..received.bytes]).into_owned();
        (Terminal::from_master(fds.remove(0)), name)
    }
}

/// The master of a terminal.
pub struct Terminal {
    /// The master.
    pub master: File,
    seen: String,
}

impl Terminal {
    fn from_master(fd: OwnedFd) -> Self {
        rustix::fs::fcntl_setfl(&fd, OFlags::RDWR | OFlags::NONBLOCK).expect("non-blocking");
        Self {
            master: File::from(fd),
            seen: String::new(),
        }
    }

    /// A new terminal, and its slave for somebody's standard streams.
    pub fn open() -> (Self, File) {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(name, flags, Mode::empty()).expect("its slave");
        (Self::from_master(master), File::from(slave))
    }

    /// Types.
    pub fn write(&self, text: &str) {
        (&self.master)
            .write_all(text.as_bytes())
            .expect("write to the terminal");
    }

    /// Sets the size in characters.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.master, size).expect("resize");
    }

    /// Rows and columns.
    pub fn size(&self) -> (u16, u16) {
        let size = rustix::termios::tcgetwinsize(&self.master).expect("the size");
        (size.ws_row, size.ws_col)
    }

    /// Whether the line discipline is in a canonical, echoing mode.
    pub fn is_cooked(&self) -> bool {
        use rustix::termios::LocalModes;
        let modes = rustix::termios::tcgetattr(self.master.as_fd())
            .expect("the modes")
            .local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Everything that was shown so far.
    pub fn seen(&mut self) -> &str {
        let mut buffer = [0; 4096];
        // An error is either "nothing now" or the end: the last slave is closed.
        while let Ok(count @ 1..) = self.master.read(&mut buffer) {
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        &self.seen
    }

    /// Waits until `text` was shown.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + crate::patience(10);
        while !self.seen().contains(text) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {text:?} on the terminal, got {:?}",
                self.seen
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
