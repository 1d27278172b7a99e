//! netlink(7): requests in fixed memory, and what the kernel answers.
//!
//! Lengths in answers are never trusted further than the bytes that were received. The socket is a pair of the
//! `embedded-io` traits, so that what reads answers can be tested and fuzzed without a kernel.

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send};
use sys::{OwnedFd, Register};

use super::request::NUMBER;
pub use super::request::{Request, Word};
use crate::error::{self, Error, keep};
use crate::text::utf8;
use crate::texts::Message;

type Result<T> = core::result::Result<T, Errno>;

/// Message types of `linux/rtnetlink.h`.
pub const RTM_NEWLINK: u16 = 16;
/// Removes a link.
pub const RTM_DELLINK: u16 = 17;
/// Asks for links.
pub const RTM_GETLINK: u16 = 18;
/// Makes an address.
pub const RTM_NEWADDR: u16 = 20;
/// Asks for addresses.
pub const RTM_GETADDR: u16 = 22;
/// Makes a route.
pub const RTM_NEWROUTE: u16 = 24;
/// Asks for the route to an address.
pub const RTM_GETROUTE: u16 = 26;

/// For what may be there already: `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// For what must not be there yet: `NLM_F_CREATE | NLM_F_EXCL`.
pub const NEW: u16 = 0x600;
/// For what comes behind the others of a list: `NLM_F_CREATE | NLM_F_APPEND`.
pub const APPEND: u16 = 0xc00;
/// For every object of a kind: `NLM_F_DUMP`.
pub const ALL: u16 = 0x300;

const NLM_F_MULTI: u16 = 2;
/// The acknowledgement has no copy of the request behind its header.
const NLM_F_CAPPED: u16 = 0x100;
/// The acknowledgement has attributes.
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// The kernel fills at most this much of a reader's memory with one part of a long answer.
pub const ANSWER_BYTES: usize = 32 * 1024;
/// What the answer to a question about one object is cut to, which has what is looked for at its front.
const SHORT_ANSWER_BYTES: usize = 2048;

/// What the kernel said about the last request that failed.
static SAID: Register<&str> = Register::new("");

/// An error with what the kernel said about it beside the number.
pub fn refused(operation: Message, word: &str, errno: Errno) -> Error {
    let operation = keep(operation, &[word]);
    match SAID.get() {
        "" => Error::new(operation, errno),
        said => Error::new(keep("#: #", &[operation, said]), errno),
    }
}

/// Adds the operation to the result of a request.
pub trait Refused<T> {
    /// Names what was asked for, with `word` in the place of the `#` in `operation`.
    fn or_refused(self, operation: Message, word: &str) -> error::Result<T>;
}

impl<T> Refused<T> for Result<T> {
    fn or_refused(self, operation: Message, word: &str) -> error::Result<T> {
        self.map_err(|errno| refused(operation, word, errno))
    }
}

/// A line to the kernel about one network namespace: that of the process that made it.
pub struct Socket(OwnedFd);

/// `NETLINK_ROUTE`: links, addresses and routes.
pub const ROUTE: u8 = 0;
/// `NETLINK_NETFILTER`: packet filters.
pub const NETFILTER: u8 = 12;

impl Socket {
    /// Makes one, which gives errors in words as well.
    pub fn open(protocol: u8) -> Result<Self> {
        let fd = sys::fd::socket_of(AddressFamily::NETLINK, SocketType::RAW, protocol)?;
        // Before Linux 4.12 there are numbers alone.
        let _ = sys::socket::ask_for_words(fd.as_fd());
        Ok(Self(fd))
    }

    /// One that another process has made.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Closes it.
    pub fn close(self) {
        self.0.close();
    }

    /// The descriptor.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends a request and calls `each` with the payload of every message of the answer.
    #[inline(never)]
    pub fn ask_all(&self, request: &mut Request, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        exchange(&mut &*self, request, &mut [0; ANSWER_BYTES], each)
    }

    /// The same where the answer is one message.
    #[inline(never)]
    pub fn ask(&self, request: &mut Request, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        exchange(&mut &*self, request, &mut [0; SHORT_ANSWER_BYTES], each)
    }

    /// The same where it only says whether it was done.
    #[inline(never)]
    pub fn tell(&self, request: &mut Request) -> Result<()> {
        request.acknowledge();
        self.ask(request, &mut |_| {})
    }
}

/// What a socket's calls fail with.
#[derive(Clone, Copy, Debug)]
pub struct Failure(pub Errno);

impl core::fmt::Display for Failure {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // People are told by `errno`, which knows the words.
        Ok(())
    }
}

impl core::error::Error for Failure {}

impl embedded_io::Error for Failure {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

impl ErrorType for &Socket {
    type Error = Failure;
}

impl Read for &Socket {
    fn read(&mut self, memory: &mut [u8]) -> core::result::Result<usize, Failure> {
        recv(&self.0, memory, RecvFlags::empty())
            .map(|(n, _)| n)
            .map_err(Failure)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> core::result::Result<usize, Failure> {
        send(&self.0, bytes, SendFlags::empty()).map_err(Failure)
    }

    fn flush(&mut self) -> core::result::Result<(), Failure> {
        Ok(())
    }
}

/// Sends a request and calls `each` with the payload of every message of the answer.
///
/// # Errors
/// The kernel's; `E2BIG` for a request for which there was no room, `EBADMSG` where the answer ends too early.
pub fn exchange<S: Read<Error = Failure> + Write<Error = Failure>>(
    socket: &mut S,
    request: &mut Request,
    memory: &mut [u8],
    each: &mut dyn FnMut(&[u8]),
) -> Result<()> {
    SAID.set("");
    let number = NUMBER.get();
    NUMBER.set(number.wrapping_add(1));
    let bytes = request.finish();
    if bytes.is_empty() {
        return Err(Errno::TOOBIG);
    }
    // A netlink message is sent whole or not at all.
    socket.write(bytes).map_err(|Failure(errno)| errno)?;
    loop {
        let n = match socket.read(memory) {
            Err(Failure(Errno::INTR)) => continue,
            Err(Failure(errno)) => return Err(errno),
            Ok(0) => return Err(Errno::BADMSG),
            Ok(n) => n,
        };
        let answer = memory.get(..n).unwrap_or(memory);
        if let Some(end) = read_answer(answer, number, request.is_acknowledged, each) {
            return end;
        }
    }
}

/// Reads the messages in `bytes` that answer the request with this number; the end of the answer, where they hold it.
fn read_answer(
    mut bytes: &[u8],
    number: u32,
    is_acknowledged: bool,
    each: &mut dyn FnMut(&[u8]),
) -> Option<Result<()>> {
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let length = number_at(header, 0) as usize;
        let (kind, flags) = (half_at(header, 4), half_at(header, 6));
        let payload = rest.get(..length.saturating_sub(HEADER)).unwrap_or(rest);
        let is_ours = number_at(header, 8) == number;
        match kind {
            _ if !is_ours => {}
            // An acknowledgement is the error 0.
            NLMSG_ERROR => {
                let errno = (number_at(payload, 0) as i32).wrapping_neg();
                if errno == 0 {
                    return Some(Ok(()));
                }
                if flags & NLM_F_ACK_TLVS != 0 {
                    // Behind the number stands the request that failed, or its header alone.
                    let copied = if flags & NLM_F_CAPPED != 0 {
                        HEADER
                    } else {
                        number_at(payload, 4) as usize
                    };
                    note_words(attribute(payload, copied.saturating_add(4), NLMSGERR_ATTR_MSG));
                }
                return Some(Err(Errno::from_raw_os_error(errno.clamp(1, 4095))));
            }
            NLMSG_DONE => return Some(Ok(())),
            _ => {
                each(payload);
                if !is_acknowledged && flags & NLM_F_MULTI == 0 {
                    return Some(Ok(()));
                }
            }
        }
        let whole = length.max(HEADER).checked_next_multiple_of(4);
        bytes = whole.and_then(|whole| bytes.get(whole..)).unwrap_or_default();
    }
    None
}

#[cold]
fn note_words(words: Option<&[u8]>) {
    let mut words = words.unwrap_or_default();
    while let [shorter @ .., 0] = words {
        words = shorter;
    }
    if !words.is_empty() {
        SAID.set(keep("#", &[utf8(words)]));
    }
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
    use super::super::request::REQUEST_BYTES;
    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    /// A kernel that gives these answers.
    struct Scripted {
        sent: Vec<Vec<u8>>,
        answers: VecDeque<Vec<u8>>,
    }

    impl ErrorType for Scripted {
        type Error = Failure;
    }

    impl Read for Scripted {
        fn read(&mut self, memory: &mut [u8]) -> core::result::Result<usize, Failure> {
            let answer = self.answers.pop_front().ok_or(Failure(Errno::AGAIN))?;
            let n = answer.len().min(memory.len());
            memory[..n].copy_from_slice(&answer[..n]);
            Ok(n)
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> core::result::Result<usize, Failure> {
            self.sent.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> core::result::Result<(), Failure> {
            Ok(())
        }
    }

    fn message(kind: u16, flags: u16, number: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((HEADER as u32 + payload.len() as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(number.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn attributes_are_padded_and_found_again() {
        let mut request = Request::new(RTM_NEWLINK, 0, &[[1; 4]; 4]);
        request.fill("3@eth0 19!7 5% 9( 1=8 2( 3*5 ) [meta 6:1 ] )", &[b"abc"]);
        let bytes = request.finish().to_vec();
        assert_eq!(number_at(&bytes, 0) as usize, bytes.len());
        let payload = &bytes[HEADER..];
        assert_eq!(attribute(payload, 16, 3), Some(&b"eth0\0"[..]));
        assert_eq!(attribute(payload, 16, 5), Some(&b"abc\0"[..]));
        assert_eq!(attribute(payload, 16, 19), Some(&7_u32.to_ne_bytes()[..]));
        assert_eq!(attribute(payload, 16, 4), None);
        let nested = attribute(payload, 16, 9).expect("the nest");
        assert_eq!(attribute(nested, 0, 1), Some(&[0, 0, 0, 8][..]));
        let zeros = attribute(nested, 0, 2).and_then(|inner| attribute(inner, 0, 3));
        assert_eq!(zeros, Some(&[0; 5][..]));
    }

    #[test]
    fn a_request_that_is_too_long_is_not_sent() {
        let mut request = Request::empty();
        for _ in 0..REQUEST_BYTES / 16 {
            request.message(RTM_NEWLINK, 0, &[]).fill("3@eth0", &[]);
        }
        let mut kernel = Scripted {
            sent: Vec::new(),
            answers: VecDeque::new(),
        };
        let result = exchange(&mut kernel, &mut request, &mut [0; 64], &mut |_| {});
        assert_eq!((result, kernel.sent.len()), (Err(Errno::TOOBIG), 0));
    }

    #[test]
    fn words_of_the_kernel_become_the_errors() {
        let number = NUMBER.get();
        let mut said = Vec::new();
        said.extend((-17_i32).to_ne_bytes());
        said.extend(message(RTM_NEWLINK, 0, number, b"copy"));
        said.extend(8_u16.to_ne_bytes());
        said.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        said.extend(b"no!\0");
        let late = message(NLMSG_ERROR, 0, number.wrapping_sub(1), &0_i32.to_ne_bytes());
        let answers = [late, message(NLMSG_ERROR, NLM_F_ACK_TLVS, number, &said)];
        let mut kernel = Scripted {
            sent: Vec::new(),
            answers: answers.into(),
        };
        let mut request = Request::new(RTM_NEWLINK, 0, &[]);
        request.acknowledge();
        let result = exchange(&mut kernel, &mut request, &mut [0; 4096], &mut |_| {});
        assert_eq!((result, SAID.get()), (Err(Errno::EXIST), "no!"));
    }

    #[test]
    fn no_answer_makes_it_read_beyond_what_was_received() {
        let mut answer = message(16, NLM_F_MULTI, 5, b"12345678");
        answer.extend(message(2, NLM_F_ACK_TLVS, 5, &(-17_i32).to_ne_bytes()));
        let mut seen = Vec::new();
        let end = read_answer(&answer, 5, true, &mut |payload| seen.push(payload.to_vec()));
        assert_eq!(end, Some(Err(Errno::EXIST)));
        assert_eq!(seen, [b"12345678"]);
        // Cut anywhere, and with every length in its place, it comes to an end.
        for cut in 0..answer.len() {
            let _ = read_answer(&answer[..cut], 5, true, &mut |payload| {
                let _ = attribute(payload, 0, 1);
            });
        }
        for length in [0, 1, 15, 16, 17, 255, u32::MAX] {
            answer[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = read_answer(&answer, 5, true, &mut |payload| {
                let _ = attribute(payload, 4, 1);
            });
        }
        for length in 0..=255_u8 {
            let [first, second] = u16::from(length).to_ne_bytes();
            let _ = attribute(&[first, second, 9, 0, 1, 2, 3, 4, 5, 6], 0, 1);
        }
    }

    #[test]
    fn an_answer_ends_with_its_last_message() {
        let read = |answer: &[Vec<u8>], is_acknowledged| {
            let mut seen = 0;
            let end = read_answer(&answer.concat(), 5, is_acknowledged, &mut |_| seen += 1);
            (end, seen)
        };
        let one = message(16, 0, 5, b"");
        let part = message(16, NLM_F_MULTI, 5, b"");
        let done = message(NLMSG_DONE, NLM_F_MULTI, 5, &[0; 4]);
        let acknowledgement = message(NLMSG_ERROR, 0, 5, &[0; 4]);
        let others = message(NLMSG_DONE, 0, 4, &[0; 4]);
        assert_eq!(read(&[one.clone(), one.clone()], false), (Some(Ok(())), 1));
        assert_eq!(read(&[one.clone(), one.clone()], true), (None, 2));
        assert_eq!(read(&[one, acknowledgement, part.clone()], true), (Some(Ok(())), 1));
        assert_eq!(read(&[part.clone(), part.clone()], false), (None, 2));
        assert_eq!(read(&[part.clone(), others, part, done], false), (Some(Ok(())), 2));
    }

    #[test]
    fn words_are_read_where_there_are_some() {
        let mut said = (-17_i32).to_ne_bytes().to_vec();
        said.extend(message(RTM_NEWLINK, 0, 5, b""));
        said.extend(10_u16.to_ne_bytes());
        said.extend(NLMSGERR_ATTR_MSG.to_ne_bytes());
        said.extend(b"words\0");
        // The length that the kernel has cut the request to is not the one that it says.
        said[4..8].copy_from_slice(&99_u32.to_ne_bytes());
        let read = |flags| {
            SAID.set("");
            let answer = message(NLMSG_ERROR, flags, 5, &said);
            assert_eq!(read_answer(&answer, 5, true, &mut |_| {}), Some(Err(Errno::EXIST)));
            SAID.get()
        };
        assert_eq!(read(NLM_F_ACK_TLVS | NLM_F_CAPPED), "words");
        assert_eq!([read(NLM_F_ACK_TLVS), read(NLM_F_CAPPED), read(0)], [""; 3]);
    }
}
