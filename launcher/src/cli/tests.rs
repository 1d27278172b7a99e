//! Command lines, as they are typed.

use std::boxed::Box;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::harness::typed;

std::thread_local! {
    /// For each time that the log was opened: what had been said of it, and the number of options by then.
    static OPENED: RefCell<Vec<(Option<&'static CStr>, usize)>> = const { RefCell::new(Vec::new()) };
}

fn open_log(invocation: &Invocation) -> Result<()> {
    OPENED.with_borrow_mut(|opened| opened.push((invocation.value(Opt::Log), invocation.options.len())));
    Ok(())
}

fn try_read(line: &str) -> core::result::Result<Invocation, String> {
    OPENED.take();
    let mut invocation = Invocation::new(typed(line), Box::leak(Box::new(GivenOptions::new())));
    // An error is a panic in tests.
    match catch_unwind(AssertUnwindSafe(|| read(&mut invocation, open_log))) {
        Ok(result) => result.map(|()| invocation).map_err(|error| error.never()),
        Err(text) => Err(*text.downcast().expect("a text")),
    }
}

/// The command line, which is right.
#[track_caller]
pub fn understood(line: &str) -> Invocation {
    try_read(line).unwrap_or_else(|text| panic!("{line}: {text}"))
}

#[track_caller]
fn refused(line: &str, expected: &str) {
    match try_read(line) {
        Ok(invocation) => panic!("{line}: {:?}", invocation.command),
        Err(text) => assert!(text.contains(expected), "{line}: {text}"),
    }
}

fn names(invocation: &Invocation) -> Vec<&'static CStr> {
    (0..3).map_while(|index| invocation.positional(index)).collect()
}

#[test]
fn options_stand_before_and_behind_what_they_are_for() {
    for line in [
        "roci --root /r create --bundle /b --no-pivot web",
        "roci --root=/r create web --bundle=/b --no-pivot=true",
        "roci -root /r create -b /b web -no-pivot",
        "roci create --root /x --no-pivot=auto --root /r -bundle /b web",
    ] {
        let invocation = understood(line);
        assert_eq!(invocation.command, Command::Create, "{line}");
        assert_eq!(names(&invocation), [c"web"], "{line}");
        assert_eq!(invocation.value(Opt::Root), Some(c"/r"), "{line}");
        assert_eq!(invocation.text(Opt::Bundle).ok(), Some(Some("/b")), "{line}");
        assert_eq!(invocation.text(Opt::Log).ok(), Some(None), "{line}");
        assert!(invocation.has(Opt::NoPivot) && !invocation.has(Opt::Detach), "{line}");
        assert_eq!(invocation.arguments().get(0), Some(c"roci"));
    }
    let invocation = understood("roci create web --no-pivot=false --pid-file= /b");
    assert!(!invocation.has(Opt::NoPivot));
    assert_eq!(invocation.value(Opt::PidFile), Some(c""));
    assert_eq!(names(&invocation), [c"web", c"/b"]);
    assert!(!understood("roci create --no-pivot --no-pivot=false web").has(Opt::NoPivot));
    assert!(understood("roci create --no-pivot=false --no-pivot web").has(Opt::NoPivot));
}

#[test]
fn every_value_counts_where_an_option_repeats() {
    let invocation = understood("roci exec -e A=1 --cwd / --env=B=2 -env C web id");
    let values: Vec<_> = invocation.values(Opt::Env).collect();
    assert_eq!(values, [c"A=1", c"B=2", c"C"]);
    assert_eq!(invocation.value(Opt::Env), Some(c"C"));
    assert_eq!(invocation.values(Opt::Cap).count(), 0);
}

#[test]
fn words_that_look_like_options() {
    let invocation = understood("roci kill -- -web -9");
    assert_eq!(names(&invocation), [c"-web", c"-9"]);
    let invocation = understood("roci update web -r -");
    assert_eq!(invocation.value(Opt::Resources), Some(c"-"));
    assert_eq!(names(&understood("roci state -")), [c"-"]);
    assert_eq!(names(&understood("roci state -- --")), [c"--"]);
    assert_eq!(names(&understood("roci create web ")), [c"web", c""]);
}

#[test]
fn what_follows_the_container_is_the_program() {
    for (line, expected) in [
        ("roci exec -t web sh -c -- id", &[c"sh", c"-c", c"--", c"id"][..]),
        ("roci exec web -- -t", &[c"-t"]),
        ("roci exec web -- --", &[c"--"]),
        ("roci exec -- web -- id", &[c"id"]),
        ("roci exec --process /p web", &[]),
    ] {
        let invocation = understood(line);
        assert_eq!(names(&invocation), [c"web"], "{line}");
        assert_eq!(invocation.program().collect::<Vec<_>>(), expected, "{line}");
    }
    assert!(!understood("roci exec web -- -t").has(Opt::Tty));
    refused("roci exec web", "needs a program");
    refused("roci exec web --", "needs a program");
    assert_eq!(understood("roci state web").program().count(), 0);
}

#[test]
fn help_and_the_version() {
    for (line, command, topic) in [
        ("roci", Command::Help, None),
        ("roci --help", Command::Help, None),
        ("roci -h -v", Command::Help, None),
        ("roci help", Command::Help, None),
        ("roci help run", Command::Help, Some(Command::Run)),
        ("roci run --help", Command::Help, Some(Command::Run)),
        ("roci -h run", Command::Help, Some(Command::Run)),
        ("roci --version", Command::Version, None),
        ("roci -v", Command::Version, None),
        ("roci -v list", Command::List, None),
        ("roci list", Command::List, None),
    ] {
        let invocation = understood(line);
        assert_eq!((invocation.command, invocation.topic), (command, topic), "{line}");
    }
    refused("roci --root /r", "no command");
    refused("roci help no", "no such command");
}

#[test]
fn as_many_words_as_a_command_takes() {
    for row in commands() {
        let (least, most) = match row.command {
            Command::Create | Command::Run | Command::Kill | Command::Network => (1, 2),
            Command::List | Command::Spec | Command::Features | Command::Check => (0, 0),
            Command::Poweroff | Command::Reboot => (0, 0),
            Command::Exec => continue,
            _ => (1, 1),
        };
        assert_eq!(command_name(row.command), row.name);
        for given in 0..4 {
            let line = [&["roci", row.name], &["web"; 4][..given]].concat().join(" ");
            match try_read(&line) {
                Ok(invocation) => {
                    assert_eq!(invocation.command, row.command);
                    assert!(least <= given && given <= most, "{line}");
                }
                Err(text) if given < least => assert!(text.contains("needs a container id"), "{line}: {text}"),
                Err(text) => {
                    assert!(given > most, "{line}");
                    assert!(text.contains("one word too many: web"), "{line}: {text}");
                }
            }
        }
    }
    refused("roci state a b c d", "one word too many: d");
}

#[test]
fn options_that_are_none() {
    refused("roci create --no-such web", "unknown option: --no-such");
    refused("roci create --detach web", "unknown option: --detach");
    refused("roci --bundle /b create web", "unknown option: --bundle");
    // A short name has one dash.
    refused("roci create --b /b web", "unknown option: --b");
    refused("roci ---", "unknown option: ---");
    refused("roci --= list", "unknown option: --=");
    refused("roci create web -bundle=/b", "unknown option: -bundle=/b");
    refused("roci create --bundle", "--bundle: needs a value");
    refused("roci list --quiet=yes", "--quiet: takes no value, got yes");
    refused("roci no", "no such command: no");
    for name in ["checkpoint", "restore"] {
        refused(&std::format!("roci {name} web"), "does not use CRIU");
    }
}

#[test]
fn rootless_has_a_value_where_it_is_global() {
    for value in ["auto", "true", "false"] {
        let invocation = understood(&std::format!("roci --rootless {value} list"));
        assert!(
            invocation.command == Command::List && invocation.has(Opt::Rootless),
            "{value}"
        );
    }
    assert_eq!(understood("roci --rootless list").command, Command::List);
    assert_eq!(names(&understood("roci --debug state auto")), [c"auto"]);
    let invocation = understood("roci spec --rootless");
    assert!(invocation.has(Opt::SpecRootless) && !invocation.has(Opt::Rootless));
    refused("roci spec --rootless auto", "one word too many: auto");
}

#[test]
fn the_log_is_open_before_anything_can_be_wrong_with_the_command() {
    let opened = |line: &str| {
        let _ = try_read(line);
        OPENED.take()
    };
    assert_eq!(opened("roci --log /a no"), [(Some(c"/a"), 1)]);
    assert_eq!(opened("roci --log /a --no-such"), []);
    assert_eq!(opened("roci list --debug --quiet"), [(None, 0)]);
    for option in ["--root=/", "--log=/a", "--log-format=json", "--verbose"] {
        let log = (option == "--log=/a").then_some(c"/a");
        assert_eq!(
            opened(&std::format!("roci list {option} --no-such")),
            [(None, 0), (log, 1)]
        );
    }
}

#[test]
fn options_have_a_limit() {
    let line = |count| std::format!("roci exec {}web id", "-e A ".repeat(count));
    assert_eq!(understood(&line(OPTIONS_MAX)).values(Opt::Env).count(), OPTIONS_MAX);
    refused(&line(OPTIONS_MAX + 1), "more than 512 options");
}

#[test]
fn another_line_has_its_own_options() {
    let invocation = understood("roci --log /a create -b /b web").again(typed("roci list"));
    assert!(!invocation.has(Opt::Bundle) && names(&invocation).is_empty());
}

#[test]
fn numbers() {
    assert_eq!(number(c"0", "--x").ok(), Some(0));
    assert_eq!(number(c"4294967295", "--x").ok(), Some(u32::MAX));
    for word in [c"4294967296", c"", c"1a"] {
        assert!(catch_unwind(|| number(word, "--x")).is_err(), "{word:?}");
    }
    assert_eq!(as_text(c"web").ok(), Some("web"));
    assert!(catch_unwind(|| as_text(c"\xff")).is_err());
}
