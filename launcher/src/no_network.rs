//! Networks where this executable was built without them. What moves the devices that a configuration names is there.

use core::ffi::CStr;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use spec_core::Spec;

use crate::container::Container;
use crate::error::{Error, Result};
use crate::msg;
use crate::proc::Proc;
use crate::root::Root;
use settings::Settings;

#[cfg(feature = "net-devices")]
#[path = "net/address.rs"]
pub mod address;
#[cfg(feature = "net-devices")]
#[path = "net/devices.rs"]
pub mod devices;
#[cfg(not(feature = "net-devices"))]
#[path = "no_net_devices.rs"]
pub mod devices;
#[cfg(feature = "net-devices")]
#[path = "net/link.rs"]
pub mod link;
#[cfg(feature = "net-devices")]
#[path = "net/netlink.rs"]
pub mod netlink;
#[cfg(feature = "net-devices")]
#[path = "net/request.rs"]
pub mod request;

/// No row of `check` asks for it.
pub fn knows_kind(_: &str) -> bool {
    false
}

/// A network that nobody can be in.
pub enum Network {}

impl Network {
    /// See the other one.
    pub fn mount_files(&self, _: &Root) -> Result<()> {
        match *self {}
    }

    /// See the other one.
    #[cfg(feature = "net-devices")]
    pub fn connect(&self, _: i32, _: &netlink::Socket) -> Result<()> {
        match *self {}
    }
}

fn absent() -> Error {
    Error::said(msg!("network: this roci was built without it"))
}

/// See the other one.
pub fn prepare(
    settings: Settings,
    _: &Spec<'static>,
    _: BorrowedFd<'_>,
    _: &Container,
    _: &Proc,
) -> Result<Option<Network>> {
    match settings {}
}

/// Nothing was made.
pub fn release(_: BorrowedFd<'_>, _: BorrowedFd<'_>, _: &CStr) -> core::result::Result<(), Errno> {
    Ok(())
}

/// What is asked for.
pub mod settings {
    use spec_core::spec::NETWORK_ANNOTATIONS;

    use super::*;
    use crate::cli::{Invocation, Opt};

    /// The network of a container, which has none.
    pub enum Settings {}

    /// An error where one is asked for.
    pub fn read(invocation: &Invocation, spec: &mut Spec<'static>) -> Result<Option<Settings>> {
        let options = [Opt::Network, Opt::Subnet, Opt::Ip, Opt::Publish, Opt::IpForward];
        if options.iter().any(|option| invocation.value(*option).is_some())
            || NETWORK_ANNOTATIONS.iter().any(|name| spec.annotation(name).is_some())
        {
            return Err(absent());
        }
        Ok(None)
    }
}

/// The command that shows them.
pub mod command {
    use super::*;
    use crate::cli::Invocation;

    /// See the other one.
    pub fn network(_: &Invocation) -> Result<()> {
        Err(absent())
    }
}

/// The packet filter.
pub mod nat {
    /// Whether it can be used.
    pub fn is_there() -> bool {
        false
    }
}
