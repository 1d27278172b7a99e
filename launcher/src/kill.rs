//! `kill`: a signal, by name or number, for the first process or for all.

use rustix::fd::AsFd;
use rustix::io::Errno;
use spec_core::state::{State, Status};
use sys::fd::open_process;
use sys::signal::SIGKILL;

use crate::cli::{Invocation, Opt, as_text};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::proc::Proc;
use crate::state::{self, Access, Found};
use crate::text::{cut, parse_number, utf8};

const SIGTERM: u8 = 15;

/// `kill`
pub fn kill(invocation: &Invocation) -> Result<()> {
    let signal = match invocation.positional(1) {
        Some(word) => {
            let text = as_text(word)?;
            parse_signal(text).ok_or_else(|| Error::says(msg!("unknown signal \"#\""), text))?
        }
        None => SIGTERM,
    };
    let mut state = State::new();
    let Found { proc, status, .. } = state::find(invocation, Access::Shared, &mut state)?;
    if invocation.has(Opt::All) {
        return kill_all(&state, status, &proc, signal);
    }
    if !matches!(status, Status::Created | Status::Running | Status::Paused) {
        return Err(Error::said(msg!("container not running")));
    }
    send(&state, &proc, signal)
}

/// Sends `signal` to the container's first process and to no other that has its number by now.
pub fn send(state: &State<'_>, proc: &Proc, signal: u8) -> Result<()> {
    match try_send(state, proc, signal) {
        Ok(()) => Ok(()),
        Err(Errno::SRCH) => Err(Error::said(msg!("container not running: process already finished"))),
        Err(errno) => Err(Error::new(msg!("kill"), errno)),
    }
}

/// The same, for who can do without: `ESRCH` where the process has ended.
pub fn try_send(state: &State<'_>, proc: &Proc, signal: u8) -> core::result::Result<(), Errno> {
    let same = || {
        proc.process_start(state.pid)
            .is_some_and(|start| start.ticks == state.start_time)
    };
    match open_process(state.pid) {
        // The descriptor names one process for good; whether it is the right one is asked after it was opened.
        Ok(pidfd) if same() => sys::signal::send_to(pidfd.as_fd(), signal),
        Err(errno) if errno != Errno::SRCH && same() => sys::signal::send(state.pid, signal),
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
        let mut sent = Ok(());
        state::for_each_process(state, status, proc, &mut |pid| {
            // The processes were listed by the kernel just now. A dead one that waits for its parent stays listed.
            if proc.process_start(pid).is_some_and(|start| start.is_alive()) {
                met = true;
                match sys::signal::send(pid, signal) {
                    // It has ended meanwhile.
                    Ok(()) | Err(Errno::SRCH) => {}
                    refused => sent = refused,
                }
            }
        })?;
        sent.during(msg!("kill"))?;
        if !met {
            break;
        }
    }
    Ok(())
}

/// A signal by number, or by name with or without SIG, in any case of letters.
fn parse_signal(text: &str) -> Option<u8> {
    if let Some(number) = parse_number(text) {
        return u8::try_from(number)
            .ok()
            .filter(|number| *number <= sys::signal::SIGNAL_MAX);
    }
    let mut memory = [0; 16];
    let upper = memory.get_mut(..text.len())?;
    sys::copy(upper, text.as_bytes());
    upper.make_ascii_uppercase();
    let upper = utf8(upper);
    let name = upper.strip_prefix("SIG").unwrap_or(upper);
    let mut rest = NAMES;
    let mut number = 1;
    while !rest.is_empty() {
        let mut names = cut(&mut rest, b' ');
        while !names.is_empty() {
            if cut(&mut names, b',') == name {
                return Some(number);
            }
        }
        number += 1;
    }
    // Real-time signals: the kernel's begin at 32, and C libraries keep the first two for themselves.
    let (base, distance) = name.split_at_checked(5)?;
    let (sign, digits) = distance.split_at_checked(1).unwrap_or(("", "0"));
    let distance = parse_number(digits)?;
    match (base, sign) {
        ("RTMIN", "" | "+") => 34_u64.checked_add(distance),
        ("RTMAX", "" | "-") => 64_u64.checked_sub(distance),
        _ => None,
    }
    .filter(|number| (34..=64).contains(number))
    .map(|number| number as u8)
}

/// `asm/signal.h` of MIPS.
#[cfg(target_arch = "mips")]
const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT,IOT EMT FPE KILL BUS SEGV SYS,UNUSED PIPE ALRM TERM USR1 USR2 CHLD,CLD PWR WINCH \
    URG IO,POLL STOP TSTP CONT TTIN TTOU VTALRM PROF XCPU XFSZ";

/// `asm-generic/signal.h`, from 1 up; the names after a comma stand for the same signal.
#[cfg(not(target_arch = "mips"))]
const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT,IOT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD,CLD CONT STOP TSTP \
    TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO,POLL PWR SYS,UNUSED";

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
            ("IOT", 6),
            ("sys", 31),
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
