//! A command line is understood or refused in one way, whatever stands on it, and nothing is made up.
//!
//! The words are parted by NULs, as in `/proc/PID/cmdline`.

#![no_main]

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use launcher::cli::{Command, GivenOptions, Invocation, Opt, read};
use launcher::error::{Failure, set_ending};
use sys::Words;

/// Words of one line, roci's own name included.
const WORDS_MAX: usize = 600;
/// Bytes of all words. They are never freed, since an argument lives as long as the program.
const BYTES_MAX: usize = 512 << 20;

/// What lives as long as the program, and is used again for each line.
#[derive(Default)]
struct Kept {
    words: HashSet<&'static CStr>,
    bytes: usize,
    /// One command line of each length.
    lines: HashMap<usize, Words>,
    invocation: Option<Invocation>,
}

impl Kept {
    fn word(&mut self, bytes: &[u8]) -> Option<&'static CStr> {
        let word = CString::new(bytes).ok()?;
        if let Some(known) = self.words.get(word.as_c_str()) {
            return Some(known);
        }
        self.bytes += bytes.len() + 64;
        let word: &'static CStr = Box::leak(word.into_boxed_c_str());
        self.words.insert(word);
        (self.bytes < BYTES_MAX).then_some(word)
    }
}

/// What ends a line that is refused. It is no panic: those end the fuzzer.
struct Refused;

fn end(failure: Failure<'_>) -> ! {
    if let Failure::Operation(text) = failure {
        assert!(
            text.is_empty() || text.contains("roci does not use CRIU") || text.ends_with('…'),
            "{text}"
        );
    }
    resume_unwind(Box::new(Refused));
}

thread_local!(static KEPT: RefCell<Kept> = RefCell::default());

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    set_ending(end);
    KEPT.with_borrow_mut(|kept| {
        let words: Option<Vec<_>> = bytes.split(|byte| *byte == 0).map(|word| kept.word(word)).collect();
        let Some(mut words) = words.filter(|words| words.len() < WORDS_MAX) else {
            return;
        };
        words.insert(0, c"roci");
        let line = kept.lines.entry(words.len());
        let line = line.or_insert_with(|| Words::new(Vec::leak(vec![ptr::null(); words.len() + 2])));
        let arguments = line.with(&words);
        let mut invocation = match kept.invocation.take() {
            Some(last) => last.again(arguments),
            None => Invocation::new(arguments, Box::leak(Box::new(GivenOptions::new()))),
        };
        // No log is opened: the file would be one that the fuzzer names.
        if catch_unwind(AssertUnwindSafe(|| read(&mut invocation, |_| Ok(())))).is_ok() {
            check(&invocation, &words);
        }
        kept.invocation = Some(invocation);
    });
});

fn check(invocation: &Invocation, words: &[&'static CStr]) {
    let text = |word: &CStr| word.to_bytes().to_vec();
    // What is a value or a name was typed, whole or behind the `=` of an option.
    let options: Vec<_> = (0..=Opt::Follow as u8)
        .filter_map(|place| invocation.value_at(place))
        .collect();
    for value in options {
        assert!(
            words.iter().any(|word| text(word).ends_with(value.to_bytes())),
            "{value:?}"
        );
    }
    let names: Vec<_> = (0..3).map_while(|index| invocation.positional(index)).collect();
    assert!(names.iter().all(|name| words[1..].contains(name)));
    assert!(invocation.positional(names.len()).is_none());
    match invocation.command {
        Command::Help | Command::Version => {}
        Command::Exec => {
            assert_eq!(names.len(), 1);
            let program: Vec<_> = invocation.program().collect();
            assert!(words.ends_with(&program));
            assert!(!program.is_empty() || invocation.has(Opt::Process));
        }
        _ => assert_eq!(invocation.program().count(), 0),
    }
}
