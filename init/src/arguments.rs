//! The command line.

use core::ffi::CStr;

use crate::signals::{self, Rewrites};
use crate::status::Codes;
use crate::text::number;

/// Printed after the description of a mistake, and by `--help`.
pub const USAGE: &str = "usage: roci-init [-gs] [-p SIGNAL] [-e CODE]... [-r A:B]... [--] PROGRAM [ARG]...
       roci-init [OPTION]... --exec PATH [--] ARG0 [ARG]...
";

/// What to do.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Order<'a> {
    /// `-g`
    pub to_group: bool,
    /// `-p`
    pub parent_death_signal: Option<u8>,
    /// `-e`: statuses that are reported as 0.
    pub successes: Codes,
    /// `-r`
    pub rewrites: Rewrites,
    /// `--exec`: the program's path. Without it the program's first argument is searched in `PATH`.
    pub path: Option<&'a CStr>,
    /// The index, in our own arguments, of the program's `argv[0]`.
    pub first: usize,
    /// The program's `argv[0]`.
    pub name: &'a CStr,
}

/// What the command line asks for.
// One exists, and it is not moved.
#[allow(clippy::large_enum_variant)]
#[derive(PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// Run a program.
    Run(Order<'a>),
    /// `--help`
    Help,
    /// `--version`, which dockerd calls at its start.
    Version,
}

/// A word that is wrong, and why.
#[derive(PartialEq, Eq, Debug)]
pub struct Mistake<'a> {
    /// The word.
    pub word: &'a CStr,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the command line; `get` gives the word at an index, of which 0 is our own name.
///
/// Short options are taken as getopt takes them: several in one word, and a value in the same word or in the next. The
/// first word that is no option begins the program's.
pub fn parse<'a>(get: impl Fn(usize) -> Option<&'a CStr>) -> Result<Request<'a>, Mistake<'a>> {
    let mut order = Order::default();
    let mut index = 1;
    while let Some(word) = get(index) {
        match word.to_bytes() {
            b"--" => {
                index += 1;
                break;
            }
            b"--exec" => {
                index += 1;
                order.path = Some(get(index).ok_or(Mistake {
                    word,
                    what: "needs a path",
                })?);
            }
            b"--help" => return Ok(Request::Help),
            b"--version" => return Ok(Request::Version),
            [b'-', b'-', ..] => {
                return Err(Mistake {
                    word,
                    what: "unknown option",
                });
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                if parse_letters(&mut order, word, letters, get(index + 1))? {
                    index += 1;
                }
            }
            _ => break,
        }
        index += 1;
    }
    let Some(name) = get(index) else {
        return Err(Mistake {
            word: c"PROGRAM",
            what: "missing",
        });
    };
    (order.first, order.name) = (index, name);
    Ok(Request::Run(order))
}

/// Reads the short options of one word. The value is whether the next word belongs to the last of them.
fn parse_letters<'a>(
    order: &mut Order<'a>,
    word: &'a CStr,
    letters: &[u8],
    next: Option<&'a CStr>,
) -> Result<bool, Mistake<'a>> {
    let mut rest = letters;
    while let [letter, behind @ ..] = rest {
        rest = behind;
        match letter {
            b'g' => order.to_group = true,
            b's' => {}
            b'p' | b'e' | b'r' => {
                let in_this_word = !rest.is_empty();
                let value = if in_this_word {
                    rest
                } else {
                    next.map_or(b"".as_slice(), CStr::to_bytes)
                };
                let what = match letter {
                    b'p' => parse_death_signal(order, value).err(),
                    b'e' => parse_code(order, value).err(),
                    _ => order
                        .rewrites
                        .insert(value)
                        .is_none()
                        .then_some("needs two signals, A:B, or A:0 to drop A"),
                };
                return what.map_or(Ok(!in_this_word), |what| Err(Mistake { word, what }));
            }
            _ => {
                return Err(Mistake {
                    word,
                    what: "unknown option",
                });
            }
        }
    }
    Ok(false)
}

fn parse_death_signal(order: &mut Order<'_>, value: &[u8]) -> Result<(), &'static str> {
    order.parent_death_signal = Some(signals::parse(value).ok_or("needs a signal")?);
    Ok(())
}

fn parse_code(order: &mut Order<'_>, value: &[u8]) -> Result<(), &'static str> {
    order
        .successes
        .insert(number(value, 255).ok_or("needs a number from 0 to 255")? as u8);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::string::{String, ToString};
    use std::vec::Vec;

    /// Parses a command line of words without spaces and describes the result.
    fn parsed(line: &str) -> String {
        let words: Vec<CString> = line.split(' ').filter_map(|word| CString::new(word).ok()).collect();
        match parse(|index| words.get(index).map(CString::as_c_str)) {
            Ok(Request::Help) => "help".to_string(),
            Ok(Request::Version) => "version".to_string(),
            Ok(Request::Run(order)) => {
                let path = order.path.map(|path| path.to_string_lossy());
                std::format!(
                    "{} at {} in {:?}",
                    order.name.to_string_lossy(),
                    order.first,
                    path.unwrap_or_default()
                )
            }
            Err(mistake) => std::format!("{}: {}", mistake.word.to_string_lossy(), mistake.what),
        }
    }

    #[test]
    fn the_program_is_found() {
        let check = |line, expect: &str| assert_eq!(parsed(line), expect, "{line}");
        check("init cat", "cat at 1 in \"\"");
        check("init -- cat -g", "cat at 2 in \"\"");
        check("init cat -- -g", "cat at 1 in \"\"");
        check("init -- --", "-- at 2 in \"\"");
        check("init - x", "- at 1 in \"\"");
        check("init -g -s -- sh", "sh at 4 in \"\"");
        check("init -gse3 -e 4 -p KILL -rTERM:QUIT sh", "sh at 7 in \"\"");
        check("init --exec /bin/busybox -- sh -l", "sh at 4 in \"/bin/busybox\"");
        check("init --exec /bin/busybox sh", "sh at 3 in \"/bin/busybox\"");
        check("init --help", "help");
        check("init -g --version", "version");
    }

    #[test]
    fn mistakes_are_named() {
        let check = |line, expect: &str| assert_eq!(parsed(line), expect, "{line}");
        check("init", "PROGRAM: missing");
        check("init -g --", "PROGRAM: missing");
        check("init --exec", "--exec: needs a path");
        check("init --exec /x --", "PROGRAM: missing");
        check("init -x cat", "-x: unknown option");
        check("init -gx cat", "-gx: unknown option");
        check("init --group cat", "--group: unknown option");
        check("init -e 256 cat", "-e: needs a number from 0 to 255");
        check("init -e", "-e: needs a number from 0 to 255");
        check("init -p cat", "-p: needs a signal");
        check("init -rTERM cat", "-rTERM: needs two signals, A:B, or A:0 to drop A");
    }

    #[test]
    fn options_are_kept() {
        let words = [c"init", c"-gp", c"SIGKILL", c"-e", c"143", c"-r", c"HUP:0", c"x"];
        let mut expect = Order {
            to_group: true,
            parent_death_signal: Some(9),
            first: 7,
            name: c"x",
            ..Order::default()
        };
        expect.successes.insert(143);
        assert_eq!(expect.rewrites.insert(b"HUP:0"), Some(()));
        assert_eq!(parse(|index| words.get(index).copied()), Ok(Request::Run(expect)));
    }
}
