#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod error;
mod grammar;
pub mod hooks;
mod json;
pub mod limits;
pub mod linux;
pub mod mounts;
mod parse;
pub mod process;
pub mod resources;
pub mod seccomp;
pub mod spec;
pub mod state;
pub mod text;
mod validate;
pub mod words;

pub use error::Error;
pub use parse::{parse_config, parse_process, parse_resources};
pub use spec::{List, Spec};
pub use text::Text;
