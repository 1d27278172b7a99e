//! What is mounted on a machine before anything runs on it.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, symlinkat};
use rustix::io::Errno;
use sys::directory::make;
use sys::fd::{open, read};
use sys::mount::mount;

use super::complain;
use crate::message::words;
use crate::text::Text;

const NOSUID: u32 = 2;
const NODEV: u32 = 4;
const NOEXEC: u32 = 8;
const NOTHING: u32 = NOSUID | NODEV | NOEXEC;

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

/// Mounts all of it; what this kernel does not have is told.
pub fn mount_all() {
    for (path, kind, flags, options) in MOUNTS {
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
            Err(errno) => complain(path.to_bytes(), words(errno)),
        }
    }
    for (target, link) in LINKS {
        let _ = symlinkat(target, CWD, link);
    }
}

/// Gives every controller that the kernel has to the groups below the topmost.
pub fn enable_controllers() {
    let mut memory = [0; 512];
    let Ok(file) = open(c"/sys/fs/cgroup/cgroup.controllers", OFlags::RDONLY) else {
        // That there is no such hierarchy was told when it could not be mounted.
        return;
    };
    let Ok(names) = read(file.as_fd(), &mut memory) else {
        return;
    };
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
