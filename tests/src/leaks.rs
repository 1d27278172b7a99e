//! What a test has left behind. Everything a test makes carries its token in a name, so tests may run side by side.

use crate::machine::cgroup_mounts;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What carries the token and should be gone.
#[derive(Debug, Default, PartialEq)]
pub struct Leftovers {
    processes: Vec<(i32, String)>,
    mounts: Vec<String>,
    cgroups: Vec<PathBuf>,
    links: Vec<String>,
    loop_devices: Vec<String>,
    state: Vec<PathBuf>,
}

impl Leftovers {
    /// Looks once.
    pub fn find(token: &str, state: &Path) -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mounts = mountinfo
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|path| path.contains(token));
        let mut cgroups = Vec::new();
        for mount in cgroup_mounts() {
            find_directories(&mount, token, &mut cgroups, 0);
        }
        Self {
            processes: processes(token),
            mounts: mounts.map(str::to_owned).collect(),
            cgroups,
            links: links().into_iter().filter(|name| name.contains(token)).collect(),
            loop_devices: loop_devices(token),
            state: entries(state),
        }
    }

    /// What runtimes have done to the host's /dev/null, which many a container has as its standard input; it is
    /// repaired, since nothing on the machine works without it.
    pub fn repair_dev_null() -> Option<String> {
        let null = fs::symlink_metadata("/dev/null").ok()?;
        let found = (null.mode(), null.uid(), null.gid(), null.rdev());
        let device = rustix::fs::makedev(1, 3);
        if found == (0o020_666, 0, 0, device) {
            return None;
        }
        if !null.file_type().is_char_device() {
            let _ = fs::remove_file("/dev/null");
            let mode = rustix::fs::Mode::from_raw_mode(0o666);
            let _ = rustix::fs::mknodat(
                rustix::fs::CWD,
                "/dev/null",
                rustix::fs::FileType::CharacterDevice,
                mode,
                device,
            );
        }
        let _ = std::os::unix::fs::chown("/dev/null", Some(0), Some(0));
        let _ = fs::set_permissions("/dev/null", fs::Permissions::from_mode(0o666));
        Some(format!(
            "the host's /dev/null became mode {:o}, owner {}:{}, device {:x}",
            found.0, found.1, found.2, found.3
        ))
    }

    /// Looks until nothing is left or two seconds are over: the kernel takes down a namespace after the last process.
    pub fn settle(token: &str, state: &Path) -> Self {
        let deadline = Instant::now() + crate::patience(2);
        loop {
            let found = Self::find(token, state);
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Removes what was found, so that one failed test does not fail the next ones.
    pub fn clear(&self) {
        for (pid, _) in &self.processes {
            if let Some(pid) = rustix::process::Pid::from_raw(*pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for mount in self.mounts.iter().rev() {
            let _ = Command::new("umount").args(["-l", mount]).output();
        }
        for link in &self.links {
            let _ = Command::new("ip").args(["link", "delete", link]).output();
        }
        for device in &self.loop_devices {
            let _ = Command::new("losetup").args(["-d", device]).output();
        }
        // Deepest first; a process that was just killed may keep a directory busy for a moment.
        for _ in 0..100 {
            let busy = self
                .cgroups
                .iter()
                .rev()
                .filter(|path| path.exists() && fs::remove_dir(path).is_err())
                .count();
            if busy == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl std::fmt::Display for Leftovers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (pid, what) in &self.processes {
            writeln!(f, "  process {pid}: {what}")?;
        }
        self.mounts
            .iter()
            .try_for_each(|mount| writeln!(f, "  mount {mount}"))?;
        self.cgroups
            .iter()
            .try_for_each(|path| writeln!(f, "  cgroup {}", path.display()))?;
        self.links
            .iter()
            .try_for_each(|name| writeln!(f, "  network link {name}"))?;
        self.loop_devices
            .iter()
            .try_for_each(|device| writeln!(f, "  loop device {device}"))?;
        self.state
            .iter()
            .try_for_each(|path| writeln!(f, "  state {}", path.display()))
    }
}

/// The network links of our namespace.
pub fn links() -> Vec<String> {
    entries(Path::new("/sys/class/net"))
        .iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .collect()
}

/// Loop devices that show a file with the token in its path.
pub fn loop_devices(token: &str) -> Vec<String> {
    let shows =
        |device: &PathBuf| fs::read_to_string(device.join("loop/backing_file")).is_ok_and(|file| file.contains(token));
    let name = |device: PathBuf| Some(format!("/dev/{}", device.file_name()?.to_str()?));
    let devices = entries(Path::new("/sys/block")).into_iter();
    devices.filter(shows).filter_map(name).collect()
}

/// Living processes whose command line, environment or cgroup carries the token, ourselves aside.
pub fn processes(token: &str) -> Vec<(i32, String)> {
    let contains = |bytes: &[u8]| bytes.windows(token.len()).any(|window| window == token.as_bytes());
    let mut found = Vec::new();
    for process in entries(Path::new("/proc")) {
        let Some(pid) = process.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        if pid == std::process::id() as i32 {
            continue;
        }
        let read = |file: &str| fs::read(process.join(file)).unwrap_or_default();
        if !["cmdline", "environ", "cgroup"]
            .iter()
            .any(|file| contains(&read(file)))
        {
            continue;
        }
        // A zombie is for its parent to reap, and holds nothing.
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        if stat.is_empty()
            || stat
                .rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
        {
            continue;
        }
        found.push((pid, String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
    }
    found
}

/// The entries of a directory, none when it does not exist.
pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Directories below `directory` with the token in their name, parents before children.
pub(crate) fn find_directories(directory: &Path, token: &str, found: &mut Vec<PathBuf>, depth: u32) {
    // What the tests make is near the top; a cgroup of the machine's own with a deep tree is not ours to walk.
    if depth > 6 {
        return;
    }
    for path in entries(directory).into_iter().filter(|path| path.is_dir()) {
        if path.to_string_lossy().contains(token) {
            found.push(path.clone());
        }
        find_directories(&path, token, found, depth + 1);
    }
}
