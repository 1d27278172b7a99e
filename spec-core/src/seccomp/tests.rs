use std::format;

use super::*;
use crate::harness::{STEP, accept, check, linux};

fn seccomp(members: &str) -> std::string::String {
    linux(&format!(
        "\"seccomp\": {{\"defaultAction\": \"SCMP_ACT_ERRNO\", {members}}}"
    ))
}

#[test]
fn a_profile_is_read() {
    let json = seccomp(
        r#""defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_SHEB"],
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"],
        "listenerPath": "/l", "listenerMetadata": "m",
        "syscalls": [{"names": ["a", "b"], "action": "SCMP_ACT_TRACE", "errnoRet": 65535,
            "args": [{"index": 5, "value": 18446744073709551615, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}]},
            {"names": ["c"], "action": "SCMP_ACT_KILL"}]"#,
    );
    accept(&json, |spec| {
        let seccomp = spec.linux.seccomp.unwrap();
        assert_eq!(
            (seccomp.default_action, seccomp.default_errno),
            (Action::Errno, Some(38))
        );
        assert_eq!((seccomp.architectures, seccomp.flags), (1 | 1 << 22, 33));
        assert_eq!(seccomp.listener_path.unwrap().as_str(), "/l");
        assert_eq!(seccomp.listener_metadata.unwrap().as_str(), "m");
        let rules = spec.list(seccomp.rules);
        assert_eq!((rules[0].action, rules[0].errno), (Action::Trace, Some(0xffff)));
        assert_eq!(spec.list(rules[0].names)[1].as_str(), "b");
        let expected = Argument {
            index: 5,
            value: u64::MAX,
            value_two: 7,
            operator: Operator::MaskedEqual,
        };
        assert_eq!(spec.list(rules[0].arguments), [expected]);
        assert_eq!(
            (rules[1].action, rules[1].errno, rules[1].arguments.len()),
            (Action::KillThread, None, 0)
        );
    });
}

#[test]
fn every_word_is_known() {
    assert_eq!(ACTIONS.len(), ACTIONS_MEANT.len());
    assert_eq!(OPERATORS.len(), OPERATORS_MEANT.len());
    assert_eq!(FLAGS.len(), 4);
    for (flag, bits) in FLAGS.whole().iter().zip([1, 2, 4, 32]) {
        let json = seccomp(&format!("\"flags\": [\"{flag}\"]"));
        accept(&json, |spec| assert_eq!(spec.linux.seccomp.unwrap().flags, bits));
    }
    for (action, meant) in ACTIONS.whole().iter().zip(ACTIONS_MEANT) {
        let json = linux(&format!(
            "\"seccomp\": {{\"listenerPath\": \"/l\", \"defaultAction\": \"{action}\"}}"
        ));
        accept(&json, |spec| {
            assert_eq!(spec.linux.seccomp.unwrap().default_action, meant)
        });
    }
    for (operator, meant) in OPERATORS.whole().iter().zip(OPERATORS_MEANT) {
        let argument = format!("{{\"index\": 0, \"value\": 1, \"op\": \"{operator}\"}}");
        let rule = format!("{{\"names\": [\"a\"], \"action\": \"SCMP_ACT_LOG\", \"args\": [{argument}]}}");
        accept(&seccomp(&format!("\"syscalls\": [{rule}]")), |spec| {
            let rules = spec.list(spec.linux.seccomp.unwrap().rules);
            assert_eq!(spec.list(rules[0].arguments)[0].operator, meant);
        });
    }
    for (number, name) in ARCHITECTURE_NAMES.whole().iter().enumerate() {
        let json = seccomp(&format!("\"architectures\": [\"{name}\"]"));
        accept(&json, |spec| {
            assert_eq!(spec.linux.seccomp.unwrap().architectures, 1 << number)
        });
    }
}

#[test]
fn what_is_wrong_is_refused() {
    let number = "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number";
    for (members, expected) in [
        (
            r#""defaultAction": @"SCMP_ACT_X""#,
            "defaultAction: unknown action \"SCMP_ACT_X\"",
        ),
        (
            r#""defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": @1"#,
            &format!("defaultErrnoRet: {number}"),
        ),
        (r#""defaultErrnoRet": @65536"#, "defaultErrnoRet: out of range: 65536"),
        (
            r#""architectures": ["SCMP_ARCH_X86", @"x86"]"#,
            "architectures[1]: unknown architecture \"x86\"",
        ),
        (
            r#""flags": [@"SECCOMP_FILTER_FLAG_NEW_LISTENER"]"#,
            "flags[0]: unknown flag \"SECCOMP_FILTER_FLAG_NEW_LISTENER\"",
        ),
        (r#""listenerPath": @"l""#, "listenerPath: must be absolute: \"l\""),
        (
            r#""syscalls": [@{"action": "SCMP_ACT_LOG"}]"#,
            "syscalls[0].names: must name a system call",
        ),
        (
            r#""syscalls": [{"names": @[], "action": "SCMP_ACT_LOG"}]"#,
            "syscalls[0].names: must name a system call",
        ),
        (r#""syscalls": [@{"names": ["a"]}]"#, "syscalls[0].action: missing"),
        (
            r#""syscalls": [{"names": ["a"], "action": "SCMP_ACT_ALLOW", "errnoRet": @1}]"#,
            &format!("syscalls[0].errnoRet: {number}"),
        ),
        (
            r#""syscalls": [{"args": [{"index": @6}]}]"#,
            "syscalls[0].args[0].index: out of range: 6",
        ),
        (
            r#""syscalls": [{"args": [{}, @{}]}]"#,
            "syscalls[0].args[0].index: missing",
        ),
        (
            r#""syscalls": [{"args": [@{"index": 0}]}]"#,
            "syscalls[0].args[0].value: missing",
        ),
        (
            r#""syscalls": [{"args": [@{"index": 0, "value": 0}]}]"#,
            "syscalls[0].args[0].op: missing",
        ),
        (
            r#""syscalls": [{"args": [{"op": @"EQ"}]}]"#,
            "syscalls[0].args[0].op: unknown operator \"EQ\"",
        ),
    ]
    .into_iter()
    .step_by(STEP)
    {
        let members = members.replace("{}, @{}", "@{}, {}");
        check(&seccomp(&members), &format!("linux.seccomp.{expected}"));
    }
    check(&linux(r#""seccomp": @{}"#), "linux.seccomp.defaultAction: missing");
}
