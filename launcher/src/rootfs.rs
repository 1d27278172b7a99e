//! The root file system: made a mount of its own, entered, and closed off.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, chroot, fchdir, pivot_root};
use spec_core::Spec;
use spec_core::linux::NamespaceKind;
use spec_core::mounts::{MS_BIND, MS_PRIVATE, MS_RDONLY, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use sys::fd::{is_device, kind, open, open_in, read};
use sys::file::{current_directory, is_missing, leave_open};
use sys::mount::{attach, mount as mount_call};
use sys::namespace::enter as enter_namespace;
use sys::{FileSystem, OwnedFd};

use crate::error::{During, Error, NO_INDEX, Result, within};
use crate::mounts::{self, clone_tree, make_read_only};
use crate::msg;
use crate::path::{Path, split_last, without_slashes};
use crate::proc::Proc;
use crate::root::{Links, Root};

const MS_UNBINDABLE_REC: u32 = MS_UNBINDABLE | MS_REC;
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// Parts this mount namespace from the host's. The working directory, which is returned, is where the root is to be.
pub fn part(spec: &Spec<'static>) -> Result<OwnedFd> {
    let here = open(c".", DIRECTORY).during(msg!("open root"))?;
    if spec.linux.namespace(NamespaceKind::Mount).is_none() {
        // The mounts are the host's; the root is only changed.
        return Ok(here);
    }
    let propagation = match spec.linux.rootfs_propagation {
        // What cannot be bound could not become the container's root; that comes at the end.
        None | Some(MS_UNBINDABLE) | Some(MS_UNBINDABLE_REC) => MS_SLAVE,
        Some(propagation) => propagation,
    };
    // Slave and not private: a bind mount with `rslave` is to see what the host mounts later. Nothing goes back to the host.
    mount_call(None, c"/", None, propagation | MS_REC, None).during(msg!("change propagation of /"))?;
    if propagation & MS_SHARED != 0 {
        make_parent_private()?;
    }
    Ok(here)
}

/// Makes the root file system a mount, which `pivot_root` asks for.
///
/// The working directory must be the root file system.
pub fn prepare(spec: &Spec<'static>, here: OwnedFd) -> Result<Root> {
    if spec.linux.namespace(NamespaceKind::Mount).is_none() {
        return Ok(Root::new(here));
    }
    match clone_tree(here.as_fd(), true) {
        Ok(tree) => {
            attach(tree.as_fd(), here.as_fd()).during(msg!("bind root"))?;
            fchdir(&tree).during(msg!("enter root"))?;
            leave_open(here);
            Ok(Root::new(tree))
        }
        Err(errno) if is_missing(errno) => {
            mount_call(Some(c"."), c".", None, MS_BIND | MS_REC, None).during(msg!("bind root"))?;
            open_covered().map(Root::new)
        }
        Err(errno) => Err(Error::new(msg!("open root tree"), errno)),
    }
}

/// Enters what was just mounted on the working directory, which lies below it: by name.
pub fn open_covered() -> Result<OwnedFd> {
    let mut memory = [0; spec_core::limits::PATH_BYTES_MAX];
    let cwd = current_directory(&mut memory).during(msg!("find root"))?;
    chdir(cwd).during(msg!("enter root"))?;
    open(c".", DIRECTORY).during(msg!("open root"))
}

/// `pivot_root` refuses a root whose parent mount is shared. The parent is the mount that holds the working directory.
fn make_parent_private() -> Result<()> {
    let mut memory = [0; spec_core::limits::PATH_BYTES_MAX];
    let mut path = current_directory(&mut memory).during(msg!("find root"))?.to_bytes();
    loop {
        let prefix = Path::new(if path.is_empty() { b"/" } else { path });
        match mount_call(None, prefix.as_c_str(), None, MS_PRIVATE, None) {
            Ok(()) => return Ok(()),
            // Not a mount point: the parent mount begins further up.
            Err(Errno::INVAL) if !path.is_empty() => {
                path = without_slashes(split_last(path).0);
            }
            Err(errno) => return Err(Error::new(msg!("make root's mount private"), errno)),
        }
    }
}

/// Makes the root file system `/`, and lets go of everything else. What lies directly `below` the root stays with it.
pub fn enter(spec: &Spec<'static>, root: &Root, below: Option<&OwnedFd>, proc: &Proc) -> Result<()> {
    let lowest = below.map_or(root.as_fd(), AsFd::as_fd);
    fchdir(lowest).during(msg!("enter root"))?;
    if spec.linux.namespace(NamespaceKind::Mount).is_none() {
        return chroot(c".").during(msg!("chroot"));
    }
    let shared = spec
        .linux
        .rootfs_propagation
        .is_some_and(|flags| flags & MS_SHARED != 0);
    let old = shared
        .then(|| open(c"/", DIRECTORY))
        .transpose()
        .during(msg!("open old root"))?;
    match pivot_root(c".", c".") {
        Ok(()) => {}
        Err(Errno::INVAL) if root_is_ramdisk() => leave_ramdisk(lowest, proc, shared)?,
        Err(errno) => return Err(Error::new(msg!("pivot_root"), errno)),
    }
    if let Some(old) = old {
        // What is unmounted must not be unmounted on the host too.
        fchdir(&old).during(msg!("enter old root"))?;
        mount_call(None, c".", None, MS_SLAVE | MS_REC, None).during(msg!("change propagation of the old root"))?;
    }
    // Both roots are stacked on `/`, and the old one is the upper: that is what `.` names here (pivot_root(2), NOTES).
    unmount(c".", UnmountFlags::DETACH).during(msg!("unmount old root"))?;
    if below.is_some() {
        enter_topmost(proc)?;
    }
    if let Some(propagation) = spec.linux.rootfs_propagation {
        mount_call(None, c"/", None, propagation, None).during(msg!("change propagation of the root"))?;
    }
    chdir(c"/").during(msg!("enter /"))
}

/// Makes the uppermost of the mounts that are stacked on `/` the root of this process, as it is that of who joins the mount
/// namespace later.
pub fn enter_topmost(proc: &Proc) -> Result<()> {
    open_in(proc.as_fd(), c"self/ns/mnt", OFlags::RDONLY)
        .and_then(|own| enter_namespace(own.as_fd(), NamespaceKind::Mount as u32))
        .during(msg!("enter root"))
}

/// Whether `/` is the file system that the kernel unpacked its initramfs into, which cannot be pivoted away from.
fn root_is_ramdisk() -> bool {
    const RAMFS_MAGIC: u32 = 0x8584_58f6;
    const TMPFS_MAGIC: u32 = 0x0102_1994;
    FileSystem::at(c"/").is_ok_and(|found| matches!(found.magic, RAMFS_MAGIC | TMPFS_MAGIC))
}

/// The kernel's first root has no parent mount, so `pivot_root` gives EINVAL; moving the container's root over `/` and
/// `chroot` alone would leave the old tree below it, full /proc and /sys included, from where a process with
/// CAP_SYS_CHROOT climbs out.
///
/// So a copy of the bare root mount is put on top of `/`: that one has a parent. The container's root, with all that is
/// mounted in it, is copied on top of that, and pivoted to as usual. Everything that was mounted below is detached in this
/// mount namespace, so that under the container there is only the bare ramdisk, which no path leads to.
///
/// Mounts that are `shared` must not take those of the host along, and nothing can be pivoted below them.
fn leave_ramdisk(root: BorrowedFd<'_>, proc: &Proc, shared: bool) -> Result<()> {
    let moved = clone_tree(root, true).during(msg!("copy container root"))?;
    if shared {
        mount_call(None, c"/", None, MS_SLAVE | MS_REC, None).during(msg!("change propagation of the old root"))?;
    }
    let slash = open(c"/", DIRECTORY).during(msg!("open /"))?;
    let bare = clone_tree(slash.as_fd(), false).during(msg!("copy ramdisk root"))?;
    detach_everything(proc)?;
    attach(bare.as_fd(), slash.as_fd()).during(msg!("cover ramdisk root"))?;
    fchdir(&bare).during(msg!("enter copied root"))?;
    chroot(c".").during(msg!("chroot into copied root"))?;
    attach(moved.as_fd(), bare.as_fd()).during(msg!("mount container root"))?;
    fchdir(&moved).during(msg!("enter container root"))?;
    pivot_root(c".", c".").during(msg!("pivot_root from the copied root"))
}

/// Detaches every mount of this mount namespace but the root.
fn detach_everything(proc: &Proc) -> Result<()> {
    let mut memory = [0; 16 * 1024];
    loop {
        let file = open_in(proc.as_fd(), c"self/mountinfo", OFlags::RDONLY).during(msg!("open mountinfo"))?;
        let lines = read(file.as_fd(), &mut memory).during(msg!("read mountinfo"))?;
        let mut detached = false;
        // The fifth word of a line is the mount point; what lies below a detached mount goes with it.
        for line in lines.split(|&byte| byte == b'\n') {
            let Some(point) = line.split(|&byte| byte == b' ').nth(4) else {
                continue;
            };
            let point = Path::new(point);
            if point.as_c_str() != c"/" && unmount(point.as_c_str(), UnmountFlags::DETACH).is_ok() {
                detached = true;
            }
        }
        if !detached {
            return Ok(());
        }
    }
}

/// Protects and masks paths, and the root itself. Still before the pivot, while the host's `/dev/null` is in reach.
pub fn protect(spec: &Spec<'static>, root: &Root) -> Result<()> {
    for (index, path) in spec.list(spec.linux.readonly_paths).iter().enumerate() {
        within(msg!("linux.readonlyPaths"), index, path.as_str(), || {
            protect_path(root, path.as_c_str())
        })?;
    }
    let mut masks = Masks {
        null: None,
        empty: None,
    };
    for (index, path) in spec.list(spec.linux.masked_paths).iter().enumerate() {
        within(msg!("linux.maskedPaths"), index, path.as_str(), || {
            masks.cover(root, path.as_c_str())
        })?;
    }
    masks.null.into_iter().chain(masks.empty).for_each(leave_open);
    if spec.root.is_some_and(|root| root.readonly) {
        within(msg!("root.readonly"), NO_INDEX, "", || {
            make_read_only(root.as_fd(), false)
        })?;
    }
    Ok(())
}

fn open_or_absent(root: &Root, path: &CStr) -> Result<Option<OwnedFd>> {
    match root.open(path, OFlags::PATH, Links::Follow) {
        Ok(fd) => Ok(Some(fd)),
        // A path that this kernel does not have needs no protection.
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::new(msg!("open"), errno)),
    }
}

fn protect_path(root: &Root, path: &CStr) -> Result<()> {
    let Some(target) = open_or_absent(root, path)? else {
        return Ok(());
    };
    match clone_tree(target.as_fd(), true) {
        Ok(tree) => {
            mounts::attach_read_only(tree.as_fd(), target.as_fd(), true)?;
            leave_open(tree);
            leave_open(target);
            Ok(())
        }
        Err(errno) if is_missing(errno) => {
            let name = mounts::fd_path(target.as_fd());
            mount_call(Some(name.as_c_str()), name.as_c_str(), None, MS_BIND | MS_REC, None).during(msg!("bind"))?;
            leave_open(target);
            let Some(mounted) = open_or_absent(root, path)? else {
                return Ok(());
            };
            make_read_only(mounted.as_fd(), false)?;
            leave_open(mounted);
            Ok(())
        }
        Err(errno) => Err(Error::new(msg!("open tree"), errno)),
    }
}

/// What paths are masked with.
struct Masks {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Masks {
    /// Directories are covered by one empty read-only tmpfs, a copy of its mount for each; files by the host's
    /// `/dev/null`, verified, never by the container's, which may be a link by now (CVE-2025-31133).
    fn cover(&mut self, root: &Root, path: &CStr) -> Result<()> {
        let Some(target) = open_or_absent(root, path)? else {
            return Ok(());
        };
        let kind = kind(target.as_fd()).during(msg!("stat"))?;
        if kind != FileType::Directory {
            let null = match self.null.take() {
                Some(null) => null,
                None => open_null()?,
            };
            mounts::bind_fd(null.as_fd(), target.as_fd()).during(msg!("mask file"))?;
            self.null = Some(null);
            leave_open(target);
            return Ok(());
        }
        if let Some(first) = &self.empty {
            match clone_tree(first.as_fd(), false) {
                Ok(copy) => {
                    attach(copy.as_fd(), target.as_fd()).during(msg!("mask directory"))?;
                    leave_open(copy);
                    leave_open(target);
                    return Ok(());
                }
                // Without open_tree each directory gets a tmpfs of its own.
                Err(errno) if is_missing(errno) => {}
                Err(errno) => return Err(Error::new(msg!("mask directory"), errno)),
            }
        }
        fchdir(&target).during(msg!("enter directory"))?;
        leave_open(target);
        // One block and one inode are enough for nothing; kernels that count the root differently get the defaults.
        let mount = |data| mount_call(Some(c"tmpfs"), c".", Some(c"tmpfs"), MS_RDONLY, data);
        mount(Some(c"nr_blocks=1,nr_inodes=1"))
            .or_else(|_| mount(None))
            .during(msg!("mask directory"))?;
        let mounted = root.open(path, OFlags::PATH, Links::Follow).ok();
        core::mem::replace(&mut self.empty, mounted)
            .into_iter()
            .for_each(leave_open);
        Ok(())
    }
}

/// The host's `/dev/null`.
fn open_null() -> Result<OwnedFd> {
    let null = open(c"/dev/null", OFlags::PATH | OFlags::NOFOLLOW).during(msg!("open /dev/null"))?;
    if is_device(null.as_fd(), FileType::CharacterDevice, 1, 3).during(msg!("stat /dev/null"))? {
        Ok(null)
    } else {
        Err(Error::said(msg!("/dev/null of the host is not the null device")))
    }
}
