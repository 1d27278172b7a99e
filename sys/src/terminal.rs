//! Process groups and the foreground of a terminal, by number.
//!
//! In a pid namespace the number of a group that lies outside is 0, which rustix's `Pid` cannot hold: its `getpgrp` would
//! make an invalid value of it.

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

use crate::call::call;

/// The process group of this process, 0 where it lies outside of the pid namespace.
pub fn own_group() -> i32 {
    // SAFETY: getpgid takes a number; 0 is this process, for which it cannot fail.
    unsafe { call(k::__NR_getpgid, [0; 6]) }.map_or(0, |group| group as i32)
}

/// The group that is in the foreground of the terminal `fd`, 0 where it lies outside of the pid namespace.
///
/// # Errors
/// `ENOTTY` where `fd` is no terminal, or not the one that controls this process's session.
pub fn foreground_group(fd: BorrowedFd<'_>) -> Result<i32> {
    let mut group = 0_i32;
    // SAFETY: TIOCGPGRP writes one int.
    unsafe {
        call(
            k::__NR_ioctl,
            [
                fd.as_raw_fd() as usize,
                linux_raw_sys::ioctl::TIOCGPGRP as usize,
                (&raw mut group).addr(),
                0,
                0,
                0,
            ],
        )
    }?;
    Ok(group)
}

/// Puts `group` into the foreground of the terminal `fd`. From the background this wants SIGTTOU blocked or ignored.
pub fn set_foreground_group(fd: BorrowedFd<'_>, group: i32) -> Result<()> {
    // SAFETY: TIOCSPGRP reads one int.
    unsafe {
        call(
            k::__NR_ioctl,
            [
                fd.as_raw_fd() as usize,
                linux_raw_sys::ioctl::TIOCSPGRP as usize,
                (&raw const group).addr(),
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}
