//! Long texts that few calls print: they are packed by the build script, which says how, and unpacked when one is asked for.

use spec_core::packed::{CHOICES, Leans, place_of, unpack};
use sys::{Register, TakeOnce};

use crate::text::{cut, utf8};

include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// The texts, in the order of the build script.
#[derive(Clone, Copy)]
pub enum Text {
    /// What each command does.
    Commands,
    /// What each option does.
    Options,
    /// The exit statuses.
    Exit,
    /// See [`crate::check`].
    Check,
    /// See [`crate::cgroup::resources`].
    Controllers,
    /// See [`crate::errno`].
    Errno,
    /// See [`crate::errno`].
    Hints,
    /// See [`crate::features`].
    Features,
    /// See [`crate::spec_template`].
    Config,
    /// The same for a plain user, with a `@` in place of the ids.
    Rootless,
    /// See [`crate::events`].
    Events,
    /// See [`crate::net::nat`].
    Nat,
    /// See [`Message`].
    Messages,
}

static MEMORY: TakeOnce<[u8; UNPACKED_BYTES]> = TakeOnce::new([0; UNPACKED_BYTES]);
static LEANS: TakeOnce<Leans> = TakeOnce::new([0; CHOICES]);
static UNPACKED: Register<&str> = Register::new("");

impl Text {
    /// The text.
    #[inline(never)]
    pub fn get(self) -> &'static str {
        if UNPACKED.get().is_empty() {
            let memory = MEMORY.take();
            unpack(&PACKED, memory, LEANS.take());
            UNPACKED.set(utf8(memory));
        }
        let mut rest = UNPACKED.get();
        for _ in 0..self as u8 {
            cut(&mut rest, 0);
        }
        cut(&mut rest, 0)
    }
}

/// A text of errors, by its place in [`Text::Messages`]: a place is told in fewer bytes than an address and a length.
#[derive(Clone, Copy)]
pub struct Message(u16);

impl Message {
    /// The place of `text`; [`msg!`](crate::msg) asks while the program is compiled.
    pub const fn of(text: &str) -> Self {
        Self(place_of(&MESSAGES, text))
    }

    /// The text.
    #[inline(never)]
    pub fn get(self) -> &'static str {
        let mut rest = Text::Messages.get();
        for _ in 0..self.0 {
            cut(&mut rest, 1);
        }
        cut(&mut rest, 1)
    }
}

/// A text of an error. The build script finds it here, in the source, and packs it with the others.
#[macro_export]
macro_rules! msg {
    ($text:literal) => {
        const { $crate::texts::Message::of($text) }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_they_were() {
        assert_eq!(Text::Exit.get(), include_str!("../texts/exit.txt"));
        assert_eq!(Text::Errno.get(), include_str!("../texts/errno.txt"));
        assert_eq!(Text::Rootless.get(), include_str!("../texts/rootless.json"));
    }
}
