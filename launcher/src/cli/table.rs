//! The tables of commands and options, and the help that is made of them.

use core::fmt::{self, Write};

use super::Invocation;

/// The commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
    /// `delete`
    Delete,
    /// `pause`
    Pause,
    /// `resume`
    Resume,
    /// `update`
    Update,
    /// `events`
    Events,
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

pub(super) struct CommandRow {
    pub(super) name: &'static str,
    pub(super) command: Command,
    synopsis: &'static str,
    summary: &'static str,
}

const fn row(name: &'static str, command: Command, synopsis: &'static str, summary: &'static str) -> CommandRow {
    CommandRow {
        name,
        command,
        synopsis,
        summary,
    }
}

// One row a line, however long.
#[rustfmt::skip]
pub(super) const COMMANDS: &[CommandRow] = &[
    row("create", Command::Create, "ID [BUNDLE]", "make a container; its program waits for start"),
    row("start", Command::Start, "ID", "let the program of a created container run"),
    row("run", Command::Run, "ID [BUNDLE]", "create, start, wait for the program's end, delete"),
    row("exec", Command::Exec, "ID PROGRAM [ARG...]", "run another program in a running container"),
    row("state", Command::State, "ID", "print the state of a container as JSON"),
    row("list", Command::List, "", "list the containers"),
    row("ps", Command::Ps, "ID", "list the processes of a container"),
    row("kill", Command::Kill, "ID [SIGNAL]", "send a signal (TERM) to the container's first process"),
    row("pause", Command::Pause, "ID", "stop all processes of a container for a while"),
    row("resume", Command::Resume, "ID", "let them go on"),
    row("update", Command::Update, "ID", "change the limits of a container"),
    row("events", Command::Events, "ID", "print what a container uses, as JSON"),
    row("delete", Command::Delete, "ID", "remove a stopped container and what create made for it"),
    row("spec", Command::Spec, "", "write a config.json to begin with"),
    row("features", Command::Features, "", "print what this executable supports, as the specification defines it"),
    row("check", Command::Check, "", "print what this host's kernel offers, and what follows where it does not"),
];

/// The options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opt {
    /// `--root`
    Root,
    /// `--log`
    Log,
    /// `--log-format`
    LogFormat,
    /// `-v`
    Verbose,
    /// `--cgroup-manager`
    CgroupManager,
    /// `--systemd-cgroup`
    SystemdCgroup,
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
    /// `--all`
    All,
    /// `--force`
    Force,
    /// `--format`
    Format,
    /// `--quiet`
    Quiet,
    /// `--json`
    Json,
    /// `--resources`
    Resources,
    /// One of the limits of `update`, by its place in the table there.
    Limit(u8),
    /// `--stats`
    Stats,
    /// An option of the peers that makes no difference here.
    Ignored,
    /// `--help`
    Help,
    /// `--version`
    Version,
}

pub(super) struct OptionRow {
    pub(super) long: &'static str,
    pub(super) short: u8,
    /// The name of the value; empty for a switch.
    pub(super) value: &'static str,
    pub(super) option: Opt,
    /// The commands that take it; empty for the global options.
    pub(super) commands: &'static [Command],
    /// What it does or, for an ignored one, why it changes nothing.
    help: &'static str,
}

const fn option(
    long: &'static str,
    short: u8,
    value: &'static str,
    option: Opt,
    commands: &'static [Command],
    help: &'static str,
) -> OptionRow {
    OptionRow {
        long,
        short,
        value,
        option,
        commands,
        help,
    }
}

use Command::{Check, Create, Delete, Events, Exec, Kill, List, Ps, Run, Spec, Update};

#[rustfmt::skip]
pub(super) const OPTIONS: &[OptionRow] = &[
    option("root", 0, "DIR", Opt::Root, &[], "where the state of containers is kept (/run/roci)"),
    option("log", 0, "FILE", Opt::Log, &[], "append the line of a failed call to FILE as well"),
    option("log-format", 0, "text|json", Opt::LogFormat, &[], "how that line is written"),
    option("verbose", b'v', "", Opt::Verbose, &[], "say on stderr what was done, a line a step"),
    option("cgroup-manager", 0, "cgroupfs|disabled", Opt::CgroupManager, &[], "disabled: leave cgroups alone"),
    option("systemd-cgroup", 0, "", Opt::SystemdCgroup, &[], "not supported: refused with a clear error"),
    option("debug", 0, "", Opt::Ignored, &[], "ignored: there is no debug log; see --verbose"),
    option("rootless", 0, "WHEN", Opt::Ignored, &[], "ignored: roci looks for itself whether it is root"),
    option("criu", 0, "PATH", Opt::Ignored, &[], "ignored: containers cannot be checkpointed"),
    option("help", b'h', "", Opt::Help, &[], "print this, or with a command its options"),
    option("version", 0, "", Opt::Version, &[], "print the versions of roci and of the specification"),
    option("bundle", b'b', "DIR", Opt::Bundle, &[Create, Run, Spec], "the bundle (the current directory)"),
    option("pid-file", 0, "FILE", Opt::PidFile, &[Create, Run, Exec], "write the process id there, without a newline"),
    option("console-socket", 0, "SOCKET", Opt::ConsoleSocket, &[Create, Run, Exec], "send the terminal's master there"),
    option("pidfd-socket", 0, "SOCKET", Opt::PidfdSocket, &[Create, Run, Exec], "send a pidfd of the process there"),
    option("preserve-fds", 0, "N", Opt::PreserveFds, &[Create, Run, Exec], "pass descriptors 3 to N+2 on"),
    option("no-new-keyring", 0, "", Opt::NoNewKeyring, &[Create, Run], "keep the caller's session keyring"),
    option("init", 0, "", Opt::Init, &[Create, Run], "run roci-init as PID 1, which starts the program and reaps"),
    option("no-pivot", 0, "", Opt::Ignored, &[Create, Run], "ignored: pivot_root works here on ramdisks too"),
    option("no-subreaper", 0, "", Opt::Ignored, &[Run, Exec], "ignored: no subreaper is made"),
    option("detach", b'd', "", Opt::Detach, &[Run, Exec], "do not wait for the program's end"),
    option("keep", 0, "", Opt::Keep, &[Run], "do not delete the container at its end"),
    option("process", b'p', "FILE", Opt::Process, &[Exec], "the process object to run, as in config.json"),
    option("cwd", 0, "DIR", Opt::Cwd, &[Exec], "its working directory"),
    option("env", b'e', "NAME=VALUE", Opt::Env, &[Exec], "add to its environment; may be repeated"),
    option("user", b'u', "UID[:GID]", Opt::User, &[Exec], "as whom, in numbers"),
    option("additional-gids", b'g', "GID", Opt::AdditionalGids, &[Exec], "one more group; may be repeated"),
    option("tty", b't', "", Opt::Tty, &[Exec], "give it a terminal"),
    option("cap", b'c', "CAP", Opt::Cap, &[Exec], "one more capability; may be repeated"),
    option("no-new-privs", 0, "", Opt::NoNewPrivs, &[Exec], "it can gain no privileges"),
    option("ignore-paused", 0, "", Opt::Ignored, &[Exec], "ignored: a paused container is no error"),
    option("all", b'a', "", Opt::All, &[Kill], "send the signal to every process of the container"),
    option("force", b'f', "", Opt::Force, &[Delete], "kill it first; no error where there is none"),
    option("format", b'f', "table|json", Opt::Format, &[List, Ps], "how to print"),
    option("quiet", b'q', "", Opt::Quiet, &[List], "print ids only"),
    option("resources", b'r', "FILE|-", Opt::Resources, &[Update], "the resources object to apply, or - for stdin"),
    option("memory", 0, "BYTES", Opt::Limit(0), &[Update], "limit of memory"),
    option("memory-reservation", 0, "BYTES", Opt::Limit(1), &[Update], "soft limit of memory"),
    option("memory-swap", 0, "BYTES", Opt::Limit(2), &[Update], "limit of memory and swap together"),
    option("cpu-share", 0, "N", Opt::Limit(3), &[Update], "share of the processors"),
    option("cpu-quota", 0, "USEC", Opt::Limit(4), &[Update], "processor time in a period"),
    option("cpu-period", 0, "USEC", Opt::Limit(5), &[Update], "the period"),
    option("cpu-burst", 0, "USEC", Opt::Limit(6), &[Update], "time that may be saved up"),
    option("cpu-idle", 0, "0|1", Opt::Limit(7), &[Update], "run only when nobody else wants to"),
    option("cpuset-cpus", 0, "LIST", Opt::Limit(8), &[Update], "which processors"),
    option("cpuset-mems", 0, "LIST", Opt::Limit(9), &[Update], "which memory nodes"),
    option("pids-limit", 0, "N", Opt::Limit(10), &[Update], "limit of processes"),
    option("blkio-weight", 0, "N", Opt::Limit(11), &[Update], "share of the disks"),
    option("stats", 0, "", Opt::Stats, &[Events], "print once"),
    option("json", 0, "", Opt::Json, &[Check], "print as JSON"),
    option("rootless", 0, "", Opt::Ignored, &[Spec], "ignored: written for root"),
];

/// Prints the help of one command or the overview.
pub fn write_help(out: &mut dyn Write, invocation: &Invocation) -> fmt::Result {
    match COMMANDS.iter().find(|row| Some(row.command) == invocation.topic) {
        Some(row) => {
            let words = if row.synopsis.is_empty() { "" } else { " " };
            writeln!(
                out,
                "roci {} [OPTION...]{words}{}\n\n{}\n",
                row.name, row.synopsis, row.summary
            )?;
            write_options(out, |option| option.commands.contains(&row.command))?;
            writeln!(out, "\nOptions that stand before the command: see roci --help.")
        }
        None => {
            writeln!(
                out,
                "roci runs OCI containers. roci [OPTION...] COMMAND [OPTION...] [WORD...]\n\nCommands:"
            )?;
            for row in COMMANDS {
                writeln!(out, "  {:<10}{}", row.name, row.summary)?;
            }
            writeln!(out, "\nOptions:")?;
            write_options(out, |option| option.commands.is_empty())?;
            out.write_str(crate::exit::TABLE)
        }
    }
}

fn write_options(out: &mut dyn Write, wanted: impl Fn(&OptionRow) -> bool) -> fmt::Result {
    for row in OPTIONS.iter().filter(|row| wanted(row)) {
        let short = if row.short == 0 { ' ' } else { char::from(row.short) };
        let (dash, comma) = if row.short == 0 { (' ', ' ') } else { ('-', ',') };
        write!(out, "  {dash}{short}{comma} --{}", row.long)?;
        let gap = if row.value.is_empty() { "" } else { " " };
        let width = row.long.len() + gap.len() + row.value.len();
        writeln!(
            out,
            "{gap}{}{:2$}  {3}",
            row.value,
            "",
            26_usize.saturating_sub(width),
            row.help
        )?;
    }
    Ok(())
}
