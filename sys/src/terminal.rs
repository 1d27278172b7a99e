//! Terminals: their modes, and process groups and the foreground by number.
//!
//! rustix has the modes too, with speeds that nobody here asks for and that cost half a kilobyte. In a pid namespace the
//! number of a group that lies outside is 0, which rustix's `Pid` cannot hold: its `getpgrp` would make an invalid value of
//! it.

use linux_raw_sys::general as k;
use linux_raw_sys::ioctl::{TCGETS, TCSETS, TCSETSW, TIOCGPGRP, TIOCSPGRP};
use rustix::fd::BorrowedFd;
use rustix::io::Result;

use crate::call::{call, ioctl};

/// How a terminal treats what passes through it.
#[derive(Clone, Copy)]
pub struct Modes(k::termios);

impl Modes {
    /// The modes of the terminal `fd`.
    ///
    /// # Errors
    /// `ENOTTY` where it is none.
    pub fn of(fd: BorrowedFd<'_>) -> Result<Self> {
        let mut modes = k::termios {
            c_iflag: 0,
            c_oflag: 0,
            c_cflag: 0,
            c_lflag: 0,
            c_line: 0,
            c_cc: Default::default(),
        };
        // SAFETY: TCGETS writes one `struct termios`, as the headers of this machine have it, into what lives here.
        unsafe { ioctl(fd, TCGETS, (&raw mut modes).expose_provenance()) }?;
        Ok(Self(modes))
    }

    /// The same, raw, as cfmakeraw(3) has it: every byte passes as it is and at once.
    pub fn raw(mut self) -> Self {
        let modes = &mut self.0;
        modes.c_iflag &= !(k::IGNBRK | k::BRKINT | k::PARMRK | k::ISTRIP | k::INLCR | k::IGNCR | k::ICRNL | k::IXON);
        modes.c_oflag &= !k::OPOST;
        modes.c_lflag &= !(k::ECHO | k::ECHONL | k::ICANON | k::ISIG | k::IEXTEN);
        modes.c_cflag = modes.c_cflag & !(k::CSIZE | k::PARENB) | k::CS8;
        modes.c_cc[k::VMIN as usize] = 1;
        modes.c_cc[k::VTIME as usize] = 0;
        self
    }

    /// The same, where a newline that is written stays one.
    pub fn without_newline_processing(mut self) -> Self {
        self.0.c_oflag &= !k::ONLCR;
        self
    }

    /// Gives the terminal `fd` these modes.
    pub fn set(&self, fd: BorrowedFd<'_>) -> Result<()> {
        // SAFETY: TCSETS reads one `struct termios`, as the headers of this machine have it, which is borrowed for the call.
        unsafe { ioctl(fd, TCSETS, (&raw const self.0).expose_provenance()) }.map(drop)
    }

    /// The same once all that was written has passed.
    pub fn set_after_output(&self, fd: BorrowedFd<'_>) -> Result<()> {
        // SAFETY: as for `set`; TCSETSW reads the same.
        unsafe { ioctl(fd, TCSETSW, (&raw const self.0).expose_provenance()) }.map(drop)
    }
}

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
    unsafe { ioctl(fd, TIOCGPGRP, (&raw mut group).expose_provenance()) }?;
    Ok(group)
}

/// Puts `group` into the foreground of the terminal `fd`. From the background this wants SIGTTOU blocked or ignored.
pub fn set_foreground_group(fd: BorrowedFd<'_>, group: i32) -> Result<()> {
    // SAFETY: TIOCSPGRP reads one int.
    unsafe { ioctl(fd, TIOCSPGRP, (&raw const group).expose_provenance()) }.map(drop)
}
