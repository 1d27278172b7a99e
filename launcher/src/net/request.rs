//! Requests to the kernel, put together in fixed memory.

use sys::Register;

use super::netlink::number_at;
use crate::text::{cut, parse_number, utf8};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// The attribute holds others.
const NLA_F_NESTED: u16 = 0x8000;
/// The longest request of ours, twice over.
pub(super) const REQUEST_BYTES: usize = 8 * 1024;

/// The number of the request that is being put together: what answers an earlier one is not taken for its answer.
pub(super) static NUMBER: Register<u32> = Register::new(1);

/// Four bytes of a structure.
pub type Word = [u8; 4];

/// A request that is being put together: one message, or several that the kernel takes one after the other.
pub struct Request {
    bytes: [u8; REQUEST_BYTES],
    /// More than there is room for where the request is too long.
    len: usize,
    /// Where the last message begins.
    message: usize,
    /// What it asks for.
    flags: u16,
    pub(super) is_acknowledged: bool,
}

impl Request {
    /// A request of a type, with the structure that belongs to it.
    pub fn new(kind: u16, flags: u16, structure: &[Word]) -> Self {
        let mut request = Self::empty();
        request.message(kind, flags, structure);
        request
    }

    /// Nothing yet.
    #[inline(never)]
    pub fn empty() -> Self {
        Self {
            bytes: [0; REQUEST_BYTES],
            len: 0,
            message: 0,
            flags: 0,
            is_acknowledged: false,
        }
    }

    /// Begins a message, which is the last one from now on.
    #[inline(never)]
    pub fn message(&mut self, kind: u16, flags: u16, structure: &[Word]) -> &mut Self {
        self.end_message();
        self.message = self.len;
        self.flags = flags | NLM_F_REQUEST;
        self.push(&[0; 4]);
        self.push(&kind.to_ne_bytes());
        self.push(&self.flags.to_ne_bytes());
        self.push(&NUMBER.get().to_ne_bytes());
        self.push(&[0; 4]);
        self.push(structure.as_flattened());
        self
    }

    fn end_message(&mut self) {
        let length = (self.len - self.message) as u32;
        self.put(self.message, &length.to_ne_bytes());
    }

    /// The kernel is to say when it has done the last message, which it does after the others. What it refuses it says in
    /// any case.
    pub fn acknowledge(&mut self) {
        self.is_acknowledged = true;
        self.put(self.message + 6, &(self.flags | NLM_F_ACK).to_ne_bytes());
    }

    /// Appends an attribute.
    #[inline(never)]
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = 4 + value.len() as u16;
        self.push(&length.to_ne_bytes());
        self.push(&kind.to_ne_bytes());
        self.push(value);
        // To the next multiple of four, which the memory is.
        self.len = self.len.next_multiple_of(4);
    }

    /// Appends an attribute that is a text with its NUL.
    #[inline(never)]
    pub fn text(&mut self, kind: u16, value: &str) {
        let start = self.len;
        self.attribute(kind, value.as_bytes());
        // The NUL is in the padding already, or is four bytes of it.
        let length = 4 + value.len() + 1;
        self.put(start, &(length as u16).to_ne_bytes());
        self.len = start + length.next_multiple_of(4);
    }

    /// Appends attributes as `template` says, which has words with blanks between them. A number is the kernel's name of an
    /// attribute, what follows is its value:
    ///
    /// | | |
    /// |---|---|
    /// | `N$`, `N%` | the next argument; with a NUL behind it |
    /// | `N@TEXT` | a text and a NUL |
    /// | `N=M`, `N!M` | a number in the order of the network, of this machine |
    /// | `N:M`, `N*M` | a byte; so many zeros |
    /// | `N(` ... `)` | attributes |
    /// | `[NAME` ... `]` | the same as `1( 1@NAME 2(` ... `) )`, an expression of a packet filter |
    /// | `~` | a `struct ifinfomsg` of zeros, in front of attributes |
    #[inline(never)]
    pub fn fill(&mut self, template: &str, arguments: &[&[u8]]) -> &mut Self {
        let mut arguments = arguments.iter();
        let mut opened: heapless::Vec<usize, 8> = heapless::Vec::new();
        let mut rest = template;
        while !rest.is_empty() {
            let word = cut(&mut rest, b' ');
            let digits = word.bytes().take_while(u8::is_ascii_digit).count();
            let (kind, value) = word.split_at_checked(digits).unwrap_or_default();
            let (sign, value) = value.split_at_checked(1).unwrap_or_default();
            let (kind, number) = (number_of(kind) as u16, number_of(value));
            match sign {
                "(" => _ = opened.push(self.open(kind)),
                "[" => {
                    let _ = opened.push(self.open(1));
                    self.text(1, value);
                    let _ = opened.push(self.open(2));
                }
                ")" => self.close(opened.pop()),
                "]" => {
                    self.close(opened.pop());
                    self.close(opened.pop());
                }
                "~" => self.push(&[0; 16]),
                "@" => self.text(kind, value),
                "=" => self.attribute(kind, &number.to_be_bytes()),
                "!" => self.attribute(kind, &number.to_ne_bytes()),
                ":" => self.attribute(kind, &[number as u8]),
                "*" => self.attribute(kind, [0; 16].get(..number as usize).unwrap_or_default()),
                sign => {
                    let argument = arguments.next().copied().unwrap_or_default();
                    if sign == "%" {
                        self.text(kind, utf8(argument));
                    } else {
                        self.attribute(kind, argument);
                    }
                }
            }
        }
        self
    }

    /// Begins an attribute that holds others, and returns where.
    #[inline(never)]
    fn open(&mut self, kind: u16) -> usize {
        let start = self.len;
        self.attribute(kind | NLA_F_NESTED, &[]);
        start
    }

    /// Ends it.
    fn close(&mut self, start: Option<usize>) {
        let start = start.unwrap_or_default();
        let length = (self.len - start) as u16;
        self.put(start, &length.to_ne_bytes());
    }

    /// The number that its answer has to have.
    pub fn number_of_message(&self) -> u32 {
        number_at(self.bytes.get(self.message..).unwrap_or_default(), 8)
    }

    /// Whether there is one message.
    pub fn is_single(&self) -> bool {
        self.message == 0
    }

    #[inline(never)]
    fn push(&mut self, bytes: &[u8]) {
        let start = self.len;
        self.len += bytes.len();
        self.put(start, bytes);
    }

    fn put(&mut self, start: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(start..start + bytes.len()) {
            sys::copy(place, bytes);
        }
    }

    /// Whether there is room for so many more bytes.
    #[cfg(test)]
    pub fn fits(&self, more: usize) -> bool {
        self.len + more <= REQUEST_BYTES
    }

    /// The request as it is sent; nothing where it is too long.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.end_message();
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn number_of(digits: &str) -> u32 {
    parse_number(digits).unwrap_or(0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn messages_stand_one_behind_the_other() {
        NUMBER.set(7);
        let mut request = Request::new(20, 0x400, &[[7; 4]]);
        assert!(request.is_single());
        request.message(21, 0x200, &[]).attribute(3, b"ab");
        request.acknowledge();
        assert!(!request.is_single() && request.is_acknowledged);
        let mut expected = Vec::new();
        for (length, kind, flags, rest) in [
            (20_u32, 20_u16, 0x401_u16, &[7; 4][..]),
            (
                24,
                21,
                0x205,
                &[6_u16.to_ne_bytes(), 3_u16.to_ne_bytes(), *b"ab", [0; 2]].concat(),
            ),
        ] {
            expected.extend(length.to_ne_bytes());
            expected.extend(kind.to_ne_bytes());
            expected.extend(flags.to_ne_bytes());
            expected.extend(NUMBER.get().to_ne_bytes());
            expected.extend([0; 4]);
            expected.extend(rest);
        }
        assert_eq!(request.number_of_message(), NUMBER.get());
        assert_eq!(request.finish(), expected);
    }
}
