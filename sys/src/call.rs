//! The second ring's only door to the instruction: results become `Result`.

use linux_raw_sys::general::__NR_ioctl;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};

use crate::arch;

/// Issues `number` and turns the kernel's -4095..=-1 into an error.
///
/// Callers expose the pointers that are among the arguments: of a bare address the compiler may think that nobody reads or
/// writes what is there.
///
/// # Safety
/// As for [`arch::syscall`].
#[inline(always)]
pub unsafe fn call(number: u32, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's contract is the same.
    result(unsafe { arch::syscall(number, arguments) })
}

/// What the kernel's answer says.
#[inline(always)]
fn result(answer: isize) -> Result<usize> {
    if (-4095..0).contains(&answer) {
        Err(Errno::from_raw_os_error(-answer as i32))
    } else {
        Ok(answer as usize)
    }
}

/// Issues an `ioctl`.
///
/// # Safety
/// As for [`call`]: where the operation takes an address, `argument` is that of as many bytes as it reads or writes, and they
/// may be written where it writes. Another kind of device may take the same number for another operation, so `fd` has to be of
/// the kind that the caller means, or the number has to have the size in it, as most have.
#[inline(always)]
pub unsafe fn ioctl(fd: BorrowedFd<'_>, operation: u32, argument: usize) -> Result<usize> {
    #[inline(never)]
    unsafe fn answer(fd: BorrowedFd<'_>, operation: u32, argument: usize) -> isize {
        // SAFETY: the caller's contract is the same.
        unsafe {
            arch::syscall(
                __NR_ioctl,
                [fd.as_raw_fd() as usize, operation as usize, argument, 0, 0, 0],
            )
        }
    }
    // SAFETY: the caller's contract is the same.
    result(unsafe { answer(fd, operation, argument) })
}
