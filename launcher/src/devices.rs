//! `/dev`: the devices and links that every container has, and those of `linux.devices`.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, makedev, mknodat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::linux::{Device, DeviceKind};
use sys::fd::{is_device, open};
use sys::file::{leave_open, read_link, replace_standard_stream};
use sys::process::inherited_fd;

use crate::error::{During, Error, NO_INDEX, Result, within};
use crate::mounts::bind_fd;
use crate::msg;
use crate::path::{Path, without_slashes};
use crate::root::{Links, Root, make_target};
use crate::text::{has, utf8};

/// The default devices of config-linux.md, all of them readable and writable for everyone.
const DEFAULT_DEVICES: [&CStr; 6] = [
    c"/dev/null",
    c"/dev/zero",
    c"/dev/full",
    c"/dev/random",
    c"/dev/urandom",
    c"/dev/tty",
];
/// Their numbers.
pub const DEFAULT_NUMBERS: [[u8; 2]; 6] = [[1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0]];

/// The default links of runtime-linux.md.
const DEFAULT_LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
];

/// Makes everything in `/dev`. The umask must be 0.
///
/// With `by_bind`, which a user namespace needs since the kernel refuses `mknod` there, nodes of the host are mounted.
pub fn make_all(spec: &Spec<'static>, root: &Root, by_bind: bool) -> Result<()> {
    // A bind mount of a whole /dev brings its own content, which is not ours to change.
    if spec
        .mounts
        .iter()
        .any(|mount| mount.is_bind() && without_slashes(mount.destination.as_str().as_bytes()) == b"/dev")
    {
        return Ok(());
    }
    // A link here would have devices made and files removed somewhere else (CVE-2026-41579).
    let dev = root
        .make_directories(c"/dev", Links::Refuse)
        .during(msg!("open /dev"))?;
    for (host_path, numbers) in DEFAULT_DEVICES.iter().zip(&DEFAULT_NUMBERS) {
        let [major, minor] = numbers.map(u32::from);
        let device = Wanted {
            kind: FileType::CharacterDevice,
            major,
            minor,
            mode: 0o666,
            owner: None,
            host_path,
        };
        let path = utf8(host_path.to_bytes());
        let name = Path::new(path.strip_prefix("/dev/").unwrap_or(path).as_bytes());
        within(msg!("device"), NO_INDEX, path, || {
            make_device(dev.as_fd(), name.as_c_str(), &device, by_bind)
        })?;
    }
    for (index, device) in spec.list(spec.linux.devices).iter().enumerate() {
        within(msg!("linux.devices"), index, device.path.as_str(), || {
            make_configured(root, dev.as_fd(), device, by_bind)
        })?;
    }
    for (target, name) in DEFAULT_LINKS {
        match symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::new(msg!("make link in /dev"), errno)),
        }
    }
    make_ptmx(dev.as_fd())?;
    leave_open(dev);
    Ok(())
}

/// `/dev/ptmx` leads to the container's own terminals, whatever the image has there.
fn make_ptmx(dev: BorrowedFd<'_>) -> Result<()> {
    const TARGET: &CStr = c"pts/ptmx";
    match symlinkat(TARGET, dev, c"ptmx") {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::new(msg!("make link /dev/ptmx"), errno)),
    }
    let mut memory = [0; 64];
    if read_link(dev, c"ptmx", &mut memory).is_ok_and(|target| target == TARGET.to_bytes()) {
        return Ok(());
    }
    unlinkat(dev, c"ptmx", AtFlags::empty()).during(msg!("replace /dev/ptmx"))?;
    symlinkat(TARGET, dev, c"ptmx").during(msg!("make link /dev/ptmx"))
}

struct Wanted<'a> {
    kind: FileType,
    major: u32,
    minor: u32,
    mode: u32,
    owner: Option<(u32, u32)>,
    host_path: &'a CStr,
}

fn make_configured(root: &Root, dev: BorrowedFd<'_>, device: &Device<'static>, by_bind: bool) -> Result<()> {
    let wanted = Wanted {
        kind: match device.kind {
            DeviceKind::Character => FileType::CharacterDevice,
            DeviceKind::Block => FileType::BlockDevice,
            DeviceKind::Fifo => FileType::Fifo,
        },
        major: device.major,
        minor: device.minor,
        mode: device.file_mode.unwrap_or(0o666),
        owner: Some((device.uid.unwrap_or(0), device.gid.unwrap_or(0))),
        host_path: device.path.as_c_str(),
    };
    // Most are in /dev itself, which is open already.
    if let Some(name) = device
        .path
        .as_str()
        .strip_prefix("/dev/")
        .filter(|name| !has(name, b'/'))
    {
        let name = Path::new(name.as_bytes());
        return make_device(dev, name.as_c_str(), &wanted, by_bind);
    }
    let (parent, name) = root
        .make_parent(device.path.as_c_str(), Links::Refuse)
        .during(msg!("open directory"))?;
    make_device(parent.as_fd(), name.as_c_str(), &wanted, by_bind)?;
    leave_open(parent);
    Ok(())
}

fn make_device(directory: BorrowedFd<'_>, name: &CStr, wanted: &Wanted<'_>, by_bind: bool) -> Result<()> {
    if by_bind && wanted.kind != FileType::Fifo {
        return bind_device(directory, name, wanted);
    }
    let number = makedev(wanted.major, wanted.minor);
    match mknodat(directory, name, wanted.kind, Mode::from_raw_mode(wanted.mode), number) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            check_existing(directory, name, wanted)?;
            // What the configuration says about its mode holds for a node that was there as well.
            if wanted.owner.is_some() {
                chmodat(directory, name, Mode::from_raw_mode(wanted.mode), AtFlags::empty()).during(msg!("chmod"))?;
            }
        }
        Err(Errno::PERM) => return bind_device(directory, name, wanted),
        Err(errno) => return Err(Error::new(msg!("mknod"), errno)),
    }
    match wanted.owner {
        // A new node belongs to root already.
        None | Some((0, 0)) => Ok(()),
        Some((uid, gid)) => {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).during(msg!("chown"))
        }
    }
}

/// What is there may stay if it is the device that is wanted (config-linux.md: anything else is an error).
fn check_existing(directory: BorrowedFd<'_>, name: &CStr, wanted: &Wanted<'_>) -> Result<()> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).during(msg!("stat"))?;
    let same_kind = FileType::from_raw_mode(stat.st_mode) == wanted.kind;
    let same_number = wanted.kind == FileType::Fifo || stat.st_rdev == makedev(wanted.major, wanted.minor);
    if same_kind && same_number {
        return Ok(());
    }
    Err(Error::said(msg!("something else is there already")))
}

/// Mounts the host's node. It is opened, and looked at, before it is used.
fn bind_device(directory: BorrowedFd<'_>, name: &CStr, wanted: &Wanted<'_>) -> Result<()> {
    let source = open(wanted.host_path, OFlags::PATH | OFlags::NOFOLLOW).during(msg!("open the host's device"))?;
    let is_it = is_device(source.as_fd(), wanted.kind, wanted.major, wanted.minor);
    if !is_it.during(msg!("stat the host's device"))? {
        return Err(Error::said(msg!("the host has another device there")));
    }
    let target = make_target(directory, name).during(msg!("make mount point"))?;
    bind_fd(source.as_fd(), target.as_fd()).during(msg!("bind device"))?;
    leave_open(source);
    leave_open(target);
    Ok(())
}

/// Replaces each standard stream that is `/dev/null` by the container's own.
///
/// Managers hand in the host's, and often open for reading only, as standard output too, which a program is surprised by
/// (runc and crun replace it as well). What lies at the path is looked at before it is used; where it is not the null
/// device, the streams stay as they are.
pub fn reopen_null_streams() -> Result<()> {
    let is_null = |fd: BorrowedFd<'_>| {
        is_device(fd, FileType::CharacterDevice, 1, 3).during(msg!("look at the standard streams"))
    };
    let mut null = None;
    for stream in 0..3 {
        if !is_null(inherited_fd(stream))? {
            continue;
        }
        let own = match null.take() {
            Some(own) => own,
            None => match open(c"/dev/null", OFlags::RDWR | OFlags::NOFOLLOW) {
                Ok(own) if is_null(own.as_fd())? => own,
                // The image has none, or something else in its place, which gets nothing of ours.
                _ => return Ok(()),
            },
        };
        replace_standard_stream(own.as_fd(), stream).during(msg!("replace /dev/null"))?;
        null = Some(own);
    }
    null.into_iter().for_each(leave_open);
    Ok(())
}
