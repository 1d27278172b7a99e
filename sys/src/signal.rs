//! Signals: sets, waiting, sending by number.

use core::cell::UnsafeCell;

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd};
use rustix::io::{Errno, Result};

use crate::OwnedFd;
use crate::call::call;

/// The largest signal number: 64, and 127 on MIPS. We use what all have.
pub const SIGNAL_MAX: u8 = 64;

/// `SIGKILL`, which cannot be caught.
pub const SIGKILL: u8 = k::SIGKILL as u8;
/// `SIGCHLD`, which has another number on MIPS, as those below have.
pub const SIGCHLD: u8 = k::SIGCHLD as u8;
/// `SIGCONT`
pub const SIGCONT: u8 = k::SIGCONT as u8;
/// `SIGSTOP`, which cannot be caught.
pub const SIGSTOP: u8 = k::SIGSTOP as u8;
/// `SIGTSTP`
pub const SIGTSTP: u8 = k::SIGTSTP as u8;
/// `SIGTTIN`
pub const SIGTTIN: u8 = k::SIGTTIN as u8;
/// `SIGTTOU`
pub const SIGTTOU: u8 = k::SIGTTOU as u8;
/// `SIGWINCH`
pub const SIGWINCH: u8 = k::SIGWINCH as u8;

/// A set of signals: bit n - 1 is signal n.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// All 64.
    pub const ALL: Self = Self(u64::MAX);

    /// The set without `signal`.
    pub const fn without(self, signal: u8) -> Self {
        Self(self.0 & !(1 << (signal - 1)))
    }

    /// Whether `signal` is in the set.
    pub const fn contains(self, signal: u8) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
}

/// Bytes of the kernel's `sigset_t`: 64 signals, and 128 on MIPS.
pub(crate) const SET_BYTES: usize = if cfg!(target_arch = "mips") { 16 } else { 8 };

/// A `sigset_t` in memory: words, the one with the lowest signals first.
pub(crate) type Words = [usize; SET_BYTES / size_of::<usize>()];

fn words(set: SignalSet) -> Words {
    core::array::from_fn(|index| {
        let shift = index as u32 * usize::BITS;
        set.0.checked_shr(shift).unwrap_or(0) as usize
    })
}

fn set_of(words: &Words) -> SignalSet {
    let mut set = 0;
    for (index, word) in words.iter().enumerate() {
        set |= (*word as u64).checked_shl(index as u32 * usize::BITS).unwrap_or(0);
    }
    SignalSet(set)
}

/// Replaces the set of blocked signals and returns the old one.
pub fn set_blocked(set: SignalSet) -> SignalSet {
    let (new, mut old) = (words(set), Words::default());
    // SAFETY: the kernel reads SET_BYTES from the first pointer and writes as many to the second: both are arrays of that size
    // here. It cannot fail with these arguments.
    let _ = unsafe {
        call(
            k::__NR_rt_sigprocmask,
            [
                k::SIG_SETMASK as usize,
                new.as_ptr().expose_provenance(),
                (&raw mut old).expose_provenance(),
                SET_BYTES,
                0,
                0,
            ],
        )
    };
    set_of(&old)
}

/// The set of blocked signals.
pub fn blocked() -> SignalSet {
    let mut old = Words::default();
    // SAFETY: a null new set changes nothing; the kernel writes SET_BYTES to the old one.
    let _ = unsafe {
        call(
            k::__NR_rt_sigprocmask,
            [
                k::SIG_BLOCK as usize,
                0,
                (&raw mut old).expose_provenance(),
                SET_BYTES,
                0,
                0,
            ],
        )
    };
    set_of(&old)
}

/// Waits, without a timeout and without waking up in between, for one blocked signal of `set`, and takes it.
pub fn wait_for(set: SignalSet) -> Result<u8> {
    let set = words(set);
    loop {
        // SAFETY: the kernel reads SET_BYTES, which is the size of the set; null for the siginfo and the timeout means that
        // neither is wanted.
        match unsafe {
            call(
                k::__NR_rt_sigtimedwait,
                [set.as_ptr().expose_provenance(), 0, 0, SET_BYTES, 0, 0],
            )
        } {
            Ok(signal) => return Ok(signal as u8),
            // SIGCONT or a tracer interrupts the wait.
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// A signal that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Which.
    pub signal: u8,
    /// The process that it is about, or from.
    pub process: i32,
}

/// `siginfo_t`, and `struct signalfd_siginfo`, which has the same size.
pub(crate) type Info = [u32; 32];
/// The word of `siginfo_t` that is the process: there are three numbers before it, and a gap on 64-bit machines.
pub(crate) const PROCESS: usize = if size_of::<usize>() == 8 { 4 } else { 3 };

/// The same, and about whom. With `milliseconds` (less than 1000) it waits no longer than that, and `None` says that it did
/// in vain.
pub fn wait_for_any(set: SignalSet, milliseconds: Option<u16>) -> Result<Option<Taken>> {
    let (set, mut info) = (words(set), Info::default());
    let time = milliseconds.map(|time| [0, usize::from(time) * 1_000_000]);
    let time = time.as_ref().map_or(0, |time| time.as_ptr().expose_provenance());
    let arguments = [
        set.as_ptr().expose_provenance(),
        info.as_mut_ptr().expose_provenance(),
        time,
        SET_BYTES,
        0,
        0,
    ];
    loop {
        // SAFETY: the kernel reads SET_BYTES, writes a `siginfo_t`, which `Info` is, and reads a `struct timespec` of two words
        // where there is one, which unlike that of other calls it leaves as it is.
        match unsafe { call(k::__NR_rt_sigtimedwait, arguments) } {
            Ok(signal) => {
                return Ok(Some(Taken {
                    signal: signal as u8,
                    process: info[PROCESS] as i32,
                }));
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

/// A descriptor from which the blocked signals of `set` are read (Linux 2.6.27), close-on-exec and non-blocking.
pub fn open_signal_fd(set: SignalSet) -> Result<OwnedFd> {
    // `SFD_CLOEXEC` and `SFD_NONBLOCK` are these.
    let flags = (k::O_CLOEXEC | k::O_NONBLOCK) as usize;
    let set = words(set);
    // SAFETY: the kernel reads SET_BYTES, which is the size of the set; -1 asks for a new descriptor, which nobody else knows.
    unsafe {
        let fd = call(
            k::__NR_signalfd4,
            [usize::MAX, set.as_ptr().expose_provenance(), SET_BYTES, flags, 0, 0],
        )?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Takes one signal from [`open_signal_fd`]'s descriptor, or `None` where none is pending.
pub fn read_signal_fd(fd: BorrowedFd<'_>) -> Option<u8> {
    let mut info = Info::default();
    // SAFETY: the kernel writes at most as many bytes as it is told, which are all of `info`. It writes whole structures, whose
    // first word is the number.
    let n = unsafe {
        call(
            k::__NR_read,
            [
                fd.as_raw_fd() as usize,
                info.as_mut_ptr().expose_provenance(),
                size_of::<Info>(),
                0,
                0,
                0,
            ],
        )
    };
    const WHOLE: usize = size_of::<Info>();
    matches!(n, Ok(WHOLE)).then_some(info[0] as u8)
}

/// Sends `signal` (0 only asks whether it could be sent) to `pid`; negative and zero ids as in `kill(2)`.
pub fn send(pid: i32, signal: u8) -> Result<()> {
    // SAFETY: kill takes numbers.
    unsafe { call(k::__NR_kill, [pid as usize, usize::from(signal), 0, 0, 0, 0]) }.map(drop)
}

/// Sends `signal` to the process that `pidfd` stands for (Linux 5.1).
pub fn send_to(pidfd: BorrowedFd<'_>, signal: u8) -> Result<()> {
    // SAFETY: pidfd_send_signal takes numbers, and null for the siginfo.
    unsafe {
        call(
            k::__NR_pidfd_send_signal,
            [pidfd.as_raw_fd() as usize, usize::from(signal), 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// What a signal does when nobody blocks it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Disposition {
    /// `SIG_DFL`
    Default = 0,
    /// `SIG_IGN`
    Ignore = 1,
}

/// `struct kernel_sigaction`: handler, flags, (restorer,) mask; MIPS has the flags first, and riscv64 no restorer. Eight words
/// cover it everywhere.
pub(crate) type Action = [usize; 8];
/// The word that is the handler.
pub(crate) const HANDLER: usize = if cfg!(target_arch = "mips") { 1 } else { 0 };
/// The one that has the flags, or on MIPS is the flags, of 32 bits.
pub(crate) const FLAGS: usize = 1 - HANDLER;
/// The first one of the mask.
pub(crate) const MASK: usize = if cfg!(any(target_arch = "mips", target_arch = "riscv64")) {
    2
} else {
    3
};

/// Sets what `signal` does; SIGKILL and SIGSTOP stay as they are.
pub fn set_disposition(signal: u8, disposition: Disposition) {
    // With no handler, nothing else counts.
    let mut action = Action::default();
    action[HANDLER] = disposition as usize;
    // SAFETY: the kernel reads a `struct kernel_sigaction`, which is no longer than `action`, and, for a null old action, writes
    // nothing. What it is to do calls nothing of ours.
    let _ = unsafe {
        call(
            k::__NR_rt_sigaction,
            [
                usize::from(signal),
                action.as_ptr().expose_provenance(),
                0,
                SET_BYTES,
                0,
                0,
            ],
        )
    };
}

/// What `signal` does now. A handler counts as the default, which is what it becomes on exec.
pub fn disposition(signal: u8) -> Disposition {
    let mut action = Action::default();
    // SAFETY: null for the new action changes nothing; the kernel writes a `struct kernel_sigaction`, which is no longer than
    // `action`.
    let _ = unsafe {
        call(
            k::__NR_rt_sigaction,
            [
                usize::from(signal),
                0,
                action.as_mut_ptr().expose_provenance(),
                SET_BYTES,
                0,
                0,
            ],
        )
    };
    if action[HANDLER] == Disposition::Ignore as usize {
        Disposition::Ignore
    } else {
        Disposition::Default
    }
}

/// The signals that a program gets for a bug of its own.
pub const BUGS: [u8; 7] = [
    k::SIGILL as u8,
    k::SIGTRAP as u8,
    k::SIGABRT as u8,
    k::SIGBUS as u8,
    k::SIGFPE as u8,
    k::SIGSEGV as u8,
    k::SIGSYS as u8,
];

/// `stack_t` in words: the address, and in either order the flags and the size.
pub(crate) type AlternateStack = [usize; 3];
/// The word that is the size.
pub(crate) const STACK_SIZE: usize = if cfg!(target_arch = "mips") { 1 } else { 2 };

/// A stack for [`end_at_bugs`]: the usual one may be what is broken.
#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; 16 * 1024]>);

// SAFETY: nobody but the kernel gets its address, which puts the one thread of the program on it.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new([0; 16 * 1024]));

/// Calls `end` with the signal's number when one of [`BUGS`] comes, whether the kernel found the bug or somebody sent it.
/// `end` runs on a stack of its own, and all signals are blocked. The program does not go on.
pub fn end_at_bugs(end: extern "C" fn(i32) -> !) {
    let mut stack = AlternateStack::default();
    stack[0] = STACK.0.get().expose_provenance();
    stack[STACK_SIZE] = size_of::<Stack>();
    // SAFETY: the kernel reads a `stack_t`. The memory that it names is static, and nothing else uses it. On 64-bit machines the
    // flags take half of their word, and the other half is padding.
    let _ = unsafe { call(k::__NR_sigaltstack, [stack.as_ptr().expose_provenance(), 0, 0, 0, 0, 0]) };
    let mut action = Action::default();
    let end = end as *const () as usize;
    action[HANDLER] = end;
    action[FLAGS] = k::SA_ONSTACK as usize;
    action[MASK..MASK + SET_BYTES / size_of::<usize>()].fill(usize::MAX);
    if MASK == 3 {
        // The kernel of x86_64 wants to be told how a handler comes back, which this one does not.
        const SA_RESTORER: usize = 0x0400_0000;
        action[FLAGS] |= SA_RESTORER;
        action[2] = end;
    }
    for signal in BUGS {
        let arguments = [
            usize::from(signal),
            action.as_ptr().expose_provenance(),
            0,
            SET_BYTES,
            0,
            0,
        ];
        // SAFETY: the kernel reads a `struct kernel_sigaction`, which is no longer than `action`. What it then calls is a
        // function that takes the number of a signal and never returns, at a moment that nobody chose: but as nothing goes on
        // after it, nothing can find what it has changed. It runs on a stack that nobody else has, and all signals are
        // blocked, so it is never called while it runs.
        let _ = unsafe { call(k::__NR_rt_sigaction, arguments) };
    }
}

/// Asks for `signal` when this process's parent ends; real-time signals too, which rustix's type does not name.
pub fn set_parent_death_signal(signal: u8) -> Result<()> {
    const PR_SET_PDEATHSIG: usize = 1;
    // SAFETY: prctl(PR_SET_PDEATHSIG) takes a number.
    unsafe { call(k::__NR_prctl, [PR_SET_PDEATHSIG, usize::from(signal), 0, 0, 0, 0]) }.map(drop)
}
