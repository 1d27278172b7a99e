//! Asking the kernel what it knows, by calls that cannot do anything.

use linux_raw_sys::general as k;
use rustix::io::{Errno, Result};

use crate::call::call;

/// System calls that a kernel may lack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `clone3`
    Clone3,
    /// `open_tree`
    OpenTree,
    /// `mount_setattr`
    MountSetattr,
    /// `pidfd_open`
    PidfdOpen,
    /// `close_range`
    CloseRange,
    /// `memfd_create`
    MemfdCreate,
    /// `keyctl`
    Keyctl,
}

/// Makes the call with arguments that every kernel which has it refuses. `ENOSYS` means that it is missing.
pub fn call_with_nonsense(which: Call) -> Result<()> {
    const NO_FD: usize = usize::MAX;
    // One that kernels have no meaning for.
    const UNKNOWN_FLAG: usize = 1 << 30;
    let (number, arguments) = match which {
        // A structure of no size is EINVAL.
        Call::Clone3 => (k::__NR_clone3, [0; 6]),
        // An unknown flag is EINVAL; and there is no path.
        Call::OpenTree => (k::__NR_open_tree, [NO_FD, 0, UNKNOWN_FLAG, 0, 0, 0]),
        // The same, and a structure of no size.
        Call::MountSetattr => (k::__NR_mount_setattr, [NO_FD, 0, UNKNOWN_FLAG, 0, 0, 0]),
        // There is no process 0.
        Call::PidfdOpen => (k::__NR_pidfd_open, [0; 6]),
        // The first is above the last.
        Call::CloseRange => (k::__NR_close_range, [1, 0, 0, 0, 0, 0]),
        // A null name is EFAULT.
        Call::MemfdCreate => (k::__NR_memfd_create, [0; 6]),
        // No such operation.
        Call::Keyctl => (k::__NR_keyctl, [0xffff, 0, 0, 0, 0, 0]),
    };
    // SAFETY: each of these calls is refused for the reason above before it changes anything. All addresses are null, from where
    // the kernel can read nothing, and none of the calls writes to memory.
    unsafe { call(number, arguments) }.map(drop)
}

/// Whether a seccomp filter could be loaded: a null program is EFAULT where there are filters and EINVAL where there are none.
pub fn has_seccomp_filters() -> bool {
    const PR_SET_SECCOMP: usize = 22;
    const SECCOMP_MODE_FILTER: usize = 2;
    // SAFETY: the kernel only reads what the address is of. At 0 there is nothing, so it loads no filter.
    let result = unsafe { call(k::__NR_prctl, [PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0, 0]) };
    result == Err(Errno::FAULT)
}
