//! Waiting for several descriptors at once.

use linux_raw_sys::general as k;
use rustix::fd::AsRawFd;
use rustix::io::Result;

use crate::OwnedFd;
use crate::call::call;

/// A descriptor that is waited for: `struct pollfd`. Unlike rustix's it may stand for none, so that each has its place in a
/// table.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Watch {
    pub(crate) fd: i32,
    pub(crate) events: i16,
    pub(crate) happened: i16,
}

impl Watch {
    /// Nothing to wait for.
    pub const NONE: Self = Self {
        fd: -1,
        events: 0,
        happened: 0,
    };

    /// Until there is something to read, or nobody is left who could write.
    pub fn to_read(fd: Option<&OwnedFd>) -> Self {
        Self::of(fd, k::POLLIN as i16)
    }

    /// Until there is room to write, or nobody is left who could read.
    pub fn to_write(fd: Option<&OwnedFd>) -> Self {
        Self::of(fd, k::POLLOUT as i16)
    }

    /// The same for an inherited descriptor.
    pub fn to_write_number(fd: i32) -> Self {
        Self {
            fd,
            events: k::POLLOUT as i16,
            happened: 0,
        }
    }

    fn of(fd: Option<&OwnedFd>, events: i16) -> Self {
        Self {
            fd: fd.map_or(-1, AsRawFd::as_raw_fd),
            events,
            happened: 0,
        }
    }

    /// Whether it is worth a look.
    pub fn has_happened(&self) -> bool {
        self.happened != 0
    }
}

/// Waits for any of `watches`, for so many milliseconds at most, or without an end.
pub fn poll(watches: &mut [Watch], milliseconds: Option<u64>) -> Result<usize> {
    let (address, count) = (watches.as_mut_ptr().expose_provenance(), watches.len());
    // The call without nanoseconds is not everywhere, and the one with them has seconds of 32 bits where words have 32 bits.
    #[cfg(target_pointer_width = "64")]
    {
        let mut time = milliseconds.map(|time| [time / 1000, time % 1000 * 1_000_000]);
        let time = time.as_mut().map_or(0, |time| time.as_mut_ptr().expose_provenance());
        // SAFETY: the kernel reads `count` structures and writes their last members. Where there is a `struct timespec` of two
        // words it reads that, and writes what is left of the time into it. A null set leaves the blocked signals as they are.
        unsafe { call(k::__NR_ppoll, [address, count, time, 0, 0, 0]) }
    }
    #[cfg(target_pointer_width = "32")]
    {
        let time = milliseconds.map_or(-1, |time| i32::try_from(time).unwrap_or(i32::MAX));
        // SAFETY: the kernel reads `count` structures and writes their last members.
        unsafe { call(k::__NR_poll, [address, count, time as usize, 0, 0, 0]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::pipe;

    #[test]
    fn what_happened_is_told_in_its_place() {
        let (reader, writer) = pipe().unwrap();
        let mut watches = [
            Watch::NONE,
            Watch::to_read(Some(&reader)),
            Watch::to_write(Some(&writer)),
        ];
        assert_eq!(poll(&mut watches, Some(0)), Ok(1));
        assert_eq!(watches.map(|watch| watch.has_happened()), [false, false, true]);
        rustix::io::write(&writer, b"x").unwrap();
        let mut watches = [Watch::to_read(Some(&reader)), Watch::to_read(None)];
        assert_eq!(poll(&mut watches, None), Ok(1));
        assert!(watches[0].has_happened());
    }
}
