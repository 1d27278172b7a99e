//! Classic BPF, written from its end.
//!
//! Jumps go forward only, so whoever writes the last instruction first knows every target when the jump is written, and
//! how far away it is: nothing has to be patched.

use core::mem::offset_of;

use static_assertions::const_assert;

use crate::limits::SECCOMP_INSTRUCTIONS_MAX;

/// `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// `code`.
    pub code: u16,
    /// `jt`: how many instructions are skipped where the comparison holds.
    pub jump_true: u8,
    /// `jf`: and where it does not.
    pub jump_false: u8,
    /// `k`.
    pub constant: u32,
}

// What the kernel reads.
const_assert!(size_of::<Instruction>() == 8 && align_of::<Instruction>() == 4);
const_assert!(offset_of!(Instruction, jump_true) == 2 && offset_of!(Instruction, jump_false) == 3);
const_assert!(offset_of!(Instruction, code) == 0 && offset_of!(Instruction, constant) == 4);

/// A filter as `seccomp(2)` takes it. The value of all zero bytes is one without instructions.
pub struct Filter {
    /// The program is at the end, since it is written from there.
    instructions: [Instruction; SECCOMP_INSTRUCTIONS_MAX],
    length: usize,
}

impl Filter {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            instructions: [Instruction {
                code: 0,
                jump_true: 0,
                jump_false: 0,
                constant: 0,
            }; SECCOMP_INSTRUCTIONS_MAX],
            length: 0,
        }
    }

    /// What was compiled.
    pub fn instructions(&self) -> &[Instruction] {
        let start = SECCOMP_INSTRUCTIONS_MAX.saturating_sub(self.length);
        self.instructions.get(start..).unwrap_or_default()
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new()
    }
}

/// `BPF_LD | BPF_W | BPF_ABS`
const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`
const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`
const JUMP: u16 = 0x05;
/// `BPF_RET | BPF_K`
const RETURN: u16 = 0x06;
/// `BPF_JMP | BPF_JEQ | BPF_K`
pub(super) const IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`
pub(super) const IF_GREATER: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`
pub(super) const IF_GREATER_OR_EQUAL: u16 = 0x35;

/// An instruction: the number of those from it to the end of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(usize);

/// A jump reaches 255 instructions. Two more may come between while it is written.
const NEAR: usize = 252;
/// A return that is reused should not need a [`JUMP`], even if some instructions follow before it is used.
const LEAF_NEAR: usize = 200;
/// How many returns are remembered. Profiles have two to four actions.
const LEAVES: usize = 8;

/// Writes a [`Filter`].
pub(super) struct Writer<'f> {
    filter: &'f mut Filter,
    length: usize,
    overflown: bool,
    leaves: [(u32, Address); LEAVES],
    oldest_leaf: usize,
}

impl<'f> Writer<'f> {
    pub(super) fn new(filter: &'f mut Filter) -> Self {
        filter.length = 0;
        Self {
            filter,
            length: 0,
            overflown: false,
            leaves: [(0, Address(0)); LEAVES],
            oldest_leaf: 0,
        }
    }

    /// Says how long the program has become, or `None` if it is too long.
    pub(super) fn finish(self) -> Option<()> {
        if self.overflown {
            return None;
        }
        self.filter.length = self.length;
        Some(())
    }

    #[inline(never)]
    fn push(&mut self, code: u16, jump_true: usize, jump_false: usize, constant: u32) -> Address {
        let at = SECCOMP_INSTRUCTIONS_MAX.checked_sub(self.length + 1);
        match at.and_then(|at| self.filter.instructions.get_mut(at)) {
            Some(place) => {
                *place = Instruction {
                    code,
                    // Callers have made them fit.
                    jump_true: jump_true as u8,
                    jump_false: jump_false as u8,
                    constant,
                };
                self.length += 1;
            }
            None => self.overflown = true,
        }
        Address(self.length)
    }

    /// How many instructions lie between the next one to be written and `target`.
    fn distance(&self, target: Address) -> usize {
        self.length - target.0
    }

    /// Makes `target`, or a way there, the next instruction.
    fn follow(&mut self, target: Address) {
        if target.0 != self.length {
            let distance = self.distance(target) as u32;
            self.push(JUMP, 0, 0, distance);
        }
    }

    /// Returns an address that a comparison can reach, and leads to `target`.
    fn near(&mut self, target: Address) -> Address {
        if self.distance(target) > NEAR {
            self.follow(target);
            return Address(self.length);
        }
        target
    }

    /// Compares the accumulator with `constant`.
    pub(super) fn compare(&mut self, code: u16, constant: u32, yes: Address, no: Address) -> Address {
        let (yes, no) = (self.near(yes), self.near(no));
        let (yes, no) = (self.distance(yes), self.distance(no));
        self.push(code, yes, no, constant)
    }

    /// Loads a word of `struct seccomp_data`.
    pub(super) fn load(&mut self, offset: u32, then: Address) -> Address {
        self.follow(then);
        self.push(LOAD, 0, 0, offset)
    }

    /// Masks the accumulator.
    pub(super) fn and(&mut self, mask: u32, then: Address) -> Address {
        self.follow(then);
        self.push(AND, 0, 0, mask)
    }

    /// Ends with `value`.
    pub(super) fn leaf(&mut self, value: u32) -> Address {
        let known = self.leaves.iter().find(|leaf| leaf.0 == value && leaf.1.0 > 0);
        if let Some(&(_, at)) = known
            && self.distance(at) < LEAF_NEAR
        {
            return at;
        }
        let at = self.push(RETURN, 0, 0, value);
        // The nearest of those with this value is the one that is found.
        let place = self.leaves.iter().position(|leaf| leaf.0 == value);
        let place = place.unwrap_or_else(|| {
            self.oldest_leaf += 1;
            self.oldest_leaf % LEAVES
        });
        if let Some(leaf) = self.leaves.get_mut(place) {
            *leaf = (value, at);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is so long, the address of whose last instruction is the first that is returned.
    fn padded(writer: &mut Writer<'_>, length: usize) -> Address {
        let end = writer.leaf(7);
        for _ in 1..length {
            writer.push(LOAD, 0, 0, 0);
        }
        end
    }

    #[test]
    fn a_comparison_jumps_as_far_as_it_can() {
        for (length, is_near) in [(NEAR + 1, true), (NEAR + 2, false)] {
            let mut filter = Filter::new();
            let mut writer = Writer::new(&mut filter);
            let end = padded(&mut writer, length);
            assert_eq!(writer.near(end) == end, is_near);
            assert_eq!(writer.length, if is_near { length } else { length + 1 });
        }
        // Both ways need a jump of their own, and the first of them still reaches its own.
        let mut filter = Filter::new();
        let mut writer = Writer::new(&mut filter);
        let end = padded(&mut writer, NEAR + 2);
        let other = Address(2);
        writer.compare(IF_EQUAL, 1, end, other);
        writer.finish().unwrap();
        let [first, second, third, ..] = filter.instructions() else {
            panic!("it is shorter");
        };
        assert_eq!((first.code, first.jump_true, first.jump_false), (IF_EQUAL, 1, 0));
        assert_eq!((second.code, second.constant), (JUMP, NEAR as u32 + 1));
        assert_eq!((third.code, third.constant), (JUMP, NEAR as u32 + 1));
    }

    #[test]
    fn a_return_is_used_again_while_it_is_near() {
        for (length, is_known) in [(LEAF_NEAR, true), (LEAF_NEAR + 1, false)] {
            let mut filter = Filter::new();
            let mut writer = Writer::new(&mut filter);
            let end = padded(&mut writer, length);
            assert_eq!(writer.leaf(7) == end, is_known);
        }
    }
}
