//! roci
#![no_std]
#![no_main]
sys::program!(launcher::main);
