//! Id mappings: written for a process, or as a user namespace of their own for an id-mapped mount.

use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{WaitOptions, waitpid};
use spec_core::linux::IdMapping;
use sys::process::{SpawnOptions, Spawned, spawn};

use crate::container::Document;
use crate::error::{During, Result};
use crate::path::Path;
use crate::proc::Proc;
use crate::text::Pieces;

/// 340 lines of three numbers of up to ten digits.
const MAP_BYTES_MAX: usize = 340 * 33;

/// Writes the maps of the process `pid`, which waits in its new user namespace.
pub fn write_maps(proc: &Proc, pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        // Without CAP_SETGID outside, the kernel takes a gid map only once setgroups is forbidden (user_namespaces(7)).
        let path = Path::of_process(pid, "setgroups");
        match proc.write(path.as_c_str(), b"deny") {
            // Before 3.19 there is no such file and no such rule.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(crate::error::Error::new("write setgroups", errno)),
        }
    }
    write_map(proc, pid, "gid_map", gids).during("set id mapping gid_map")?;
    write_map(proc, pid, "uid_map", uids).during("set id mapping uid_map")
}

fn write_map(proc: &Proc, pid: i32, file: &str, mappings: &[IdMapping]) -> core::result::Result<(), Errno> {
    let mut memory = [0; MAP_BYTES_MAX];
    let mut text = Document::new(&mut memory);
    for mapping in mappings {
        // The limit on extents, checked with the configuration, makes this fit.
        text.number(mapping.container_id.into()).str(" ");
        text.number(mapping.host_id.into()).str(" ");
        text.number(mapping.size.into()).str("\n");
    }
    if mappings.is_empty() {
        return Ok(());
    }
    let path = Path::of_process(pid, file);
    proc.write(path.as_c_str(), text.as_bytes())
}

/// Makes a user namespace with these maps that nobody is in.
pub fn make_user_namespace(uids: &[IdMapping], gids: &[IdMapping], proc: &Proc) -> Result<OwnedFd> {
    const CLONE_NEWUSER: u32 = 0x1000_0000;
    let options = SpawnOptions {
        namespaces: CLONE_NEWUSER,
        ..SpawnOptions::default()
    };
    let child = match spawn(&options).during("clone for idmap")? {
        Spawned::Child => {
            // It is only there to hold the namespace until the parent has it open, and then is killed.
            loop {
                let _ = sys::signal::wait_for(sys::signal::SignalSet::default());
            }
        }
        Spawned::Parent(child) => child,
    };
    let result = write_maps(proc, child.pid, uids, gids).and_then(|()| {
        let path = Path::of_process(child.pid, "ns/user");
        // A namespace file is a magic link, of a process that is ours alone.
        rustix::fs::openat(
            proc.as_fd(),
            path.as_c_str(),
            OFlags::RDONLY | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )
        .during("open user namespace")
    });
    let _ = sys::signal::send(child.pid, sys::signal::SIGKILL);
    let _ = waitpid(rustix::process::Pid::from_raw(child.pid), WaitOptions::empty());
    result
}
