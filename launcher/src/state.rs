//! `state`, `list` and `ps`: what is, in JSON and in tables. They take no lock and change nothing.

use core::ffi::CStr;
use core::fmt::Write;

use rustix::fs::RawDir;
use spec_core::Spec;
use spec_core::state::{State, StateView, Status, Style, write_oci_state};
use sys::TakeOnce;

use crate::cgroup;
use crate::cgroup::resources::is_frozen;
use crate::cli::{Invocation, Opt};
use crate::config::format_into;
use crate::container::{Container, Damage, MISSING, StateMemory, StateRoot};
use crate::error::{During, Error, Result};
use crate::output::Output;
use crate::proc::Proc;

/// Room for the state that a command looks at.
pub static STATE: TakeOnce<StateMemory> = TakeOnce::new(StateMemory::new());

/// Room for text that is made of a state.
pub static TEXT: TakeOnce<[u8; spec_core::limits::STATE_BYTES_MAX]> =
    TakeOnce::new([0; spec_core::limits::STATE_BYTES_MAX]);

/// A container that a command is about.
pub struct Found {
    /// The directory of state directories.
    pub root: StateRoot,
    /// Its state directory.
    pub container: Container,
    /// Its id.
    pub id: &'static str,
    /// The host's procfs.
    pub proc: Proc,
    /// What it is doing.
    pub status: Status,
}

/// Whether other commands on the container have to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The command only looks, or sends something.
    Shared,
    /// The command changes what the container is.
    Exclusive,
}

/// Finds the container that the command line names, and fills `state`.
pub fn find(invocation: &Invocation, access: Access, state: &mut State<'static>) -> Result<Found> {
    let (name, id) = Container::id_of(invocation)?;
    let missing = || Error::said(MISSING);
    let root = StateRoot::open(invocation, false)?.ok_or_else(missing)?;
    let container = match access {
        Access::Shared => Container::look_for(&root, name)?,
        Access::Exclusive => Container::look_for_locked(&root, name)?,
    }
    .ok_or_else(missing)?;
    let proc = Proc::open()?;
    let status = look(&container, STATE.take(), state, &proc, Damage::IsError)?;
    Ok(Found {
        root,
        container,
        id,
        proc,
        status,
    })
}

/// `state`
pub fn state(invocation: &Invocation) -> Result<()> {
    let mut state = State::new();
    let Found { container, status, .. } = find(invocation, Access::Shared, &mut state)?;
    let mut out = Output::new();
    let view = shown(&state, &container, status);
    format_into(&mut out, |out| write_oci_state(out, &view, status, Style::Pretty))?;
    out.finish()
}

/// Reads the state and finds the status. Where create has not written a state yet, it is at work, or was killed.
pub fn look<'a>(
    container: &Container,
    memory: &'a mut StateMemory,
    state: &mut State<'a>,
    proc: &Proc,
    damage: Damage,
) -> Result<Status> {
    if container.read_state(memory, state, damage)? {
        let status = container.status(state, proc);
        if status == Status::Running
            && let Some(cgroup) = state.cgroup
            && let Some(host) = cgroup::host(proc)
            && is_frozen(host, cgroup.as_c_str())
        {
            return Ok(Status::Paused);
        }
        return Ok(status);
    }
    Ok(if container.is_busy() {
        Status::Creating
    } else {
        Status::Stopped
    })
}

/// The state as it is printed: a stopped container has no process, and one without state.json at least an id.
fn shown<'v>(state: &'v State<'v>, container: &Container, status: Status) -> StateView<'v> {
    let mut view = state.view();
    if view.id.is_empty() {
        view.id = container.id.to_str().unwrap_or_default();
        view.oci_version = crate::SPEC_VERSION;
    }
    if matches!(status, Status::Stopped | Status::Creating) {
        view.pid = 0;
    }
    view
}

/// Writes the state that a hook reads.
pub fn write_for_hook(
    out: &mut dyn Write,
    spec: &Spec<'static>,
    id: &CStr,
    bundle: &CStr,
    pid: i32,
    status: Status,
) -> Result<()> {
    let view = StateView {
        oci_version: spec.oci_version.map_or(crate::SPEC_VERSION, |version| version.as_str()),
        id: id.to_str().unwrap_or_default(),
        pid,
        start_time: 0,
        bundle: bundle.to_str().unwrap_or_default(),
        rootfs: "",
        created: "",
        owner: "",
        cgroup: None,
        annotations: spec.list(spec.annotations),
    };
    format_into(out, |out| write_oci_state(out, &view, status, Style::Compact))
}

/// `list`
pub fn list(invocation: &Invocation) -> Result<()> {
    let format = Format::of(invocation)?;
    let mut out = Output::new();
    let memory = STATE.take();
    let proc = Proc::open()?;
    let Some(root) = StateRoot::open(invocation, false)? else {
        // Go prints an empty list as null; clients that parse it take both.
        if format == Format::Json {
            let _ = out.write_str("null\n");
        } else if !invocation.has(Opt::Quiet) {
            write_row(&mut out, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
        }
        return out.finish();
    };
    let mut is_first = true;
    if format == Format::Table && !invocation.has(Opt::Quiet) {
        write_row(&mut out, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    }
    let mut space = [core::mem::MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(root.as_fd(), &mut space);
    while let Some(entry) = entries.next() {
        let entry = entry.during("read state root")?;
        let name = entry.file_name();
        if name.to_str().is_ok_and(|name| spec_core::state::check_id(name).is_ok()) {
            // A container that is deleted meanwhile, and anything that is not one, is left out.
            list_one(
                &root,
                name,
                memory,
                &proc,
                format,
                &mut is_first,
                invocation.has(Opt::Quiet),
                &mut out,
            )?;
        }
    }
    if format == Format::Json {
        let _ = out.write_str(if is_first { "null\n" } else { "]\n" });
    }
    out.finish()
}

#[expect(
    clippy::too_many_arguments,
    reason = "one row of a listing, and everything that it depends on"
)]
fn list_one(
    root: &StateRoot,
    name: &CStr,
    memory: &mut StateMemory,
    proc: &Proc,
    format: Format,
    is_first: &mut bool,
    quiet: bool,
    out: &mut Output,
) -> Result<()> {
    let Ok(directory) = rustix::fs::openat(
        root.as_fd(),
        name,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    ) else {
        return Ok(());
    };
    let container = Container { directory, id: c"" };
    let mut state = State::new();
    let status = look(&container, memory, &mut state, proc, Damage::IsNoState)?;
    let mut view = shown(&state, &container, status);
    view.id = name.to_str().unwrap_or_default();
    if quiet {
        let _ = writeln!(out, "{}", view.id);
        return Ok(());
    }
    if format == Format::Json {
        let _ = out.write_str(if *is_first { "[" } else { "," });
        *is_first = false;
        return format_into(out, |out| write_oci_state(out, &view, status, Style::Compact));
    }
    let mut pid = heapless::String::<12>::new();
    let _ = write!(pid, "{}", view.pid);
    write_row(
        out,
        [view.id, &pid, status.name(), view.bundle, view.created, view.owner],
    );
    Ok(())
}

fn write_row(out: &mut Output, row: [&str; 6]) {
    let [id, pid, status, bundle, created, owner] = row;
    let _ = writeln!(out, "{id:<20} {pid:<8} {status:<8} {bundle:<32} {created:<31} {owner}");
}

/// How `list` and `ps` print.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
}

impl Format {
    fn of(invocation: &Invocation) -> Result<Self> {
        match invocation.text(Opt::Format)? {
            None | Some("table") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some(other) => Err(Error::usage(format_args!("--format: neither table nor json: {other}"))),
        }
    }
}

/// `ps`
pub fn ps(invocation: &Invocation) -> Result<()> {
    let format = Format::of(invocation)?;
    let mut state = State::new();
    let Found { proc, status, .. } = find(invocation, Access::Shared, &mut state)?;
    let mut out = Output::new();
    let mut is_first = true;
    if format == Format::Table {
        let _ = writeln!(out, "{:<8} {:<8} {:<6} COMMAND", "PID", "PPID", "STATE");
    }
    for_each_process(&state, status, &proc, &mut |pid| {
        if format == Format::Json {
            let _ = write!(out, "{}{pid}", if is_first { "[" } else { "," });
            is_first = false;
        } else {
            write_process(&mut out, &proc, pid);
        }
    })?;
    if format == Format::Json {
        let _ = out.write_str(if is_first { "[]\n" } else { "]\n" });
    }
    out.finish()
}

/// Calls `each` with every process of the container, by the runtime's pid: those of its cgroup, or, where it has none, the
/// first one and all that descend from it.
pub fn for_each_process(state: &State<'_>, status: Status, proc: &Proc, each: &mut dyn FnMut(i32)) -> Result<()> {
    if let Some(cgroup) = state.cgroup
        && let Some(host) = cgroup::host(proc)
        && host.exists(cgroup.as_c_str())
    {
        host.for_each_process(cgroup.as_c_str(), each);
        return Ok(());
    }
    if status != Status::Stopped && state.pid > 0 {
        each(state.pid);
        crate::descendants::for_each(proc, state.pid, each)?;
    }
    Ok(())
}

fn write_process(out: &mut Output, proc: &Proc, pid: i32) {
    let Some(process) = crate::descendants::look(proc, pid) else {
        return;
    };
    let state = char::from(process.state);
    let _ = write!(out, "{pid:<8} {:<8} {state:<6} ", process.parent);
    let mut memory = [0; 256];
    let line = crate::descendants::command_line(proc, pid, &mut memory);
    let _ = writeln!(out, "{}", if line.is_empty() { process.name.as_str() } else { line });
}
