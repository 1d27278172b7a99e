//! x86: the system call instruction and the first instructions of a program.

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
            // A zero frame pointer marks the outermost frame.
            "xor ebp, ebp",
            "mov eax, esp",
            // A call wants the stack 16-byte aligned before it pushes the return address; its argument is on the stack.
            "and esp, -16",
            "sub esp, 12",
            "push eax",
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
#[inline(never)]
pub unsafe fn syscall(number: u32, a: [usize; 6]) -> isize {
    let result: isize;
    // The compiler keeps esi and ebp for itself, and then there is no register left for an address: three arguments come by
    // way of memory.
    let [.., fourth, fifth, sixth] = a;
    let block = [fourth, fifth, sixth];
    // SAFETY: the caller vouches for the arguments. The kernel preserves every register but eax, and reads and writes only
    // the memory that the arguments name, which the absence of `nomem` tells the compiler. esi and ebp are put back from the
    // stack, which the absence of `nostack` allows to use; nothing is addressed by way of ebp or esp between that. `block`
    // outlives the instruction.
    unsafe {
        asm!(
            "push esi",
            "push ebp",
            "mov esi, [edi]",
            "mov ebp, [edi + 8]",
            "mov edi, [edi + 4]",
            "int 0x80",
            "pop ebp",
            "pop esi",
            inlateout("eax") number as isize => result,
            in("ebx") a[0],
            in("ecx") a[1],
            in("edx") a[2],
            inout("edi") block.as_ptr() => _,
        );
    }
    result
}

pub use super::portable::{copy_backward, copy_forward, fill};
