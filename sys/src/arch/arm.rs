//! arm, from ARMv6 on: the system call instruction of the EABI and the first instructions of a program.

use core::arch::asm;

/// The instructions at `_start`: the kernel enters with the stack pointer at `argc`, 8-byte aligned.
#[doc(hidden)]
#[macro_export]
macro_rules! start_asm {
    () => {
        core::arch::global_asm!(
            ".globl _start",
            ".type _start,%function",
            ".arm",
            "_start:",
            // A zero frame pointer and link register mark the outermost frame.
            "mov fp, #0",
            "mov lr, #0",
            "mov r0, sp",
            "bl {entry}",
            "udf #0",
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
    // SAFETY: the caller vouches for the arguments. The kernel preserves every register but r0, and reads and writes only
    // the memory that the arguments name, which the absence of `nomem` tells the compiler. The number belongs into r7, which
    // is the compiler's own frame pointer in Thumb code: it is put back before the compiler sees it again. `kept` is not the
    // register of any argument, as it is written before they are read. The kernel keeps the flags.
    unsafe {
        asm!(
            "mov {kept}, r7",
            "mov r7, {number}",
            "svc #0",
            "mov r7, {kept}",
            kept = out(reg) _,
            number = in(reg) number,
            inlateout("r0") a[0] as isize => result,
            in("r1") a[1],
            in("r2") a[2],
            in("r3") a[3],
            in("r4") a[4],
            in("r5") a[5],
            options(nostack, preserves_flags)
        );
    }
    result
}

pub use super::portable::{copy_backward, copy_forward, fill};
