//! Real documents: the examples of the specification's schema, and what the clients of runtimes were seen to write.

use std::format;
use std::fs;
use std::path::{Path, PathBuf};
use std::string::ToString;
use std::vec::Vec;

use crate::harness::{Parse, check, read};
use crate::limits::*;
use crate::spec::Spec;
use crate::state::{State, parse_state};

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

/// What a document of the samples is read with, by the name of its file.
fn parse_for(name: &str) -> Parse {
    match name {
        _ if name.starts_with("exec-process-") => crate::parse_process,
        _ if name.starts_with("resources-") => crate::parse_resources,
        _ => crate::parse_config,
    }
}

#[test]
fn what_clients_write_is_accepted() {
    let files = files("configs");
    assert_eq!(files.len(), 74);
    for file in files {
        let json = fs::read_to_string(&file).unwrap();
        read(parse_for(name(&file)), &json, |result| {
            if let Err(error) = result {
                panic!("{}: {error}", name(&file));
            }
        });
    }
}

/// How much of each pool is used, with its capacity.
fn usage(spec: &Spec<'_>) -> [(&'static str, usize, usize); 15] {
    [
        ("mounts", spec.mounts.len(), spec.mounts.capacity()),
        ("texts", spec.texts.len(), spec.texts.capacity()),
        ("pairs", spec.pairs.len(), spec.pairs.capacity()),
        ("ids", spec.ids.len(), spec.ids.capacity()),
        ("id mappings", spec.id_mappings.len(), spec.id_mappings.capacity()),
        ("hooks", spec.hook_entries.len(), spec.hook_entries.capacity()),
        ("devices", spec.devices.len(), spec.devices.capacity()),
        ("device rules", spec.device_rules.len(), spec.device_rules.capacity()),
        (
            "weight devices",
            spec.weight_devices.len(),
            spec.weight_devices.capacity(),
        ),
        (
            "throttle devices",
            spec.throttle_devices.len(),
            spec.throttle_devices.capacity(),
        ),
        (
            "hugepage limits",
            spec.hugepage_limits.len(),
            spec.hugepage_limits.capacity(),
        ),
        ("rdma limits", spec.rdma_limits.len(), spec.rdma_limits.capacity()),
        (
            "network priorities",
            spec.network_priorities.len(),
            spec.network_priorities.capacity(),
        ),
        ("seccomp rules", spec.seccomp_rules.len(), spec.seccomp_rules.capacity()),
        (
            "seccomp arguments",
            spec.seccomp_arguments.len(),
            spec.seccomp_arguments.capacity(),
        ),
    ]
}

#[test]
fn the_largest_document_fits_four_times_over() {
    for file in files("configs") {
        let json = fs::read_to_string(&file).unwrap();
        assert!(4 * json.len() <= CONFIG_BYTES_MAX, "{}", name(&file));
        let options = json
            .split("\"options\":[")
            .skip(1)
            .map(|list| list.split(']').next().unwrap().split(',').count());
        assert!(4 * options.max().unwrap_or(0) <= MOUNT_OPTIONS_MAX, "{}", name(&file));
        let mut arena = std::vec![0; TEXT_BYTES_MAX / 4];
        let mut spec = std::boxed::Box::new(Spec::new());
        let parse = parse_for(name(&file));
        parse(json.as_bytes(), &mut arena, &mut spec).unwrap();
        for (pool, used, capacity) in usage(&spec) {
            assert!(4 * used <= capacity, "{}: {used} of {capacity} {pool}", name(&file));
        }
    }
}

/// The schema calls these good; they are refused for what Linux asks beyond it.
const REFUSED_THOUGH_GOOD: [(&str, &str); 3] = [
    // A jail has a name of its own. Here a name needs a namespace, and `freebsd` is ignored.
    ("freebsd-example.json", "17:17: hostname: needs a uts namespace"),
    // The interfaces would be moved from the host's network namespace into the same.
    (
        "linux-netdevice.json",
        "7:23: linux.netDevices: needs a network namespace",
    ),
    // The namespaces are those of z/OS, which are ignored, too.
    ("zos-example.json", "33:17: hostname: needs a uts namespace"),
];

#[test]
fn the_good_examples_of_the_schema_are_accepted() {
    for file in files("schema/config/good") {
        let json = fs::read_to_string(&file).unwrap();
        // Two examples are of a specification before 1.0, which is no reason to refuse the rest of them.
        if json.contains("0.5.0-dev") {
            let marked = json.replace("\"0.5.0-dev\"", "@\"0.5.0-dev\"");
            check(&marked, "ociVersion: only version 1 is supported: \"0.5.0-dev\"");
        }
        let json = json.replace("0.5.0-dev", "1.0.0");
        let expected = REFUSED_THOUGH_GOOD.iter().find(|(refused, _)| *refused == name(&file));
        read(crate::parse_config, &json, |result| {
            let found = result.map_or_else(|error| error, |_| "ok".to_string());
            assert_eq!(found, expected.map_or("ok", |(_, message)| message), "{}", name(&file));
        });
    }
}

#[test]
fn the_bad_examples_of_the_schema_are_refused() {
    let expected = [
        // What is bad in it is for FreeBSD to find.
        ("freebsd-vnet-disable.json", "ok"),
        ("invalid-json.json", "1:2: expected a name in quotes"),
        (
            "linux-hugepage.json",
            "11:33: linux.resources.hugepageLimits[0].pageSize: not a page size such as \"2MB\": \"64kB\"",
        ),
        (
            "linux-netdevice.json",
            "9:25: linux.netDevices.eth0.name: expected a string, not 23",
        ),
        (
            "linux-rdma.json",
            "10:35: linux.resources.rdma[\"mlx5_1\"].hcaHandles: expected an integer from 0 of 64 bits, not \"not a uint32\"",
        ),
    ];
    for (file, (expected_name, expected)) in files("schema/config/bad").iter().zip(expected) {
        assert_eq!(name(file), expected_name);
        read(crate::parse_config, &fs::read_to_string(file).unwrap(), |result| {
            assert_eq!(result.map_or_else(|error| error, |_| "ok".to_string()), expected);
        });
    }
}

#[test]
fn the_states_of_the_schema() {
    for (directory, expected) in [
        ("schema/state/good", "ok"),
        ("schema/state/bad", "1:2: expected a name in quotes"),
    ] {
        for file in files(directory) {
            let json = fs::read(&file).unwrap();
            let mut arena = std::vec![0; 2 * json.len()];
            let mut state = State::new();
            let found = match parse_state(&json, &mut arena, &mut state) {
                Ok(()) => "ok".to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected);
        }
    }
}

/// What is left out of a document is always noticed, at whichever byte it ends.
#[test]
fn every_beginning_of_a_document_is_refused() {
    let file = files("configs")
        .into_iter()
        .find(|file| name(file) == "podman-default.json")
        .unwrap();
    let json = fs::read(file).unwrap();
    let json = json.trim_ascii_end();
    assert!(json.is_ascii() && !json.contains(&b'\n'));
    for length in 0..json.len() {
        let (text, offset) = crate::grammar::check(&json[..length]).unwrap_err();
        assert_eq!((text.text(), offset), ("unexpected end of file", length));
    }
    // The same through the front door, for a few of them: the rest of the way is not reached.
    for length in [0, 1, json.len() / 2, json.len() - 1] {
        let beginning = &json[..length];
        let mut arena = std::vec![0; 2 * length];
        let mut spec = std::boxed::Box::new(Spec::new());
        let error = crate::parse_config(beginning, &mut arena, &mut spec)
            .unwrap_err()
            .to_string();
        assert_eq!(error, format!("1:{}: unexpected end of file", length + 1));
    }
}
