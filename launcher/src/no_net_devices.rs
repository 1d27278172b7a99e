//! `linux.netDevices` where this executable was built without them.

use spec_core::Spec;
use sys::OwnedFd;

use super::Network;
use crate::error::{Error, Result};
use crate::msg;
use crate::sync::Socket;

fn absent() -> Error {
    Error::said(msg!("linux.netDevices: this roci was built without it"))
}

/// An error where one is asked for.
pub fn check(spec: &Spec<'static>) -> Result<()> {
    if spec.linux.net_devices.is_empty() {
        Ok(())
    } else {
        Err(absent())
    }
}

/// There are none, and no network either.
pub fn ask(_: &Spec<'static>, _: Option<&Network>, _: &Socket) -> Result<()> {
    Ok(())
}

/// For who has asked.
pub fn serve(_: &Spec<'static>, _: Option<&Network>, _: i32, _: OwnedFd) -> Result<()> {
    Err(absent())
}
