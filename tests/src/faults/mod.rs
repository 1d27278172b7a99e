//! The fault sweep: every system call of every command fails once in each way that its man page names, and its process is
//! killed there once. After each, roci has said in one line what failed, `delete --force` works, and the host is as before.
//!
//! A *case* is a command and a world, which says what the container has. It is recorded once, which gives the *places*; a
//! place with a fault is a *point*. Each worker is the first process of namespaces of its own, so that whatever is left
//! behind is its own: processes, mounts, links, addresses and rules can be compared as a whole.

mod calls;
mod case;
mod host;
mod lines;
mod listed;
mod sweep;
mod tracer;
mod world;

pub use sweep::{sweep, work};
pub use tracer::{TRACED, become_traced};
