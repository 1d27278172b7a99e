//! Making and ending processes.

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd};
use rustix::io::{Errno, Result};
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};

use crate::OwnedFd;
use crate::call::call;

/// Ends the process with `status`.
pub fn exit(status: u8) -> ! {
    // SAFETY: exit_group takes a number and touches no memory of ours.
    let _ = unsafe { call(k::__NR_exit_group, [usize::from(status), 0, 0, 0, 0, 0]) };
    // The call above does not return. A loop says so to the compiler without an instruction that could be skipped.
    loop {
        core::hint::spin_loop();
    }
}

/// Writes to descriptor 2, whatever it is.
pub fn write_stderr(bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads `bytes`, which is borrowed for the call. That descriptor 2 may be closed is the kernel's
    // to notice (EBADF).
    unsafe {
        call(
            k::__NR_write,
            [2, bytes.as_ptr().expose_provenance(), bytes.len(), 0, 0, 0],
        )
    }
}

/// Writes to descriptor 1, whatever it is.
pub fn write_stdout(bytes: &[u8]) -> Result<usize> {
    // SAFETY: as for `write_stderr`.
    unsafe {
        call(
            k::__NR_write,
            [1, bytes.as_ptr().expose_provenance(), bytes.len(), 0, 0, 0],
        )
    }
}

/// The descriptor with `number`, which the caller of the program promised to be open (standard streams,
/// `--preserve-fds`).
///
/// Nothing is undefined if it is not: every call on it then gives EBADF. It must not be one that this program owns.
pub fn inherited_fd(number: i32) -> BorrowedFd<'static> {
    // SAFETY: `BorrowedFd` asks that the descriptor stay open while it is borrowed. We never close a descriptor that we
    // did not open, so an inherited one stays open until exec (one that is replaced stays open as well); and -1, which would be
    // a niche, is excluded.
    unsafe { BorrowedFd::borrow_raw(number.max(0)) }
}

/// The child's side and the parent's side of [`spawn`].
pub enum Spawned {
    /// This is the new process.
    Child,
    /// This is the old one.
    Parent(Child),
}

/// A process that was just made.
pub struct Child {
    /// Its number in the caller's pid namespace.
    pub pid: i32,
    /// A descriptor of it, where the kernel has them (5.2 for clone, 5.3 for clone3).
    pub pidfd: Option<OwnedFd>,
}

/// Where and how a new process starts.
#[derive(Default)]
pub struct SpawnOptions<'a> {
    /// `CLONE_NEW*` bits.
    pub namespaces: u32,
    /// Become a child of the caller's parent (`CLONE_PARENT`).
    pub sibling: bool,
    /// Start inside this cgroup v2 directory (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// `struct clone_args`, which is made of numbers of 64 bits.
pub(crate) type CloneArguments = [u64; 11];

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = crate::signal::SIGCHLD as u64;

/// Forks, with new namespaces. `clone3`, and where the kernel (before 5.3) or a filter has none, `clone`.
///
/// Everything may be done in the child: the program has one thread, so the copy is complete, and it shares no memory with
/// the parent. The child must not return from the function that called this into code that was written for the parent.
///
/// # Errors
/// The kernel's. With `cgroup` on a kernel without `CLONE_INTO_CGROUP` it is `E2BIG`, `EINVAL` or `ENOSYS`, and nothing was
/// made: call again without it.
pub fn spawn(options: &SpawnOptions<'_>) -> Result<Spawned> {
    let mut pidfd: i32 = -1;
    let mut flags = u64::from(options.namespaces) | CLONE_PIDFD;
    let mut arguments = CloneArguments::default();
    if options.sibling {
        flags |= CLONE_PARENT;
    } else {
        arguments[4] = SIGCHLD;
    }
    let mut size = 64;
    if let Some(cgroup) = options.cgroup {
        flags |= CLONE_INTO_CGROUP;
        arguments[10] = cgroup.as_raw_fd() as u64;
        size = 88;
    }
    arguments[0] = flags;
    arguments[1] = (&raw mut pidfd).expose_provenance() as u64;
    // SAFETY: `arguments` is a `struct clone_args` of version 0 (64 bytes) or 2 (88 bytes): flags, pidfd, child_tid,
    // parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup. The kernel writes one int to
    // `pidfd`, which outlives the call, and nothing else: no flag asks for the other numbers to be written. CLONE_VM is never
    // set, as the namespaces' bits do not have it, so the child has a copy of this stack and a zero stack pointer means to go
    // on with it.
    let result = match unsafe {
        call(
            k::__NR_clone3,
            [arguments.as_ptr().expose_provenance(), size, 0, 0, 0, 0],
        )
    } {
        Err(Errno::NOSYS | Errno::PERM) if options.cgroup.is_none() => {
            spawn_with_clone(options.namespaces, options.sibling, &mut pidfd)
        }
        other => other,
    }?;
    if result == 0 {
        return Ok(Spawned::Child);
    }
    // SAFETY: it was -1 until the call that has succeeded, so the kernel has set it to a new descriptor, which nobody else
    // knows.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    Ok(Spawned::Parent(Child {
        pid: result as i32,
        pidfd,
    }))
}

/// `clone(2)`: no cgroup, no time namespace (its bit lies where `clone` has the exit signal).
fn spawn_with_clone(namespaces: u32, sibling: bool, pidfd: &mut i32) -> Result<usize> {
    const CLONE_NEWTIME: u32 = 0x80;
    if namespaces & CLONE_NEWTIME != 0 {
        return Err(Errno::NOSYS);
    }
    let mut flags = u64::from(namespaces) | SIGCHLD;
    if sibling {
        flags |= CLONE_PARENT;
    }
    let clone = |flags: u64, pidfd: usize| {
        // SAFETY: no CLONE_VM, so a zero stack means the copy of this one. The third argument is where CLONE_PIDFD
        // writes an int, on every architecture that we have: the caller's, which is borrowed for this; without that flag the
        // kernel does not look at it.
        unsafe { call(k::__NR_clone, [flags as usize, 0, pidfd, 0, 0, 0]) }
    };
    match clone(flags | CLONE_PIDFD, core::ptr::from_mut(pidfd).expose_provenance()) {
        // Before 5.2 an unknown flag was ignored, or refused where it collided with CLONE_PARENT_SETTID's checks.
        Err(Errno::INVAL) => clone(flags, 0),
        other => other,
    }
}

/// Forks, and that is all: the new process's number in the old one, `None` in the new one. On the terms of [`spawn`].
pub fn fork() -> Result<Option<i32>> {
    // SAFETY: without CLONE_VM the child has a copy of this memory, so a zero stack pointer means to go on with the copy of
    // this stack. No flag asks the kernel to write anything.
    let pid = unsafe { call(k::__NR_clone, [SIGCHLD as usize, 0, 0, 0, 0, 0]) }?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Waits until the child `pid` has ended.
#[inline(never)]
pub fn wait(pid: i32) -> Result<WaitStatus> {
    loop {
        match waitpid(Pid::from_raw(pid), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            // Without `NOHANG` there is always a child to tell of.
            ended => return ended?.map(|(_, status)| status).ok_or(Errno::CHILD),
        }
    }
}

/// Sets the resource limit with the kernel's number `resource` for the process `pid`, 0 for this one. The largest number is
/// "unlimited".
pub fn set_rlimit(pid: i32, resource: u8, soft: u64, hard: u64) -> Result<()> {
    let new: [u64; 2] = [soft, hard];
    // SAFETY: prlimit64 reads a `struct rlimit64` of two 64-bit numbers from `new` and writes nothing for a null old limit.
    unsafe {
        call(
            k::__NR_prlimit64,
            [
                pid as usize,
                usize::from(resource),
                new.as_ptr().expose_provenance(),
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// Gives this process a session keyring of its own, so that it does not hold the keys of its caller.
pub fn join_new_session_keyring(name: &core::ffi::CStr) -> Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    // SAFETY: the kernel reads the NUL-terminated name.
    unsafe {
        call(
            k::__NR_keyctl,
            [
                KEYCTL_JOIN_SESSION_KEYRING,
                name.as_ptr().expose_provenance(),
                0,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// `struct sched_attr` of `linux/sched/types.h`, its first version.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SchedulerAttributes {
    size: u32,
    /// The policy's number.
    pub policy: u32,
    /// `SCHED_FLAG_` bits.
    pub flags: u64,
    /// For the policies without priorities.
    pub nice: i32,
    /// For those with.
    pub priority: u32,
    /// Nanoseconds, for deadlines.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// Sets how this process is scheduled (`sched_setattr`, Linux 3.14).
pub fn set_scheduler(mut attributes: SchedulerAttributes) -> Result<()> {
    attributes.size = size_of::<SchedulerAttributes>() as u32;
    // SAFETY: the kernel reads `size` bytes of the structure, which says its own size, and should it find that too large it
    // writes the size that it knows into the same member.
    unsafe {
        call(
            k::__NR_sched_setattr,
            [0, (&raw mut attributes).expose_provenance(), 0, 0, 0, 0],
        )
    }
    .map(drop)
}

/// Sets the class and priority of this process's disk accesses (`ioprio_set`).
pub fn set_io_priority(class: u8, priority: u8) -> Result<()> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    const IOPRIO_CLASS_SHIFT: usize = 13;
    let value = usize::from(class) << IOPRIO_CLASS_SHIFT | usize::from(priority);
    // SAFETY: ioprio_set takes numbers; 0 is the caller.
    unsafe { call(k::__NR_ioprio_set, [IOPRIO_WHO_PROCESS, 0, value, 0, 0, 0]) }.map(drop)
}

/// Restricts the process `pid`, 0 for this one, to the processors whose bits are set.
pub fn set_affinity(pid: i32, processors: &[usize]) -> Result<()> {
    let arguments = [
        pid as usize,
        size_of_val(processors),
        processors.as_ptr().expose_provenance(),
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads at most that many bytes of the mask, which is borrowed for the call.
    unsafe { call(k::__NR_sched_setaffinity, arguments) }.map(drop)
}

/// Sets the memory policy of this process, by the numbers of `linux/mempolicy.h`, for the nodes whose bits are set.
pub fn set_memory_policy(mode: u32, nodes: &[usize]) -> Result<()> {
    let used = nodes.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
    // The kernel takes one off the number of bits (set_mempolicy(2), BUGS), and refuses bits of nodes that it cannot have;
    // it reads nothing at all for none.
    let bits = if used == 0 { 0 } else { used * usize::BITS as usize + 1 };
    let arguments = [mode as usize, nodes.as_ptr().expose_provenance(), bits, 0, 0, 0];
    // SAFETY: the kernel reads `bits - 1` bits, which are the first `used` words of the borrowed mask, in whole words.
    unsafe { call(k::__NR_set_mempolicy, arguments) }.map(drop)
}

/// Which clock.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Clock {
    /// The time of day.
    Realtime = 0,
    /// Time since some point, which nobody sets.
    Monotonic = 1,
}

/// The time. rustix asks the vDSO, which saves time in a loop, and costs 2 KB of code to find where it is asked once.
pub fn now(clock: Clock) -> rustix::time::Timespec {
    let mut time = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    // The older call has 32-bit seconds where words have 32 bits.
    #[cfg(target_pointer_width = "64")]
    let number = k::__NR_clock_gettime;
    #[cfg(target_pointer_width = "32")]
    let number = k::__NR_clock_gettime64;
    // SAFETY: the kernel writes a `struct __kernel_timespec`, two 64-bit numbers, which `Timespec` is.
    let told = unsafe {
        call(
            number,
            [clock as usize, (&raw mut time).expose_provenance(), 0, 0, 0, 0],
        )
    };
    if cfg!(target_pointer_width = "32") && told.is_err() {
        // Before Linux 5.1.
        let mut old = [0_i32; 2];
        // SAFETY: the kernel writes a `struct timespec`, two 32-bit numbers.
        let _ = unsafe {
            call(
                k::__NR_clock_gettime,
                [clock as usize, (&raw mut old).expose_provenance(), 0, 0, 0, 0],
            )
        };
        (time.tv_sec, time.tv_nsec) = (old[0].into(), old[1].into());
    }
    time
}

/// Sets the execution domain (`personality(2)`).
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: personality takes a number.
    unsafe { call(k::__NR_personality, [domain as usize, 0, 0, 0, 0, 0]) }.map(drop)
}
