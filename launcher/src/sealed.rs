//! Executables that containers can see but not write (CVE-2019-5736).
//!
//! A process in a container can open `/proc/PID/exe` of a roci process that is about to become the container's program,
//! keep it open, and write to it once roci has gone: the next caller runs the attacker's program on the host. So the
//! commands whose processes enter containers run from a view of the executable that nobody can write: a detached read-only
//! copy of its mount, which costs two system calls and no memory, or, before Linux 5.12, a sealed copy in memory.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, MemfdFlags, OFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, sendfile};
use spec_core::limits::PATH_BYTES_MAX;
use sys::exec::execve_fd_with_own_environment;
use sys::fd::{memory_file, open_in};
use sys::file::read_link;
use sys::mount::set_attributes;
use sys::{FileSystem, OwnedFd};

use crate::error::{During, Error, Result};
use crate::hooks::ARGUMENTS;
use crate::mounts::{READ_ONLY, clone_tree};
use crate::path::Path;

use crate::msg;
use crate::proc::Proc;

/// `TMPFS_MAGIC` of `linux/magic.h`: what memory files are in.
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// Goes on only in a process whose executable cannot be written, by starting this program again from one where it must.
///
/// The first thing that a command does, while nobody else can have had a hand in what `/proc` is.
pub fn ensure(arguments: sys::Arguments) -> Result<()> {
    const OWN: &CStr = c"/proc/self/exe";
    // The usual case, and the whole of it in the protected copy.
    if FileSystem::at(OWN).is_ok_and(|found| found.is_read_only) {
        return Ok(());
    }
    let proc;
    let own = match open_in(CWD, OWN, OFlags::RDONLY) {
        Ok(own) => {
            proc = None;
            own
        }
        Err(_) => {
            let private = Proc::open()?;
            let own = private.own_executable().during(msg!("open /proc/self/exe"))?;
            proc = Some(private);
            own
        }
    };
    if is_protected(own.as_fd()) {
        return Ok(());
    }
    let sealed = protect(own)?;
    // A copy does not know where it came from: it is told by the name that it is called by (see init_program).
    let list = ARGUMENTS.take();
    let mut memory = [0; PATH_BYTES_MAX];
    let own_path = match &proc {
        Some(proc) => read_link(proc.as_fd(), c"self/exe", &mut memory),
        None => read_link(CWD, OWN, &mut memory),
    };
    let own_path = own_path.during(msg!("read /proc/self/exe"))?;
    let own_path = Path::new(own_path);
    let mut fits = list.push(own_path.leak()).is_ok();
    for index in 1..arguments.len() {
        fits &= arguments.get(index).is_some_and(|word| list.push(word).is_ok());
    }
    if !fits {
        return Err(Error::said(msg!("more than 8192 arguments (TEXTS_MAX)")));
    }
    let errno = execve_fd_with_own_environment(sealed.as_fd(), list, arguments);
    Err(Error::new(msg!("execute the read-only copy of roci"), errno))
}

/// Whether the file lies on a read-only mount, as on a router's squashfs, or is a sealed memory file.
fn is_protected(file: BorrowedFd<'_>) -> bool {
    FileSystem::of(file).is_ok_and(|found| {
        found.is_read_only
            || found.magic == TMPFS_MAGIC && fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
    })
}

/// A view of `file` that cannot be written.
pub fn seal(file: OwnedFd) -> Result<OwnedFd> {
    if is_protected(file.as_fd()) {
        Ok(file)
    } else {
        protect(file)
    }
}

fn protect(file: OwnedFd) -> Result<OwnedFd> {
    // Before Linux 5.12 a mount that is not attached cannot be changed.
    if let Ok(tree) = clone_tree(file.as_fd(), false)
        && set_attributes(tree.as_fd(), false, &READ_ONLY).is_ok()
    {
        return Ok(tree);
    }
    let copy = memory_file(c"roci", MemfdFlags::ALLOW_SEALING).during(msg!("make a copy of roci"))?;
    while sendfile(&copy, &file, None, 1 << 20).during(msg!("copy roci"))? > 0 {}
    fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )
    .during(msg!("seal the copy of roci"))?;
    Ok(copy)
}
