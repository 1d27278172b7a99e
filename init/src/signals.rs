//! Signals: their names, and how `roci-init` holds them.
//!
//! All signals are blocked for as long as `roci-init` runs and are taken one by one in `rt_sigtimedwait`. No handler exists:
//! nothing runs at a moment that was not chosen, and a signal that the caller had ignored is still queued, because the
//! kernel does not discard what is blocked. So every disposition can stay as it was received, and the program inherits it.

use crate::text::{after, number};
use sys::signal::{
    Disposition, SIGKILL as KILL, SIGNAL_MAX, SIGSTOP as STOP, SignalSet, disposition, set_blocked, set_disposition,
};
pub use sys::signal::{SIGCHLD as CHLD, SIGCONT as CONT, SIGTSTP as TSTP, SIGTTIN as TTIN, SIGTTOU as TTOU};

/// The names of signals 1 to 31, in order.
#[cfg(target_arch = "mips")]
const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT EMT FPE KILL BUS SEGV SYS PIPE ALRM TERM USR1 USR2 CHLD PWR WINCH URG IO \
                     STOP TSTP CONT TTIN TTOU VTALRM PROF XCPU XFSZ";
/// The same on all others.
#[cfg(not(target_arch = "mips"))]
const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN \
                     TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";
/// The kernel's real-time signals begin with 32, of which C libraries keep two for themselves.
const RTMIN: u8 = 34;

/// What `roci-init` was started with, for the program to have again.
pub struct Inherited {
    /// The set of blocked signals.
    pub blocked: SignalSet,
    child_was_ignored: bool,
}

/// Blocks everything.
pub fn hold() -> Inherited {
    let blocked = set_blocked(SignalSet::ALL);
    let child_was_ignored = disposition(CHLD) == Disposition::Ignore;
    if child_was_ignored {
        // With SIGCHLD ignored the kernel would reap for us, and throw away the program's status without a signal.
        set_disposition(CHLD, Disposition::Default);
    }
    Inherited {
        blocked,
        child_was_ignored,
    }
}

impl Inherited {
    /// Gives this process, which is about to become the program, what `roci-init` was started with.
    pub fn restore(&self) {
        if self.child_was_ignored {
            set_disposition(CHLD, Disposition::Ignore);
        }
        // Last: what was sent to the program meanwhile takes effect here, as if the program had got it.
        set_blocked(self.blocked);
    }
}

/// The number of the signal that `text` names: `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `RTMAX-1`.
pub fn parse(text: &[u8]) -> Option<u8> {
    if let Some(signal) = number(text, SIGNAL_MAX.into()) {
        return (signal > 0).then_some(signal as u8);
    }
    let name = after(text, b"SIG").unwrap_or(text);
    if let Some(rest) = after(name, b"RTMIN") {
        return Some(RTMIN + distance(rest, b'+')?);
    }
    if let Some(rest) = after(name, b"RTMAX") {
        return Some(SIGNAL_MAX - distance(rest, b'-')?);
    }
    let index = NAMES
        .as_bytes()
        .split(|&byte| byte == b' ')
        .position(|known| known == name)?;
    Some(index as u8 + 1)
}

/// How far a real-time signal lies from an end of their range: nothing, or `sign` and a number.
fn distance(text: &[u8], sign: u8) -> Option<u8> {
    match text {
        [] => Some(0),
        [first, digits @ ..] if *first == sign => Some(number(digits, u32::from(SIGNAL_MAX - RTMIN))? as u8),
        _ => None,
    }
}

/// What each signal is forwarded as; 0 drops it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewrites([u8; SIGNAL_MAX as usize + 1]);

impl Default for Rewrites {
    fn default() -> Self {
        let mut table = [0; SIGNAL_MAX as usize + 1];
        for (signal, slot) in table.iter_mut().enumerate() {
            *slot = signal as u8;
        }
        Self(table)
    }
}

impl Rewrites {
    /// Adds the rule `A:B`; `None` where it is none. A signal that is never received cannot be rewritten.
    pub fn insert(&mut self, rule: &[u8]) -> Option<()> {
        let colon = rule.iter().position(|&byte| byte == b':')?;
        let (from, to) = (parse(rule.get(..colon)?)?, rule.get(colon + 1..)?);
        let to = if to == b"0" { 0 } else { parse(to)? };
        if [KILL, STOP, CHLD].contains(&from) {
            return None;
        }
        *self.0.get_mut(usize::from(from))? = to;
        Some(())
    }

    /// What `signal` is forwarded as, or `None` where it is dropped.
    pub fn of(&self, signal: u8) -> Option<u8> {
        self.0.get(usize::from(signal)).copied().filter(|&to| to != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named() {
        let check = |text: &str, expect| assert_eq!(parse(text.as_bytes()), expect, "{text}");
        for (name, number) in [
            ("HUP", 1),
            ("KILL", KILL),
            ("CHLD", CHLD),
            ("CONT", CONT),
            ("STOP", STOP),
        ] {
            check(name, Some(number));
        }
        for (name, number) in [
            ("TSTP", TSTP),
            ("TTIN", TTIN),
            ("TTOU", TTOU),
            ("SIGTERM", 15),
            ("SYS", 31),
        ] {
            check(name, Some(number));
        }
        for (name, number) in [
            ("1", 1),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("RTMAX", 64),
        ] {
            check(name, Some(number));
        }
        for wrong in [
            "",
            "0",
            "65",
            "-1",
            "term",
            "SIG",
            "SIGSIGTERM",
            "TERM ",
            "HUP INT",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN+31",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn signals_are_rewritten() {
        let mut rewrites = Rewrites::default();
        assert!((1..=SIGNAL_MAX).all(|signal| rewrites.of(signal) == Some(signal)));
        for rule in ["TERM:QUIT", "SIGHUP:0", "RTMIN+1:9"] {
            assert_eq!(rewrites.insert(rule.as_bytes()), Some(()), "{rule}");
        }
        assert_eq!(
            (rewrites.of(15), rewrites.of(1), rewrites.of(35), rewrites.of(2)),
            (Some(3), None, Some(9), Some(2))
        );
        for wrong in [
            "",
            ":",
            "TERM",
            "TERM:",
            ":TERM",
            "0:TERM",
            "TERM:65",
            "KILL:TERM",
            "STOP:0",
            "CHLD:HUP",
            "1:2:3",
        ] {
            assert_eq!(rewrites.insert(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
