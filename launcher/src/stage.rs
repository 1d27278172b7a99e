//! The stage in between: a process that enters namespaces and makes another one as its sibling.
//!
//! Some namespaces are entered only by children (pid, time), while the process that is wanted has to be roci's own child,
//! or its caller's once roci has gone. The stage does the first and `CLONE_PARENT` the second; then the stage goes.

use sys::process::{SpawnOptions, Spawned, exit, spawn, wait};
use sys::signal::{SIGKILL, send};

use crate::error::{During, Error, Result};
use crate::msg;
use crate::sync::{Kind, MESSAGE_BYTES, Socket, tell_over};

/// Makes a process by way of a stage. `enter` is what the stage does, which may close all but the socket; `make` makes the process, and is told that it is to
/// be a sibling; `run` is the process, and does not come back.
///
/// The number of the process and the socket to it.
pub fn spawn_staged(
    socket: Socket,
    other_end: Socket,
    enter: &mut dyn FnMut(&Socket) -> Result<()>,
    make: &mut dyn FnMut() -> Result<Spawned>,
    run: &mut dyn FnMut(&Socket) -> Result<core::convert::Infallible>,
) -> Result<(i32, Socket)> {
    let stage = match spawn(&SpawnOptions::default()).during(msg!("clone"))? {
        Spawned::Parent(stage) => stage,
        Spawned::Child => {
            socket.close();
            tell_over(&other_end);
            enter(&other_end)?;
            match make()? {
                Spawned::Parent(child) => {
                    let told = other_end.send(Kind::Spawned, &child.pid.to_ne_bytes());
                    if told.is_err() {
                        // Nobody else knows of it.
                        let _ = send(child.pid, SIGKILL);
                    }
                    told.during(msg!("tell of the process"))?;
                    exit(0)
                }
                Spawned::Child => match run(&other_end)? {},
            }
        }
    };
    other_end.close();
    // A stage that was killed has told nothing, and the process that it may have made waits for us: it goes when we do.
    if wait(stage.pid)
        .during(msg!("wait for the stage"))?
        .exit_status()
        .is_none()
    {
        return Err(ended_early());
    }
    let mut memory = [0; MESSAGE_BYTES];
    match socket.receive(&mut memory).during(msg!("hear from the process"))? {
        Some(message) if message.kind == Kind::Spawned => {
            let pid = message.payload.try_into().map_or(0, i32::from_ne_bytes);
            Ok((pid, socket))
        }
        Some(message) if message.kind == Kind::Failed => Err(message.error()),
        _ => Err(ended_early()),
    }
}

fn ended_early() -> Error {
    Error::said(msg!("the process ended before it was made (out of memory?)"))
}
