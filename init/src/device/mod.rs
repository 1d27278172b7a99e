//! `roci-boot`: the first process of a machine that is a kernel and containers. It is `/init` of an initramfs, and stays there.
//!
//! | in this order | from |
//! | --- | --- |
//! | mount what the kernel shows of itself, and memory for what is written | the table in `filesystems.rs` |
//! | give every controller of the kernel to the control groups (version 2) | |
//! | load modules | `/etc/roci/modules`, a line `FILE [PARAMETER]...` each, a file of `/lib/modules` |
//! | bring `lo` up | |
//! | run the containers, each when the one before has ended | `/etc/roci/containers/NAME/`, a bundle each, in the order of their names |
//! | end the machine | |
//!
//! What fails is told and left: a machine that runs half of what it has is better than one that stands still.
//!
//! Two words on the kernel's command line: `ROCI_STATUS=FILE` names where the numbers go that [`Report`] has, and
//! `ROCI_END=restart` restarts the machine where it would be powered off.

mod config;
mod containers;
mod filesystems;
mod modules;
mod network;
mod options;
mod order;
mod ring;
mod say;
mod service;
mod watchdog;

use core::ffi::CStr;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::system::{RebootCommand, reboot, sysinfo};
use sys::Arguments;
use sys::fd::{open, socket};
use sys::process::{Clock, inherited_fd, now};

use crate::message::{tell, words};
use crate::terminal::own_pid;
use crate::text::{Text, digits};

/// Starts the machine, runs what is on it, and ends it. Returns only where this is not the first process.
pub fn main(arguments: Arguments) -> u8 {
    if own_pid() != 1 {
        complain(b"not started", "it is the first process of a machine");
        return 2;
    }
    let mut report = Report {
        free_kib_at_start: free_kib(),
        ..Report::default()
    };
    filesystems::mount_all();
    filesystems::enable_controllers();
    modules::load_all();
    if let Err(errno) = socket(AddressFamily::INET, SocketType::DGRAM)
        .and_then(|socket| sys::file::bring_loopback_up(rustix::fd::AsFd::as_fd(&socket)))
    {
        complain(b"lo", words(errno));
    }
    containers::run_all(&mut report);
    if let Some(path) = arguments.variable("ROCI_STATUS")
        && let Err(errno) = report.write(path)
    {
        complain(path.to_bytes(), words(errno));
    }
    let restart = arguments.variable("ROCI_END") == Some(c"restart");
    end(if restart {
        RebootCommand::Restart
    } else {
        RebootCommand::PowerOff
    })
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
    /// The first status of a container that is not 0.
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
        rustix::io::write(&file, text.as_bytes()).map(drop)
    }
}

/// Memory that nobody uses, not even as a cache.
fn free_kib() -> u32 {
    let info = sysinfo();
    let unit = (info.mem_unit as usize).max(1);
    ((info.freeram as usize).saturating_mul(unit) >> 10) as u32
}

fn end(how: RebootCommand) -> ! {
    rustix::fs::sync();
    // The kernel would not wait for what a serial line still has to send.
    let _ = rustix::termios::tcdrain(inherited_fd(2));
    let _ = reboot(how);
    // The kernel panics when its first process ends, and does then what it was told to do on a panic.
    sys::process::exit(1)
}

/// Tells what went wrong with `subject`.
fn complain(subject: &[u8], what: &str) {
    tell(&[b"roci-boot: ", subject, b": ", what.as_bytes()]);
}
