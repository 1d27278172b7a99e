//! Loop devices: a file as a block device.

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};

use crate::call::ioctl;

const LOOP_SET_FD: u32 = 0x4c00;
const LOOP_SET_STATUS64: u32 = 0x4c04;
const LOOP_CONFIGURE: u32 = 0x4c0a;
const LOOP_CTL_GET_FREE: u32 = 0x4c82;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// `struct loop_config` in words of 32 bits: the file, the size of a block, `struct loop_info64`, and eight reserved ones of
/// 64 bits.
pub(crate) const WORDS: usize = 76;
/// Where `struct loop_info64` begins in it.
pub(crate) const INFO: usize = 2;
/// The flags in that.
pub(crate) const FLAGS: usize = INFO + 13;

/// The number of a device that nobody uses at this moment.
pub fn find_free(control: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: this operation takes nothing.
    unsafe { ioctl(control, LOOP_CTL_GET_FREE, 0) }.map(|number| number as u32)
}

/// Makes `device`, open for reading, show `file`, open for reading too, until nobody has it open any more.
///
/// # Errors
/// The kernel's; `EBUSY` where somebody else has taken the device.
pub fn show(device: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<()> {
    let mut config = [0_u32; WORDS];
    config[0] = file.as_raw_fd() as u32;
    config[FLAGS] = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR;
    // SAFETY: the operation reads a `struct loop_config`, which is as long as the array, and writes nothing. The kernel copies
    // it, so it need not be aligned as the structure is.
    match unsafe { ioctl(device, LOOP_CONFIGURE, config.as_ptr().expose_provenance()) } {
        // Before Linux 5.8 it takes two calls.
        Err(Errno::INVAL | Errno::NOTTY) => {}
        other => return other.map(drop),
    }
    // SAFETY: this operation takes a number.
    unsafe { ioctl(device, LOOP_SET_FD, file.as_raw_fd() as usize) }?;
    let info = config.get(INFO..).unwrap_or_default();
    // SAFETY: the operation reads a `struct loop_info64`, which is shorter than what is left of the array, and writes nothing.
    unsafe { ioctl(device, LOOP_SET_STATUS64, info.as_ptr().expose_provenance()) }.map(drop)
}
