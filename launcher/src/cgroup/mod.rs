//! The container's cgroup: version 1, version 2, or none.
//!
//! roci finds the hierarchies where every distribution mounts them, below `/sys/fs/cgroup`: a cgroup2 there is version 2;
//! else each line of `/proc/self/cgroup` with controllers or a name is a version 1 hierarchy mounted under that name.

use core::cell::Cell;
use core::ffi::CStr;

use heapless::{String, Vec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, fstatfs, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;
use spec_core::Spec;
use sys::signal::SIGKILL;

use crate::container::write_all;
use crate::error::{During, Error, Result};
use crate::path::{Path, components};
use crate::proc::Proc;
use crate::undo;

pub mod mount;
pub mod resources;

/// Hierarchies that one host may have: 13 controllers and a few names.
pub const HIERARCHIES_MAX: usize = 20;
/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What the host has.
pub struct Host {
    /// `/sys/fs/cgroup`.
    top: OwnedFd,
    /// Whether that is a cgroup2.
    pub is_v2: bool,
    /// Version 1: the directories of the hierarchies, with the path of this process in each.
    pub hierarchies: Vec<Hierarchy, HIERARCHIES_MAX>,
    /// This process's own cgroup (version 2, or in the first hierarchy).
    own: String<512>,
}

/// A version 1 hierarchy.
pub struct Hierarchy {
    /// Its directory below `/sys/fs/cgroup`, as in `cpu,cpuacct`.
    pub name: String<64>,
}

impl Host {
    /// Looks at the host; `None` where there are no cgroups to use, which is no error.
    pub fn detect(proc: &Proc) -> Option<Self> {
        let top = open(c"/sys/fs/cgroup", DIRECTORY, Mode::empty()).ok()?;
        let is_v2 = fstatfs(&top).ok()?.f_type as u64 == CGROUP2_MAGIC;
        let mut host = Self {
            top,
            is_v2,
            hierarchies: Vec::new(),
            own: String::new(),
        };
        let file = proc.open_file(c"self/cgroup", OFlags::RDONLY).ok()?;
        let mut memory = [0; 4096];
        let n = rustix::io::read(&file, &mut memory).ok()?;
        for line in core::str::from_utf8(&memory[..n]).ok()?.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            let name = controllers.strip_prefix("name=").unwrap_or(controllers);
            if is_v2 == name.is_empty() && host.own.is_empty() {
                let _ = host.own.push_str(path);
            }
            if !is_v2 && !name.is_empty() {
                let Ok(name) = String::try_from(name) else { continue };
                let _ = host.hierarchies.push(Hierarchy { name });
            }
        }
        (is_v2 || !host.hierarchies.is_empty()).then_some(host)
    }

    /// The path of the container's cgroup in every hierarchy, absolute.
    ///
    /// An absolute `cgroupsPath` counts from the mount point. A relative one, and the id where there is none, count from
    /// this process's own cgroup, so that the container stays inside what limits roci; in version 2 from the cgroup above
    /// it, since a cgroup with processes cannot hand controllers on.
    pub fn path_for(&self, spec: &Spec<'static>, id: &CStr) -> Result<Path> {
        let wanted = spec
            .linux
            .cgroups_path
            .map_or(id.to_bytes(), |path| path.as_c_str().to_bytes());
        let own = self.own.trim_end_matches('/');
        let base = match (wanted.starts_with(b"/"), self.is_v2) {
            (true, _) => "",
            (false, true) => own.rsplit_once('/').map_or("", |(above, _)| above),
            (false, false) => own,
        };
        if components(wanted).next().is_none() {
            return Err(Error::said(
                "linux.cgroupsPath: the root cgroup cannot be a container's",
            ));
        }
        let slash: &[u8] = if wanted.starts_with(b"/") { b"" } else { b"/" };
        let end = wanted.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        Path::join(&[base.as_bytes(), slash, &wanted[..end]]).during("join cgroup path")
    }

    /// The directory of the cgroup `path`, relative to `/sys/fs/cgroup`, in each hierarchy.
    fn directories<'a>(&'a self, path: &'a CStr) -> impl Iterator<Item = core::result::Result<Path, Errno>> + 'a {
        let unified = self.is_v2.then(|| Path::join(&[&path.to_bytes()[1..]]));
        let split = self
            .hierarchies
            .iter()
            .map(move |hierarchy| Path::join(&[hierarchy.name.as_bytes(), path.to_bytes()]));
        unified.into_iter().chain(split)
    }

    /// Removes the cgroup from every hierarchy, with the cgroups that the container made below it.
    ///
    /// A cgroup whose last process has just died may be busy for a moment; whatever still runs in it is killed.
    pub fn remove(&self, path: &CStr) -> Result<()> {
        self.try_remove(path)
            .during_with(format_args!("remove cgroup {}", path.to_str().unwrap_or("?")))
    }

    /// The same, for who has another error to tell.
    pub fn try_remove(&self, path: &CStr) -> core::result::Result<(), Errno> {
        for directory in self.directories(path) {
            let directory = directory?;
            let mut attempt = 0;
            loop {
                match unlinkat(&self.top, directory.as_c_str(), AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT | Errno::NODEV) => break,
                    Err(Errno::BUSY) if attempt < REMOVE_ATTEMPTS => {
                        if let Ok(fd) = openat(&self.top, directory.as_c_str(), DIRECTORY, Mode::empty()) {
                            // Without a pid namespace of its own, the first process's children have outlived it.
                            let kill = &mut |pid| {
                                let _ = sys::signal::send(pid, SIGKILL);
                            };
                            processes_of(fd.as_fd(), kill, 0);
                            remove_below(fd.as_fd(), 0);
                        }
                        if attempt > 0 {
                            pause_ms(attempt.min(20));
                        }
                        attempt += 1;
                    }
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every process in the cgroup and below it. Processes are looked up in one hierarchy: a container's
    /// are in all of them.
    pub fn for_each_process(&self, path: &CStr, each: &mut dyn FnMut(i32)) {
        for directory in self.directories(path).flatten() {
            if let Ok(fd) = openat(&self.top, directory.as_c_str(), DIRECTORY, Mode::empty()) {
                processes_of(fd.as_fd(), each, 0);
                return;
            }
        }
    }

    /// Whether the cgroup is there.
    pub fn exists(&self, path: &CStr) -> bool {
        self.directories(path)
            .flatten()
            .any(|directory| rustix::fs::statat(&self.top, directory.as_c_str(), AtFlags::empty()).is_ok())
    }

    /// Puts `pid` into the cgroup, in every hierarchy in which it exists.
    pub fn join(&self, path: &CStr, pid: i32) -> Result<()> {
        let mut memory = [0; 12];
        let mut text = crate::container::Document::new(&mut memory);
        let _ = core::fmt::Write::write_fmt(&mut text, format_args!("{pid}"));
        for directory in self.directories(path) {
            let directory = directory.during("join cgroup path")?;
            let procs = Path::join(&[directory.as_str().as_bytes(), b"/cgroup.procs"]).during("join cgroup path")?;
            match openat(
                &self.top,
                procs.as_c_str(),
                OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::empty(),
            ) {
                Ok(file) => {
                    write_all(file.as_fd(), text.as_bytes())
                        .during_with(format_args!("join cgroup {}", directory.as_str()))?;
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::new("open cgroup.procs", errno)),
            }
        }
        Ok(())
    }
}

const REMOVE_ATTEMPTS: u32 = 200;

fn pause_ms(milliseconds: u32) {
    let pause = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(milliseconds * 1_000_000) as _,
    };
    // `poll` without descriptors sleeps, and needs no other call in the executable.
    let _ = rustix::event::poll(&mut [], Some(&pause));
}

/// How deep a container may nest its own cgroups for us to follow.
const DEPTH_MAX: usize = 16;

fn each_child(directory: BorrowedFd<'_>, each: &mut dyn FnMut(&CStr)) {
    let mut memory = [core::mem::MaybeUninit::uninit(); 2048];
    let mut entries = rustix::fs::RawDir::new(directory, &mut memory);
    while let Some(Ok(entry)) = entries.next() {
        let name = entry.file_name();
        if entry.file_type() == rustix::fs::FileType::Directory && name != c"." && name != c".." {
            each(name);
        }
    }
}

fn remove_below(directory: BorrowedFd<'_>, depth: usize) {
    if depth == DEPTH_MAX {
        return;
    }
    each_child(directory, &mut |name| {
        if let Ok(child) = openat(directory, name, DIRECTORY, Mode::empty()) {
            remove_below(child.as_fd(), depth + 1);
        }
        let _ = unlinkat(directory, name, AtFlags::REMOVEDIR);
    });
}

fn processes_of(directory: BorrowedFd<'_>, each: &mut dyn FnMut(i32), depth: usize) {
    if let Ok(file) = openat(
        directory,
        c"cgroup.procs",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        let mut memory = [0; 4096];
        let mut kept = 0;
        while let Ok(n) = rustix::io::read(&file, &mut memory[kept..]) {
            if n == 0 {
                break;
            }
            let end = kept + n;
            let whole = memory[..end]
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |last| last + 1);
            for line in core::str::from_utf8(&memory[..whole]).unwrap_or("").lines() {
                if let Ok(pid) = line.parse() {
                    each(pid);
                }
            }
            memory.copy_within(whole..end, 0);
            kept = end - whole;
        }
    }
    if depth < DEPTH_MAX {
        each_child(directory, &mut |name| {
            if let Ok(child) = openat(directory, name, DIRECTORY, Mode::empty()) {
                processes_of(child.as_fd(), each, depth + 1);
            }
        });
    }
}

static HOST: sys::Once<Option<Host>> = sys::Once::new();

/// What the host has, looked at once.
pub fn host(proc: &Proc) -> Option<&'static Host> {
    HOST.get_or_make(|| Host::detect(proc)).as_ref()
}

/// A cgroup that create has made.
pub struct NewCgroup {
    host: &'static Host,
    path: &'static CStr,
    /// `cgroup.procs` of each hierarchy, open for writing, so that the container process joins by itself.
    pub procs: Vec<OwnedFd, HIERARCHIES_MAX>,
    /// Version 2: the directory, for a clone straight into it.
    pub directory: Option<OwnedFd>,
    /// Whether the process was made inside it and need not be moved there.
    entered: Cell<bool>,
}

impl NewCgroup {
    /// Makes the cgroup in every hierarchy. The inner error is that of who has no right to make one.
    pub fn make(host: &'static Host, path: Path) -> Result<core::result::Result<Self, Errno>> {
        let path = path.leak();
        undo::note(|unfinished| unfinished.cgroup = Some((host, path)));
        let mut new = Self {
            host,
            path,
            procs: Vec::new(),
            directory: None,
            entered: Cell::new(false),
        };
        Ok(match new.fill()? {
            Ok(()) => Ok(new),
            Err(errno) => Err(errno),
        })
    }

    fn fill(&mut self) -> Result<core::result::Result<(), Errno>> {
        for (index, directory) in self.host.directories(self.path).enumerate() {
            let directory = directory.during("join cgroup path")?;
            let top = self.host.top.as_fd();
            match make_directory(top, directory.as_c_str()) {
                Ok(()) => {}
                Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => return Ok(Err(errno)),
                Err(errno) => return Err(make_error(directory.as_c_str(), errno)),
            }
            if self.host.is_v2 {
                enable_controllers(top, directory.as_c_str());
            }
            let is_cpuset = self
                .host
                .hierarchies
                .get(index)
                .is_some_and(|hierarchy| hierarchy.name.split(',').any(|name| name == "cpuset"));
            if is_cpuset || self.host.is_v2 {
                let fd = openat(top, directory.as_c_str(), DIRECTORY, Mode::empty()).during("open cgroup")?;
                if is_cpuset {
                    fill_cpuset(fd.as_fd()).during("copy cpuset from the cgroup above")?;
                } else {
                    self.directory = Some(fd);
                }
            }
            let procs = Path::join(&[directory.as_str().as_bytes(), b"/cgroup.procs"]).during("join cgroup path")?;
            let procs = openat(top, procs.as_c_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .during("open cgroup.procs")?;
            if self.procs.push(procs).is_err() {
                return Err(Error::said("more cgroup hierarchies than roci knows (HIERARCHIES_MAX)"));
            }
        }
        Ok(Ok(()))
    }

    /// The path in each hierarchy.
    pub fn path(&self) -> &'static CStr {
        self.path
    }

    /// Puts the process into the cgroup: `0` is the caller itself.
    pub fn join(&self, pid: &[u8]) -> Result<()> {
        if self.entered.get() {
            return Ok(());
        }
        for procs in &self.procs {
            write_all(procs.as_fd(), pid).during("join cgroup")?;
        }
        Ok(())
    }

    /// Says whether the next process is made inside the cgroup (`CLONE_INTO_CGROUP`). It is said before the clone, so that both
    /// sides know it.
    pub fn set_entered(&self, entered: bool) {
        self.entered.set(entered);
    }
}

/// The error of a cgroup that cannot be made.
pub fn make_error(path: &CStr, errno: Errno) -> Error {
    Error::new_with(format_args!("make cgroup {}", path.to_str().unwrap_or("?")), errno)
}

/// Makes a directory below `top`, with those above it.
fn make_directory(top: BorrowedFd<'_>, path: &CStr) -> core::result::Result<(), Errno> {
    match mkdirat(top, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let bytes = path.to_bytes();
    for (index, _) in bytes
        .iter()
        .enumerate()
        .filter(|&(index, &byte)| byte == b'/' && index > 0)
    {
        let prefix = Path::join(&[&bytes[..index]])?;
        match mkdirat(top, prefix.as_c_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let fd = openat(top, prefix.as_c_str(), DIRECTORY, Mode::empty())?;
                // Only a cpuset directory has the files; anywhere else there is nothing to fill.
                let _ = fill_cpuset(fd.as_fd());
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    match mkdirat(top, path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Hands every controller down to the cgroup `path`, from the top.
///
/// What cannot be handed on (a cgroup on the way has processes of its own, or is delegated without it) is missing below,
/// and is an error for who asks for a limit of it.
fn enable_controllers(top: BorrowedFd<'_>, path: &CStr) {
    let bytes = path.to_bytes();
    let ends = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(index, _)| index);
    for end in core::iter::once(0).chain(ends) {
        let slash: &[u8] = if end == 0 { b"" } else { b"/" };
        let file = |name: &[u8], flags| {
            Path::join(&[&bytes[..end], slash, name])
                .and_then(|path| openat(top, path.as_c_str(), flags | OFlags::CLOEXEC, Mode::empty()))
        };
        let mut memory = [0; 256];
        let available = file(b"cgroup.controllers", OFlags::RDONLY);
        let Some(n) = available
            .ok()
            .and_then(|file| rustix::io::read(&file, &mut memory).ok())
        else {
            continue;
        };
        let Ok(control) = file(b"cgroup.subtree_control", OFlags::WRONLY) else {
            continue;
        };
        for name in memory[..n]
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|name| !name.is_empty())
        {
            // One at a time: of several, one that is refused takes the others with it.
            if let Ok(word) = Path::join(&[b"+", name]) {
                let _ = rustix::io::write(&control, word.as_c_str().to_bytes());
            }
        }
    }
}

/// A new version 1 cpuset is empty, and nothing can join it: give it what the one above has.
fn fill_cpuset(directory: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    for name in [c"cpuset.cpus", c"cpuset.mems"] {
        let mut memory = [0; 1024];
        let own = openat(directory, name, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        if rustix::io::read(&own, &mut memory)? > 1 {
            continue;
        }
        let above = openat(directory, c"..", DIRECTORY, Mode::empty())?;
        let file = openat(&above, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut n = rustix::io::read(&file, &mut memory)?;
        if n <= 1 {
            // Another roci has made that one and not filled it yet. The root, which ends this, is never empty.
            fill_cpuset(above.as_fd())?;
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
            n = rustix::io::read(&file, &mut memory)?;
        }
        rustix::io::write(&own, &memory[..n])?;
    }
    Ok(())
}
