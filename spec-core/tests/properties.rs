//! What holds for any input.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;
use spec_core::linux::Pair;
use spec_core::state::{State, StateView, Status, Style, parse_state, write_json_string, write_oci_state, write_state};
use spec_core::{Error, Spec, Text, parse_config, parse_process, parse_resources};

type Parse = for<'a> fn(&'a [u8], &'a mut [u8], &mut Spec<'a>) -> Result<(), Error<'a>>;

const PARSES: [Parse; 3] = [parse_config, parse_process, parse_resources];

/// What came of a document: the error, or some of what was read.
fn outcome(parse: Parse, json: &[u8]) -> Result<String, String> {
    let mut arena = vec![0; 2 * json.len()];
    let mut spec = Box::new(Spec::new());
    parse(json, &mut arena, &mut spec).map_err(|error| error.to_string())?;
    let mut seen = String::new();
    for mount in &spec.mounts {
        seen.push_str(mount.destination.as_str());
        seen.push_str(mount.plan.data.map_or("", Text::as_str));
    }
    for pair in spec.list(spec.annotations).iter().chain(spec.list(spec.linux.sysctl)) {
        seen.push_str(pair.key.as_str());
        seen.push_str(pair.value.as_str());
    }
    if let Some(process) = &spec.process {
        spec.list(process.env)
            .iter()
            .chain(spec.list(process.args))
            .for_each(|text| seen.push_str(text.as_str()));
        seen.push_str(&format!("{:?}{:?}", process.capabilities, process.rlimits));
    }
    if let Some(seccomp) = &spec.linux.seccomp {
        for rule in spec.list(seccomp.rules) {
            spec.list(rule.names)
                .iter()
                .for_each(|text| seen.push_str(text.as_str()));
            seen.push_str(&format!("{:?}", spec.list(rule.arguments)));
        }
    }
    Ok(seen)
}

/// The samples, each with what it is read with. A debug build needs a while for each, so the long ones are left out.
fn samples() -> &'static [(Parse, Vec<u8>)] {
    static SAMPLES: OnceLock<Vec<(Parse, Vec<u8>)>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut samples = Vec::new();
        for directory in ["configs", "schema/config/good"] {
            for entry in fs::read_dir(tests.join(directory)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let parse: Parse = match name {
                    _ if name.starts_with("exec-process-") => parse_process,
                    _ if name.starts_with("resources-") => parse_resources,
                    _ => parse_config,
                };
                samples.push((parse, fs::read(&path).unwrap()));
            }
        }
        samples.sort_by_key(|(_, json)| json.len());
        samples
    })
}

fn sample(index: Index) -> (Parse, &'static [u8]) {
    let (parse, json) = &samples()[index.index(samples().len())];
    (*parse, json)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_beginning_is_no_document(index: Index, end: Index) {
        let (parse, json) = sample(index);
        let json = json.trim_ascii_end();
        let error = outcome(parse, &json[..end.index(json.len())]).unwrap_err();
        prop_assert!(error.ends_with(": unexpected end of file"), "{}", error);
    }

    #[test]
    fn bytes_that_change_never_panic(index: Index, changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8)) {
        let (parse, json) = sample(index);
        let mut json = json.to_vec();
        for (at, byte) in &changes {
            let at = at.index(json.len());
            json[at] = *byte;
        }
        if let Err(error) = outcome(parse, &json) {
            check_error(&error, &json)?;
        }
    }

    /// Changes that leave JSON behind come further than those that do not.
    #[test]
    fn values_that_change_never_panic(index: Index, at: Index, value in value()) {
        let (parse, json) = sample(index);
        let starts: Vec<usize> =
            json.iter().enumerate().filter(|(_, byte)| b":[,".contains(byte)).map(|(at, _)| at + 1).collect();
        let start = starts[at.index(starts.len())];
        let length = json[start..].iter().position(|byte| b",]}".contains(byte)).unwrap_or(0);
        let json = [&json[..start], value.as_bytes(), &json[start + length..]].concat();
        if let Err(error) = outcome(parse, &json) {
            check_error(&error, &json)?;
        }
    }

    #[test]
    fn any_bytes_never_panic(json in prop::collection::vec(any::<u8>(), 0..200), which in 0..3_usize) {
        let _ = outcome(PARSES[which], &json);
    }

    #[test]
    fn any_json_never_panics(json in value(), which in 0..3_usize) {
        if let Err(error) = outcome(PARSES[which], json.as_bytes()) {
            check_error(&error, json.as_bytes())?;
        }
    }

    #[test]
    fn reading_is_deterministic(index: Index) {
        let (parse, json) = sample(index);
        prop_assert_eq!(outcome(parse, json), outcome(parse, json));
    }

    #[test]
    fn white_space_changes_nothing(index: Index) {
        let (parse, json) = sample(index);
        let spread: Vec<u8> = spread(json);
        let strip = |result: Result<String, String>| result.map_err(|error| error.split_once(": ").unwrap().1.to_string());
        prop_assert_eq!(strip(outcome(parse, json)), strip(outcome(parse, &spread)));
    }

    #[test]
    fn strings_come_through_an_annotation(key in text(), value in text()) {
        let mut json = String::from(r#"{"ociVersion": "1.0.0", "root": {"path": "r"}, "annotations": {"#);
        write_json_string(&mut json, &format!("k{key}"));
        json.push(':');
        write_json_string(&mut json, &value);
        json.push_str("}}");
        prop_assert_eq!(outcome(parse_config, json.as_bytes()), Ok(format!("k{key}{value}")));
        // The same with every character as an escape.
        let escaped = format!(
            r#"{{"ociVersion": "1.0.0", "root": {{"path": "r"}}, "annotations": {{"k{}": "{}"}}}}"#, escape(&key), escape(&value)
        );
        prop_assert_eq!(outcome(parse_config, escaped.as_bytes()), Ok(format!("k{key}{value}")));
    }

    #[test]
    fn a_state_comes_back_as_it_was_written(
        strings in prop::array::uniform5(text()),
        id in "[A-Za-z0-9_+-][A-Za-z0-9_+.-]{0,254}",
        pid in 0..=i32::MAX,
        start_time: u64,
        cgroup in prop::option::of(text()),
        annotations in prop::collection::vec((text(), text()), 0..5),
    ) {
        let [version, bundle, rootfs, created, owner] = &strings;
        let (version, bundle) = (format!("1{version}"), format!("/{bundle}"));
        let annotations: Vec<(String, String)> =
            annotations.into_iter().map(|(key, value)| (format!("{key}\0"), format!("{value}\0"))).collect();
        let annotations: Vec<Pair<'_>> = annotations
            .iter()
            .map(|(key, value)| Pair {
                key: Text::from_str_with_nul(key).unwrap(),
                value: Text::from_str_with_nul(value).unwrap(),
            })
            .collect();
        let view = StateView {
            oci_version: &version,
            id: &id,
            pid,
            start_time,
            bundle: &bundle,
            rootfs,
            created,
            owner,
            cgroup: cgroup.as_deref().filter(|cgroup| !cgroup.is_empty()),
            annotations: &annotations,
        };
        let mut json = String::new();
        write_state(&mut json, &view);
        let mut arena = vec![0; 2 * json.len()];
        let mut state = State::new();
        parse_state(json.as_bytes(), &mut arena, &mut state).unwrap();
        let mut again = String::new();
        write_state(&mut again, &state.view());
        prop_assert_eq!(&again, &json);
        prop_assert_eq!(state.id.as_str(), &id);
        prop_assert_eq!(state.rootfs.as_str(), rootfs);
        prop_assert_eq!((state.pid, state.start_time), (pid, start_time));
        prop_assert_eq!(state.annotations.len(), annotations.len());
        // What others are shown is JSON, too, and says the same in both styles.
        let mut shown = [String::new(), String::new()];
        write_oci_state(&mut shown[0], &view, Status::Running, Style::Pretty);
        write_oci_state(&mut shown[1], &view, Status::Running, Style::Compact);
        for json in &shown {
            let mut arena = vec![0; 2 * json.len()];
            let mut state = State::new();
            parse_state(json.as_bytes(), &mut arena, &mut state).unwrap();
            prop_assert_eq!(state.pid, pid);
            prop_assert_eq!(state.owner.as_str(), owner);
        }
    }

    #[test]
    fn no_state_panics(json in prop::collection::vec(any::<u8>(), 0..200), value in value()) {
        for json in [&json, value.as_bytes()] {
            let mut arena = vec![0; 2 * json.len()];
            let _ = parse_state(json, &mut arena, &mut State::new());
        }
    }
}

/// An error is one line that starts with a position inside of the document.
fn check_error(error: &str, json: &[u8]) -> Result<(), TestCaseError> {
    let mut parts = error.splitn(3, ':');
    let mut number = || parts.next().unwrap_or_default().parse::<usize>().unwrap_or(0);
    let (line, column) = (number(), number());
    let lines = json.iter().filter(|byte| **byte == b'\n').count() + 1;
    prop_assert!(
        (1..=lines).contains(&line) && (1..=json.len() + 1).contains(&column),
        "{error}"
    );
    prop_assert!(!error.contains('\n') && error.len() < 1024, "{}", error);
    Ok(())
}

/// Text without NUL.
fn text() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn escape(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// JSON, made of the words that the specification uses.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        Just("-1".to_string()),
        Just("1.5".to_string()),
        Just("[]".to_string()),
        Just("{}".to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        (0..10_u8).prop_map(|number| number.to_string()),
        word().prop_map(|word| format!("\"{word}\"")),
        "[^\0]{0,5}".prop_map(|text| {
            let mut json = String::new();
            write_json_string(&mut json, &text);
            json
        }),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| format!("[{}]", list.join(","))),
            prop::collection::vec((word(), inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "ociVersion",
        "1.0.0",
        "root",
        "path",
        "readonly",
        "process",
        "cwd",
        "/",
        "args",
        "env",
        "user",
        "uid",
        "gid",
        "rlimits",
        "type",
        "RLIMIT_CPU",
        "soft",
        "hard",
        "hostname",
        "mounts",
        "destination",
        "options",
        "ro",
        "rbind",
        "hooks",
        "poststop",
        "timeout",
        "annotations",
        "io.roci.init",
        "linux",
        "namespaces",
        "pid",
        "mount",
        "uts",
        "uidMappings",
        "gidMappings",
        "containerID",
        "hostID",
        "size",
        "timeOffsets",
        "boottime",
        "secs",
        "devices",
        "c",
        "major",
        "minor",
        "netDevices",
        "name",
        "cgroupsPath",
        "resources",
        "memory",
        "limit",
        "cpu",
        "shares",
        "pids",
        "blockIO",
        "weightDevice",
        "hugepageLimits",
        "pageSize",
        "2MB",
        "network",
        "priorities",
        "priority",
        "rdma",
        "hcaHandles",
        "unified",
        "sysctl",
        "net.a",
        "maskedPaths",
        "seccomp",
        "defaultAction",
        "SCMP_ACT_LOG",
        "syscalls",
        "names",
        "action",
        "index",
        "value",
        "op",
        "SCMP_CMP_EQ",
        "intelRdt",
        "closID",
        "personality",
        "domain",
        "LINUX",
        "scheduler",
        "policy",
        "SCHED_FIFO",
        "id",
        "bundle",
        "created",
        "owner",
        "startTime",
    ])
}

/// The same document with white space wherever it may stand.
fn spread(json: &[u8]) -> Vec<u8> {
    let (mut out, mut in_string, mut escaped) = (Vec::new(), false, false);
    for byte in json {
        let structural = !in_string && b"{}[]:,".contains(byte);
        if structural {
            out.extend_from_slice(b" \n");
        }
        out.push(*byte);
        if structural {
            out.extend_from_slice(b"\t\r ");
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
    }
    out
}
