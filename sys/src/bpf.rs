//! Programs that the kernel runs, for devices of cgroups.

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd};
use rustix::io::Result;

use crate::OwnedFd;
use crate::call::call;

/// `bpf(2)` with a structure of this many bytes; what is not set is 0.
///
/// # Safety
/// What the command takes for an address in the structure is that of as much as it reads there.
unsafe fn bpf<const N: usize>(command: usize, attributes: &[u32; N]) -> Result<usize> {
    let arguments = [
        command,
        attributes.as_ptr().expose_provenance(),
        size_of_val(attributes),
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads the `union bpf_attr` of the given size, which is borrowed for the call, and what the addresses
    // in it are of, as the caller says. Into the structure it writes nothing: the first member that it fills in, the length of
    // the log, lies behind what either caller gives it.
    unsafe { call(k::__NR_bpf, arguments) }
}

/// The two halves of a pointer, as `union bpf_attr` has them: 64 bits in the byte order of the machine.
pub(crate) const fn halves(address: usize) -> [u32; 2] {
    let address = address as u64;
    let (low, high) = (address as u32, (address >> 32) as u32);
    if cfg!(target_endian = "little") {
        [low, high]
    } else {
        [high, low]
    }
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE` (Linux 4.15): the kernel checks it first.
pub fn load_device_program(instructions: &[u64]) -> Result<OwnedFd> {
    const BPF_PROG_LOAD: usize = 5;
    const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    let [low, high] = halves(instructions.as_ptr().expose_provenance());
    let [licence_low, licence_high] = halves(c"MIT".as_ptr().expose_provenance());
    let attributes = [
        BPF_PROG_TYPE_CGROUP_DEVICE,
        instructions.len() as u32,
        low,
        high,
        licence_low,
        licence_high,
        // log_level, log_size, log_buf, kern_version, prog_flags
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads as many instructions of 8 bytes as the slice has, and the licence, a literal with its NUL; both
    // outlive the call. There is no log for it to write.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &attributes) }?;
    // SAFETY: the kernel made this descriptor just now, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Attaches it to the cgroup (version 2) with this directory, beside those that are there.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    const BPF_PROG_ATTACH: usize = 8;
    const BPF_CGROUP_DEVICE: u32 = 6;
    const BPF_F_ALLOW_MULTI: u32 = 2;
    let (cgroup, program) = (cgroup.as_raw_fd() as u32, program.as_raw_fd() as u32);
    let attributes = [cgroup, program, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI];
    // SAFETY: this command takes no addresses.
    unsafe { bpf(BPF_PROG_ATTACH, &attributes) }.map(drop)
}
