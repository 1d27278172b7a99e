//! What is mounted on a machine before anything runs on it.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, symlinkat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use sys::directory::{Names, make};
use sys::fd::{open, read};
use sys::mount::mount;

use super::say::{complain, say};
use crate::message::words;
use crate::text::{Text, after};

/// `MS_NOSUID`
pub const NOSUID: u32 = 2;
/// `MS_NODEV`
pub const NODEV: u32 = 4;
const NOEXEC: u32 = 8;
const NOTHING: u32 = NOSUID | NODEV | NOEXEC;
/// `MS_MOVE`
pub const MS_MOVE: u32 = 8192;
/// `MS_REMOUNT` and `MS_RDONLY`
pub const REMOUNT_READ_ONLY: u32 = 32 | 1;
const MS_REC_SHARED: u32 = 1 << 20 | 16384;

/// Where, what, how, and with which options; in this order, since some lie in others.
const MOUNTS: [(&CStr, &CStr, u32, Option<&CStr>); 9] = [
    (c"/proc", c"proc", NOTHING, None),
    (c"/sys", c"sysfs", NOTHING, None),
    (c"/dev", c"devtmpfs", NOSUID, Some(c"mode=755")),
    (
        c"/dev/pts",
        c"devpts",
        NOSUID | NOEXEC,
        Some(c"gid=5,mode=620,ptmxmode=666"),
    ),
    (c"/dev/shm", c"tmpfs", NOSUID | NODEV, Some(c"mode=1777")),
    (c"/dev/mqueue", c"mqueue", NOTHING, None),
    (c"/run", c"tmpfs", NOSUID | NODEV, Some(c"mode=755")),
    (c"/tmp", c"tmpfs", NOSUID | NODEV, Some(c"mode=1777")),
    (
        c"/sys/fs/cgroup",
        c"cgroup2",
        NOTHING,
        Some(c"nsdelegate,memory_recursiveprot"),
    ),
];

/// What the kernel leaves out of its `/dev`, and programs expect there.
const LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"/dev/fd"),
    (c"fd/0", c"/dev/stdin"),
    (c"fd/1", c"/dev/stdout"),
    (c"fd/2", c"/dev/stderr"),
];

/// Mounts `/proc`, which says where this is.
pub fn mount_early() {
    for (path, kind, flags, options) in MOUNTS.iter().take(1) {
        mount_one(path, kind, *flags, *options);
    }
}

/// Mounts all of it; what this kernel does not have is told.
pub fn mount_all() {
    // Containers that bind a directory may see what is mounted there later. Where the root is no mount, they do not.
    let _ = mount(None, c"/", None, MS_REC_SHARED, None);
    for (path, kind, flags, options) in MOUNTS {
        mount_one(path, kind, flags, options);
    }
    for (target, link) in LINKS {
        let _ = symlinkat(target, CWD, link);
    }
    // Where this is a namespace of a machine that has version 1, the other hierarchy has what that leaves.
    let mut memory = [0; 1024];
    let own = read_file(c"/proc/self/cgroup", &mut memory);
    if hierarchies(own).next().is_some() {
        mount_first_version(hierarchies(own));
    } else if !has_controllers() {
        let list = read_file(c"/proc/cgroups", &mut memory);
        mount_first_version(controllers(list));
    }
}

fn mount_one(path: &CStr, kind: &CStr, flags: u32, options: Option<&CStr>) {
    // Where it cannot be made the mount says why.
    let _ = make(CWD, path, Mode::from_raw_mode(0o755));
    let mounted = match mount(Some(kind), path, Some(kind), flags, options) {
        // Older kernels have fewer options.
        Err(Errno::INVAL) => mount(Some(kind), path, Some(kind), flags, None),
        result => result,
    };
    match mounted {
        // The kernel has mounted its `/dev` itself.
        Ok(()) | Err(Errno::BUSY) => {}
        // The other version is tried.
        Err(_) if path == CGROUP => {}
        Err(errno) => complain(path.to_bytes(), words(errno)),
    }
}

const CGROUP: &CStr = c"/sys/fs/cgroup";

/// Whether the hierarchy of version 2 is there and controls anything.
fn has_controllers() -> bool {
    let Ok(file) = open(c"/sys/fs/cgroup/cgroup.controllers", OFlags::RDONLY) else {
        return false;
    };
    let has = read(file.as_fd(), &mut [0; 16]).is_ok_and(|names| !names.is_empty());
    file.close();
    has
}

/// What there is of a file; nothing where there is none.
fn read_file<'m>(path: &CStr, memory: &'m mut [u8]) -> &'m [u8] {
    let Ok(file) = open(path, OFlags::RDONLY) else {
        return b"";
    };
    let text = read(file.as_fd(), memory);
    file.close();
    text.map_or(b"", |text| text)
}

/// The controllers that may be used, of `/proc/cgroups`: name, number of the hierarchy, of groups, and whether.
fn controllers(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b'\t');
        let name = fields.next()?;
        (!name.starts_with(b"#") && fields.nth(2) == Some(b"1")).then_some(name)
    })
}

/// The hierarchies of version 1 that somebody has made, of `/proc/self/cgroup`: number, controllers or name, path.
fn hierarchies(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b'\n').filter_map(|line| {
        let options = line.split(|byte| *byte == b':').nth(1)?;
        (!options.is_empty()).then_some(options)
    })
}

/// Mounts the hierarchies of version 1 with these options.
fn mount_first_version<'a>(hierarchies: impl Iterator<Item = &'a [u8]>) {
    let _ = unmount(CGROUP, UnmountFlags::DETACH);
    mount_one(CGROUP, c"tmpfs", NOTHING, Some(c"mode=755"));
    for hierarchy in hierarchies {
        let (mut path, mut options) = (Text::<80>::new(), Text::<64>::new());
        let name = after(hierarchy, b"name=");
        for part in [CGROUP.to_bytes(), b"/", name.unwrap_or(hierarchy)] {
            path.push(part);
        }
        // One that only has a name has no controllers.
        options.push(if name.is_some() { b"none," } else { b"" });
        options.push(hierarchy);
        if let Some(path) = path.as_c_str() {
            mount_one(path, c"cgroup", NOTHING, options.as_c_str());
        }
    }
}

/// Mounts what a kernel that has died left behind, and tells of it.
pub fn mount_pstore() {
    const PSTORE: &CStr = c"/sys/fs/pstore";
    if mount(Some(c"pstore"), PSTORE, Some(c"pstore"), NOTHING, None).is_err() {
        return;
    }
    let Ok(directory) = open(PSTORE, OFlags::RDONLY | OFlags::DIRECTORY) else {
        return;
    };
    let mut names = Names::of(directory.as_fd());
    while let Ok(Some(name)) = names.next() {
        if name.to_bytes().starts_with(b"dmesg-") {
            say(
                b"the last boot",
                &[b"ended by the kernel: ", PSTORE.to_bytes(), b"/", name.to_bytes()],
            );
            break;
        }
    }
    directory.close();
}

/// Gives every controller that the kernel has to the groups below the topmost.
pub fn enable_controllers() {
    let mut memory = [0; 512];
    let Ok(file) = open(c"/sys/fs/cgroup/cgroup.controllers", OFlags::RDONLY) else {
        // Version 1 needs no such thing.
        return;
    };
    let names = read(file.as_fd(), &mut memory).map_or(&b""[..], |names| names);
    file.close();
    for name in names
        .split(|byte| byte.is_ascii_whitespace())
        .filter(|name| !name.is_empty())
    {
        let mut order = Text::<64>::new();
        order.push(b"+");
        order.push(name);
        // One by one: a controller that cannot be had would take the others with it.
        let written = open(c"/sys/fs/cgroup/cgroup.subtree_control", OFlags::WRONLY).and_then(|file| {
            let result = rustix::io::write(&file, order.as_bytes());
            file.close();
            result
        });
        if let Err(errno) = written {
            complain(name, words(errno));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{controllers, hierarchies};
    use std::vec::Vec;

    #[test]
    fn controllers_that_may_be_used_are_found() {
        let list = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nmemory\t0\t41\t1\ndebug\t0\t1\t0\n";
        assert_eq!(controllers(list).collect::<Vec<_>>(), [&b"cpu"[..], b"memory"]);
        let list = b"9:name=systemd:/\n4:memory:/a\n2:cpu,cpuacct:/\n0::/\n";
        let expected = [&b"name=systemd"[..], b"memory", b"cpu,cpuacct"];
        assert_eq!(hierarchies(list).collect::<Vec<_>>(), expected);
        assert_eq!(hierarchies(b"0::/\n").next(), None);
    }
}
