//! Local sockets: messages with a descriptor, and addresses that are paths.
//!
//! rustix builds and takes apart messages of any kind. There is one kind here, and its functions are a kilobyte smaller.

use core::ffi::CStr;
use core::mem::{MaybeUninit, offset_of};

use linux_raw_sys::general as k;
use linux_raw_sys::net::{AF_UNIX, MSG_CMSG_CLOEXEC, MSG_NOSIGNAL, SCM_RIGHTS, SOL_SOCKET};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd};
use rustix::io::{Errno, Result};

use crate::OwnedFd;
use crate::call::call;

/// `struct iovec`.
#[repr(C)]
pub(crate) struct Part {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// `struct msghdr` of the kernel.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) name: usize,
    pub(crate) name_len: i32,
    pub(crate) parts: usize,
    pub(crate) parts_len: usize,
    pub(crate) control: usize,
    pub(crate) control_len: usize,
    pub(crate) flags: u32,
}

/// `struct cmsghdr` and one descriptor behind it.
#[repr(C)]
pub(crate) struct Rights {
    pub(crate) len: usize,
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) fd: i32,
}

/// `CMSG_LEN` of one descriptor: there is no room for a second one, which the kernel then does not open.
const RIGHTS_LEN: usize = offset_of!(Rights, fd) + size_of::<i32>();

/// Sends the bytes of `parts` and one descriptor.
pub fn send_with_fd(socket: BorrowedFd<'_>, parts: &[&[u8]; 3], fd: BorrowedFd<'_>) -> Result<()> {
    let rights = Rights {
        len: RIGHTS_LEN,
        level: SOL_SOCKET as i32,
        kind: SCM_RIGHTS as i32,
        fd: fd.as_raw_fd(),
    };
    let parts = parts.map(|part| Part {
        start: part.as_ptr().expose_provenance(),
        len: part.len(),
    });
    let header = Header {
        name: 0,
        name_len: 0,
        parts: (&raw const parts).expose_provenance(),
        parts_len: parts.len(),
        control: (&raw const rights).expose_provenance(),
        control_len: RIGHTS_LEN,
        flags: 0,
    };
    // SAFETY: the kernel reads the header, the parts, their bytes and the control message, all of which are borrowed or live
    // here until the call returns. It writes to none of them. The gaps between members mean nothing to it.
    unsafe {
        call(
            k::__NR_sendmsg,
            [
                socket.as_raw_fd() as usize,
                (&raw const header).expose_provenance(),
                MSG_NOSIGNAL as usize,
                0,
                0,
                0,
            ],
        )
    }
    .map(drop)
}

/// Receives into `memory`: how many bytes, and the descriptor that came along. It is closed on exec.
pub fn receive(socket: BorrowedFd<'_>, memory: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut rights = MaybeUninit::<Rights>::zeroed();
    let part = Part {
        start: memory.as_mut_ptr().expose_provenance(),
        len: memory.len(),
    };
    let mut header = Header {
        name: 0,
        name_len: 0,
        parts: (&raw const part).expose_provenance(),
        parts_len: 1,
        control: rights.as_mut_ptr().expose_provenance(),
        control_len: RIGHTS_LEN,
        flags: 0,
    };
    // SAFETY: the kernel reads the header and the part, and writes at most `memory.len()` bytes into `memory`, which is borrowed
    // for that, at most RIGHTS_LEN into `rights`, which has room for them, and the lengths and flags of the header.
    let n = unsafe {
        call(
            k::__NR_recvmsg,
            [
                socket.as_raw_fd() as usize,
                (&raw mut header).expose_provenance(),
                MSG_CMSG_CLOEXEC as usize,
                0,
                0,
                0,
            ],
        )
    }?;
    // SAFETY: it was zeroed, the kernel has written bytes at most, and any bytes are numbers.
    let rights = unsafe { rights.assume_init() };
    let has_fd = header.control_len >= RIGHTS_LEN
        && rights.len == RIGHTS_LEN
        && rights.level == SOL_SOCKET as i32
        && rights.kind == SCM_RIGHTS as i32;
    // SAFETY: only the kernel writes there, and nobody can have it write a message of this kind without a descriptor, which it
    // has opened for this process just now. Nobody else knows it.
    Ok((n, has_fd.then(|| unsafe { OwnedFd::from_raw_fd(rights.fd) })))
}

/// `struct sockaddr_un`.
#[repr(C)]
pub(crate) struct Address {
    pub(crate) family: u16,
    pub(crate) path: [u8; 108],
}

impl Address {
    /// The address of this path, and how many bytes of it count.
    fn of(path: &CStr) -> Result<(Self, usize)> {
        let mut address = Self {
            family: AF_UNIX as u16,
            path: [0; 108],
        };
        let path = path.to_bytes_with_nul();
        if path.len() > address.path.len() {
            return Err(Errno::NAMETOOLONG);
        }
        crate::copy(&mut address.path, path);
        Ok((address, offset_of!(Self, path) + path.len()))
    }
}

/// Connects `socket` to the one that listens at `path`.
///
/// # Errors
/// The kernel's; `ENAMETOOLONG` where the path has more than 107 bytes.
pub fn connect(socket: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let (address, len) = Address::of(path)?;
    let arguments = [
        socket.as_raw_fd() as usize,
        (&raw const address).expose_provenance(),
        len,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads the address, of which it is told the length that was filled, which is no more than it has.
    unsafe { call(k::__NR_connect, arguments) }.map(drop)
}

/// Gives `socket` the address `path`, where a file is made, which nobody else has before.
///
/// # Errors
/// As for [`connect`].
pub fn bind(socket: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let (address, len) = Address::of(path)?;
    let arguments = [
        socket.as_raw_fd() as usize,
        (&raw const address).expose_provenance(),
        len,
        0,
        0,
        0,
    ];
    // SAFETY: as for `connect`.
    unsafe { call(k::__NR_bind, arguments) }.map(drop)
}

/// Lets others connect to `socket`; so many wait at most.
pub fn listen(socket: BorrowedFd<'_>, waiting: usize) -> Result<()> {
    // SAFETY: listen takes numbers.
    unsafe { call(k::__NR_listen, [socket.as_raw_fd() as usize, waiting, 0, 0, 0, 0]) }.map(drop)
}

/// Whoever has connected first, on a socket that does not wait.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = (k::O_CLOEXEC | k::O_NONBLOCK) as usize;
    // SAFETY: null asks for no address; the descriptor is a new one, which nobody else knows.
    unsafe {
        let fd = call(k::__NR_accept4, [listener.as_raw_fd() as usize, 0, 0, flags, 0, 0])?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// `struct ucred`: process, user, group.
pub(crate) type Credentials = [u32; 3];

/// The user who has connected.
pub fn peer(socket: BorrowedFd<'_>) -> Result<u32> {
    let mut credentials = Credentials::default();
    let mut len = size_of_val(&credentials) as u32;
    let arguments = [
        socket.as_raw_fd() as usize,
        linux_raw_sys::net::SOL_SOCKET as usize,
        linux_raw_sys::net::SO_PEERCRED as usize,
        credentials.as_mut_ptr().expose_provenance(),
        (&raw mut len).expose_provenance(),
        0,
    ];
    // SAFETY: getsockopt reads the length, writes no more than that says into `credentials`, of which it is the size, and the
    // length.
    unsafe { call(k::__NR_getsockopt, arguments) }?;
    Ok(credentials[1])
}

/// Asks that errors of the netlink socket come with words (Linux 4.12).
pub fn ask_for_words(netlink: BorrowedFd<'_>) -> Result<()> {
    const SOL_NETLINK: usize = 270;
    const NETLINK_EXT_ACK: usize = 11;
    let on = 1_u32;
    let arguments = [
        netlink.as_raw_fd() as usize,
        SOL_NETLINK,
        NETLINK_EXT_ACK,
        (&raw const on).expose_provenance(),
        size_of_val(&on),
        0,
    ];
    // SAFETY: setsockopt reads a number, of which it is told the size, and which lives here until it returns.
    unsafe { call(k::__NR_setsockopt, arguments) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn a_descriptor_comes_along() {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        send_with_fd(a.as_fd(), &[b"one ", b"", b"two"], a.as_fd()).unwrap();
        rustix::io::write(&a, b"three").unwrap();
        let mut memory = [0; 16];
        let (n, fd) = receive(b.as_fd(), &mut memory).unwrap();
        assert_eq!(&memory[..n], b"one two");
        let (again, original) = (rustix::fs::fstat(fd.unwrap()).unwrap(), rustix::fs::fstat(&a).unwrap());
        assert_eq!(again.st_ino, original.st_ino);
        let (n, fd) = receive(b.as_fd(), &mut memory).unwrap();
        assert_eq!(&memory[..n], b"three");
        assert!(fd.is_none());
    }
}
