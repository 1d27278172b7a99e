//! riscv64: the system call instruction and the first instructions of a program.

use core::arch::asm;

/// The instructions at `_start`: the kernel enters with the stack pointer at `argc`, 16-byte aligned.
#[doc(hidden)]
#[macro_export]
macro_rules! start_asm {
    () => {
        core::arch::global_asm!(
            ".globl _start",
            ".type _start,%function",
            "_start:",
            // The linker shortens addresses near the global pointer, which has to be set before anything else, and not be
            // shortened itself.
            ".option push",
            ".option norelax",
            "la gp, __global_pointer$",
            ".option pop",
            // A zero return address marks the outermost frame.
            "li ra, 0",
            "mv a0, sp",
            "call {entry}",
            "unimp",
            entry = sym __roci_entry,
        );
    };
}

/// Issues a system call with up to six arguments; unused ones are passed as zero.
///
/// # Safety
/// The arguments must be what the system call `number` expects; pointers must be valid for what the kernel does with them.
#[inline]
pub unsafe fn syscall(number: u32, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments. The kernel preserves every register but a0 (and those of vectors, which
    // the machine that we build for does not have), and reads and writes only the memory that the arguments name, which the
    // absence of `nomem` tells the compiler.
    unsafe {
        asm!(
            "ecall",
            in("a7") number as usize,
            inlateout("a0") a[0] as isize => result,
            in("a1") a[1],
            in("a2") a[2],
            in("a3") a[3],
            in("a4") a[4],
            in("a5") a[5],
            options(nostack)
        );
    }
    result
}

pub use super::portable::{copy_backward, copy_forward, fill};
