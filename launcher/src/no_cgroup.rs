//! Cgroups where this executable was built without them: as on a host that has none.

use core::cell::Cell;
use core::convert::Infallible;
use core::ffi::CStr;

use rustix::io::Errno;
use spec_core::Spec;
use spec_core::resources::Resources;
use sys::OwnedFd;

use crate::cli::Invocation;
use crate::error::{Error, Result};
use crate::limits::{forbids_nodes, sets_limits};
use crate::msg;
use crate::path::Path;
use crate::policy::{Feature, is_required};
use crate::proc::Proc;

#[path = "no_systemd.rs"]
pub mod systemd;

fn absent() -> Error {
    Error::said(msg!("this roci was built without it"))
}

/// What the host has, which is never looked at.
pub struct Host {
    /// See the other one.
    pub is_v2: bool,
    never: Infallible,
}

/// None.
pub fn host(_: &Proc) -> Option<&'static Host> {
    None
}

impl Host {
    /// See the other one.
    pub fn path_for(&self, _: &Spec<'static>, _: &CStr) -> Result<Path> {
        match self.never {}
    }

    /// See the other one.
    pub fn remove(&self, _: &CStr, _: Hierarchies) -> Result<()> {
        match self.never {}
    }

    /// See the other one.
    pub fn try_remove(&self, _: &CStr, _: Hierarchies) -> core::result::Result<(), Errno> {
        match self.never {}
    }

    /// See the other one.
    pub fn for_each_process(&self, _: &CStr, _: &mut dyn FnMut(i32)) -> core::result::Result<bool, Errno> {
        match self.never {}
    }

    /// See the other one.
    pub fn join(&self, _: &CStr, _: i32) -> Result<()> {
        match self.never {}
    }
}

/// Some of the host's hierarchies, of which there are none.
#[derive(Clone, Copy)]
pub struct Hierarchies;

impl Hierarchies {
    /// None of them.
    pub const ALL: Self = Self;
}

/// A cgroup that create has made, which it never has.
pub struct NewCgroup {
    /// See the other one.
    pub directory: Option<OwnedFd>,
    /// See the other one.
    pub is_awaited: bool,
    never: Infallible,
}

impl NewCgroup {
    /// See the other one.
    pub fn awaited(host: &'static Host, _: &'static CStr) -> Self {
        match host.never {}
    }

    /// See the other one.
    pub fn make(host: &'static Host, _: &'static CStr, _: bool, _: bool) -> Result<core::result::Result<Self, Errno>> {
        match host.never {}
    }

    /// See the other one.
    pub fn open_procs(&mut self) -> Result<()> {
        match self.never {}
    }

    /// See the other one.
    pub fn give_to(&self, _: u32) -> Result<()> {
        match self.never {}
    }

    /// See the other one.
    pub fn made(&self) -> &Cell<Hierarchies> {
        match self.never {}
    }

    /// See the other one.
    pub fn host(&self) -> &'static Host {
        match self.never {}
    }

    /// See the other one.
    pub fn path(&self) -> &'static CStr {
        match self.never {}
    }

    /// See the other one.
    pub fn join(&self, _: &[u8]) -> Result<()> {
        match self.never {}
    }

    /// See the other one.
    pub fn set_entered(&self, _: bool) {
        match self.never {}
    }
}

/// For who has a host.
pub fn make_error(_: &CStr, _: Errno) -> Error {
    absent()
}

/// The cgroup file systems inside a container.
pub mod mount {
    use spec_core::mounts::Mount;

    use super::*;
    use crate::mounts::Surroundings;

    /// An error: there is nothing to show.
    pub fn mount_cgroup(_: &Surroundings<'_>, _: &Mount<'static>) -> Result<()> {
        Err(Error::said(msg!("mount cgroup: this roci was built without it")))
    }
}

/// `linux.resources`.
pub mod resources {
    use super::*;

    /// See the other one.
    #[derive(Clone, Copy)]
    pub enum Purpose {
        /// See the other one.
        Create,
    }

    /// See the other one.
    pub fn apply(
        host: &Host,
        _: &CStr,
        _: &Cell<Hierarchies>,
        _: &Spec<'static>,
        _: &Resources<'static>,
        _: Purpose,
    ) -> Result<()> {
        match host.never {}
    }

    /// An error where a limit is asked for, unless the container may do without.
    pub fn refuse_to_lack(spec: &Spec<'static>) -> Result<()> {
        if is_required(Feature::Limits) && (sets_limits(spec) || sets_more(spec)) {
            return Err(Error::said(msg!("linux.resources: this roci was built without it")));
        }
        if is_required(Feature::Devices) && forbids_nodes(spec) {
            return Err(Error::said(msg!(
                "linux.resources.devices: this roci was built without it"
            )));
        }
        Ok(())
    }

    /// Whether something is set that is no limit, and that a host without cgroups may be without.
    fn sets_more(spec: &Spec<'static>) -> bool {
        let Resources {
            memory, cpu, block_io, ..
        } = &spec.linux.resources;
        let numbers = [memory.kernel_tcp, cpu.realtime_runtime, cpu.idle];
        let unsigned = [memory.swappiness, cpu.burst, cpu.realtime_period];
        memory.disable_oom_killer
            || numbers.into_iter().flatten().any(|number| number > 0)
            || unsigned.into_iter().flatten().any(|number| number > 0)
            || !block_io.weight_devices.is_empty()
            || spec.linux.resources.network_class_id.is_some()
            || !spec.linux.resources.network_priorities.is_empty()
            || !spec.linux.resources.rdma.is_empty()
    }

    /// The error of a container that has a cgroup, which another roci has made.
    pub fn gone() -> Error {
        Error::said(msg!(
            "the container has a cgroup: this roci was built without it (--cgroup-manager disabled does without)"
        ))
    }

    /// See the other one.
    pub fn set_frozen(host: &Host, _: &CStr, _: bool) -> Result<()> {
        match host.never {}
    }

    /// See the other one.
    pub fn is_frozen(host: &Host, _: &CStr) -> bool {
        match host.never {}
    }
}

/// `pause` and `resume`.
pub mod pause {
    use super::*;

    /// An error.
    pub fn set(_: &Invocation, _: bool) -> Result<()> {
        Err(absent())
    }
}

/// `update`.
pub mod update {
    use super::*;

    /// An error.
    pub fn update(_: &Invocation) -> Result<()> {
        Err(absent())
    }
}

/// `events`.
pub mod events {
    use super::*;

    /// An error.
    pub fn events(_: &Invocation) -> Result<()> {
        Err(absent())
    }
}
