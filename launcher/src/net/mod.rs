//! The network, by messages to the kernel: no other program is run for it.

pub mod devices;
pub mod netlink;
