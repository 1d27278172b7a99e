//! How build scripts pack a text: as copies of what stood before (Lempel and Ziv), with every choice on the way written by a
//! range coder whose chances follow the text. `spec-core/src/packed.rs` reads it: the two say the same from both sides, and
//! change together.

use std::collections::HashMap;

#[path = "../spec-core/src/packed/choices.rs"]
mod choices;

use choices::{AGAIN, BITS, CHOICES, COPY, DISTANCE, LENGTH, LETTER};

/// Places that are tried for a copy: those nearest.
const TRIED: usize = 256;

/// The range coder.
struct Coder {
    chances: Vec<u16>,
    low: u64,
    range: u32,
    /// The byte that a carry may still change, and how many bytes of all ones follow it.
    held: Option<u8>,
    ones: usize,
    bytes: Vec<u8>,
}

impl Coder {
    fn bit(&mut self, choice: usize, bit: bool) {
        let chance = self.chances[choice];
        let bound = (self.range >> 12) * u32::from(chance);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
            self.chances[choice] -= chance >> 4;
        } else {
            self.range = bound;
            self.chances[choice] += (4096 - chance) >> 4;
        }
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.shift();
        }
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        if carry == 1 || self.low < 0xff00_0000 {
            self.bytes.extend(self.held.map(|held| held.wrapping_add(carry)));
            self.bytes
                .extend(std::iter::repeat_n(0xff_u8.wrapping_add(carry), self.ones));
            self.ones = 0;
            self.held = Some((self.low >> 24) as u8);
        } else {
            self.ones += 1;
        }
        self.low = (self.low & 0x00ff_ffff) << 8;
    }
}

/// Calls `bit` with the choices that a number from 1 up is: how many bits follow its first, and those.
fn number(choices: usize, number: usize, mut bit: impl FnMut(usize, bool)) {
    let bits = number.ilog2() as usize;
    (0..bits).for_each(|place| bit(choices + place, true));
    bit(choices + bits, false);
    (0..bits)
        .rev()
        .for_each(|place| bit(choices + BITS + place, number >> place & 1 == 1));
}

/// One step through the text.
#[derive(Clone, Copy)]
enum Step {
    Letter,
    Copy { distance: usize, length: usize },
}

/// What the next step depends on.
#[derive(Clone, Copy, Default)]
struct Before {
    is_copy: bool,
    distance: usize,
}

/// Calls `bit` with the choices that `step` at the place `at` is.
fn choices(text: &[u8], at: usize, step: Step, before: Before, mut bit: impl FnMut(usize, bool)) {
    let copy = COPY + usize::from(before.is_copy);
    match step {
        Step::Letter => {
            bit(copy, false);
            let tree = LETTER + usize::from(if at == 0 { 0 } else { text[at - 1] }) * 128;
            let mut node = 1;
            for place in (0..7).rev() {
                let is_set = text[at] >> place & 1 == 1;
                bit(tree + node, is_set);
                node = node << 1 | usize::from(is_set);
            }
        }
        Step::Copy { distance, length } => {
            bit(copy, true);
            let again = distance == before.distance;
            bit(AGAIN, again);
            if !again {
                number(DISTANCE, distance, &mut bit);
            }
            number(LENGTH, length - 1, &mut bit);
        }
    }
}

/// What a step leads to.
fn after(step: Step, before: Before) -> (usize, Before) {
    match step {
        Step::Letter => (
            1,
            Before {
                is_copy: false,
                ..before
            },
        ),
        Step::Copy { distance, length } => (
            length,
            Before {
                is_copy: true,
                distance,
            },
        ),
    }
}

/// The Rust source that has `whole`, packed, and the texts of errors in it, in their order.
pub fn source(whole: &str, messages: &[String]) -> String {
    let packed = pack(whole.as_bytes());
    format!(
        "/// Bytes of all texts.\nconst UNPACKED_BYTES: usize = {};\n\
         /// The texts, packed.\nstatic PACKED: [u8; {}] = {packed:?};\n\
         /// The texts of errors, in their order.\nconst MESSAGES: [&str; {}] = {messages:?};\n",
        whole.len(),
        packed.len(),
        messages.len(),
    )
}

/// Packs `text`, which is ASCII.
fn pack(text: &[u8]) -> Vec<u8> {
    assert!(text.is_ascii(), "only ASCII is packed");
    let mut chances = vec![1 << 11; CHOICES];
    let mut shortest = Vec::new();
    // What a step costs is known once the text has been packed.
    for round in 0..3 {
        let mut coder = Coder {
            chances: vec![1 << 11; CHOICES],
            low: 0,
            range: u32::MAX,
            held: None,
            ones: 0,
            bytes: Vec::new(),
        };
        let (mut at, mut before) = (0, Before::default());
        for step in cheapest(text, &chances) {
            choices(text, at, step, before, |choice, bit| coder.bit(choice, bit));
            let (length, next) = after(step, before);
            (at, before) = (at + length, next);
        }
        (0..5).for_each(|_| coder.shift());
        chances = coder.chances;
        if round == 0 || coder.bytes.len() < shortest.len() {
            shortest = coder.bytes;
        }
    }
    shortest
}

/// The cheapest steps through the text where chances are like these.
fn cheapest(text: &[u8], chances: &[u16]) -> Vec<Step> {
    let prices: Vec<[f32; 2]> = chances
        .iter()
        .map(|&chance| [chance, 4096 - chance].map(|chance| -(f32::from(chance.max(1)) / 4096.0).log2()))
        .collect();
    let price = |at, step, before| {
        let mut sum = 0.0;
        choices(text, at, step, before, |choice, bit| {
            sum += prices[choice][usize::from(bit)]
        });
        sum
    };
    // For each place the cheapest way to it: its price, its last step, and what that leads to.
    let mut ways = vec![(f32::MAX, Step::Letter, Before::default()); text.len() + 1];
    ways[0].0 = 0.0;
    let mut seen = HashMap::<&[u8], Vec<usize>>::new();
    for at in 0..text.len() {
        let (so_far, _, before) = ways[at];
        let mut take = |step| {
            let total = so_far + price(at, step, before);
            let (length, next) = after(step, before);
            if total < ways[at + length].0 {
                ways[at + length] = (total, step, next);
            }
        };
        take(Step::Letter);
        let Some(pair) = text.get(at..at + 2) else { continue };
        let places = seen.entry(pair).or_default();
        let mut longest = 1;
        for &place in places.iter().rev().take(TRIED) {
            let same = text[at..].iter().zip(&text[place..]).take_while(|(a, b)| a == b);
            let (length, distance) = (same.count(), at - place);
            // A longer distance pays for a longer copy only, unless it costs nothing.
            let shortest = if distance == before.distance { 2 } else { longest + 1 };
            (shortest..=length).for_each(|length| take(Step::Copy { distance, length }));
            longest = longest.max(length);
        }
        places.push(at);
    }
    let mut steps = Vec::new();
    let mut at = text.len();
    while at > 0 {
        let step = ways[at].1;
        steps.push(step);
        at -= after(step, Before::default()).0;
    }
    steps.reverse();
    steps
}
