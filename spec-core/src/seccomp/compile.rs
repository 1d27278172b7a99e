//! From a profile to a filter.
//!
//! For each architecture: every system call gets a verdict, those that stand beside each other and have the same become a
//! range, and a search bisects the ranges. The kernel runs the filter for every number to learn which calls need no
//! filter at all, so the way to each verdict matters and not only the one to the verdicts of frequent calls.
//!
//! What a profile means is what libseccomp makes of it as runc and crun feed it, and the tests compare the answers:
//!
//! - A rule that says what holds anyway is skipped, as are names that nobody knows and architectures that the machine does
//!   not run. Its own architecture is always there. Calls of any other kill the thread.
//! - The first rule about a system call that looks at no argument decides, wherever others stand. Of those that do, one that
//!   holds decides.
//! - All arguments of a rule have to hold, unless one of them stands twice: then any of them.
//! - On architectures other than the 64-bit ones of the machine, and on x32, the lower halves of arguments are compared.
//! - On x86, a rule about `socket` is also one about `socketcall` with 1 as its first argument, and so on.
//!
//! Different from libseccomp 2.5.4, on purpose: it compares one half of an argument with what belongs to the other where
//! several rules look at that argument and one does so by size; and it refuses some rules of one system call that hold for
//! the same arguments and have different actions. Here, the one that asks for less comes first, then the one about the later
//! argument, then the larger value, then the earlier one. A mask without bits asks for nothing. Different from runc: a
//! system call that is newer than the profile gets the default action and not ENOSYS.

use core::fmt;

use heapless::Vec;
use static_assertions::const_assert;

use super::condition::{ALL, Condition, Layout, arguments_of};
use super::program::{Address, Filter, IF_EQUAL, IF_GREATER_OR_EQUAL, Writer};
use super::syscalls::{ARCHITECTURES_MAX, Architecture, Machine, SLOTS};
use super::{Action, Rule, Seccomp};
use crate::Spec;
use crate::error::write_limit;
use crate::limits::*;
use crate::message::{Message, text};
use crate::sink::{Show, Sink};

/// Why a profile cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The name of a constant in [`crate::limits`] that is too small, and its value.
    Limit(Message, usize),
    /// Nobody has written a table for this machine.
    Machine,
}

impl Show for Error {
    fn write_to(&self, out: &mut dyn Sink) {
        match self {
            Self::Limit(name, max) => write_limit(out, *name, *max as u64),
            Self::Machine => {
                text!("the system calls of this machine are not known").write_to(out);
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f);
        Ok(())
    }
}

impl core::error::Error for Error {}

/// What [`compile`] works with. All zero bytes; what it holds afterwards means nothing.
pub struct Scratch {
    /// By place, which is a slot of an architecture: [`DEFAULT`], [`CONDITIONAL`] or the number from 1 of the first rule that
    /// returns the same, so that places with the same answer have the same verdict.
    verdicts: [u16; ARCHITECTURES_MAX * SLOTS],
    /// The first places of the ranges of one architecture.
    starts: Vec<u16, SLOTS>,
    /// Those of a place in the order in which they are asked.
    conditions: Vec<Condition, SECCOMP_CONDITIONS_MAX>,
}

const DEFAULT: u16 = 0;
const CONDITIONAL: u16 = u16::MAX;
// The numbers of rules stay clear of the mark.
const_assert!(SECCOMP_RULES_MAX < CONDITIONAL as usize && SECCOMP_ARGUMENTS_MAX < ALL as usize);
const_assert!(ARCHITECTURES_MAX * SLOTS <= u16::MAX as usize);
const_assert!(size_of::<Scratch>() <= 64 * 1024);

impl Scratch {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            verdicts: [DEFAULT; ARCHITECTURES_MAX * SLOTS],
            starts: Vec::new(),
            conditions: Vec::new(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// `SECCOMP_RET_KILL_THREAD`: for architectures that the profile does not list, as libseccomp has it.
const BAD_ARCHITECTURE: u32 = 0;
/// The offsets of `nr` and `arch` in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Writes what `seccomp` says into `filter`. `spec` is where its lists are.
pub fn compile<'a>(
    spec: &Spec<'a>,
    seccomp: &Seccomp<'a>,
    machine: Machine,
    scratch: &mut Scratch,
    filter: &mut Filter,
) -> Result<(), Error> {
    if machine.architectures.is_empty() {
        return Err(Error::Machine);
    }
    let mut compiler = Compiler {
        spec,
        rules: spec.list(seccomp.rules),
        default: returned(seccomp.default_action, seccomp.default_errno),
        scratch,
        writer: Writer::new(filter),
    };
    let is_listed =
        |column, architecture: &Architecture| column == 0 || seccomp.architectures & 1 << architecture.number != 0;
    compiler
        .judge(&machine, is_listed)
        .ok_or(Error::Limit(text!("SECCOMP_CONDITIONS_MAX"), SECCOMP_CONDITIONS_MAX))?;
    // What comes next in the program for another token, and what the numbers of an architecture with a base lead to.
    let mut others = compiler.writer.leaf(BAD_ARCHITECTURE);
    let mut based = None;
    for (column, architecture) in machine.architectures.iter().enumerate().rev() {
        let body = is_listed(column, architecture).then(|| compiler.body(column, architecture, machine.big_endian));
        if column > 0 && architecture.base != 0 {
            let upper = body.unwrap_or_else(|| compiler.unlisted());
            based = Some((architecture, upper));
            continue;
        }
        let Some(mut body) = body else {
            continue;
        };
        if let Some((other, upper)) = based
            && other.token == architecture.token
        {
            body = compiler.writer.compare(IF_GREATER_OR_EQUAL, other.base, upper, body);
        }
        if architecture.base != 0 {
            let below = compiler.writer.leaf(compiler.default);
            body = compiler
                .writer
                .compare(IF_GREATER_OR_EQUAL, architecture.base, body, below);
        }
        let start = compiler.writer.load(NUMBER, body);
        others = compiler.writer.compare(IF_EQUAL, architecture.token, start, others);
    }
    compiler.writer.load(ARCHITECTURE, others);
    let too_long = Error::Limit(text!("SECCOMP_INSTRUCTIONS_MAX"), SECCOMP_INSTRUCTIONS_MAX);
    compiler.writer.finish().ok_or(too_long)
}

/// What the filter returns for an action. The number has 16 bits.
fn returned(action: Action, number: Option<u32>) -> u32 {
    const EPERM: u32 = 1;
    match action {
        Action::KillProcess => 0x8000_0000,
        Action::KillThread => 0,
        Action::Trap => 0x0003_0000,
        Action::Errno => 0x0005_0000 + number.unwrap_or(EPERM),
        Action::Notify => 0x7fc0_0000,
        Action::Trace => 0x7ff0_0000 + number.unwrap_or(EPERM),
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    }
}

struct Compiler<'c, 'a> {
    spec: &'c Spec<'a>,
    rules: &'c [Rule<'a>],
    default: u32,
    scratch: &'c mut Scratch,
    writer: Writer<'c>,
}

impl Compiler<'_, '_> {
    /// Writes what happens to numbers of an architecture that shares its token and is not listed. A tracer makes a system
    /// call be skipped by setting its number to -1, which is no number of that architecture.
    fn unlisted(&mut self) -> Address {
        let (skipped, bad) = (self.writer.leaf(self.default), self.writer.leaf(BAD_ARCHITECTURE));
        self.writer.compare(IF_EQUAL, u32::MAX, skipped, bad)
    }

    /// Fills in the verdicts and the conditions, as long as they fit.
    fn judge(&mut self, machine: &Machine, is_listed: impl Fn(usize, &Architecture) -> bool) -> Option<()> {
        self.scratch.verdicts.fill(DEFAULT);
        self.scratch.conditions.clear();
        for (number, rule) in self.rules.iter().enumerate() {
            // It could only take the place of a rule that says something else.
            let value = returned(rule.action, rule.errno);
            if value == self.default {
                continue;
            }
            let same = |rule: &Rule<'_>| returned(rule.action, rule.errno) == value;
            let verdict = self.rules.iter().position(same).unwrap_or(number) as u16 + 1;
            for name in self.spec.list(rule.names) {
                let Some(numbers) = machine.find(name.as_str()) else {
                    continue;
                };
                for (column, architecture) in machine.architectures.iter().enumerate() {
                    if !is_listed(column, architecture) {
                        continue;
                    }
                    // The types have room for every place and every rule.
                    let place = |slot: u16| (column * SLOTS) as u16 + slot;
                    let rule = (number as u16, verdict);
                    if let Some(slot) = numbers.slot(column) {
                        self.add(place(slot), rule, 0, architecture.wide)?;
                    }
                    if architecture.multiplexes
                        && let Some((slot, call)) = numbers.multiplexed()
                    {
                        self.add(place(slot), rule, call, architecture.wide)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Applies rule `rule`, whose verdict is `decided`, to a system call.
    #[inline(never)]
    fn add(&mut self, place: u16, (rule, decided): (u16, u16), multiplexed: u8, wide: bool) -> Option<()> {
        let Some(verdict) = self.scratch.verdicts.get_mut(usize::from(place)) else {
            return Some(());
        };
        // The first rule that looks at no argument decides, whatever stands before or behind it.
        if *verdict != DEFAULT && *verdict != CONDITIONAL {
            return Some(());
        }
        let mut condition = Condition {
            place,
            rule,
            only: ALL,
            multiplexed,
        };
        let arguments = arguments_of(self.spec, self.rules, condition);
        if condition.is_empty(arguments, wide) {
            *verdict = decided;
            return Some(());
        }
        *verdict = CONDITIONAL;
        if !arguments.iter().enumerate().any(|(number, argument)| {
            let same = |other: &super::Argument| other.index == argument.index;
            arguments.iter().skip(number + 1).any(same)
        }) {
            return self.insert(condition, wide);
        }
        // runc and crun: where an argument stands twice, one comparison suffices.
        for only in 0..arguments.len() {
            condition.only = only as u16;
            if condition.is_empty(arguments, wide) {
                if let Some(verdict) = self.scratch.verdicts.get_mut(usize::from(place)) {
                    *verdict = decided;
                }
                return Some(());
            }
            self.insert(condition, wide)?;
        }
        Some(())
    }

    /// Adds a condition where it belongs.
    fn insert(&mut self, condition: Condition, wide: bool) -> Option<()> {
        let arguments = arguments_of(self.spec, self.rules, condition);
        let conditions = &mut self.scratch.conditions;
        let at = conditions.iter().position(|other| {
            let others = arguments_of(self.spec, self.rules, *other);
            other.place == condition.place && condition.precedes(arguments, *other, others, wide)
        });
        let at = at.unwrap_or(conditions.len());
        conditions.push(condition).ok()?;
        // It takes its place, and those behind it make way.
        if let Some((place, others)) = conditions.get_mut(at..)?.split_first_mut() {
            let mut moved = core::mem::replace(place, condition);
            for other in others {
                moved = core::mem::replace(other, moved);
            }
        }
        Some(())
    }

    /// What a verdict that is not conditional returns.
    fn value(&self, verdict: u16) -> u32 {
        let rule = usize::from(verdict)
            .checked_sub(1)
            .and_then(|rule| self.rules.get(rule));
        rule.map_or(self.default, |rule| returned(rule.action, rule.errno))
    }

    fn verdict(&self, place: u16) -> u16 {
        self.scratch
            .verdicts
            .get(usize::from(place))
            .copied()
            .unwrap_or(DEFAULT)
    }

    /// Whether two places can be in one range.
    fn is_same(&self, one: u16, other: u16) -> bool {
        let (one, other) = (self.verdict(one), self.verdict(other));
        one == other && one != CONDITIONAL
    }

    /// Writes what answers the calls of an architecture, for which their number has been loaded.
    fn body(&mut self, column: usize, architecture: &Architecture, big_endian: bool) -> Address {
        self.scratch.starts.clear();
        let first = column * SLOTS;
        let verdicts = self.scratch.verdicts.get(first..first + SLOTS).unwrap_or_default();
        let mut before = CONDITIONAL;
        for (place, verdict) in (first as u16..).zip(verdicts) {
            if *verdict != before || *verdict == CONDITIONAL {
                // There is room for each.
                let _ = self.scratch.starts.push(place);
            }
            before = *verdict;
        }
        let wide = architecture.wide;
        self.search(architecture, Layout { wide, big_endian }, 0, self.scratch.starts.len())
    }

    /// Writes a search among the ranges from `first` to before `end`, of which there are at most [`SLOTS`]: it goes ten
    /// levels deep.
    fn search(&mut self, architecture: &Architecture, layout: Layout, first: usize, end: usize) -> Address {
        let start = |range: usize| self.scratch.starts.get(range).copied().unwrap_or_default();
        let (middle, outer) = (first + (end - first) / 2, start(first));
        if end - first <= 1 {
            return self.decide(outer, layout);
        }
        let (inner, next) = (start(first + 1), start(first + 2));
        if end - first == 3 && next == inner + 1 && self.is_same(outer, next) {
            // One number in a range.
            let (yes, no) = (self.decide(inner, layout), self.decide(outer, layout));
            return self.writer.compare(IF_EQUAL, architecture.system_call(inner), yes, no);
        }
        let from = architecture.system_call(start(middle));
        let yes = self.search(architecture, layout, middle, end);
        let no = self.search(architecture, layout, first, middle);
        self.writer.compare(IF_GREATER_OR_EQUAL, from, yes, no)
    }

    /// Writes what happens to the system calls of the range that starts with `place`.
    fn decide(&mut self, place: u16, layout: Layout) -> Address {
        let verdict = self.verdict(place);
        if verdict != CONDITIONAL {
            let value = self.value(verdict);
            return self.writer.leaf(value);
        }
        let mut at = self.writer.leaf(self.default);
        let here = |condition: &&Condition| condition.place == place;
        for condition in self.scratch.conditions.iter().rev().filter(here) {
            let yes = match self.rules.get(usize::from(condition.rule)) {
                Some(rule) => self.writer.leaf(returned(rule.action, rule.errno)),
                None => at,
            };
            let arguments = arguments_of(self.spec, self.rules, *condition);
            at = condition.write(&mut self.writer, arguments, layout, yes, at);
        }
        at
    }
}
