//! Descriptors that belong to somebody, and all the ways in which they are made. Each is closed when another program is
//! executed, unless that is taken back.
//!
//! rustix has all of it. But there each descriptor is compared with -1 when it is made and whenever it is borrowed, and what
//! is said should it be that, which the kernel never gives, brings the formatter of `core` with it: six kilobytes.

use core::ffi::CStr;

use linux_raw_sys::general as k;
use linux_raw_sys::ioctl::TIOCGPTPEER;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};
use rustix::fs::{AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, ResolveFlags, fstat, makedev, statat};
use rustix::io::{Errno, Result};
use rustix::mount::{MountAttrFlags, OpenTreeFlags};
use rustix::net::{AddressFamily, SocketType};

use crate::call::{Answer, answers, ask, call};

/// A descriptor that belongs to this value. It does not close it when it is dropped: the end of the process does that, the
/// next program, and the one call before it ([`crate::file::close_range`]). Who makes descriptors in a loop, or lets
/// somebody wait for the end of a line, says `close`.
#[derive(Debug)]
pub struct OwnedFd(RawFd);

impl OwnedFd {
    /// Closes it: where somebody waits for that, and in a loop, where it would otherwise stay open.
    #[inline(never)]
    pub fn close(self) {
        // SAFETY: close takes a number and touches no memory. The descriptor belongs to this value alone, which is used up, so
        // nobody goes on to use it, and it is closed once.
        let _ = unsafe { call(k::__NR_close, [self.0 as usize, 0, 0, 0, 0, 0]) };
    }
}

impl AsFd for OwnedFd {
    #[inline(always)]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: `BorrowedFd` is a descriptor and nothing else, as its `repr(transparent)` promises, and is never -1, which no
        // call gives that succeeds and `from_raw_fd` is not to be given. The lifetime is that of `self`, which nobody closes
        // while it is borrowed: `close` takes it away. What `close_range` does is for its callers to answer for.
        unsafe { core::mem::transmute::<RawFd, BorrowedFd<'_>>(self.0) }
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        self.0
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        Self(fd)
    }
}

impl Answer {
    /// The new descriptor, which nobody else knows.
    #[inline(always)]
    fn made(self) -> Result<OwnedFd> {
        if self.0 < 0 {
            // SAFETY: it is below 0.
            Err(unsafe { self.error() })
        } else {
            Ok(OwnedFd(self.0))
        }
    }
}

/// Makes a descriptor.
///
/// # Safety
/// As for [`call`], and the call must be one of those: what it returns is a new descriptor, which nobody else knows.
#[inline(never)]
unsafe fn make_one(number: u32, arguments: [usize; 4]) -> Answer {
    let [first, second, third, fourth] = arguments;
    // SAFETY: the caller's contract is the same.
    unsafe { ask(number, [first, second, third, fourth, 0, 0]) }
}

/// The same, for callers.
///
/// # Safety
/// As for [`make_one`].
#[inline(always)]
unsafe fn make(number: u32, arguments: [usize; 4]) -> Result<OwnedFd> {
    // SAFETY: the caller's contract is the same.
    unsafe { make_one(number, arguments) }.made()
}

fn number(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

answers! {
    /// Opens what is at `path`, which exists.
    pub fn open(path: &CStr, flags: OFlags) -> Result<OwnedFd> = made {
        open_in(CWD, path, flags)
    }

    /// The same below `directory`.
    pub fn open_in(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> = made {
        create_in(directory, path, flags, Mode::empty())
    }

    /// Opens a file that is made with this mode where `flags` have `CREATE` and it does not exist.
    pub fn create_in(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: Mode) -> Result<OwnedFd> = made {
        let flags = flags | OFlags::CLOEXEC | OFlags::LARGEFILE;
        let (flags, mode) = (flags.bits() as usize, mode.as_raw_mode() as usize);
        // SAFETY: openat reads a path that ends with a NUL.
        unsafe {
            make_one(
                k::__NR_openat,
                [number(directory), path.as_ptr().expose_provenance(), flags, mode],
            )
        }
    }

    /// Opens what is at `path` below `directory` in one of the ways of openat2(2) (Linux 5.6).
    pub fn open_resolved(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd> = made {
        let mut flags = flags | OFlags::CLOEXEC;
        if !flags.contains(OFlags::PATH) {
            // The call refuses flags that do not go together.
            flags |= OFlags::LARGEFILE;
        }
        // flags, mode, resolve
        let how: OpenHow = [u64::from(flags.bits()), 0, resolve.bits()];
        let (how, size) = (how.as_ptr().expose_provenance(), size_of_val(&how));
        // SAFETY: openat2 reads a path that ends with a NUL, and a structure of which it is told the size; the array that is one
        // lives on under no name until the end of this function.
        unsafe {
            make_one(
                k::__NR_openat2,
                [number(directory), path.as_ptr().expose_provenance(), how, size],
            )
        }
    }

    /// A detached copy of the mount at `path` below `directory` (Linux 5.2).
    pub fn clone_tree(directory: BorrowedFd<'_>, path: &CStr, flags: OpenTreeFlags) -> Result<OwnedFd> = made {
        let flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let flags = flags.bits() as usize;
        // SAFETY: open_tree reads a path that ends with a NUL.
        unsafe {
            make_one(
                k::__NR_open_tree,
                [number(directory), path.as_ptr().expose_provenance(), flags, 0],
            )
        }
    }

    /// A descriptor that stands for the process `pid` (Linux 5.3).
    ///
    /// # Errors
    /// The kernel's; `ESRCH` for what is no number of a process.
    pub fn open_process(pid: i32) -> Result<OwnedFd> = made {
        if pid <= 0 {
            return Answer(-Errno::SRCH.raw_os_error());
        }
        // SAFETY: pidfd_open takes numbers; what it makes is closed on exec.
        unsafe { make_one(k::__NR_pidfd_open, [pid as usize, 0, 0, 0]) }
    }
}

/// `struct open_how`, which is made of numbers of 64 bits.
pub(crate) type OpenHow = [u64; 3];

/// A detached mount of a new instance of the file system `kind` with these options, of which one without a value is a switch
/// (Linux 5.2).
pub fn new_mount(kind: &CStr, options: &[(&CStr, &CStr)], attributes: MountAttrFlags) -> Result<OwnedFd> {
    const FSOPEN_CLOEXEC: usize = 1;
    const FSCONFIG_SET_FLAG: usize = 0;
    const FSCONFIG_SET_STRING: usize = 1;
    const FSCONFIG_CMD_CREATE: usize = 6;
    const FSMOUNT_CLOEXEC: usize = 1;
    // SAFETY: fsopen reads a name that ends with a NUL.
    let context = unsafe {
        make(
            k::__NR_fsopen,
            [kind.as_ptr().expose_provenance(), FSOPEN_CLOEXEC, 0, 0],
        )
    }?;
    let fd = number(context.as_fd());
    for (name, value) in options {
        let (command, value) = match value.is_empty() {
            true => (FSCONFIG_SET_FLAG, 0),
            false => (FSCONFIG_SET_STRING, value.as_ptr().expose_provenance()),
        };
        // SAFETY: these commands of fsconfig read a name and, where there is one, a value, that end with a NUL; the kernel keeps
        // copies.
        unsafe {
            call(
                k::__NR_fsconfig,
                [fd, command, name.as_ptr().expose_provenance(), value, 0, 0],
            )
        }?;
    }
    // SAFETY: this command of fsconfig reads nothing.
    unsafe { call(k::__NR_fsconfig, [fd, FSCONFIG_CMD_CREATE, 0, 0, 0, 0]) }?;
    // SAFETY: fsmount takes numbers.
    unsafe { make(k::__NR_fsmount, [fd, FSMOUNT_CLOEXEC, attributes.bits() as usize, 0]) }
}

/// A copy of the descriptor `fd` of a process (Linux 5.6).
pub fn take_from(process: BorrowedFd<'_>, fd: i32) -> Result<OwnedFd> {
    // SAFETY: pidfd_getfd takes numbers; what it makes is closed on exec.
    unsafe { make(k::__NR_pidfd_getfd, [number(process), fd as usize, 0, 0]) }
}

/// A pipe: the end to read from, where a read does not wait, and the end to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let flags = (k::O_CLOEXEC | k::O_NONBLOCK) as usize;
    // SAFETY: pipe2 writes two ints, for which there is room.
    unsafe {
        call(
            k::__NR_pipe2,
            [ends.as_mut_ptr().expose_provenance(), flags, 0, 0, 0, 0],
        )
    }?;
    Ok((OwnedFd(ends[0]), OwnedFd(ends[1])))
}

const SOCK_CLOEXEC: usize = k::O_CLOEXEC as usize;

/// A socket of the family's usual protocol.
pub fn socket(family: AddressFamily, kind: SocketType) -> Result<OwnedFd> {
    socket_of(family, kind, 0)
}

/// A socket of the protocol with this number in the family.
pub fn socket_of(family: AddressFamily, kind: SocketType, protocol: u8) -> Result<OwnedFd> {
    let kind = kind.as_raw() as usize | SOCK_CLOEXEC;
    // SAFETY: socket takes numbers.
    unsafe { make(k::__NR_socket, [family.as_raw().into(), kind, protocol.into(), 0]) }
}

/// Two sockets of this machine that are connected with each other.
pub fn socket_pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let (family, kind) = (AddressFamily::UNIX.as_raw().into(), kind.as_raw() as usize);
    let arguments = [
        family,
        kind | SOCK_CLOEXEC,
        0,
        ends.as_mut_ptr().expose_provenance(),
        0,
        0,
    ];
    // SAFETY: socketpair writes two ints, for which there is room.
    unsafe { call(k::__NR_socketpair, arguments) }?;
    Ok((OwnedFd(ends[0]), OwnedFd(ends[1])))
}

/// A file in memory, called `name` where descriptors are listed.
pub fn memory_file(name: &CStr, flags: MemfdFlags) -> Result<OwnedFd> {
    let flags = (flags | MemfdFlags::CLOEXEC).bits() as usize;
    // SAFETY: memfd_create reads a name that ends with a NUL.
    unsafe { make(k::__NR_memfd_create, [name.as_ptr().expose_provenance(), flags, 0, 0]) }
}

/// A counter that the kernel counts up; a read does not wait.
pub fn counter() -> Result<OwnedFd> {
    let flags = (k::O_CLOEXEC | k::O_NONBLOCK) as usize;
    // SAFETY: eventfd2 takes numbers.
    unsafe { make(k::__NR_eventfd2, [0, flags, 0, 0]) }
}

/// The other side of the terminal `master` (Linux 4.13), without making it this process's own.
pub fn open_terminal_of(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = (k::O_RDWR | k::O_NOCTTY | k::O_CLOEXEC) as usize;
    // SAFETY: this operation takes numbers.
    unsafe { make(k::__NR_ioctl, [number(master), TIOCGPTPEER as usize, flags, 0]) }
}

/// What kind of file `fd` stands for.
#[inline(never)]
pub fn kind(fd: BorrowedFd<'_>) -> Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

/// Whether `fd` stands for the device of this kind and number.
#[inline(never)]
pub fn is_device(fd: BorrowedFd<'_>, kind: FileType, major: u32, minor: u32) -> Result<bool> {
    let stat = fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == kind && stat.st_rdev == makedev(major, minor))
}

/// Reads once; the part of `memory` that was filled.
#[inline(never)]
pub fn read<'m>(fd: BorrowedFd<'_>, memory: &'m mut [u8]) -> Result<&'m mut [u8]> {
    let n = rustix::io::read(fd, &mut *memory)?;
    Ok(memory.get_mut(..n).unwrap_or_default())
}

/// Whether there is something at `path` below `directory`, be it a link.
#[inline(never)]
pub fn exists_in(directory: BorrowedFd<'_>, path: &CStr) -> bool {
    statat(directory, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
