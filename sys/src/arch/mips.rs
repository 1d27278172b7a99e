//! MIPS with 32 bits, of either byte order: the system call instruction of the o32 ABI and the first instructions of a
//! program.

use core::arch::asm;

/// The instructions at `_start`: the kernel enters with the stack pointer at `argc`, 8-byte aligned.
#[doc(hidden)]
#[macro_export]
macro_rules! start_asm {
    () => {
        core::arch::global_asm!(
            ".set push",
            ".set noreorder",
            ".globl _start",
            ".type _start,@function",
            "_start:",
            // A zero frame pointer and return address mark the outermost frame.
            "move $fp, $zero",
            "move $ra, $zero",
            "move $a0, $sp",
            // A function may write its four arguments above its frame: room for them, below what the kernel has left there.
            "li $t0, -8",
            "and $sp, $sp, $t0",
            "addiu $sp, $sp, -16",
            // Position-independent code expects its own address in this register.
            "lui $t9, %hi({entry})",
            "addiu $t9, $t9, %lo({entry})",
            "jalr $t9",
            "nop",
            "break",
            ".set pop",
            entry = sym __roci_entry,
        );
    };
}

/// Issues a system call with up to six arguments; unused ones are passed as zero.
///
/// # Safety
/// The arguments must be what the system call `number` expects; pointers must be valid for what the kernel does with them.
#[inline(never)]
pub unsafe fn syscall(number: u32, a: [usize; 6]) -> isize {
    let result: isize;
    let failed: usize;
    // SAFETY: the caller vouches for the arguments. The kernel takes the fifth and the sixth from the stack, above room for
    // four, which is made and given back here; it writes $2 and $7, and may change the temporaries that are named. It may
    // change hi and lo, which have no name here: but they hold nothing across a call, and this function is never inlined, so
    // nothing of a caller is in them. It reads and writes only the memory that the arguments name, which the absence of
    // `nomem` tells the compiler.
    unsafe {
        asm!(
            "addiu $sp, $sp, -24",
            "sw {fifth}, 16($sp)",
            "sw {sixth}, 20($sp)",
            "syscall",
            "addiu $sp, $sp, 24",
            fifth = in(reg) a[4],
            sixth = in(reg) a[5],
            inlateout("$2") number as isize => result,
            in("$4") a[0],
            in("$5") a[1],
            in("$6") a[2],
            inlateout("$7") a[3] => failed,
            lateout("$3") _,
            lateout("$8") _,
            lateout("$9") _,
            lateout("$10") _,
            lateout("$11") _,
            lateout("$12") _,
            lateout("$13") _,
            lateout("$14") _,
            lateout("$15") _,
            lateout("$24") _,
            lateout("$25") _,
        );
    }
    if failed == 0 { result } else { -result }
}

pub use super::portable::{copy_backward, copy_forward, fill};
