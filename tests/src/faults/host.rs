//! What of the host has to be as before.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::tracer::read_file;
use crate::leaks::{entries, find_directories, loop_devices};
use crate::machine::cgroup_mounts;

/// The host as this worker sees it, as lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Host(BTreeSet<String>);

impl Host {
    /// Looks once. `token` is in the names of all that the worker makes, `directory` is where its files are.
    pub fn look(token: &str, directory: &Path, with_rules: bool) -> Self {
        reap();
        let mut lines = BTreeSet::new();
        let mut add = |kind: &str, text: &str| {
            lines.extend(text.lines().map(|line| format!("{kind} {line}")));
        };
        for process in entries(Path::new("/proc")) {
            let pid = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
            if let Some(pid) = pid.filter(|pid| *pid != 1) {
                let command = read_file(&format!("/proc/{pid}/cmdline")).replace('\0', " ");
                add("process", &command);
            }
        }
        for line in read_file("/proc/self/mountinfo").lines() {
            // Without the options of the file system, which belong to all of the machine.
            let mut parts = line.split(" - ");
            let (place, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            add(
                "mount",
                &format!("{place} {}", kind.split(' ').next().unwrap_or_default()),
            );
        }
        for mount in cgroup_mounts() {
            let mut found = Vec::new();
            find_directories(&mount, token, &mut found, 0);
            found.iter().for_each(|path| add("cgroup", &path.to_string_lossy()));
        }
        for line in read_file("/proc/net/dev").lines() {
            add("link", line.split(':').next().unwrap_or_default().trim());
        }
        add("address", &read_file("/proc/net/fib_trie"));
        add("address", &read_file("/proc/net/if_inet6"));
        add("route", &read_file("/proc/net/route"));
        add("forwarding", &read_file("/proc/sys/net/ipv4/ip_forward"));
        if with_rules {
            let rules = Command::new("nft").args(["list", "ruleset"]).output();
            add(
                "rule",
                &String::from_utf8_lossy(&rules.map(|output| output.stdout).unwrap_or_default()),
            );
        }
        loop_devices(token).iter().for_each(|device| add("loop", device));
        files(directory, &mut |path| add("file", path));
        Self(lines)
    }

    /// What is there that was not, and the other way round; `None` where nothing has changed. The kernel takes down what a dead
    /// process held a moment after its death, so it is given time.
    pub fn differs(&self, token: &str, directory: &Path, with_rules: bool) -> Option<String> {
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            let now = Self::look(token, directory, with_rules);
            if now == *self {
                return None;
            }
            if Instant::now() > deadline {
                let more = now.0.difference(&self.0).map(|line| format!("+{line}"));
                let less = self.0.difference(&now.0).map(|line| format!("-{line}"));
                return Some(more.chain(less).collect::<Vec<_>>().join("; "));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Waits for those that have ended, and lets go of who is still traced.
pub fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => return,
            Ok(WaitStatus::PtraceEvent(pid, ..) | WaitStatus::PtraceSyscall(pid) | WaitStatus::Stopped(pid, _)) => {
                let _ = ptrace::detach(pid, None);
            }
            _ => {}
        }
    }
}

/// Every file below `directory`, without what is in root file systems.
fn files(directory: &Path, each: &mut dyn FnMut(&str)) {
    for path in entries(directory) {
        each(&path.to_string_lossy());
        let is_real = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        if is_real && path.file_name().is_some_and(|name| name != "rootfs") {
            files(&path, each);
        }
    }
}
