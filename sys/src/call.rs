//! The second ring's only door to the instruction: results become `Result`.

use linux_raw_sys::general::__NR_ioctl;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};

use crate::arch;

/// What the kernel answers: a number, or below 0 an error.
///
/// Where functions of ours stand between the kernel and who wants to know, they hand on this: it fits a register, and one
/// comparison tells what it is. It becomes a [`Result`] with the one who asked, which [`answers!`] sees to.
#[derive(Clone, Copy)]
pub(crate) struct Answer(pub(crate) i32);

// Each method compares for itself: a result that is made of another's is put together and taken apart again.
impl Answer {
    /// The error.
    ///
    /// # Safety
    /// It is one: below 0.
    #[inline(always)]
    pub(crate) unsafe fn error(self) -> Errno {
        // SAFETY: the kernel's errors go to 4095 (`MAX_ERRNO` of `linux/err.h`), and those that are made here are of them; that it
        // is below 0 is the caller's contract. A tracer, or a supervisor of seccomp, can answer anything in the kernel's place,
        // but it may change this process as it likes, too.
        unsafe { core::hint::assert_unchecked(-4095 <= self.0 && self.0 < 0) };
        Errno::from_raw_os_error(-self.0)
    }

    /// The number.
    #[inline(always)]
    pub(crate) fn number(self) -> Result<usize> {
        if self.0 < 0 {
            // SAFETY: it is below 0.
            Err(unsafe { self.error() })
        } else {
            Ok(self.0 as usize)
        }
    }

    /// Whether it was done.
    #[inline(always)]
    pub(crate) fn done(self) -> Result<()> {
        if self.0 < 0 {
            // SAFETY: it is below 0.
            Err(unsafe { self.error() })
        } else {
            Ok(())
        }
    }
}

/// Functions that give an [`Answer`], and to callers what the method of it says.
macro_rules! answers {
    ($($(#[$about:meta])* pub fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty = $meaning:ident $body:block)*) => {$(
        $(#[$about])*
        #[inline(always)]
        pub fn $name($($argument: $type),*) -> $result {
            answer::$name($($argument),*).$meaning()
        }
    )*

        /// The same, one call deeper.
        mod answer {
            use super::*;
            $(
                #[inline(never)]
                pub(super) fn $name($($argument: $type),*) -> $crate::call::Answer $body
            )*
        }
    };
}
pub(crate) use answers;

/// Issues `number`, whose answer is a small number.
///
/// # Safety
/// As for [`call`].
#[inline(always)]
pub(crate) unsafe fn ask(number: u32, arguments: [usize; 6]) -> Answer {
    // SAFETY: the caller's contract is the same.
    Answer(unsafe { arch::syscall(number, arguments) } as i32)
}

/// Issues `number` and turns the kernel's -4095..=-1 into an error.
///
/// Callers expose the pointers that are among the arguments: of a bare address the compiler may think that nobody reads or
/// writes what is there.
///
/// # Safety
/// As for [`arch::syscall`].
pub unsafe fn call(number: u32, arguments: [usize; 6]) -> Result<usize> {
    // SAFETY: the caller's contract is the same.
    let answer = unsafe { arch::syscall(number, arguments) };
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
    unsafe fn answer(fd: BorrowedFd<'_>, operation: u32, argument: usize) -> Answer {
        // SAFETY: the caller's contract is the same.
        unsafe {
            ask(
                __NR_ioctl,
                [fd.as_raw_fd() as usize, operation as usize, argument, 0, 0, 0],
            )
        }
    }
    // SAFETY: the caller's contract is the same.
    unsafe { answer(fd, operation, argument) }.number()
}
