//! Long texts that few calls print: they are packed by the build script, which says how, and unpacked when one is asked for.

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
static UNPACKED: Register<&str> = Register::new("");

impl Text {
    /// The text.
    #[inline(never)]
    pub fn get(self) -> &'static str {
        if UNPACKED.get().is_empty() {
            let memory = MEMORY.take();
            unpack(memory);
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
        let mut place = 0;
        while place < MESSAGES.len() {
            if is_same(MESSAGES[place].as_bytes(), text.as_bytes()) {
                return Self(place as u16);
            }
            place += 1;
        }
        panic!("the build script has not found this text");
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

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// A text of an error. The build script finds it here, in the source, and packs it with the others.
#[macro_export]
macro_rules! msg {
    ($text:literal) => {
        const { $crate::texts::Message::of($text) }
    };
}

/// Reads what `targets/pack.rs` has written, which names the choices.
struct Choices {
    /// For each choice, how much more likely than 1 in 2 a 0 is, in parts of 4096.
    leans: &'static mut [i16; CHANCES],
    packed: core::slice::Iter<'static, u8>,
    range: u32,
    code: u32,
}

static LEANS: TakeOnce<[i16; CHANCES]> = TakeOnce::new([0; CHANCES]);

/// Bits of the largest number.
const BITS: usize = 16;
const COPY: usize = 0;
const AGAIN: usize = 2;
const DISTANCE: usize = 3;
const LENGTH: usize = DISTANCE + 2 * BITS;
const LETTER: usize = LENGTH + 2 * BITS;

impl Choices {
    fn read(&mut self) {
        let byte = self.packed.next().copied().unwrap_or(0);
        self.code = self.code << 8 | u32::from(byte);
    }

    /// The next bit, which is the one of this choice.
    #[inline(never)]
    fn bit(&mut self, choice: usize) -> usize {
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.read();
        }
        let Some(lean) = self.leans.get_mut(choice) else {
            return 0;
        };
        let chance = 2048 + *lean;
        let bound = (self.range >> 12) * chance as u32;
        if self.code < bound {
            self.range = bound;
            *lean += (4096 - chance) >> 4;
            0
        } else {
            self.code -= bound;
            self.range -= bound;
            *lean -= chance >> 4;
            1
        }
    }

    #[inline(never)]
    fn number(&mut self, choices: usize) -> usize {
        let mut bits = 0;
        while bits < BITS && self.bit(choices + bits) == 1 {
            bits += 1;
        }
        let mut number = 1;
        while bits > 0 {
            bits -= 1;
            number = number << 1 | self.bit(choices + BITS + bits);
        }
        number
    }
}

/// Fills `memory` with the texts.
fn unpack(memory: &mut [u8; UNPACKED_BYTES]) {
    let mut choices = Choices {
        leans: LEANS.take(),
        packed: PACKED.iter(),
        range: u32::MAX,
        code: 0,
    };
    (0..4).for_each(|_| choices.read());
    let (mut at, mut distance, mut after_copy) = (0, 0, 0);
    while at < UNPACKED_BYTES {
        after_copy = choices.bit(COPY + after_copy);
        let mut length = 1;
        if after_copy == 1 {
            if choices.bit(AGAIN) == 0 {
                distance = choices.number(DISTANCE);
            }
            length += choices.number(LENGTH);
        }
        for _ in 0..length {
            let byte = if after_copy == 1 {
                memory.get(at.wrapping_sub(distance)).copied().unwrap_or(0)
            } else {
                let before = memory.get(at.wrapping_sub(1)).copied().unwrap_or(0);
                let mut node = 1;
                while node < 128 {
                    node = node << 1 | choices.bit(LETTER + usize::from(before) * 128 + node);
                }
                node as u8 & 127
            };
            if let Some(place) = memory.get_mut(at) {
                *place = byte;
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_they_were() {
        assert_eq!(Text::Commands.get(), include_str!("../texts/commands.txt"));
        assert_eq!(Text::Errno.get(), include_str!("../texts/errno.txt"));
        assert_eq!(Text::Config.get(), include_str!("../texts/config.json"));
    }
}
