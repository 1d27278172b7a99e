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
pub unsafe fn call(number: u32, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's contract is the same.
    let result = unsafe { arch::syscall(number, arguments) };
    if (-4095..0).contains(&result) {
        Err(Errno::from_raw_os_error(-result as i32))
    } else {
        Ok(result as usize)
    }
}

/// Issues an `ioctl`.
///
/// # Safety
/// As for [`call`]: where the operation takes an address, `argument` is that of as many bytes as it reads or writes, and they
/// may be written where it writes. Another kind of device may take the same number for another operation, so `fd` has to be of
/// the kind that the caller means, or the number has to have the size in it, as most have.
pub unsafe fn ioctl(fd: BorrowedFd<'_>, operation: u32, argument: usize) -> Result<usize> {
    // SAFETY: the caller's contract is the same.
    unsafe {
        call(
            __NR_ioctl,
            [fd.as_raw_fd() as usize, operation as usize, argument, 0, 0, 0],
        )
    }
}
