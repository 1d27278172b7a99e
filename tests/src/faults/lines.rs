//! What roci prints, and whether it says what failed.

use nix::errno::Errno;

use super::case::Point;
use super::tracer::{Ended, Fault};

/// Whether the command said what failed in a warning.
pub fn warns(point: &Point, stderr: &str) -> bool {
    point.fault == Fault::Kill && stderr.contains("roci: warning: hooks.poststop[0] ")
}

/// What says in other words than the error's name what failed: where roci knows what it means.
const WORDED: [&str; 24] = [
    "make devices at ",
    "open the host's device: ",
    "(EOVERFLOW)",
    "the kernel refuses the filter",
    "cannot exec in a stopped container",
    "cannot resume a running container",
    "before it was ready",
    "before it was made",
    "mount overlay: ",
    "mount /etc/",
    "--init: open ",
    "died before it was started",
    "the kernel needs CONFIG_",
    "container does not exist",
    "container with given ID already exists",
    "is not in created state",
    "process already finished",
    "has no cgroup",
    "cgroups are gone",
    "executable file not found in $PATH",
    "drop bounding capability",
    "remove state directory",
    "it has hung up",
    // The scope has gone with the process, which had ended before it was told to go on.
    "open cgroup.procs: no such file or directory",
];

/// What roci calls it.
fn words_of(errno: Errno) -> Option<&'static str> {
    const TABLE: &str = include_str!("../../../launcher/texts/errno.txt");
    let name = format!("{errno:?} ");
    TABLE.lines().find_map(|line| line.strip_prefix(&name))
}

/// Whether the line says what failed, if not by the error's name: hooks and programs are told of as Go does it.
pub fn is_worded(errno: i32, line: &str) -> bool {
    let errno = nix::errno::Errno::from_raw(errno);
    // What says that something is there, or is not, is believed; what follows from it is told.
    let is_belief = [Errno::ENOENT, Errno::EEXIST, Errno::ESRCH, Errno::ENOTDIR].contains(&errno);
    is_belief
        || words_of(errno).is_some_and(|words| line.contains(words))
        || line.contains(&format!("error {}", errno as i32))
        || WORDED.iter().any(|words| line.contains(words))
}

/// Before the command line is read, the line cannot name the command.
pub fn comes_before_the_command(line: &str) -> bool {
    line.starts_with("roci: look at the standard streams: ")
}

/// Whether a command that failed may leave its state directory, for `delete`: the program has run, or the directory is
/// somebody else's as far as roci can see.
pub fn may_stay(ended: &Ended) -> bool {
    let has_run = [
        "wait for signals",
        "wait for the program",
        "remove state directory",
        "remove cgroup",
        "lock container",
        "look at state directory",
    ]
    .iter()
    .any(|words| ended.stderr.contains(words));
    has_run || !ended.stdout.is_empty() || ended.stderr.contains("already exists")
}
