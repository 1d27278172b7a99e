use std::format;

use super::*;
use crate::harness::{STEP, accept, check, check_with, config, process, read};

#[test]
fn what_is_given_is_read() {
    let json = process(
        r#""terminal": true, "consoleSize": {"height": 24, "width": 80}, "env": ["A=b", "", "B"],
        "user": {"uid": 1, "gid": 4294967294, "umask": 18, "additionalGids": [5, 6]},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 18446744073709551615},
                    {"type": "RLIMIT_CPU", "soft": 0, "hard": 0}],
        "noNewPrivileges": true, "oomScoreAdj": -1000, "apparmorProfile": "p", "selinuxLabel": "l",
        "scheduler": {"policy": "SCHED_BATCH", "nice": -20, "flags": ["SCHED_FLAG_UTIL_CLAMP_MAX", "SCHED_FLAG_RECLAIM"]},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 7},
        "execCPUAffinity": {"initial": "0-3", "final": "7"}"#,
    );
    accept(&json, |spec| {
        let process = spec.process.as_ref().unwrap();
        assert!(process.terminal && process.no_new_privileges);
        assert_eq!(process.console_size, Some(ConsoleSize { height: 24, width: 80 }));
        assert_eq!(process.cwd.as_str(), "/");
        assert_eq!(
            spec.list(process.args)
                .iter()
                .map(|text| text.as_str())
                .collect::<std::vec::Vec<_>>(),
            ["sh"]
        );
        assert_eq!(
            spec.list(process.env)
                .iter()
                .map(|text| text.as_str())
                .collect::<std::vec::Vec<_>>(),
            ["A=b", "", "B"]
        );
        assert_eq!(
            (process.user.uid, process.user.gid, process.user.umask),
            (1, u32::MAX - 1, Some(0o22))
        );
        assert_eq!(spec.list(process.user.additional_gids), [5, 6]);
        assert_eq!(
            process.rlimits[0],
            Rlimit {
                resource: 7,
                soft: 5,
                hard: u64::MAX
            }
        );
        assert_eq!(
            process.rlimits[1],
            Rlimit {
                resource: 0,
                soft: 0,
                hard: 0
            }
        );
        assert_eq!(process.oom_score_adj, Some(-1000));
        assert_eq!(process.apparmor_profile.unwrap().as_str(), "p");
        assert_eq!(process.selinux_label.unwrap().as_str(), "l");
        let expected = Scheduler {
            policy: 3,
            nice: -20,
            flags: 0x42,
            ..Scheduler::default()
        };
        assert_eq!(process.scheduler, Some(expected));
        assert_eq!(process.io_priority, Some(IoPriority { class: 3, priority: 7 }));
        assert_eq!(process.exec_cpu_affinity_initial.unwrap().as_str(), "0-3");
        assert_eq!(process.exec_cpu_affinity_final.unwrap().as_str(), "7");
    });
}

#[test]
fn what_is_not_given_is_absent() {
    let json = process(r#""apparmorProfile": "", "selinuxLabel": "", "user": {}"#);
    accept(&json, |spec| {
        let process = spec.process.as_ref().unwrap();
        assert_eq!(process.capabilities, Capabilities::default());
        assert!(process.apparmor_profile.is_none() && process.selinux_label.is_none());
        assert!(process.oom_score_adj.is_none() && process.user.umask.is_none() && process.scheduler.is_none());
    });
}

#[test]
fn capabilities_are_sets() {
    let json = process(
        r#""capabilities": {"bounding": ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_CHOWN"], "ambient": [],
        "permitted": ["CAP_NOVEL", "CAP_OTHER", "CAP_KILL"], "effective": null}"#,
    );
    accept(&json, |spec| {
        let process = spec.process.as_ref().unwrap();
        let expected = Capabilities {
            bounding: 1 | 1 << 40,
            permitted: 1 << 5,
            ..Capabilities::default()
        };
        assert_eq!(process.capabilities, expected);
        assert_eq!(process.unknown_capability.unwrap().as_str(), "CAP_NOVEL");
    });
    for (number, name) in CAPABILITY_NAMES.whole().iter().enumerate() {
        assert!(name.starts_with("CAP_"));
        for name in [name, &name[4..]] {
            assert_eq!(capability_number(name), Some(number as u8));
            assert_eq!(capability_number(&name.to_lowercase()), Some(number as u8));
        }
    }
    for name in ["", "CAP_", "CAP_CAP_KILL", "KILLER", "ä"] {
        assert_eq!(capability_number(name), None);
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for (members, expected) in [
        (
            r#""consoleSize": {"height": @65536}"#,
            "consoleSize.height: out of range: 65536",
        ),
        (r#""user": {"uid": @4294967296}"#, "user.uid: out of range: 4294967296"),
        (r#""user": {"umask": @4096}"#, "user.umask: out of range: 4096"),
        (r#""user": {"umask": @-1}"#, "user.umask: out of range: -1"),
        (r#""oomScoreAdj": @1001"#, "oomScoreAdj: out of range: 1001"),
        (r#""oomScoreAdj": @-1001"#, "oomScoreAdj: out of range: -1001"),
        (
            r#""rlimits": [{"type": @"RLIMIT_X"}]"#,
            "rlimits[0].type: unknown resource \"RLIMIT_X\"",
        ),
        (r#""rlimits": [@{"soft": 1, "hard": 1}]"#, "rlimits[0].type: missing"),
        (
            r#""rlimits": [@{"type": "RLIMIT_AS", "hard": 1}]"#,
            "rlimits[0].soft: missing",
        ),
        (
            r#""rlimits": [@{"type": "RLIMIT_AS", "soft": 1}]"#,
            "rlimits[0].hard: missing",
        ),
        (
            r#""rlimits": [{"type": "RLIMIT_AS", "soft": @2, "hard": 1}]"#,
            "rlimits[0].soft: higher than the hard limit: 2",
        ),
        (
            r#""rlimits": [{"type": "RLIMIT_AS", "soft": 1, "hard": 1}, @{"type": "RLIMIT_AS", "soft": 1, "hard": 1}]"#,
            "rlimits[1]: the same resource stands before",
        ),
        (r#""scheduler": @{"nice": 1}"#, "scheduler.policy: missing"),
        (
            r#""scheduler": {"policy": @"SCHED_FAIR"}"#,
            "scheduler.policy: unknown policy \"SCHED_FAIR\"",
        ),
        (
            r#""scheduler": {"policy": @""}"#,
            "scheduler.policy: unknown policy \"\"",
        ),
        (r#""scheduler": {"nice": @20}"#, "scheduler.nice: out of range: 20"),
        (r#""scheduler": {"nice": @-21}"#, "scheduler.nice: out of range: -21"),
        (
            r#""scheduler": {"priority": @100}"#,
            "scheduler.priority: out of range: 100",
        ),
        (
            r#""scheduler": {"flags": [@"X"]}"#,
            "scheduler.flags[0]: unknown flag \"X\"",
        ),
        (
            r#""ioPriority": {"class": @"IOPRIO_CLASS_NONE"}"#,
            "ioPriority.class: unknown class \"IOPRIO_CLASS_NONE\"",
        ),
        (
            r#""ioPriority": {"priority": @8}"#,
            "ioPriority.priority: out of range: 8",
        ),
        (r#""ioPriority": @{"priority": 1}"#, "ioPriority.class: missing"),
        (
            r#""capabilities": {"bounding": @"CAP_KILL"}"#,
            "capabilities.bounding: expected an array, not \"CAP_KILL\"",
        ),
        (
            r#""capabilities": {"bounding": [@1]}"#,
            "capabilities.bounding[0]: expected a string, not 1",
        ),
    ]
    .into_iter()
    .step_by(STEP)
    {
        check(&process(members), &format!("process.{expected}"));
    }
    for (process, expected) in [
        (r#"@{"args": ["sh"]}"#, "cwd: missing"),
        (r#"{"args": ["sh"], "cwd": @""}"#, "cwd: must be absolute: \"\""),
        (r#"{"args": ["sh"], "cwd": @"tmp"}"#, "cwd: must be absolute: \"tmp\""),
        (r#"@{"cwd": "/"}"#, "args: must name a program"),
        (r#"{"cwd": "/", "args": @[]}"#, "args: must name a program"),
    ] {
        check(
            &config(&format!("\"process\": {process}")),
            &format!("process.{expected}"),
        );
        check_with(crate::parse_process, process, expected);
    }
}

#[test]
fn vocabularies_are_numbered_as_the_kernel_does() {
    assert_eq!(SCHEDULER_POLICIES.position("SCHED_DEADLINE"), Some(6));
    assert_eq!(SCHEDULER_FLAGS.position("SCHED_FLAG_UTIL_CLAMP_MAX"), Some(6));
    assert_eq!(IO_PRIORITY_CLASSES.position("IOPRIO_CLASS_RT"), Some(0));
    assert_eq!(IO_PRIORITY_CLASSES.position(""), None);
    assert_eq!(IO_PRIORITY_CLASSES.position("IOPRIO_CLASS_RT IOPRIO_CLASS_BE"), None);
}

#[test]
fn the_document_of_exec() {
    read(
        crate::parse_process,
        r#"{"cwd": "/tmp", "args": ["ls", "-l"]}"#,
        |result| {
            let spec = result.unwrap();
            let process = spec.process.as_ref().unwrap();
            assert_eq!(spec.list(process.args)[1].as_c_str(), c"-l");
        },
    );
}

#[test]
fn the_largest_id_is_none() {
    for member in ["uid", "gid"] {
        let user = |id: &str| process(&format!("\"user\": {{\"{member}\": {id}}}"));
        check(&user("4294967294"), "");
        for id in ["4294967295", "4294967296"] {
            check(
                &user(&format!("@{id}")),
                &format!("process.user.{member}: out of range: {id}"),
            );
        }
    }
}
