//! The grammar of JSON (RFC 8259), checked byte by byte before anything is read, and the few walks over checked text that
//! the reader and its errors need.
//!
//! A document that has passed here is well-formed to the last byte, is no deeper than [`JSON_DEPTH_MAX`], and holds no NUL,
//! so the reader ([`crate::json`]) need not look at any of that again.

use static_assertions::const_assert;

use crate::error::Step;
use crate::limits::JSON_DEPTH_MAX;
use crate::message::{Message, text};

// The kinds of the open brackets are the bits of one number.
const_assert!(JSON_DEPTH_MAX <= 64);
// The text of the error has the number in it.
const_assert!(JSON_DEPTH_MAX == 32);

/// A message and the offset of the first byte that cannot be right.
pub(crate) type Misspelt = (Message, usize);

const END: Message = text!("unexpected end of file");
const LONE_SURROGATE: Message = text!("lone surrogate in a string");

/// The text of `json`, if it is one JSON value and nothing else.
pub(crate) fn check(json: &[u8]) -> Result<&str, Misspelt> {
    if json.starts_with(b"\xef\xbb\xbf") {
        return Err((text!("starts with a byte order mark"), 0));
    }
    let text = core::str::from_utf8(json);
    let valid = match text {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    let mut scan = Scan {
        json: json.get(..valid).unwrap_or_default(),
        at: 0,
        message: END,
    };
    let is_fine = scan.document().is_some();
    match text {
        Ok(text) if is_fine => Ok(text),
        // What comes first in the document is reported, and the end of the part that is UTF-8 is no end of file.
        Err(_) if is_fine || scan.at >= valid => Err((text!("not UTF-8"), valid)),
        _ => Err((scan.message, scan.at)),
    }
}

/// The part of a document that has been found in order. `None` is a mistake at `at`.
struct Scan<'j> {
    json: &'j [u8],
    at: usize,
    message: Message,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    #[cold]
    #[inline(never)]
    fn fail(&mut self, message: Message) -> Option<()> {
        self.message = if self.at < self.json.len() { message } else { END };
        None
    }

    /// Fails at a place that has been passed.
    #[cold]
    #[inline(never)]
    fn fail_at(&mut self, at: usize, message: Message) -> Option<()> {
        self.at = at;
        self.fail(message)
    }

    fn space(&mut self) {
        self.at = skip_space(self.json, self.at);
    }

    #[inline(never)]
    fn document(&mut self) -> Option<()> {
        // Bit n says whether the bracket at depth n is a brace.
        let (mut depth, mut braces) = (0, 0_u64);
        loop {
            self.space();
            let Some(first) = self.peek() else {
                return self.fail(END);
            };
            if first == b'{' || first == b'[' {
                if depth == JSON_DEPTH_MAX {
                    return self.fail(text!("nested deeper than 32 levels (JSON_DEPTH_MAX)"));
                }
                self.at += 1;
                self.space();
                let brace = first == b'{';
                if self.peek() != Some(if brace { b'}' } else { b']' }) {
                    braces = braces & !(1 << depth) | u64::from(brace) << depth;
                    depth += 1;
                    if brace {
                        self.key()?;
                    }
                    continue;
                }
                self.at += 1;
            } else {
                self.scalar(first)?;
            }
            // A value is complete; so may be what holds it.
            loop {
                self.space();
                if depth == 0 {
                    return if self.at == self.json.len() {
                        Some(())
                    } else {
                        self.fail(text!("expected the end of the file"))
                    };
                }
                let brace = braces >> (depth - 1) & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        if brace {
                            self.space();
                            self.key()?;
                        }
                        break;
                    }
                    Some(b'}') if brace => depth -= 1,
                    Some(b']') if !brace => depth -= 1,
                    _ if brace => return self.fail(text!("expected a comma or '}'")),
                    _ => return self.fail(text!("expected a comma or ']'")),
                }
                self.at += 1;
            }
        }
    }

    #[inline(never)]
    fn key(&mut self) -> Option<()> {
        if self.peek() != Some(b'"') {
            return self.fail(text!("expected a name in quotes"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return self.fail(text!("expected a colon"));
        }
        self.at += 1;
        Some(())
    }

    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.fail(text!("expected a value")),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Option<()> {
        for byte in literal {
            if self.peek() != Some(*byte) {
                return self.fail(text!("expected a value"));
            }
            self.at += 1;
        }
        Some(())
    }

    /// Passes over a byte, if it is that one.
    #[inline(never)]
    fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn number(&mut self) -> Option<()> {
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Some(())
    }

    #[inline(never)]
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return self.fail(text!("expected a digit"));
        }
        Some(())
    }

    #[inline(never)]
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at = skip_plain(self.json, self.at);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return self.fail(text!("control character in a string")),
            }
        }
        self.at += 1;
        Some(())
    }

    fn escape(&mut self) -> Option<()> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let unit = self.unit()?;
                if unit == 0 {
                    return self.fail_at(start, text!("NUL in a string"));
                }
                if let 0xd800..=0xdfff = unit {
                    let pair = self.json.get(self.at..).unwrap_or_default();
                    if unit < 0xdc00 && (pair.is_empty() || pair == b"\\") {
                        return self.fail_at(self.json.len(), END);
                    }
                    if unit >= 0xdc00 || !pair.starts_with(b"\\u") {
                        return self.fail_at(start, LONE_SURROGATE);
                    }
                    self.at += 1;
                    if !matches!(self.unit()?, 0xdc00..=0xdfff) {
                        return self.fail_at(start, LONE_SURROGATE);
                    }
                }
            }
            _ => return self.fail(text!("unknown escape in a string")),
        }
        Some(())
    }

    /// The four digits behind `u`.
    #[inline(never)]
    fn unit(&mut self) -> Option<u32> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                self.fail(text!("expected a hexadecimal digit"))?;
                return None;
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Some(unit)
    }
}

/// The offset of the first byte from `at` on that is no white space.
pub(crate) fn skip_space(json: &[u8], mut at: usize) -> usize {
    while let Some(byte @ (b' ' | b'\n' | b'\t' | b'\r')) = json.get(at) {
        at += 1;
        // Documents that are indented for people have more of these than of anything else.
        while *byte == b'\n' && json.get(at..at + 8) == Some(b"        ") {
            at += 8;
        }
    }
    at
}

/// The offset behind the value that starts at `at`, in a checked document.
pub(crate) fn skip_value(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => {
                at = skip_string(json, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' | b' ' | b'\n' | b'\t' | b'\r' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

pub(crate) fn skip_string(json: &[u8], mut at: usize) -> usize {
    at = skip_plain(json, at + 1);
    while json.get(at) == Some(&b'\\') {
        at = skip_plain(json, at + 2);
    }
    at + 1
}

/// The offset of the first byte from `at` on that does not stand for itself in a string.
#[inline(never)]
fn skip_plain(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
    at + end.unwrap_or(rest.len())
}

/// The children of an object or an array of a checked document: the name, where there is one, and the offset of each.
struct Children<'j> {
    json: &'j [u8],
    at: usize,
    closing: u8,
}

/// The children of the value at `at`: none where it is a scalar.
#[inline(never)]
fn children(json: &[u8], at: usize) -> Children<'_> {
    let closing = match json.get(at) {
        Some(b'{') => b'}',
        _ => b']',
    };
    Children {
        json,
        at: if let Some(b'{' | b'[') = json.get(at) {
            at + 1
        } else {
            json.len()
        },
        closing,
    }
}

impl<'j> Iterator for Children<'j> {
    type Item = (&'j str, usize);

    fn next(&mut self) -> Option<Self::Item> {
        self.at = skip_space(self.json, self.at);
        if self.json.get(self.at) == Some(&b',') {
            self.at = skip_space(self.json, self.at + 1);
        }
        if *self.json.get(self.at)? == self.closing {
            return None;
        }
        let mut name = "";
        if self.closing == b'}' {
            let end = skip_string(self.json, self.at);
            name = core::str::from_utf8(self.json.get(self.at + 1..end.checked_sub(1)?)?).ok()?;
            self.at = skip_space(self.json, skip_space(self.json, end) + 1);
        }
        let value = self.at;
        self.at = skip_value(self.json, value);
        Some((name, value))
    }
}

/// The offset of the value of the member `name` of the object at `at`: of the last one, which counts for the reader.
pub(crate) fn find_member(json: &[u8], at: usize, name: &str) -> Option<usize> {
    children(json, at)
        .filter(|(key, _)| *key == name)
        .last()
        .map(|(_, value)| value)
}

/// The offset of child `index` of the array or the object at `at`.
pub(crate) fn find_child(json: &[u8], at: usize, index: usize) -> Option<usize> {
    children(json, at).nth(index).map(|(_, value)| value)
}

/// The step from the value at `at` to the child that `target` lies in, and the offset of that child.
pub(crate) fn step_towards(json: &[u8], at: usize, target: usize) -> Option<(Step<'_>, usize)> {
    let (index, (name, child)) = children(json, at)
        .take_while(|(_, child)| *child <= target)
        .enumerate()
        .last()?;
    Some((
        if json.get(at) == Some(&b'{') {
            Step::Member(name)
        } else {
            Step::Index(index)
        },
        child,
    ))
}

/// How an error names the value at `at`: a scalar as it is spelt, the others by their kind.
pub(crate) fn shown(json: &[u8], at: usize) -> &str {
    match json.get(at) {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        _ => json
            .get(at..skip_value(json, at))
            .and_then(|value| core::str::from_utf8(value).ok())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
