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

/// A rule about `read` or what else `name` is.
fn rule(name: &str, action: &str, arguments: &[(u8, &str, u64, u64)]) -> String {
    let argument = |(index, operator, value, two): &(u8, &str, u64, u64)| {
        format!("{{\"index\": {index}, \"value\": {value}, \"valueTwo\": {two}, \"op\": \"SCMP_CMP_{operator}\"}}")
    };
    let arguments: Vec<String> = arguments.iter().map(argument).collect();
    let arguments = arguments.join(",");
    format!("{{\"names\": [\"{name}\"], {action}, \"args\": [{arguments}]}}")
}

const LOG: &str = "\"action\": \"SCMP_ACT_LOG\"";
const LOGGED: u32 = 0x7ffc_0000;

#[test]
fn operators() {
    let edges = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    let mut values: Vec<u64> = edges
        .iter()
        .flat_map(|high| edges.map(|low| high << 32 | low))
        .collect();
    values.push(0x1_0000_0002);
    for (operator, holds) in [
        ("NE", (|one, other| one != other) as fn(u64, u64) -> bool),
        ("LT", |one, other| one < other),
        ("LE", |one, other| one <= other),
        ("EQ", |one, other| one == other),
        ("GE", |one, other| one >= other),
        ("GT", |one, other| one > other),
    ] {
        for with in &values {
            for index in [0, 5] {
                let program = compile_rules(
                    "ALLOW",
                    &rule("read", LOG, &[(index, operator, *with, 7)]),
                    Machine::X86_64,
                );
                for value in &values {
                    let mut arguments = [0x5555_5555_5555_5555; 6];
                    arguments[usize::from(index)] = *value;
                    let expected = |holds| if holds { LOGGED } else { ALLOW };
                    let what = format!("{value:#x} {operator} {with:#x}");
                    assert_eq!(
                        returned(&program, X86_64, 0, arguments),
                        expected(holds(*value, *with)),
                        "{what}"
                    );
                    // 32 bits count on the others, and all of them are unsigned.
                    let low = expected(holds(*value & 0xffff_ffff, *with & 0xffff_ffff));
                    assert_eq!(returned(&program, X86, 3, arguments), low, "{what}");
                    assert_eq!(returned(&program, X86_64, X32, arguments), low, "{what}");
                    assert_eq!(returned(&program, X86_64, 1, arguments), ALLOW);
                }
            }
        }
    }
}

#[test]
fn masks() {
    let masks = [
        0,
        1,
        0xff00,
        0x8000_0000,
        1 << 32,
        0xff_0000_00ff,
        u64::MAX,
        0xffff_ffff_0000_0000,
    ];
    for mask in masks {
        for two in [0, 1, 0x1_0000_0001, u64::MAX] {
            let program = compile_rules(
                "ALLOW",
                &rule("read", LOG, &[(1, "MASKED_EQ", mask, two)]),
                Machine::X86_64,
            );
            for value in [
                0,
                1,
                0xff00,
                0xab_0000_0001,
                0x1_0000_0000,
                u64::MAX,
                0xffff_ffff_0000_0000,
            ] {
                let expected = if value & mask == two & mask { LOGGED } else { ALLOW };
                assert_eq!(
                    returned(&program, X86_64, 0, [9, value, 9, 9, 9, 9]),
                    expected,
                    "{value:#x} {mask:#x} {two:#x}"
                );
            }
        }
    }
}

#[test]
fn actions() {
    for (action, expected) in [
        ("ALLOW", ALLOW),
        ("ERRNO", EPERM),
        ("ERRNO\", \"errnoRet\": 38, \"a\": \"", 0x0005_0026),
        ("ERRNO\", \"errnoRet\": 0, \"a\": \"", 0x0005_0000),
        ("KILL", 0),
        ("KILL_THREAD", 0),
        ("KILL_PROCESS", 0x8000_0000),
        ("NOTIFY", 0x7fc0_0000),
        ("TRACE", 0x7ff0_0001),
        ("TRACE\", \"errnoRet\": 65535, \"a\": \"", 0x7ff0_ffff),
        ("TRAP", 0x0003_0000),
    ] {
        let rules = rule("read", &format!("\"action\": \"SCMP_ACT_{action}\""), &[]);
        let json = profile("LOG", &rules);
        let json = match action {
            "NOTIFY" => json.replace("\"defaultAction\"", "\"listenerPath\": \"/l\", \"defaultAction\""),
            _ => json,
        };
        let program = compile_config(&json, Machine::X86_64).unwrap();
        assert_eq!(returned(&program, X86_64, 0, [0; 6]), expected, "{action}");
        assert_eq!(returned(&program, X86_64, 1, [0; 6]), LOGGED);
    }
    let seccomp = "\"defaultErrnoRet\": 5, \"defaultAction\"";
    let program = compile_config(
        &profile("ERRNO", "").replace("\"defaultAction\"", seccomp),
        Machine::X86_64,
    )
    .unwrap();
    assert_eq!(returned(&program, X86_64, 7, [0; 6]), 0x0005_0005);
}

/// Of rules that compare by size, the one that holds for fewer values, as libseccomp has it.
#[test]
fn the_narrower_of_two_ranges_decides() {
    let trap = "\"action\": \"SCMP_ACT_TRAP\"";
    let trapped = 0x0003_0000;
    for (operator, expected) in [
        ("LT", [(3, LOGGED), (7, trapped), (12, ALLOW)]),
        ("LE", [(3, LOGGED), (7, trapped), (12, ALLOW)]),
        ("GT", [(3, ALLOW), (7, LOGGED), (12, trapped)]),
        ("GE", [(3, ALLOW), (7, LOGGED), (12, trapped)]),
    ] {
        let five = rule("read", LOG, &[(0, operator, 5, 0)]);
        let ten = rule("read", trap, &[(0, operator, 10, 0)]);
        for rules in [[&five, &ten], [&ten, &five]] {
            let rules = rules.map(String::as_str).join(",");
            let program = compile_rules("ALLOW", &rules, Machine::X86_64);
            for (value, answer) in expected {
                let found = returned(&program, X86_64, 0, [value, 0, 0, 0, 0, 0]);
                assert_eq!(found, answer, "{operator} {value}");
            }
        }
    }
}

#[test]
fn which_rule_decides() {
    let [trap, kill] = ["\"action\": \"SCMP_ACT_TRAP\"", "\"action\": \"SCMP_ACT_KILL_PROCESS\""];
    let five = [(0, "EQ", 5, 0)];
    let read = |rules: &[String], first| {
        let program = compile_rules("ALLOW", &rules.join(","), Machine::X86_64);
        returned(&program, X86_64, 0, [first, 6, 0, 0, 0, 0])
    };
    // One without arguments, wherever it stands; the first of them.
    let conditional = rule("read", trap, &five);
    assert_eq!(
        read(
            &[conditional.clone(), rule("read", LOG, &[]), rule("read", kill, &[])],
            5
        ),
        LOGGED
    );
    assert_eq!(read(&[rule("read", LOG, &[]), conditional.clone()], 5), LOGGED);
    // One that says what holds anyway changes nothing.
    assert_eq!(
        read(
            &[rule("read", "\"action\": \"SCMP_ACT_ALLOW\"", &[]), conditional.clone()],
            5
        ),
        0x0003_0000
    );
    // Several: any of them.
    assert_eq!(
        read(&[conditional.clone(), rule("read", trap, &[(0, "EQ", 6, 0)])], 6),
        0x0003_0000
    );
    assert_eq!(
        read(&[conditional.clone(), rule("read", trap, &[(0, "EQ", 6, 0)])], 7),
        ALLOW
    );
    // Several arguments: all of them. One of them twice: either.
    assert_eq!(
        read(&[rule("read", LOG, &[(0, "EQ", 5, 0), (1, "EQ", 6, 0)])], 5),
        LOGGED
    );
    assert_eq!(
        read(&[rule("read", LOG, &[(0, "EQ", 5, 0), (1, "EQ", 7, 0)])], 5),
        ALLOW
    );
    assert_eq!(
        read(&[rule("read", LOG, &[(0, "EQ", 5, 0), (0, "EQ", 7, 0)])], 7),
        LOGGED
    );
    // What asks for less comes first, and the larger value does.
    assert_eq!(
        read(
            &[rule("read", kill, &[(0, "EQ", 5, 0), (1, "EQ", 6, 0)]), conditional],
            5
        ),
        0x0003_0000
    );
    assert_eq!(
        read(
            &[
                rule("read", kill, &[(0, "GT", 5, 0)]),
                rule("read", trap, &[(0, "GT", 6, 0)])
            ],
            9
        ),
        0x0003_0000
    );
    assert_eq!(read(&[rule("no_such_call", kill, &[])], 0), ALLOW);
}

#[test]
fn architectures() {
    let config = profile("ALLOW", &rule("read", LOG, &[]));
    let all = compile_config(&config, Machine::X86_64).unwrap();
    let only = |names: &str| {
        let (start, end) = (
            config.find("[\"SCMP_ARCH").unwrap(),
            config.find("], \"syscalls").unwrap(),
        );
        let config = format!("{}[{names}{}", &config[..start], &config[end..]);
        compile_config(&config, Machine::X86_64).unwrap()
    };
    let none = only("");
    for (architecture, number, listed, unlisted) in [
        (X86_64, 0, LOGGED, LOGGED),
        (X86_64, 3, ALLOW, ALLOW),
        (X86_64, X32, LOGGED, 0),
        (X86_64, X32 | 3, ALLOW, 0),
        (X86_64, u32::MAX, ALLOW, ALLOW),
        (X86, 3, LOGGED, 0),
        (X86, 0, ALLOW, 0),
        (AARCH64, 63, 0, 0),
    ] {
        assert_eq!(
            returned(&all, architecture, number, [0; 6]),
            listed,
            "{architecture:x} {number:x}"
        );
        assert_eq!(
            returned(&none, architecture, number, [0; 6]),
            unlisted,
            "{architecture:x} {number:x}"
        );
    }
    assert_eq!(only("\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_ARM\""), none);
    let x86 = only("\"SCMP_ARCH_X86\"");
    assert_eq!(returned(&x86, X86, 3, [0; 6]), LOGGED);
    assert_eq!(returned(&x86, X86_64, X32, [0; 6]), 0);
}

/// What old C libraries call in place of `socket` and `shmget`.
#[test]
fn multiplexed_calls() {
    let rules = [rule("socket", LOG, &[(2, "EQ", 5, 0)]), rule("shmget", LOG, &[])].join(",");
    let program = compile_rules("ALLOW", &rules, Machine::X86_64);
    for (number, arguments, expected) in [
        (102, [1, 0, 5, 0, 0, 0], LOGGED),
        (102, [1, 0, 6, 0, 0, 0], ALLOW),
        (102, [2, 0, 5, 0, 0, 0], ALLOW),
        (359, [7, 7, 5, 0, 0, 0], LOGGED),
        (117, [23, 0, 0, 0, 0, 0], LOGGED),
        (117, [24, 0, 0, 0, 0, 0], ALLOW),
        (395, [0; 6], LOGGED),
    ] {
        assert_eq!(
            returned(&program, X86, number, arguments),
            expected,
            "{number} {arguments:?}"
        );
    }
    assert_eq!(returned(&program, X86_64, 102, [1, 0, 5, 0, 0, 0]), ALLOW);
}

#[test]
fn sizes() {
    let filter = Box::new(Filter::new());
    assert!(filter.instructions().is_empty());
    assert!(size_of::<Scratch>() <= 64 * 1024);
    assert_eq!(size_of::<Instruction>(), 8);
}

/// The ranges are bisected: a profile of hundreds of names is short, and so is the way through it, whatever is called.
#[test]
fn the_way_to_every_answer_is_short() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs");
    let mut compiled = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let json = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        if !json.contains("\"seccomp\"") {
            continue;
        }
        let program = compile_config(&json, Machine::X86_64).unwrap();
        compiled += 1;
        let longest = (0..600)
            .map(|number| run(&program, &call(X86_64, number, [0; 6])).1)
            .max()
            .unwrap();
        // The longest looks at an argument of clone with a mask, after others.
        assert!(
            longest <= 32 && program.len() <= 330,
            "{longest} of {} instructions",
            program.len()
        );
    }
    assert!(compiled > 0);
}
