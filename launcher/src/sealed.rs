//! Executables that containers can see but not write (CVE-2019-5736).
//!
//! A process in a container can open `/proc/PID/exe` of a roci process that is about to become the container's program,
//! keep it open, and write to it once roci has gone: the next caller runs the attacker's program on the host. So the
//! commands whose processes enter containers run from a view of the executable that nobody can write: a detached read-only
//! copy of its mount, which costs two system calls and no memory, or, before Linux 5.12, a sealed copy in memory.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    MemfdFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals, fstatvfs, memfd_create, sendfile,
};

use crate::error::{During, Result};
use crate::mounts::{clone_tree, make_read_only};
use crate::proc::Proc;

/// Goes on only in a process whose executable cannot be written, by starting this program again from one where it must.
pub fn ensure(proc: &Proc, arguments: sys::Arguments) -> Result<()> {
    let own = proc.own_executable().during("open /proc/self/exe")?;
    if is_protected(own.as_fd()) {
        return Ok(());
    }
    let sealed = protect(own)?;
    let errno = sys::exec::execve_fd_again(sealed.as_fd(), arguments);
    Err(crate::error::Error::new("execute the read-only copy of roci", errno))
}

/// Whether the file lies on a read-only mount, as on a router's squashfs, or is a sealed memory file.
fn is_protected(file: BorrowedFd<'_>) -> bool {
    fstatvfs(file).is_ok_and(|statvfs| statvfs.f_flag.contains(StatVfsMountFlags::RDONLY))
        || fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

/// A view of `file` that cannot be written.
pub fn seal(file: OwnedFd) -> Result<OwnedFd> {
    if is_protected(file.as_fd()) { Ok(file) } else { protect(file) }
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
    fcntl_add_seals(&copy, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
        .during("seal the copy of roci")?;
    Ok(copy)
}
