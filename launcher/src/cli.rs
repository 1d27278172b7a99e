//! The command line: two tables, one of commands and one of options, from which parsing and `--help` both come.
//!
//! It is runc's command line and forgiving where its callers are: global options stand before the command, the command's
//! own before or after the container id, both as `--pid-file F` and `--pid-file=F`. What runc and crun take and what makes
//! no difference here is accepted and ignored, each such option with its reason in the table.

use core::ffi::CStr;

use heapless::Vec;
use sys::{Arguments, TakeOnce};

use crate::error::{Error, Result, keep};
use crate::msg;
use crate::text::{Digits, cut, parse_number, utf8};

mod table;

/// How many options one call may have; `exec --env` is the one that repeats.
pub const OPTIONS_MAX: usize = 512;

pub use table::{Command, Opt, write_help};
use table::{commands, options};

/// The place of each option in the table, and its value.
pub type GivenOptions = Vec<(u8, &'static CStr), OPTIONS_MAX>;

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
    /// Nothing is understood yet; the options will stand in `options`.
    pub fn new(arguments: Arguments, options: &'static mut GivenOptions) -> Self {
        Self {
            command: Command::Help,
            options,
            positional: Vec::new(),
            topic: None,
            program_at: arguments.len(),
            arguments,
        }
    }

    /// The same again for other arguments.
    pub fn again(self, arguments: Arguments) -> Self {
        self.options.clear();
        Self::new(arguments, self.options)
    }

    /// Whether the switch `option` is on: given, and not taken back by `=false`.
    pub fn has(&self, option: Opt) -> bool {
        self.value(option).is_some_and(|value| value != OFF)
    }

    /// The value of `option`; the last one where it was given twice.
    pub fn value(&self, option: Opt) -> Option<&'static CStr> {
        self.value_at(option as u8)
    }

    /// The value of the option with this place in the table.
    #[inline(never)]
    pub fn value_at(&self, place: u8) -> Option<&'static CStr> {
        self.options
            .iter()
            .rev()
            .find(|(given, _)| *given == place)
            .map(|(_, value)| *value)
    }

    /// All values of `option`, in order.
    pub fn values(&self, option: Opt) -> impl Iterator<Item = &'static CStr> {
        self.options
            .iter()
            .filter(move |(given, _)| *given == option as u8)
            .map(|(_, value)| *value)
    }

    /// The value of `option` as text.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    #[inline(never)]
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
    commands().find(|row| row.command == command).map_or("", |row| row.name)
}

/// An argument as text.
#[inline(never)]
pub fn as_text(word: &'static CStr) -> Result<&'static str> {
    word.to_str()
        .map_err(|_| Error::usage(msg!("an argument is not UTF-8"), ""))
}

/// Parses a number written in decimal, the whole of `word`.
#[inline(never)]
pub fn number(word: &'static CStr, what: &str) -> Result<u32> {
    let text = as_text(word)?;
    match parse_number(text).map(u32::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => Err(Error::usage(keep(msg!("#: not a number: #"), &[what, text]), "")),
    }
}

/// Understands the command line.
///
/// # Errors
/// Unknown commands and options, missing and surplus words, all with exit status 2.
pub fn parse(arguments: Arguments) -> Result<Invocation> {
    let mut invocation = Invocation::new(arguments, OPTIONS_GIVEN.take());
    read(&mut invocation, crate::open_log)?;
    Ok(invocation)
}

/// What is to be done with what the options so far say of the log.
type OpenLog = fn(&Invocation) -> Result<()>;

/// The same for what was made of the arguments. But for `open_log` it makes no system call.
///
/// # Errors
/// As above.
pub fn read(invocation: &mut Invocation, open_log: OpenLog) -> Result<()> {
    let arguments = invocation.arguments;
    let mut command = None;
    let mut only_words = false;
    let mut index = 1;
    while let Some(word) = arguments.get(index) {
        index += 1;
        let text = as_text(word)?;
        if !only_words && text == "--" {
            only_words = true;
        } else if !only_words && text.len() > 1 && text.starts_with('-') {
            index += take_option(invocation, command, word, arguments.get(index), open_log)?;
        } else if command.is_none() {
            // Whatever is wrong from here on belongs into the log, too.
            open_log(invocation)?;
            command = Some(find_command(text)?);
        } else {
            if invocation.positional.push(word).is_err() {
                return Err(Error::usage(msg!("one word too many: #"), text));
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
            return Err(Error::usage(msg!("no command: see roci --help"), ""));
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
    check_words(invocation)
}

fn find_command(name: &str) -> Result<Command> {
    if name == "help" {
        return Ok(Command::Help);
    }
    match commands().find(|row| row.name == name) {
        Some(row) => Ok(row.command),
        None if name == "checkpoint" || name == "restore" => {
            Err(Error::says(msg!("#: not supported: roci does not use CRIU"), name))
        }
        None => Err(Error::usage(msg!("no such command: #: see roci --help"), name)),
    }
}

/// The value of a switch that is off.
const OFF: &CStr = c"false";
/// The values of runc's global `--rootless`.
const IS_ROOTLESS: [&CStr; 3] = [c"auto", c"true", c"false"];

/// Takes the option `word`, and says how many further arguments (0 or 1) it took as its value.
fn take_option(
    invocation: &mut Invocation,
    command: Option<Command>,
    word: &'static CStr,
    next: Option<&'static CStr>,
    open_log: OpenLog,
) -> Result<usize> {
    let text = as_text(word)?;
    let (is_long, mut rest) = match (text.strip_prefix("--"), text.strip_prefix("-")) {
        (Some(long), _) => (true, long),
        (None, short) => (false, short.unwrap_or_default()),
    };
    let mut name = rest;
    if is_long {
        name = cut(&mut rest, b'=');
    }
    // What the equals sign has behind it; nothing without one.
    let attached = (is_long && text.len() > "--".len() + name.len()).then_some(rest);
    let letter = commands()
        .find(|row| Some(row.command) == command)
        .and_then(|row| row.letter.bytes().next());
    // A command's own option counts before a global one of the same name.
    let row = options().filter(|row| {
        // Go's flag parsers take one dash for two; `--help` and the like are understood behind the command too.
        (row.long == name || (!is_long && row.short == name))
            && (row.commands.is_empty() || row.commands.bytes().any(|own| Some(own) == letter))
    });
    let Some(row) = row.last() else {
        return Err(Error::usage(msg!("unknown option: #"), text));
    };
    let long = row.long;
    let (value, taken) = match (row.value.is_empty(), attached) {
        // That of runc has a value, that of others has none.
        (true, None)
            if row.place == Opt::Rootless as u8 && matches!(next, Some(next) if IS_ROOTLESS.contains(&next)) =>
        {
            (c"", 1)
        }
        (true, None | Some("true" | "auto")) => (c"", 0),
        (true, Some("false")) => (OFF, 0),
        (true, Some(value)) => {
            return Err(Error::usage(
                keep(msg!("--#: takes no value, got #"), &[long, value]),
                "",
            ));
        }
        // The attached value ends where the argument ends, so its NUL is there.
        (false, Some(value)) => {
            let with_nul = word.to_bytes_with_nul().get(text.len() - value.len()..);
            let value = CStr::from_bytes_until_nul(with_nul.unwrap_or_default());
            (value.unwrap_or_default(), 0)
        }
        (false, None) => match next {
            Some(next) => (next, 1),
            None => return Err(Error::usage(msg!("--#: needs a value"), long)),
        },
    };
    if invocation.options.push((row.place, value)).is_err() {
        return Err(Error::usage(
            msg!("more than # options"),
            Digits::of(OPTIONS_MAX as u64).as_str(),
        ));
    }
    if command.is_some() && row.place <= Opt::Verbose as u8 {
        // It stands behind the command, which is unusual.
        open_log(invocation)?;
    }
    Ok(taken)
}

fn check_words(invocation: &Invocation) -> Result<()> {
    let given = invocation.positional.len();
    let (least, most) = match invocation.command {
        Command::Help => return Ok(()),
        Command::Create | Command::Run | Command::Kill | Command::Network => (1, 2),
        Command::List | Command::Spec | Command::Features | Command::Check | Command::Version => (0, 0),
        Command::Poweroff | Command::Reboot => (0, 0),
        // runc's `ps` passes further words on to ps(1); there is none here.
        _ => (1, 1),
    };
    let name = command_name(invocation.command);
    if given < least {
        return Err(Error::usage(
            keep(msg!("#: needs a container id: see roci # --help"), &[name, name]),
            "",
        ));
    }
    if given > most {
        let surplus = invocation
            .positional
            .get(most)
            .map_or("?", |word| utf8(word.to_bytes()));
        return Err(Error::usage(
            keep(msg!("#: one word too many: #"), &[name, surplus]),
            "",
        ));
    }
    if invocation.command == Command::Exec
        && invocation.value(Opt::Process).is_none()
        && invocation.program_at >= invocation.arguments.len()
    {
        return Err(Error::usage(msg!("exec: needs a program to run, or --process"), ""));
    }
    Ok(())
}

#[cfg(test)]
pub mod tests;
