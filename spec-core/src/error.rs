//! What is wrong with a document, and where.

use core::fmt;

use crate::grammar;
use crate::message::Message;
use crate::sink::{Show, Sink, put_number};

/// Why a document was refused. Printed, it is one line without its end: position, field and cause, as in
/// `41:9: mounts[3].options: more than 64 entries (MOUNT_OPTIONS_MAX)`.
///
/// It keeps an offset. Line, column and the path of fields are looked up in the document when the error is printed.
#[derive(Clone, Copy)]
pub struct Error<'a> {
    document: &'a [u8],
    /// Where the value begins that is at fault, or the innermost one around the place where it is missing.
    offset: usize,
    /// The member that is at fault, where it is not there.
    missing: Option<&'a str>,
    cause: Cause,
}

/// The kind of a mistake. Texts are lower case and have no full stop, so that callers can put them into their lines.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// The bytes are not JSON.
    Syntax(Message),
    /// The text says it all; one that ends in a space is followed by the value.
    Rule(Message),
    /// A bounded list or pool is full: the name of its constant in [`crate::limits`], and its value.
    Limit(Message, u32),
}

/// How much of a name or a value an error shows.
const SHOWN_BYTES_MAX: usize = 64;

/// One step on the way from the top of the document to a value.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Into the member of this name, as the document spells it.
    Member(&'a str),
    /// Into the element with this number, or the member, whatever its name.
    Index(usize),
}

impl<'a> Error<'a> {
    /// What is wrong with bytes that are not JSON, at an offset.
    pub(crate) fn syntax(document: &'a [u8], (text, offset): grammar::Misspelt) -> Self {
        Self {
            document,
            offset,
            missing: None,
            cause: Cause::Syntax(text),
        }
    }

    /// What is wrong with a document that is JSON. See [`Self::below`].
    pub(crate) fn new(document: &'a [u8], cause: Cause) -> Self {
        Self {
            document,
            offset: grammar::skip_space(document, 0),
            missing: None,
            cause,
        }
    }

    /// The same error one step further down, or of a member that is not there.
    pub(crate) fn below(mut self, step: Step<'a>) -> Self {
        if self.missing.is_some() {
            return self;
        }
        let found = match step {
            Step::Member(name) => grammar::find_member(self.document, self.offset, name),
            Step::Index(index) => grammar::find_child(self.document, self.offset, index),
        };
        match (found, step) {
            (Some(child), _) => self.offset = child,
            (None, Step::Member(name)) => self.missing = Some(name),
            (None, Step::Index(_)) => {}
        }
        self
    }

    /// The line and the column, in characters, of what is wrong. Both start at 1.
    pub fn line_and_column(&self) -> (usize, usize) {
        let (mut line, mut column) = (1, 1);
        for byte in self.document.get(..self.offset).unwrap_or_default() {
            match byte {
                b'\n' => (line, column) = (line + 1, 1),
                // The second and later bytes of a character.
                0x80..=0xbf => {}
                _ => column += 1,
            }
        }
        (line, column)
    }

    /// Writes the path from the top to the value, and a colon where there is a path.
    fn write_path(&self, out: &mut dyn Sink) {
        let mut depth = 0;
        let mut at = grammar::skip_space(self.document, 0);
        while let Some((step, child)) = grammar::step_towards(self.document, at, self.offset) {
            write_step(out, depth, step);
            (at, depth) = (child, depth + 1);
        }
        if let Some(name) = self.missing {
            write_step(out, depth, Step::Member(name));
            depth += 1;
        }
        out.put(if depth > 0 { ": " } else { "" });
    }
}

fn write_step(out: &mut dyn Sink, depth: usize, step: Step<'_>) {
    match step {
        Step::Index(index) => {
            out.put("[");
            put_number(out, index as u64);
            out.put("]");
        }
        // A name that is free text may hold dots and anything else.
        Step::Member(name) if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            out.put("[\"");
            write_cut(out, name);
            out.put("\"]");
        }
        Step::Member(name) => {
            out.put(if depth == 0 { "" } else { "." });
            write_cut(out, name);
        }
    }
}

/// Writes what fits, and "…" where something does not.
fn write_cut(out: &mut dyn Sink, text: &str) {
    if text.len() <= SHOWN_BYTES_MAX {
        return out.put(text);
    }
    let ends = 0..=SHOWN_BYTES_MAX;
    out.put(ends.rev().find_map(|end| text.get(..end)).unwrap_or_default());
    out.put("…");
}

/// Writes that a list or a pool is full: the name of its constant in [`crate::limits`], and its value.
pub(crate) fn write_limit(out: &mut dyn Sink, name: Message, max: u64) {
    out.put("more than ");
    put_number(out, max);
    out.put(" entries (");
    name.write_to(out);
    out.put(")");
}

impl Show for Error<'_> {
    fn write_to(&self, out: &mut dyn Sink) {
        let (line, column) = self.line_and_column();
        for number in [line, column] {
            put_number(out, number as u64);
            out.put(":");
        }
        out.put(" ");
        if let Cause::Syntax(text) = self.cause {
            text.write_to(out);
            return;
        }
        self.write_path(out);
        match self.cause {
            Cause::Limit(name, max) => write_limit(out, name, max.into()),
            Cause::Syntax(text) | Cause::Rule(text) => {
                if text.write_to(out) {
                    write_cut(out, grammar::shown(self.document, self.offset));
                }
            }
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f);
        Ok(())
    }
}

impl fmt::Debug for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error<'_> {}

#[cfg(test)]
mod tests;
