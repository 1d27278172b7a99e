//! `kill`: a signal, by name or number, for the first process or for all.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use spec_core::state::{State, Status};
use sys::signal::SIGKILL;

use crate::cli::{Invocation, Opt, as_text};
use crate::error::{Error, Result};
use crate::proc::Proc;
use crate::state::{self, Access, Found};

const SIGTERM: u8 = 15;

/// `kill`
pub fn kill(invocation: &Invocation) -> Result<()> {
    let signal = match invocation.positional(1) {
        Some(word) => {
            let text = as_text(word)?;
            parse_signal(text).ok_or_else(|| Error::says(format_args!("unknown signal \"{text}\"")))?
        }
        None => SIGTERM,
    };
    let mut state = State::new();
    let Found { proc, status, .. } = state::find(invocation, Access::Shared, &mut state)?;
    if invocation.has(Opt::All) {
        return kill_all(&state, status, &proc, signal);
    }
    if !matches!(status, Status::Created | Status::Running | Status::Paused) {
        return Err(Error::said("container not running"));
    }
    send(&state, &proc, signal)
}

/// Sends `signal` to the container's first process and to no other that has its number by now.
pub fn send(state: &State<'_>, proc: &Proc, signal: u8) -> Result<()> {
    match try_send(state, proc, signal) {
        Ok(()) => Ok(()),
        Err(Errno::SRCH) => Err(Error::said("container not running: process already finished")),
        Err(errno) => Err(Error::new("kill", errno)),
    }
}

/// The same, for who can do without: `ESRCH` where the process has ended.
pub fn try_send(state: &State<'_>, proc: &Proc, signal: u8) -> core::result::Result<(), Errno> {
    let same = || {
        proc.process_start(state.pid)
            .is_some_and(|start| start.ticks == state.start_time)
    };
    match Pid::from_raw(state.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        // The descriptor names one process for good; whether it is the right one is asked after it was opened.
        Some(Ok(pidfd)) if same() => sys::signal::send_to(pidfd.as_fd(), signal),
        Some(Err(errno)) if errno != Errno::SRCH && same() => sys::signal::send(state.pid, signal),
        _ => Err(Errno::SRCH),
    }
}

/// Sends `signal` to every process of the container. Processes that are forked meanwhile are met in another round, until a
/// round meets nobody new; with SIGKILL until nobody is left.
pub fn kill_all(state: &State<'_>, status: Status, proc: &Proc, signal: u8) -> Result<()> {
    /// A container that forks faster than this finds it needs a pids limit.
    const ROUNDS_MAX: u32 = 100;
    for _ in 0..if signal == SIGKILL { ROUNDS_MAX } else { 1 } {
        let mut met = false;
        state::for_each_process(state, status, proc, &mut |pid| {
            // The processes were listed by the kernel just now. A dead one that waits for its parent stays listed.
            if proc.process_start(pid).is_some_and(|start| start.is_alive()) {
                met = true;
                let _ = sys::signal::send(pid, signal);
            }
        })?;
        if !met {
            break;
        }
    }
    Ok(())
}

/// A signal by number, or by name with or without SIG, in any case of letters.
fn parse_signal(text: &str) -> Option<u8> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text
            .parse()
            .ok()
            .filter(|number| (0..=sys::signal::SIGNAL_MAX).contains(number));
    }
    let bare = match text.get(..3) {
        Some(prefix) if prefix.eq_ignore_ascii_case("SIG") => &text[3..],
        _ => text,
    };
    if let Some(number) = NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(bare))
        .map(|(_, number)| *number)
    {
        return Some(number);
    }
    // Real-time signals: the kernel's begin at 32, and C libraries keep the first two for themselves.
    let offset = |rest: &str, sign: char| rest.strip_prefix(sign).and_then(|rest| rest.parse::<u8>().ok());
    let (base, rest) = bare.split_at_checked(5)?;
    if base.eq_ignore_ascii_case("RTMIN") {
        if rest.is_empty() { Some(0) } else { offset(rest, '+') }.map(|n| 34_u8.saturating_add(n))
    } else if base.eq_ignore_ascii_case("RTMAX") {
        if rest.is_empty() { Some(0) } else { offset(rest, '-') }.and_then(|n| 64_u8.checked_sub(n))
    } else {
        None
    }
    .filter(|number| (34..=64).contains(number))
}

/// `asm-generic/signal.h`, and the names that stand for another.
const NAMES: [(&str, u8); 35] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("15", 15),
            ("KILL", 9),
            ("0", 0),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax", 64),
            ("RTMAX-2", 62),
        ] {
            assert_eq!(parse_signal(text), Some(number), "{text}");
        }
        for text in [
            "", "SIG", "65", "999", "9x", "-9", "NOPE", "RTMIN-1", "RTMAX+1", "RTMIN+31", "RTMAX-31", "+9",
        ] {
            assert_eq!(parse_signal(text), None, "{text}");
        }
    }
}
