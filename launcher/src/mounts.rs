//! `mounts[]`, in the listed order, each onto a descriptor of its destination.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::process::fchdir;
use spec_core::mounts::{
    Idmap, MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RELATIME, MOUNT_ATTR_STRICTATIME, MS_BIND,
    MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC, MS_NOSUID, MS_NOSYMFOLLOW, MS_RDONLY, MS_REC, MS_RELATIME,
    MS_REMOUNT, MS_STRICTATIME, Mount,
};
use spec_core::{Spec, Text};
use sys::fd::{kind, open};
use sys::file::{is_missing, leave_open};
use sys::mount::{MountAttributes, attach, mount as mount_call, set_attributes};
use sys::{FileSystem, OwnedFd};

use crate::cgroup::mount::mount_cgroup;
use crate::error::{During, Error, Result, within};
use crate::idmap;
use crate::msg;
use crate::path::{Path, components, without_slashes};
use crate::proc::{PROC_MAGIC, Proc};
use crate::root::{Links, Root};
use crate::text::{parts, utf8};
use crate::tmpcopyup;

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// The change that makes a mount read-only.
pub const READ_ONLY: MountAttributes = MountAttributes {
    set: MOUNT_ATTR_RDONLY as u64,
    clear: 0,
    propagation: 0,
    user_namespace: 0,
};

/// How the flags of `mount(2)` are called in `mount_setattr(2)`. The atime modes are one field there.
const ATTRIBUTES: [(u32, u32); 9] = [
    (MS_RDONLY, MOUNT_ATTR_RDONLY),
    (MS_NOSUID, MOUNT_ATTR_NOSUID),
    (MS_NODEV, MOUNT_ATTR_NODEV),
    (MS_NOEXEC, MOUNT_ATTR_NOEXEC),
    (MS_NOATIME, MOUNT_ATTR_NOATIME),
    (MS_STRICTATIME, MOUNT_ATTR_STRICTATIME),
    (MS_RELATIME, MOUNT_ATTR_RELATIME),
    (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
    (MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
];
const ATIME_FLAGS: u32 = MS_NOATIME | MS_STRICTATIME | MS_RELATIME;

/// What a mount needs to know of its container.
pub struct Surroundings<'a> {
    /// The configuration.
    pub spec: &'a Spec<'static>,
    /// The container's root.
    pub root: &'a Root,
    /// The bundle's absolute path, for relative sources.
    pub bundle: &'a CStr,
    /// The host's procfs.
    pub proc: &'a Proc,
    /// Whether the process is in a user namespace where it lacks some rights.
    pub in_user_namespace: bool,
    /// The cgroup's path, for the cgroup file systems.
    pub cgroup: Option<&'a CStr>,
}

/// Mount trees that had to be opened before the container's user namespace was entered: sources that its root may not
/// reach, and id-mapped ones. By index of the mount.
pub type Trees = heapless::Vec<(u16, OwnedFd), { spec_core::limits::MOUNTS_MAX }>;

/// Opens the trees that only the runtime can open.
///
/// With a new user namespace that is every bind source, where the kernel can (5.2); where it cannot, the container process
/// tries by path. An id-mapped mount needs the rights of the file system's owner in any case.
pub fn open_trees(spec: &Spec<'static>, bundle: &CStr, proc: &Proc, new_user_namespace: bool) -> Result<Trees> {
    let mut trees = Trees::new();
    for (index, mount) in spec.mounts.iter().enumerate() {
        if !mount.is_bind() || !(new_user_namespace || mount.plan.idmap.is_some()) {
            continue;
        }
        within(msg!("mounts"), index, mount.destination.as_str(), || {
            let tree = match open_source(mount, bundle)? {
                Ok(tree) => tree,
                Err(_) if mount.plan.idmap.is_none() => return Ok(()),
                Err(errno) => return Err(Error::new(msg!("idmap needs Linux 5.12: open source"), errno)),
            };
            if let Some(kind) = mount.plan.idmap {
                idmap_tree(spec, mount, kind, tree.as_fd(), proc)?;
            }
            // One tree a mount at most, so there is room.
            let _ = trees.push((index as u16, tree));
            Ok(())
        })?;
    }
    Ok(trees)
}

fn idmap_tree(
    spec: &Spec<'static>,
    mount: &Mount<'static>,
    kind: Idmap,
    tree: BorrowedFd<'_>,
    proc: &Proc,
) -> Result<()> {
    let (uids, gids) = if mount.uid_mappings.is_empty() {
        (spec.linux.uid_mappings, spec.linux.gid_mappings)
    } else {
        (mount.uid_mappings, mount.gid_mappings)
    };
    if uids.is_empty() {
        return Err(Error::said(msg!(
            "idmap needs uidMappings and gidMappings, of the mount or of the container"
        )));
    }
    let namespace = idmap::make_user_namespace(spec.list(uids), spec.list(gids), proc)?;
    use rustix::fd::AsRawFd;
    let attributes = MountAttributes {
        set: MOUNT_ATTR_IDMAP,
        user_namespace: namespace.as_raw_fd() as u64,
        ..MountAttributes::default()
    };
    set_attributes(tree, kind == Idmap::Recursive, &attributes).during(msg!("set idmap"))?;
    namespace.close();
    Ok(())
}

/// Mounts everything.
pub fn mount_all(around: &Surroundings<'_>, trees: &mut Trees) -> Result<()> {
    for (index, mount) in around.spec.mounts.iter().enumerate() {
        let position = trees.iter().position(|(of, _)| usize::from(*of) == index);
        let tree = position.map(|position| trees.swap_remove(position).1);
        within(msg!("mounts"), index, mount.destination.as_str(), || {
            mount_one(around, mount, tree)
        })?;
    }
    Ok(())
}

fn mount_one(around: &Surroundings<'_>, mount: &Mount<'static>, tree: Option<OwnedFd>) -> Result<()> {
    if mount.is_bind() {
        return bind(around, mount, tree);
    }
    let kind = mount.kind.map_or("", Text::as_str);
    let links = match kind {
        // A link here would put the file system that later writes rely on somewhere else (CVE-2019-19921).
        "proc" | "sysfs" | "cgroup" | "cgroup2" => Links::Refuse,
        _ => Links::Follow,
    };
    let destination = make_destination(around, mount, links, Root::make_directories)?;
    fchdir(&destination).during(msg!("enter destination"))?;
    match kind {
        "cgroup" | "cgroup2" => mount_cgroup(around, mount)?,
        _ => mount_file_system(around, mount, kind)?,
    }
    let plan = &mount.plan;
    let changes = plan.propagation[0] != 0 || plan.recursive_set != 0 || plan.recursive_clear != 0;
    if !changes && !plan.tmpcopyup {
        leave_open(destination);
        return Ok(());
    }
    // What was opened before lies below the new mount now.
    let mounted = around
        .root
        .open(mount.destination.as_c_str(), OFlags::PATH | OFlags::DIRECTORY, links)
        .during(msg!("open mount"))?;
    if plan.tmpcopyup {
        let below = around
            .proc
            .reopen(destination.as_fd(), OFlags::RDONLY | OFlags::DIRECTORY)
            .during(msg!("open directory below"))?;
        tmpcopyup::copy(below.as_fd(), mounted.as_fd()).during(msg!("copy directory up"))?;
        if plan.flags & MS_RDONLY != 0 {
            make_read_only(mounted.as_fd(), false)?;
        }
        leave_open(below);
    }
    change_propagation_and_tree(mount, mounted.as_fd())?;
    leave_open(mounted);
    leave_open(destination);
    Ok(())
}

/// Mounts a file system on the working directory. The directory is entered first and named `.`, which no link can redirect
/// and which works on every kernel.
fn mount_file_system(around: &Surroundings<'_>, mount: &Mount<'static>, kind: &str) -> Result<()> {
    let plan = &mount.plan;
    let mut flags = plan.flags;
    if plan.tmpcopyup {
        flags &= !MS_RDONLY;
    }
    let source = mount.source.or(mount.kind).map(Text::as_c_str);
    let call = |data: Option<&CStr>| mount_call(source, c".", mount.kind.map(Text::as_c_str), flags, data);
    let result = call(plan.data.map(Text::as_c_str));
    match (kind, result) {
        (_, Ok(())) => Ok(()),
        // A network namespace that belongs to somebody else's user namespace: sysfs cannot be mounted, but the one that
        // is there shows the same.
        ("sysfs", Err(Errno::PERM)) if around.in_user_namespace => {
            let tree = sys::fd::clone_tree(CWD, c"/sys", OpenTreeFlags::AT_RECURSIVE).during(msg!("open /sys"))?;
            let attributes = attributes_of(plan.flags, 0);
            set_attributes(tree.as_fd(), true, &attributes).during(msg!("change /sys"))?;
            let here = open_here()?;
            attach(tree.as_fd(), here.as_fd()).during(msg!("mount sysfs"))
        }
        // The group of terminals may have no number in this user namespace.
        ("devpts", Err(Errno::INVAL)) if around.in_user_namespace => {
            let data = plan.data.map_or("", Text::as_str);
            let mut kept = heapless::String::<256>::new();
            for option in parts(data, b',').filter(|option| !option.starts_with("gid=")) {
                let comma = if kept.is_empty() { "" } else { "," };
                if kept.push_str(comma).is_err() || kept.push_str(option).is_err() {
                    return Err(Error::new(msg!("mount devpts"), Errno::INVAL));
                }
            }
            let path = Path::new(kept.as_bytes());
            call(Some(path.as_c_str())).during(msg!("mount devpts"))
        }
        (_, Err(errno)) => Err(Error::new_with(msg!("mount #"), kind, errno)),
    }
}

fn open_here() -> Result<OwnedFd> {
    open(c".", OFlags::PATH | OFlags::DIRECTORY).during(msg!("open ."))
}

/// The source of a bind mount as a path of the host.
fn source_path(mount: &Mount<'static>, bundle: &CStr) -> Path {
    let source = mount.source.map_or("", Text::as_str);
    let parts: &[&[u8]] = if source.starts_with('/') {
        &[source.as_bytes()]
    } else {
        &[bundle.to_bytes(), b"/", source.as_bytes()]
    };
    Path::of(parts)
}

/// A detached copy of the source. Where the kernel cannot make one, the caller may know another way.
fn open_source(mount: &Mount<'static>, bundle: &CStr) -> Result<core::result::Result<OwnedFd, Errno>> {
    let recursive = if mount.plan.flags & MS_REC != 0 {
        OpenTreeFlags::AT_RECURSIVE
    } else {
        OpenTreeFlags::empty()
    };
    let path = source_path(mount, bundle);
    Ok(match sys::fd::clone_tree(CWD, path.as_c_str(), recursive) {
        Err(errno) if !is_missing(errno) => {
            return Err(Error::new_with(msg!("open source #"), path.as_str(), errno));
        }
        tree => tree,
    })
}

/// A copy of the source's mount is changed while nobody sees it, and then attached: there is no moment at which a
/// read-only bind can be written to.
fn bind(around: &Surroundings<'_>, mount: &Mount<'static>, tree: Option<OwnedFd>) -> Result<()> {
    let tree = match tree {
        Some(tree) => tree,
        None => match open_source(mount, around.bundle)? {
            Ok(tree) => tree,
            Err(_) => return bind_by_path(around, mount),
        },
    };
    let kind = kind(tree.as_fd()).during(msg!("stat source"))?;
    let destination = open_destination(around, mount, kind)?;
    let plan = &mount.plan;
    let mut attributes = attributes_of(plan.flags, plan.cleared);
    attributes.propagation = u64::from(plan.propagation[0] & !MS_REC);
    // A single mount has nothing below it for `rprivate` to differ from `private`.
    let recursive_propagation = plan.propagation[0] & plan.flags & MS_REC != 0;
    let simple = !recursive_propagation && plan.propagation[1] == 0;
    if !simple {
        attributes.propagation = 0;
    }
    let mut late = false;
    if attributes != MountAttributes::default() {
        match set_attributes(tree.as_fd(), false, &attributes) {
            Ok(()) => {}
            Err(errno) if is_missing(errno) => late = true,
            Err(errno) => return Err(Error::new(msg!("change bind mount"), errno)),
        }
    }
    if !simple && !late {
        for word in plan.propagation.iter().filter(|word| **word != 0) {
            let attributes = MountAttributes {
                propagation: u64::from(word & !MS_REC),
                ..MountAttributes::default()
            };
            set_attributes(tree.as_fd(), word & MS_REC != 0, &attributes).during(msg!("change propagation"))?;
        }
    }
    if !late {
        change_tree(mount, tree.as_fd())?;
    }
    attach(tree.as_fd(), destination.as_fd()).during_with(msg!("bind #"), mount.source.map_or("", Text::as_str))?;
    if late {
        change_bind_by_path(mount, tree.as_fd())?;
    }
    leave_open(tree);
    leave_open(destination);
    Ok(())
}

/// Attaches a copy of the mount at `source` (an `O_PATH` descriptor of this mount namespace) onto `destination`.
pub fn bind_fd(source: BorrowedFd<'_>, destination: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    match clone_tree(source, false) {
        Ok(tree) => {
            attach(tree.as_fd(), destination)?;
            leave_open(tree);
            Ok(())
        }
        Err(errno) if is_missing(errno) => {
            let from = fd_path(source);
            let to = fd_path(destination);
            mount_call(Some(from.as_c_str()), to.as_c_str(), None, MS_BIND, None)
        }
        Err(errno) => Err(errno),
    }
}

/// The name by which kernels before 5.2 can mount onto a descriptor.
#[inline(never)]
pub fn fd_path(fd: BorrowedFd<'_>) -> Path {
    use rustix::fd::AsRawFd;
    Path::numbered("/proc/self/fd/", fd.as_raw_fd() as u32)
}

fn open_destination(around: &Surroundings<'_>, mount: &Mount<'static>, source: FileType) -> Result<OwnedFd> {
    let make = if source == FileType::Directory {
        Root::make_directories
    } else {
        Root::make_file
    };
    make_destination(around, mount, Links::Follow, make)
}

/// How a mount point is made where it is missing.
type Make = fn(&Root, &CStr, Links) -> core::result::Result<OwnedFd, Errno>;

fn make_destination(around: &Surroundings<'_>, mount: &Mount<'static>, links: Links, make: Make) -> Result<OwnedFd> {
    let path = mount.destination.as_c_str();
    let mut followed = false;
    // Usually there is no link on the way, and then the path says where it leads.
    let destination = match make(around.root, path, Links::Refuse) {
        Err(Errno::LOOP) if links == Links::Follow => {
            followed = true;
            make(around.root, path, links)
        }
        other => other,
    };
    let destination = destination.during_with(msg!("open #"), mount.destination.as_str())?;
    if followed || components(path.to_bytes()).any(|component| component == b"proc") {
        refuse_inside_proc(mount, destination.as_fd())?;
    }
    Ok(destination)
}

/// Mounts inside `/proc` could redirect the writes that decide about security labels; only files that merely inform may be
/// covered (CVE-2019-16884, CVE-2025-52881).
fn refuse_inside_proc(mount: &Mount<'static>, destination: BorrowedFd<'_>) -> Result<()> {
    // What stands behind `/proc`: first nothing, which is `/proc` itself.
    const HARMLESS: &str = "\
        :/cpuinfo:/diskstats:/meminfo:/stat:/swaps:/uptime:/loadavg:/slabinfo:/net/dev:/sys/kernel/ns_last_pid:\
        /sys/crypto/fips_enabled";
    let path = utf8(without_slashes(mount.destination.as_str().as_bytes()));
    let is_harmless = |inside| parts(HARMLESS, b':').any(|known| known == inside);
    if !path.strip_prefix("/proc").is_some_and(is_harmless)
        && FileSystem::of(destination).is_ok_and(|found| found.magic == PROC_MAGIC)
    {
        return Err(Error::says(
            msg!("# cannot be mounted because it is inside /proc"),
            path,
        ));
    }
    Ok(())
}

fn attributes_of(flags: u32, cleared: u32) -> MountAttributes {
    let mut attributes = MountAttributes::default();
    for (flag, attribute) in ATTRIBUTES {
        if flags & flag != 0 {
            attributes.set |= u64::from(attribute);
        }
        if cleared & flag != 0 {
            attributes.clear |= u64::from(attribute);
        }
    }
    if (flags | cleared) & ATIME_FLAGS != 0 {
        // The field as a whole has to be cleared for a mode to be chosen; relatime is its zero.
        attributes.clear |= u64::from(MOUNT_ATTR__ATIME);
    }
    attributes
}

fn change_propagation_and_tree(mount: &Mount<'static>, mounted: BorrowedFd<'_>) -> Result<()> {
    for word in mount.plan.propagation.iter().filter(|word| **word != 0) {
        fchdir(mounted).during(msg!("enter mount"))?;
        mount_call(None, c".", None, *word, None).during(msg!("change propagation"))?;
    }
    change_tree(mount, mounted)
}

/// The recursive options (`rro`, `rnosuid` …), which only `mount_setattr` has.
fn change_tree(mount: &Mount<'static>, tree: BorrowedFd<'_>) -> Result<()> {
    let plan = &mount.plan;
    if plan.recursive_set == 0 && plan.recursive_clear == 0 {
        return Ok(());
    }
    let attributes = MountAttributes {
        set: plan.recursive_set,
        clear: plan.recursive_clear,
        ..MountAttributes::default()
    };
    match set_attributes(tree, true, &attributes) {
        Err(errno) if is_missing(errno) => Err(Error::said(msg!("recursive mount options need Linux 5.12"))),
        other => other.during(msg!("change mount tree")),
    }
}

/// Bind mounts on kernels before 5.2.
fn bind_by_path(around: &Surroundings<'_>, mount: &Mount<'static>) -> Result<()> {
    let source = source_path(mount, around.bundle);
    let from = open(source.as_c_str(), OFlags::PATH).during_with(msg!("open source #"), source.as_str())?;
    let kind = kind(from.as_fd()).during(msg!("stat source"))?;
    let destination = open_destination(around, mount, kind)?;
    let (from_path, to_path) = (fd_path(from.as_fd()), fd_path(destination.as_fd()));
    let flags = MS_BIND | (mount.plan.flags & MS_REC);
    mount_call(Some(from_path.as_c_str()), to_path.as_c_str(), None, flags, None)
        .during_with(msg!("bind #"), source.as_str())?;
    let mounted = around
        .root
        .open(mount.destination.as_c_str(), OFlags::PATH, Links::Follow)
        .during(msg!("open mount"))?;
    change_bind_by_path(mount, mounted.as_fd())?;
    [from, destination, mounted].into_iter().for_each(leave_open);
    Ok(())
}

/// Flags and propagation of a bind mount on kernels before 5.12.
fn change_bind_by_path(mount: &Mount<'static>, mounted: BorrowedFd<'_>) -> Result<()> {
    let plan = &mount.plan;
    let path = fd_path(mounted);
    let wanted = plan.flags & !(MS_REC | MS_BIND);
    if wanted != 0 || plan.cleared != 0 {
        // A remount replaces all flags, and in a user namespace those of the source are locked: begin with what is there.
        let present = rustix::fs::fstatvfs(mounted).during(msg!("stat mount"))?.f_flag.bits() as u32 & 0xf;
        let flags = (present & !plan.cleared) | wanted;
        mount_call(None, path.as_c_str(), None, MS_REMOUNT | MS_BIND | flags, None).during(msg!("remount bind"))?;
    }
    for word in plan.propagation.iter().filter(|word| **word != 0) {
        mount_call(None, path.as_c_str(), None, *word, None).during(msg!("change propagation"))?;
    }
    change_tree(mount, mounted)
}

/// Makes the mount that `fd` stands for read-only, alone or with all below it.
pub fn make_read_only(fd: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    match set_attributes(fd, recursive, &READ_ONLY) {
        Err(errno) if is_missing(errno) => {
            let present = rustix::fs::fstatvfs(fd).during(msg!("stat mount"))?.f_flag.bits() as u32 & 0xf;
            let path = fd_path(fd);
            mount_call(
                None,
                path.as_c_str(),
                None,
                MS_REMOUNT | MS_BIND | MS_RDONLY | present,
                None,
            )
            .during(msg!("remount"))
        }
        other => other.during(msg!("make read-only")),
    }
}

/// Attaches a detached tree read-only, alone or with all below it. Before Linux 5.12 only an attached mount can be changed,
/// and only the first of a tree.
pub fn attach_read_only(tree: BorrowedFd<'_>, destination: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    match set_attributes(tree, recursive, &READ_ONLY) {
        Ok(()) => attach(tree, destination).during(msg!("bind")),
        Err(errno) if is_missing(errno) => {
            attach(tree, destination).during(msg!("bind"))?;
            make_read_only(tree, false)
        }
        Err(errno) => Err(Error::new(msg!("make read-only"), errno)),
    }
}

/// A detached copy of the mount that `fd` (of this mount namespace) stands for.
#[inline(always)]
pub fn clone_tree(fd: BorrowedFd<'_>, recursive: bool) -> core::result::Result<OwnedFd, Errno> {
    let recursive = if recursive {
        OpenTreeFlags::AT_RECURSIVE
    } else {
        OpenTreeFlags::empty()
    };
    sys::fd::clone_tree(fd, c"", OpenTreeFlags::AT_EMPTY_PATH | recursive)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MOUNT_ATTR_* and MS_* of linux/mount.h, by number.
    #[test]
    fn flags_become_attributes() {
        let of = |flags, cleared| {
            let MountAttributes {
                set,
                clear,
                propagation,
                user_namespace,
            } = attributes_of(flags, cleared);
            assert_eq!((propagation, user_namespace), (0, 0));
            (set, clear)
        };
        assert_eq!(of(0, 0), (0, 0));
        for (flag, attribute) in [(1, 1), (2, 2), (4, 4), (8, 8), (2048, 0x80), (256, 0x20_0000)] {
            assert_eq!(of(flag, 0), (attribute, 0), "{flag}");
            assert_eq!(of(0, flag), (0, attribute), "{flag}");
        }
        // Where one is chosen, the field of the access times is cleared as a whole. relatime is 0 in it.
        for (flag, attribute) in [(1024, 0x10), (1 << 24, 0x20), (1 << 21, 0)] {
            assert_eq!(of(flag, 0), (attribute, 0x70), "{flag}");
            assert_eq!(of(0, flag), (0, 0x70), "{flag}");
        }
        assert_eq!(of(1 | 4 | 1024, 2 | 8), (1 | 4 | 0x10, 2 | 8 | 0x70));
        // MS_BIND and MS_REC say how a mount is made and not what it is.
        assert_eq!(of(4096 | 16384, 0), (0, 0));
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn relative_sources_are_in_the_bundle() {
        let spec = crate::harness::spec(
            r#", "mounts": [{"destination": "/a", "source": "data", "options": ["bind"]},
            {"destination": "/b", "source": "/data/x", "options": ["bind"]}]"#,
        );
        let paths: std::vec::Vec<_> = spec.mounts.iter().map(|mount| source_path(mount, c"/bundle")).collect();
        assert_eq!([paths[0].as_str(), paths[1].as_str()], ["/bundle/data", "/data/x"]);
    }
}
