//! What rules mean, told without any program, and tests of it that need no libseccomp.

use spec_core::seccomp::{Action, Argument, Operator, Rule};

use super::*;

/// x86_64, x32, x86, aarch64, arm, and which call of `socketcall` or `ipc` it is.
type Known = (&'static str, [Option<u32>; 5], Option<(&'static str, u64)>);

const KNOWN: [Known; 12] = [
    ("read", [Some(0), Some(0), Some(3), Some(63), Some(3)], None),
    ("write", [Some(1), Some(1), Some(4), Some(64), Some(4)], None),
    (
        "socket",
        [Some(41), Some(41), Some(359), Some(198), Some(281)],
        Some(("socketcall", 1)),
    ),
    ("send", [None, None, None, None, Some(289)], Some(("socketcall", 9))),
    ("socketcall", [None, None, Some(102), None, None], None),
    ("ipc", [None, None, Some(117), None, None], None),
    (
        "shmget",
        [Some(29), Some(29), Some(395), Some(194), Some(307)],
        Some(("ipc", 23)),
    ),
    (
        "semop",
        [Some(65), Some(65), None, Some(193), Some(298)],
        Some(("ipc", 1)),
    ),
    ("ioctl", [Some(16), Some(514), Some(54), Some(29), Some(54)], None),
    ("openat", [Some(257), Some(257), Some(295), Some(56), Some(322)], None),
    ("_llseek", [None, None, Some(140), None, Some(140)], None),
    ("clone", [Some(56), Some(56), Some(120), Some(220), Some(120)], None),
];

fn value(action: Action, number: Option<u32>) -> u32 {
    let number = number.unwrap_or(1);
    match action {
        Action::Allow => ALLOW,
        Action::Errno => 0x0005_0000 + number,
        Action::KillThread => 0,
        Action::KillProcess => 0x8000_0000,
        Action::Log => 0x7ffc_0000,
        Action::Notify => 0x7fc0_0000,
        Action::Trace => 0x7ff0_0000 + number,
        Action::Trap => 0x0003_0000,
    }
}

fn holds(argument: &Argument, value: u64, bits: u64) -> bool {
    let (value, with) = (value & bits, argument.value & bits);
    match argument.operator {
        Operator::NotEqual => value != with,
        Operator::Less => value < with,
        Operator::LessOrEqual => value <= with,
        Operator::Equal => value == with,
        Operator::GreaterOrEqual => value >= with,
        Operator::Greater => value > with,
        Operator::MaskedEqual => (value ^ argument.value_two) & with == 0,
    }
}

/// What may be returned for a call, if all names are among [`KNOWN`]: of several rules with arguments that say different
/// things, each.
pub fn answers(spec: &Spec<'_>, machine: &str, call: &Call) -> Vec<u32> {
    let seccomp = spec.linux.seccomp.unwrap();
    let default = value(seccomp.default_action, seccomp.default_errno);
    let is_x32 = call.number >= X32;
    let (column, bit, native) = match (machine, call.architecture, is_x32) {
        ("x86_64", X86_64, _) if call.number == u32::MAX => return vec![default],
        ("x86_64", X86_64, false) => (0, 1, true),
        ("x86_64", X86_64, true) => (1, 2, false),
        ("x86_64", X86, _) => (2, 0, false),
        ("aarch64", AARCH64, _) => (3, 4, true),
        ("aarch64", ARM, _) => (4, 3, false),
        _ => return vec![0],
    };
    if !native && seccomp.architectures & 1 << bit == 0 {
        return vec![0];
    }
    let bits = if native { u64::MAX } else { u32::MAX.into() };
    let number = if column == 1 { call.number - X32 } else { call.number };
    let mut found = Vec::new();
    let other = |rule: &&Rule<'_>| value(rule.action, rule.errno) != default;
    for rule in spec.list(seccomp.rules).iter().filter(other) {
        let arguments = spec.list(rule.arguments);
        for name in spec.list(rule.names) {
            let (_, numbers, multiplexed) = KNOWN.iter().find(|known| known.0 == name.as_str()).unwrap();
            let of_name = |name| KNOWN.iter().find(|known| known.0 == name).unwrap().1[column];
            let mut ways = vec![(numbers[column], None)];
            if let (2, Some((name, first))) = (column, multiplexed) {
                ways.push((of_name(*name), Some(*first)));
            }
            for (_, first) in ways.into_iter().filter(|way| way.0 == Some(number)) {
                let mut arguments = arguments.to_vec();
                let twice = (0..6).any(|index| arguments.iter().filter(|argument| argument.index == index).count() > 1);
                let groups: Vec<Vec<Argument>> = if twice {
                    arguments.drain(..).map(|argument| vec![argument]).collect()
                } else {
                    vec![arguments]
                };
                for mut group in groups {
                    if let Some(value) = first {
                        group.retain(|argument| argument.index != 0);
                        group.push(Argument {
                            index: 0,
                            value,
                            value_two: 0,
                            operator: Operator::Equal,
                        });
                    }
                    group.retain(|argument| argument.operator != Operator::MaskedEqual || argument.value & bits != 0);
                    if group.is_empty() {
                        // Of those without arguments, the first decides.
                        found.insert(0, (true, value(rule.action, rule.errno)));
                    } else if group
                        .iter()
                        .all(|argument| holds(argument, call.arguments[usize::from(argument.index)], bits))
                    {
                        found.push((false, value(rule.action, rule.errno)));
                    }
                }
            }
        }
    }
    let unconditional = found.iter().rfind(|answer| answer.0);
    match (unconditional, found.is_empty()) {
        (Some((_, value)), _) => vec![*value],
        (None, true) => vec![default],
        (None, false) => found.iter().map(|answer| answer.1).collect(),
    }
}
