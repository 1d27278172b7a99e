//! `delete`: undoes what create made, in reverse order. It can be repeated, and it clears what a killed roci left.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::time::Timespec;
use spec_core::state::{State, Status};
use sys::fd::open_process;
use sys::signal::SIGKILL;

use crate::cgroup::Hierarchies;
use crate::cgroup::systemd::{self, Systemd};
use crate::cli::{Invocation, Opt};
use crate::container::{Container, Damage, MISSING, StateRoot};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::proc::Proc;
use crate::state::Access;
use crate::time::{milliseconds, pause};
use crate::{config, hooks, kill, report, resctrl, state};

/// `delete`: steps 11 to 13 of the lifecycle.
pub fn delete(invocation: &Invocation) -> Result<()> {
    let (id, id_text) = Container::id_of(invocation)?;
    let force = invocation.has(Opt::Force);
    let root = StateRoot::open(invocation, false)?;
    let found = match &root {
        Some(root) => Container::look_for_locked(root, id)?.map(|container| (root, container)),
        None => None,
    };
    let (root, container) = match found {
        Some(found) => found,
        // What is wanted is the case already; clients delete with force more than once.
        None if force => return Ok(()),
        None => return Err(Error::said(MISSING)),
    };
    let proc = Proc::open()?;
    let mut state = State::new();
    let damage = if force { Damage::IsNoState } else { Damage::IsError };
    let status = state::look(
        &container,
        Access::Exclusive,
        state::STATE.take(),
        &mut state,
        &proc,
        damage,
    )?;
    match status.unwrap_or(Status::Stopped) {
        Status::Stopped | Status::Creating => {}
        // Its program has never run, so there is nothing to lose (as runc).
        Status::Created => stop(&state, &proc)?,
        Status::Running if force => stop(&state, &proc)?,
        Status::Paused if force => {
            thaw(invocation, &state, &proc)?;
            stop(&state, &proc)?;
        }
        status @ (Status::Running | Status::Paused) => {
            return Err(Error::says(
                msg!("cannot delete container that is not stopped: it is still #"),
                status.name(),
            ));
        }
    }
    // Killed before the copy was made, or damaged: nothing else was made either, or state.json says what.
    let config = config::try_load_copy(&container);
    let leftover;
    if state.cgroup.is_none()
        && state.pid == 0
        && let Some(path) = systemd::noted_path(&container)
        && let Some(host) = crate::cgroup_host(invocation, &proc)?
    {
        // Of what systemd has made it takes care itself.
        let others = host.leave_to_systemd(path.as_c_str(), Hierarchies::ALL);
        let _ = host.try_remove(path.as_c_str(), others);
    } else if state.cgroup.is_none()
        && let Some(config) = &config
        && state.pid == 0
        && let Some(host) = crate::cgroup_host(invocation, &proc)?
        && let Ok(path) = host.path_for(config.spec, id)
    {
        // Create was killed before it wrote the state. Its cgroup is where create would make it; the process in it waits
        // for a roci that is gone, and has ended or will.
        leftover = path;
        host.remove(leftover.as_c_str(), Hierarchies::ALL)?;
    }
    destroy(invocation, root, container, &state, &proc)?;
    report::step(msg!("container # deleted"), id_text);
    if let Some(config) = config {
        resctrl::remove(config.spec, id);
        hooks::run_poststop(config.spec, id, state.bundle.as_c_str(), invocation.arguments());
    }
    Ok(())
}

/// A frozen process dies when it is thawed, and not before.
fn thaw(invocation: &Invocation, state: &State<'_>, proc: &Proc) -> Result<()> {
    match state.cgroup.zip(crate::cgroup_host(invocation, proc)?) {
        Some((cgroup, host)) => {
            let _ = kill::try_send(state, proc, SIGKILL);
            crate::cgroup::resources::set_frozen(host, cgroup.as_c_str(), false)
        }
        None => Ok(()),
    }
}

/// Kills the first process and waits until it is dead.
fn stop(state: &State<'_>, proc: &Proc) -> Result<()> {
    if cfg!(not(feature = "cgroups")) {
        // Nothing tells afterwards who else there was.
        kill::kill_all(state, Status::Running, proc, SIGKILL)?;
    }
    match kill::try_send(state, proc, SIGKILL) {
        // It ended by itself just now.
        Err(Errno::SRCH) => return Ok(()),
        sent => sent.during(msg!("kill"))?,
    }
    /// The kernel's part of dying: a core dump, a slow disk, the unmounting of its namespaces.
    const PATIENCE: Timespec = milliseconds(10_000);
    let alive = || proc.is_alive(state.pid, state.start_time);
    if let Ok(pidfd) = open_process(state.pid) {
        while alive() {
            if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&PATIENCE)) == Ok(0) {
                return Err(Error::said(msg!("the container's first process does not die")));
            }
        }
        return Ok(());
    }
    for _ in 0..1000 {
        if !alive() {
            return Ok(());
        }
        pause(10);
    }
    Err(Error::said(msg!("the container's first process does not die")))
}

/// Removes the cgroup, with whatever still runs in it, and the state directory.
fn destroy(
    invocation: &Invocation,
    root: &StateRoot,
    container: Container,
    state: &State<'_>,
    proc: &Proc,
) -> Result<()> {
    if let Some((host, cgroup)) = crate::cgroup_of_container(invocation, proc, state)?
        && let Some(unit) = systemd::remove(host, &container, cgroup, Hierarchies::ALL)?
    {
        match Systemd::try_connect(invocation.arguments()) {
            // So that its name is free.
            Ok(mut systemd) => systemd.stop(&unit),
            // Without systemd there is nobody else to remove it.
            Err(_) => host.remove(cgroup, Hierarchies::ALL)?,
        }
    }
    container.remove(root)
}
