//! What is in a cgroup, and in those below it, which the container may have made.

use core::ffi::CStr;
use core::result::Result;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, OFlags, SeekFrom, seek, unlinkat};
use rustix::io::Errno;
use sys::directory::Names;
use sys::fd::open_in;

use super::DIRECTORY;

/// How deep a container may nest its own cgroups for us to follow.
pub(super) const DEPTH_MAX: usize = 16;

/// Calls `each` with every process in the cgroup and below it.
///
/// # Errors
/// The first one, once all that can be looked at was.
pub(super) fn processes_of(cgroup: BorrowedFd<'_>, each: &mut dyn FnMut(i32)) -> Result<(), Errno> {
    let mut outcome = Ok(());
    note(&mut outcome, members_of(cgroup, each));
    note(
        &mut outcome,
        below(cgroup, 0, &mut |_, _, child| members_of(child, each)),
    );
    outcome
}

/// Removes the cgroups below. Those that stay keep the one above busy, which is told.
pub(super) fn remove_below(cgroup: BorrowedFd<'_>) {
    let _ = below(cgroup, 0, &mut |parent, name, _| {
        unlinkat(parent, name, AtFlags::REMOVEDIR)
    });
}

/// What is done with a cgroup: with the one above it, its name there, and itself.
type Visit<'a> = &'a mut dyn FnMut(BorrowedFd<'_>, &CStr, BorrowedFd<'_>) -> Result<(), Errno>;

/// Visits every cgroup below, the deepest ones first.
fn below(cgroup: BorrowedFd<'_>, depth: usize, visit: Visit<'_>) -> Result<(), Errno> {
    let mut outcome = Ok(());
    if depth == DEPTH_MAX {
        return outcome;
    }
    // Somebody may have read it to its end before.
    seek(cgroup, SeekFrom::Start(0))?;
    let mut names = Names::of_directories(cgroup);
    while let Some(name) = names.next()? {
        let visited = open_in(cgroup, name, DIRECTORY).and_then(|child| {
            note(&mut outcome, below(child.as_fd(), depth + 1, visit));
            let visited = visit(cgroup, name, child.as_fd());
            child.close();
            visited
        });
        note(&mut outcome, visited);
    }
    outcome
}

/// The first error counts. A cgroup that has gone meanwhile has no processes, and those of a threaded one are in the list of
/// the one above it.
#[inline(never)]
fn note(outcome: &mut Result<(), Errno>, next: Result<(), Errno>) {
    if outcome.is_ok() && !matches!(next, Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP)) {
        *outcome = next;
    }
}

fn members_of(cgroup: BorrowedFd<'_>, each: &mut dyn FnMut(i32)) -> Result<(), Errno> {
    let file = open_in(cgroup, c"cgroup.procs", OFlags::RDONLY)?;
    let mut memory = [0; 4096];
    // A number may be cut where the memory ends.
    let mut pid = 0_i32;
    let outcome = loop {
        let n = match rustix::io::read(&file, &mut memory) {
            Ok(0) => break Ok(()),
            Ok(n) => n,
            Err(errno) => break Err(errno),
        };
        for byte in memory.iter().take(n) {
            if byte.is_ascii_digit() {
                pid = pid.wrapping_mul(10).wrapping_add((byte - b'0').into());
                continue;
            }
            // 0 is a process that has no number in our pid namespace.
            if pid > 0 {
                each(pid);
            }
            pid = 0;
        }
    };
    file.close();
    outcome
}
