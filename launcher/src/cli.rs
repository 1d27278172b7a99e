//! The command line: two tables, one of commands and one of options, from which parsing and `--help` both come.
//!
//! It is runc's command line and forgiving where its callers are: global options stand before the command, the command's
//! own before or after the container id, both as `--pid-file F` and `--pid-file=F`. What runc and crun take and what makes
//! no difference here is accepted and ignored, each such option with its reason in the table.

use core::ffi::CStr;

use heapless::Vec;
use sys::{Arguments, TakeOnce};

use crate::error::{Error, Result};

mod table;

/// How many options one call may have; `exec --env` is the one that repeats.
pub const OPTIONS_MAX: usize = 512;

use table::{COMMANDS, OPTIONS};
pub use table::{Command, Opt, write_help};

use Command::{Check, Create, Delete, Events, Exec, Kill, List, Ps, Run, Spec, Update};

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
