//! The tables of commands and options, and the help that is made of them.

use super::Invocation;
use crate::output::Output;
use crate::text::{Pieces, cut};

/// The commands, in the order of [`COMMANDS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Command {
    /// `create`
    Create,
    /// `start`
    Start,
    /// `run`
    Run,
    /// `exec`
    Exec,
    /// `state`
    State,
    /// `list`
    List,
    /// `ps`
    Ps,
    /// `kill`
    Kill,
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `update`
    Update,
    /// `events`
    Events,
    /// `delete`
    Delete,
    /// `spec`
    Spec,
    /// `features`
    Features,
    /// `check`
    Check,
    /// `--help`, `help`
    Help,
    /// `--version`
    Version,
}

/// A line for each command: the letter that stands for it in [`OPTIONS`], its name, the words that it takes, and what it
/// does.
const COMMANDS: &str = "\
C;create;ID [BUNDLE];make a container; its program waits for start
T;start;ID;let the program of a created container run
R;run;ID [BUNDLE];create, start, wait for the program's end, delete
X;exec;ID PROGRAM [ARG...];run another program in a running container
A;state;ID;print the state of a container as JSON
L;list;;list the containers
P;ps;ID;list the processes of a container
K;kill;ID [SIGNAL];send a signal (TERM) to the container's first process
Z;pause;ID;stop all processes of a container for a while
M;resume;ID;let them go on
U;update;ID;change the limits of a container
E;events;ID;print what a container uses, as JSON
D;delete;ID;remove a stopped container and what create made for it
S;spec;;write a config.json to begin with
F;features;;print what this executable supports, as the specification defines it
H;check;;print what this host's kernel offers, and what follows where it does not
";

/// A command, as help shows it.
#[derive(Clone, Copy)]
pub(super) struct CommandRow {
    pub(super) command: Command,
    /// What stands for it in the table of options.
    pub(super) letter: &'static str,
    pub(super) name: &'static str,
    synopsis: &'static str,
    summary: &'static str,
}

/// The commands that have a row.
const COMMANDS_SHOWN: [Command; 16] = [
    Command::Create,
    Command::Start,
    Command::Run,
    Command::Exec,
    Command::State,
    Command::List,
    Command::Ps,
    Command::Kill,
    Command::Pause,
    Command::Resume,
    Command::Update,
    Command::Events,
    Command::Delete,
    Command::Spec,
    Command::Features,
    Command::Check,
];

/// The rows of [`COMMANDS`].
pub(super) struct Commands {
    rest: &'static str,
    shown: core::slice::Iter<'static, Command>,
}

/// The commands, as help shows them.
pub(super) fn commands() -> Commands {
    Commands {
        rest: COMMANDS,
        shown: COMMANDS_SHOWN.iter(),
    }
}

impl Iterator for Commands {
    type Item = CommandRow;

    #[inline(never)]
    fn next(&mut self) -> Option<CommandRow> {
        let command = *self.shown.next()?;
        let mut row = cut(&mut self.rest, b'\n');
        Some(CommandRow {
            command,
            letter: cut(&mut row, b';'),
            name: cut(&mut row, b';'),
            synopsis: cut(&mut row, b';'),
            summary: row,
        })
    }
}

/// The options, in the order of [`OPTIONS`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Opt {
    /// `--root`
    Root,
    /// `--log`
    Log,
    /// `--log-format`
    LogFormat,
    /// `--verbose`
    Verbose,
    /// `--cgroup-manager`
    CgroupManager,
    /// `--systemd-cgroup`
    SystemdCgroup,
    /// `--debug`
    Debug,
    /// `--rootless`
    Rootless,
    /// `--criu`
    Criu,
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// `--bundle`
    Bundle,
    /// `--pid-file`
    PidFile,
    /// `--console-socket`
    ConsoleSocket,
    /// `--pidfd-socket`
    PidfdSocket,
    /// `--preserve-fds`
    PreserveFds,
    /// `--no-new-keyring`
    NoNewKeyring,
    /// `--init`
    Init,
    /// `--no-pivot`
    NoPivot,
    /// `--no-subreaper`
    NoSubreaper,
    /// `--detach`
    Detach,
    /// `--keep`
    Keep,
    /// `--process`
    Process,
    /// `--cwd`
    Cwd,
    /// `--env`
    Env,
    /// `--user`
    User,
    /// `--additional-gids`
    AdditionalGids,
    /// `--tty`
    Tty,
    /// `--cap`
    Cap,
    /// `--no-new-privs`
    NoNewPrivs,
    /// `--ignore-paused`
    IgnorePaused,
    /// `--all`
    All,
    /// `--force`
    Force,
    /// `--format`
    Format,
    /// `--quiet`
    Quiet,
    /// `--resources`
    Resources,
    /// `--memory`
    Memory,
    /// `--memory-reservation`
    MemoryReservation,
    /// `--memory-swap`
    MemorySwap,
    /// `--cpu-share`
    CpuShare,
    /// `--cpu-quota`
    CpuQuota,
    /// `--cpu-period`
    CpuPeriod,
    /// `--cpu-burst`
    CpuBurst,
    /// `--cpu-idle`
    CpuIdle,
    /// `--cpuset-cpus`
    CpusetCpus,
    /// `--cpuset-mems`
    CpusetMems,
    /// `--pids-limit`
    PidsLimit,
    /// `--blkio-weight`
    BlkioWeight,
    /// `--stats`
    Stats,
    /// `--json`
    Json,
    /// `--rootless` of `spec`
    SpecRootless,
}

/// A line for each option: the letters of the commands that take it (none for the global options), its short name, its
/// long one, the name of its value (none for a switch), and what it does or, for an ignored one, why it changes nothing.
const OPTIONS: &str = "\
;;root;DIR;where the state of containers is kept (/run/roci)
;;log;FILE;append the line of a failed call to FILE as well
;;log-format;text|json;how that line is written
;v;verbose;;say on stderr what was done, a line a step
;;cgroup-manager;cgroupfs|disabled;disabled: leave cgroups alone
;;systemd-cgroup;;not supported: refused with a clear error
;;debug;;ignored: there is no debug log; see --verbose
;;rootless;WHEN;ignored: roci looks for itself whether it is root
;;criu;PATH;ignored: containers cannot be checkpointed
;h;help;;print this, or with a command its options
;;version;;print the versions of roci and of the specification
CRS;b;bundle;DIR;the bundle (the current directory)
CRX;;pid-file;FILE;write the process id there, without a newline
CRX;;console-socket;SOCKET;send the terminal's master there
CRX;;pidfd-socket;SOCKET;send a pidfd of the process there
CRX;;preserve-fds;N;pass descriptors 3 to N+2 on
CR;;no-new-keyring;;keep the caller's session keyring
CR;;init;;run roci-init as PID 1, which starts the program and reaps
CR;;no-pivot;;ignored: pivot_root works here on ramdisks too
RX;;no-subreaper;;ignored: no subreaper is made
RX;d;detach;;do not wait for the program's end
R;;keep;;do not delete the container at its end
X;p;process;FILE;the process object to run, as in config.json
X;;cwd;DIR;its working directory
X;e;env;NAME=VALUE;add to its environment; may be repeated
X;u;user;UID[:GID];as whom, in numbers
X;g;additional-gids;GID;one more group; may be repeated
X;t;tty;;give it a terminal
X;c;cap;CAP;one more capability; may be repeated
X;;no-new-privs;;it can gain no privileges
X;;ignore-paused;;ignored: a paused container is no error
K;a;all;;send the signal to every process of the container
D;f;force;;kill it first; no error where there is none
LP;f;format;table|json;how to print
L;q;quiet;;print ids only
U;r;resources;FILE|-;the resources object to apply, or - for stdin
U;;memory;BYTES;limit of memory
U;;memory-reservation;BYTES;soft limit of memory
U;;memory-swap;BYTES;limit of memory and swap together
U;;cpu-share;N;share of the processors
U;;cpu-quota;USEC;processor time in a period
U;;cpu-period;USEC;the period
U;;cpu-burst;USEC;time that may be saved up
U;;cpu-idle;0|1;run only when nobody else wants to
U;;cpuset-cpus;LIST;which processors
U;;cpuset-mems;LIST;which memory nodes
U;;pids-limit;N;limit of processes
U;;blkio-weight;N;share of the disks
E;;stats;;print once
H;;json;;print as JSON
S;;rootless;;ignored: written for root
";

/// An option.
#[derive(Clone, Copy)]
pub(super) struct OptionRow {
    /// Its place in the table, which is the number of its [`Opt`].
    pub(super) place: u8,
    /// The letters of the commands that take it; empty for the global options.
    pub(super) commands: &'static str,
    pub(super) short: &'static str,
    pub(super) long: &'static str,
    /// The name of the value; empty for a switch.
    pub(super) value: &'static str,
    help: &'static str,
}

/// The rows of [`OPTIONS`].
pub(super) struct Options {
    rest: &'static str,
    place: u8,
}

/// The options.
pub(super) fn options() -> Options {
    Options {
        rest: OPTIONS,
        place: 0,
    }
}

impl Iterator for Options {
    type Item = OptionRow;

    #[inline(never)]
    fn next(&mut self) -> Option<OptionRow> {
        if self.rest.is_empty() {
            return None;
        }
        let mut row = cut(&mut self.rest, b'\n');
        let place = self.place;
        self.place += 1;
        Some(OptionRow {
            place,
            commands: cut(&mut row, b';'),
            short: cut(&mut row, b';'),
            long: cut(&mut row, b';'),
            value: cut(&mut row, b';'),
            help: row,
        })
    }
}

/// Prints the help of one command or the overview.
pub fn write_help(out: &mut Output, invocation: &Invocation) {
    match commands().find(|row| Some(row.command) == invocation.topic) {
        Some(row) => {
            out.str("roci ").str(row.name).str(" [OPTION...]");
            out.str(if row.synopsis.is_empty() { "" } else { " " });
            out.str(row.synopsis).str("\n\n").str(row.summary).str("\n\n");
            write_options(out, row.letter);
            out.str("\nOptions that stand before the command: see roci --help.\n");
        }
        None => {
            out.str(concat!(
                "roci runs OCI containers. roci [OPTION...] COMMAND [OPTION...] [WORD...]\n",
                "\nCommands:\n"
            ));
            for row in commands() {
                out.str("  ").column(row.name, 9);
                out.str(row.summary).str("\n");
            }
            out.str("\nOptions:\n");
            write_options(out, "");
            out.str(crate::exit::TABLE);
        }
    }
}

/// Prints the options of the command with this letter, or the global ones.
fn write_options(out: &mut Output, letter: &str) {
    for row in options() {
        let mut commands = row.commands.bytes();
        let belongs = match letter.bytes().next() {
            Some(letter) => commands.any(|command| command == letter),
            None => row.commands.is_empty(),
        };
        if !belongs {
            continue;
        }
        if row.short.is_empty() {
            out.str("     ");
        } else {
            out.str("  -").str(row.short).str(",");
        }
        let gap = if row.value.is_empty() { "" } else { " " };
        out.str(" --").str(row.long).str(gap);
        out.column(row.value, 26_usize.saturating_sub(row.long.len() + gap.len()));
        out.str(" ").str(row.help).str("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole_and_in_its_place() {
        for (index, row) in commands().enumerate() {
            assert_eq!(row.command as usize, index, "{}", row.name);
            assert!(!row.summary.is_empty(), "{}", row.name);
        }
        assert_eq!(commands().count(), COMMANDS.lines().count());
        let place = |long| options().position(|row| row.long == long);
        assert_eq!(place("root"), Some(Opt::Root as usize));
        assert_eq!(place("additional-gids"), Some(Opt::AdditionalGids as usize));
        assert_eq!(place("blkio-weight"), Some(Opt::BlkioWeight as usize));
        assert_eq!(options().count(), Opt::SpecRootless as usize + 1);
        for row in options() {
            assert!(!row.help.is_empty(), "{}", row.long);
            for letter in row.commands.chars() {
                assert!(commands().any(|row| row.letter.contains(letter)), "{}", row.long);
            }
        }
    }
}
