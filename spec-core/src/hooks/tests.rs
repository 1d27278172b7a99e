use std::format;

use crate::harness::{accept, check, config};

/// The names of the lists in config.json.
const HOOK_NAMES: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

#[test]
fn the_six_lists_are_read() {
    for (index, name) in HOOK_NAMES.iter().enumerate() {
        let hooks = format!(
            "\"hooks\": {{\"{name}\": [{{\"path\": \"/a\", \"args\": [\"a\", \"b\"], \"env\": [], \"timeout\": 3}}, \
             {{\"path\": \"/b\"}}]}}"
        );
        accept(&config(&hooks), |spec| {
            let hooks = &spec.hooks;
            let lists = [
                hooks.prestart,
                hooks.create_runtime,
                hooks.create_container,
                hooks.start_container,
                hooks.poststart,
                hooks.poststop,
            ];
            assert!(
                lists
                    .iter()
                    .enumerate()
                    .all(|(other, list)| list.len() == if other == index { 2 } else { 0 })
            );
            let list = spec.list(lists[index]);
            assert_eq!(list[0].path.as_str(), "/a");
            assert_eq!(spec.list(list[0].args).len(), 2);
            assert_eq!(list[0].env.unwrap().len(), 0);
            assert_eq!(list[0].timeout, Some(3));
            assert!(list[1].env.is_none() && list[1].timeout.is_none() && list[1].args.is_empty());
        });
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for (hook, expected) in [
        ("@{}", "[0].path: missing"),
        (r#"{"path": @"bin/a"}"#, "[0].path: must be absolute: \"bin/a\""),
        (r#"{"path": @""}"#, "[0].path: must be absolute: \"\""),
        (
            r#"{"path": "/a"}, {"path": "/a", "timeout": @0}"#,
            "[1].timeout: must be more than 0",
        ),
        (
            r#"{"path": "/a", "timeout": @-5}"#,
            "[0].timeout: expected an integer from 0 of 64 bits, not -5",
        ),
        (
            r#"{"path": "/a", "env": [@{}]}"#,
            "[0].env[0]: expected a string, not an object",
        ),
    ] {
        check(
            &config(&format!("\"hooks\": {{\"poststop\": [{hook}]}}")),
            &format!("hooks.poststop{expected}"),
        );
    }
}
