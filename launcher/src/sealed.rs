//! Executables that containers can see but not write (CVE-2019-5736).
//!
//! A process in a container can open `/proc/PID/exe` of a roci process that is about to become the container's program,
//! keep it open, and write to it once roci has gone: the next caller runs the attacker's program on the host. So the
//! commands whose processes enter containers run from a view of the executable that nobody can write: a detached read-only
//! copy of its mount, which costs two system calls and no memory, or, before Linux 5.12, a sealed copy in memory.

use core::mem::MaybeUninit;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    MemfdFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals, fstatvfs, memfd_create, readlinkat_raw,
    sendfile,
};
use spec_core::limits::PATH_BYTES_MAX;
use sys::exec::execve_fd_with_own_environment;

use crate::error::{During, Error, Result};
use crate::hooks::ARGUMENTS;
use crate::mounts::{clone_tree, make_read_only};
use crate::path::Path;
use crate::proc::Proc;

/// Goes on only in a process whose executable cannot be written, by starting this program again from one where it must.
pub fn ensure(proc: &Proc, arguments: sys::Arguments) -> Result<()> {
    let own = proc.own_executable().during("open /proc/self/exe")?;
    if is_protected(own.as_fd()) {
        return Ok(());
    }
    let sealed = protect(own)?;
    // A copy does not know where it came from: it is told by the name that it is called by (see init_program).
    let list = ARGUMENTS.take();
    let mut memory = [MaybeUninit::uninit(); PATH_BYTES_MAX];
    let (own_path, _) = readlinkat_raw(proc.as_fd(), c"self/exe", &mut memory).during("read /proc/self/exe")?;
    let own_path = Path::join(&[own_path]).during("read /proc/self/exe")?;
    let mut fits = list.push(own_path.leak()).is_ok();
    for index in 1..arguments.len() {
        fits &= arguments.get(index).is_some_and(|word| list.push(word).is_ok());
    }
    if !fits {
        return Err(Error::said("more than 8192 arguments (TEXTS_MAX)"));
    }
    let errno = execve_fd_with_own_environment(sealed.as_fd(), list, arguments);
    Err(Error::new("execute the read-only copy of roci", errno))
}

/// Whether the file lies on a read-only mount, as on a router's squashfs, or is a sealed memory file.
fn is_protected(file: BorrowedFd<'_>) -> bool {
    fstatvfs(file).is_ok_and(|statvfs| statvfs.f_flag.contains(StatVfsMountFlags::RDONLY))
        || fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
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
    if let Ok(tree) = clone_tree(file.as_fd(), false)
        && make_read_only(tree.as_fd(), false).is_ok()
        && is_protected(tree.as_fd())
    {
        return Ok(tree);
    }
    let copy = memfd_create(c"roci", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).during("make a copy of roci")?;
    while sendfile(&copy, &file, None, 1 << 20).during("copy roci")? > 0 {}
    fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )
    .during("seal the copy of roci")?;
    Ok(copy)
}
