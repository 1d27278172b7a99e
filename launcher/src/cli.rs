//! The command line: two tables, one of commands and one of options, from which parsing and `--help` both come.
//!
//! It is runc's command line and forgiving where its callers are: global options stand before the command, the command's
//! own before or after the container id, both as `--pid-file F` and `--pid-file=F`. What runc and crun take and what makes
//! no difference here is accepted and ignored, each such option with its reason in the table.

use core::ffi::CStr;
use core::fmt::{self, Write};

use heapless::Vec;
use sys::{Arguments, TakeOnce};

use crate::error::{Error, Result};

/// How many options one call may have; `exec --env` is the one that repeats.
pub const OPTIONS_MAX: usize = 512;

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

struct CommandRow {
    name: &'static str,
    command: Command,
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

const COMMANDS: &[CommandRow] = &[
    row(
        "create",
        Command::Create,
        "ID [BUNDLE]",
        "make a container; its program waits for start",
    ),
    row(
        "start",
        Command::Start,
        "ID",
        "let the program of a created container run",
    ),
    row(
        "run",
        Command::Run,
        "ID [BUNDLE]",
        "create, start, wait for the program's end, delete",
    ),
    row(
        "exec",
        Command::Exec,
        "ID PROGRAM [ARG...]",
        "run another program in a running container",
    ),
    row("state", Command::State, "ID", "print the state of a container as JSON"),
    row("list", Command::List, "", "list the containers"),
    row("ps", Command::Ps, "ID", "list the processes of a container"),
    row(
        "kill",
        Command::Kill,
        "ID [SIGNAL]",
        "send a signal (TERM) to the container's first process",
    ),
    row(
        "pause",
        Command::Pause,
        "ID",
        "stop all processes of a container for a while",
    ),
    row("resume", Command::Resume, "ID", "let them go on"),
    row("update", Command::Update, "ID", "change the limits of a container"),
    row("events", Command::Events, "ID", "print what a container uses, as JSON"),
    row(
        "delete",
        Command::Delete,
        "ID",
        "remove a stopped container and what create made for it",
    ),
    row("spec", Command::Spec, "", "write a config.json to begin with"),
    row(
        "features",
        Command::Features,
        "",
        "print what this executable supports, as the specification defines it",
    ),
    row(
        "check",
        Command::Check,
        "",
        "print what this host's kernel offers, and what follows where it does not",
    ),
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

struct OptionRow {
    long: &'static str,
    short: u8,
    /// The name of the value; empty for a switch.
    value: &'static str,
    option: Opt,
    /// The commands that take it; empty for the global options.
    commands: &'static [Command],
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

const OPTIONS: &[OptionRow] = &[
    option(
        "root",
        0,
        "DIR",
        Opt::Root,
        &[],
        "where the state of containers is kept (/run/roci)",
    ),
    option(
        "log",
        0,
        "FILE",
        Opt::Log,
        &[],
        "append the line of a failed call to FILE as well",
    ),
    option(
        "log-format",
        0,
        "text|json",
        Opt::LogFormat,
        &[],
        "how that line is written",
    ),
    option(
        "verbose",
        b'v',
        "",
        Opt::Verbose,
        &[],
        "say on stderr what was done, a line a step",
    ),
    option(
        "cgroup-manager",
        0,
        "cgroupfs|disabled",
        Opt::CgroupManager,
        &[],
        "disabled: leave cgroups alone",
    ),
    option(
        "systemd-cgroup",
        0,
        "",
        Opt::SystemdCgroup,
        &[],
        "not supported: refused with a clear error",
    ),
    option(
        "debug",
        0,
        "",
        Opt::Ignored,
        &[],
        "ignored: there is no debug log; see --verbose",
    ),
    option(
        "rootless",
        0,
        "WHEN",
        Opt::Ignored,
        &[],
        "ignored: roci looks for itself whether it is root",
    ),
    option(
        "criu",
        0,
        "PATH",
        Opt::Ignored,
        &[],
        "ignored: containers cannot be checkpointed",
    ),
    option(
        "help",
        b'h',
        "",
        Opt::Help,
        &[],
        "print this, or with a command its options",
    ),
    option(
        "version",
        0,
        "",
        Opt::Version,
        &[],
        "print the versions of roci and of the specification",
    ),
    option(
        "bundle",
        b'b',
        "DIR",
        Opt::Bundle,
        &[Create, Run, Spec],
        "the bundle (the current directory)",
    ),
    option(
        "pid-file",
        0,
        "FILE",
        Opt::PidFile,
        &[Create, Run, Exec],
        "write the process id there, without a newline",
    ),
    option(
        "console-socket",
        0,
        "SOCKET",
        Opt::ConsoleSocket,
        &[Create, Run, Exec],
        "send the terminal's master there",
    ),
    option(
        "pidfd-socket",
        0,
        "SOCKET",
        Opt::PidfdSocket,
        &[Create, Run, Exec],
        "send a pidfd of the process there",
    ),
    option(
        "preserve-fds",
        0,
        "N",
        Opt::PreserveFds,
        &[Create, Run, Exec],
        "pass descriptors 3 to N+2 on",
    ),
    option(
        "no-new-keyring",
        0,
        "",
        Opt::NoNewKeyring,
        &[Create, Run],
        "keep the caller's session keyring",
    ),
    option(
        "init",
        0,
        "",
        Opt::Init,
        &[Create, Run],
        "run roci-init as PID 1, which starts the program and reaps",
    ),
    option(
        "no-pivot",
        0,
        "",
        Opt::Ignored,
        &[Create, Run],
        "ignored: pivot_root works here on ramdisks too",
    ),
    option(
        "no-subreaper",
        0,
        "",
        Opt::Ignored,
        &[Run, Exec],
        "ignored: no subreaper is made",
    ),
    option(
        "detach",
        b'd',
        "",
        Opt::Detach,
        &[Run, Exec],
        "do not wait for the program's end",
    ),
    option(
        "keep",
        0,
        "",
        Opt::Keep,
        &[Run],
        "do not delete the container at its end",
    ),
    option(
        "process",
        b'p',
        "FILE",
        Opt::Process,
        &[Exec],
        "the process object to run, as in config.json",
    ),
    option("cwd", 0, "DIR", Opt::Cwd, &[Exec], "its working directory"),
    option(
        "env",
        b'e',
        "NAME=VALUE",
        Opt::Env,
        &[Exec],
        "add to its environment; may be repeated",
    ),
    option("user", b'u', "UID[:GID]", Opt::User, &[Exec], "as whom, in numbers"),
    option(
        "additional-gids",
        b'g',
        "GID",
        Opt::AdditionalGids,
        &[Exec],
        "one more group; may be repeated",
    ),
    option("tty", b't', "", Opt::Tty, &[Exec], "give it a terminal"),
    option(
        "cap",
        b'c',
        "CAP",
        Opt::Cap,
        &[Exec],
        "one more capability; may be repeated",
    ),
    option(
        "no-new-privs",
        0,
        "",
        Opt::NoNewPrivs,
        &[Exec],
        "it can gain no privileges",
    ),
    option(
        "ignore-paused",
        0,
        "",
        Opt::Ignored,
        &[Exec],
        "ignored: a paused container is no error",
    ),
    option(
        "all",
        b'a',
        "",
        Opt::All,
        &[Kill],
        "send the signal to every process of the container",
    ),
    option(
        "force",
        b'f',
        "",
        Opt::Force,
        &[Delete],
        "kill it first; no error where there is none",
    ),
    option("format", b'f', "table|json", Opt::Format, &[List, Ps], "how to print"),
    option("quiet", b'q', "", Opt::Quiet, &[List], "print ids only"),
    option(
        "resources",
        b'r',
        "FILE|-",
        Opt::Resources,
        &[Update],
        "the resources object to apply, or - for stdin",
    ),
    option("memory", 0, "BYTES", Opt::Limit(0), &[Update], "limit of memory"),
    option(
        "memory-reservation",
        0,
        "BYTES",
        Opt::Limit(1),
        &[Update],
        "soft limit of memory",
    ),
    option(
        "memory-swap",
        0,
        "BYTES",
        Opt::Limit(2),
        &[Update],
        "limit of memory and swap together",
    ),
    option("cpu-share", 0, "N", Opt::Limit(3), &[Update], "share of the processors"),
    option(
        "cpu-quota",
        0,
        "USEC",
        Opt::Limit(4),
        &[Update],
        "processor time in a period",
    ),
    option("cpu-period", 0, "USEC", Opt::Limit(5), &[Update], "the period"),
    option(
        "cpu-burst",
        0,
        "USEC",
        Opt::Limit(6),
        &[Update],
        "time that may be saved up",
    ),
    option(
        "cpu-idle",
        0,
        "0|1",
        Opt::Limit(7),
        &[Update],
        "run only when nobody else wants to",
    ),
    option("cpuset-cpus", 0, "LIST", Opt::Limit(8), &[Update], "which processors"),
    option("cpuset-mems", 0, "LIST", Opt::Limit(9), &[Update], "which memory nodes"),
    option("pids-limit", 0, "N", Opt::Limit(10), &[Update], "limit of processes"),
    option("blkio-weight", 0, "N", Opt::Limit(11), &[Update], "share of the disks"),
    option("stats", 0, "", Opt::Stats, &[Events], "print once"),
    option("json", 0, "", Opt::Json, &[Check], "print as JSON"),
    option("rootless", 0, "", Opt::Ignored, &[Spec], "ignored: written for root"),
];

type GivenOptions = Vec<(Opt, &'static CStr), OPTIONS_MAX>;

static OPTIONS_GIVEN: TakeOnce<GivenOptions> = TakeOnce::new(Vec::new());

/// A parsed command line.
pub struct Invocation {
    /// The command.
    pub command: Command,
    options: &'static mut GivenOptions,
    positional: Vec<&'static CStr, 3>,
    /// For help: the command that is asked about.
    topic: Option<Command>,
    /// For `exec`: where in the arguments the program stands.
    program_at: usize,
    arguments: Arguments,
}

impl Invocation {
    /// Whether `option` was given.
    pub fn has(&self, option: Opt) -> bool {
        self.options.iter().any(|(given, _)| *given == option)
    }

    /// The value of `option`; the last one where it was given twice.
    pub fn value(&self, option: Opt) -> Option<&'static CStr> {
        self.values(option).last()
    }

    /// All values of `option`, in order.
    pub fn values(&self, option: Opt) -> impl Iterator<Item = &'static CStr> {
        self.options
            .iter()
            .filter(move |(given, _)| *given == option)
            .map(|(_, value)| *value)
    }

    /// The value of `option` as text.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn text(&self, option: Opt) -> Result<Option<&'static str>> {
        self.value(option).map(as_text).transpose()
    }

    /// The words that are not options; the container id is the first.
    pub fn positional(&self, index: usize) -> Option<&'static CStr> {
        self.positional.get(index).copied()
    }

    /// For `exec`: the program and its arguments.
    pub fn program(&self) -> impl Iterator<Item = &'static CStr> {
        let arguments = self.arguments;
        (self.program_at..arguments.len()).filter_map(move |index| arguments.get(index))
    }

    /// The arguments and the environment as they came.
    pub fn arguments(&self) -> Arguments {
        self.arguments
    }
}

/// The name of `command` as it is typed.
pub fn command_name(command: Command) -> &'static str {
    COMMANDS
        .iter()
        .find(|row| row.command == command)
        .map_or("", |row| row.name)
}

/// An argument as text.
pub fn as_text(word: &'static CStr) -> Result<&'static str> {
    word.to_str()
        .map_err(|_| Error::usage(format_args!("an argument is not UTF-8")))
}

/// Parses a number written in decimal, the whole of `word`.
pub fn number<T: core::str::FromStr>(word: &'static CStr, what: &str) -> Result<T> {
    let text = as_text(word)?;
    // `from_str` takes a leading plus sign, which no caller means.
    if !text.starts_with('+')
        && let Ok(number) = text.parse()
    {
        return Ok(number);
    }
    Err(Error::usage(format_args!("{what}: not a number: {text}")))
}

/// Understands the command line.
///
/// # Errors
/// Unknown commands and options, missing and surplus words, all with exit status 2.
pub fn parse(arguments: Arguments) -> Result<Invocation> {
    let mut invocation = Invocation {
        command: Command::Help,
        options: OPTIONS_GIVEN.take(),
        positional: Vec::new(),
        topic: None,
        program_at: arguments.len(),
        arguments,
    };
    let mut command = None;
    let mut only_words = false;
    let mut index = 1;
    while let Some(word) = arguments.get(index) {
        index += 1;
        let text = as_text(word)?;
        if !only_words && text == "--" {
            only_words = true;
        } else if !only_words && text.len() > 1 && text.starts_with('-') {
            index += take_option(&mut invocation, command, text, arguments.get(index))?;
        } else if command.is_none() {
            command = Some(find_command(text)?);
        } else {
            if invocation.positional.push(word).is_err() {
                return Err(Error::usage(format_args!("one word too many: {text}")));
            }
            if command == Some(Command::Exec) {
                // What follows the id is the program's, options and all.
                if arguments.get(index).is_some_and(|next| next == c"--") {
                    index += 1;
                }
                invocation.program_at = index;
                break;
            }
        }
    }
    invocation.command = match command {
        _ if invocation.has(Opt::Version) => Command::Version,
        // runc's short form of --version.
        None if invocation.has(Opt::Verbose) && !invocation.has(Opt::Help) => Command::Version,
        None if arguments.len() > 1 && !invocation.has(Opt::Help) => {
            return Err(Error::usage(format_args!("no command: see roci --help")));
        }
        None => Command::Help,
        Some(Command::Help) => {
            invocation.topic = invocation
                .positional(0)
                .map(|word| find_command(as_text(word)?))
                .transpose()?;
            Command::Help
        }
        Some(command) if invocation.has(Opt::Help) => {
            invocation.topic = Some(command);
            Command::Help
        }
        Some(command) => command,
    };
    check_words(&invocation)?;
    Ok(invocation)
}

fn find_command(name: &str) -> Result<Command> {
    if name == "help" {
        return Ok(Command::Help);
    }
    match COMMANDS.iter().find(|row| row.name == name) {
        Some(row) => Ok(row.command),
        None if name == "checkpoint" || name == "restore" => Err(Error::said(
            "checkpoint and restore are not supported: roci does not use CRIU",
        )),
        None => Err(Error::usage(format_args!("no such command: {name}: see roci --help"))),
    }
}

/// Takes the option `text`, and says how many further arguments (0 or 1) it took as its value.
fn take_option(
    invocation: &mut Invocation,
    command: Option<Command>,
    text: &'static str,
    next: Option<&'static CStr>,
) -> Result<usize> {
    let (name, attached) = match text.strip_prefix("--") {
        Some(long) => long
            .split_once('=')
            .map_or((long, None), |(name, value)| (name, Some(value))),
        None => (&text[1..], None),
    };
    let is_long = text.starts_with("--");
    let row = OPTIONS.iter().find(|row| {
        let same_name = if is_long {
            row.long == name
        } else {
            (name.len() == 1 && row.short == name.as_bytes()[0]) || row.long == name
        };
        let own = command.is_some_and(|command| row.commands.contains(&command));
        // Go's flag parsers take one dash for two; `--help` and the like are understood behind the command too.
        same_name && (own || row.commands.is_empty())
    });
    let Some(row) = row else {
        return Err(Error::usage(format_args!("unknown option: {text}")));
    };
    let (value, taken): (&'static CStr, usize) = match (row.value.is_empty(), attached) {
        (true, None | Some("true")) => (c"", 0),
        (true, Some("false")) => return Ok(0),
        (true, Some(value)) => {
            return Err(Error::usage(format_args!(
                "--{}: takes no value, got {value}",
                row.long
            )));
        }
        // The attached value ends where the argument ends, so its NUL is there.
        (false, Some(value)) => (tail(invocation, text, value), 0),
        (false, None) => match next {
            Some(next) => (next, 1),
            None => return Err(Error::usage(format_args!("--{}: needs a value", row.long))),
        },
    };
    if invocation.options.push((row.option, value)).is_err() {
        return Err(Error::usage(format_args!("more than {OPTIONS_MAX} options")));
    }
    Ok(taken)
}

/// The part of an argument after the equals sign, with the argument's own NUL.
fn tail(invocation: &Invocation, text: &'static str, value: &'static str) -> &'static CStr {
    let skipped = text.len() - value.len();
    let arguments = invocation.arguments;
    (0..arguments.len())
        .filter_map(|index| arguments.get(index))
        .find(|word| core::ptr::eq(word.as_ptr().cast(), text.as_ptr()))
        .and_then(|word| CStr::from_bytes_with_nul(&word.to_bytes_with_nul()[skipped..]).ok())
        .unwrap_or_default()
}

fn check_words(invocation: &Invocation) -> Result<()> {
    let given = invocation.positional.len();
    let (least, most) = match invocation.command {
        Command::Help => return Ok(()),
        Create | Run | Kill => (1, 2),
        Command::Start | Command::State | Delete | Command::Pause | Command::Resume | Update | Events => (1, 1),
        // runc's `ps` passes further words on to ps(1); there is none here.
        Ps => (1, 1),
        Exec => (1, 1),
        List | Spec | Command::Features | Check | Command::Version => (0, 0),
    };
    let name = command_name(invocation.command);
    if given < least {
        return Err(Error::usage(format_args!(
            "{name}: needs a container id: see roci {name} --help"
        )));
    }
    if given > most {
        let surplus = invocation
            .positional
            .get(most)
            .and_then(|word| word.to_str().ok())
            .unwrap_or("?");
        return Err(Error::usage(format_args!("{name}: one word too many: {surplus}")));
    }
    if invocation.command == Exec
        && !invocation.has(Opt::Process)
        && invocation.program_at >= invocation.arguments.len()
    {
        return Err(Error::usage(format_args!("exec: needs a program to run, or --process")));
    }
    Ok(())
}

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
