//! The watchdog, which restarts the machine when it is not told in time that all is well.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sys::OwnedFd;
use sys::device::{feed_watchdog, has_watchdog_fired, set_watchdog, watchdog_seconds};
use sys::fd::open;

use super::say::{complain, say};
use super::service::{Moment, NEVER};
use crate::message::words;
use crate::text::digits;

/// The device, where there is one.
pub struct Watchdog {
    fd: Option<OwnedFd>,
    /// Milliseconds between two feeds: a third of the time that it waits.
    interval: Moment,
    next: Moment,
}

impl Watchdog {
    /// None.
    pub const NONE: Self = Self {
        fd: None,
        interval: 0,
        next: NEVER,
    };

    /// Opens it and asks it to wait for so many milliseconds. A device may wait for less than it is asked to.
    pub fn open(milliseconds: u32, now: Moment) -> Self {
        let fd = match open(c"/dev/watchdog", OFlags::WRONLY) {
            Ok(fd) => fd,
            Err(errno) => {
                if !matches!(errno, Errno::NOENT | Errno::NODEV) {
                    complain(b"/dev/watchdog", words(errno));
                }
                return Self::NONE;
            }
        };
        if has_watchdog_fired(fd.as_fd()) {
            say(b"the last boot", &[b"ended by the watchdog"]);
        }
        let seconds = set_watchdog(fd.as_fd(), milliseconds.div_ceil(1000))
            .or_else(|_| watchdog_seconds(fd.as_fd()))
            .unwrap_or(0);
        if seconds == 0 {
            complain(b"/dev/watchdog", "it does not say how long it waits");
        } else {
            say(b"/dev/watchdog", &[b"waits for ", digits(seconds, &mut [0; 10]), b" s"]);
        }
        Self {
            fd: Some(fd),
            interval: Moment::from(seconds.clamp(3, 3600)) * 1000 / 3,
            next: now,
        }
    }

    /// When it is next to be fed.
    pub fn deadline(&self) -> Moment {
        self.next
    }

    /// Feeds it where it is time to.
    pub fn feed(&mut self, now: Moment) {
        if let Some(fd) = &self.fd
            && now >= self.next
        {
            let _ = feed_watchdog(fd.as_fd());
            self.next = now + self.interval;
        }
    }

    /// Turns it off, where it can be: a machine that stands still on purpose is not to be restarted.
    pub fn turn_off(&mut self) {
        if let Some(fd) = self.fd.take() {
            // What was written last before it is closed is what counts.
            let _ = rustix::io::write(&fd, b"V");
            fd.close();
        }
    }

    /// Never again: it is to restart the machine, should nothing else do it before.
    pub fn starve(&mut self) {
        self.next = NEVER;
    }
}
