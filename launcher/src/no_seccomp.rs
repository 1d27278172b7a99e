//! seccomp where this executable was built without it.

use spec_core::Spec;

use crate::error::{Error, Result};
use crate::features::Document;
use crate::msg;
use crate::policy::{Feature, is_off, is_preferred};
use crate::report;
use crate::sync::Socket;

/// A profile, which nobody can have.
pub enum Profile {}

impl Profile {
    /// An error where there is one, unless the container may do without.
    pub fn compile(spec: &Spec<'static>) -> Result<Option<Self>> {
        if spec.linux.seccomp.is_none() || is_off(Feature::Seccomp) {
            return Ok(None);
        }
        if is_preferred(Feature::Seccomp) {
            report::warn(msg!("linux.seccomp is not used: this roci was built without it"), "");
            return Ok(None);
        }
        Err(absent())
    }

    /// See the other one.
    pub fn is_late(&self, _: bool) -> bool {
        match *self {}
    }

    /// See the other one.
    pub fn load(&self, _: &Socket) -> Result<()> {
        match *self {}
    }
}

fn absent() -> Error {
    Error::said(msg!("linux.seccomp: this roci was built without it"))
}

/// For who has a profile.
pub fn send_listener(_: &Spec<'static>, _: i32, _: i32, _: &[u8]) -> Result<()> {
    Err(absent())
}

/// Nothing is supported.
pub fn write_features(_: &mut Document) {}

/// No row of `check` asks for it.
pub fn is_there() -> bool {
    false
}
