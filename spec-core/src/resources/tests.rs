use std::format;

use super::*;
use crate::Spec;
use crate::harness::{STEP, accept, check, check_with, linux, read};

#[test]
fn what_is_given_is_read() {
    let document = r#"{
        "devices": [{"allow": false}, {"allow": true, "type": "c", "major": 1, "minor": -1, "access": "mr"},
                    {"allow": true, "type": "a", "major": -1, "access": ""}, {"type": "b"}],
        "memory": {"limit": -1, "reservation": 0, "swap": 9223372036854775807, "kernel": 4, "kernelTCP": 5,
                   "swappiness": 100, "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true},
        "cpu": {"shares": 1, "quota": -1, "burst": 3, "period": 4, "realtimeRuntime": 5, "realtimePeriod": 6,
                "cpus": "0-3", "mems": "", "idle": 1},
        "pids": {"limit": 0},
        "blockIO": {"weight": 10, "leafWeight": 11, "weightDevice": [{"major": 8, "minor": 0, "weight": 500, "leafWeight": 300}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 1}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 2, "rate": 2}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 3, "rate": 3}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 4, "rate": 18446744073709551615}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 9223372036854772000}],
        "network": {"classID": 4294967295, "priorities": [{"name": "eth0", "priority": 500}]},
        "rdma": {"mlx5_1": {"hcaHandles": 3}, "rxe": {"hcaObjects": 4}},
        "unified": {"memory.high": "1\n"}}"#;
    let see = |spec: &Spec<'_>| {
        let resources = &spec.linux.resources;
        assert!(resources.present);
        let all = DeviceAccess {
            read: true,
            write: true,
            mknod: true,
        };
        let rules = spec.list(resources.devices);
        assert_eq!(
            rules[0],
            DeviceRule {
                allow: false,
                kind: None,
                major: None,
                minor: None,
                access: all
            }
        );
        let access = DeviceAccess { write: false, ..all };
        let kind = Some(DeviceKind::Character);
        assert_eq!(
            rules[1],
            DeviceRule {
                allow: true,
                kind,
                major: Some(1),
                minor: None,
                access
            }
        );
        assert_eq!(
            rules[2],
            DeviceRule {
                allow: true,
                ..rules[0]
            }
        );
        assert_eq!(rules[3].kind, Some(DeviceKind::Block));
        let expected = Memory {
            limit: Some(-1),
            reservation: Some(0),
            swap: Some(i64::MAX),
            kernel: Some(4),
            kernel_tcp: Some(5),
            swappiness: Some(100),
            disable_oom_killer: true,
            use_hierarchy: true,
            check_before_update: true,
        };
        assert_eq!(resources.memory, expected);
        let cpu = resources.cpu;
        assert_eq!(
            (cpu.shares, cpu.quota, cpu.burst, cpu.period),
            (Some(1), Some(-1), Some(3), Some(4))
        );
        assert_eq!(
            (cpu.realtime_runtime, cpu.realtime_period, cpu.idle),
            (Some(5), Some(6), Some(1))
        );
        assert_eq!((cpu.cpus.unwrap().as_str(), cpu.mems), ("0-3", None));
        assert_eq!(resources.pids_limit, Some(0));
        let block_io = resources.block_io;
        assert_eq!((block_io.weight, block_io.leaf_weight), (Some(10), Some(11)));
        let expected = WeightDevice {
            major: 8,
            minor: 0,
            weight: Some(500),
            leaf_weight: Some(300),
        };
        assert_eq!(spec.list(block_io.weight_devices), [expected]);
        let throttles = [
            block_io.throttle_read_bps,
            block_io.throttle_write_bps,
            block_io.throttle_read_iops,
            block_io.throttle_write_iops,
        ];
        for ((throttle, minor), rate) in throttles.into_iter().zip(1..).zip([1, 2, 3, u64::MAX]) {
            assert_eq!(spec.list(throttle), [ThrottleDevice { major: 8, minor, rate }]);
        }
        let limit = spec.list(resources.hugepage_limits)[0];
        assert_eq!(
            (limit.page_size.as_str(), limit.limit),
            ("2MB", 9_223_372_036_854_772_000)
        );
        assert_eq!(resources.network_class_id, Some(u32::MAX));
        assert_eq!(spec.list(resources.network_priorities)[0].priority, 500);
        let rdma = spec.list(resources.rdma);
        assert_eq!(
            (rdma[0].device.as_str(), rdma[0].hca_handles, rdma[0].hca_objects),
            ("mlx5_1", Some(3), None)
        );
        assert_eq!((rdma[1].hca_handles, rdma[1].hca_objects), (None, Some(4)));
        let unified = spec.list(resources.unified)[0];
        assert_eq!((unified.key.as_str(), unified.value.as_str()), ("memory.high", "1\n"));
    };
    read(crate::parse_resources, document, |result| see(result.unwrap()));
    accept(&linux(&format!("\"resources\": {document}")), see);
}

#[test]
fn what_is_not_given_is_absent() {
    read(crate::parse_resources, "{}", |result| {
        let resources = &result.unwrap().linux.resources;
        assert!(resources.present && resources.devices.is_empty() && resources.pids_limit.is_none());
        assert_eq!(resources.memory, Memory::default());
        assert_eq!(resources.cpu, Cpu::default());
    });
    // What old clients write for "the default".
    read(
        crate::parse_resources,
        r#"{"memory": {"swappiness": 18446744073709551615}, "pids": {}}"#,
        |result| {
            assert_eq!(result.unwrap().linux.resources.memory.swappiness, None);
        },
    );
}

#[test]
fn what_is_wrong_is_refused() {
    for (members, expected) in [
        (
            r#""devices": [{"type": @"p"}]"#,
            "devices[0].type: unknown device type \"p\"",
        ),
        (r#""devices": [{"major": @-2}]"#, "devices[0].major: out of range: -2"),
        (
            r#""devices": [{"major": @4096}]"#,
            "devices[0].major: out of range: 4096",
        ),
        (
            r#""devices": [{"minor": @1048576}]"#,
            "devices[0].minor: out of range: 1048576",
        ),
        (
            r#""devices": [{"access": @"rx"}]"#,
            "devices[0].access: unknown access \"rx\"",
        ),
        (
            r#""devices": [{"access": @"rwmr"}]"#,
            "devices[0].access: the same letter twice: \"rwmr\"",
        ),
        (r#""memory": {"limit": @-2}"#, "memory.limit: out of range: -2"),
        (
            r#""memory": {"swappiness": @101}"#,
            "memory.swappiness: out of range: 101",
        ),
        (r#""cpu": {"idle": @2}"#, "cpu.idle: out of range: 2"),
        (
            r#""cpu": {"period": @-1}"#,
            "cpu.period: expected an integer from 0 of 64 bits, not -1",
        ),
        (
            r#""pids": {"limit": @"5"}"#,
            "pids.limit: expected an integer of 64 bits, not \"5\"",
        ),
        (
            r#""blockIO": {"weight": @65536}"#,
            "blockIO.weight: out of range: 65536",
        ),
        (
            r#""blockIO": {"weightDevice": [@{"minor": 0}]}"#,
            "blockIO.weightDevice[0].major: missing",
        ),
        (
            r#""blockIO": {"throttleReadBpsDevice": [@{"major": 0}]}"#,
            "blockIO.throttleReadBpsDevice[0].minor: missing",
        ),
        (
            r#""blockIO": {"throttleReadIOPSDevice": [@{"major": 0, "minor": 0}]}"#,
            "blockIO.throttleReadIOPSDevice[0].rate: missing",
        ),
        (
            r#""hugepageLimits": [@{"limit": 1}]"#,
            "hugepageLimits[0].pageSize: missing",
        ),
        (
            r#""hugepageLimits": [@{"pageSize": "1GB"}]"#,
            "hugepageLimits[0].limit: missing",
        ),
        (
            r#""network": {"classID": @-1}"#,
            "network.classID: expected an integer from 0 of 64 bits, not -1",
        ),
        (
            r#""network": {"priorities": [@{"priority": 1}]}"#,
            "network.priorities[0].name: missing",
        ),
        (
            r#""network": {"priorities": [@{"name": "a"}]}"#,
            "network.priorities[0].priority: missing",
        ),
        (
            r#""network": {"priorities": [{"name": @""}]}"#,
            "network.priorities[0].name: must not be empty",
        ),
        (
            r#""rdma": {"a": {"hcaHandles": @"3"}}"#,
            "rdma.a.hcaHandles: expected an integer from 0 of 64 bits, not \"3\"",
        ),
        (
            r#""unified": {"../x": @"1"}"#,
            "unified[\"../x\"]: must be a plain file name",
        ),
        (r#""unified": {"": @"1"}"#, "unified[\"\"]: must be a plain file name"),
        (
            r#""unified": {"..": @"1"}"#,
            "unified[\"..\"]: must be a plain file name",
        ),
        (r#""unified": {"a": @1}"#, "unified.a: expected a string, not 1"),
    ]
    .into_iter()
    .step_by(STEP)
    {
        check(
            &linux(&format!("\"resources\": {{{members}}}")),
            &format!("linux.resources.{expected}"),
        );
        check_with(crate::parse_resources, &format!("{{{members}}}"), expected);
    }
}

#[test]
fn page_sizes() {
    for size in ["1KB", "64KB", "2MB", "1024MB", "1GB"] {
        assert!(is_page_size(size), "{size}");
    }
    for size in [
        "", "KB", "64kB", "0MB", "02MB", "2M", "2 MB", "-2MB", "2TB", "../2MB", "2MB/",
    ] {
        assert!(!is_page_size(size), "{size}");
        let json = format!("{{\"hugepageLimits\": [{{\"pageSize\": @\"{size}\"}}]}}");
        let message = format!("hugepageLimits[0].pageSize: not a page size such as \"2MB\": \"{size}\"");
        check_with(crate::parse_resources, &json, &message);
    }
}

#[test]
fn a_device_of_rdma_may_have_no_limit() {
    let json = linux(r#""resources": {"rdma": {"a": {"hcaHandles": 1}, "b": {}, "c": {"hcaObjects": null}}}"#);
    accept(&json, |spec| {
        let devices = spec.list(spec.linux.resources.rdma).iter();
        let devices: std::vec::Vec<_> = devices
            .map(|limit| (limit.device.as_str(), limit.hca_handles))
            .collect();
        assert_eq!(devices, [("a", Some(1)), ("b", None), ("c", None)]);
    });
}
