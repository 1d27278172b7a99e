//! The end of the machine, in order or not.

use core::ffi::CStr;

use rustix::fs::sync;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot};
use sys::poll::poll;
use sys::process::{exit, fork, inherited_fd};
use sys::signal::{SIGKILL, send};

use super::say::{line, say, to_console, to_kmsg};
use super::seed;
use crate::text::{Text, digits};

/// How a machine ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Switched off.
    PowerOff,
    /// Started again.
    Reboot,
    /// Standing still, until somebody switches it off.
    Halt,
}

const SIGTERM: u8 = 15;
/// How long whatever is left has after SIGTERM.
const GRACE_MS: u64 = 1000;

/// Ends what no container has taken along, and the machine.
pub fn end(how: RebootCommand, has_data: bool) -> ! {
    // -1 is everybody else.
    if send(-1, SIGTERM).is_ok() {
        wait_for_children(GRACE_MS);
    }
    let _ = send(-1, SIGKILL);
    wait_for_children(GRACE_MS);
    if has_data {
        seed::save();
    }
    sync();
    if has_data {
        const DATA: &CStr = c"/data";
        // Where somebody still has it, it is detached when they let go.
        let _ = unmount(DATA, UnmountFlags::empty()).or_else(|_| unmount(DATA, UnmountFlags::DETACH));
    }
    if super::is_machine() {
        // What can be written is made read-only, so that it is whole. A namespace's root may be a part of others' file system.
        let _ = sys::mount::mount(None, c"/", None, super::filesystems::REMOUNT_READ_ONLY, None);
    }
    // The kernel would not wait for what a serial line still has to send.
    let _ = rustix::termios::tcdrain(inherited_fd(2));
    switch(how)
}

/// Reaps until nobody is left, or for so long.
fn wait_for_children(milliseconds: u64) {
    const STEP: u64 = 20;
    let mut waited = 0;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => continue,
            Ok(None) if waited < milliseconds => {}
            _ => return,
        }
        let _ = poll(&mut [], Some(STEP));
        waited += STEP;
    }
}

/// Ends the machine. A child asks for it: the kernel ends who asks where it cannot do it, and panics without its first
/// process.
fn switch(how: RebootCommand) -> ! {
    match fork() {
        Ok(None) => {
            let _ = reboot(how);
            exit(1)
        }
        // It ends with the machine, if all is well.
        Ok(Some(child)) => loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((ended, _))) if ended.as_raw_nonzero().get() == child => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
        },
        Err(_) => {}
    }
    say(b"reboot", &[b"this machine cannot be ended in that way"]);
    let _ = reboot(RebootCommand::Restart);
    loop {
        // Nothing is fed any more, so a watchdog ends this.
        let _ = poll(&mut [], None);
    }
}

/// A bug was found in this program: it is told, what is to be written is written, and the machine starts again.
pub fn crash() -> ! {
    crash_of(b"a panic")
}

/// The same for a bug that the kernel has found.
pub extern "C" fn crash_by_signal(signal: i32) -> ! {
    let mut text = Text::<16>::new();
    text.push(b"signal ");
    text.push(digits(signal as u32, &mut [0; 10]));
    crash_of(text.as_bytes())
}

fn crash_of(what: &[u8]) -> ! {
    const BUG: &[u8] = b": a bug was found in it, and the machine is restarted";
    to_kmsg(&[b"roci-boot: ", what, BUG]);
    to_console(line(&[b"roci-boot: ", what, BUG]).as_bytes());
    sync();
    if super::is_first() {
        switch(RebootCommand::Restart)
    }
    exit(101)
}
