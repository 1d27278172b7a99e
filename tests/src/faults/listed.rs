//! The calls that a command does without, by design: each with its reason. Whatever is not in here and fails has to be told.
//!
//! Where nothing is said of a difference, the container has to be the very same as without the fault: then there is another
//! way to the same thing.

use nix::errno::Errno;

use super::calls;
use super::case::{Case, Command, Point};
use super::tracer::Fault;

/// A call that may fail.
struct Optional {
    call: &'static str,
    /// A part of what tells the call from its likes, or, where nothing does, which one it is, as in `sendto#6 `.
    shows: &'static str,
    /// Parts of the case's name.
    case: &'static str,
    /// The errors, or none for any.
    errnos: &'static [&'static str],
    /// Whether the container may be another one then.
    differs: bool,
    reason: &'static str,
}

const fn same(
    call: &'static str,
    shows: &'static str,
    errnos: &'static [&'static str],
    reason: &'static str,
) -> Optional {
    Optional {
        call,
        shows,
        case: "",
        errnos,
        differs: false,
        reason,
    }
}

const fn other(
    call: &'static str,
    shows: &'static str,
    errnos: &'static [&'static str],
    reason: &'static str,
) -> Optional {
    Optional {
        differs: true,
        ..same(call, shows, errnos, reason)
    }
}

const fn only(case: &'static str, optional: Optional) -> Optional {
    Optional { case, ..optional }
}

const OLD_KERNEL: &str =
    "kernels that lack the call are done without it, and a filter that forbids it counts as its lack";
const AGAIN: &str = "it is tried again";
const POSTSTOP: &str = "a poststop hook that fails is a warning (runtime.md, step 13)";
const IS_A_CONTAINER: &str = "what is not there was deleted before: there is nothing to do";
const ENDS_BY_ITSELF: &str = "a scope ends with its last process, and without systemd delete removes what it has made";
const LAST_TOLD: &str = "the period is the last that systemd is told, and older ones do not know it (before 244)";
const KILLED_LATER: &str = "what is left in a scope is killed, or told of, where the cgroup is removed";
const HAS_ENDED: &str =
    "who is not there has ended, a cgroup that is gone has no processes, and what the kernel does not count is 0";
const NO_RIGHT: &str = "who has no right to a cgroup, and asks for no limit, has none";

const OPTIONAL: &[Optional] = &[
    other(
        "mount",
        "\"devpts\"",
        &["EINVAL"],
        "the group of terminals may have no number in a user namespace",
    ),
    same(
        "close",
        "",
        &[],
        "the descriptor is closed whatever close says; what was written has been written before",
    ),
    // Kernels that lack a call.
    same("openat2", "", &["ENOSYS", "EPERM", "EACCES", "EAGAIN"], OLD_KERNEL),
    same("open_tree", "", &[], OLD_KERNEL),
    same("move_mount", "", &[], OLD_KERNEL),
    same("fsopen", "", &[], OLD_KERNEL),
    same("fsconfig", "", &[], OLD_KERNEL),
    same("fsmount", "", &[], OLD_KERNEL),
    same("mount_setattr", "", &[], OLD_KERNEL),
    same("close_range", "", &["ENOSYS", "EPERM"], OLD_KERNEL),
    same("clone3", "", &["ENOSYS", "EINVAL", "EPERM"], OLD_KERNEL),
    same("pidfd_open", "", &[], OLD_KERNEL),
    same("pidfd_send_signal", "", &["ENOSYS", "EPERM"], OLD_KERNEL),
    same("memfd_create", "", &[], OLD_KERNEL),
    same("seccomp", "", &["ENOSYS", "EINVAL", "EPERM"], OLD_KERNEL),
    same(
        "keyctl",
        "",
        &["ENOSYS", "EPERM", "EACCES", "EDQUOT"],
        "there is then no keyring to share, or no room for another (as runc)",
    ),
    same("setsockopt", "", &[], "errors of netlink come without words then"),
    // What is tried again.
    same("recvmsg", "", &["EINTR"], AGAIN),
    same("recvfrom", "", &["EINTR"], AGAIN),
    same("sendto", "", &["EINTR"], AGAIN),
    same("read", "", &["EINTR"], AGAIN),
    same("write", "", &["EINTR"], AGAIN),
    same("wait4", "", &["EINTR"], AGAIN),
    same("waitid", "", &["EINTR"], AGAIN),
    same("ppoll", "", &[], AGAIN),
    same("recvmsg", "", &["ECONNRESET"], AGAIN),
    other("mknodat", "/dev", &["EPERM"], "who may not make nodes gets the host's"),
    other("symlinkat", "", &["EEXIST"], "what the image has in its place stays"),
    other(
        "openat2",
        "/rootfs, ",
        &["ENOENT", "ENOTDIR"],
        "a path that this kernel does not have needs no protection",
    ),
    same("openat2", "/rootfs, ", &[], "it is looked for step by step"),
    same(
        "openat",
        "/rootfs/dev, ",
        &["ELOOP", "ENOTDIR"],
        "it is looked for step by step",
    ),
    same(
        "mkdirat",
        "/sys/fs/cgroup",
        &["ENOENT"],
        "what is above it is made first",
    ),
    same("openat", "cfs_period_us", &[], "the quota is written first"),
    same("write", "cfs_period_us", &[], "the quota is written first"),
    other(
        "openat",
        "devices.deny",
        &["ENODEV"],
        "a container that cannot make nodes needs no rules for them",
    ),
    other("openat2", "disable_ipv6", &["ENOENT"], "a kernel without IPv6"),
    same("socket", "0x2)", &["EAFNOSUPPORT"], "a kernel without IPv4"),
    same("setresgid", "", &["EINVAL"], "who is not mapped stays nobody"),
    same("setresuid", "", &["EINVAL"], "who is not mapped stays nobody"),
    same(
        "unlinkat",
        "upper.work",
        &["EISDIR", "EPERM", "ENOTEMPTY"],
        "it may be a directory",
    ),
    same("unlinkat", "/state, ", &["ENOTEMPTY"], "what is in it is removed first"),
    same("mkdirat", "/rootfs", &[], "it is looked for step by step"),
    same("mkdirat", "/state", &["EEXIST"], "it is there"),
    same("umount2", "", &["EINVAL"], "it is not mounted any more"),
    same("setns", "pidfd", &["EINVAL"], OLD_KERNEL),
    same(
        "prctl",
        "0x18",
        &["EINVAL"],
        "the kernel knows no capability of that number",
    ),
    same(
        "openat",
        "/sys/fs/cgroup",
        &["ENOENT"],
        "a cgroup is made where a limit needs it",
    ),
    same(
        "newfstatat",
        "upper.work\"",
        &["ENOENT"],
        "it is made where it is missing",
    ),
    same("flock", "", &["EINTR"], AGAIN),
    same("rt_sigtimedwait", "", &["EINTR"], AGAIN),
    same("unlinkat", "/sys/fs/cgroup", &["EBUSY"], AGAIN),
    // The executable and /proc.
    same(
        "statfs",
        "/proc/self/exe",
        &[],
        "what is not known to be read-only is copied",
    ),
    same("fstatfs", "/roci", &[], "what is not known to be read-only is copied"),
    same(
        "openat",
        "\"/proc/self/exe\"",
        &[],
        "it is found through a private procfs",
    ),
    same("openat", ", \"/proc\"", &[], "a private procfs is mounted"),
    same("fstat", "(/proc)", &[], "a private procfs is mounted"),
    same("fstatfs", "(/proc)", &[], "a private procfs is mounted"),
    same(
        "openat",
        "uid_map\"",
        &[],
        "who cannot read the map has no user namespace",
    ),
    same("read", "/uid_map", &[], "who cannot read the map has no user namespace"),
    // Cgroups.
    other("mkdirat", "/sys/fs/cgroup", &["EACCES", "EPERM", "EROFS"], NO_RIGHT),
    other("openat", "/sys/fs/cgroup", &["EACCES", "EPERM", "EROFS"], NO_RIGHT),
    other("read", "/sys/fs/cgroup/cpuset", &["EACCES", "EPERM"], NO_RIGHT),
    other("write", "/sys/fs/cgroup/cpuset", &["EACCES", "EPERM"], NO_RIGHT),
    other(
        "openat",
        "\"/sys/fs/cgroup\"",
        &["ENOENT"],
        "the host has no cgroups, and no limit is asked for",
    ),
    other(
        "openat2",
        "self/cgroup\"",
        &["ENOENT"],
        "the host has no cgroups, and no limit is asked for",
    ),
    only(
        "exec/",
        other(
            "openat",
            "/cgroup.procs\"",
            &["ENOENT"],
            "the container is not in that hierarchy",
        ),
    ),
    same("openat", "freezer.state\"", &["ENODEV", "EOPNOTSUPP"], HAS_ENDED),
    other(
        "mount",
        "\"sysfs\"",
        &["EPERM"],
        "who may not mount sysfs gets the host's, read-only",
    ),
    other(
        "mount",
        "\"cgroup\"",
        &["EPERM", "EBUSY", "EINVAL"],
        "who may not mount cgroups gets copies of the host's directories, read-only",
    ),
    other(
        "mount",
        "\"tmpfs\"",
        &[],
        "a mask whose smallest size the kernel does not know has its default size",
    ),
    same(
        "openat2",
        "\"/proc/acpi\"",
        &[],
        "the mask is made anew for each directory",
    ),
    // What an image lacks.
    other(
        "openat",
        "\"/etc/passwd\"",
        &[],
        "HOME is / where the user's cannot be found (as runc)",
    ),
    other(
        "read",
        "/etc/passwd",
        &[],
        "HOME is / where the user's cannot be found (as runc)",
    ),
    other(
        "openat",
        "\"/etc/resolv.conf\"",
        &[],
        "where the host has no servers, the gateway is asked",
    ),
    other(
        "openat",
        "/resolve/resolv.conf\"",
        &[],
        "where the host has no servers, the gateway is asked",
    ),
    other(
        "openat2",
        "\"/etc/",
        &["EROFS", "EACCES", "EPERM"],
        "an image that cannot be written and has no such file does without",
    ),
    same(
        "openat",
        "\"/dev/null\"",
        &[],
        "an image without a null device gets no stream of the host's in its place",
    ),
    same("chdir", "", &["ENOENT"], "a working directory that is missing is made"),
    same(
        "capset",
        "",
        &["EPERM"],
        "what roci does not have itself it cannot give",
    ),
    same(
        "fchmodat",
        "upper.work",
        &[],
        "the kernel's directory may be removable as it is",
    ),
    same("fchownat", "upper.work", &[], "a plain user is the owner already"),
    same("fchdir", "rootfs)", &[], "it is entered by name"),
    same(
        "fchown",
        "/dev/pts",
        &["EPERM"],
        "a terminal that cannot be given to the container's user works all the same (as runc)",
    ),
    same("openat", ", \".\"", &[], "roci need not go back to where it was"),
    same("fcntl", "pipe", &[], "a hook's output may be non-blocking"),
    same(
        "close_range",
        "0x3",
        &[],
        "what is roci's own closes on exec; what others leaked to it does not",
    ),
    same("flock", "", &[], "unlocking cannot fail; who waits would go on to"),
    same(
        "prctl",
        "0x17",
        &["EINVAL"],
        "the kernel knows no capability of that number",
    ),
    same("openat2", "ip_forward\"", &["ENOENT"], "a kernel without IPv4"),
    // What is deleted.
    only("delete", other("openat2", "/stat\"", &["ENOENT"], IS_A_CONTAINER)),
    other("openat", "/state\"", &["ENOENT"], IS_A_CONTAINER),
    only("delete", other("openat", "/state, ", &["ENOENT"], IS_A_CONTAINER)),
    same("newfstatat", "exec.fifo\"", &["ENOENT"], "it was started before"),
    same(
        "openat",
        "state.json\"",
        &["ENOENT"],
        "create may be at work, so it is looked for again",
    ),
    only(
        "delete",
        other(
            "openat",
            "state.json\"",
            &["ENOENT"],
            "create was killed before it wrote it",
        ),
    ),
    only(
        "delete",
        same(
            "openat",
            "config.json\"",
            &[],
            "a damaged copy must not keep a container for ever",
        ),
    ),
    only(
        "delete",
        same(
            "read",
            "config.json",
            &[],
            "a damaged copy must not keep a container for ever",
        ),
    ),
    same("unlinkat", "", &["ENOENT"], IS_A_CONTAINER),
    only(
        "delete-force",
        same("pidfd_send_signal", "", &["ESRCH"], IS_A_CONTAINER),
    ),
    same("kill", "", &["ESRCH"], IS_A_CONTAINER),
    // What looks at a container that may end meanwhile.
    only("/running", other("openat2", "/stat\"", &["ENOENT"], HAS_ENDED)),
    only(
        "list",
        other(
            "openat",
            "/state, ",
            &["ENOENT", "ENOTDIR", "ELOOP"],
            "what is no directory is no container",
        ),
    ),
    only(
        "/running",
        other("getdents64", "/sys/fs/cgroup/", &["ENOENT"], HAS_ENDED),
    ),
    only(
        "/running",
        other(
            "openat",
            "/sys/fs/cgroup",
            &["ENOENT", "ENODEV", "EOPNOTSUPP"],
            HAS_ENDED,
        ),
    ),
    only(
        "/running",
        other(
            "write",
            "memfd:output",
            &["EPIPE"],
            "who reads no more does not want the rest",
        ),
    ),
    // Poststop hooks.
    only("/hooks", same("pipe2", "", &[], POSTSTOP)),
    only("/hooks", same("lseek", "state", &[], POSTSTOP)),
    only("/hooks", same("write", "memfd:state", &[], POSTSTOP)),
    only("/hooks", same("clone3", "", &[], POSTSTOP)),
    only("/hooks", same("wait4", "", &[], POSTSTOP)),
    only("/hooks", same("dup3", "", &[], POSTSTOP)),
    only("/hooks", same("execve", "/bin/true", &[], POSTSTOP)),
    only(
        "/hooks",
        same("read", "pipe", &[], "the words of a hook that succeeds are not wanted"),
    ),
    only("run/systemd", same("sendto", "sendto#6 ", &[], LAST_TOLD)),
    only("run/systemd", same("read", "(socket", &[], LAST_TOLD)),
    only(
        "/systemd",
        same(
            "newfstatat",
            ", \"scope\"",
            &["ENOENT"],
            "a cgroup that no scope is noted for is roci's own to remove",
        ),
    ),
    only("delete /systemd", same("socket", "", &[], ENDS_BY_ITSELF)),
    only("delete /systemd", same("connect", "", &[], ENDS_BY_ITSELF)),
    only("delete /systemd", same("sendto", "", &[], ENDS_BY_ITSELF)),
    only("delete /systemd", same("read", "socket", &[], ENDS_BY_ITSELF)),
    only("/systemd", same("openat", ".scope", &[], KILLED_LATER)),
    only("/systemd", same("read", ".scope/cgroup.procs", &[], KILLED_LATER)),
    only("/systemd", same("lseek", ".scope", &[], KILLED_LATER)),
    only("/systemd", same("getdents64", ".scope", &[], KILLED_LATER)),
    only(
        "/network",
        same("sendto", "", &[], "where the way out cannot be found, the MTU is 1500"),
    ),
    only(
        "/network",
        same(
            "recvfrom",
            "",
            &[],
            "where the way out cannot be found, the MTU is 1500",
        ),
    ),
];

/// The reason for which the call may fail, by its number.
pub fn excuse(case: &Case, point: &Point) -> Option<usize> {
    let Fault::Errno(errno) = point.fault else { return None };
    let (name, errno, text) = (
        calls::name(point.call.place.number),
        calls::errno_name(errno),
        &point.call.text,
    );
    let (case, place) = (case.name(), point.name());
    let fits = |optional: &Optional| {
        optional.call == name
            && (text.contains(optional.shows) || place.contains(optional.shows))
            && optional.case.split(' ').all(|part| case.contains(part))
            && (optional.errnos.is_empty() || optional.errnos.contains(&errno.as_str()))
    };
    let exact = OPTIONAL.iter().position(|optional| optional.differs && fits(optional));
    exact.or_else(|| OPTIONAL.iter().position(fits))
}

/// Whether the container may differ.
pub fn may_differ(excuse: usize) -> bool {
    OPTIONAL.get(excuse).is_some_and(|optional| optional.differs)
}

/// The reasons, as text.
pub fn reason(excuse: usize) -> String {
    OPTIONAL.get(excuse).map_or(String::new(), |optional| {
        let shows = if optional.shows.is_empty() { "" } else { " " };
        format!("{}{shows}{}: {}", optional.call, optional.shows, optional.reason)
    })
}

/// Whether the container may have ended although the command has succeeded: its process was killed.
pub fn may_end(case: &Case, point: &Point) -> bool {
    // What fails after `create` has ended is for `start` to tell.
    let is_late =
        point.call.text.starts_with("openat(/proc, \"self/fd/") || point.call.text.starts_with("read(socket:");
    let is_fault = point.fault == Fault::Kill || is_late;
    is_fault && point.call.place.process != "0" && case.command == Command::Create
}

/// Errors that would say of what is there that it is not: whoever takes something away has to believe them.
const CONTRADICTIONS: [(&str, &str, Errno); 4] = [
    ("unlinkat", "", Errno::ENOENT),
    ("openat", ".hosts\"", Errno::ENOENT),
    ("openat", "network\"", Errno::ENOENT),
    ("socket", "0x10", Errno::EPROTONOSUPPORT),
];

/// Whether the call is not to fail in this way.
pub fn contradicts(text: &str, number: u64, errno: i32) -> bool {
    CONTRADICTIONS
        .iter()
        .any(|(call, shows, of)| calls::name(number) == *call && text.contains(shows) && *of as i32 == errno)
}

/// Points that were found to go wrong, which are tried whatever the seed: the case, the process, a part of the call, the fault.
const ALWAYS: [(&str, &str, &str, &str); 17] = [
    ("exec/plain", "0", "self/ns/mnt", "ENOENT"),
    ("run/plain", "0.0", "prctl(0x18)", "EINVAL"),
    ("create/plain", "0", "fstatfs(/sys/fs/cgroup)", "EIO"),
    ("delete/plain", "0", "openat(., \"/sys/fs/cgroup\")", "ENOENT"),
    ("delete-force/plain", "0", "/stat\")", "EACCES"),
    ("exec/limits", "0.0", "write(socket", "ENOSPC"),
    ("exec/limits", "0.0", "write(socket", "killed"),
    ("create/limits", "0", "/.pid)", "ENOSPC"),
    ("exec/plain", "0.0.0", "read(socket", "EIO"),
    ("run/hooks", "0.1", "dup3", "EBUSY"),
    ("create/user", "0", "mkdirat(/sys/fs/cgroup", "EACCES"),
    ("create/network", "0", "recvfrom", "ECONNRESET"),
    ("run/plain", "0.0", "setgroups", "EPERM"),
    ("exec/user", "0", "pidfd_open", "ENOSYS"),
    ("create/plain", "0", "recvmsg", "ECONNRESET"),
    ("run/systemd", "0", ", \"scope\")", "ENOMEM"),
    ("run/systemd", "0", "connect", "EPROTOTYPE"),
];

/// Whether the point is tried first.
pub fn is_always_tried(case: &Case, point: &Point) -> bool {
    let (name, place) = (case.name(), point.name());
    ALWAYS.iter().any(|(of, process, call, fault)| {
        name == *of && point.call.place.process == *process && point.call.text.contains(call) && place.ends_with(fault)
    })
}
