//! `roci-boot`: the first process of a device that is a kernel and containers. It is `/init` of an initramfs or `/sbin/init`
//! of a root file system.
//!
//! | in this order | from |
//! | --- | --- |
//! | mount what the kernel shows of itself, and memory for what is written | the table in `filesystems.rs` |
//! | leave the ramdisk | `ramdisk.rs` |
//! | take the settings | the kernel's command line and `/etc/roci/device`: `options.rs` |
//! | load modules | `/etc/roci/modules`, a line `FILE [PARAMETER]...` each, a file of `/lib/modules` |
//! | hostname, network, data partition, random numbers, clock, watchdog | the settings |
//! | start the containers and keep them | `/etc/roci/containers/NAME/`, a bundle each, as its annotations say: `service.rs` |
//! | stop them in reverse order, and end the machine | a signal, a request, or that all of them have ended |
//!
//! What fails is told and left: a machine that runs half of what it has is better than one that stands still.
//!
//! What can be decided without asking the kernel is decided in files without system calls, and tested on any machine:
//! `service.rs`, `order.rs`, `options.rs`, `config.rs`, `ring.rs`, the protocol and the annotations in spec-core. The loop that
//! asks and acts is in `supervisor.rs`.
//!
//! Where this is the first process of a pid namespace, and not of the machine, what belongs to the machine is left alone:
//! the clock, the watchdog, modules, random numbers, ctrl-alt-del. Everything else is the same, down to `reboot`, which ends
//! the namespace.
//!
//! Two words on the kernel's command line that are no settings: `ROCI_STATUS=FILE` names where the numbers go that [`Report`]
//! has, and `ROCI_END=restart` restarts the machine where it would be powered off.

mod call;
mod config;
mod containers;
mod control;
mod data;
mod ending;
mod filesystems;
mod memory;
mod modules;
mod network;
mod options;
mod order;
mod ramdisk;
mod ring;
mod say;
mod seed;
mod service;
mod supervisor;
mod unit;
mod watchdog;

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::system::{RebootCommand, reboot, sethostname, sysinfo};
use sys::Arguments;
use sys::directory::make;
use sys::fd::{open, read, socket};
use sys::process::{Clock, now, set_rlimit};
use sys::signal::{BUGS, SignalSet, end_at_bugs, set_blocked};

pub use ending::crash;

use crate::message::words;
use crate::terminal::own_pid;
use crate::text::{Text, digits};
use containers::Containers;
use ending::{Ending, end};
use options::Options;
use say::complain;
use supervisor::Supervisor;
use watchdog::Watchdog;

/// Starts the machine, runs what is on it, and ends it. Returns only where this is not the first process.
pub fn main(arguments: Arguments) -> u8 {
    if !is_first() {
        complain(b"not started", "it is the first process of a machine");
        return 2;
    }
    set_blocked(BUGS.into_iter().fold(SignalSet::ALL, SignalSet::without));
    end_at_bugs(ending::crash_by_signal);
    let mut report = Report {
        free_kib_at_start: free_kib(),
        ..Report::default()
    };
    filesystems::mount_early();
    let is_machine = is_machine();
    if is_machine && ramdisk::is_root() {
        ramdisk::leave(arguments);
    }
    filesystems::mount_all();
    filesystems::enable_controllers();
    let mut options = Options::new();
    read_settings(&mut options);
    set_up(&options, is_machine);
    let has_data = data::mount_data(options.data.as_bytes());
    let mut watchdog = Watchdog::NONE;
    if is_machine {
        seed::restore(has_data);
        if options.watchdog > 0 {
            watchdog = Watchdog::open(options.watchdog, supervisor::now());
        }
    }
    let mut containers = Containers::new();
    if let Err(errno) = containers.load(&options, supervisor::now()) {
        containers::complain_of(errno);
        report.failure(1);
    }
    let how = Supervisor::run(&mut containers, &options, &mut report, watchdog);
    if let Some(path) = arguments.variable("ROCI_STATUS")
        && let Err(errno) = report.write(path)
    {
        complain(path.to_bytes(), words(errno));
    }
    let restart = arguments.variable("ROCI_END") == Some(c"restart");
    let how = match how {
        Ending::PowerOff if !restart => RebootCommand::PowerOff,
        Ending::Halt => RebootCommand::Halt,
        _ => RebootCommand::Restart,
    };
    end(how, has_data)
}

/// Whether this is the first process.
fn is_first() -> bool {
    own_pid() == 1
}

/// Whether its pid namespace is that of the machine, whose number does not change from kernel to kernel
/// (`PROC_PID_INIT_INO`).
fn is_machine() -> bool {
    const FIRST: u64 = 0xefff_fffc;
    stat(c"/proc/self/ns/pid").is_ok_and(|stat| stat.st_ino == FIRST)
}

/// Takes the settings of the file, and then those of the command line.
fn read_settings(options: &mut Options) {
    const FILE: &CStr = c"/etc/roci/device";
    const SETTINGS_BYTES_MAX: usize = 4096;
    let mut memory = [0; SETTINGS_BYTES_MAX];
    match open(FILE, OFlags::RDONLY).and_then(|file| {
        let text = read(file.as_fd(), &mut memory);
        file.close();
        text
    }) {
        Ok(text) => {
            if text.len() == SETTINGS_BYTES_MAX {
                complain(FILE.to_bytes(), "longer than 4 KiB, and cut");
            }
            for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                if line.is_empty() || line.starts_with(b"#") {
                    continue;
                }
                if line.starts_with(options::SYSCTL) {
                    set_sysctl(line);
                } else if let Err(what) = options.take(line) {
                    complain(line, what);
                }
            }
        }
        Err(Errno::NOENT) => {}
        Err(errno) => complain(FILE.to_bytes(), words(errno)),
    }
    let Ok(file) = open(c"/proc/cmdline", OFlags::RDONLY) else {
        return;
    };
    if let Ok(line) = read(file.as_fd(), &mut memory) {
        options.take_command_line(line, complain);
    }
    file.close();
}

/// Sets `sysctl.NAME=VALUE`, which the kernel knows on its own command line only.
fn set_sysctl(line: &[u8]) {
    let mut parts = line
        .get(options::SYSCTL.len()..)
        .unwrap_or_default()
        .splitn(2, |byte| *byte == b'=');
    let mut path = Text::<160>::new();
    path.push(b"/proc/sys/");
    for byte in parts.next().unwrap_or_default() {
        path.push(&[if *byte == b'.' { b'/' } else { *byte }]);
    }
    let value = parts.next().unwrap_or_default();
    let written = path.as_c_str().ok_or(Errno::NAMETOOLONG).and_then(|path| {
        let file = open(path, OFlags::WRONLY)?;
        let written = rustix::io::write(&file, value);
        file.close();
        written
    });
    if let Err(errno) = written {
        complain(line, words(errno));
    }
}

/// Makes of the machine what containers expect of one.
fn set_up(options: &Options, is_machine: bool) {
    let _ = make(CWD, unit::DIRECTORY, Mode::from_raw_mode(0o700));
    // A program that crashes again and again is not to fill what it can write to.
    const RLIMIT_CORE: u8 = 4;
    let _ = set_rlimit(0, RLIMIT_CORE, 0, u64::MAX);
    if is_machine {
        let name = match options.console.as_c_str() {
            Some(name) if !name.is_empty() => name,
            _ => c"/dev/console",
        };
        // A line that stands still must not stop the machine.
        match open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK) {
            Ok(console) => say::use_console(console),
            Err(errno) => complain(name.to_bytes(), words(errno)),
        }
        modules::load_all(options.modules.as_bytes());
        // It becomes a signal.
        let _ = reboot(RebootCommand::CadOff);
        filesystems::mount_pstore();
    }
    if let Err(errno) =
        socket(AddressFamily::INET, SocketType::DGRAM).and_then(|socket| sys::file::bring_loopback_up(socket.as_fd()))
    {
        complain(b"lo", words(errno));
    }
    let mut hostname = options.hostname;
    if !options.ip.as_bytes().is_empty() {
        match network::parse(options.ip.as_bytes()) {
            Ok(address) => {
                if hostname.as_bytes().is_empty() {
                    hostname.push(address.hostname);
                }
                network::set(&address);
            }
            Err(what) => complain(options.ip.as_bytes(), what),
        }
    }
    if !hostname.as_bytes().is_empty()
        && let Err(errno) = sethostname(hostname.as_bytes())
    {
        complain(b"hostname", words(errno));
    }
}

/// What is known about the life of this machine when it ends.
#[derive(Default)]
struct Report {
    /// Memory that nobody used when this process began: the kernel and the initramfs have the rest.
    free_kib_at_start: u32,
    /// The same when the first container was about to be made.
    free_kib_at_container: u32,
    /// From the start of the kernel's clock to then.
    milliseconds_to_container: u32,
    /// The status of the first container that failed for good.
    status: u8,
}

impl Report {
    /// Called before each container is made; the first time counts.
    fn container(&mut self) {
        if self.milliseconds_to_container == 0 {
            let time = now(Clock::Monotonic);
            self.milliseconds_to_container = (time.tv_sec as u32)
                .wrapping_mul(1000)
                .wrapping_add(time.tv_nsec as u32 / 1_000_000);
            self.free_kib_at_container = free_kib();
        }
    }

    /// Notes that something has failed with this status; the first counts.
    fn failure(&mut self, status: u8) {
        if self.status == 0 {
            self.status = status;
        }
    }

    /// Writes a line `NAME NUMBER` each. The status comes last, so that who finds it has all.
    fn write(&self, path: &CStr) -> Result<(), Errno> {
        let mut text = Text::<256>::new();
        for (name, number) in [
            ("free_kib_at_start ", self.free_kib_at_start),
            ("free_kib_at_container ", self.free_kib_at_container),
            ("milliseconds_to_container ", self.milliseconds_to_container),
            ("status ", u32::from(self.status)),
        ] {
            text.push(name.as_bytes());
            text.push(digits(number, &mut [0; 10]));
            text.push(b"\n");
        }
        let file = open(path, OFlags::WRONLY)?;
        let written = rustix::io::write(&file, text.as_bytes());
        file.close();
        written.map(drop)
    }
}

/// Memory that nobody uses, not even as a cache.
fn free_kib() -> u32 {
    let info = sysinfo();
    let unit = (info.mem_unit as usize).max(1);
    ((info.freeram as usize).saturating_mul(unit) >> 10) as u32
}
