//! `roci-init`: the first process of a container. It starts one program, forwards signals to it, reaps every process that
//! ends in the container, and ends as the program ends.
//!
//! ```text
//! roci-init [-gs] [-p SIGNAL] [-e CODE]... [-r A:B]... [--] PROGRAM [ARG]...
//! roci-init [options] --exec PATH [--] ARG0 [ARG]...
//! ```
//!
//! The first form is what `docker --init`, `podman --init` and people call: PROGRAM is searched in `PATH` and is its own
//! `argv[0]`. The second is what roci calls: PATH is executed as it is, with exactly the words that follow as its `argv`.
//!
//! | option | meaning |
//! | --- | --- |
//! | `-g` | forward signals to the program's process group and not to the program alone |
//! | `-p SIGNAL` | ask the kernel for SIGNAL when the parent of `roci-init` ends; the program gets it when `roci-init` ends |
//! | `-e CODE` | exit with 0 where the status would be CODE |
//! | `-r A:B` | forward signal A as B, or drop it where B is 0 |
//! | `-s` | accepted for tini's sake: where it is not PID 1, `roci-init` is always a subreaper |
//!
//! What it promises:
//!
//! - The program gets the signal mask, the ignored signals, the descriptors, the working directory and the environment that
//!   `roci-init` got. Only `LISTEN_PID` is rewritten where it named `roci-init`.
//! - The program leads a process group of its own, which is put into the foreground of the terminal only where that of
//!   `roci-init` was. When the program is stopped from the keyboard, `roci-init` stops with it, so a shell sees its job stop.
//! - Every signal that can be caught is forwarded, except SIGCHLD.
//! - `roci-init` keeps nothing: no descriptor but the standard streams, no working directory but `/`. It sleeps in one
//!   system call and wakes up only for a signal, and once more a moment after it has reaped.
//! - When the program ends, `roci-init` ends, whatever else still runs. As PID 1 that makes the kernel kill the rest of the
//!   namespace; as a subreaper it leaves the rest to the next reaper.
//!
//! Exit status: the program's own, 128 + n where signal n killed it, 127 where it was not found, 126 where it could not be
//! executed, 2 for a mistake on the command line, 1 where `roci-init` itself failed.

#![no_std]

#[cfg(test)]
extern crate std;

mod arguments;
pub mod device;
mod message;
mod reap;
mod signals;
mod spawn;
mod status;
mod terminal;
mod text;

use arguments::{Request, USAGE};
use message::complain;
use sys::Arguments;
use sys::process::{write_stderr, write_stdout};

/// Runs the program that the command line names; the value is the exit status.
pub fn main(arguments: Arguments) -> u8 {
    // Before anything else: a signal that comes earlier meets PID 1 without a handler, and the kernel drops it.
    let inherited = signals::hold();
    let order = match arguments::parse(|index| arguments.get(index)) {
        Ok(Request::Run(order)) => order,
        Ok(Request::Help) => {
            let _ = write_stdout(USAGE.as_bytes());
            return 0;
        }
        Ok(Request::Version) => {
            let _ = write_stdout(concat!("roci-init ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
            return 0;
        }
        Err(mistake) => {
            complain(mistake.word.to_bytes(), mistake.what);
            let _ = write_stderr(USAGE.as_bytes());
            return 2;
        }
    };
    match spawn::start(&order, &inherited, arguments) {
        Ok(program) => reap::until_it_ends(program, &order),
        Err(errno) => {
            complain(b"fork", message::words(errno));
            1
        }
    }
}
