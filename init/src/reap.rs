//! The loop in which `roci-init` spends its life.

use crate::arguments::Order;
use crate::message::{complain, words};
use crate::signals::{CHLD, CONT, TSTP, TTIN, TTOU};
use crate::status::{End, report};
use crate::terminal;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use sys::signal::{SignalSet, Taken, send, wait_for_any};

/// How long a child that has ended may wait, should its signal have come together with another's.
const LATE_MS: u16 = 10;

/// Forwards and reaps until `program` ends; the value is the exit status.
///
/// | signal | what is done |
/// | --- | --- |
/// | SIGCHLD | reap what ended; end when the program did; stop when the program was stopped from the terminal |
/// | SIGCONT | hand over the terminal if it is ours again, forward |
/// | any other | forward |
///
/// One SIGCHLD may stand for many ends: those that come while one is pending are not queued. To ask the kernel each time
/// whether there are more would be a third call for each child, and nearly always in vain. So it is asked when a while has
/// passed without a signal, and then there is no more waking up until there is one.
pub fn until_it_ends(program: i32, order: &Order<'_>) -> u8 {
    let mut late = None;
    loop {
        let taken = match wait_for_any(SignalSet::ALL, late) {
            Ok(taken) => taken,
            Err(errno) => return fail(errno),
        };
        // Nobody has the number 0, so this asks until there is no more.
        let mut child = 0;
        if let Some(Taken { signal, process }) = taken {
            if signal != CHLD {
                if signal == CONT && terminal::is_in_foreground() {
                    // A shell's `fg` puts our group into the foreground and then continues us.
                    terminal::hand_to(program);
                }
                forward(signal, program, order);
                continue;
            }
            child = process;
        }
        match reap(program, child) {
            Ok(Reaped::Child) => late = Some(LATE_MS),
            Ok(Reaped::All) => late = None,
            Ok(Reaped::Program(end)) => {
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

/// Who was reaped.
enum Reaped {
    /// The child that was looked for; there may be others.
    Child,
    /// Whoever there was.
    All,
    /// The program.
    Program(End),
}

/// Reaps what has ended, up to `child`. The kernel gives its oldest children first, so that however many ends come together,
/// none is passed over for long.
fn reap(program: i32, child: i32) -> Result<Reaped, Errno> {
    while let Some((pid, status)) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED)? {
        let pid = pid.as_raw_nonzero().get();
        if pid == program {
            if let Some(code) = status.exit_status() {
                return Ok(Reaped::Program(End::Exited(code as u8)));
            }
            if let Some(signal) = status.terminating_signal() {
                return Ok(Reaped::Program(End::Killed(signal as u8)));
            }
            // SIGSTOP is not among these: whoever sends that means the program, and continues the program.
            if status
                .stopping_signal()
                .is_some_and(|signal| [TSTP, TTIN, TTOU].contains(&(signal as u8)))
            {
                terminal::stop_with(program);
            }
        }
        if pid == child {
            return Ok(Reaped::Child);
        }
    }
    Ok(Reaped::All)
}

/// Nothing that is known makes waiting fail. Sleeping on would be a container that never ends.
fn fail(errno: Errno) -> u8 {
    complain(b"wait", words(errno));
    1
}
