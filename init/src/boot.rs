//! roci-boot

// See sys::arch: the first instructions of a program are assembly, which is not stable for MIPS.
#![cfg_attr(target_arch = "mips", feature(asm_experimental_arch))]
#![no_std]
#![no_main]

// The kernel panics when its first process ends, so a bug ends in something else.
sys::program!(init::device::main, init::device::crash);
