//! The container's cgroup: version 1, version 2, or none.
//!
//! roci finds the hierarchies where every distribution mounts them, below `/sys/fs/cgroup`: a cgroup2 there is version 2;
//! else each line of `/proc/self/cgroup` with controllers or a name is a version 1 hierarchy mounted under that name.

use core::cell::Cell;
use core::ffi::CStr;

use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags, Uid, chownat, mkdirat, unlinkat};
use rustix::io::Errno;
use spec_core::Spec;
use sys::fd::{open, read};
use sys::signal::SIGKILL;
use sys::{FileSystem, OwnedFd, TakeOnce};

use crate::container::write_all;
use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::{Path, components, split_last};
use crate::proc::Proc;
use crate::text::{Digits, cut, utf8};
use crate::time::pause;
use controllers::enable_controllers;
use cpuset::fill_cpuset;
use members::{processes_of, remove_below};

mod controllers;
mod cpuset;
#[cfg(feature = "systemd")]
pub mod dbus;
mod device_filter;
mod devices;
mod files;
mod members;
pub mod mount;
pub mod resources;
#[cfg(feature = "systemd")]
pub mod systemd;
#[cfg(not(feature = "systemd"))]
#[path = "../no_systemd.rs"]
pub mod systemd;
#[cfg(feature = "systemd")]
mod unit;

/// Hierarchies that one host may have: 13 controllers and a few names.
pub const HIERARCHIES_MAX: usize = 20;
/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP_MAGIC: u32 = 0x0027_e0eb;
const CGROUP2_MAGIC: u32 = 0x6367_7270;
/// `SYSFS_MAGIC` of the same: nothing is mounted there.
const SYSFS_MAGIC: u32 = 0x6265_6572;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// What the host has.
pub struct Host {
    /// `/sys/fs/cgroup`.
    top: OwnedFd,
    /// Whether that is a cgroup2.
    pub is_v2: bool,
    /// `/proc/self/cgroup`.
    text: &'static str,
}

static TEXT: TakeOnce<[u8; 4096]> = TakeOnce::new([0; 4096]);

impl Host {
    /// Looks at the host; `None` where there are no cgroups to use, which is no error.
    fn detect(proc: &Proc) -> Option<Self> {
        let top = found(open(c"/sys/fs/cgroup", DIRECTORY))?;
        let magic = found(FileSystem::of(top.as_fd()))?.magic;
        if magic == SYSFS_MAGIC {
            return None;
        }
        let is_v2 = magic == CGROUP2_MAGIC;
        let file = found(proc.open_file(c"self/cgroup", OFlags::RDONLY))?;
        let memory = TEXT.take();
        let text = utf8(found(read(file.as_fd(), memory))?);
        let host = Self { top, is_v2, text };
        host.lines().next().is_some().then_some(host)
    }

    /// Each hierarchy: its directory below `/sys/fs/cgroup`, as in `cpu,cpuacct`, and the cgroup of this process in it.
    /// Version 2 has one, and its directory has no name.
    fn lines(&self) -> Lines<'_> {
        Lines {
            rest: self.text,
            is_v2: self.is_v2,
        }
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
        let Some(wanted) = without_slashes(wanted) else {
            return Err(Error::said(msg!(
                "linux.cgroupsPath: the root cgroup cannot be a container's"
            )));
        };
        let mut base: &[u8] = b"";
        let mut slash: &[u8] = b"";
        if !wanted.starts_with(b"/") {
            slash = b"/";
            let own = self.lines().next().map_or("", |(_, own)| own);
            base = without_slashes(own.as_bytes()).unwrap_or_default();
            if self.is_v2 {
                base = crate::path::without_slashes(split_last(base).0);
            }
        }
        Ok(Path::of(&[base, slash, wanted]))
    }

    /// The directory of the cgroup `path` in the hierarchy `name`, relative to `/sys/fs/cgroup`.
    #[inline(never)]
    fn directory(&self, name: &str, path: &CStr) -> Path {
        let path = path.to_bytes();
        // Where there is no name before it, the path must not begin at the root.
        let skipped = usize::from(name.is_empty());
        Path::of(&[name.as_bytes(), path.get(skipped..).unwrap_or_default()])
    }

    /// The place and the name of the hierarchy of `controller`; `None` where the host lacks it. Version 2 has all in one.
    fn hierarchy_of(&self, controller: &str) -> Option<(usize, &str)> {
        let mut names = self.lines().map(|(name, _)| name).enumerate();
        names.find(|(_, name)| self.is_v2 || lists(name, controller))
    }

    /// The hierarchy that every container is in: pausing needs it, or killing, or any.
    fn main_hierarchy(&self) -> (usize, &str) {
        self.hierarchy_of("freezer")
            .or_else(|| self.hierarchy_of("pids"))
            .unwrap_or_else(|| (0, self.lines().next().map_or("", |(name, _)| name)))
    }

    /// Makes the cgroup `path` in the hierarchy `name`.
    fn make(&self, name: &str, path: &CStr) -> core::result::Result<(), Errno> {
        let directory = self.directory(name, path);
        make_directory(self.top.as_fd(), directory.as_c_str(), name.len())?;
        if lists(name, "cpuset") {
            return fill_cpuset(directory.open(self.top.as_fd(), DIRECTORY)?);
        }
        Ok(())
    }

    /// Whether the hierarchy, which the kernel has, is mounted where it is looked for. What cannot be looked at counts as that.
    fn has_mounted(name: &str) -> bool {
        match FileSystem::at(Path::of(&[b"/sys/fs/cgroup/", name.as_bytes()]).as_c_str()) {
            Ok(found) => found.magic == CGROUP_MAGIC,
            Err(errno) => errno != Errno::NOENT,
        }
    }

    /// Whether it is systemd that makes the cgroups of its units in the hierarchy `name`, and removes them.
    fn is_systemds(&self, name: &str) -> bool {
        self.is_v2 || name == "systemd"
    }

    /// Removes an empty directory that [`Self::make`] may have made.
    fn unmake(&self, name: &str, path: &CStr) {
        let _ = unlinkat(&self.top, self.directory(name, path).as_c_str(), AtFlags::REMOVEDIR);
    }

    /// Removes the cgroup from every hierarchy, with the cgroups that the container made below it.
    ///
    /// A cgroup whose last process has just died may be busy for a moment; whatever still runs in it is killed.
    pub fn remove(&self, path: &CStr, hierarchies: Hierarchies) -> Result<()> {
        self.try_remove(path, hierarchies)
            .during_with(msg!("remove cgroup #"), utf8(path.to_bytes()))
    }

    /// The same, for who has another error to tell.
    pub fn try_remove(&self, path: &CStr, hierarchies: Hierarchies) -> core::result::Result<(), Errno> {
        for (place, (name, _)) in self.lines().enumerate() {
            if !hierarchies.contains(place) {
                continue;
            }
            let directory = self.directory(name, path);
            let mut attempt = 0;
            loop {
                match unlinkat(&self.top, directory.as_c_str(), AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT | Errno::NODEV) => break,
                    Err(Errno::BUSY) if attempt < REMOVE_ATTEMPTS => {
                        if let Ok(fd) = directory.open(self.top.as_fd(), DIRECTORY) {
                            // Without a pid namespace of its own, the first process's children have outlived it.
                            let kill = &mut |pid| {
                                let _ = sys::signal::send(pid, SIGKILL);
                            };
                            // Whom that leaves keeps the cgroup busy, which is told.
                            let _ = processes_of(fd.as_fd(), kill);
                            remove_below(fd.as_fd());
                            fd.close();
                        }
                        if attempt > 0 {
                            pause(attempt.min(20));
                        }
                        attempt += 1;
                    }
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(())
    }

    /// Calls `each` with every process in the cgroup and below it; `false` where there is no such cgroup.
    ///
    /// # Errors
    /// The first of the kernel's, once all that can be looked at was.
    pub fn for_each_process(&self, path: &CStr, each: &mut dyn FnMut(i32)) -> core::result::Result<bool, Errno> {
        let (_, main) = self.main_hierarchy();
        // The others are for cgroups that somebody else has made.
        for name in core::iter::once(main).chain(self.lines().map(|(name, _)| name)) {
            match self.directory(name, path).open(self.top.as_fd(), DIRECTORY) {
                Ok(fd) => {
                    let outcome = processes_of(fd.as_fd(), each);
                    fd.close();
                    return outcome.map(|()| true);
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(false)
    }

    /// Puts `pid` into the cgroup, in every hierarchy in which it exists.
    pub fn join(&self, path: &CStr, pid: i32) -> Result<()> {
        let pid = Digits::signed(pid.into());
        for (name, _) in self.lines() {
            let directory = self.directory(name, path);
            match self.procs(&directory) {
                Ok(file) => {
                    write_all(file.as_fd(), pid.as_bytes()).during_with(msg!("join cgroup #"), directory.as_str())?;
                    file.close();
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::new(msg!("open cgroup.procs"), errno)),
            }
        }
        Ok(())
    }

    /// Puts the container's processes into the hierarchies that were made for it just now.
    ///
    /// A process that is forked meanwhile may be met in another round; one whose parent is there already is there too.
    pub fn gather(&self, path: &CStr, hierarchies: Hierarchies) -> Result<()> {
        const ROUNDS_MAX: u32 = 20;
        let mut files = Vec::<OwnedFd, HIERARCHIES_MAX>::new();
        for (place, (name, _)) in self.lines().enumerate() {
            if hierarchies.contains(place) {
                let procs = self
                    .procs(&self.directory(name, path))
                    .during(msg!("open cgroup.procs"))?;
                // As many places as there are hierarchies.
                let _ = files.push(procs);
            }
        }
        let mut before = 0;
        for _ in 0..if files.is_empty() { 0 } else { ROUNDS_MAX } {
            let mut met = 0;
            self.for_each_process(path, &mut |pid| {
                met += 1;
                for file in &files {
                    // Who has ended since need not be moved.
                    let _ = rustix::io::write(file, Digits::signed(pid.into()).as_bytes());
                }
            })
            .during(msg!("read cgroup.procs"))?;
            if met == before {
                break;
            }
            before = met;
        }
        Ok(())
    }

    /// Opens the file through which a process joins the cgroup.
    fn procs(&self, directory: &Path) -> core::result::Result<OwnedFd, Errno> {
        Path::of(&[directory.as_bytes(), b"/cgroup.procs"]).open(self.top.as_fd(), OFlags::WRONLY)
    }
}

/// What is there. Cgroups that only cannot be looked at must not pass for none: a container would have no limits, and keep
/// its cgroup after its end.
fn found<T>(looked: core::result::Result<T, Errno>) -> Option<T> {
    match looked {
        Ok(value) => Some(value),
        Err(Errno::NOENT) => None,
        Err(errno) => Error::new(msg!("look at the host's cgroups"), errno).never(),
    }
}

/// Some of the host's hierarchies, by their places.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hierarchies(u32);

impl Hierarchies {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u32::MAX);

    fn contains(self, place: usize) -> bool {
        self.0 & 1_u32.unbounded_shl(place as u32) != 0
    }

    fn with(self, place: usize) -> Self {
        Self(self.0 | 1_u32.unbounded_shl(place as u32))
    }
}

/// The lines of `/proc/self/cgroup` that are about hierarchies below `/sys/fs/cgroup`: those with a name, or in version 2
/// the one without.
struct Lines<'a> {
    rest: &'a str,
    is_v2: bool,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a str, &'a str);

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            // As in `4:cpu,cpuacct:/user`.
            let mut line = cut(&mut self.rest, b'\n');
            let _number = cut(&mut line, b':');
            let controllers = cut(&mut line, b':');
            let name = controllers.strip_prefix("name=").unwrap_or(controllers);
            if name.is_empty() == self.is_v2 {
                return Some((name, line));
            }
        }
        None
    }
}

/// Whether `controller` is among the `names`, which commas part.
fn lists(mut names: &str, controller: &str) -> bool {
    while !names.is_empty() {
        if cut(&mut names, b',') == controller {
            return true;
        }
    }
    false
}

/// `path` without slashes at its end; `None` where nothing but them, and dots that mean nothing, is there.
fn without_slashes(path: &[u8]) -> Option<&[u8]> {
    components(path).next()?;
    Some(crate::path::without_slashes(path))
}

const REMOVE_ATTEMPTS: u32 = 200;

static HOST: sys::Once<Option<Host>> = sys::Once::new();

/// What the host has, looked at once.
pub fn host(proc: &Proc) -> Option<&'static Host> {
    HOST.get_or_make(|| Host::detect(proc)).as_ref()
}

/// A cgroup that create has made.
pub struct NewCgroup {
    host: &'static Host,
    path: &'static CStr,
    /// Where it was made.
    made: Cell<Hierarchies>,
    /// `cgroup.procs` of each of these, open for writing, so that the container process joins by itself.
    procs: Vec<OwnedFd, HIERARCHIES_MAX>,
    /// Version 2: the directory, for a clone straight into it.
    pub directory: Option<OwnedFd>,
    /// Whether the process was made inside it and need not be moved there.
    entered: Cell<bool>,
    /// Whether somebody else makes it once there is a process, which has to wait for that.
    pub is_awaited: bool,
}

impl NewCgroup {
    /// One that somebody else is to make.
    pub const fn awaited(host: &'static Host, path: &'static CStr) -> Self {
        Self {
            host,
            path,
            made: Cell::new(Hierarchies::NONE),
            procs: Vec::new(),
            directory: None,
            entered: Cell::new(false),
            is_awaited: true,
        }
    }

    /// Makes the cgroup, or what is missing of one of systemd's: in version 1 in every hierarchy, or else in the one that every
    /// container is in, to which those come that a limit needs. The inner error is that of who has no right to make one.
    pub fn make(
        host: &'static Host,
        path: &'static CStr,
        everywhere: bool,
        is_systemds: bool,
    ) -> Result<core::result::Result<Self, Errno>> {
        let mut new = Self {
            is_awaited: false,
            ..Self::awaited(host, path)
        };
        let (main, _) = host.main_hierarchy();
        for (place, (name, _)) in host.lines().enumerate() {
            if place != main && !everywhere {
                continue;
            }
            // What systemd has made is there, or has gone with its last process: nobody would remove it if it were made again.
            let made = match is_systemds && host.is_systemds(name) {
                true => Ok(()),
                false => host.make(name, path),
            };
            match made {
                Ok(()) => new.made.set(new.made.get().with(place)),
                // What was made is no cgroup.
                Err(Errno::NOENT | Errno::ROFS) if place != main && !Host::has_mounted(name) => host.unmake(name, path),
                Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => return Ok(Err(errno)),
                Err(errno) => return Err(make_error(path, errno)),
            }
        }
        if host.is_v2 {
            let directory = host.directory("", path);
            enable_controllers(host.top.as_fd(), directory.as_c_str());
            new.directory = Some(
                directory
                    .open(host.top.as_fd(), DIRECTORY)
                    .during(msg!("open cgroup"))?,
            );
        }
        Ok(Ok(new))
    }

    /// Opens the files through which the container process joins, once all hierarchies are made.
    pub fn open_procs(&mut self) -> Result<()> {
        let (main, _) = self.host.main_hierarchy();
        for (place, (name, _)) in self.host.lines().enumerate() {
            if self.made.get().contains(place) {
                let directory = self.host.directory(name, self.path);
                let procs = match self.host.procs(&directory) {
                    // As above.
                    Err(Errno::NOENT) if place != main && !Host::has_mounted(name) => {
                        self.host.unmake(name, self.path);
                        continue;
                    }
                    procs => procs.during(msg!("open cgroup.procs"))?,
                };
                if self.procs.push(procs).is_err() {
                    return Err(Error::said(msg!(
                        "more cgroup hierarchies than roci knows (HIERARCHIES_MAX)"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Gives the cgroup (version 2) to `uid` of the host, who may then make cgroups below it: the directory, and the files
    /// that the kernel says go with it (config-linux.md, Cgroup ownership).
    pub fn give_to(&self, uid: u32) -> Result<()> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        let owner = Some(Uid::from_raw(uid));
        chownat(directory, c".", owner, None, AtFlags::empty()).during(msg!("chown cgroup"))?;
        let mut memory = [0; 1024];
        let listed = open(c"/sys/kernel/cgroup/delegate", OFlags::RDONLY)
            .and_then(|file| read(file.as_fd(), &mut memory))
            .unwrap_or_default();
        // Before Linux 4.15 there is no list.
        let names = if listed.is_empty() {
            &b"cgroup.procs\ncgroup.subtree_control\ncgroup.threads"[..]
        } else {
            listed
        };
        for name in names.split(|byte| *byte == b'\n').filter(|name| !name.is_empty()) {
            match chownat(directory, Path::new(name).as_c_str(), owner, None, AtFlags::empty()) {
                // A file of a controller that is not there.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::new(msg!("chown cgroup"), errno)),
            }
        }
        Ok(())
    }

    /// Where limits may add to what was made.
    pub fn made(&self) -> &Cell<Hierarchies> {
        &self.made
    }

    /// Where it is.
    pub fn host(&self) -> &'static Host {
        self.host
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
            write_all(procs.as_fd(), pid).during(msg!("join cgroup"))?;
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
    Error::new_with(msg!("make cgroup #"), utf8(path.to_bytes()), errno)
}

/// Makes a directory below `top`, with those above it but for the one that a hierarchy is mounted on, whose name has so many bytes.
fn make_directory(top: BorrowedFd<'_>, path: &CStr, hierarchy: usize) -> core::result::Result<(), Errno> {
    let make = |path: &CStr| match mkdirat(top, path, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(false),
        result => result.map(|()| true),
    };
    match make(path) {
        Ok(_) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let bytes = path.to_bytes();
    for (end, _) in bytes
        .iter()
        .enumerate()
        .skip(hierarchy + 1)
        .filter(|(_, byte)| **byte == b'/')
    {
        let prefix = Path::new(bytes.get(..end).unwrap_or_default());
        if make(prefix.as_c_str())? {
            // Only a cpuset directory has the files; anywhere else there is nothing to fill.
            let _ = fill_cpuset(prefix.open(top, DIRECTORY)?);
        }
    }
    make(path).map(drop)
}

#[cfg(test)]
mod tests;
