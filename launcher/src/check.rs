//! `check`: what this host's kernel offers, on one screen, and what follows where it lacks something.
//!
//! Every probe asks the kernel in the way that roci itself will, and changes nothing.

use core::fmt::Write;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use spec_core::linux::NamespaceKind;

use crate::cgroup::Host;
use crate::cli::{Invocation, Opt};
use crate::error::Result;
use crate::output::Output;
use crate::path::Path;
use crate::proc::Proc;

/// What one row is about.
#[derive(Clone, Copy)]
enum Probe {
    Namespace(NamespaceKind),
    FileSystem(&'static str),
    Call(sys::probe::Call),
    OpenAt2,
    Cgroup,
    Seccomp,
}

struct Row {
    name: &'static str,
    probe: Probe,
    /// The kernel's option, or its age.
    needs: &'static str,
    /// Whether a plain bundle, as `roci spec` writes it, runs without it.
    plain: bool,
    /// What roci does without it.
    without: &'static str,
}

const fn row(name: &'static str, probe: Probe, needs: &'static str, plain: bool, without: &'static str) -> Row {
    Row {
        name,
        probe,
        needs,
        plain,
        without,
    }
}

use Probe::{Call, Cgroup, FileSystem, Namespace, OpenAt2, Seccomp};

const ROWS: &[Row] = &[
    row(
        "mount namespace",
        Namespace(NamespaceKind::Mount),
        "",
        false,
        "no container",
    ),
    row(
        "pid namespace",
        Namespace(NamespaceKind::Pid),
        "CONFIG_PID_NS",
        false,
        "leave it out of the bundle",
    ),
    row(
        "network namespace",
        Namespace(NamespaceKind::Network),
        "CONFIG_NET_NS",
        false,
        "leave it out of the bundle",
    ),
    row(
        "ipc namespace",
        Namespace(NamespaceKind::Ipc),
        "CONFIG_IPC_NS",
        false,
        "leave it out of the bundle",
    ),
    row(
        "uts namespace",
        Namespace(NamespaceKind::Uts),
        "CONFIG_UTS_NS",
        false,
        "leave it and the hostname out",
    ),
    row(
        "user namespace",
        Namespace(NamespaceKind::User),
        "CONFIG_USER_NS",
        true,
        "no containers for plain users",
    ),
    row(
        "cgroup namespace",
        Namespace(NamespaceKind::Cgroup),
        "CONFIG_CGROUPS",
        true,
        "leave it out of the bundle",
    ),
    row(
        "time namespace",
        Namespace(NamespaceKind::Time),
        "CONFIG_TIME_NS",
        true,
        "leave it out of the bundle",
    ),
    row("proc", FileSystem("proc"), "CONFIG_PROC_FS", false, "no container"),
    row(
        "tmpfs",
        FileSystem("tmpfs"),
        "CONFIG_TMPFS",
        false,
        "no /dev of its own",
    ),
    row(
        "sysfs",
        FileSystem("sysfs"),
        "CONFIG_SYSFS",
        false,
        "leave the mount out",
    ),
    row(
        "devpts",
        FileSystem("devpts"),
        "CONFIG_UNIX98_PTYS",
        false,
        "no terminals",
    ),
    row(
        "mqueue",
        FileSystem("mqueue"),
        "CONFIG_POSIX_MQUEUE",
        false,
        "leave the mount out",
    ),
    row(
        "overlay",
        FileSystem("overlay"),
        "CONFIG_OVERLAY_FS (or its module)",
        true,
        "no overlay root file systems",
    ),
    row(
        "cgroups",
        Cgroup,
        "CONFIG_CGROUPS, mounted on /sys/fs/cgroup",
        true,
        "containers run without a cgroup",
    ),
    row(
        "seccomp filters",
        Seccomp,
        "CONFIG_SECCOMP_FILTER",
        true,
        "bundles with a seccomp profile are refused",
    ),
    row(
        "openat2",
        OpenAt2,
        "Linux 5.6",
        true,
        "paths are walked one component at a time",
    ),
    row(
        "clone3",
        Call(sys::probe::Call::Clone3),
        "Linux 5.3",
        true,
        "clone; no time namespaces",
    ),
    row(
        "mount API",
        Call(sys::probe::Call::OpenTree),
        "Linux 5.2",
        true,
        "mount(2) onto /proc/self/fd",
    ),
    row(
        "mount_setattr",
        Call(sys::probe::Call::MountSetattr),
        "Linux 5.12",
        true,
        "no recursive options, no idmap",
    ),
    row(
        "pidfd",
        Call(sys::probe::Call::PidfdOpen),
        "Linux 5.3",
        true,
        "pids and start times",
    ),
    row(
        "close_range",
        Call(sys::probe::Call::CloseRange),
        "Linux 5.9",
        true,
        "each descriptor in /proc/self/fd",
    ),
    row(
        "memfd",
        Call(sys::probe::Call::MemfdCreate),
        "Linux 3.17",
        true,
        "no hooks",
    ),
    row(
        "keyrings",
        Call(sys::probe::Call::Keyctl),
        "CONFIG_KEYS",
        true,
        "there are none to part",
    ),
];

/// `check`; the exit status says whether a plain bundle can run.
pub fn check(invocation: &Invocation) -> Result<u8> {
    let proc = Proc::open()?;
    let json = invocation.has(Opt::Json);
    let mut out = Output::new();
    let mut runs = true;
    let mut separator = "[\n";
    for row in ROWS {
        let present = probe(&proc, row.probe);
        runs &= present || row.plain;
        let Row {
            name, needs, without, ..
        } = row;
        if json {
            let _ = write!(
                out,
                "{separator}  {{\"name\":\"{name}\",\"present\":{present},\"needs\":\"{needs}\",\"without\":\"{without}\"}}"
            );
            separator = ",\n";
        } else if present {
            let _ = writeln!(out, "{name:<18} present");
        } else {
            let _ = writeln!(out, "{name:<18} missing: needs {needs}; without it: {without}");
        }
    }
    let _ = out.write_str(if json {
        "\n]\n"
    } else if runs {
        "A plain bundle can run here.\n"
    } else {
        "A plain bundle cannot run here.\n"
    });
    out.finish()?;
    Ok(if runs { 0 } else { crate::exit::FAILED })
}

fn probe(proc: &Proc, probe: Probe) -> bool {
    let missing = |errno| errno == Errno::NOSYS;
    match probe {
        Namespace(kind) => {
            let name = kind.proc_name().to_str().unwrap_or_default();
            let path = Path::format(format_args!("self/ns/{name}"));
            rustix::fs::statat(proc.as_fd(), path.as_c_str(), rustix::fs::AtFlags::empty()).is_ok()
        }
        FileSystem(name) => knows_file_system(proc, name),
        Call(call) => !matches!(sys::probe::call_with_nonsense(call), Err(errno) if missing(errno)),
        OpenAt2 => {
            !matches!(openat2(CWD, c".", OFlags::PATH, Mode::empty(), ResolveFlags::empty()), Err(errno) if missing(errno))
        }
        Cgroup => Host::detect(proc).is_some(),
        Seccomp => sys::probe::has_seccomp_filters(),
    }
}

/// Whether `/proc/filesystems` lists it. A module that is not loaded yet is not listed.
fn knows_file_system(proc: &Proc, name: &str) -> bool {
    let mut memory = [0; 4096];
    let Ok(file) = proc.open_file(c"filesystems", OFlags::RDONLY) else {
        return false;
    };
    let n = rustix::io::read(&file, &mut memory).unwrap_or(0);
    memory[..n]
        .split(|&byte| byte == b'\n')
        .any(|line| line.split(|&byte| byte == b'\t').next_back() == Some(name.as_bytes()))
}
