//! roci-boot

#![no_std]
#![no_main]

sys::program!(init::device::main);
