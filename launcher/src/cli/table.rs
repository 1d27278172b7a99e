//! The tables of commands and options, and the help that is made of them.

use super::Invocation;
use crate::msg;
use crate::output::Output;
use crate::text::{Pieces, cut};
use crate::texts::Text;

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
    /// `diff`
    Diff,
    /// `network`
    Network,
    /// `stop`
    Stop,
    /// `restart`
    Restart,
    /// `logs`
    Logs,
    /// `poweroff`
    Poweroff,
    /// `reboot`
    Reboot,
    /// `--help`, `help`
    Help,
    /// `--version`
    Version,
}

/// A line for each command: the letter that stands for it in [`OPTIONS`], its name, and the words that it takes.
/// What it does stands in [`Text::Commands`].
const COMMANDS: &str = "\
C;create;ID [BUNDLE]
T;start;ID
R;run;ID [BUNDLE]
X;exec;ID PROGRAM [ARG...]
A;state;ID
L;list;
P;ps;ID
K;kill;ID [SIGNAL]
Z;pause;ID
M;resume;ID
U;update;ID
E;events;ID
D;delete;ID
S;spec;
F;features;
H;check;
O;diff;ID
N;network;ls|rm NAME|prune
Q;stop;NAME
I;restart;NAME
G;logs;NAME
W;poweroff;
B;reboot;
";

/// A command, as help shows it.
#[derive(Clone, Copy)]
pub(super) struct CommandRow {
    pub(super) command: Command,
    /// What stands for it in the table of options.
    pub(super) letter: &'static str,
    pub(super) name: &'static str,
    synopsis: &'static str,
}

/// The commands that have a row.
const COMMANDS_SHOWN: [Command; 23] = [
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
    Command::Diff,
    Command::Network,
    Command::Stop,
    Command::Restart,
    Command::Logs,
    Command::Poweroff,
    Command::Reboot,
];

/// The rows of [`COMMANDS`].
pub(super) struct Commands {
    rest: &'static str,
    shown: core::slice::Iter<'static, Command>,
}

/// The commands, as help shows them.
#[inline(never)]
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
        Some(CommandRow {
            command,
            letter: cut(&mut self.rest, b';'),
            name: cut(&mut self.rest, b';'),
            synopsis: cut(&mut self.rest, b'\n'),
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
    /// `--policy`
    Policy,
    /// `--overlay`
    Overlay,
    /// `--overlay-lower`
    OverlayLower,
    /// `--overlay-upper`
    OverlayUpper,
    /// `--overlay-work`
    OverlayWork,
    /// `--overlay-size`
    OverlaySize,
    /// `--overlay-tmpfs`
    OverlayTmpfs,
    /// `--network`
    Network,
    /// `--subnet`
    Subnet,
    /// `--ip`
    Ip,
    /// `--publish`
    Publish,
    /// `--ip-forward`
    IpForward,
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
    /// `--interval`
    Interval,
    /// `--json`
    Json,
    /// `--rootless` of `spec`
    SpecRootless,
    /// `--follow`
    Follow,
}

/// A line for each option: the letters of the commands that take it (none for the global options), its short name, its
/// long one, and the name of its value (none for a switch). What it does or, for an ignored one, why it changes nothing
/// stands in [`Text::Options`].
const OPTIONS: &str = "\
;;root;DIR
;;log;FILE
;;log-format;text|json
;v;verbose;
;;cgroup-manager;MANAGER
;;systemd-cgroup;
;;debug;
;;rootless;
;;criu;PATH
;h;help;
;;version;
CRS;b;bundle;DIR
CRX;;pid-file;FILE
CRX;;console-socket;SOCKET
CRX;;pidfd-socket;SOCKET
CRX;;preserve-fds;N
CR;;no-new-keyring;
CR;;init;
CRXU;;policy;FEATURE=POLICY
CR;;overlay;
CR;;overlay-lower;PATH:PATH
CR;;overlay-upper;DIR
CR;;overlay-work;DIR
CR;;overlay-size;SIZE
CR;;overlay-tmpfs;PATH:PATH
CR;;network;MODE
CR;;subnet;CIDR
CR;;ip;ADDR
CR;;publish;[HOST:]PORT:PORT
CR;;ip-forward;
CR;;no-pivot;
RX;;no-subreaper;
RX;d;detach;
R;;keep;
X;p;process;FILE
X;;cwd;DIR
X;e;env;NAME=VALUE
X;u;user;UID[:GID]
X;g;additional-gids;GID
X;t;tty;
X;c;cap;CAP
X;;no-new-privs;
X;;ignore-paused;
K;a;all;
D;f;force;
LPO;f;format;table|json
L;q;quiet;
U;r;resources;FILE|-
U;;memory;BYTES
U;;memory-reservation;BYTES
U;;memory-swap;BYTES
U;;cpu-share;N
U;;cpu-quota;USEC
U;;cpu-period;USEC
U;;cpu-burst;USEC
U;;cpu-idle;0|1
U;;cpuset-cpus;LIST
U;;cpuset-mems;LIST
U;;pids-limit;N
U;;blkio-weight;N
E;;stats;
E;;interval;DURATION
H;;json;
S;;rootless;
G;f;follow;
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
        let place = self.place;
        self.place += 1;
        Some(OptionRow {
            place,
            commands: cut(&mut self.rest, b';'),
            short: cut(&mut self.rest, b';'),
            long: cut(&mut self.rest, b';'),
            value: cut(&mut self.rest, b'\n'),
        })
    }
}

/// Whether the text of a command or of an option says that it was left out: it is not packed then, and nothing is shown.
fn is_left_out(text: &str) -> bool {
    const NOTHING_IS: bool = cfg!(all(
        feature = "cgroups",
        feature = "network",
        feature = "overlay",
        feature = "supervisor",
        feature = "systemd"
    ));
    !NOTHING_IS && text.is_empty()
}

/// Prints the help of one command or the overview.
pub fn write_help(out: &mut Output, invocation: &Invocation) {
    let mut summaries = Text::Commands.get();
    match invocation.topic {
        Some(topic) => {
            for row in commands() {
                let mut summary = cut(&mut summaries, b'\n');
                if row.command == topic {
                    let is_left_out = is_left_out(summary);
                    if is_left_out {
                        summary = msg!("this roci was built without it").get();
                    }
                    let gap = if row.synopsis.is_empty() { "" } else { " " };
                    let words = [row.name, gap, row.synopsis, summary];
                    out.fill(msg!("roci # [OPTION...]##\n\n#\n\n").get(), &words);
                    if !is_left_out {
                        write_options(out, row.letter);
                    }
                }
            }
            out.str(msg!("\nOptions that stand before the command: see roci --help.\n").get());
        }
        None => {
            out.str(
                msg!("roci runs OCI containers. roci [OPTION...] COMMAND [OPTION...] [WORD...]\n\nCommands:\n").get(),
            );
            for row in commands() {
                let summary = cut(&mut summaries, b'\n');
                if is_left_out(summary) {
                    continue;
                }
                out.str("  ").column(row.name, 9);
                out.str(summary).str("\n");
            }
            out.str("\nOptions:\n");
            write_options(out, "");
            out.str("\n").str(Text::Exit.get());
        }
    }
}

/// Prints the options of the command with this letter, or the global ones.
fn write_options(out: &mut Output, letter: &str) {
    let mut texts = Text::Options.get();
    for row in options() {
        let text = cut(&mut texts, b'\n');
        let mut commands = row.commands.bytes();
        let belongs = match letter.bytes().next() {
            Some(letter) => commands.any(|command| command == letter),
            None => row.commands.is_empty(),
        };
        if !belongs || is_left_out(text) {
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
        out.str(" ").str(text).str("\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole_and_in_its_place() {
        for (index, row) in commands().enumerate() {
            assert_eq!(row.command as usize, index, "{}", row.name);
        }
        assert_eq!(commands().count(), COMMANDS.lines().count());
        assert_eq!(commands().count(), Text::Commands.get().lines().count());
        assert_eq!(options().count(), Text::Options.get().lines().count());
        let place = |long| options().position(|row| row.long == long);
        assert_eq!(place("root"), Some(Opt::Root as usize));
        assert_eq!(place("additional-gids"), Some(Opt::AdditionalGids as usize));
        assert_eq!(place("blkio-weight"), Some(Opt::BlkioWeight as usize));
        assert_eq!(options().count(), Opt::Follow as usize + 1);
        for row in options() {
            for letter in row.commands.chars() {
                assert!(commands().any(|row| row.letter.contains(letter)), "{}", row.long);
            }
        }
    }
}
