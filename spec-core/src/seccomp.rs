//! `linux.seccomp`: the profile, as written, and the filter that the kernel takes.

mod compile;
mod condition;
mod program;
mod syscalls;

pub use compile::{Error, Scratch, compile};
pub use program::{Filter, Instruction};
pub use syscalls::Machine;

use crate::json::Read;
use crate::spec::{List, Present, Spec, read_list, read_texts};
use crate::text::Text;
use crate::value::{Value, members};
use crate::words::Words;

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
pub const ARCHITECTURE_NAMES: [&str; 23] = [
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
];

/// The names of the actions.
pub const ACTIONS: Words = Words::new(concat!(
    "SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_LOG ",
    "SCMP_ACT_NOTIFY SCMP_ACT_TRACE SCMP_ACT_TRAP ",
));

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
pub const OPERATORS: Words =
    Words::new("SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_LE SCMP_CMP_LT SCMP_CMP_MASKED_EQ SCMP_CMP_NE ");

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
pub const FLAGS: Words = Words::new(concat!(
    "SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW ",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV ",
));

/// The kernel's bits for a set of them: the first three are its lowest, and two that are not for profiles come next.
fn filter_flags(set: u32) -> u32 {
    set & 0b111 | (set & 0b1000) << 2
}

/// The number that goes with an action has 16 bits (`SECCOMP_RET_DATA`).
const ERRNO_MAX: i64 = 0xffff;

/// Reads `seccomp`.
pub(crate) fn read_seccomp<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<Seccomp<'a>> {
    let mut default_action = None;
    let seccomp = &mut Seccomp {
        default_action: Action::KillThread,
        default_errno: None,
        architectures: 0,
        flags: 0,
        listener_path: None,
        listener_metadata: None,
        rules: List::EMPTY,
        _present: Present::Yes,
    };
    members!(value, seccomp, {
        "defaultAction" => default_action = Some(read_action(value)?),
        "defaultErrnoRet" => seccomp.default_errno = Some(value.between(0, ERRNO_MAX)? as u32),
        "architectures" => seccomp.architectures = read_architectures(value)?,
        "flags" => seccomp.flags = filter_flags(value.any_of(FLAGS, "unknown flag ")?),
        "listenerPath" => seccomp.listener_path = value.optional_absolute_path()?,
        "listenerMetadata" => value.text_into(&mut seccomp.listener_metadata)?,
        "syscalls" => seccomp.rules = read_list(value, spec, read_rule)?,
    })?;
    seccomp.default_action = value.require("defaultAction", default_action)?;
    if seccomp.default_errno.is_some() && !seccomp.default_action.takes_errno() {
        return Err(value.refuse_member("defaultErrnoRet", ERRNO_WITHOUT_USE));
    }
    Ok(*seccomp)
}

const ERRNO_WITHOUT_USE: &str = "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number";

impl Action {
    fn takes_errno(self) -> bool {
        matches!(self, Self::Errno | Self::Trace)
    }
}

fn read_action(value: &mut Value<'_, '_>) -> Read<Action> {
    let action = value.one_of(ACTIONS, "unknown action ")?;
    // The table has one for each word.
    Ok(ACTIONS_MEANT.get(action).copied().unwrap_or(Action::KillProcess))
}

fn read_architectures<'a>(value: &mut Value<'_, 'a>) -> Read<u32> {
    let mut architectures = 0;
    value.array(|_, _, value| {
        let word = value.word()?;
        match ARCHITECTURE_NAMES.iter().position(|known| *known == word) {
            Some(number) => architectures |= 1 << number,
            None => return Err(value.refuse("unknown architecture ")),
        }
        Ok(())
    })?;
    Ok(architectures)
}

fn read_rule<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<Rule<'a>> {
    let (mut names, mut arguments, mut action, mut errno) = (List::EMPTY, List::EMPTY, None, None);
    members!(value, {
        "names" => names = read_texts(value, spec)?,
        "action" => action = Some(read_action(value)?),
        "errnoRet" => errno = Some(value.between(0, ERRNO_MAX)? as u32),
        "args" => arguments = read_list(value, spec, read_argument)?,
    })?;
    let action = value.require("action", action)?;
    if names.is_empty() {
        return Err(value.refuse_member("names", "must name a system call"));
    }
    if errno.is_some() && !action.takes_errno() {
        return Err(value.refuse_member("errnoRet", ERRNO_WITHOUT_USE));
    }
    Ok(Rule {
        names,
        action,
        errno,
        arguments,
    })
}

fn read_argument<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<Argument> {
    let (mut index, mut operand, mut value_two, mut operator) = (None, None, 0, None);
    members!(value, {
        "index" => index = Some(value.between(0, 5)? as u8),
        "value" => value.unsigned_into(&mut operand)?,
        "valueTwo" => value_two = value.unsigned()?,
        "op" => operator = OPERATORS_MEANT.get(value.one_of(OPERATORS, "unknown operator ")?).copied(),
    })?;
    Ok(Argument {
        index: value.require("index", index)?,
        value: value.require("value", operand)?,
        value_two,
        operator: value.require("op", operator)?,
    })
}

#[cfg(test)]
mod tests;
