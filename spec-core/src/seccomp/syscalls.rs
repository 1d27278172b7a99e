//! The system calls of each machine, by name.
//!
//! A table is written as rows that people can read, and packed by the build script, which says how.

#[cfg(test)]
mod arm;
#[cfg(test)]
mod mips;
#[cfg(test)]
mod riscv;
mod row;
#[cfg(test)]
mod x86;

use static_assertions::const_assert;

pub(super) use row::PRIVATE;
use row::{NONE, OWN, hash};

/// How many numbers there are.
pub(super) const SLOTS: usize = 1024;
/// How many architectures a machine has at most.
pub(super) const ARCHITECTURES_MAX: usize = 3;

const_assert!(Machine::X86_64.architectures.len() <= ARCHITECTURES_MAX);
const_assert!(Machine::AARCH64.architectures.len() <= ARCHITECTURES_MAX);

/// Name, the number on each architecture, and which of the calls behind `socketcall` (from 1) or `ipc` (from 32) it is.
#[cfg(test)]
type Row<const N: usize> = (&'static str, [u16; N], u8);

/// A family of processors: the architectures whose programs one kernel runs.
#[derive(Clone, Copy)]
pub struct Machine {
    /// The packed table.
    table: &'static [u64],
    /// In the order of the table. The first is the machine's own; one with a base shares its token.
    pub(super) architectures: &'static [Architecture],
    /// Which half of an argument comes first.
    pub(super) big_endian: bool,
}

/// What `SCMP_ARCH_` names.
pub(super) struct Architecture {
    /// Its number in [`super::ARCHITECTURE_NAMES`].
    pub(super) number: u32,
    /// `AUDIT_ARCH_`.
    pub(super) token: u32,
    /// What is added to every number: the bit that tells x32 from x86_64, and where MIPS begins to count.
    pub(super) base: u32,
    /// Whether libseccomp compares all 64 bits of an argument.
    pub(super) wide: bool,
    /// Whether there are `socketcall` and `ipc`, and the old C libraries that use them.
    pub(super) multiplexes: bool,
}

include!(concat!(env!("OUT_DIR"), "/syscalls.rs"));

// What is not used is not linked, so the tables need no conditional compilation, and every host can test them all.
impl Machine {
    /// x86_64, with x32 and x86.
    pub const X86_64: Self = Self {
        table: &X86_TABLE,
        architectures: &[
            Architecture::new(1, 0xc000_003e, true),
            Architecture {
                multiplexes: true,
                ..Architecture::new(0, 0x4000_0003, false)
            },
            Architecture {
                base: 0x4000_0000,
                ..Architecture::new(2, 0xc000_003e, false)
            },
        ],
        big_endian: false,
    };

    /// aarch64, with arm.
    pub const AARCH64: Self = Self {
        table: &ARM_TABLE,
        architectures: &[
            Architecture::new(4, 0xc000_00b7, true),
            Architecture::new(3, 0x4000_0028, false),
        ],
        big_endian: false,
    };

    /// x86 alone.
    pub const X86: Self = Self {
        table: &I386_TABLE,
        architectures: &[Architecture {
            multiplexes: true,
            ..Architecture::new(0, 0x4000_0003, false)
        }],
        big_endian: false,
    };

    /// arm alone.
    pub const ARM: Self = Self {
        table: &ARM32_TABLE,
        architectures: &[Architecture::new(3, 0x4000_0028, false)],
        big_endian: false,
    };

    /// riscv64.
    pub const RISCV64: Self = Self {
        table: &RISCV_TABLE,
        architectures: &[Architecture::new(18, 0xc000_00f3, true)],
        big_endian: false,
    };

    /// MIPS with 32 bits, the lower byte first.
    pub const MIPSEL: Self = Self {
        table: &MIPS_TABLE,
        architectures: &[Architecture {
            base: 4000,
            multiplexes: true,
            ..Architecture::new(8, 0x4000_0008, false)
        }],
        big_endian: false,
    };

    /// MIPS with 32 bits, the upper byte first.
    pub const MIPS: Self = Self {
        architectures: &[Architecture {
            base: 4000,
            multiplexes: true,
            ..Architecture::new(5, 0x0000_0008, false)
        }],
        big_endian: true,
        ..Self::MIPSEL
    };

    /// One that has no table yet: no profile can be compiled for it.
    pub const UNKNOWN: Self = Self {
        table: &[],
        architectures: &[],
        big_endian: cfg!(target_endian = "big"),
    };

    /// The one that the program is built for.
    pub const HOST: Self = if cfg!(target_arch = "x86_64") {
        Self::X86_64
    } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
        Self::AARCH64
    } else if cfg!(target_arch = "x86") {
        Self::X86
    } else if cfg!(all(target_arch = "arm", target_endian = "little")) {
        Self::ARM
    } else if cfg!(target_arch = "riscv64") {
        Self::RISCV64
    } else if cfg!(all(target_arch = "mips", target_endian = "little")) {
        Self::MIPSEL
    } else if cfg!(target_arch = "mips") {
        Self::MIPS
    } else {
        Self::UNKNOWN
    };
}

impl Machine {
    /// The architectures whose programs the machine runs, as places in [`super::ARCHITECTURE_NAMES`].
    pub fn architecture_numbers(self) -> impl Iterator<Item = usize> {
        self.architectures
            .iter()
            .map(|architecture| architecture.number as usize)
    }
}

impl Architecture {
    const fn new(number: u32, token: u32, wide: bool) -> Self {
        Self {
            number,
            token,
            base: 0,
            wide,
            multiplexes: false,
        }
    }

    /// What the kernel calls the system call of a slot. It may have a multiple of [`SLOTS`] added.
    pub(super) fn system_call(&self, slot: u16) -> u32 {
        let slot = slot % SLOTS as u16;
        self.base
            + match slot.checked_sub(PRIVATE) {
                Some(private) => 0xf_0000 + u32::from(private),
                None => u32::from(slot),
            }
    }
}

/// The row of a name.
#[derive(Clone, Copy)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// The slot on the architecture that is number `column` of the machine.
    pub(super) fn slot(self, column: usize) -> Option<u16> {
        let first = (self.0 >> 22) as u16;
        let slot = match (column, (self.0 >> 6) as u16 % 64) {
            (1, _) => (self.0 >> 12) as u16,
            (2, 1) => NONE,
            (2, own @ 2..) => OWN + own,
            _ => first,
        } % SLOTS as u16;
        (slot != NONE).then_some(slot)
    }

    /// The slot of `socketcall` or `ipc`, and the first argument with which it does the same as this system call.
    pub(super) fn multiplexed(self) -> Option<(u16, u8)> {
        const SOCKETCALL: u16 = 102;
        const IPC: u16 = 117;
        /// What marks a number as a call of `ipc`, in rows.
        const IPC_FROM: u8 = 32;
        match self.0 as u8 % 64 {
            0 => None,
            call @ IPC_FROM.. => Some((IPC, call - IPC_FROM)),
            call => Some((SOCKETCALL, call)),
        }
    }
}

impl Machine {
    /// The numbers of a system call.
    pub(super) fn find(&self, name: &str) -> Option<Numbers> {
        let hash = hash(name.as_bytes());
        let row = self.table.binary_search_by_key(&hash, |row| (row >> 32) as u32).ok()?;
        self.table.get(row).copied().map(Numbers)
    }
}

#[cfg(test)]
mod tests;
