use std::format;

use crate::harness::{accept, check, config, linux, process};

#[test]
fn the_smallest_configuration() {
    accept(&config(""), |spec| {
        assert_eq!(spec.oci_version.unwrap().as_str(), "1.3.0");
        let root = spec.root.as_ref().unwrap();
        assert_eq!((root.path.as_str(), root.readonly), ("rootfs", false));
        assert!(spec.process.is_none() && spec.mounts.is_empty() && !spec.linux.resources.present);
    });
}

#[test]
fn top_level() {
    for (json, expected) in [
        ("@5", "expected an object, not 5"),
        ("@null", "expected an object, not null"),
        ("@[{}]", "expected an object, not an array"),
        ("@{}", "ociVersion: missing"),
        ("\n  @{\"ociVersion\": \"1.0.0\"}", "root: missing"),
        (
            "{\"ociVersion\": \"1.0.0\", \"root\": @7}",
            "root: expected an object, not 7",
        ),
        ("{\"ociVersion\": \"1.0.0\", \"root\": @{}}", "root.path: missing"),
        (
            "{\"ociVersion\": \"1.0.0\", \"root\": {\"path\": @null}}",
            "root.path: missing",
        ),
        ("{\"ociVersion\": \"1.0.0\", \"root\": @null}", "root: missing"),
        (
            "{\"ociVersion\": \"1.0.0\", \"root\": {\"path\": @\"\"}}",
            "root.path: must not be empty",
        ),
        (
            "{\"ociVersion\": \"1.0.0\", \"root\": {\"path\": @[]}}",
            "root.path: expected a string, not an array",
        ),
        (
            "{\"root\": {\"path\": \"r\", \"readonly\": @\"yes\"}}",
            "root.readonly: expected true or false, not \"yes\"",
        ),
        ("{\n\"é\": 1,\n \"root\": @1}", "root: expected an object, not 1"),
        ("{\"é\": 1, \"root\": @1}", "root: expected an object, not 1"),
    ] {
        check(json, expected);
    }
}

#[test]
fn versions() {
    for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.99.0", "1.1.0-rc.1+dev", "1.0.0+x-y.z"] {
        check(&config("").replace("1.3.0", version), "");
    }
    for version in ["0.5.0-dev", "2.0.0", "10.0.0"] {
        let json = config("").replace("\"1.3.0\"", &format!("@\"{version}\""));
        check(
            &json,
            &format!("ociVersion: only version 1 is supported: \"{version}\""),
        );
    }
    for version in [
        "",
        "1",
        "1.0",
        "1.0.0.0",
        "1.x.0",
        "v1.0.0",
        "1..0",
        "1.0.0-",
        "1.0.0-a_b",
        "1.0.0 ",
        "-1.0.0",
    ] {
        let json = config("").replace("\"1.3.0\"", &format!("@\"{version}\""));
        check(&json, &format!("ociVersion: not a semantic version: \"{version}\""));
    }
    check(r#"{"ociVersion": @1}"#, "ociVersion: expected a string, not 1");
}

#[test]
fn other_platforms_and_unknown_members_are_ignored() {
    for members in [
        r#""windows": {"layerFolders": [1]}, "vm": 5, "solaris": null, "zos": [], "freebsd": "x""#,
        r#""unknown": {"deep": [[{"a": "\ud83d\ude00"}, 1.5e9, -0, true, null]]}, "": "", "a b": 0"#,
        r#""linux": {"unknown": 1e5}, "process": {"cwd": "/", "args": ["a"], "commandLine": "x", "user": {"username": "u"}}"#,
        r#""linux": null, "process": null, "mounts": null, "hooks": null, "annotations": null, "hostname": null"#,
    ] {
        check(&config(members), "");
    }
}

#[test]
fn numbers_are_integers() {
    for (number, expected) in [
        ("1.0", "expected an integer, not 1.0"),
        ("1e2", "expected an integer, not 1e2"),
        ("0.5", "expected an integer, not 0.5"),
        ("-1", "expected an integer from 0 of 64 bits, not -1"),
        (
            "18446744073709551616",
            "expected an integer from 0 of 64 bits, not 18446744073709551616",
        ),
        ("\"1\"", "expected an integer from 0 of 64 bits, not \"1\""),
        ("true", "expected an integer from 0 of 64 bits, not true"),
    ] {
        for after in ["", " ", ", \"quota\": 5"] {
            let json = linux(&format!("\"resources\": {{\"cpu\": {{\"shares\": @{number}{after}}}}}"));
            check(&json, &format!("linux.resources.cpu.shares: {expected}"));
        }
    }
    let ids = |list: &str| config(&format!("\"process\": {{\"user\": {{\"additionalGids\": [{list}]}}}}"));
    check(
        &ids("1, @2.5"),
        "process.user.additionalGids[1]: expected an integer, not 2.5",
    );
    check(
        &ids("1, @4294967296, 3"),
        "process.user.additionalGids[1]: out of range: 4294967296",
    );
    check(
        &ids("@null"),
        "process.user.additionalGids[0]: expected an integer from 0 of 64 bits, not null",
    );
    let quota = |number: &str| linux(&format!("\"resources\": {{\"cpu\": {{\"quota\": {number}}}}}"));
    check(&quota("-9223372036854775808"), "");
    check(
        &quota("@9223372036854775808"),
        "linux.resources.cpu.quota: expected an integer of 64 bits, not 9223372036854775808",
    );
}

#[test]
fn hostnames_have_64_bytes() {
    for name in ["hostname", "domainname"] {
        let json = |marker: &str, length| {
            let members = format!(
                "\"namespaces\": [{{\"type\": \"uts\"}}]}}, \"{name}\": {marker}\"{}\"",
                "h".repeat(length)
            );
            config(&format!("\"linux\": {{{members}"))
        };
        check(&json("", 64), "");
        check(
            &json("@", 65),
            &format!("{name}: longer than 64 bytes (HOSTNAME_BYTES_MAX)"),
        );
    }
}

#[test]
#[cfg(feature = "supervisor")]
fn annotations_for_who_supervises() {
    for (annotations, expected) in [
        (
            r#"{"io.roci.after": "a,b", "io.roci.kind": "oneshot", "io.roci.stop.grace": "2m"}"#,
            "",
        ),
        (
            r#"{"io.roci.restart.delay": @"soon"}"#,
            "annotations[\"io.roci.restart.delay\"]: expected a time of more than 0: 500ms, 10s, 5m, 1h",
        ),
        (
            r#"@{"io.roci.ready": "health"}"#,
            "annotations: io.roci.ready: there is no io.roci.health",
        ),
    ] {
        check(&config(&format!("\"annotations\": {annotations}")), expected);
    }
}

#[test]
fn annotations() {
    for (annotations, expected) in [
        (r#"{"a": "1", "org.opencontainers.image.os": ""}"#, ""),
        (r#"{"io.roci.init": "true", "io.rocix": "", "io.roci": ""}"#, ""),
        (r#"{"io.roci.overlay": "true", "io.roci.overlay.upper": "up"}"#, ""),
        (
            r#"{"io.roci.overlay.uper": @"up"}"#,
            "annotations[\"io.roci.overlay.uper\"]: unknown annotation",
        ),
        (r#"{"": @"x"}"#, "annotations[\"\"]: the name must not be empty"),
        (
            r#"{"io.roci.inti": @"true"}"#,
            "annotations[\"io.roci.inti\"]: unknown annotation",
        ),
        (r#"{"a": @5}"#, "annotations.a: expected a string, not 5"),
        (
            r#"{"a": @{"b": "c"}}"#,
            "annotations.a: expected a string, not an object",
        ),
        ("@[]", "annotations: expected an object, not an array"),
    ] {
        check(&config(&format!("\"annotations\": {annotations}")), expected);
    }
    accept(
        &config(r#""annotations": {"a": "1", "b": "2", "a": "3", "n": null}"#),
        |spec| {
            assert_eq!(spec.list(spec.annotations).len(), 2);
            assert_eq!(spec.annotation("a").unwrap().as_str(), "3");
            assert_eq!(spec.annotation("b").unwrap().as_str(), "2");
            assert!(spec.annotation("n").is_none());
        },
    );
}

#[test]
fn escapes_are_resolved() {
    let json = config(r#""annot\u0061tions": {"\u00e9\n": "\"\\\/\b\f\n\r\t\ud83d\ude00\u20ac", "\u0061": "b"}"#);
    accept(&json, |spec| {
        assert_eq!(spec.annotation("é\n").unwrap().as_str(), "\"\\/\u{8}\u{c}\n\r\t😀€");
        assert_eq!(spec.annotation("a").unwrap().as_c_str(), c"b");
    });
    // A known word may be spelt with escapes, too.
    let json = config(r#""linux": {"namespaces": [{"type": "\u006dount"}]}"#);
    accept(&json, |spec| {
        assert!(spec.linux.has_new_namespace(crate::linux::NamespaceKind::Mount))
    });
    let json = config(r#""linux": {"namespac\u0065s": [{"type": @"\u006dnt"}]}"#);
    check(
        &json,
        r#"linux["namespac\u0065s"][0].type: unknown namespace type "\u006dnt""#,
    );
}

#[test]
fn the_last_of_two_members_counts() {
    let json = r#"{"ociVersion": "7", "ociVersion": "1.0.0", "root": {"path": "a"}, "root": {"path": "b"}}"#;
    check(
        &json.replace("\"7\"", "@\"7\""),
        "ociVersion: not a semantic version: \"7\"",
    );
    let json = json.replace("\"7\"", "\"1.1.0\"");
    accept(&json, |spec| {
        assert_eq!(spec.oci_version.unwrap().as_str(), "1.0.0");
        assert_eq!(spec.root.as_ref().unwrap().path.as_str(), "b");
    });
    let mounts = r#""mounts": [{"destination": "/a"}, {"destination": "/b"}], "mounts": [{"destination": "/c"}]"#;
    accept(&config(mounts), |spec| {
        assert_eq!(spec.mounts.len(), 1);
        assert_eq!(spec.mounts[0].destination.as_str(), "/c");
    });
    // The mistake is in the second, and the error points there.
    check(
        &config("\"root\": {\"path\": @5}"),
        "root.path: expected a string, not 5",
    );
}

#[test]
fn lists_and_words_have_their_types() {
    for (members, expected) in [
        (r#""mounts": @{}"#, "mounts: expected an array, not an object"),
        (r#""mounts": [@5]"#, "mounts[0]: expected an object, not 5"),
        (r#""mounts": [@null]"#, "mounts[0]: expected an object, not null"),
        (
            r#""process": {"args": @"sh"}"#,
            "process.args: expected an array, not \"sh\"",
        ),
        (
            r#""process": {"args": ["a", @1]}"#,
            "process.args[1]: expected a string, not 1",
        ),
        (
            r#""process": {"args": [@null]}"#,
            "process.args[0]: expected a string, not null",
        ),
        (r#""hooks": @[]"#, "hooks: expected an object, not an array"),
        (r#""hostname": @1"#, "hostname: expected a string, not 1"),
    ] {
        check(&config(members), expected);
    }
}

#[test]
fn long_values_are_cut() {
    let json = config(&format!(
        "\"linux\": {{\"namespaces\": [{{\"type\": @\"{}\"}}]}}",
        "ä".repeat(100)
    ));
    check(
        &json,
        &format!("linux.namespaces[0].type: unknown namespace type \"{}…", "ä".repeat(31)),
    );
    let json = config(&format!("\"annotations\": {{\"{}\": @1}}", "k".repeat(100)));
    check(
        &json,
        &format!("annotations[\"{}…\"]: expected a string, not 1", "k".repeat(64))
            .replace("[\"", ".")
            .replace("\"]", ""),
    );
}

/// A configuration that can be changed.
fn parsed<'a>(json: &'a str, arena: &'a mut [u8]) -> std::boxed::Box<crate::Spec<'a>> {
    let mut spec = std::boxed::Box::new(crate::Spec::new());
    crate::parse_config(json.as_bytes(), arena, &mut spec).unwrap();
    spec
}

fn words<'a>(spec: &crate::Spec<'a>, list: crate::List<crate::Text<'a>>) -> std::vec::Vec<&'a str> {
    spec.list(list).iter().map(|text| text.as_str()).collect()
}

#[test]
fn exec_changes_the_process() {
    let json = process(r#""env": ["A=1"], "user": {"additionalGids": [5]}"#);
    let mut arena = std::vec![0; 2 * json.len()];
    let mut spec = parsed(&json, &mut arena);
    let text = |with_nul| crate::Text::from_str_with_nul(with_nul);
    spec.set_arguments([text("ls\0"), text("-l\0")].into_iter()).unwrap();
    // The list is no longer the last of its pool, and moves; then it is, and grows.
    spec.add_variable(text("B=2\0").unwrap()).unwrap();
    spec.add_variable(text("C=3\0").unwrap()).unwrap();
    spec.add_group(6).unwrap();
    let process = spec.process.as_ref().unwrap();
    let words = |list| words(&spec, list);
    assert_eq!(words(process.args), ["ls", "-l"]);
    assert_eq!(words(process.env), ["A=1", "B=2", "C=3"]);
    assert_eq!(spec.list(process.user.additional_gids), [5, 6]);
    assert!(spec.set_arguments([text("a")].into_iter()).is_err());
    while spec.add_group(7).is_ok() {}
    let gids = spec.process.as_ref().unwrap().user.additional_gids;
    assert_eq!(gids.len(), crate::limits::IDS_MAX);
}

/// Nothing of the first one is left.
#[test]
fn of_members_of_one_name_the_last_counts() {
    let json = process(
        r#""user": {"uid": 5, "gid": 6, "additionalGids": [7]}, "user": {"gid": 8},
        "capabilities": {"bounding": ["CAP_KILL"], "ambient": ["CAP_NO_SUCH"]}, "capabilities": {},
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}], "rlimits": []"#,
    );
    accept(&json, |spec| {
        let process = spec.process.as_ref().unwrap();
        assert_eq!((process.user.uid, process.user.gid), (0, 8));
        assert!(process.user.additional_gids.is_empty() && process.rlimits.is_empty());
        assert!(process.unknown_capability.is_none());
        assert_eq!(process.capabilities.bounding, 0);
    });
    let hooks = r#""hooks": {"prestart": [{"path": "/a"}], "poststop": [{"path": "/b"}]}, "hooks": {"poststop": []}"#;
    accept(&config(hooks), |spec| {
        assert!(spec.hooks.prestart.is_empty() && spec.hooks.poststop.is_empty());
    });
}

#[test]
fn what_exec_changes() {
    let json = process(r#""env": ["A=1", "B=2"], "user": {"additionalGids": [3, 4]}"#);
    let mut arena = std::vec![0; 2 * json.len()];
    let mut spec = parsed(&json, &mut arena);
    let text = |text| crate::Text::from_str_with_nul(text).unwrap();
    for variable in ["B=3\0", "C=4\0", "A\0", "D=5\0"] {
        spec.add_variable(text(variable)).unwrap();
    }
    spec.set_arguments(["a\0", "b\0", "c\0"].into_iter().map(|word| Some(text(word))))
        .unwrap();
    spec.add_variable(text("C=6\0")).unwrap();
    spec.add_variable(text("E=7\0")).unwrap();
    spec.add_group(5).unwrap();
    let process = spec.process.as_ref().unwrap();
    let words = |list| words(&spec, list);
    assert_eq!(words(process.args), ["a", "b", "c"]);
    assert_eq!(words(process.env), ["A", "B=3", "C=6", "D=5", "E=7"]);
    assert_eq!(spec.list(process.user.additional_gids), [3, 4, 5]);
    assert!(spec.set_arguments([None].into_iter()).is_err());
}

#[test]
fn empty_texts() {
    let text = crate::Text::from_str_with_nul("a\0").unwrap();
    assert!(crate::Text::EMPTY.is_empty() && !text.is_empty());
}
