//! What a failed command undoes, in reverse order.
//!
//! Each thing that a command makes is noted here before it is made, and the note is taken back when the command has
//! succeeded. An error ends the process wherever it comes up (see [`crate::error`]), and this is what happens first.

use core::ffi::CStr;

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, unlinkat};
use spec_core::Spec;
use sys::Register;
use sys::process::inherited_fd;

use crate::cgroup::{Hierarchies, Host};
use crate::container::{self, FIFO_FILE};
use crate::{hooks, resctrl};

/// A process to kill.
static PROCESS: Register<i32> = Register::new(0);
/// Whether it is a child of this one, which has to be waited for.
static IS_CHILD: Register<bool> = Register::new(false);
/// The state directory, by descriptor, whose gate nobody can pass any more; or 0.
static GATE: Register<i32> = Register::new(0);
/// A cgroup.
static CGROUP: Register<Option<Cgroup>> = Register::new(None);
/// A state directory, by the descriptor of its root and its id.
static CONTAINER: Register<Option<(i32, &'static CStr)>> = Register::new(None);
/// A pid file.
static PID_FILE: Register<Option<&'static CStr>> = Register::new(None);
/// Poststop hooks that are due once the rest is undone.
static HOOKS: Register<Option<Hooks>> = Register::new(None);

/// A cgroup.
#[derive(Clone, Copy)]
pub struct Cgroup {
    /// Where it is.
    pub host: &'static Host,
    /// The path in each hierarchy.
    pub path: &'static CStr,
    /// Whether systemd makes it.
    pub is_systemds: bool,
}

/// Whose hooks they are.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// The configuration.
    pub spec: &'static Spec<'static>,
    /// The container's id.
    pub id: &'static CStr,
    /// The bundle's absolute path.
    pub bundle: &'static CStr,
    /// roci's arguments and environment.
    pub arguments: sys::Arguments,
}

/// The process `pid` is to be killed, and, a child, waited for. 0 is no process.
pub fn note_process(pid: i32, is_child: bool) {
    PROCESS.set(pid);
    IS_CHILD.set(is_child);
}

/// Kills the process that is noted.
pub fn end_process() {
    let pid = PROCESS.get();
    if pid != 0 {
        let _ = sys::signal::send(pid, sys::signal::SIGKILL);
        if IS_CHILD.get() {
            let _ = sys::process::wait(pid);
        }
    }
    note_process(0, false);
}

/// The gate in the state directory is to be removed.
pub fn note_gate(directory: BorrowedFd<'_>) {
    GATE.set(directory.as_raw_fd());
}

/// The cgroup is to be removed.
pub fn note_cgroup(cgroup: Option<Cgroup>) {
    CGROUP.set(cgroup);
}

/// The state directory is to be removed. The descriptor of the root has to stay open.
pub fn note_container(root: BorrowedFd<'_>, id: &'static CStr) {
    CONTAINER.set(Some((root.as_raw_fd(), id)));
}

/// The pid file is to be removed: it names a process that is to be killed.
pub fn note_pid_file(path: &'static CStr) {
    PID_FILE.set(Some(path));
}

/// The poststop hooks are due, if it is another hook that fails or the program that cannot be started.
pub fn note_hooks(hooks: Hooks) {
    HOOKS.set(Some(hooks));
}

/// Everything is finished, or somebody else's: a new process calls this first.
#[inline(never)]
pub fn forget_all() {
    note_process(0, false);
    GATE.set(0);
    CGROUP.set(None);
    CONTAINER.set(None);
    PID_FILE.set(None);
    HOOKS.set(None);
}

/// Undoes everything that is noted, after a failure with the line `text`. What cannot be undone must not hide that.
pub fn undo_all(text: &str) {
    end_process();
    if let Some(path) = PID_FILE.get() {
        let _ = unlinkat(CWD, path, AtFlags::empty());
    }
    if GATE.get() != 0 {
        let _ = unlinkat(inherited_fd(GATE.get()), FIFO_FILE, AtFlags::empty());
    }
    if let Some(Cgroup {
        host,
        path,
        is_systemds,
    }) = CGROUP.get()
    {
        let all = Hierarchies::ALL;
        let hierarchies = if is_systemds {
            host.leave_to_systemd(path, all)
        } else {
            all
        };
        let _ = host.try_remove(path, hierarchies);
    }
    if let Some((root, id)) = CONTAINER.get() {
        let _ = container::remove(inherited_fd(root), id);
    }
    if let Some(Hooks {
        spec,
        id,
        bundle,
        arguments,
    }) = HOOKS.get()
    {
        resctrl::remove(spec, id);
        if text.starts_with("hooks.") || text.starts_with("exec: ") {
            hooks::run_poststop(spec, id, bundle, arguments);
        }
    }
}
