//! Seccomp filters.

use core::ptr;

use linux_raw_sys::general as k;
use rustix::io::{Errno, Result};

use crate::call::call;

/// Puts a filter on this process, for good and for all that it becomes.
///
/// `program` is an array of `struct sock_filter`: 8 bytes each, laid out as C does. `T` is whoever's type that is. The
/// kernel checks the program before it takes it.
///
/// # Errors
/// `EACCES` without no_new_privs and without CAP_SYS_ADMIN; `EINVAL` for what is no filter, and on kernels without filters.
pub fn load_filter<T: Copy>(program: &[T], flags: u32) -> Result<()> {
    const { assert!(size_of::<T>() == 8 && align_of::<T>() == 4) };
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    const PR_SET_SECCOMP: usize = 22;
    const SECCOMP_MODE_FILTER: usize = 2;
    let length = u16::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    // `struct sock_fprog`: a 16-bit length, padding, a pointer.
    #[repr(C)]
    struct Program<T> {
        length: u16,
        instructions: *const T,
    }
    let program = Program {
        length,
        instructions: program.as_ptr(),
    };
    let address = ptr::from_ref(&program).addr();
    // SAFETY: the kernel reads the structure and `length` instructions of 8 bytes, all of which is borrowed for the call.
    match unsafe {
        call(
            k::__NR_seccomp,
            [SECCOMP_SET_MODE_FILTER, flags as usize, address, 0, 0, 0],
        )
    } {
        // Before 3.17 there was prctl, which takes no flags.
        Err(Errno::NOSYS) if flags == 0 => {
            // SAFETY: as above.
            unsafe { call(k::__NR_prctl, [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0, 0]) }.map(drop)
        }
        other => other.map(drop),
    }
}
