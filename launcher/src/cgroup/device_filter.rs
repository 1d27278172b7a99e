//! Device rules as a program for the kernel, which version 2 has in place of files.
//!
//! The last rule that speaks of an access decides, so the program asks the last one first. A rule that allows speaks of an
//! access when it grants all of it; one that forbids, when it names any of it: opening for reading and writing is one
//! question.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use spec_core::limits::DEVICE_RULES_MAX;
use spec_core::linux::DeviceKind;
use spec_core::resources::{DeviceAccess, DeviceRule};
use sys::TakeOnce;

/// The longest rule has eight instructions; what is always allowed has a few rules of its own, and three lines begin and
/// two end the program.
const INSTRUCTIONS_MAX: usize = 8 * (DEVICE_RULES_MAX + 16);

static PROGRAM: TakeOnce<Program> = TakeOnce::new(Program {
    instructions: [0; INSTRUCTIONS_MAX],
    len: 0,
});

/// Has the kernel enforce `rules` in the cgroup; `always` come after them, as rules that allow.
pub fn attach(cgroup: BorrowedFd<'_>, rules: &[DeviceRule], always: &[DeviceRule]) -> Result<(), Errno> {
    let program = PROGRAM.take();
    program.assemble(rules, always);
    let instructions = program.instructions.get(..program.len).unwrap_or_default();
    let loaded = sys::bpf::load_device_program(instructions)?;
    sys::bpf::attach_device_program(cgroup, loaded.as_fd())
}

struct Program {
    instructions: [u64; INSTRUCTIONS_MAX],
    len: usize,
}

// Registers: the result, the context, the kind of the device, the access, the two numbers, and one to work with.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const WORK: u8 = 6;

// Instructions of `linux/bpf_common.h` and `linux/bpf.h`.
const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const AND_NUMBER: u8 = 0x57;
const SHIFT_RIGHT_NUMBER: u8 = 0x77;
const JUMP_IF_NOT: u8 = 0x55;
const JUMP_IF: u8 = 0x15;
const EXIT: u8 = 0x95;

/// `BPF_DEVCG_ACC_` of `linux/bpf.h`.
const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
const ALL: u32 = MKNOD | READ | WRITE;

impl Program {
    fn assemble(&mut self, rules: &[DeviceRule], always: &[DeviceRule]) {
        self.len = 0;
        // `struct bpf_cgroup_dev_ctx`: the access in the upper half of a word and the kind in the lower, then the numbers.
        self.push(LOAD_WORD, KIND, CONTEXT, 0, 0);
        self.push(MOVE, ACCESS, KIND, 0, 0);
        self.push(AND_NUMBER, KIND, 0, 0, 0xffff);
        self.push(SHIFT_RIGHT_NUMBER, ACCESS, 0, 0, 16);
        self.push(LOAD_WORD, MAJOR, CONTEXT, 4, 0);
        self.push(LOAD_WORD, MINOR, CONTEXT, 8, 0);
        for rule in always {
            self.rule(rule);
        }
        for rule in rules.iter().rev() {
            if self.rule(rule) {
                // It speaks of every access: nothing is left to be asked, and the kernel takes no program with code that
                // nothing leads to.
                return;
            }
        }
        self.answer(true);
    }

    /// Appends the question whether `rule` speaks of the access, and its answer; `true` where it speaks of every access.
    fn rule(&mut self, rule: &DeviceRule) -> bool {
        // The kernel numbers blocks 1 and characters 2. A fifo is no device.
        let kind = match rule.kind {
            None => None,
            Some(DeviceKind::Block) => Some(1),
            Some(_) => Some(2),
        };
        let access = bits(rule.access);
        let start = self.len;
        for (register, wanted) in [(KIND, kind), (MAJOR, rule.major), (MINOR, rule.minor)] {
            if let Some(wanted) = wanted {
                self.push(JUMP_IF_NOT, register, 0, 0, wanted);
            }
        }
        if access != ALL {
            self.push(MOVE, WORK, ACCESS, 0, 0);
            if rule.allow {
                self.push(AND_NUMBER, WORK, 0, 0, ALL & !access);
                self.push(JUMP_IF_NOT, WORK, 0, 0, 0);
            } else {
                self.push(AND_NUMBER, WORK, 0, 0, access);
                self.push(JUMP_IF, WORK, 0, 0, 0);
            }
        }
        let asks = self.len > start;
        self.answer(rule.allow);
        // Whoever is not meant goes on behind the answer.
        let end = self.len;
        for at in start..end {
            if let Some(instruction) = self.instructions.get_mut(at)
                && matches!(*instruction as u8, JUMP_IF | JUMP_IF_NOT)
            {
                *instruction |= ((end - at - 1) as u64) << 16;
            }
        }
        !asks
    }

    fn answer(&mut self, allow: bool) {
        self.push(MOVE_NUMBER, RESULT, 0, 0, allow.into());
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// Appends `struct bpf_insn`. Its registers share a byte, in the order of the machine's bits.
    fn push(&mut self, code: u8, to: u8, from: u8, offset: u16, number: u32) {
        let registers = if cfg!(target_endian = "little") {
            from << 4 | to
        } else {
            to << 4 | from
        };
        let mut bytes = [code, registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&offset.to_ne_bytes());
        bytes[4..].copy_from_slice(&number.to_ne_bytes());
        if let Some(place) = self.instructions.get_mut(self.len) {
            *place = u64::from_ne_bytes(bytes);
            self.len += 1;
        }
    }
}

fn bits(access: DeviceAccess) -> u32 {
    let bit = |granted: bool, bit| if granted { bit } else { 0 };
    bit(access.mknod, MKNOD) | bit(access.read, READ) | bit(access.write, WRITE)
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn rule(allow: bool, kind: Option<DeviceKind>, major: Option<u32>, minor: Option<u32>, access: &str) -> DeviceRule {
        let access = DeviceAccess {
            read: access.contains('r'),
            write: access.contains('w'),
            mknod: access.contains('m'),
        };
        DeviceRule {
            allow,
            kind,
            major,
            minor,
            access,
        }
    }

    fn assembled(rules: &[DeviceRule], always: &[DeviceRule]) -> Vec<u64> {
        let mut program = Box::new(Program {
            instructions: [0; INSTRUCTIONS_MAX],
            len: 0,
        });
        program.assemble(rules, always);
        program.instructions[..program.len].to_vec()
    }

    /// What the kernel does with the few instructions that are used.
    fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0_u64; 7];
        let mut at = 0;
        loop {
            let instruction = program[at];
            let (to, from) = ((instruction >> 8 & 15) as usize, (instruction >> 12 & 15) as usize);
            let (offset, number) = ((instruction >> 16) as u16, instruction >> 32);
            at += 1;
            match instruction as u8 {
                LOAD_WORD => registers[to] = context[usize::from(offset) / 4].into(),
                MOVE => registers[to] = registers[from],
                MOVE_NUMBER => registers[to] = number,
                AND_NUMBER => registers[to] &= number,
                SHIFT_RIGHT_NUMBER => registers[to] >>= number,
                JUMP_IF if registers[to] == number => at += usize::from(offset),
                JUMP_IF_NOT if registers[to] != number => at += usize::from(offset),
                JUMP_IF | JUMP_IF_NOT => {}
                EXIT => return registers[0] == 1,
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    /// The rules read as they are written down: the last one that speaks of the access decides.
    fn expected(rules: &[DeviceRule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let speaks = |rule: &&DeviceRule| {
            let same = |wanted: Option<u32>, is: u32| wanted.is_none_or(|wanted| wanted == is);
            let kinds = match rule.kind {
                None => None,
                Some(DeviceKind::Block) => Some(1),
                Some(_) => Some(2),
            };
            let named = bits(rule.access);
            let access = if rule.allow {
                access & !named == 0
            } else {
                access & named != 0
            };
            same(kinds, kind) && same(rule.major, major) && same(rule.minor, minor) && access
        };
        rules.iter().rev().find(speaks).is_none_or(|rule| rule.allow)
    }

    #[test]
    fn the_program_decides_as_the_rules_do() {
        let char = Some(DeviceKind::Character);
        let block = Some(DeviceKind::Block);
        let lists = [
            std::vec![],
            std::vec![rule(false, None, None, None, "rwm")],
            std::vec![
                rule(false, None, None, None, "rwm"),
                rule(true, char, Some(1), Some(3), "rw")
            ],
            std::vec![
                rule(true, None, None, None, "rwm"),
                rule(false, block, None, None, "w"),
                rule(true, block, Some(8), None, "rwm"),
                rule(false, block, Some(8), Some(1), "m"),
            ],
            std::vec![
                rule(true, char, Some(1), None, "r"),
                rule(false, char, None, Some(3), "r")
            ],
        ];
        for rules in &lists {
            let program = assembled(rules, &[]);
            for kind in [1, 2] {
                for access in 1..8 {
                    for major in [0, 1, 8, 9] {
                        for minor in [0, 1, 3] {
                            assert_eq!(
                                run(&program, kind, access, major, minor),
                                expected(rules, kind, access, major, minor),
                                "{rules:?} {kind} {access} {major}:{minor}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_always_allowed_comes_after_the_rules() {
        let always = [rule(true, Some(DeviceKind::Character), Some(1), Some(3), "rwm")];
        let program = assembled(&[rule(false, None, None, None, "rwm")], &always);
        assert!(run(&program, 2, WRITE | READ, 1, 3));
        assert!(!run(&program, 2, READ, 1, 5));
        assert!(!run(&program, 1, READ, 1, 3));
    }

    #[test]
    fn nothing_stands_behind_a_rule_about_every_access() {
        let all = rule(false, None, None, None, "rwm");
        let one = rule(true, Some(DeviceKind::Block), Some(8), Some(1), "r");
        assert_eq!(assembled(&[one, all], &[]).len(), 6 + 2);
        assert_eq!(assembled(&[all, one], &[]).len(), 6 + 8 + 2);
    }

    #[test]
    fn the_longest_list_fits() {
        let one = rule(true, Some(DeviceKind::Block), Some(8), Some(1), "r");
        let rules = std::vec![one; DEVICE_RULES_MAX];
        let program = assembled(&rules, &[one; 12]);
        assert_eq!(program.len(), 6 + (DEVICE_RULES_MAX + 12) * 8 + 2);
        assert!(program.len() < INSTRUCTIONS_MAX);
    }
}
