//! What file system something is in.
//!
//! rustix has one structure for all machines with 32 bits. MIPS has another one, which is longer: the kernel refuses the
//! other length, and an emulator writes beyond it.

use core::ffi::CStr;
use core::mem::MaybeUninit;

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

use crate::call::call;

#[cfg(target_pointer_width = "64")]
mod wanted {
    pub use super::k::{__NR_fstatfs as BY_FD, __NR_statfs as BY_PATH, statfs as Statfs};
}
#[cfg(target_pointer_width = "32")]
mod wanted {
    pub use super::k::{__NR_fstatfs64 as BY_FD, __NR_statfs64 as BY_PATH, statfs64 as Statfs};
}

use wanted::{BY_FD, BY_PATH, Statfs};

/// A file system, and the mount that it is seen in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileSystem {
    /// Its number in `linux/magic.h`.
    pub magic: u32,
    /// Whether nothing can be written there.
    pub is_read_only: bool,
}

impl FileSystem {
    /// Where the file is that is open as `fd`.
    #[inline(never)]
    pub fn of(fd: BorrowedFd<'_>) -> Result<Self> {
        // SAFETY: the call takes a descriptor's number.
        unsafe { ask(BY_FD, fd.as_raw_fd() as usize) }
    }

    /// Where the file is that has this path.
    pub fn at(path: &CStr) -> Result<Self> {
        // SAFETY: the call takes a path with a NUL behind it.
        unsafe { ask(BY_PATH, path.as_ptr().expose_provenance()) }
    }
}

/// # Safety
/// `which` is the first argument of the system call `number`, one of the two.
unsafe fn ask(number: u32, which: usize) -> Result<FileSystem> {
    const ST_RDONLY: usize = 1;
    let mut memory = MaybeUninit::<Statfs>::uninit();
    let (place, size) = (memory.as_mut_ptr().expose_provenance(), size_of::<Statfs>());
    let arguments = if cfg!(target_pointer_width = "64") {
        [which, place, 0, 0, 0, 0]
    } else {
        [which, size, place, 0, 0, 0]
    };
    // SAFETY: the structure is the kernel's own for this call on this machine, whose length it is told where it asks. Where the
    // call succeeds it has written all of it, and all members are numbers; where it fails nobody looks at it. The first
    // argument is as the caller says.
    let known = unsafe {
        call(number, arguments)?;
        memory.assume_init()
    };
    Ok(FileSystem {
        magic: known.f_type as u32,
        is_read_only: known.f_flags as usize & ST_RDONLY != 0,
    })
}

#[cfg(test)]
mod tests {
    use rustix::fd::AsFd;
    use rustix::fs::OFlags;

    use super::*;

    #[test]
    fn a_file_system_is_known_by_its_number() {
        const PROC_MAGIC: u32 = 0x9fa0;
        assert_eq!(FileSystem::at(c"/proc").map(|found| found.magic), Ok(PROC_MAGIC));
        let status = crate::fd::open(c"/proc/self/status", OFlags::RDONLY).unwrap();
        let found = FileSystem::of(status.as_fd()).unwrap();
        assert_eq!(found.magic, PROC_MAGIC);
        assert_eq!(FileSystem::at(c"/proc/self/status"), Ok(found));
        assert_eq!(FileSystem::at(c"/nowhere"), Err(rustix::io::Errno::NOENT));
    }
}
