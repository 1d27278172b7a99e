//! roci-init
#![no_std]
#![no_main]
sys::program!(init::main);
