//! A container of the device: what its bundle says, what it is doing, and the processes and descriptors that belong to it.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, OFlags, fcntl_setfl, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use spec_core::device::protocol::NAME_BYTES_MAX;
use spec_core::device::settings::{Log, Ready, Settings};
use sys::OwnedFd;
use sys::fd::{open, pipe, read, socket};
use sys::signal::{SIGKILL, send};

use super::call::{Call, Stdio};
use super::config::{Reader, VALUE_BYTES_MAX};
use super::containers::BUNDLES;
use super::options::Options;
use super::say::say;
use super::service::{Exit, Moment, Service};
use crate::signals;
use crate::text::{Text, number};

/// Where the supervisor keeps what it needs for each container.
pub const DIRECTORY: &CStr = c"/run/roci-boot";
/// The path of a file there, or of a bundle.
pub type Path = Text<128>;

const SIGTERM: u8 = 15;

/// A call of `roci` that leaves a process behind, which becomes a child of this one.
#[derive(Default)]
pub struct Job {
    /// The process of `roci`, or 0.
    pub caller: i32,
    /// What it left, or 0.
    pub process: i32,
    /// How that ended, where it was faster than the caller.
    pub early: Option<Exit>,
}

/// A container.
pub struct Unit {
    /// The name of its bundle, and its id.
    pub name: Text<{ NAME_BYTES_MAX + 1 }>,
    /// What is to be done with it.
    pub service: Service,
    /// The names of those that it comes after, while the order is worked out.
    pub after: Text<VALUE_BYTES_MAX>,
    /// The command of the health check.
    health: Text<VALUE_BYTES_MAX>,
    signal: u8,
    /// Whether its program is joined to the console.
    has_terminal: bool,
    /// Where its output goes.
    pub log: Log,
    /// How far its output went there.
    pub mirrored: u64,
    /// Where its output of this run begins.
    pub run_from: u64,
    /// `roci run`, and the container's process.
    pub run: Job,
    /// `roci exec`, and the health check.
    pub check: Job,
    /// `roci delete`, or 0.
    pub cleaner: i32,
    /// How often it was started.
    pub starts: u32,
    /// Both ends of what its output comes through. Ours of the second is never closed, so that the first has no end.
    pub output: Option<OwnedFd>,
    output_writer: Option<OwnedFd>,
    /// Where it says `READY=1`.
    pub notify: Option<OwnedFd>,
    /// Where it writes a line when it is ready.
    pub ready: Option<OwnedFd>,
}

impl Unit {
    /// A container of which nothing is known but that its place is there.
    pub const fn new() -> Self {
        Self {
            name: Text::new(),
            service: Service::new(Settings::DEFAULT, 0),
            after: Text::new(),
            health: Text::new(),
            signal: SIGTERM,
            has_terminal: false,
            log: Log::Ring,
            mirrored: 0,
            run_from: 0,
            run: Job::new(),
            check: Job::new(),
            cleaner: 0,
            starts: 0,
            output: None,
            output_writer: None,
            notify: None,
            ready: None,
        }
    }

    /// Reads what the bundle says. `false` where it is not to be started, which has been told.
    pub fn load(&mut self, name: &[u8], options: &Options, now: Moment) -> bool {
        self.name.push(name);
        let mut settings = Settings::DEFAULT;
        let result = self.read_config(&mut settings);
        if settings.restart.is_none() && settings.kind == spec_core::device::settings::Kind::Service {
            settings.restart = Some(options.restart);
        } else if settings.restart.is_none() {
            // What has done its work is not done again, whatever is set for others.
            use spec_core::device::settings::Restart;
            settings.restart = Some(match options.restart {
                Restart::No => Restart::No,
                _ => Restart::OnFailure,
            });
        }
        self.log = settings.log.unwrap_or(options.log);
        self.service = Service::new(settings, now);
        let result = result.and_then(|()| {
            let contradict = |_| Wrong::Rule("annotations of io.roci. contradict each other; roci says which");
            settings.check().map_err(contradict)
        });
        let wrong = match result.and_then(|()| self.open().map_err(Wrong::Errno)) {
            Ok(()) => return true,
            Err(Wrong::Rule(rule)) => rule,
            Err(Wrong::Errno(errno)) => crate::message::words(errno),
        };
        say(name, &[b"not started: ", wrong.as_bytes()]);
        false
    }

    fn read_config(&mut self, settings: &mut Settings) -> Result<(), Wrong> {
        let mut path = self.bundle();
        path.push(b"/config.json");
        let file = path.as_c_str().ok_or(Errno::NAMETOOLONG);
        let file = file.and_then(|path| open(path, OFlags::RDONLY)).map_err(Wrong::Errno)?;
        let (mut reader, mut memory) = (Reader::new(), [0; 1024]);
        let mut has_signal = false;
        let result = loop {
            let bytes = match read(file.as_fd(), &mut memory) {
                Ok([]) => break Ok(()),
                Ok(bytes) => bytes,
                Err(errno) => break Err(Wrong::Errno(errno)),
            };
            let mut result = Ok(());
            for byte in bytes {
                let Some(member) = reader.feed(*byte) else { continue };
                let name = core::str::from_utf8(member.name).unwrap_or_default();
                match (member.object, name, member.value) {
                    (b"process", "terminal", Some(value)) => self.has_terminal = value == "true",
                    (b"annotations", "org.opencontainers.image.stopSignal", Some(value)) if !has_signal => {
                        self.signal = signals::parse(value.as_bytes()).unwrap_or(SIGTERM);
                    }
                    (b"annotations", _, None) if spec_core::device::settings::is_known(name) => {
                        result = Err("an annotation of io.roci. is too long");
                    }
                    (b"annotations", _, Some(value)) => match settings.take(name, value) {
                        Some(Ok(())) => match name {
                            "io.roci.after" => self.after.push(value.as_bytes()),
                            "io.roci.health" => self.health.push(value.as_bytes()),
                            "io.roci.stop.signal" => match signals::parse(value.as_bytes()) {
                                Some(signal) => (self.signal, has_signal) = (signal, true),
                                None => result = Err("io.roci.stop.signal: not a signal"),
                            },
                            _ => {}
                        },
                        Some(Err(_)) => result = Err("an annotation of io.roci. has a wrong value; roci says which"),
                        None => {}
                    },
                    _ => {}
                }
            }
            if let Err(rule) = result {
                break Err(Wrong::Rule(rule));
            }
        };
        file.close();
        result
    }

    /// Opens what its output comes through.
    fn open(&mut self) -> Result<(), Errno> {
        let (reader, writer) = pipe()?;
        // Its program expects a write to wait.
        fcntl_setfl(&writer, OFlags::empty())?;
        (self.output, self.output_writer) = (Some(reader), Some(writer));
        if self.service.settings.ready == Ready::Notify {
            let notify = socket(AddressFamily::UNIX, SocketType::DGRAM)?;
            let path = self.file(b".notify");
            sys::socket::bind(notify.as_fd(), path.as_c_str().ok_or(Errno::NAMETOOLONG)?)?;
            fcntl_setfl(&notify, OFlags::NONBLOCK)?;
            self.notify = Some(notify);
        }
        Ok(())
    }

    /// The path of its file in the supervisor's directory.
    fn file(&self, suffix: &[u8]) -> Path {
        let mut path = Path::new();
        for part in [DIRECTORY.to_bytes(), b"/", self.name.as_bytes(), suffix] {
            path.push(part);
        }
        path
    }

    fn bundle(&self) -> Path {
        let mut path = Path::new();
        for part in [BUNDLES.to_bytes(), b"/", self.name.as_bytes()] {
            path.push(part);
        }
        path
    }

    /// Calls `roci run`. With a terminal it stays, and joins the console to it.
    pub fn start(&mut self) -> Result<(), Errno> {
        self.starts = self.starts.wrapping_add(1);
        self.close_ready();
        let (bundle, pid_file, notify) = (self.bundle(), self.file(b".pid"), self.file(b".notify"));
        let name = self.name.as_c_str().unwrap_or_default();
        let (bundle, pid_file) = (
            bundle.as_c_str().unwrap_or_default(),
            pid_file.as_c_str().unwrap_or_default(),
        );
        let mut call = Call::new(c"run");
        call.word(c"--bundle").word(bundle);
        if self.has_terminal {
            call.stdio = Stdio::Console;
        } else {
            let _ = unlinkat(CWD, pid_file, AtFlags::empty());
            call.word(c"--detach").word(c"--pid-file").word(pid_file);
            call.stdio = Stdio::Output(self.output_writer.as_ref());
        }
        let (mut new_ready, mut writer) = (None, None);
        if self.service.settings.ready == Ready::Fd {
            let (reader, other) = pipe()?;
            fcntl_setfl(&other, OFlags::empty())?;
            (new_ready, writer) = (Some(reader), Some(other));
            call.word(c"--preserve-fds").word(c"1");
        }
        if self.notify.is_some() {
            call.notify = notify.as_c_str();
        }
        call.word(c"--").word(name);
        let result = call.start(writer.as_ref());
        writer.into_iter().for_each(OwnedFd::close);
        self.ready = new_ready;
        self.run = Job {
            caller: result?,
            ..Job::new()
        };
        if self.has_terminal {
            self.run.process = self.run.caller;
        }
        Ok(())
    }

    /// Whether the process that is told to stop is `roci run` itself.
    pub fn is_in_foreground(&self) -> bool {
        self.has_terminal
    }

    /// Calls `roci exec` with the health check.
    pub fn start_check(&mut self) -> Result<(), Errno> {
        let pid_file = self.file(b".check");
        let pid_file = pid_file.as_c_str().unwrap_or_default();
        let _ = unlinkat(CWD, pid_file, AtFlags::empty());
        let mut call = Call::new(c"exec");
        call.word(c"--detach").word(c"--pid-file").word(pid_file);
        call.word(c"--").word(self.name.as_c_str().unwrap_or_default());
        call.stdio = Stdio::Output(self.output_writer.as_ref());
        // Each word becomes one with a NUL behind it.
        let mut words = [0; VALUE_BYTES_MAX];
        sys::copy(&mut words, self.health.as_bytes());
        for byte in &mut words {
            if *byte == b' ' {
                *byte = 0;
            }
        }
        for word in words.split_inclusive(|byte| *byte == 0) {
            if let Ok(word) = CStr::from_bytes_with_nul(word)
                && !word.is_empty()
            {
                call.word(word);
            }
        }
        self.check = Job {
            caller: call.start(None)?,
            ..Job::new()
        };
        Ok(())
    }

    /// Calls `roci delete`.
    pub fn start_cleaning(&mut self) -> Result<(), Errno> {
        self.close_ready();
        let mut call = Call::new(c"delete");
        call.word(c"--force").word(c"--");
        call.word(self.name.as_c_str().unwrap_or_default());
        call.stdio = Stdio::Output(self.output_writer.as_ref());
        self.cleaner = call.start(None)?;
        Ok(())
    }

    /// No line of readiness is awaited any more.
    pub fn close_ready(&mut self) {
        self.ready.take().into_iter().for_each(OwnedFd::close);
    }

    /// Sends the signal that stops it.
    pub fn stop(&self) {
        signal(self.run.process, self.signal);
    }

    /// Ends what runs of it.
    pub fn kill(&self) {
        signal(self.run.process, SIGKILL);
        signal(self.run.caller, SIGKILL);
    }

    /// Ends the health check.
    pub fn kill_check(&self) {
        signal(self.check.process, SIGKILL);
        signal(self.check.caller, SIGKILL);
    }

    /// The process that `roci run` has left, or that of the health check: 0 where there is none.
    pub fn left_process(&self, is_check: bool) -> i32 {
        let path = self.file(if is_check { b".check" } else { b".pid" });
        let mut memory = [0; 16];
        let Ok(file) = open(path.as_c_str().unwrap_or_default(), OFlags::RDONLY) else {
            return 0;
        };
        let text = read(file.as_fd(), &mut memory).map_or(&b""[..], |text| text);
        let process = number(text.trim_ascii(), i32::MAX as u32);
        file.close();
        process.unwrap_or(0) as i32
    }

    /// Whether the kernel has ended a process of the container for want of memory. It has to be asked before the container is
    /// deleted.
    pub fn was_out_of_memory(&self) -> bool {
        super::memory::has_killed(self.name.as_bytes())
    }
}

impl Job {
    /// No call.
    pub const fn new() -> Self {
        Self {
            caller: 0,
            process: 0,
            early: None,
        }
    }
}

/// Sends a signal to a child that was not reaped yet, so that its number is its own.
fn signal(process: i32, signal: u8) {
    if process > 0 {
        let _ = send(process, signal);
    }
}

/// Why a bundle is not used.
enum Wrong {
    Rule(&'static str),
    Errno(Errno),
}
