use std::format;

use super::*;
use crate::harness::{STEP, accept, check, config, linux};

#[test]
fn what_is_given_is_read() {
    let json = config(
        r#""linux": {
        "namespaces": [{"type": "user"}, {"type": "network", "path": "/run/netns/a"}, {"type": "time", "path": ""}],
        "uidMappings": [{"containerID": 1, "hostID": 2, "size": 3}, {"containerID": 4, "hostID": 5, "size": 6}],
        "gidMappings": [{"containerID": 7, "hostID": 8, "size": 9}],
        "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 999999999}, "boottime": {"secs": 6}},
        "netDevices": {"eth0": {}, "eth1": {"name": "net%d"}, "eth2": {"name": ""}},
        "cgroupsPath": "a:b:c", "rootfsPropagation": "rslave", "mountLabel": "l",
        "intelRdt": {"closID": "c", "l3CacheSchema": "L3", "memBwSchema": "MB:", "schemata": ["s", "t"],
                     "enableMonitoring": true},
        "memoryPolicy": {"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0-3",
                         "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"]},
        "personality": {"domain": "LINUX32", "flags": []},
        "sysctl": {"net.a": "1"}}"#,
    );
    accept(&json, |spec| {
        let linux = &spec.linux;
        assert!(linux.has_new_namespace(NamespaceKind::User) && linux.has_new_namespace(NamespaceKind::Time));
        assert!(!linux.has_new_namespace(NamespaceKind::Network) && linux.namespace(NamespaceKind::Pid).is_none());
        assert_eq!(
            linux.namespace(NamespaceKind::Network).unwrap().path.unwrap().as_str(),
            "/run/netns/a"
        );
        let last = IdMapping {
            container_id: 4,
            host_id: 5,
            size: 6,
        };
        assert_eq!(spec.list(linux.uid_mappings)[1], last);
        assert_eq!(
            spec.list(linux.gid_mappings),
            [IdMapping {
                container_id: 7,
                host_id: 8,
                size: 9
            }]
        );
        assert_eq!(
            linux.time_offsets.monotonic,
            Some(TimeOffset {
                secs: -5,
                nanosecs: 999_999_999
            })
        );
        let boottime = TimeOffset { secs: 6, nanosecs: 0 };
        assert_eq!(linux.time_offsets.boottime, Some(boottime));
        let names = |index: usize| {
            let pair = spec.list(linux.net_devices)[index];
            (pair.key.as_str(), pair.value.as_str())
        };
        assert_eq!(
            (names(0), names(1), names(2)),
            (("eth0", "eth0"), ("eth1", "net%d"), ("eth2", "eth2"))
        );
        assert_eq!(linux.cgroups_path.unwrap().as_str(), "a:b:c");
        assert_eq!(linux.rootfs_propagation, Some(MS_SLAVE | MS_REC));
        assert_eq!(linux.mount_label.unwrap().as_str(), "l");
        let rdt = linux.intel_rdt.unwrap();
        assert_eq!(
            (
                rdt.clos_id.unwrap().as_str(),
                spec.list(rdt.schemata).len(),
                rdt.enable_monitoring
            ),
            ("c", 2, true)
        );
        let policy = linux.memory_policy.unwrap();
        assert_eq!(
            (policy.mode, policy.flags, policy.nodes.unwrap().as_str()),
            (6, 0xa000, "0-3")
        );
        assert_eq!(linux.personality, Some(Personality { domain: 8 }));
        assert_eq!(spec.list(linux.sysctl).len(), 1);
    });
}

#[test]
fn every_namespace_has_its_bit_and_its_file() {
    let mut bits = 0;
    for kind in NamespaceKind::ALL {
        accept(
            &config(&format!(
                "\"linux\": {{\"namespaces\": [{{\"type\": \"{}\", \"path\": \"/x\"}}]}}",
                kind.name()
            )),
            |spec| {
                assert!(spec.linux.namespace(kind).is_some());
            },
        );
        bits |= kind as u32;
        assert_eq!(
            kind.proc_name().to_str().unwrap().get(..2),
            kind.name().replace("mount", "mnt").get(..2)
        );
    }
    assert_eq!(bits, 0x7e02_0080);
}

#[test]
fn namespaces() {
    for (list, expected) in [
        (r#"{"type": @"net"}"#, "[0].type: unknown namespace type \"net\""),
        (r#"{"type": @"mnt"}"#, "[0].type: unknown namespace type \"mnt\""),
        (r#"{"type": @""}"#, "[0].type: unknown namespace type \"\""),
        (r#"@{"path": "/x"}"#, "[0].type: missing"),
        (
            r#"{"type": "pid", "path": @"proc/1/ns/pid"}"#,
            "[0].path: must be absolute: \"proc/1/ns/pid\"",
        ),
        (
            r#"{"type": "pid"}, {"type": "ipc"}, @{"type": "pid", "path": "/x"}"#,
            "[2]: a namespace of the same type stands before",
        ),
    ] {
        check(
            &config(&format!("\"linux\": {{\"namespaces\": [{list}]}}")),
            &format!("linux.namespaces{expected}"),
        );
    }
}

#[test]
fn devices() {
    let json = linux(
        r#""devices": [{"path": "/dev/a", "type": "u", "major": 4095, "minor": 1048575, "fileMode": 8630, "uid": 1, "gid": 2},
        {"path": "/dev/b", "type": "b", "major": 0, "minor": 0}, {"path": "/dev/p", "type": "p"},
        {"path": "/dev/q", "type": "p", "major": 5, "minor": 5}]"#,
    );
    accept(&json, |spec| {
        let devices = spec.list(spec.linux.devices);
        assert_eq!(
            (devices[0].kind, devices[0].major, devices[0].minor),
            (DeviceKind::Character, 4095, 1_048_575)
        );
        assert_eq!(
            (devices[0].file_mode, devices[0].uid, devices[0].gid),
            (Some(0o666), Some(1), Some(2))
        );
        assert_eq!(
            (devices[1].kind, devices[1].file_mode, devices[1].uid),
            (DeviceKind::Block, None, None)
        );
        assert_eq!((devices[2].kind, devices[3].major), (DeviceKind::Fifo, 0));
    });
    for (device, expected) in [
        (r#"{"path": @"dev/a"}"#, "path: must be absolute: \"dev/a\""),
        (r#"{"path": "/a", "type": @"a"}"#, "type: unknown device type \"a\""),
        (
            r#"{"path": "/a", "type": @"char"}"#,
            "type: unknown device type \"char\"",
        ),
        (r#"@{"path": "/a"}"#, "type: missing"),
        (r#"@{"type": "p"}"#, "path: missing"),
        (r#"@{"path": "/a", "type": "c", "minor": 1}"#, "major: missing"),
        (r#"@{"path": "/a", "type": "b", "major": 1}"#, "minor: missing"),
        (r#"{"major": @4096}"#, "major: out of range: 4096"),
        (r#"{"minor": @1048576}"#, "minor: out of range: 1048576"),
        (r#"{"major": @-1}"#, "major: out of range: -1"),
        (r#"{"fileMode": @4294967296}"#, "fileMode: out of range: 4294967296"),
        (r#"{"uid": @-1}"#, "uid: expected an integer from 0 of 64 bits, not -1"),
    ] {
        check(
            &linux(&format!("\"devices\": [{device}]")),
            &format!("linux.devices[0].{expected}"),
        );
    }
}

#[test]
fn what_is_wrong_is_refused() {
    for (members, expected) in [
        (
            r#""uidMappings": [@{"containerID": 0, "hostID": 0}]"#,
            "uidMappings[0].size: missing",
        ),
        (
            r#""uidMappings": [@{"containerID": 0, "size": 1}]"#,
            "uidMappings[0].hostID: missing",
        ),
        (
            r#""gidMappings": [@{"hostID": 0, "size": 1}]"#,
            "gidMappings[0].containerID: missing",
        ),
        (
            r#""gidMappings": [{"hostID": @4294967296}]"#,
            "gidMappings[0].hostID: out of range: 4294967296",
        ),
        (
            r#""timeOffsets": {"realtime": @{}}"#,
            "timeOffsets.realtime: no clock that can have an offset",
        ),
        (
            r#""timeOffsets": {"boottime": {"nanosecs": @1000000000}}"#,
            "timeOffsets.boottime.nanosecs: out of range: 1000000000",
        ),
        (
            r#""cgroupsPath": @"/a/../b""#,
            "cgroupsPath: must not have a \"..\" component: \"/a/../b\"",
        ),
        (
            r#""cgroupsPath": @"..""#,
            "cgroupsPath: must not have a \"..\" component: \"..\"",
        ),
        (
            r#""rootfsPropagation": @"rrshared""#,
            "rootfsPropagation: unknown propagation \"rrshared\"",
        ),
        (
            r#""rootfsPropagation": @"r""#,
            "rootfsPropagation: unknown propagation \"r\"",
        ),
        (
            r#""maskedPaths": ["/a", @"b"]"#,
            "maskedPaths[1]: must be absolute: \"b\"",
        ),
        (r#""readonlyPaths": [@""]"#, "readonlyPaths[0]: must be absolute: \"\""),
        (
            r#""intelRdt": {"closID": @"a/b"}"#,
            "intelRdt.closID: must be a plain file name: \"a/b\"",
        ),
        (
            r#""intelRdt": {"closID": @".."}"#,
            "intelRdt.closID: must be a plain file name: \"..\"",
        ),
        (
            r#""memoryPolicy": {"mode": @"BIND"}"#,
            "memoryPolicy.mode: unknown memory policy \"BIND\"",
        ),
        (r#""memoryPolicy": @{}"#, "memoryPolicy.mode: missing"),
        (
            r#""memoryPolicy": {"flags": [@"X"]}"#,
            "memoryPolicy.flags[0]: unknown flag \"X\"",
        ),
        (
            r#""personality": {"domain": @"linux"}"#,
            "personality.domain: unknown domain \"linux\"",
        ),
        (
            r#""personality": {"flags": [@"ADDR_NO_RANDOMIZE"]}"#,
            "personality.flags[0]: no flag is supported: \"ADDR_NO_RANDOMIZE\"",
        ),
        (r#""personality": @{}"#, "personality.domain: missing"),
        (
            r#""netDevices": {"eth0": {"name": @23}}"#,
            "netDevices.eth0.name: expected a string, not 23",
        ),
        (
            r#""netDevices": {"eth0": {"name": @"a/b"}}"#,
            "netDevices.eth0.name: not the name of a network interface: \"a/b\"",
        ),
        (
            r#""netDevices": {"..": @{}}"#,
            "netDevices[\"..\"]: not the name of a network interface",
        ),
        (
            r#""netDevices": {"": @{}}"#,
            "netDevices[\"\"]: not the name of a network interface",
        ),
        (
            r#""netDevices": {"abcdefghijklmnop": @{}}"#,
            "netDevices.abcdefghijklmnop: not the name of a network interface",
        ),
        (
            r#""sysctl": {"net.a": @1}"#,
            "sysctl[\"net.a\"]: expected a string, not 1",
        ),
    ]
    .into_iter()
    .step_by(STEP)
    {
        check(&linux(members), &format!("linux.{expected}"));
    }
    for good in [
        r#""cgroupsPath": "/a/..b/c..""#,
        r#""cgroupsPath": """#,
        r#""rootfsPropagation": """#,
        r#""maskedPaths": ["/a/../b"]"#,
        r#""netDevices": {"abcdefghijklmno": {}}"#,
    ] {
        check(&linux(good), "");
    }
}

#[test]
fn propagations_are_known_with_and_without_r() {
    for (word, bits) in [
        ("private", MS_PRIVATE),
        ("shared", MS_SHARED),
        ("slave", MS_SLAVE),
        ("unbindable", MS_UNBINDABLE),
    ] {
        let propagation = |word: &str| PROPAGATIONS.position(word).and_then(|place| propagation(place as u64));
        assert_eq!(propagation(word), Some(bits));
        assert_eq!(propagation(&format!("r{word}")), Some(bits | MS_REC));
    }
    assert_eq!([propagation(8), propagation(u64::MAX)], [None; 2]);
}
