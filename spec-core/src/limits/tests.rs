//! Each bound, at it and one above.

use std::format;
use std::string::String;

use super::*;
use crate::harness::{Parse, check, check_with, config, linux, process, repeat};

/// `document` makes a config.json whose list has so many elements; in it, `@` marks the list.
#[track_caller]
fn check_limit(max: usize, name: &str, path: &str, document: impl Fn(usize) -> String) {
    check(&document(max).replace('@', ""), "");
    check(&document(max + 1), &format!("{path}: more than {max} entries ({name})"));
}

#[test]
fn mounts() {
    check_limit(MOUNTS_MAX, "MOUNTS_MAX", "mounts", |count| {
        config(&format!(
            "\"mounts\": @[{}]",
            repeat(count, |_| "{\"destination\": \"/a\"}".into())
        ))
    });
    check_limit(MOUNT_OPTIONS_MAX, "MOUNT_OPTIONS_MAX", "mounts[1].options", |count| {
        let options = repeat(count, |index| {
            if index % 2 == 0 {
                "\"ro\"".into()
            } else {
                format!("\"o{index}\"")
            }
        });
        config(&format!(
            "\"mounts\": [{{\"destination\": \"/a\"}}, {{\"destination\": \"/b\", \"options\": @[{options}]}}]"
        ))
    });
    check_limit(MOUNT_OPTIONS_MAX, "MOUNT_OPTIONS_MAX", "mounts[0].options", |count| {
        let options = repeat(count, |index| format!("\"o{index}\""));
        config(&format!(
            "\"mounts\": [{{\"destination\": \"/a\", \"options\": @[{options}]}}]"
        ))
    });
}

#[test]
fn texts_are_counted_together() {
    check_limit(TEXTS_MAX, "TEXTS_MAX", "process.env", |count| {
        process(&format!("\"env\": @[{}]", repeat(count - 1, |_| "\"A=b\"".into())))
    });
    check_limit(TEXTS_MAX, "TEXTS_MAX", "hooks.poststop[0].args", |count| {
        let hook = format!(
            "{{\"path\": \"/a\", \"args\": @[{}]}}",
            repeat(count - 1, |_| "\"a\"".into())
        );
        let process = "\"process\": {\"cwd\": \"/\", \"args\": [\"sh\"]}";
        config(&format!("{process}, \"hooks\": {{\"poststop\": [{hook}]}}"))
    });
}

#[test]
fn pairs_are_counted_together() {
    check_limit(PAIRS_MAX, "PAIRS_MAX", "annotations", |count| {
        let list = repeat(count, |index| format!("\"a{index}\": \"\""));
        config(&format!("\"annotations\": @{{{list}}}"))
    });
    check_limit(PAIRS_MAX, "PAIRS_MAX", "linux.resources.unified", |count| {
        let list = repeat(count - 2, |index| format!("\"a{index}\": \"\""));
        let before = "\"sysctl\": {\"net.a\": \"\"}, \"netDevices\": {\"a\": {}}";
        linux(&format!("{before}, \"resources\": {{\"unified\": @{{{list}}}}}"))
    });
    check_limit(PAIRS_MAX, "PAIRS_MAX", "linux.netDevices", |count| {
        linux(&format!(
            "\"netDevices\": @{{{}}}",
            repeat(count, |index| format!("\"a{index}\": {{}}"))
        ))
    });
}

#[test]
fn process_lists() {
    check_limit(IDS_MAX, "IDS_MAX", "process.user.additionalGids", |count| {
        process(&format!(
            "\"user\": {{\"additionalGids\": @[{}]}}",
            repeat(count, |_| "1".into())
        ))
    });
    // Of each resource there can be one, and the kernel has no more.
    let rlimits = crate::process::RLIMIT_NAMES.whole();
    let list = repeat(RLIMITS_MAX, |index| {
        format!("{{\"type\": \"{}\", \"soft\": 0, \"hard\": 0}}", rlimits[index])
    });
    check(&process(&format!("\"rlimits\": [{list}]")), "");
    assert_eq!(rlimits.len(), RLIMITS_MAX);
}

#[test]
fn hooks_are_counted_together() {
    check_limit(HOOKS_MAX, "HOOKS_MAX", "hooks.poststop", |count| {
        let hooks = repeat(count - 1, |_| "{\"path\": \"/a\"}".into());
        config(&format!(
            "\"hooks\": {{\"prestart\": [{{\"path\": \"/a\"}}], \"poststop\": @[{hooks}]}}"
        ))
    });
}

#[test]
fn linux_lists() {
    let namespaces = crate::linux::NamespaceKind::ALL;
    assert_eq!(namespaces.len(), NAMESPACES_MAX);
    let list = repeat(NAMESPACES_MAX, |index| {
        format!("{{\"type\": \"{}\", \"path\": \"/x\"}}", namespaces[index].name())
    });
    check(&config(&format!("\"linux\": {{\"namespaces\": [{list}]}}")), "");
    check_limit(DEVICES_MAX, "DEVICES_MAX", "linux.devices", |count| {
        linux(&format!(
            "\"devices\": @[{}]",
            repeat(count, |_| "{\"path\": \"/a\", \"type\": \"p\"}".into())
        ))
    });
    check_limit(ID_MAPPINGS_MAX, "ID_MAPPINGS_MAX", "mounts[3].gidMappings", |count| {
        let map = |count| repeat(count, |_| "{\"containerID\": 0, \"hostID\": 0, \"size\": 1}".into());
        let mount = |uids, marker, gids| {
            let (uids, gids) = (map(uids), map(gids));
            format!("{{\"destination\": \"/a\", \"uidMappings\": [{uids}], \"gidMappings\": {marker}[{gids}]}}")
        };
        let rest = count - 6 * 150;
        let mounts = [
            mount(150, "", 150),
            mount(150, "", 150),
            mount(150, "", 150),
            mount(50, "@", rest - 50),
        ]
        .join(",");
        config(&format!("\"mounts\": [{mounts}]"))
    });
}

#[test]
fn resource_lists() {
    let resources = |list: &str, before: &str, element: &str, count| {
        let elements = repeat(count, |_| element.into());
        linux(&format!(
            "\"resources\": {{{before}\"{list}\": @[{elements}]{}",
            "}".repeat(1 + before.matches('{').count())
        ))
    };
    check_limit(
        DEVICE_RULES_MAX,
        "DEVICE_RULES_MAX",
        "linux.resources.devices",
        |count| resources("devices", "", "{}", count),
    );
    check_limit(
        HUGEPAGE_LIMITS_MAX,
        "HUGEPAGE_LIMITS_MAX",
        "linux.resources.hugepageLimits",
        |count| resources("hugepageLimits", "", "{\"pageSize\": \"2MB\", \"limit\": 0}", count),
    );
    check_limit(
        BLOCK_DEVICES_MAX,
        "BLOCK_DEVICES_MAX",
        "linux.resources.blockIO.weightDevice",
        |count| resources("weightDevice", "\"blockIO\": {", "{\"major\": 0, \"minor\": 0}", count),
    );
    check_limit(
        BLOCK_DEVICES_MAX,
        "BLOCK_DEVICES_MAX",
        "linux.resources.blockIO.throttleReadBpsDevice",
        |count| {
            resources(
                "throttleReadBpsDevice",
                "\"blockIO\": {",
                "{\"major\": 0, \"minor\": 0, \"rate\": 0}",
                count,
            )
        },
    );
    check_limit(
        NETWORK_PRIORITIES_MAX,
        "NETWORK_PRIORITIES_MAX",
        "linux.resources.network.priorities",
        |count| {
            resources(
                "priorities",
                "\"network\": {",
                "{\"name\": \"a\", \"priority\": 0}",
                count,
            )
        },
    );
    check_limit(RDMA_LIMITS_MAX, "RDMA_LIMITS_MAX", "linux.resources.rdma", |count| {
        let list = repeat(count, |index| format!("\"a{index}\": {{}}"));
        linux(&format!("\"resources\": {{\"rdma\": @{{{list}}}}}"))
    });
}

#[test]
#[cfg(feature = "seccomp")]
fn seccomp_lists() {
    check_limit(
        SECCOMP_RULES_MAX,
        "SECCOMP_RULES_MAX",
        "linux.seccomp.syscalls",
        |count| {
            let rules = repeat(count, |_| "{\"names\": [\"a\"], \"action\": \"SCMP_ACT_LOG\"}".into());
            linux(&format!(
                "\"seccomp\": {{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": @[{rules}]}}"
            ))
        },
    );
    check_limit(
        SECCOMP_ARGUMENTS_MAX,
        "SECCOMP_ARGUMENTS_MAX",
        "linux.seccomp.syscalls[0].args",
        |count| {
            let arguments = repeat(count, |_| {
                "{\"index\": 0, \"value\": 0, \"op\": \"SCMP_CMP_EQ\"}".into()
            });
            let rule = format!("{{\"names\": [\"a\"], \"action\": \"SCMP_ACT_LOG\", \"args\": @[{arguments}]}}");
            linux(&format!(
                "\"seccomp\": {{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{rule}]}}"
            ))
        },
    );
}

#[test]
fn documents() {
    let parses: [(Parse, &str); 3] = [
        (crate::parse_config, r#"{"ociVersion": "1.0.0", "root": {"path": "r"}}"#),
        (crate::parse_process, r#"{"cwd": "/", "args": ["a"]}"#),
        (crate::parse_resources, "{}"),
    ];
    for (parse, json) in parses {
        let space = " ".repeat(CONFIG_BYTES_MAX - json.len());
        check_with(parse, &format!("{json}{space}"), "");
        check_with(
            parse,
            &format!("{json}{space}@ "),
            "more than 262144 bytes (CONFIG_BYTES_MAX)",
        );
    }
}

#[test]
fn an_arena_that_is_too_small_is_an_error() {
    let json = config(r#""annotations": {"a": "\u00e9"}"#);
    let mut refused = 0;
    for length in 0..2 * json.len() {
        let mut arena = std::vec![0; length];
        let mut spec = std::boxed::Box::new(crate::Spec::new());
        if let Err(error) = crate::parse_config(json.as_bytes(), &mut arena, &mut spec) {
            assert!(std::string::ToString::to_string(&error).ends_with("no room left for strings (TEXT_BYTES_MAX)"));
            refused += 1;
        }
    }
    // "1.3.0", "rootfs", "a" and "é", each with its NUL, and "é" once more while its escape is resolved. A character of
    // four bytes has to fit there.
    assert!((20..30).contains(&refused), "{refused}");
}

#[test]
fn twice_the_document_is_enough_for_the_strings() {
    // The densest documents: short keys and options, each of them needed twice.
    for json in [
        config(&format!(
            "\"annotations\": {{{}}}",
            repeat(PAIRS_MAX, |index| format!("\"\\n{index}\":\"\\t\""))
        )),
        config(&format!(
            "\"mounts\": [{{\"destination\":\"\\n\",\"options\":[{}]}}]",
            repeat(MOUNT_OPTIONS_MAX, |_| "\"\\n\"".into())
        )),
        linux(&format!(
            "\"netDevices\":{{{}}}",
            repeat(PAIRS_MAX, |index| format!("\"\\u0061{index}\":{{}}"))
        )),
    ] {
        check(&json, "");
    }
}

#[test]
fn a_name_that_has_no_room_is_the_place_of_the_error() {
    let json = br#"{"linux": {"c\u0067roupsPath": "/a"}}"#;
    let mut spec = std::boxed::Box::new(crate::Spec::new());
    let error = crate::parse_config(json, &mut [], &mut spec).unwrap_err();
    assert_eq!(
        std::string::ToString::to_string(&error),
        r#"1:32: linux["c\u0067roupsPath"]: no room left for strings (TEXT_BYTES_MAX)"#
    );
}
