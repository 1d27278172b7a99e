//! Overlays where this executable was built without them.

use core::ffi::CStr;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::spec::OVERLAY_ANNOTATIONS;

use crate::cli::{Invocation, Opt};
use crate::container::Container;
use crate::error::{Error, Result};
use crate::msg;

/// What is asked for, which nobody can have.
pub enum Overlay {}

impl Overlay {
    /// See the other one.
    pub fn has_own_layers(&self) -> bool {
        match *self {}
    }
}

fn absent() -> Error {
    Error::said(msg!("overlay: this roci was built without it"))
}

/// An error where one is asked for.
pub fn read_options(invocation: &Invocation, spec: &Spec<'static>, _: &'static CStr) -> Result<Option<Overlay>> {
    let options = OVERLAY_ANNOTATIONS.iter().zip(Opt::Overlay as u8..);
    for (name, option) in options {
        if invocation.value_at(option).is_some() || spec.annotation(name).is_some_and(|text| text.as_str() != "false") {
            return Err(absent());
        }
    }
    Ok(None)
}

/// See the other one.
pub fn prepare(overlay: &Overlay, _: &Container, _: &Spec<'static>, _: &mut [u8]) -> Result<()> {
    match *overlay {}
}

/// No container process asks for it.
pub fn note_fallback(_: &Container, _: u8) -> Result<()> {
    Ok(())
}

/// Nothing was made.
pub fn remove_made(_: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    Ok(())
}

/// The command that shows what has changed.
pub mod diff {
    use super::*;

    /// See the other one.
    pub fn diff(_: &Invocation) -> Result<()> {
        Err(absent())
    }
}

/// How they are mounted.
pub mod mount {
    use sys::OwnedFd;

    use super::*;
    use crate::proc::Proc;
    use crate::root::Root;
    use crate::sync::Socket;

    /// A root file system that is none.
    pub struct Mounted {
        /// The root.
        pub root: Root,
        /// Nothing.
        pub below: Option<OwnedFd>,
    }

    /// See the other one.
    pub fn open_directories(overlay: &Overlay, _: &Spec<'static>) -> Result<()> {
        match *overlay {}
    }

    /// See the other one.
    pub fn mount(overlay: &Overlay, _: OwnedFd, _: &Proc, _: &Socket, _: &mut [u8]) -> Result<Mounted> {
        match *overlay {}
    }
}
