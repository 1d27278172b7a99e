//! What a failed command undoes, in reverse order.
//!
//! Each thing that a command makes is noted here before it is made, and the note is taken back when the command has
//! succeeded. An error ends the process wherever it comes up (see [`crate::error`]), and this is what happens first.

use core::ffi::CStr;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use spec_core::Spec;
use sys::Register;
use sys::process::inherited_fd;

use crate::cgroup::Host;
use crate::container::{self, FIFO_FILE};
use crate::hooks;

/// What has been made so far, or is being made.
#[derive(Clone, Copy)]
pub struct Unfinished {
    /// The poststop hooks of this configuration and bundle are due once the rest is undone.
    pub hooks: Option<Hooks>,
    /// A process to kill.
    pub process: Option<i32>,
    /// Whether it is a child of this one, which has to be waited for.
    pub is_child: bool,
    /// The gate in a state directory with this descriptor, which nobody can pass any more.
    pub gate: Option<i32>,
    /// A cgroup.
    pub cgroup: Option<(&'static Host, &'static CStr)>,
    /// A state directory, by the descriptor of its root and its id.
    pub container: Option<(i32, &'static CStr)>,
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
    /// Whether they are due after any failure, and not only after that of another hook.
    pub always: bool,
}

const NOTHING: Unfinished = Unfinished {
    hooks: None,
    process: None,
    is_child: false,
    gate: None,
    cgroup: None,
    container: None,
};

static UNFINISHED: Register<Unfinished> = Register::new(NOTHING);

/// Changes the notes.
pub fn note(change: impl FnOnce(&mut Unfinished)) {
    let mut unfinished = UNFINISHED.get();
    change(&mut unfinished);
    UNFINISHED.set(unfinished);
}

/// Everything is finished, or somebody else's: a new process calls this first.
pub fn forget_all() {
    UNFINISHED.set(NOTHING);
}

/// Undoes everything that is noted, after a failure with the line `text`. What cannot be undone must not hide that.
pub fn undo_all(text: &str) {
    let unfinished = UNFINISHED.get();
    forget_all();
    if let Some(pid) = unfinished.process {
        let _ = sys::signal::send(pid, sys::signal::SIGKILL);
        if unfinished.is_child {
            while matches!(waitpid(Pid::from_raw(pid), WaitOptions::empty()), Err(Errno::INTR)) {}
        }
    }
    if let Some(directory) = unfinished.gate {
        let _ = unlinkat(inherited_fd(directory), FIFO_FILE, AtFlags::empty());
    }
    if let Some((host, path)) = unfinished.cgroup {
        let _ = host.try_remove(path);
    }
    if let Some((root, id)) = unfinished.container {
        let _ = container::remove(inherited_fd(root), id);
    }
    if let Some(hooks) = unfinished.hooks
        && (hooks.always || text.starts_with("hooks."))
    {
        hooks::run_poststop(hooks.spec, hooks.id, hooks.bundle, hooks.arguments);
    }
}
