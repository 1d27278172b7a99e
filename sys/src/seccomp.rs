//! Seccomp filters.

use core::marker::PhantomData;
use core::ptr;

use linux_raw_sys::general as k;
use rustix::fd::FromRawFd;
use rustix::io::{Errno, Result};

use crate::OwnedFd;
use crate::call::call;

/// `struct sock_fprog`: a 16-bit length, padding, a pointer. It borrows what that is of.
#[repr(C)]
pub(crate) struct Program<'a, T> {
    pub(crate) length: u16,
    pub(crate) instructions: *const T,
    borrowed: PhantomData<&'a [T]>,
}

impl<'a, T: Copy> Program<'a, T> {
    fn of(instructions: &'a [T]) -> Result<Self> {
        const { assert!(size_of::<T>() == 8 && align_of::<T>() == 4) };
        Ok(Self {
            length: u16::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?,
            instructions: instructions.as_ptr(),
            borrowed: PhantomData,
        })
    }
}

fn set_mode_filter<T>(program: &Program<'_, T>, flags: u32) -> Result<usize> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let address = ptr::from_ref(program).expose_provenance();
    let arguments = [SECCOMP_SET_MODE_FILTER, flags as usize, address, 0, 0, 0];
    // SAFETY: the kernel reads the structure and `length` instructions of 8 bytes, all of which is borrowed for the call: `of`,
    // which alone makes a `Program`, has looked at the size of one, and has the length from the slice. It writes nothing.
    unsafe { call(k::__NR_seccomp, arguments) }
}

/// Puts a filter on this process, for good and for all that it becomes.
///
/// `instructions` is an array of `struct sock_filter`: 8 bytes each, laid out as C does. `T` is whoever's type that is. The
/// kernel checks the program before it takes it.
///
/// # Errors
/// `EACCES` without no_new_privs and without CAP_SYS_ADMIN; `EINVAL` for what is no filter, and on kernels without filters.
pub fn load_filter<T: Copy>(instructions: &[T], flags: u32) -> Result<()> {
    const PR_SET_SECCOMP: usize = 22;
    const SECCOMP_MODE_FILTER: usize = 2;
    let program = Program::of(instructions)?;
    match set_mode_filter(&program, flags) {
        // Before 3.17 there was prctl, which takes no flags.
        Err(Errno::NOSYS) if flags == 0 => {
            let address = ptr::from_ref(&program).expose_provenance();
            // SAFETY: as in `set_mode_filter`.
            unsafe { call(k::__NR_prctl, [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0, 0]) }.map(drop)
        }
        other => other.map(drop),
    }
}

/// The same, for a filter that has the kernel ask at the returned descriptor (Linux 5.0).
///
/// # Errors
/// `EBUSY` where another filter on the way has such a descriptor already; else as for [`load_filter`].
pub fn load_filter_with_listener<T: Copy>(instructions: &[T], flags: u32) -> Result<OwnedFd> {
    const SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 8;
    let fd = set_mode_filter(&Program::of(instructions)?, flags | SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    // SAFETY: the kernel made this descriptor just now, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
