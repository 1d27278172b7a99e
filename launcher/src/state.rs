//! `state`, `list` and `ps`: what is, in JSON and in tables. They take no lock and change nothing.

use core::ffi::CStr;

use heapless::Vec;
use rustix::fs::OFlags;
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::device::protocol::CONTAINERS_MAX;
use spec_core::state::{State, StateView, Status, Style, write_oci_state};
use sys::OwnedFd;
use sys::TakeOnce;
use sys::directory::Names;
use sys::fd::open_in;

use crate::cgroup;
use crate::cgroup::resources::is_frozen;
use crate::cli::{Invocation, Opt};
use crate::container::{Container, Damage, Document, MISSING, StateMemory, StateRoot, read_state};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::output::Output;
use crate::proc::Proc;
use crate::supervisor::{self, Row};
use crate::text::{Digits, Pieces, utf8};

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
    find_by_id(invocation, name, id, access, state)
}

/// The same for the container `id`, once as a name and once as text.
#[inline(never)]
pub fn find_by_id(
    invocation: &Invocation,
    name: &'static CStr,
    id: &'static str,
    access: Access,
    state: &mut State<'static>,
) -> Result<Found> {
    let missing = || Error::said(MISSING);
    let root = StateRoot::open(invocation, false)?.ok_or_else(missing)?;
    let container = match access {
        Access::Shared => Container::look_for(&root, name)?,
        Access::Exclusive => Container::look_for_locked(&root, name)?,
    }
    .ok_or_else(missing)?;
    let proc = Proc::open()?;
    let status = look(&container, access, STATE.take(), state, &proc, Damage::IsError)?.ok_or_else(missing)?;
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
    write_oci_state(&mut out, &view, status, Style::Pretty);
    out.finish()
}

/// Reads the state and finds the status. Where create has not written a state, it is at work, or was killed; who holds the
/// lock knows that nobody is at work. `None` where there is no container: create has only made the directory, or it has just
/// been deleted.
pub fn look<'a>(
    container: &Container,
    access: Access,
    memory: &'a mut StateMemory,
    state: &mut State<'a>,
    proc: &Proc,
    damage: Damage,
) -> Result<Option<Status>> {
    let mut file = container.open_state()?;
    if file.is_none() && access == Access::Shared {
        // The order counts: a create that was at work before and is not any more has written the state by now.
        let had_config = container.has_config();
        let is_at_work = container.is_busy();
        file = container.open_state()?;
        if file.is_none() {
            return Ok(match (had_config && container.has_config(), is_at_work) {
                (false, _) => None,
                (true, true) => Some(Status::Creating),
                (true, false) => Some(Status::Stopped),
            });
        }
    }
    let is_whole = match &file {
        Some(file) => read_state(file, memory, state, damage)?,
        None => false,
    };
    file.into_iter().for_each(OwnedFd::close);
    if is_whole {
        let status = container.status(state, proc);
        if status == Status::Running
            && let Some(cgroup) = state.cgroup
            && let Some(host) = cgroup::host(proc)
            && is_frozen(host, cgroup.as_c_str())
        {
            return Ok(Some(Status::Paused));
        }
        return Ok(Some(status));
    }
    Ok(Some(Status::Stopped))
}

/// The state as it is printed: a stopped container has no process, and one without state.json at least an id.
fn shown<'v>(state: &'v State<'v>, container: &Container, status: Status) -> StateView<'v> {
    let mut view = state.view();
    if view.id.is_empty() {
        view.id = utf8(container.id.to_bytes());
        view.oci_version = crate::SPEC_VERSION;
    }
    if matches!(status, Status::Stopped | Status::Creating) {
        view.pid = 0;
    }
    view
}

/// Writes the state that a hook reads.
pub fn write_for_hook(
    document: &mut Document<'_>,
    spec: &Spec<'static>,
    id: &CStr,
    bundle: &CStr,
    pid: i32,
    status: Status,
) -> Result<()> {
    let view = StateView {
        oci_version: spec.oci_version.map_or(crate::SPEC_VERSION, |version| version.as_str()),
        id: utf8(id.to_bytes()),
        pid,
        start_time: 0,
        bundle: utf8(bundle.to_bytes()),
        rootfs: "",
        created: "",
        owner: "",
        cgroup: None,
        annotations: spec.list(spec.annotations),
    };
    write_oci_state(document, &view, status, Style::Compact);
    document.check_state()
}

/// `list`
pub fn list(invocation: &Invocation) -> Result<()> {
    let mut format = Format::of(invocation)?;
    if invocation.has(Opt::Quiet) {
        format = Format::Ids;
    }
    let mut supervised = Vec::new();
    if format == Format::Table {
        supervisor::for_each(invocation, &mut |row| _ = supervised.push(*row))?;
    }
    let mut listing = Listing {
        out: Output::new(),
        proc: Proc::open()?,
        format,
        is_empty: true,
        has_supervised: !supervised.is_empty(),
        supervised,
    };
    if format == Format::Table {
        listing.head();
    }
    if let Some(root) = StateRoot::open(invocation, false)? {
        let memory = STATE.take();
        let mut names = Names::of(root.as_fd());
        while let Some(name) = names.next().during(msg!("read state root"))? {
            listing.add(&root, name, memory)?;
        }
    }
    // Those that have no state now: they wait, or have ended.
    for place in 0..listing.supervised.len() {
        if let Some(row) = listing.supervised.get(place).copied()
            && !supervisor::row_name(&row).is_empty()
        {
            listing.row([supervisor::row_name(&row), "", "", "", "", ""], Some(&row));
        }
    }
    if format == Format::Json {
        // Go prints an empty list as null; clients that parse it take both.
        listing.out.str(if listing.is_empty { "null\n" } else { "]\n" });
    }
    listing.out.finish()
}

/// What `list` prints, and what it asks.
struct Listing {
    out: Output,
    proc: Proc,
    format: Format,
    is_empty: bool,
    /// The containers of roci-boot that were not listed yet.
    supervised: Vec<Row, CONTAINERS_MAX>,
    /// Whether there were any.
    has_supervised: bool,
}

impl Listing {
    /// Prints the container with the state directory `name`. One that is deleted meanwhile, and anything that is not one, is
    /// left out.
    fn add(&mut self, root: &StateRoot, name: &CStr, memory: &mut StateMemory) -> Result<()> {
        let Ok(id) = name.to_str() else { return Ok(()) };
        if spec_core::state::check_id(id).is_err() {
            return Ok(());
        }
        let opened = open_in(root.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY);
        if let Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) = opened {
            return Ok(());
        }
        let directory = opened.during(msg!("open state directory"))?;
        let container = Container { directory, id: c"" };
        let mut state = State::new();
        let status = look(
            &container,
            Access::Shared,
            memory,
            &mut state,
            &self.proc,
            Damage::IsNoState,
        )?;
        let Some(status) = status else {
            container.directory.close();
            return Ok(());
        };
        let mut view = shown(&state, &container, status);
        view.id = id;
        match self.format {
            Format::Ids => {
                self.out.str(id).str("\n");
            }
            Format::Table => {
                let pid = Digits::signed(view.pid.into());
                let name = status.name();
                let row = self.supervised.iter_mut().find(|row| supervisor::row_name(row) == id);
                let row = row.map(supervisor::take);
                self.row(
                    [id, pid.as_str(), name, view.bundle, view.created, view.owner],
                    row.as_ref(),
                );
            }
            Format::Json => {
                self.out.str(if self.is_empty { "[" } else { "," });
                self.is_empty = false;
                write_oci_state(&mut self.out, &view, status, Style::Compact);
            }
        }
        container.directory.close();
        Ok(())
    }

    fn head(&mut self) {
        let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
        if !self.has_supervised {
            return self.row(head, None);
        }
        self.cells(head);
        for text in supervisor::COLUMNS {
            self.out.column(text, 10);
        }
        self.out.str("\n");
    }

    fn row(&mut self, row: [&str; 6], supervised: Option<&Row>) {
        self.cells(row);
        if let Some(row) = supervised {
            supervisor::write_columns(&mut self.out, row);
        }
        self.out.str("\n");
    }

    fn cells(&mut self, row: [&str; 6]) {
        let last = if self.has_supervised { 8 } else { 0 };
        for (text, width) in row.into_iter().zip([20, 8, 8, 32, 31, last]) {
            match width {
                0 => _ = self.out.str(text),
                _ => self.out.column(text, width),
            }
        }
    }
}

/// How `list`, `ps` and `diff` print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// Of `list` alone.
    Ids,
}

impl Format {
    /// What the command line asks for.
    pub fn of(invocation: &Invocation) -> Result<Self> {
        match invocation.text(Opt::Format)? {
            None | Some("table") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some(other) => Err(Error::usage(msg!("--format: neither table nor json: #"), other)),
        }
    }
}

/// `ps`
pub fn ps(invocation: &Invocation) -> Result<()> {
    let is_json = Format::of(invocation)? == Format::Json;
    let mut state = State::new();
    let Found { proc, status, .. } = find(invocation, Access::Shared, &mut state)?;
    let mut out = Output::new();
    let mut is_empty = true;
    if !is_json {
        out.str("PID      PPID     STATE  COMMAND\n");
    }
    for_each_process(&state, status, &proc, &mut |pid| {
        if is_json {
            out.str(if is_empty { "[" } else { "," }).signed(pid.into());
            is_empty = false;
        } else {
            write_process(&mut out, &proc, pid);
        }
    })?;
    if is_json {
        out.str(if is_empty { "[]\n" } else { "]\n" });
    }
    out.finish()
}

/// Calls `each` with every process of the container, by the runtime's pid: those of its cgroup, or, where it has none, the
/// first one and all that descend from it.
pub fn for_each_process(state: &State<'_>, status: Status, proc: &Proc, each: &mut dyn FnMut(i32)) -> Result<()> {
    if let Some(cgroup) = state.cgroup
        && let Some(host) = cgroup::host(proc)
        && host
            .for_each_process(cgroup.as_c_str(), each)
            .during(msg!("read cgroup.procs"))?
    {
        return Ok(());
    }
    if status != Status::Stopped && state.pid > 0 {
        crate::descendants::for_each(proc, state.pid, each)?;
    }
    Ok(())
}

fn write_process(out: &mut Output, proc: &Proc, pid: i32) {
    let mut memory = [0; 1024];
    let Some(process) = proc.process(pid, &mut memory) else {
        return;
    };
    out.column(Digits::signed(pid.into()).as_str(), 8);
    out.column(Digits::signed(process.parent.into()).as_str(), 8);
    out.column(utf8(&[process.start.state]), 6);
    let mut memory = [0; 256];
    match crate::descendants::command_line(proc, pid, &mut memory) {
        "" => out.str("[").str(utf8(process.name)).str("]\n"),
        line => out.str(line).str("\n"),
    };
}
