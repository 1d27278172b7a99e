//! `NOTIFY_SOCKET`: where a service says that it is ready (sd_notify(3)).
//!
//! The service manager's own socket is mounted into the container, so that everything that the program says arrives there,
//! and nobody has to stay behind to pass it on.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;
use spec_core::Spec;
use sys::OwnedFd;
use sys::fd::clone_tree;
use sys::mount::attach;

use crate::error::{During, Result};
use crate::msg;
use crate::path::without_slashes;
use crate::report;
use crate::root::{Links, Root};

/// Where the socket is in the container, as with runc.
const PATH: &CStr = c"/run/notify/notify.sock";
/// What tells the program.
pub const VARIABLE: &CStr = c"NOTIFY_SOCKET=/run/notify/notify.sock";

/// A copy of the socket's mount, where the service manager gave one to roci and the configuration puts nothing in its place.
pub fn open(spec: &Spec<'static>, arguments: sys::Arguments) -> Option<OwnedFd> {
    let path = arguments.variable("NOTIFY_SOCKET")?;
    // One with an "@" has no file, and is that of another network namespace.
    if !path.to_bytes().starts_with(b"/")
        || spec.mounts.iter().any(|mount| {
            let destination = without_slashes(mount.destination.as_str().as_bytes());
            destination.starts_with(b"/run/notify") && PATH.to_bytes().starts_with(destination)
        })
    {
        return None;
    }
    match clone_tree(CWD, path, OpenTreeFlags::empty()) {
        Ok(tree) => Some(tree),
        Err(errno) => {
            report::warn(msg!("NOTIFY_SOCKET is not passed on: #"), crate::errno::text(errno));
            None
        }
    }
}

/// Puts it in its place.
pub fn mount(root: &Root, socket: BorrowedFd<'_>) -> Result<()> {
    let target = root
        .make_file(PATH, Links::Follow)
        .during(msg!("make mount point of NOTIFY_SOCKET"))?;
    attach(socket, target.as_fd()).during(msg!("mount NOTIFY_SOCKET"))
}
