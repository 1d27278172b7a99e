//! rtnetlink(7): requests in fixed memory, one at a time, and what the kernel answers.
//!
//! Lengths in answers are never trusted further than the bytes that were received.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send};
use sys::OwnedFd;

type Result<T> = core::result::Result<T, Errno>;

/// Message types of `linux/rtnetlink.h`.
pub const RTM_NEWLINK: u16 = 16;
/// Asks for links.
pub const RTM_GETLINK: u16 = 18;
/// Makes an address.
pub const RTM_NEWADDR: u16 = 20;
/// Asks for addresses.
pub const RTM_GETADDR: u16 = 22;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// For what must not be there yet: `NLM_F_CREATE | NLM_F_EXCL`.
pub const NEW: u16 = 0x600;
/// For every object of a kind: `NLM_F_DUMP`.
pub const ALL: u16 = 0x300;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The longest request of ours, many times over.
const REQUEST_BYTES: usize = 512;
/// The kernel fills at most this much of a reader's memory with one part of a long answer.
const ANSWER_BYTES: usize = 32 * 1024;

/// Four bytes of a structure.
pub type Word = [u8; 4];

/// A request that is being put together.
pub struct Request {
    bytes: [u8; REQUEST_BYTES],
    len: usize,
}

impl Request {
    /// A request of a type, with the structure that belongs to it.
    pub fn new(kind: u16, flags: u16, structure: &[Word]) -> Self {
        let mut request = Self {
            bytes: [0; REQUEST_BYTES],
            len: 4,
        };
        request.push(&kind.to_ne_bytes());
        request.push(&(flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        // One request at a time needs no numbers.
        request.len = HEADER;
        request.push(structure.as_flattened());
        request
    }

    /// Appends an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = 4 + value.len() as u16;
        self.push(&length.to_ne_bytes());
        self.push(&kind.to_ne_bytes());
        self.push(value);
        // To the next multiple of four, which the memory is.
        self.len = self.len.next_multiple_of(4);
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            sys::copy(place, bytes);
            self.len += bytes.len();
        }
    }
}

/// A line to the kernel about one network namespace: that of the process that made it.
pub struct Socket(OwnedFd);

impl Socket {
    /// Makes one.
    pub fn open() -> Result<Self> {
        // Without a protocol it is number 0, `NETLINK_ROUTE`.
        sys::fd::socket(AddressFamily::NETLINK, SocketType::RAW).map(Self)
    }

    /// One that another process has made.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends a request and calls `each` with the payload of every message of the answer.
    pub fn ask(&self, request: &mut Request, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let length = request.len as u32;
        sys::copy(&mut request.bytes, &length.to_ne_bytes());
        send(
            &self.0,
            request.bytes.get(..request.len).unwrap_or_default(),
            SendFlags::empty(),
        )?;
        let mut memory = [0; ANSWER_BYTES];
        loop {
            let (n, _) = recv(&self.0, &mut memory, RecvFlags::empty())?;
            if let Some(end) = read_answer(memory.get(..n).unwrap_or_default(), each) {
                return end;
            }
        }
    }
}

/// Reads the messages in `bytes`; the end of the answer, where they hold it.
fn read_answer(mut bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<Result<()>> {
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let length = number_at(header, 0) as usize;
        let kind = half_at(header, 4);
        let payload = rest.get(..length.saturating_sub(HEADER)).unwrap_or(rest);
        match kind {
            // An acknowledgement is the error 0.
            NLMSG_ERROR => {
                let errno = (number_at(payload, 0) as i32).wrapping_neg();
                return Some(match errno {
                    0 => Ok(()),
                    errno => Err(Errno::from_raw_os_error(errno.clamp(1, 4095))),
                });
            }
            NLMSG_DONE => return Some(Ok(())),
            _ => each(payload),
        }
        let whole = length.max(HEADER).next_multiple_of(4);
        bytes = bytes.get(whole..).unwrap_or_default();
    }
    None
}

/// The value of the attribute `kind` among those behind a structure of `skipped` bytes.
pub fn attribute(payload: &[u8], skipped: usize, kind: u16) -> Option<&[u8]> {
    let mut rest = payload.get(skipped..)?;
    while rest.len() >= 4 {
        let length = usize::from(half_at(rest, 0));
        if half_at(rest, 2) & 0x3fff == kind {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

/// The four bytes at `at` as a number; 0 where there are fewer.
pub fn number_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk);
    four.map_or(0, |four| u32::from_ne_bytes(*four))
}

/// The two bytes at `at` as a number; 0 where there are fewer.
fn half_at(bytes: &[u8], at: usize) -> u16 {
    let two = bytes.get(at..).and_then(<[u8]>::first_chunk);
    two.map_or(0, |two| u16::from_ne_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn attributes_are_padded_and_found_again() {
        let mut request = Request::new(RTM_NEWLINK, 0, &[[1; 4]; 4]);
        request.attribute(3, b"eth0\0").attribute(19, &7_u32.to_ne_bytes());
        let payload = &request.bytes[HEADER..request.len];
        assert_eq!(attribute(payload, 16, 3), Some(&b"eth0\0"[..]));
        assert_eq!(attribute(payload, 16, 19), Some(&7_u32.to_ne_bytes()[..]));
        assert_eq!(attribute(payload, 16, 4), None);
        assert_eq!(request.len % 4, 0);
    }

    #[test]
    fn no_answer_makes_it_read_beyond_what_was_received() {
        let mut answer = Vec::new();
        for (kind, payload) in [(16_u16, &b"12345678"[..]), (2, &(-17_i32).to_ne_bytes())] {
            answer.extend((HEADER as u32 + payload.len() as u32).to_ne_bytes());
            answer.extend(kind.to_ne_bytes());
            answer.extend([0; 10]);
            answer.extend(payload);
        }
        let mut seen = Vec::new();
        let end = read_answer(&answer, &mut |payload| seen.push(payload.to_vec()));
        assert_eq!(end, Some(Err(Errno::EXIST)));
        assert_eq!(seen, [b"12345678"]);
        // Cut anywhere, and with every length in its place, it comes to an end.
        for cut in 0..answer.len() {
            let _ = read_answer(&answer[..cut], &mut |payload| {
                let _ = attribute(payload, 0, 1);
            });
        }
        for length in [0, 1, 15, 16, 17, 255, u32::MAX] {
            answer[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = read_answer(&answer, &mut |payload| {
                let _ = attribute(payload, 4, 1);
            });
        }
        for length in 0..=255_u8 {
            let [first, second] = u16::from(length).to_ne_bytes();
            let _ = attribute(&[first, second, 9, 0, 1, 2, 3, 4, 5, 6], 0, 1);
        }
    }
}
