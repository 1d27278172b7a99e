//! Descriptors.

use core::ffi::CStr;

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};

use crate::OwnedFd;
use crate::call::{call, ioctl};

/// Closes the descriptors `first` to `last` (Linux 5.9).
///
/// Owned descriptors in the range become invalid, so this is for a process that is about to exec.
pub fn close_range(first: u32, last: u32) -> Result<()> {
    // SAFETY: close_range takes numbers and touches no memory: nothing here is mapped from a descriptor. The caller accepts,
    // per the contract above, that owned descriptors die; a call on one of them then fails with EBADF.
    unsafe { call(k::__NR_close_range, [first as usize, last as usize, 0, 0, 0, 0]) }.map(drop)
}

/// Closes one descriptor by number, under the same contract as [`close_range`].
pub fn close_one(fd: u32) -> Result<()> {
    // SAFETY: as for `close_range`.
    unsafe { call(k::__NR_close, [fd as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// Leaves `fd` to the [`close_range`] or the end that this process is on its way to: one call closes them all. The table of
/// descriptors has room for this many from the start; those beyond are closed at once.
pub fn leave_open(fd: OwnedFd) {
    const ROOM: i32 = 64;
    if fd.as_raw_fd() >= ROOM {
        fd.close();
    }
}

/// Clears close-on-exec on `fd`, so that the next program has it.
pub fn keep_on_exec(fd: BorrowedFd<'_>) -> Result<()> {
    const F_SETFD: usize = 2;
    // SAFETY: fcntl(F_SETFD) takes numbers.
    unsafe { call(k::__NR_fcntl, [fd.as_raw_fd() as usize, F_SETFD, 0, 0, 0, 0]) }.map(drop)
}

/// Makes descriptor `number` (a standard stream) a copy of `fd`, without close-on-exec.
pub fn replace_standard_stream(fd: BorrowedFd<'_>, number: i32) -> Result<()> {
    if fd.as_raw_fd() == number {
        // dup3 refuses equal numbers; all that is wanted is that the descriptor survives exec.
        return keep_on_exec(fd);
    }
    // SAFETY: dup3 takes numbers. The descriptor that is replaced is a standard stream, which no `OwnedFd` of ours holds.
    match unsafe { call(k::__NR_dup3, [fd.as_raw_fd() as usize, number as usize, 0, 0, 0, 0]) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Bytes of `struct ifreq`: 40 where words have 64 bits, and 32 elsewhere.
pub(crate) const REQUEST_BYTES: usize = 40;

/// Brings the network interface `lo` of this network namespace up.
///
/// # Errors
/// The kernel's; `EAFNOSUPPORT` on a kernel without IPv4.
pub fn bring_loopback_up(socket: BorrowedFd<'_>) -> Result<()> {
    const SIOCSIFFLAGS: u32 = 0x8914;
    const IFF_UP: u16 = 1;
    const IFF_RUNNING: u16 = 0x40;
    // A name of 16 bytes, then a union of which the flags are the first two.
    let mut request = [0_u8; REQUEST_BYTES];
    [request[0], request[1]] = *b"lo";
    [request[16], request[17]] = (IFF_UP | IFF_RUNNING).to_ne_bytes();
    // SAFETY: SIOCSIFFLAGS reads a `struct ifreq` from `request`, which is at least that long, and writes nothing.
    unsafe { ioctl(socket, SIOCSIFFLAGS, request.as_ptr().expose_provenance()) }.map(drop)
}

/// The working directory's path. Outside of this process's root it begins with "(unreachable)".
///
/// The C library's function would look the path up where the kernel says that; here that is what is asked for.
pub fn current_directory(memory: &mut [u8]) -> Result<&CStr> {
    // SAFETY: the kernel writes at most `memory.len()` bytes, into what is borrowed for that, and reads nothing.
    let n = unsafe {
        call(
            k::__NR_getcwd,
            [memory.as_mut_ptr().expose_provenance(), memory.len(), 0, 0, 0, 0],
        )
    }?;
    // The length counts the NUL.
    CStr::from_bytes_until_nul(memory.get(..n).unwrap_or_default()).map_err(|_| Errno::RANGE)
}

/// What the link at `path` below `directory` says, as far as it fits. An empty path is the link that `directory` is itself.
#[inline(never)]
pub fn read_link<'m>(directory: BorrowedFd<'_>, path: &CStr, memory: &'m mut [u8]) -> Result<&'m [u8]> {
    let place = memory.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel reads a path that ends with a NUL, and writes at most `memory.len()` bytes into what is borrowed for
    // that.
    let n = unsafe {
        call(
            k::__NR_readlinkat,
            [
                directory.as_raw_fd() as usize,
                path.as_ptr().expose_provenance(),
                place,
                memory.len(),
                0,
                0,
            ],
        )
    }?;
    Ok(memory.get(..n).unwrap_or_default())
}

/// Whether `errno` says that the kernel, or a filter in front of it, does not have the system call.
pub fn is_missing(errno: Errno) -> bool {
    // A seccomp filter of a container manager may answer EPERM where the kernel would do the call.
    errno == Errno::NOSYS || errno == Errno::PERM
}
