//! `--systemd-cgroup` where this executable was built without it.

use core::ffi::CStr;

use spec_core::Spec;
use spec_core::resources::Resources;

use super::resources::Purpose;
use super::{Hierarchies, Host};
use crate::cli::{Invocation, Opt};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::msg;
use crate::path::Path;

/// The scope of a container, of which there is none.
pub enum Unit {}

impl Unit {
    /// An error where one is asked for.
    pub fn wanted(invocation: &Invocation, _: &Spec<'static>, _: &'static CStr) -> Result<Option<Self>> {
        if invocation.has(Opt::SystemdCgroup) {
            return Err(Error::said(msg!("--systemd-cgroup: this roci was built without it")));
        }
        Ok(None)
    }

    /// None.
    pub fn of(_: &Container, _: &CStr) -> Option<Self> {
        None
    }
}

/// A line to systemd, which nobody can have.
pub enum Systemd {}

impl Systemd {
    /// For who has a unit.
    pub fn connect(_: sys::Arguments) -> Result<Self> {
        Err(Error::said(msg!("--systemd-cgroup: this roci was built without it")))
    }

    /// For who can do without.
    pub fn try_connect(_: sys::Arguments) -> core::result::Result<Self, &'static str> {
        Err("")
    }

    /// See the other one.
    pub fn path_of(&mut self, unit: &Unit) -> Result<Path> {
        match *unit {}
    }

    /// See the other one.
    pub fn start(&mut self, unit: &Unit, _: &Spec<'static>, _: &str, _: i32) -> Result<()> {
        match *unit {}
    }

    /// See the other one.
    pub fn limit(&mut self, unit: &Unit, _: &Resources<'_>, _: bool, _: Purpose) -> Result<()> {
        match *unit {}
    }

    /// See the other one.
    pub fn stop(&mut self, unit: &Unit) {
        match *unit {}
    }
}

/// Removes a container's cgroup.
pub fn remove(host: &Host, _: &Container, path: &CStr, hierarchies: Hierarchies) -> Result<Option<Unit>> {
    host.remove(path, hierarchies).map(|()| None)
}

/// Nobody has noted one.
pub fn noted_path(_: &Container) -> Option<Path> {
    None
}

/// For who has a unit.
pub fn note(_: &Container, _: &Path) -> Result<()> {
    Ok(())
}

impl Host {
    /// Nothing is systemd's.
    pub fn leave_to_systemd(&self, _: &CStr, hierarchies: Hierarchies) -> Hierarchies {
        hierarchies
    }
}
