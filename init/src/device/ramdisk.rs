//! Leaving the ramdisk that the kernel unpacks, which is a root that nothing can be mounted over for good: `pivot_root` does
//! not lead away from it. Its files are moved to a tmpfs, one by one, so that no more memory is needed than for the largest.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, chownat, mkdirat, mknodat, sendfile, statat, symlinkat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, chroot, umask};
use sys::Arguments;
use sys::directory::Names;
use sys::exec::execve_with_own_tail;
use sys::fd::{create_in, open, open_in, read};
use sys::file::read_link;
use sys::mount::mount;

use super::filesystems::MS_MOVE;
use super::say::complain;
use crate::message::words;
use crate::text::Text;

const NEW: &CStr = c"/new-root";
/// How deep directories are followed; what lies deeper stays behind.
const DEPTH_MAX: u32 = 64;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// Whether `/` is the file system that the kernel begins with.
pub fn is_root() -> bool {
    let Ok(file) = open(c"/proc/self/mountinfo", OFlags::RDONLY) else {
        return false;
    };
    let mut memory = [0; 512];
    let text = read(file.as_fd(), &mut memory).map_or(&b""[..], |text| text);
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_root = is_rootfs(line);
    file.close();
    is_root
}

/// Whether a line of mountinfo is that of the kernel's own file system at `/`.
fn is_rootfs(line: &[u8]) -> bool {
    let mut fields = line.split(|byte| *byte == b' ');
    let is_slash = fields.nth(4) == Some(b"/");
    // Behind the optional fields comes a dash, and then the type.
    is_slash && fields.any(|field| field == b"-") && fields.next() == Some(b"rootfs")
}

/// Leaves it, and begins anew from there. Comes back only where that fails, which is told.
pub fn leave(arguments: Arguments) {
    // It would be moved, too.
    let _ = unmount(c"/proc", UnmountFlags::DETACH);
    if let Err(errno) = try_leave() {
        complain(b"the ramdisk is not left", words(errno));
        super::filesystems::mount_early();
        return;
    }
    let path = arguments.get(0).unwrap_or(c"/init");
    let errno = execve_with_own_tail(path, arguments, 0, None);
    complain(path.to_bytes(), words(errno));
}

fn try_leave() -> Result<(), Errno> {
    let mask = umask(Mode::empty());
    mkdirat(CWD, NEW, Mode::from_raw_mode(0o755))?;
    mount(Some(c"tmpfs"), NEW, Some(c"tmpfs"), 0, Some(c"mode=755,size=95%"))?;
    let (from, to) = (open(c"/", DIRECTORY)?, open(NEW, DIRECTORY)?);
    move_all(from.as_fd(), to.as_fd(), 0);
    umask(mask);
    chdir(NEW)?;
    mount(Some(c"."), c"/", None, MS_MOVE, None)?;
    chroot(c".")?;
    chdir(c"/")?;
    from.close();
    to.close();
    Ok(())
}

/// Moves what is in a directory. What cannot be moved stays behind, which is told.
fn move_all(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) {
    let mut names = Names::of(from);
    while let Ok(Some(name)) = names.next() {
        // The file system that all of it goes to.
        if depth == 0 && name == c"new-root" {
            continue;
        }
        if let Err(errno) = move_one(from, to, name, depth) {
            complain(name.to_bytes(), words(errno));
        }
    }
}

fn move_one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Result<(), Errno> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let mut flags = AtFlags::empty();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            if depth >= DEPTH_MAX {
                return Err(Errno::NAMETOOLONG);
            }
            mkdirat(to, name, mode)?;
            let (inner, place) = (open_in(from, name, DIRECTORY)?, open_in(to, name, DIRECTORY)?);
            move_all(inner.as_fd(), place.as_fd(), depth + 1);
            inner.close();
            place.close();
            flags = AtFlags::REMOVEDIR;
        }
        FileType::RegularFile => move_file(from, to, name, mode)?,
        FileType::Symlink => {
            let mut memory = [0; 1024];
            let target = read_link(from, name, &mut memory)?;
            let mut text = Text::<1025>::new();
            text.push(target);
            symlinkat(text.as_c_str().ok_or(Errno::NAMETOOLONG)?, to, name)?;
        }
        kind => mknodat(to, name, kind, mode, stat.st_rdev)?,
    }
    own(to, name, &stat)?;
    unlinkat(from, name, flags)
}

fn move_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, mode: Mode) -> Result<(), Errno> {
    let file = open_in(from, name, OFlags::RDONLY)?;
    let copy = create_in(to, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, mode)?;
    let result = loop {
        match sendfile(&copy, &file, None, 1 << 20) {
            Ok(0) => break Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => break Err(errno),
        }
    };
    file.close();
    copy.close();
    result
}

/// What belongs to somebody else stays theirs.
fn own(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    if (stat.st_uid, stat.st_gid) == (0, 0) {
        return Ok(());
    }
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::is_rootfs;

    #[test]
    fn the_kernels_own_file_system_is_known() {
        assert!(is_rootfs(b"1 1 0:2 / / rw - rootfs rootfs rw,size=490252k"));
        assert!(is_rootfs(b"1 1 0:2 / / rw shared:1 - rootfs none rw"));
        assert!(!is_rootfs(b"23 1 0:21 / / rw,relatime - tmpfs tmpfs rw,mode=755"));
        assert!(!is_rootfs(b"23 1 0:21 / /proc rw - rootfs rootfs rw"));
        assert!(!is_rootfs(b""));
    }
}
