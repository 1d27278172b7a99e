//! `run`: create, start, wait, delete in one process, with no gate in between.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use sys::OwnedFd;
use sys::signal::{SIGCHLD, SIGWINCH, SignalSet, read_signal_fd, wait_for};

use crate::cgroup::systemd;
use crate::cli::{Invocation, Opt};
use crate::create::{Created, Purpose, make};
use crate::error::{During, Result};
use crate::msg;
use crate::sync::{Kind, MESSAGE_BYTES, Socket};
use crate::{console, exit, hooks, resctrl, start, undo};

/// `run`; the exit status is the program's.
pub fn run(invocation: &Invocation) -> Result<u8> {
    let detach = invocation.has(Opt::Detach);
    let Created {
        root,
        cgroup,
        container,
        spec,
        bundle,
        child,
        socket,
        master,
        memory,
    } = make(invocation, Purpose::Run { detach })?;
    let own = hooks::DefaultEnvironment::Own(invocation.arguments());
    let_go(socket, &master)?;
    start::run_poststart(spec, container.id, bundle, child, memory, own)?;
    undo::forget_all();
    if detach {
        return Ok(0);
    }
    // Other commands (exec, kill, delete by somebody else) work on the container while it runs.
    let _ = rustix::fs::flock(&container.directory, rustix::fs::FlockOperation::Unlock);
    let status = match &master {
        None => forward_signals(child)?,
        Some(master) => relay(child, master)?,
    };
    // Somebody may have deleted it already.
    if !invocation.has(Opt::Keep) && container.lock()? {
        if let Some((host, path, made)) = cgroup {
            systemd::remove(host, &container, path, made)?;
        }
        let id = container.id;
        resctrl::remove(spec, id);
        container.remove(&root)?;
        hooks::run_poststop(spec, id, bundle, invocation.arguments());
    }
    Ok(exit::of_wait_status(status))
}

/// Lets the process go on, and waits until it has become the program: the exec closes its end of the socket.
pub fn let_go(socket: Socket, master: &Option<OwnedFd>) -> Result<()> {
    if let Some(master) = master {
        console::copy_size(master.as_fd());
    }
    socket
        .send(Kind::Go, &[])
        .during(msg!("tell the container process to go on"))?;
    let mut memory = [0; MESSAGE_BYTES];
    match socket
        .receive(&mut memory)
        .during(msg!("hear from the container process"))?
    {
        Some(message) if message.kind == Kind::Failed => Err(message.error()),
        _ => Ok(()),
    }
}

/// Sleeps until the program ends; every other signal is the program's.
pub fn forward_signals(pid: i32) -> Result<WaitStatus> {
    loop {
        let signal = wait_for(SignalSet::ALL).during(msg!("wait for signals"))?;
        if let Some(status) = take_signal(pid, signal).during(msg!("wait for the program"))? {
            return Ok(status);
        }
    }
}

/// Forwards a signal, or, for SIGCHLD, looks whether the program has ended. Signals come together, so that is looked at
/// whichever arrives.
fn take_signal(pid: i32, signal: u8) -> core::result::Result<Option<WaitStatus>, Errno> {
    if signal != SIGCHLD {
        let _ = sys::signal::send(pid, signal);
    }
    Ok(waitpid(Pid::from_raw(pid), WaitOptions::NOHANG)?.map(|(_, status)| status))
}

/// The same with the caller's terminal joined to the container's.
pub fn relay(pid: i32, master: &OwnedFd) -> Result<WaitStatus> {
    console::clear_output_processing(master.as_fd());
    let signals = sys::signal::open_signal_fd(SignalSet::ALL).during(msg!("open signalfd"))?;
    // Nothing can fail from here on to where the caller's terminal is as it was: an error ends roci at once.
    let raw = console::RawMode::enter();
    let mut status = Ok(None);
    console::relay(master.as_fd(), signals.as_fd(), || {
        while let Some(signal) = read_signal_fd(signals.as_fd()) {
            if signal == SIGWINCH {
                console::copy_size(master.as_fd());
            } else if matches!(status, Ok(None)) {
                status = take_signal(pid, signal);
            }
        }
        !matches!(status, Ok(None))
    });
    drop(raw);
    match status.during(msg!("wait for the program"))? {
        Some(status) => Ok(status),
        // Every process let go of the terminal, and the first one still runs.
        None => forward_signals(pid),
    }
}
