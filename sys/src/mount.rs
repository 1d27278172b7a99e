//! Mount calls that rustix lacks.

use core::ffi::CStr;
use core::ptr;

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Result;

use crate::call::{answers, ask};

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttributes {
    /// `MOUNT_ATTR_` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_` bits to clear.
    pub clear: u64,
    /// `MS_PRIVATE`, `MS_SHARED`, `MS_SLAVE` or `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
    /// The descriptor of a user namespace for `MOUNT_ATTR_IDMAP`.
    pub user_namespace: u64,
}

answers! {
    /// Changes the mount that `fd` stands for, and with `recursive` all mounts below it (Linux 5.12).
    pub fn set_attributes(fd: BorrowedFd<'_>, recursive: bool, attributes: &MountAttributes) -> Result<()> = done {
        const AT_EMPTY_PATH: usize = 0x1000;
        const AT_RECURSIVE: usize = 0x8000;
        let flags = AT_EMPTY_PATH | if recursive { AT_RECURSIVE } else { 0 };
        // SAFETY: the kernel reads a NUL-terminated path, a literal, and a `struct mount_attr` of the given size, which is borrowed
        // for the call. It writes neither.
        unsafe {
            ask(
                k::__NR_mount_setattr,
                [
                    fd.as_raw_fd() as usize,
                    c"".as_ptr().expose_provenance(),
                    flags,
                    ptr::from_ref(attributes).expose_provenance(),
                    size_of::<MountAttributes>(),
                    0,
                ],
            )
        }
    }

    /// Attaches the detached `tree` onto `destination` (Linux 5.2).
    pub fn attach(tree: BorrowedFd<'_>, destination: BorrowedFd<'_>) -> Result<()> = done {
        let empty = c"".as_ptr().expose_provenance();
        let flags = k::MOVE_MOUNT_F_EMPTY_PATH | k::MOVE_MOUNT_T_EMPTY_PATH;
        // SAFETY: move_mount reads two paths that end with a NUL, literals.
        unsafe {
            ask(
                k::__NR_move_mount,
                [
                    tree.as_raw_fd() as usize,
                    empty,
                    destination.as_raw_fd() as usize,
                    empty,
                    flags as usize,
                    0,
                ],
            )
        }
    }

    /// `mount(2)` with the flag word as the kernel defines it. `None` is a null pointer.
    pub fn mount(source: Option<&CStr>, target: &CStr, kind: Option<&CStr>, flags: u32, data: Option<&CStr>) -> Result<()> = done {
        let pointer = |text: Option<&CStr>| text.map_or(0, |text| text.as_ptr().expose_provenance());
        // SAFETY: the kernel reads up to four NUL-terminated strings that are borrowed for the call. Of `data` it copies a page, or
        // as much as there is before memory that cannot be read; what lies behind the NUL means nothing to those that read text.
        unsafe {
            ask(
                k::__NR_mount,
                [
                    pointer(source),
                    target.as_ptr().expose_provenance(),
                    pointer(kind),
                    flags as usize,
                    pointer(data),
                    0,
                ],
            )
        }
    }
}
