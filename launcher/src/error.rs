//! What went wrong, as three facts: where in the configuration (the site), what was done (the operation), and why it
//! failed (the cause).
//!
//! The leaf that makes a system call knows the error number; the function around it knows the operation; the loop that
//! counts knows the site. Every error is final: the moment it is made, what was half done is undone, the line is told, and
//! the process ends. So [`Error`] has no values, a `Result` is no larger than what it carries, `?` costs nothing, and a
//! caller that can do without a thing decides on the kernel's [`Errno`], before it becomes an error.

use rustix::io::Errno;
use spec_core::limits::MESSAGE_BYTES_MAX;
use spec_core::sink::Show;
use sys::{Register, Truncating};

use crate::errno;
use crate::text::Pieces;
use crate::texts::Message;

/// The usual result. Who returns it may not return.
pub type Result<T> = core::result::Result<T, Error>;

/// An error as a value, of which there is none: making one ends the process.
#[derive(Clone, Copy, Debug)]
pub struct Error(Never);

#[derive(Clone, Copy, Debug)]
enum Never {}

/// What hears of the failure.
#[derive(Clone, Copy)]
pub enum Failure<'a> {
    /// The operation could not be done.
    Operation(&'a str),
    /// The command line is wrong: exit status 2.
    Usage(&'a str),
}

/// What ends a process that failed.
pub type Ending = fn(Failure<'_>) -> !;

#[cfg(test)]
fn panic_with(failure: Failure<'_>) -> ! {
    // The next test comes after this one.
    leave_site();
    match failure {
        Failure::Operation(text) | Failure::Usage(text) => panic!("{text}"),
    }
}

/// The executable says first of all how it ends. With the text here, it would have to hold the formatter of `core`.
#[cfg(not(test))]
fn panic_with(_: Failure<'_>) -> ! {
    panic!("it is not known yet how to fail")
}

static ENDING: Register<Ending> = Register::new(panic_with);

/// Says how this process ends when it fails. Until this is called it is a panic.
pub fn set_ending(ending: Ending) {
    ENDING.set(ending);
}

/// An element of the configuration, as in `mounts[3] /proc`.
#[derive(Clone, Copy)]
struct Site {
    list: Option<Message>,
    /// The element's place, or [`NO_INDEX`].
    index: usize,
    /// The element's name, or nothing.
    name: &'static str,
}

/// For what stands alone.
pub const NO_INDEX: usize = usize::MAX;

const NO_SITE: Site = Site {
    list: None,
    index: 0,
    name: "",
};

static SITE: Register<Site> = Register::new(NO_SITE);

/// Does something for an element of the configuration: errors made meanwhile name it. An inner element is more exact, and
/// ends the outer one.
pub fn within<T>(list: Message, index: usize, name: &'static str, act: impl FnOnce() -> T) -> T {
    enter_site(list, index, name);
    let value = act();
    leave_site();
    value
}

#[inline(never)]
fn leave_site() {
    SITE.set(NO_SITE);
}

#[inline(never)]
fn enter_site(list: Message, index: usize, name: &'static str) {
    let list = Some(list);
    SITE.set(Site { list, index, name });
}

/// The texts that are not known at compile time and live as long as the program. An operation makes a handful of them.
static NOTES: sys::Notes<NOTES_BYTES_MAX> = sys::Notes::new();
const NOTES_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX * if cfg!(test) { 16 } else { 1 };

/// What errors are worded with: a text that was made now, or one that the build script has packed.
pub trait Wording: Copy {
    /// The text.
    fn text(&self) -> &str;
}

impl Wording for &str {
    fn text(&self) -> &str {
        self
    }
}

impl Wording for Message {
    fn text(&self) -> &str {
        self.get()
    }
}

/// A text that lives as long as the program: `pattern` with the words in the places of its `#`s.
#[inline(never)]
pub fn keep(pattern: impl Wording, words: &[&str]) -> &'static str {
    NOTES.keep(|text| text.fill(pattern.text(), words))
}

/// The same for what shows itself.
#[inline(never)]
pub fn keep_shown(what: &dyn Show) -> &'static str {
    NOTES.keep(|text| what.write_to(text))
}

impl Error {
    /// `operation` failed with `errno`.
    pub fn new(operation: impl Wording, errno: Errno) -> Self {
        fail(operation, errno)
    }

    /// The same with `word` in the place of the `#` in `operation`.
    pub fn new_with(operation: impl Wording, word: &str, errno: Errno) -> Self {
        fail_with(operation, word, errno)
    }

    /// The rule `text` was broken.
    #[cold]
    #[inline(never)]
    pub fn said(text: impl Wording) -> Self {
        say(text.text())
    }

    /// The same with `word` in the place of the `#` in `text`.
    #[cold]
    #[inline(never)]
    pub fn says(text: impl Wording, word: &str) -> Self {
        say(keep(text, &[word]))
    }

    /// There is no error to do this with.
    pub fn never(self) -> ! {
        match self.0 {}
    }

    /// The command line is wrong: `text`, with `word` in the place of its `#` if it has one.
    #[cold]
    #[inline(never)]
    pub fn usage(text: impl Wording, word: &str) -> Self {
        ENDING.get()(Failure::Usage(keep(text, &[word])))
    }
}

fn say(text: &str) -> ! {
    let mut memory = [0; MESSAGE_BYTES_MAX];
    let mut line = Truncating::new(&mut memory);
    write_site(&mut line);
    line.str(text);
    ENDING.get()(Failure::Operation(line.finish()))
}

#[cold]
#[inline(never)]
fn fail(operation: impl Wording, errno: Errno) -> ! {
    explain(operation.text(), errno)
}

fn explain(operation: &str, errno: Errno) -> ! {
    let mut memory = [0; MESSAGE_BYTES_MAX];
    let mut line = Truncating::new(&mut memory);
    write_site(&mut line);
    line.str(operation).str(": ").str(errno::words(errno));
    let hint = errno::hint(operation, errno);
    if !hint.is_empty() {
        line.str(" (").str(hint).str(")");
    }
    ENDING.get()(Failure::Operation(line.finish()))
}

#[cold]
#[inline(never)]
fn fail_with(operation: impl Wording, word: &str, errno: Errno) -> ! {
    explain(keep(operation, &[word]), errno)
}

fn write_site(line: &mut Truncating<'_>) {
    let Site { list, index, name } = SITE.get();
    let Some(list) = list else { return };
    line.str(list.get());
    if index != NO_INDEX {
        line.str("[").number(index as u64).str("]");
    }
    line.str(if name.is_empty() { "" } else { " " }).str(name).str(": ");
}

/// Adds the operation to a system call's result.
pub trait During<T> {
    /// Names what was being done.
    fn during(self, operation: impl Wording) -> Result<T>;
    /// Names what was being done, with `word` in the place of the `#` in `operation`.
    fn during_with(self, operation: impl Wording, word: &str) -> Result<T>;
}

impl<T> During<T> for rustix::io::Result<T> {
    fn during(self, operation: impl Wording) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(errno) => fail(operation, errno),
        }
    }

    fn during_with(self, operation: impl Wording, word: &str) -> Result<T> {
        match self {
            Ok(value) => Ok(value),
            Err(errno) => fail_with(operation, word, errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg;

    #[test]
    #[should_panic(expected = "mounts[3] /proc: mount proc: device or resource busy (EBUSY)")]
    fn three_facts_make_one_line() {
        within(msg!("mounts"), 3, "/proc", || Error::new("mount proc", Errno::BUSY));
    }

    #[test]
    #[should_panic(expected = "inner: x")]
    fn the_inner_site_stays() {
        within(msg!("outer"), NO_INDEX, "", || {
            within(msg!("inner"), NO_INDEX, "", || Error::said("x"))
        });
    }

    #[test]
    #[should_panic(expected = "mount overlay: no such device (ENODEV) (the kernel needs CONFIG_OVERLAY_FS)")]
    fn a_hint_follows_where_one_is_known() {
        let _: Result<()> = Err(Errno::NODEV).during("mount overlay");
    }
}
