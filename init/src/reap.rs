//! The loop in which `roci-init` spends its life.

use crate::arguments::Order;
use crate::message::{complain, words};
use crate::signals::{CHLD, CONT, TSTP, TTIN, TTOU};
use crate::status::{End, report};
use crate::terminal;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use sys::signal::{SignalSet, send, wait_for};

/// Forwards and reaps until `program` ends; the value is the exit status.
///
/// | signal | what is done |
/// | --- | --- |
/// | SIGCHLD | reap everything that ended; end when the program did; stop when the program was stopped from the terminal |
/// | SIGCONT | hand over the terminal if it is ours again, forward |
/// | any other | forward |
pub fn until_it_ends(program: i32, order: &Order<'_>) -> u8 {
    loop {
        let signal = match wait_for(SignalSet::ALL) {
            Ok(signal) => signal,
            Err(errno) => return fail(errno),
        };
        if signal != CHLD {
            if signal == CONT && terminal::is_in_foreground() {
                // A shell's `fg` puts our group into the foreground and then continues us.
                terminal::hand_to(program);
            }
            forward(signal, program, order);
            continue;
        }
        match reap(program) {
            Ok(None) => {}
            Ok(Some(end)) => {
                terminal::take_back_from(program);
                return report(end, order);
            }
            Err(errno) => return fail(errno),
        }
    }
}

/// Sends `signal` on. The program was not reaped yet, so its number cannot have become another process's.
fn forward(signal: u8, program: i32, order: &Order<'_>) {
    if let Some(signal) = order.rewrites.of(signal) {
        let target = if order.to_group { -program } else { program };
        // A program that became another user may be out of reach; that is not a reason to leave it.
        let _ = send(target, signal);
    }
}

/// Reaps everything that has ended, and gives the end of `program` if it was among it.
///
/// One SIGCHLD may stand for many ends: those that come while one is pending are not queued. So the kernel is asked until it
/// has no more. What ends after the signal was taken makes the next one pending, so nothing is missed between here and the
/// wait.
fn reap(program: i32) -> Result<Option<End>, Errno> {
    while let Some((pid, status)) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED)? {
        if pid.as_raw_nonzero().get() != program {
            continue;
        }
        if let Some(code) = status.exit_status() {
            return Ok(Some(End::Exited(code as u8)));
        }
        if let Some(signal) = status.terminating_signal() {
            return Ok(Some(End::Killed(signal as u8)));
        }
        // SIGSTOP is not among these: whoever sends that means the program, and continues the program.
        if status
            .stopping_signal()
            .is_some_and(|signal| [TSTP, TTIN, TTOU].contains(&(signal as u8)))
        {
            terminal::stop_with(program);
        }
    }
    Ok(None)
}

/// Nothing that is known makes waiting fail. Sleeping on would be a container that never ends.
fn fail(errno: Errno) -> u8 {
    complain(b"wait", words(errno));
    1
}
