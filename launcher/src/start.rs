//! `start`: opens the gate that the container process waits at.

use core::ffi::CStr;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, OFlags, fcntl_setfl, unlinkat};
use rustix::io::Errno;
use rustix::time::Timespec;
use spec_core::Spec;
use spec_core::limits::{MESSAGE_BYTES_MAX, STATE_BYTES_MAX};
use spec_core::state::{State, Status};
use sys::OwnedFd;
use sys::fd::{open_in, open_process};

use crate::cli::Invocation;
use crate::container::{Container, Document, FIFO_FILE};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::proc::Proc;
use crate::state::{self, Access, Found};
use crate::text::utf8;
use crate::time::milliseconds;
use crate::{config, hooks, report, undo};

/// `start`: steps 6 to 9 of the lifecycle.
pub fn start(invocation: &Invocation) -> Result<()> {
    let mut state = State::new();
    let found = state::find(invocation, Access::Exclusive, &mut state)?;
    let Found {
        container,
        id,
        proc,
        status,
        ..
    } = found;
    if status != Status::Created {
        return Err(Error::says(
            msg!("cannot start: container is not in created state: it is #"),
            status.name(),
        ));
    }
    // Should step 7 fail, the container is stopped, and only delete is left.
    undo::note_process(state.pid, false);
    undo::note_gate(container.directory.as_fd());
    open_gate(&container, state.pid, &proc)?;
    unlinkat(&container.directory, FIFO_FILE, AtFlags::empty()).during(msg!("remove exec.fifo"))?;
    report::step(msg!("container # started"), id);
    let config = config::load_copy(&container)?;
    let own = hooks::DefaultEnvironment::Own(invocation.arguments());
    let bundle = state.bundle.as_c_str();
    run_poststart(config.spec, container.id, bundle, state.pid, state::TEXT.take(), own)?;
    undo::forget_all();
    Ok(())
}

/// Step 9. A failing hook stops the container (runtime.md since 1.3), which the caller has noted.
pub fn run_poststart(
    spec: &Spec<'static>,
    id: &CStr,
    bundle: &CStr,
    pid: i32,
    memory: &mut [u8; STATE_BYTES_MAX],
    own: hooks::DefaultEnvironment,
) -> Result<()> {
    if spec.hooks.poststart.is_empty() {
        return Ok(());
    }
    let mut document = Document::new(memory);
    state::write_for_hook(&mut document, spec, id, bundle, pid, Status::Running)?;
    hooks::run(
        spec,
        msg!("hooks.poststart"),
        spec.hooks.poststart,
        document.as_bytes(),
        own,
    )
}

/// Opens the fifo for reading, which lets the process open it for writing; takes its byte, and reads on until the process
/// has become the program, which closes the fifo, or has sent the reason why it could not.
fn open_gate(container: &Container, pid: i32, proc: &Proc) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let fifo = open_in(container.directory.as_fd(), FIFO_FILE, flags).during(msg!("open exec.fifo"))?;
    let pidfd = open_process(pid).ok();
    let mut memory = [0; MESSAGE_BYTES_MAX];
    if !wait_for_byte(&fifo, pidfd.as_ref(), pid, proc)? {
        return Err(Error::said(msg!("the container process died before it was started")));
    }
    fcntl_setfl(&fifo, OFlags::empty()).during(msg!("read exec.fifo"))?;
    let mut len = 0;
    loop {
        match rustix::io::read(&fifo, memory.get_mut(len..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new(msg!("read exec.fifo"), errno)),
        }
    }
    match utf8(memory.get(..len).unwrap_or_default()) {
        "0" => Ok(()),
        // An index would bring the kilobytes that say how an index into a text can be wrong.
        text if text.len() > 1 => Err(Error::said(text.get(1..).unwrap_or_default())),
        _ => Err(Error::said(msg!("the container process died before it was started"))),
    }
}

/// Waits until there is something to read; `false` where the process has died instead.
fn wait_for_byte(fifo: &OwnedFd, pidfd: Option<&OwnedFd>, pid: i32, proc: &Proc) -> Result<bool> {
    /// How often a kernel without pidfds (before 5.3) is asked whether the process is still there.
    const INTERVAL: Timespec = milliseconds(50);
    loop {
        let mut fds = heapless::Vec::<PollFd<'_>, 2>::new();
        let _ = fds.push(PollFd::new(fifo, PollFlags::IN));
        if let Some(pidfd) = pidfd {
            let _ = fds.push(PollFd::new(pidfd, PollFlags::IN));
        }
        match poll(&mut fds, if pidfd.is_some() { None } else { Some(&INTERVAL) }) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new(msg!("wait for the container process"), errno)),
        }
        let of = |index| fds.get(index).map(PollFd::revents);
        let fifo = of(0).unwrap_or(PollFlags::HUP);
        if fifo.contains(PollFlags::IN) {
            return Ok(true);
        }
        let dead = match of(1) {
            Some(pidfd) => pidfd.contains(PollFlags::IN),
            None => !proc.process_start(pid).is_some_and(|start| start.is_alive()),
        };
        if dead || fifo.contains(PollFlags::HUP) {
            return Ok(false);
        }
    }
}
