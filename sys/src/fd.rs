//! Descriptors that belong to somebody, and how files are opened.

use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, ResolveFlags, memfd_create, openat, openat2};
use rustix::io::{Errno, Result};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A descriptor that is closed when this is dropped.
///
/// It is rustix's, but for a check with each borrow that it is not -1, which one of the kernel's never is: the calls of that
/// check alone were a kilobyte.
#[derive(Debug)]
#[repr(transparent)]
pub struct OwnedFd(rustix::fd::OwnedFd);

impl AsFd for OwnedFd {
    #[inline(always)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `BorrowedFd` is a descriptor and nothing else, as its `repr(transparent)` promises; this one is open for as
        // long as `self` lives, and it is not -1, since rustix's type cannot be.
        unsafe { core::mem::transmute::<RawFd, BorrowedFd<'_>>(self.0.as_raw_fd()) }
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        self.0.into_raw_fd()
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller's contract is the same.
        Self(unsafe { rustix::fd::OwnedFd::from_raw_fd(fd) })
    }
}

impl From<rustix::fd::OwnedFd> for OwnedFd {
    fn from(fd: rustix::fd::OwnedFd) -> Self {
        Self(fd)
    }
}

/// Opens what is at `path`, which exists; the descriptor is closed on exec.
#[inline(never)]
pub fn open(path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    open_in(CWD, path, flags)
}

/// The same below `directory`.
#[inline(never)]
pub fn open_in(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    create_in(directory, path, flags, Mode::empty())
}

/// Opens a file that is made with this mode where `flags` have `CREATE` and it does not exist.
#[inline(never)]
pub fn create_in(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    openat(directory, path, flags | OFlags::CLOEXEC, mode).map(OwnedFd)
}

/// Opens what is at `path` below `directory` in one of the ways of openat2(2) (Linux 5.6).
#[inline(never)]
pub fn open_resolved(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd> {
    openat2(directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map(OwnedFd)
}

/// A detached copy of the mount at `path` below `directory` (Linux 5.2).
#[inline(never)]
pub fn clone_tree(directory: BorrowedFd<'_>, path: &CStr, flags: OpenTreeFlags) -> Result<OwnedFd> {
    let flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(directory, path, flags).map(OwnedFd)
}

/// A descriptor that stands for the process `pid` (Linux 5.3).
///
/// # Errors
/// The kernel's; `ESRCH` for what is no number of a process.
#[inline(never)]
pub fn open_process(pid: i32) -> Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty()).map(OwnedFd)
}

/// A pipe: the end to read from, where a read does not wait, and the end to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((OwnedFd(read), OwnedFd(write)))
}

/// A file in memory, called `name` where descriptors are listed.
pub fn memory_file(name: &CStr, flags: MemfdFlags) -> Result<OwnedFd> {
    memfd_create(name, flags | MemfdFlags::CLOEXEC).map(OwnedFd)
}
