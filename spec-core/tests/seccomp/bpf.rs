//! Classic BPF as the kernel checks and runs it, as far as seccomp filters use it.

use spec_core::seccomp::Instruction;

/// `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call {
    pub number: u32,
    pub architecture: u32,
    pub arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        assert!(offset.is_multiple_of(4) && offset < 64, "offset {offset}");
        match offset {
            0 => self.number,
            4 => self.architecture,
            8 | 12 => panic!("the instruction pointer"),
            _ => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                (if offset.is_multiple_of(8) {
                    argument
                } else {
                    argument >> 32
                }) as u32
            }
        }
    }
}

/// What a program returns, and how many instructions it took.
pub fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut at, mut accumulator, mut taken) = (0, 0, 0);
    loop {
        let instruction = program[at];
        let constant = instruction.constant;
        let skip = |holds| {
            usize::from(if holds {
                instruction.jump_true
            } else {
                instruction.jump_false
            })
        };
        (at, taken) = (at + 1, taken + 1);
        match instruction.code {
            0x20 => accumulator = call.word(constant),
            0x54 => accumulator &= constant,
            0x05 => at += constant as usize,
            0x15 => at += skip(accumulator == constant),
            0x25 => at += skip(accumulator > constant),
            0x35 => at += skip(accumulator >= constant),
            0x06 => return (constant, taken),
            code => panic!("code {code:#x}"),
        }
    }
}

/// What the kernel demands before it takes a program: every jump stays inside, the last instruction returns. Jumps have
/// no sign, so such a program ends. Beyond that, nothing may be there that cannot be reached.
pub fn verify(program: &[Instruction]) {
    assert!((1..=4096).contains(&program.len()), "{} instructions", program.len());
    assert_eq!(program.last().unwrap().code, 0x06);
    let mut reached = vec![false; program.len()];
    reached[0] = true;
    for (at, instruction) in program.iter().enumerate() {
        let next = at + 1;
        let targets = match instruction.code {
            0x20 | 0x54 => vec![next],
            0x05 => vec![next + instruction.constant as usize],
            0x06 => vec![],
            _ => vec![
                next + usize::from(instruction.jump_true),
                next + usize::from(instruction.jump_false),
            ],
        };
        if instruction.code == 0x20 {
            assert!(instruction.constant.is_multiple_of(4) && instruction.constant < 64);
        }
        assert!(reached[at], "{at} of {} is never reached", program.len());
        for target in targets {
            assert!(target < program.len(), "{at} jumps out of the program");
            reached[target] = true;
        }
    }
}

/// Reads `struct sock_filter` as a little-endian machine stores it.
pub fn from_bytes(bytes: &[u8]) -> Vec<Instruction> {
    let instruction = |bytes: &[u8]| Instruction {
        code: u16::from_le_bytes([bytes[0], bytes[1]]),
        jump_true: bytes[2],
        jump_false: bytes[3],
        constant: u32::from_le_bytes(bytes[4..].try_into().unwrap()),
    };
    bytes.chunks_exact(8).map(instruction).collect()
}
