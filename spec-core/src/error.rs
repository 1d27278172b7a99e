//! What is wrong with a document, and where.

use core::fmt;

use crate::grammar;

/// Why a document was refused. Printed, it is one line without its end: position, field and cause, as in
/// `41:9: mounts[3].options: more than 64 entries (MOUNT_OPTIONS_MAX)`.
///
/// Line and column are looked up when the error is printed: the success path pays nothing for them.
#[derive(Clone, Copy)]
pub struct Error<'a> {
    document: &'a [u8],
    path: Path<'a>,
    cause: Cause,
}

/// The kind of a mistake. Texts are lower case and have no full stop, so that callers can put them into their lines.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// The bytes are not JSON; the offset says where that shows first.
    Syntax(&'static str, usize),
    /// The value has another JSON type.
    Expected(&'static str),
    /// The member has to be there.
    Missing,
    /// A bounded list or pool is full.
    Limit(&'static str, usize),
    /// The value is not in the vocabulary; the text says in which.
    Unknown(&'static str),
    /// The value breaks the rule that the text states; the value is shown.
    Value(&'static str),
    /// The text says it all.
    Rule(&'static str),
}

/// The cause for a full list, by the name of its constant in [`crate::limits`].
macro_rules! limit {
    ($name:ident) => {
        $crate::error::Cause::Limit(stringify!($name), $crate::limits::$name)
    };
}
pub(crate) use limit;

/// How deep a path of fields can be. `linux.seccomp.syscalls[1].args[2].op` has seven steps.
const STEPS_MAX: usize = 8;
/// How much of a value an error shows.
const SHOWN_BYTES_MAX: usize = 64;

/// The way from the top of the document to a value.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    steps: [Step<'a>; STEPS_MAX],
    len: usize,
}

/// One step down.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Into the member of this name, as the document spells it.
    Member(&'a str),
    /// Into the element with this number.
    Index(usize),
}

impl<'a> Path<'a> {
    pub(crate) const TOP: Self = Self { steps: [Step::Index(0); STEPS_MAX], len: 0 };

    pub(crate) fn new(steps: &[Step<'a>]) -> Self {
        let mut path = Self::TOP;
        for (depth, step) in steps.iter().enumerate() {
            path.set(depth, *step);
        }
        path.truncate(steps.len());
        path
    }

    /// Replaces the step at `depth`, whatever follows. Steps that are deeper than any field of ours are not kept.
    pub(crate) fn set(&mut self, depth: usize, step: Step<'a>) {
        if let Some(place) = self.steps.get_mut(depth) {
            *place = step;
        }
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = len.min(STEPS_MAX);
    }

    fn steps(&self) -> &[Step<'a>] {
        self.steps.get(..self.len).unwrap_or_default()
    }

    /// The offset of the value, and whether it is there. Where it is not, the offset of the innermost value that is.
    fn locate(&self, document: &[u8]) -> (usize, bool) {
        let mut at = grammar::skip_space(document, 0);
        for step in self.steps() {
            let found = match *step {
                Step::Member(name) => grammar::find_member(document, at, name),
                Step::Index(index) => grammar::find_element(document, at, index),
            };
            match found {
                Some(child) => at = child,
                None => return (at, false),
            }
        }
        (at, true)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.steps().iter().enumerate() {
            match *step {
                Step::Index(index) => write!(f, "[{index}]")?,
                // A key that is free text may hold dots and anything else.
                Step::Member(name) if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    f.write_str("[\"")?;
                    write_cut(f, name)?;
                    f.write_str("\"]")?;
                }
                Step::Member(name) => {
                    f.write_str(if depth == 0 { "" } else { "." })?;
                    write_cut(f, name)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes what fits, and "…" where something does not.
fn write_cut(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if text.len() <= SHOWN_BYTES_MAX {
        return f.write_str(text);
    }
    f.write_str(text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or_default())?;
    f.write_str("…")
}

impl<'a> Error<'a> {
    pub(crate) fn new(document: &'a [u8], path: Path<'a>, cause: Cause) -> Self {
        Self { document, path, cause }
    }

    /// The offset of the first byte of what is wrong, and whether the value that the path names is there.
    fn locate(&self) -> (usize, bool) {
        match self.cause {
            Cause::Syntax(_, offset) => (offset, false),
            _ => self.path.locate(self.document),
        }
    }

    /// The line and the column, in characters, of what is wrong. Both start at 1.
    pub fn line_and_column(&self) -> (usize, usize) {
        self.line_and_column_of(self.locate().0)
    }

    fn line_and_column_of(&self, offset: usize) -> (usize, usize) {
        let (mut line, mut column) = (1, 1);
        for byte in self.document.get(..offset).unwrap_or_default() {
            match byte {
                b'\n' => (line, column) = (line + 1, 1),
                // The second and later bytes of a character.
                0x80..=0xbf => {}
                _ => column += 1,
            }
        }
        (line, column)
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, found) = self.locate();
        let (line, column) = self.line_and_column_of(offset);
        write!(f, "{line}:{column}: ")?;
        if self.path.len > 0 {
            write!(f, "{}: ", self.path)?;
        }
        let (before, text, between) = match self.cause {
            Cause::Syntax(text, _) | Cause::Rule(text) => return f.write_str(text),
            Cause::Missing => return f.write_str("missing"),
            Cause::Limit(name, max) => return write!(f, "more than {max} entries ({name})"),
            Cause::Expected(text) => ("expected ", text, ", not "),
            Cause::Unknown(text) => ("unknown ", text, " "),
            Cause::Value(text) => ("", text, ": "),
        };
        f.write_str(before)?;
        f.write_str(text)?;
        if found {
            f.write_str(between)?;
            write_cut(f, grammar::shown(self.document, offset))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error<'_> {}
