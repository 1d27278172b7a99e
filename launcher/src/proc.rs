//! `/proc`, through a descriptor that was verified before anything untrusted is mounted.
//!
//! Writes to `/proc` decide about privileges and the whole host (`attr/exec`, `sysrq-trigger`, `core_pattern`), and a
//! container that can mount or swap paths will try to redirect them (CVE-2019-16884, CVE-2025-52881). So there is one
//! descriptor of the root of a real procfs, and every path is resolved beneath it, without crossing into another mount
//! and without following links.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use sys::fd::{open, open_in, open_resolved, read};
use sys::{FileSystem, OwnedFd};

use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::Path;
use crate::text::{cut, parse_number, utf8};

/// `PROC_SUPER_MAGIC` of `linux/magic.h`.
pub const PROC_MAGIC: u32 = 0x9fa0;

/// A verified procfs.
pub struct Proc {
    root: OwnedFd,
}

impl Proc {
    /// Opens `/proc`, or where that is not procfs (an initramfs before its mounts) a private one that nobody else sees.
    pub fn open() -> Result<Self> {
        if let Ok(root) = open(c"/proc", OFlags::PATH | OFlags::DIRECTORY)
            && is_procfs(root.as_fd())
        {
            return Ok(Self { root });
        }
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let root = sys::fd::new_mount(c"proc", &[], attributes).during(msg!("open /proc, which is not mounted"))?;
        if is_procfs(root.as_fd()) {
            Ok(Self { root })
        } else {
            Err(Error::said(msg!("/proc is not procfs")))
        }
    }

    /// Opens `path` beneath the root for reading or writing. Links are not followed, so `self` must not be the first
    /// component: see [`Proc::open_own`].
    pub fn open_file(&self, path: &CStr, flags: OFlags) -> core::result::Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        match open_resolved(self.as_fd(), path, flags, resolve) {
            // Before 5.6 the verified root and NOFOLLOW on the last component are what there is.
            Err(errno) if sys::file::is_missing(errno) => open_in(self.root.as_fd(), path, flags),
            other => other,
        }
    }

    /// Opens what the descriptor `fd` stands for again, with other flags. This is the one place that follows a magic link,
    /// and it is a link that only the kernel can make.
    pub fn reopen(&self, fd: BorrowedFd<'_>, flags: OFlags) -> core::result::Result<OwnedFd, Errno> {
        use rustix::fd::AsRawFd;
        let path = Path::numbered("self/fd/", fd.as_raw_fd() as u32);
        let opened = path.open(self.as_fd(), flags);
        path.free();
        opened
    }

    /// Writes `text` to `path`, all of it in one call.
    pub fn write(&self, path: &CStr, text: &[u8]) -> core::result::Result<(), Errno> {
        let file = self.open_file(path, OFlags::WRONLY)?;
        let written = rustix::io::write(&file, text);
        file.close();
        written.map(drop)
    }

    /// The executable of this process.
    pub fn own_executable(&self) -> core::result::Result<OwnedFd, Errno> {
        open_in(self.root.as_fd(), c"self/exe", OFlags::RDONLY)
    }

    /// When `pid` started, in clock ticks after boot, and the letter of its state; `None` where there is no such process.
    pub fn process_start(&self, pid: i32) -> Option<ProcessStart> {
        self.process(pid, &mut [0; 1024]).map(|process| process.start)
    }

    /// Whether the process that started then runs, sleeps or is stopped: the kernel gives out its number again.
    #[inline(never)]
    pub fn is_alive(&self, pid: i32, ticks: u64) -> bool {
        self.process_start(pid)
            .is_some_and(|start| start.is_alive() && start.ticks == ticks)
    }

    /// Reads `/proc/PID/stat`; `None` where there is no such process. One that only cannot be looked at must not pass for dead:
    /// its container would count as stopped, and could be deleted.
    #[inline(never)]
    pub fn process<'m>(&self, pid: i32, memory: &'m mut [u8; 1024]) -> Option<Process<'m>> {
        if pid <= 0 {
            return None;
        }
        match self.read_of(pid, "stat", memory) {
            Ok(stat) => parse_stat(stat),
            Err(Errno::NOENT | Errno::SRCH) => None,
            Err(errno) => Error::new(msg!("look at process"), errno).never(),
        }
    }

    /// Reads what fits into `memory` of a file of the process.
    pub fn read_of<'m>(&self, pid: i32, name: &str, memory: &'m mut [u8]) -> core::result::Result<&'m mut [u8], Errno> {
        let path = Path::of_process(pid, name);
        let file = self.open_file(path.as_c_str(), OFlags::RDONLY);
        path.free();
        let file = file?;
        let part = read(file.as_fd(), memory);
        file.close();
        part
    }

    /// The root.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// What names a process beyond its number, which the kernel gives out again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessStart {
    /// Clock ticks after boot.
    pub ticks: u64,
    /// The letter of its state: `Z` and `X` are dead.
    pub state: u8,
}

impl ProcessStart {
    /// Whether it runs, sleeps or is stopped, but is not dead.
    pub fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// A process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process<'m> {
    /// What the kernel calls it.
    pub name: &'m [u8],
    /// Its parent.
    pub parent: i32,
    /// What names it for good.
    pub start: ProcessStart,
}

/// Fields 2, 3, 4 and 22 of `/proc/PID/stat`. The second field is a name in parentheses, which may hold anything, so the last
/// closing one counts (proc_pid_stat(5)).
fn parse_stat(stat: &[u8]) -> Option<Process<'_>> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let mut rest = utf8(stat.get(close + 2..)?);
    let state = *cut(&mut rest, b' ').as_bytes().first()?;
    let parent = parse_number(cut(&mut rest, b' '))? as i32;
    for _ in 5..22 {
        cut(&mut rest, b' ');
    }
    let ticks = parse_number(cut(&mut rest, b' '))?;
    Some(Process {
        name: stat.get(open + 1..close)?,
        parent,
        start: ProcessStart { ticks, state },
    })
}

/// Whether `fd` is the root directory of a procfs and not some file of one.
fn is_procfs(fd: BorrowedFd<'_>) -> bool {
    /// `PROC_ROOT_INO` of the kernel.
    const ROOT_INODE: u64 = 1;
    FileSystem::of(fd).is_ok_and(|found| found.magic == PROC_MAGIC)
        && rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_ino == ROOT_INODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_confuse() {
        let stat = b"7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3\n";
        assert_eq!(
            parse_stat(stat),
            Some(Process {
                name: b"a) b (c",
                parent: 1,
                start: ProcessStart {
                    ticks: 4711,
                    state: b'S'
                }
            })
        );
    }

    /// proc_pid_stat(5): Z is a zombie, X and x are dead.
    #[test]
    fn the_dead_have_letters() {
        let is_alive = |state: &u8| {
            ProcessStart {
                ticks: 1,
                state: *state,
            }
            .is_alive()
        };
        assert!(b"RSDTtIWKP".iter().all(is_alive));
        assert!(!b"ZXx".iter().any(is_alive));
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn a_process_is_named_by_number_and_start() {
        let proc = Proc::open().unwrap_or_else(|error| error.never());
        let pid = std::process::id() as i32;
        let start = proc.process_start(pid).expect("this process");
        assert!(proc.is_alive(pid, start.ticks));
        assert!(!proc.is_alive(pid, start.ticks + 1));
        for nobody in [0, -1, i32::MAX] {
            assert_eq!(proc.process_start(nobody), None);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn nothing_but_the_root_of_a_procfs_is_one() {
        for (path, expected) in [
            (c"/proc", true),
            (c"/proc/self", false),
            (c"/proc/sys", false),
            (c"/", false),
        ] {
            let fd = open(path, OFlags::PATH | OFlags::DIRECTORY).expect("a directory");
            assert_eq!(is_procfs(fd.as_fd()), expected, "{path:?}");
        }
    }

    /// Not at the end of a path, not by a link that only the kernel can make, and not upwards.
    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn links_in_procfs_are_not_followed() {
        let proc = Proc::open().unwrap_or_else(|error| error.never());
        let error = |path| proc.open_file(path, OFlags::RDONLY).err();
        assert_eq!(error(c"self/comm"), None);
        assert_eq!(error(c"mounts"), Some(Errno::LOOP));
        assert_eq!(error(c"self/root/etc"), Some(Errno::LOOP));
        assert_eq!(error(c"self/exe"), Some(Errno::LOOP));
        assert_eq!(error(c"../proc"), Some(Errno::XDEV));
    }

    #[test]
    fn garbage_is_nobody() {
        for stat in [b"".as_slice(), b"7 (a)", b"7 (a) ", b"7 (a) S 1 2", b"\xff)\xff\xff"] {
            assert_eq!(parse_stat(stat), None);
        }
    }
}
