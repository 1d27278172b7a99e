//! aarch64: the system call instruction and the first instructions of a program.

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
            // A zero frame pointer and link register mark the outermost frame.
            "mov x29, #0",
            "mov x30, #0",
            "mov x0, sp",
            "bl {entry}",
            "brk #1",
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
    // SAFETY: the caller vouches for the arguments. The kernel preserves every register but x0 (and what SVE has beyond those
    // of NEON, which the machine that we build for does not have), and reads and writes only the memory that the arguments
    // name, which the absence of `nomem` tells the compiler.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") a[0] as isize => result,
            in("x1") a[1],
            in("x2") a[2],
            in("x3") a[3],
            in("x4") a[4],
            in("x5") a[5],
            options(nostack)
        );
    }
    result
}

pub use super::portable::{copy_backward, copy_forward, fill};
