#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
// In a test, a panic is the message.
#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(test)]
extern crate std;

pub mod device;
pub mod error;
mod escapes;
mod grammar;
#[cfg(test)]
mod harness;
pub mod hooks;
mod json;
pub mod limits;
pub mod linux;
pub mod message;
pub mod mounts;
pub mod packed;
mod parse;
pub mod process;
pub mod resources;
#[cfg(test)]
mod samples;
mod schema;
#[cfg(feature = "seccomp")]
pub mod seccomp;
#[cfg(not(feature = "seccomp"))]
#[path = "no_seccomp.rs"]
pub mod seccomp;
pub mod sink;
pub mod spec;
pub mod state;
pub mod text;
mod validate;
pub mod words;

pub use error::Error;
pub use parse::{parse_config, parse_process, parse_resources};
pub use spec::{List, Spec};
pub use text::Text;
