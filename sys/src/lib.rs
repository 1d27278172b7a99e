//! What stands between roci and the kernel: program start, the memory functions, the panic handler, and the system calls
//! that rustix does not offer. This crate is the only home of `unsafe` and of assembly.
//!
//! Checked against rustix 1.1.6, which has **no** `clone3`, `execve`, `execveat`, `exit_group`, `rt_sigprocmask`,
//! `rt_sigtimedwait`, `signalfd4`, `mount_setattr`, `close_range`, `keyctl`, `personality`, `prlimit64` by number, and no
//! safe `unshare`; and whose `mount` takes no bare flag word. Everything else is called through rustix, but what makes
//! descriptors, see [`fd`], and reads directories.
//!
//! Three rings: [`arch`] issues the instruction, the modules here are typed wrappers with one meaning each, and callers
//! see file descriptors, C strings and numbers, never a pointer.

#![cfg_attr(not(test), no_std)]
// Its inline assembly is not stable, which is one reason why MIPS is an experiment.
#![cfg_attr(target_arch = "mips", feature(asm_experimental_arch))]

mod abi;
#[doc(hidden)]
pub mod arch;
pub mod bpf;
mod call;
pub mod device;
pub mod directory;
pub mod exec;
pub mod fd;
pub mod file;
mod file_system;
pub mod loop_device;
#[doc(hidden)]
pub mod mem;
pub mod mount;
pub mod namespace;
#[doc(hidden)]
pub mod panic;
pub mod poll;
pub mod probe;
pub mod process;
mod scratch;
pub mod seccomp;
pub mod signal;
pub mod socket;
mod start;
mod take_once;
pub mod terminal;

pub use fd::OwnedFd;
pub use file_system::FileSystem;
pub use scratch::ScratchString;
pub use start::{Arguments, Words};
pub use take_once::{Notes, Once, Register, TakeOnce, Truncating};

/// Copies `bytes` to the front of `place`, as many as fit.
#[inline(never)]
pub fn copy(place: &mut [u8], bytes: &[u8]) {
    for (to, from) in place.iter_mut().zip(bytes) {
        *to = *from;
    }
}
