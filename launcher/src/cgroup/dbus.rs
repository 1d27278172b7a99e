//! D-Bus, as much of it as starting a unit takes: calls of one object's methods, and what comes back.
//!
//! Lengths in messages are never trusted further than the bytes that were received, and what is read comes from a function,
//! so that it can be tested and fuzzed without a bus.

use rustix::io::Errno;
use sys::TakeOnce;

use crate::text::{cut, parse_number};

type Result<T> = core::result::Result<T, Errno>;

/// Bytes of the longest call: a unit with its properties.
const CALL_BYTES: usize = 16 * 1024;
/// Bytes of a message that are looked at; what is longer is cut.
pub const MESSAGE_BYTES: usize = 4096;
/// Bytes of the longest message that the protocol allows.
const LONGEST: usize = 128 << 20;
/// What a message of this machine begins with.
const ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };

/// A message is an answer to a call.
pub const ANSWER: u8 = 2;
/// A message is the refusal of a call.
pub const REFUSAL: u8 = 3;
/// A message is a signal.
pub const SIGNAL: u8 = 4;

static MEMORY: TakeOnce<[u8; CALL_BYTES]> = TakeOnce::new([0; CALL_BYTES]);

/// Calls that are being put together, one after the other.
pub struct Calls {
    bytes: &'static mut [u8; CALL_BYTES],
    /// More than there is room for where they are too long.
    len: usize,
    /// Where the last one begins, and its body.
    start: usize,
    body: usize,
    /// The number of the last one.
    pub serial: u32,
}

/// The object, the interface and the name of who has methods.
pub type Target = [&'static str; 3];

impl Calls {
    /// None yet. There is memory for one of these.
    pub fn new() -> Self {
        Self::within(MEMORY.take())
    }

    fn within(bytes: &'static mut [u8; CALL_BYTES]) -> Self {
        Self {
            bytes,
            len: 0,
            start: 0,
            body: 0,
            serial: 0,
        }
    }

    /// Begins a call of `method`, whose arguments are of the types in `signature`.
    #[inline(never)]
    pub fn call(&mut self, target: &Target, method: &str, signature: &str) {
        self.end();
        self.align(8);
        self.start = self.len;
        self.serial += 1;
        self.push(&[ORDER, 1, 0, 1, 0, 0, 0, 0]);
        self.word(self.serial);
        let fields = self.open(8);
        let [object, interface, name] = *target;
        // The fields in the order of their letters, each with its number in the protocol.
        for (number, text) in [(1, object), (2, interface), (3, method), (6, name)] {
            self.align(8);
            self.push(&[number, 1, if number == 1 { b'o' } else { b's' }, 0]);
            self.text(text);
        }
        self.align(8);
        self.push(&[8, 1, b'g', 0]);
        self.signature(signature);
        self.close(fields);
        self.align(8);
        self.body = self.len;
    }

    fn end(&mut self) {
        // Where there is no call yet, these are bytes of the first one, which is written later.
        let length = (self.len - self.body) as u32;
        self.put(self.start + 4, &length.to_ne_bytes());
    }

    /// All calls as they are sent.
    pub fn finish(&mut self) -> Result<&[u8]> {
        self.end();
        let len = core::mem::take(&mut self.len);
        self.start = 0;
        self.body = 0;
        self.bytes.get(..len).ok_or(Errno::TOOBIG)
    }

    /// Appends a property of a unit: its name, and a value of one type.
    ///
    /// | kind | value |
    /// |---|---|
    /// | `b`, `u`, `i` | the number, 32 bits |
    /// | `t`, `x` | the number, 64 bits |
    /// | `s` | the text |
    /// | `U` | a list of the number |
    /// | `S` | a list of the texts in quotation marks that commas part |
    /// | `Y` | the bytes of the text's list of bits, as `0-3,7` |
    ///
    /// A letter is the protocol's, and a capital one a list.
    #[inline(never)]
    pub fn property(&mut self, name: &str, kind: u8, number: u64, text: &str) {
        self.align(8);
        self.text(name);
        if kind.is_ascii_uppercase() {
            self.push(&[2, b'a', kind.to_ascii_lowercase(), 0]);
        } else {
            self.push(&[1, kind, 0]);
        }
        match kind {
            b't' | b'x' => {
                self.align(8);
                self.push(&number.to_ne_bytes());
            }
            b's' => self.text(text),
            b'U' => {
                self.word(4);
                self.word(number as u32);
            }
            b'S' => {
                let list = self.open(4);
                let mut rest = text;
                while !rest.is_empty() {
                    let part = cut(&mut rest, b',');
                    self.text(unquoted(part).unwrap_or_default());
                }
                self.close(list);
            }
            b'Y' => {
                let mut bits = [0; BITS / 8];
                let length = parse_bits(text, &mut bits).unwrap_or_default();
                self.word(length as u32);
                self.push(bits.get(..length).unwrap_or_default());
            }
            _ => self.word(number as u32),
        }
    }

    /// Appends a text.
    #[inline(never)]
    pub fn text(&mut self, text: &str) {
        self.word(text.len() as u32);
        self.push(text.as_bytes());
        self.push(&[0]);
    }

    fn signature(&mut self, text: &str) {
        self.push(&[text.len() as u8]);
        self.push(text.as_bytes());
        self.push(&[0]);
    }

    /// Appends a number of 32 bits.
    #[inline(never)]
    pub fn word(&mut self, number: u32) {
        self.align(4);
        self.push(&number.to_ne_bytes());
    }

    /// Begins a list whose elements are aligned to so many bytes.
    #[inline(never)]
    pub fn open(&mut self, align: usize) -> List {
        self.word(0);
        let length_at = self.len - 4;
        self.align(align);
        List {
            length_at,
            start: self.len,
        }
    }

    /// Ends it.
    #[inline(never)]
    pub fn close(&mut self, list: List) {
        let length = (self.len - list.start) as u32;
        self.put(list.length_at, &length.to_ne_bytes());
    }

    fn align(&mut self, align: usize) {
        while !self.len.is_multiple_of(align) {
            self.push(&[0]);
        }
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
}

impl Default for Calls {
    fn default() -> Self {
        Self::new()
    }
}

/// A list that is being written.
pub struct List {
    length_at: usize,
    start: usize,
}

/// What is between quotation marks; `None` where that is not all there is, or needs a closer look.
pub fn unquoted(text: &str) -> Option<&str> {
    let text = text.trim_ascii();
    let (first, rest) = text.split_at_checked(1)?;
    let inner = rest.strip_suffix(first)?;
    (matches!(first, "'" | "\"") && !inner.bytes().any(|byte| matches!(byte, b'\'' | b'"' | b'\\' | b',')))
        .then_some(inner)
}

/// Processors that a list of bits may name: those above are set in the cgroup's file alone.
const BITS: usize = 1024;

/// Sets the bits of `list`, as `0-3,7`, in `bits`, and returns how many bytes it takes; `None` where it is no such list.
fn parse_bits(list: &str, bits: &mut [u8; BITS / 8]) -> Option<usize> {
    let mut length = 0;
    let mut rest = list.trim_ascii();
    while !rest.is_empty() {
        let mut range = cut(&mut rest, b',');
        let first = cut(&mut range, b'-');
        let last = if range.is_empty() { first } else { range };
        let (mut bit, last) = (parse_number(first)? as usize, parse_number(last)? as usize);
        while bit <= last {
            *bits.get_mut(bit / 8)? |= 1 << (bit % 8);
            length = length.max(bit / 8 + 1);
            bit += 1;
        }
    }
    Some(length)
}

/// A message that was received. What it does not have is empty.
#[derive(Default)]
pub struct Message<'a> {
    /// [`ANSWER`], [`REFUSAL`], [`SIGNAL`], or a call of somebody's.
    pub kind: u8,
    /// The number of the call that it answers.
    pub answers: u32,
    /// The name of a signal.
    pub member: &'a str,
    /// The name of an error.
    pub error: &'a str,
    /// What it carries.
    pub body: Reader<'a>,
}

impl<'a> Message<'a> {
    /// Understands a message, the end of which may be missing; `None` where it is none.
    #[inline(never)]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { bytes, at: 0 };
        let &[ORDER, kind, _, 1, ..] = bytes else { return None };
        reader.at = 12;
        let end = 16_usize.checked_add(reader.word()? as usize)?;
        let mut message = Self {
            kind,
            ..Self::default()
        };
        loop {
            reader.align(8)?;
            if reader.at >= end {
                break;
            }
            let &[number, 1, kind, 0] = reader.take(4)? else {
                return None;
            };
            match kind {
                b'u' => {
                    let value = reader.word()?;
                    if number == 5 {
                        message.answers = value;
                    }
                }
                b'g' => _ = reader.signature()?,
                b's' | b'o' => {
                    let text = reader.text()?;
                    match number {
                        3 => message.member = text,
                        4 => message.error = text,
                        _ => {}
                    }
                }
                _ => return None,
            }
        }
        message.body.bytes = bytes.get(reader.at..)?;
        Some(message)
    }
}

/// How long the message is that begins with `head`; `None` where that is no beginning of one.
fn length(head: &[u8; 16]) -> Option<usize> {
    let &[ORDER, _, _, 1, ..] = head else { return None };
    let mut reader = Reader { bytes: head, at: 4 };
    let body = reader.word()? as usize;
    reader.at = 12;
    let fields = reader.word()? as usize;
    let length = fields.checked_next_multiple_of(8)?.checked_add(body)?.checked_add(16)?;
    (length <= LONGEST).then_some(length)
}

/// Receives one message by calls of `read`, which returns how many bytes it had, into `memory`, and returns how many of its
/// bytes are there. The rest of a long one is dropped.
///
/// # Errors
/// Those of `read`; `EPIPE` at its end; `EPROTO` for what is no message.
pub fn receive(memory: &mut [u8; MESSAGE_BYTES], read: &mut dyn FnMut(&mut [u8]) -> Result<usize>) -> Result<usize> {
    let mut fill = |part: &mut [u8]| {
        let mut at = 0;
        while let Some(rest @ [_, ..]) = part.get_mut(at..) {
            match read(rest)? {
                0 => return Err(Errno::PIPE),
                n => at += n,
            }
        }
        Ok(())
    };
    let (head, rest) = memory.split_first_chunk_mut::<16>().ok_or(Errno::PROTO)?;
    fill(head)?;
    let mut left = length(head).ok_or(Errno::PROTO)? - 16;
    let kept = left.min(rest.len());
    fill(rest.get_mut(..kept).unwrap_or_default())?;
    left -= kept;
    let mut dropped = [0; 256];
    while left > 0 {
        let part = left.min(dropped.len());
        fill(dropped.get_mut(..part).unwrap_or_default())?;
        left -= part;
    }
    Ok(16 + kept)
}

/// Reads values one after the other. It begins where eight bytes are aligned.
#[derive(Default, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, align: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(align)?;
        Some(())
    }

    #[inline(never)]
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(n)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A number of 32 bits.
    #[inline(never)]
    pub fn word(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A text, or the path of an object.
    #[inline(never)]
    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.word()? as usize;
        self.words(length)
    }

    /// The types of what follows.
    #[inline(never)]
    pub fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?.into();
        self.words(length)
    }

    fn words(&mut self, length: usize) -> Option<&'a str> {
        let text = self.take(length)?;
        (self.byte()? == 0).then_some(core::str::from_utf8(text).ok()?)
    }
}

/// What `append` appends.
#[cfg(test)]
pub(super) fn appended(append: impl FnOnce(&mut Calls)) -> std::vec::Vec<u8> {
    let mut calls = Calls::within(std::boxed::Box::leak(std::boxed::Box::new([0; CALL_BYTES])));
    append(&mut calls);
    calls.bytes[..calls.len].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const BUS: Target = ["/o", "a.b", "c.d"];

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let mut calls = Calls::new();
        calls.call(&BUS, "Do", "s");
        calls.text("hi");
        let bytes = calls.finish().unwrap().to_vec();
        let mut expected = Vec::new();
        expected.extend([ORDER, 1, 0, 1]);
        for number in [7_u32, 1, 77] {
            expected.extend(number.to_ne_bytes());
        }
        for (number, kind, text) in [(1, b'o', "/o"), (2, b's', "a.b"), (3, b's', "Do"), (6, b's', "c.d")] {
            expected.resize(expected.len().next_multiple_of(8), 0);
            expected.extend([number, 1, kind, 0]);
            expected.extend((text.len() as u32).to_ne_bytes());
            expected.extend(text.bytes().chain([0]));
        }
        expected.resize(expected.len().next_multiple_of(8), 0);
        expected.extend([8, 1, b'g', 0, 1, b's', 0]);
        assert_eq!(expected.len() - 16, 77 - 6);
        let fields = (expected.len() - 16) as u32;
        expected[12..16].copy_from_slice(&fields.to_ne_bytes());
        expected.resize(expected.len().next_multiple_of(8), 0);
        expected.extend(2_u32.to_ne_bytes());
        expected.extend(*b"hi\0");
        assert_eq!(bytes, expected);
        // The next one has the next number, and begins where the memory does.
        calls.call(&BUS, "Do", "");
        assert_eq!(calls.finish().unwrap()[8..12], 2_u32.to_ne_bytes());
        // What is read back is what was written.
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.kind, message.member, message.body.clone().text()),
            (1, "Do", Some("hi"))
        );
    }

    #[test]
    fn lists_of_bits() {
        let parse = |list| {
            let mut bits = [0; BITS / 8];
            parse_bits(list, &mut bits).map(|length| bits[..length].to_vec())
        };
        assert_eq!(parse("0-3,9"), Some([0x0f, 2].to_vec()));
        assert_eq!(parse("7\n"), Some([0x80].to_vec()));
        assert_eq!(parse("0-1,1,0"), Some([3].to_vec()));
        assert_eq!(parse(""), Some(Vec::new()));
        assert_eq!(parse("1023").map(|bits| bits.len()), Some(128));
        for list in ["1024", "x", "1-", "-1", "3-1000000"] {
            assert!(parse(list).is_none_or(|bits| list == "1-" && bits == [2]), "{list}");
        }
    }

    fn received(bytes: &[u8], memory: &mut [u8; MESSAGE_BYTES]) -> Result<usize> {
        let mut rest = bytes;
        receive(memory, &mut |part| {
            // As few as there may be.
            let n = part.len().min(3).min(rest.len());
            part[..n].copy_from_slice(&rest[..n]);
            rest = &rest[n..];
            Ok(n)
        })
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = [ORDER, kind, 0, 1].to_vec();
        for number in [body.len() as u32, 9, 8] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend([5, 1, b'u', 0]);
        bytes.extend(4_u32.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn messages_are_received_in_parts() {
        let mut memory = [0; MESSAGE_BYTES];
        let bytes = message(ANSWER, b"\x02\0\0\0hi\0");
        if cfg!(target_endian = "little") {
            let length = received(&bytes, &mut memory).unwrap();
            let message = Message::parse(&memory[..length]).unwrap();
            assert_eq!((message.kind, message.answers), (ANSWER, 4));
            assert_eq!(message.body.clone().text(), Some("hi"));
        }
        let long = message(SIGNAL, &[7; 3 * MESSAGE_BYTES]);
        assert_eq!(received(&long, &mut memory), Ok(MESSAGE_BYTES));
        assert!(Message::parse(&memory).is_some());
        assert_eq!(received(&long[..long.len() - 1], &mut memory), Err(Errno::PIPE));
        assert_eq!(received(b"what is this, please?", &mut memory), Err(Errno::PROTO));
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let bytes = message(ANSWER, b"");
        for end in 0..bytes.len() {
            assert!(Message::parse(&bytes[..end]).is_none(), "{end}");
        }
        let mut wrong = bytes.clone();
        wrong[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(Message::parse(&wrong).is_none());
    }

    #[test]
    fn a_text_ends_with_a_nul() {
        let signature = |bytes| Reader { bytes, at: 0 }.signature();
        assert_eq!(signature(b"\x01s\0"), Some("s"));
        assert_eq!(signature(b"\x01sx"), None);
        assert_eq!(signature(b"\x01s"), None);
        assert_eq!(signature(b""), None);
    }

    #[test]
    fn properties_of_every_kind() {
        let word = |number: u32| number.to_ne_bytes().to_vec();
        let text = |text: &str| [&word(text.len() as u32), text.as_bytes(), &[0]].concat();
        let padded = |mut bytes: Vec<u8>, align| {
            bytes.resize(bytes.len().next_multiple_of(align), 0);
            bytes
        };
        let long = 5_u64.to_ne_bytes().to_vec();
        let texts = [padded(text("a"), 4), text("bc")].concat();
        for (kind, types, align, value) in [
            (b'b', &b"\x01b\0"[..], 4, word(5)),
            (b'u', b"\x01u\0", 4, word(5)),
            (b'i', b"\x01i\0", 4, word(5)),
            (b't', b"\x01t\0", 8, long.clone()),
            (b'x', b"\x01x\0", 8, long),
            (b's', b"\x01s\0", 4, text("'a',\"bc\"")),
            (b'U', b"\x02au\0", 4, [word(4), word(5)].concat()),
            (b'S', b"\x02as\0", 4, [word(texts.len() as u32), texts].concat()),
        ] {
            let expected = [padded([&text("P"), types].concat(), align), value].concat();
            let found = appended(|calls| calls.property("P", kind, 5, "'a',\"bc\""));
            assert_eq!(found, expected, "{}", char::from(kind));
        }
        let expected = [
            padded([&text("P")[..], b"\x02ay\0"].concat(), 4),
            word(2),
            [9, 1].to_vec(),
        ]
        .concat();
        assert_eq!(appended(|calls| calls.property("P", b'Y', 0, "0,3,8")), expected);
        // The next one begins at a multiple of eight.
        let two = appended(|calls| {
            calls.property("P", b'u', 5, "");
            calls.property("P", b'u', 5, "");
        });
        assert_eq!((two.len(), &two[16..]), (32, &two[..16]));
    }

    #[test]
    fn what_stands_between_quotation_marks() {
        for (text, expected) in [
            ("'a b'", Some("a b")),
            (" \"a\" ", Some("a")),
            ("''", Some("")),
            ("\"", None),
        ] {
            assert_eq!(unquoted(text), expected, "{text}");
        }
        for text in ["", "a", "'a", "'a\"", "'a'b'", "'a\\n'", "'a,b'", "xax", "'\"'"] {
            assert_eq!(unquoted(text), None, "{text}");
        }
    }
}
