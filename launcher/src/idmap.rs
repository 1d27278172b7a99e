//! Id mappings: written for a process, or as a user namespace of their own for an id-mapped mount.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use spec_core::linux::IdMapping;
use sys::OwnedFd;
use sys::exec::execve;
use sys::fd::{open_in, pipe, read};
use sys::file::replace_standard_stream;
use sys::process::{SpawnOptions, Spawned, exit, spawn, wait};
use sys::signal::{SignalSet, set_blocked};

use crate::container::Document;
use crate::error::{During, Error, Result};
use crate::hooks::{ARGUMENTS, ENVIRONMENT};
use crate::msg;
use crate::path::Path;
use crate::proc::Proc;
use crate::text::{Digits, Pieces, utf8};
use crate::undo;

/// 340 lines of three numbers of up to ten digits.
const MAP_BYTES_MAX: usize = 340 * 33;

/// Writes the maps of the process `pid`, which waits in its new user namespace.
///
/// Who is not root outside may map one id, its own. For others there are two programs of the host that may do more, and look
/// in /etc/subuid and /etc/subgid whether they shall (newuidmap(1)).
pub fn write_maps(proc: &Proc, pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    if !uid.is_root() {
        if !is_own_alone(uids, uid.as_raw()) || !is_own_alone(gids, gid.as_raw()) {
            run(c"newgidmap", pid, gids)?;
            return run(c"newuidmap", pid, uids);
        }
        // Without CAP_SETGID outside, the kernel takes a gid map only once setgroups is forbidden (user_namespaces(7)).
        let path = Path::of_process(pid, "setgroups");
        match proc.write(path.as_c_str(), b"deny") {
            // Before 3.19 there is no such file and no such rule.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::new(msg!("write setgroups"), errno)),
        }
    }
    write_map(proc, pid, "gid_map", gids).during(msg!("set id mapping gid_map"))?;
    write_map(proc, pid, "uid_map", uids).during(msg!("set id mapping uid_map"))
}

/// Whether nothing but the id `own` of the host is mapped.
fn is_own_alone(mappings: &[IdMapping], own: u32) -> bool {
    mappings.len() <= 1
        && mappings
            .iter()
            .all(|mapping| mapping.size == 1 && mapping.host_id == own)
}

/// Runs one of the two programs. What it has to say goes into the error.
fn run(program: &'static CStr, pid: i32, mappings: &[IdMapping]) -> Result<()> {
    let name = utf8(program.to_bytes());
    let (output, output_end) = pipe().during(msg!("make pipe"))?;
    let child = match spawn(&SpawnOptions::default()).during(msg!("clone for id mapping"))? {
        Spawned::Child => execute(program, pid, mappings, output_end.as_fd()),
        Spawned::Parent(child) => child,
    };
    match wait(child.pid).during(msg!("wait for id mapping"))?.exit_status() {
        Some(0) => Ok(()),
        Some(NOT_FOUND) => Err(Error::says(
            msg!("set id mapping: for more than one's own id # is needed, which is not there"),
            name,
        )),
        _ => {
            // A line or two, which the pipe has held.
            let mut memory = [0; 256];
            let said = read(output.as_fd(), &mut memory).unwrap_or_default();
            let said = utf8(said.trim_ascii());
            Err(Error::says(msg!("set id mapping: #"), said))
        }
    }
}

/// The exit status of who found no program, as shells have it.
const NOT_FOUND: i32 = 127;

fn execute(program: &CStr, pid: i32, mappings: &[IdMapping], output: BorrowedFd<'_>) -> ! {
    let _ = set_blocked(SignalSet::default());
    let _ = replace_standard_stream(output, 1);
    let _ = replace_standard_stream(output, 2);
    let arguments = ARGUMENTS.take();
    let _ = arguments.push(Path::new(program.to_bytes()).leak());
    let mut push = |number: u32| {
        let _ = arguments.push(Path::new(Digits::of(number.into()).as_bytes()).leak());
    };
    push(pid as u32);
    for mapping in mappings {
        push(mapping.container_id);
        push(mapping.host_id);
        push(mapping.size);
    }
    let environment = ENVIRONMENT.take();
    for directory in [
        &b"/usr/bin/"[..],
        b"/bin/",
        b"/usr/sbin/",
        b"/sbin/",
        b"/usr/local/bin/",
    ] {
        let path = Path::of(&[directory, program.to_bytes()]);
        let _ = execve(path.as_c_str(), arguments, environment);
    }
    exit(NOT_FOUND as u8)
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
    let child = match spawn(&options).during(msg!("clone for idmap"))? {
        Spawned::Child => {
            // It is only there to hold the namespace until the parent has it open, and then is killed.
            loop {
                let _ = sys::signal::wait_for(sys::signal::SignalSet::default());
            }
        }
        Spawned::Parent(child) => child,
    };
    // An error ends roci where it comes up, and must not leave this process behind.
    undo::note_process(child.pid, true);
    write_maps(proc, child.pid, uids, gids)?;
    // A namespace file is a magic link, of a process that is ours alone.
    let path = Path::of_process(child.pid, "ns/user");
    let namespace = open_in(proc.as_fd(), path.as_c_str(), OFlags::RDONLY).during(msg!("open user namespace"))?;
    undo::end_process();
    Ok(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What user_namespaces(7) lets a plain user write: one line, about the user's own id.
    #[test]
    fn a_plain_user_maps_nothing_but_the_own_id() {
        let mapping = |host_id, size| IdMapping {
            container_id: 0,
            host_id,
            size,
        };
        assert!(is_own_alone(&[], 1000));
        assert!(is_own_alone(&[mapping(1000, 1)], 1000));
        assert!(!is_own_alone(&[mapping(1001, 1)], 1000));
        assert!(!is_own_alone(&[mapping(1000, 2)], 1000));
        assert!(!is_own_alone(&[mapping(1000, 1), mapping(1000, 1)], 1000));
    }
}
