//! Reads what a build script has packed; `targets/pack.rs` says how.

mod choices;

pub use choices::CHOICES;
use choices::{AGAIN, BITS, COPY, DISTANCE, LENGTH, LETTER};

/// For each choice, how much more likely than 1 in 2 a 0 is, in parts of 4096. At first they are all 0.
pub type Leans = [i16; CHOICES];

struct Choices<'l> {
    leans: &'l mut Leans,
    packed: core::slice::Iter<'static, u8>,
    range: u32,
    code: u32,
}

impl Choices<'_> {
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

/// Fills `memory` with the text that `packed` is of, which has so many bytes.
#[inline(never)]
pub fn unpack(packed: &'static [u8], memory: &mut [u8], leans: &mut Leans) {
    let mut choices = Choices {
        leans,
        packed: packed.iter(),
        range: u32::MAX,
        code: 0,
    };
    (0..4).for_each(|_| choices.read());
    let (mut at, mut distance, mut after_copy) = (0, 0, 0);
    while at < memory.len() {
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

/// The place of `text` among the `texts` that the build script has found in the sources; for what is known while the program is
/// compiled.
///
/// # Panics
/// Where it is none of them.
pub const fn place_of(texts: &[&str], text: &str) -> u16 {
    let mut place = 0;
    while place < texts.len() {
        if is_same(texts[place].as_bytes(), text.as_bytes()) {
            return place as u16;
        }
        place += 1;
    }
    panic!("the build script has not found this text");
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
