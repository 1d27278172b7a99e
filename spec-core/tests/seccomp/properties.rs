//! What holds for any profile.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 10] = [
    "read",
    "write",
    "socket",
    "send",
    "socketcall",
    "shmget",
    "ioctl",
    "openat",
    "_llseek",
    "clone",
];
const ACTIONS: [&str; 5] = ["ALLOW", "ERRNO", "KILL_PROCESS", "LOG", "TRACE"];
const OPERATORS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

/// A value in which a half is often at an edge.
fn value() -> impl Strategy<Value = u64> {
    let half = || prop_oneof![Just(0), Just(1), Just(u32::MAX), Just(1 << 31), any::<u32>()];
    (half(), half()).prop_map(|(high, low)| u64::from(high) << 32 | u64::from(low))
}

fn argument() -> impl Strategy<Value = String> {
    (0..6, 0..OPERATORS.len(), value(), value()).prop_map(|(index, operator, value, two)| {
        let operator = OPERATORS[operator];
        format!("{{\"index\": {index}, \"value\": {value}, \"valueTwo\": {two}, \"op\": \"SCMP_CMP_{operator}\"}}")
    })
}

fn rule() -> impl Strategy<Value = String> {
    let arguments = prop::collection::vec(argument(), 0..5);
    let names = prop::collection::vec(0..NAMES.len(), 1..4);
    (names, 0..ACTIONS.len(), arguments).prop_map(|(names, action, arguments)| {
        let names = names
            .into_iter()
            .map(|name| format!("\"{}\"", NAMES[name]))
            .collect::<Vec<_>>();
        let (names, arguments, action) = (names.join(","), arguments.join(","), ACTIONS[action]);
        format!("{{\"names\": [{names}], \"action\": \"SCMP_ACT_{action}\", \"args\": [{arguments}]}}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// [`compile_config`] checks the program as the kernel does, and every answer is one that some rule gives.
    #[test]
    fn answers_are_what_rules_say(
        default in 0..ACTIONS.len(),
        rules in prop::collection::vec(rule(), 0..12),
        arguments in prop::collection::vec(prop::array::uniform6(value()), 10),
    ) {
        for (name, machine, architectures) in
            [("x86_64", Machine::X86_64, [X86_64, X86]), ("aarch64", Machine::AARCH64, [AARCH64, ARM])]
        {
            let json = profile(ACTIONS[default], &rules.join(","));
            let program = compile_config(&json, machine).unwrap();
            let mut arena = vec![0; 2 * json.len()];
            let mut spec = Box::new(Spec::new());
            parse_config(json.as_bytes(), &mut arena, &mut spec).unwrap();
            for number in (0..420).chain([X32, X32 | 41, X32 | 514, u32::MAX]) {
                for architecture in architectures {
                    let call = call(architecture, number, arguments[number as usize % arguments.len()]);
                    let (answer, allowed) = (run(&program, &call).0, rules::answers(&spec, name, &call));
                    prop_assert!(allowed.contains(&answer), "{json}\n{call:x?}: {answer:x} of {allowed:x?}");
                }
            }
        }
    }
}

/// As many conditions as `rules` times `names`, each of them another.
fn many(rules: usize, names: usize) -> String {
    let names: Vec<String> = NAMES[..names].iter().map(|name| format!("\"{name}\"")).collect();
    let rule = |number| {
        let argument = format!("{{\"index\": 0, \"value\": {number}, \"op\": \"SCMP_CMP_EQ\"}}");
        let names = names.join(",");
        format!("{{\"names\": [{names}], \"action\": \"SCMP_ACT_LOG\", \"args\": [{argument}]}}")
    };
    profile("ALLOW", &(0..rules).map(rule).collect::<Vec<_>>().join(","))
}

#[test]
fn what_is_too_long_is_an_error() {
    let name = |rules, names| match compile_config(&many(rules, names), Machine::AARCH64) {
        Ok(program) => {
            verify(&program);
            format!("{}", program.len() > 2000)
        }
        Err(error) => error.to_string(),
    };
    // Four instructions for each condition on aarch64, two on arm.
    assert_eq!(name(300, 2), "true");
    assert_eq!(name(400, 2), "more than 4096 entries (SECCOMP_INSTRUCTIONS_MAX)");
    assert_eq!(name(1000, 2), "more than 2048 entries (SECCOMP_CONDITIONS_MAX)");
    let error = compile_config(&many(1, 1), Machine::UNKNOWN);
    assert_eq!(error, Err(Error::Machine));
    assert_eq!(
        Error::Machine.to_string(),
        "the system calls of this machine are not known"
    );
}
