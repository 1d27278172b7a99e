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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Directory;

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn every_cgroup_on_the_way_hands_down_what_it_has() {
        let directory = Directory::new("controllers");
        for (place, controllers) in [
            ("", "cpu memory pids\n"),
            ("a/", "cpu\n"),
            ("a/b/", "cpu\n"),
            ("ab/", "cpu\n"),
        ] {
            directory.write(&std::format!("{place}cgroup.controllers"), controllers);
            directory.write(&std::format!("{place}cgroup.subtree_control"), "");
        }
        let control = |place: &str| directory.read(&std::format!("{place}cgroup.subtree_control"));
        enable_controllers(directory.open().as_fd(), c"a/b");
        // In one call each, which a file that is none of the kernel's puts one behind the other.
        assert_eq!([control(""), control("a/")], ["+cpu+memory+pids", "+cpu"]);
        // The container's own is its own matter.
        assert_eq!([control("a/b/"), control("ab/")], ["", ""]);
    }
}
