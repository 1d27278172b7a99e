//! x86_64: the system call instruction and the first instructions of a program.

use core::arch::asm;

/// The instructions at `_start`: the kernel enters with the stack pointer at `argc` and nothing else defined.
#[doc(hidden)]
#[macro_export]
macro_rules! start_asm {
    () => {
        core::arch::global_asm!(
            ".globl _start",
            ".type _start,@function",
            "_start:",
            // The psABI asks for a zero frame pointer to mark the outermost frame.
            "xor ebp, ebp",
            "mov rdi, rsp",
            // A call wants the stack 16-byte aligned before it pushes the return address.
            "and rsp, -16",
            "call {entry}",
            "ud2",
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
    // SAFETY: the caller vouches for the arguments. The instruction changes rax, rcx and r11 only, pushes nothing onto the stack
    // of the program, and reads and writes only the memory that the arguments name, which the absence of `nomem` tells the
    // compiler.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a[0],
            in("rsi") a[1],
            in("rdx") a[2],
            in("r10") a[3],
            in("r8") a[4],
            in("r9") a[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// Copies `n` bytes forwards, one after the other.
///
/// # Safety
/// As for `core::ptr::copy`; where the regions overlap, `destination` must not lie above `source`.
#[inline]
pub unsafe fn copy_forward(destination: *mut u8, source: *const u8, n: usize) {
    // SAFETY: the caller vouches for both regions; the ABI guarantees a clear direction flag.
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") n => _,
            inout("rdi") destination => _,
            inout("rsi") source => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Copies `n` bytes backwards, the last one first.
///
/// # Safety
/// As for `core::ptr::copy`; where the regions overlap, `destination` must not lie below `source`.
#[inline]
pub unsafe fn copy_backward(destination: *mut u8, source: *const u8, n: usize) {
    // SAFETY: the caller vouches for both regions. `wrapping_add` keeps the n = 0 case free of pointer overflow, and
    // the direction flag is put back as the ABI demands.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") n => _,
            inout("rdi") destination.wrapping_add(n).wrapping_sub(1) => _,
            inout("rsi") source.wrapping_add(n).wrapping_sub(1) => _,
            options(nostack)
        );
    }
}

/// Fills `n` bytes with `byte`.
///
/// # Safety
/// `destination` must be valid for writing `n` bytes.
#[inline]
pub unsafe fn fill(destination: *mut u8, byte: u8, n: usize) {
    // SAFETY: the caller vouches for the region; the ABI guarantees a clear direction flag.
    unsafe {
        asm!(
            "rep stosb",
            inout("rcx") n => _,
            inout("rdi") destination => _,
            in("al") byte,
            options(nostack, preserves_flags)
        );
    }
}
