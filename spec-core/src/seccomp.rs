//! `linux.seccomp`: the profile, as written, and the filter that the kernel takes.

mod compile;
mod condition;
mod program;
mod syscalls;

pub use compile::{Error, Scratch, compile};
pub use program::{Filter, Instruction};
pub use syscalls::Machine;

use crate::schema::{Wrong, members};
use crate::spec::{List, Present, Spec};
use crate::text::Text;
use crate::words::{Family, family};

/// `seccomp`.
#[derive(Clone, Copy)]
pub struct Seccomp<'a> {
    /// `defaultAction`.
    pub default_action: Action,
    /// `defaultErrnoRet`.
    pub default_errno: Option<u32>,
    /// `architectures`: bit n is number n of [`ARCHITECTURE_NAMES`].
    pub architectures: u32,
    /// `flags`, as the kernel's `SECCOMP_FILTER_FLAG_` bits.
    pub flags: u32,
    /// `listenerPath`.
    pub listener_path: Option<Text<'a>>,
    /// `listenerMetadata`.
    pub listener_metadata: Option<Text<'a>>,
    /// `syscalls`, in order.
    pub rules: List<Rule<'a>>,
    _present: Present,
}

/// `SCMP_ACT_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `SCMP_ACT_ALLOW`.
    Allow,
    /// `SCMP_ACT_ERRNO`.
    Errno,
    /// `SCMP_ACT_KILL` and `SCMP_ACT_KILL_THREAD`.
    KillThread,
    /// `SCMP_ACT_KILL_PROCESS`.
    KillProcess,
    /// `SCMP_ACT_LOG`.
    Log,
    /// `SCMP_ACT_NOTIFY`.
    Notify,
    /// `SCMP_ACT_TRACE`.
    Trace,
    /// `SCMP_ACT_TRAP`.
    Trap,
}

/// One element of `syscalls`.
#[derive(Clone, Copy)]
pub struct Rule<'a> {
    /// `names`.
    pub names: List<Text<'a>>,
    /// `action`.
    pub action: Action,
    /// `errnoRet`.
    pub errno: Option<u32>,
    /// `args`, all of which must hold.
    pub arguments: List<Argument>,
}

/// One element of `args`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// `index`, 0 to 5.
    pub index: u8,
    /// `value`.
    pub value: u64,
    /// `valueTwo`: the value compared with, for `SCMP_CMP_MASKED_EQ`.
    pub value_two: u64,
    /// `op`.
    pub operator: Operator,
}

/// `SCMP_CMP_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `SCMP_CMP_NE`.
    NotEqual,
    /// `SCMP_CMP_LT`.
    Less,
    /// `SCMP_CMP_LE`.
    LessOrEqual,
    /// `SCMP_CMP_EQ`.
    Equal,
    /// `SCMP_CMP_GE`.
    GreaterOrEqual,
    /// `SCMP_CMP_GT`.
    Greater,
    /// `SCMP_CMP_MASKED_EQ`.
    MaskedEqual,
}

/// `SCMP_ARCH_` names, by the bit that stands for each in [`Seccomp::architectures`].
pub const ARCHITECTURE_NAMES: Family = family!(
    "SCMP_ARCH_",
    "X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 ",
    "S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB ",
);

/// The names of the actions.
pub const ACTIONS: Family = family!(
    "SCMP_ACT_",
    "ALLOW ERRNO KILL KILL_PROCESS KILL_THREAD LOG NOTIFY TRACE TRAP "
);

/// What they stand for.
const ACTIONS_MEANT: [Action; 9] = [
    Action::Allow,
    Action::Errno,
    Action::KillThread,
    Action::KillProcess,
    Action::KillThread,
    Action::Log,
    Action::Notify,
    Action::Trace,
    Action::Trap,
];

/// The names of the operators.
pub const OPERATORS: Family = family!("SCMP_CMP_", "EQ GE GT LE LT MASKED_EQ NE ");

/// What they stand for.
const OPERATORS_MEANT: [Operator; 7] = [
    Operator::Equal,
    Operator::GreaterOrEqual,
    Operator::Greater,
    Operator::LessOrEqual,
    Operator::Less,
    Operator::MaskedEqual,
    Operator::NotEqual,
];

/// The names of the flags.
pub const FLAGS: Family = family!("SECCOMP_FILTER_FLAG_", "TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV ");

/// The kernel's bits for a set of them: the first three are its lowest, and two that are not for profiles come next.
fn filter_flags(set: u32) -> u32 {
    (set & 0b111) + ((set & 0b1000) << 2)
}

/// The number that goes with an action has 16 bits (`SECCOMP_RET_DATA`).
pub(crate) const ERRNO_MAX: u32 = 0xffff;

members! {
    const SECCOMP, fn store_seccomp(seccomp: Seccomp<'a>, given) {
        "defaultAction": Word(Vocabulary::Action), required => seccomp.default_action = action(given.number),
        "defaultErrnoRet": Integer(Range::Errno) => seccomp.default_errno = Some(given.number as u32),
        "architectures": Words(Vocabulary::Architecture) => seccomp.architectures = given.number as u32,
        "flags": Words(Vocabulary::FilterFlag) => seccomp.flags = filter_flags(given.number as u32),
        "listenerPath": Text(Rule::OptionalAbsolute) => seccomp.listener_path = given.optional_text,
        "listenerMetadata": Text(Rule::Optional) => seccomp.listener_metadata = given.optional_text,
        "syscalls": List(Object::SeccompRule) => seccomp.rules = given.list(),
    }
}

members! {
    const RULE, fn store_rule(rule: Rule<'a>, given) {
        "names": Texts(Rule::Any) => rule.names = given.list(),
        "action": Word(Vocabulary::Action), required => rule.action = action(given.number),
        "errnoRet": Integer(Range::Errno) => rule.errno = Some(given.number as u32),
        "args": List(Object::SeccompArgument) => rule.arguments = given.list(),
    }
}

members! {
    const ARGUMENT, fn store_argument(argument: Argument, given) {
        "index": Integer(Range::Argument), required => argument.index = given.number as u8,
        "value": Integer(Range::Unsigned64), required => argument.value = given.number,
        "valueTwo": Integer(Range::Unsigned64) => argument.value_two = given.number,
        "op": Word(Vocabulary::Operator), required => {
            if let Some(operator) = OPERATORS_MEANT.get(given.number as usize) {
                argument.operator = *operator;
            }
        },
    }
}

/// What the word at a place in [`ACTIONS`] stands for. There is one for each.
fn action(place: u64) -> Action {
    ACTIONS_MEANT
        .get(place as usize)
        .copied()
        .unwrap_or(Action::KillProcess)
}

impl Action {
    /// What is `wrong` if there is a number that goes with it.
    fn check_errno(self, errno: Option<u32>, wrong: Wrong) -> Result<(), Wrong> {
        if errno.is_some() && !matches!(self, Self::Errno | Self::Trace) {
            return Err(wrong);
        }
        Ok(())
    }
}

impl Seccomp<'_> {
    pub(crate) const EMPTY: Self = Self {
        default_action: Action::KillThread,
        default_errno: None,
        architectures: 0,
        flags: 0,
        listener_path: None,
        listener_metadata: None,
        rules: List::EMPTY,
        _present: Present::Yes,
    };

    pub(crate) fn close(&self) -> Result<(), Wrong> {
        self.default_action.check_errno(self.default_errno, Wrong::DefaultErrno)
    }

    /// Whether somebody has to be asked, and it is not said who.
    pub(crate) fn lacks_listener(&self, spec: &Spec<'_>) -> bool {
        let mut rules = spec.list(self.rules).iter();
        let notifies = self.default_action == Action::Notify || rules.any(|rule| rule.action == Action::Notify);
        notifies && self.listener_path.is_none()
    }
}

impl Rule<'_> {
    pub(crate) const EMPTY: Self = Self {
        names: List::EMPTY,
        action: Action::KillThread,
        errno: None,
        arguments: List::EMPTY,
    };

    pub(crate) fn close(&self) -> Result<(), Wrong> {
        if self.names.is_empty() {
            return Err(Wrong::NoNames);
        }
        self.action.check_errno(self.errno, Wrong::Errno)
    }
}

impl Argument {
    pub(crate) const EMPTY: Self = Self {
        index: 0,
        value: 0,
        value_two: 0,
        operator: Operator::Equal,
    };
}

#[cfg(test)]
mod tests;
