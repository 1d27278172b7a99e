//! Which controllers cgroups of version 2 have.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::OFlags;
use sys::fd::read;

use crate::path::Path;

/// Hands every controller down to the cgroup `path`, from the top.
///
/// What cannot be handed on (a cgroup on the way has processes of its own, or is delegated without it) is missing below,
/// and is an error for who asks for a limit of it.
pub fn enable_controllers(top: BorrowedFd<'_>, path: &CStr) {
    let bytes = path.to_bytes();
    for end in 0..bytes.len() {
        let slash: &[u8] = match (end, bytes.get(end)) {
            (0, _) => b"",
            (_, Some(b'/')) => b"/",
            _ => continue,
        };
        let above = bytes.get(..end).unwrap_or_default();
        let file = |name: &[u8], flags| Path::of(&[above, slash, name]).open(top, flags);
        let mut memory = [0; 256];
        let available = file(b"cgroup.controllers", OFlags::RDONLY);
        let Ok(available) = available else { continue };
        let names = read(available.as_fd(), &mut memory);
        available.close();
        let Ok(names) = names else { continue };
        let Ok(control) = file(b"cgroup.subtree_control", OFlags::WRONLY) else {
            continue;
        };
        for name in names.trim_ascii().split(|byte| *byte == b' ') {
            // One at a time: of several, one that is refused takes the others with it.
            let _ = rustix::io::write(&control, Path::of(&[b"+", name]).as_bytes());
        }
        control.close();
    }
}
