//! Namespaces.

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

use crate::call::{answers, ask};

answers! {
    /// Gives this process new namespaces: `CLONE_NEW*` bits and nothing else. A new pid or time namespace is for children.
    pub fn unshare(namespaces: u32) -> Result<()> = done {
        // SAFETY: unshare takes a number and touches no memory. By contract it holds only bits of namespaces; the others would part
        // this thread from what it shares with threads of the same process, of which there are none.
        unsafe { ask(k::__NR_unshare, [namespaces as usize, 0, 0, 0, 0, 0]) }
    }

    /// Enters the namespace that `fd` stands for, or, where it is a pidfd (Linux 5.8), those of the process with the bits in
    /// `kinds`. `kinds` of 0 accepts any kind.
    pub fn enter(fd: BorrowedFd<'_>, kinds: u32) -> Result<()> = done {
        // SAFETY: setns takes numbers.
        unsafe { ask(k::__NR_setns, [fd.as_raw_fd() as usize, kinds as usize, 0, 0, 0, 0]) }
    }
}
