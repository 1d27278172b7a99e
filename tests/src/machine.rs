//! What the machine that runs the tests has, and the little that may be installed on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Whether a program of that name is in `PATH` (or in the places that a user's `PATH` often lacks).
pub fn have(program: &str) -> bool {
    find_program(program).is_some()
}

/// The path of a program, searched as [`have`] does.
pub fn find_program(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Path::new(program).exists().then(|| program.into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        .map(|dir| Path::new(dir).join(program))
        .find(|candidate| candidate.is_file())
}

/// Installs Debian packages, quietly. The error is the sentence that a skipped test prints.
pub fn apt_install(packages: &[&str]) -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err(format!("{} missing, and only root can install it", packages.join(" ")));
    }
    if !have("apt-get") {
        return Err(format!(
            "{} missing, and this machine has no apt-get",
            packages.join(" ")
        ));
    }
    let install = || {
        Command::new("apt-get")
            .args([
                "-qq",
                "-o",
                "DPkg::Lock::Timeout=300",
                "install",
                "-y",
                "--no-install-recommends",
            ])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
    };
    let succeeded = |output: std::io::Result<std::process::Output>| output.is_ok_and(|output| output.status.success());
    if succeeded(install()) {
        return Ok(());
    }
    // A fresh image has no package lists.
    let _ = Command::new("apt-get")
        .args(["-qq", "update"])
        .stdin(Stdio::null())
        .output();
    let output = install().map_err(|error| format!("apt-get: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!(
        "apt-get install {}: {}",
        packages.join(" "),
        text.lines().last().unwrap_or("failed")
    ))
}

/// The mount points of the cgroup hierarchies, v1 and v2.
pub fn cgroup_mounts() -> Vec<PathBuf> {
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mountinfo
        .lines()
        .filter(|line| line.contains(" - cgroup ") || line.contains(" - cgroup2 "))
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .collect()
}

/// The two first numbers of the kernel's version.
pub fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Whether this machine lets us make user namespaces.
pub fn user_namespaces() -> bool {
    Path::new("/proc/self/ns/user").exists()
        && std::fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|n| n.trim() != "0")
}

/// One field of a process's `/proc/PID/status`, without the name and trimmed.
pub fn proc_status(pid: i64, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// The start time of a process in clock ticks: with the pid it names a process, which the pid alone does not.
pub fn start_time(pid: i64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may itself hold blanks and parentheses.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}
