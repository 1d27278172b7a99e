//! Cgroups in directories that stand for the kernel's: which files are written, and what stands in them then.

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};

use super::resources::{Cgroup, Purpose, apply, is_frozen, refuse_to_lack, set_frozen};
use super::*;
use crate::cli::tests::understood;
use crate::container::in_user_namespace;
use crate::harness::{Directory, refusal, spec};
use crate::limits::asks_for_limits;
use crate::policy;

mod hierarchies;

/// `/proc/self/cgroup` of a host with version 1.
const VERSION_1: &str = "\
12:cpuset:/\n11:cpu,cpuacct:/user\n10:memory:/\n9:blkio:/\n8:pids:/\n7:hugetlb:/\n6:net_cls,net_prio:/\n5:rdma:/\n\
4:devices:/\n3:freezer:/\n2:name=systemd:/user/session\n0::/unified\n";
/// And of one with version 2.
const VERSION_2: &str = "0::/user/session\n";

/// What the kernel has in a cgroup of version 1 (Documentation/admin-guide/cgroup-v1), below the hierarchy.
const FILES_1: &str = "\
memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes \
memory/memory.kmem.tcp.limit_in_bytes memory/memory.swappiness memory/memory.oom_control cpu,cpuacct/cpu.shares \
cpu,cpuacct/cpu.cfs_period_us cpu,cpuacct/cpu.cfs_quota_us cpu,cpuacct/cpu.cfs_burst_us cpu,cpuacct/cpu.rt_period_us \
cpu,cpuacct/cpu.rt_runtime_us cpu,cpuacct/cpu.idle cpuset/cpuset.cpus cpuset/cpuset.mems pids/pids.max \
blkio/blkio.bfq.weight blkio/blkio.weight blkio/blkio.bfq.weight_device blkio/blkio.weight_device \
blkio/blkio.throttle.read_bps_device blkio/blkio.throttle.write_bps_device blkio/blkio.throttle.read_iops_device \
blkio/blkio.throttle.write_iops_device hugetlb/hugetlb.2MB.limit_in_bytes net_cls,net_prio/net_cls.classid \
net_cls,net_prio/net_prio.ifpriomap rdma/rdma.max devices/devices.allow devices/devices.deny freezer/freezer.state";
/// And of version 2 (cgroup-v2.rst).
const FILES_2: &str = "\
memory.max memory.swap.max memory.low cpu.weight cpu.max cpu.max.burst cpu.idle cpuset.cpus cpuset.mems pids.max \
io.bfq.weight io.weight io.max hugetlb.2MB.max rdma.max cgroup.freeze";

/// A host whose cgroup `/c` has the files that the kernel makes, empty.
struct World {
    directory: Directory,
    host: Host,
}

impl World {
    fn new(is_v2: bool) -> Self {
        let directory = Directory::new("cgroup");
        let world = Self {
            host: Host {
                top: directory.open(),
                is_v2,
                text: if is_v2 { VERSION_2 } else { VERSION_1 },
            },
            directory,
        };
        for file in world.files() {
            world.directory.write(&world.place(file), "");
        }
        world
    }

    fn files(&self) -> impl Iterator<Item = &'static str> + use<> {
        (if self.host.is_v2 { FILES_2 } else { FILES_1 }).split(' ')
    }

    /// Where in the cgroup the file is.
    fn place(&self, file: &str) -> String {
        match file.split_once('/') {
            Some((hierarchy, file)) => format!("{hierarchy}/c/{file}"),
            None => format!("c/{file}"),
        }
    }

    fn without(self, names: &[&str]) -> Self {
        for file in self.files().filter(|file| names.contains(file)) {
            std::fs::remove_file(self.directory.0.join(self.place(file))).expect("the file");
        }
        self
    }

    fn apply(&self, members: &str, purpose: Purpose) {
        let spec = spec(members);
        let made = Cell::new(Hierarchies::ALL);
        assert!(apply(&self.host, c"/c", &made, spec, &spec.linux.resources, purpose).is_ok());
    }

    /// What was written, file by file.
    fn written(&self) -> BTreeMap<String, String> {
        self.files()
            .filter(|file| self.directory.0.join(self.place(file)).exists())
            .map(|file| (file.to_string(), self.directory.read(&self.place(file))))
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }
}

fn resources(json: &str) -> String {
    format!(r#", "linux": {{"resources": {json}}}"#)
}

#[track_caller]
fn check_in(world: World, purpose: Purpose, json: &str, expected: &[(&str, &str)]) {
    world.apply(&resources(json), purpose);
    let expected = expected.iter().map(|(file, text)| (file.to_string(), text.to_string()));
    assert_eq!(world.written(), expected.collect(), "{json}");
}

/// What `create` writes on a host with version 1, and on one with version 2.
#[track_caller]
fn check(json: &str, one: &[(&str, &str)], two: &[(&str, &str)]) {
    check_in(World::new(false), Purpose::Create, json, one);
    check_in(World::new(true), Purpose::Create, json, two);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn memory() {
    check(
        r#"{"memory": {"limit": 1000, "reservation": 500, "swap": 2500}}"#,
        &[
            ("memory/memory.limit_in_bytes", "1000"),
            ("memory/memory.memsw.limit_in_bytes", "2500"),
            ("memory/memory.soft_limit_in_bytes", "500"),
        ],
        // Its swap does not have the memory in it.
        &[
            ("memory.max", "1000"),
            ("memory.swap.max", "1500"),
            ("memory.low", "500"),
        ],
    );
    check(
        r#"{"memory": {"limit": -1, "swap": -1}}"#,
        &[
            ("memory/memory.limit_in_bytes", "-1"),
            ("memory/memory.memsw.limit_in_bytes", "-1"),
        ],
        &[("memory.max", "max"), ("memory.swap.max", "max")],
    );
    // Version 2 has nothing for these.
    check(
        r#"{"memory": {"kernelTCP": 300, "swappiness": 0, "disableOOMKiller": true}}"#,
        &[
            ("memory/memory.kmem.tcp.limit_in_bytes", "300"),
            ("memory/memory.swappiness", "0"),
            ("memory/memory.oom_control", "1"),
        ],
        &[],
    );
    check(
        r#"{"memory": {"limit": 0, "reservation": 0, "swap": 0, "kernelTCP": 0, "disableOOMKiller": false}}"#,
        &[],
        &[],
    );
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn processors() {
    check(
        r#"{"cpu": {"shares": 1024, "quota": 50000, "period": 200000, "burst": 1000, "idle": 1, "cpus": "0-1", "mems": "0"}}"#,
        &[
            ("cpu,cpuacct/cpu.shares", "1024"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "50000"),
            ("cpu,cpuacct/cpu.cfs_period_us", "200000"),
            ("cpu,cpuacct/cpu.cfs_burst_us", "1000"),
            ("cpu,cpuacct/cpu.idle", "1"),
            ("cpuset/cpuset.cpus", "0-1"),
            ("cpuset/cpuset.mems", "0"),
        ],
        &[
            ("cpu.weight", "39"),
            ("cpu.max", "50000 200000"),
            ("cpu.max.burst", "1000"),
            ("cpu.idle", "1"),
            ("cpuset.cpus", "0-1"),
            ("cpuset.mems", "0"),
        ],
    );
    // Of version 1 alone; version 2 has no file for it, which is said.
    check_in(
        World::new(false),
        Purpose::Create,
        r#"{"cpu": {"realtimePeriod": 1000000, "realtimeRuntime": 950000}}"#,
        &[
            ("cpu,cpuacct/cpu.rt_period_us", "1000000"),
            ("cpu,cpuacct/cpu.rt_runtime_us", "950000"),
        ],
    );
    let refused = refusal(|| World::new(true).apply(&resources(r#"{"cpu": {"realtimePeriod": 1}}"#), Purpose::Create));
    assert!(
        refused.contains("no cgroup controller cpu with cpu.rt_period_us"),
        "{refused}"
    );
    check(
        r#"{"cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0}}"#,
        &[],
        &[],
    );
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_quota_and_its_period() {
    check(
        r#"{"cpu": {"period": 50000}}"#,
        &[("cpu,cpuacct/cpu.cfs_period_us", "50000")],
        &[("cpu.max", "max 50000")],
    );
    check(
        r#"{"cpu": {"quota": 50000}}"#,
        &[("cpu,cpuacct/cpu.cfs_quota_us", "50000")],
        // The kernel's own period.
        &[("cpu.max", "50000 100000")],
    );
    check(
        r#"{"cpu": {"quota": -1}}"#,
        &[("cpu,cpuacct/cpu.cfs_quota_us", "-1")],
        &[("cpu.max", "max 100000")],
    );
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_0_means_depends_on_who_says_it() {
    let json = r#"{"cpu": {"burst": 0}, "pids": {"limit": 0}}"#;
    check(
        json,
        &[("cpu,cpuacct/cpu.cfs_burst_us", "0"), ("pids/pids.max", "max")],
        &[("cpu.max.burst", "0"), ("pids.max", "max")],
    );
    check_in(World::new(false), Purpose::Update, json, &[]);
    check_in(World::new(true), Purpose::Update, json, &[]);
    for (limit, text) in [(-1, "max"), (1, "1"), (10, "10")] {
        let json = format!(r#"{{"pids": {{"limit": {limit}}}}}"#);
        for purpose in [Purpose::Create, Purpose::Update] {
            check_in(World::new(false), purpose, &json, &[("pids/pids.max", text)]);
            check_in(World::new(true), purpose, &json, &[("pids.max", text)]);
        }
    }
    check_in(
        World::new(true),
        Purpose::Update,
        r#"{"cpu": {"burst": 7}}"#,
        &[("cpu.max.burst", "7")],
    );
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn block_devices() {
    check(
        r#"{"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 1, "weight": 300}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 2, "rate": 1024}]}}"#,
        &[
            ("blkio/blkio.bfq.weight", "500"),
            ("blkio/blkio.bfq.weight_device", "8:1 300"),
            ("blkio/blkio.throttle.read_bps_device", "8:2 1024"),
        ],
        // The file keeps the values of all devices.
        &[("io.bfq.weight", "8:1 300"), ("io.max", "8:2 rbps=1024")],
    );
    for (list, one, key) in [
        (
            "throttleWriteBpsDevice",
            "blkio/blkio.throttle.write_bps_device",
            "wbps",
        ),
        (
            "throttleReadIOPSDevice",
            "blkio/blkio.throttle.read_iops_device",
            "riops",
        ),
        (
            "throttleWriteIOPSDevice",
            "blkio/blkio.throttle.write_iops_device",
            "wiops",
        ),
    ] {
        check(
            &format!(r#"{{"blockIO": {{"{list}": [{{"major": 259, "minor": 0, "rate": 7}}]}}}}"#),
            &[(one, "259:0 7")],
            &[("io.max", &format!("259:0 {key}=7"))],
        );
    }
}

/// Without BFQ the weight goes to the file of the other scheduler, whose range is another one in version 2: 1 to 10000.
#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn weights_without_bfq() {
    let one = || World::new(false).without(&["blkio/blkio.bfq.weight", "blkio/blkio.bfq.weight_device"]);
    let two = || World::new(true).without(&["io.bfq.weight"]);
    for (weight, wide) in [(10, "1"), (100, "910"), (500, "4950"), (1000, "10000")] {
        let json = format!(r#"{{"blockIO": {{"weight": {weight}}}}}"#);
        check_in(
            one(),
            Purpose::Create,
            &json,
            &[("blkio/blkio.weight", &weight.to_string())],
        );
        check_in(two(), Purpose::Create, &json, &[("io.weight", wide)]);
    }
    let json = r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 16, "weight": 1000}]}}"#;
    check_in(
        one(),
        Purpose::Create,
        json,
        &[("blkio/blkio.weight_device", "8:16 1000")],
    );
    check_in(two(), Purpose::Create, json, &[("io.weight", "8:16 10000")]);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_has_a_file_of_its_own() {
    check(
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}], "rdma": {"mlx5_1": {"hcaHandles": 3}}}"#,
        &[
            ("hugetlb/hugetlb.2MB.limit_in_bytes", "4096"),
            ("rdma/rdma.max", "mlx5_1 hca_handle=3"),
        ],
        &[("hugetlb.2MB.max", "4096"), ("rdma.max", "mlx5_1 hca_handle=3")],
    );
    let objects = r#"{"rdma": {"mlx5_1": {"hcaObjects": 4}}}"#;
    check_in(
        World::new(true),
        Purpose::Create,
        objects,
        &[("rdma.max", "mlx5_1 hca_object=4")],
    );
    let network = r#"{"network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]}}"#;
    let files = [
        ("net_cls,net_prio/net_cls.classid", "1048577"),
        ("net_cls,net_prio/net_prio.ifpriomap", "eth0 5"),
    ];
    check_in(World::new(false), Purpose::Create, network, &files);
    let unified = resources(r#"{"unified": {"cpu.weight": "12", "memory.low": "max"}}"#);
    let world = World::new(true);
    world.apply(&unified, Purpose::Create);
    let expected =
        [("cpu.weight", "12"), ("memory.low", "max")].map(|(file, text)| (file.to_string(), text.to_string()));
    assert_eq!(world.written(), expected.into());
    let refused = refusal(|| World::new(false).apply(&unified, Purpose::Create));
    assert!(refused.contains("needs cgroup version 2"), "{refused}");
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn devices_in_version_1() {
    // What every container may use: making nodes, the six default devices, terminals, and what makes tunnels.
    let always =
        "b *:* mc *:* mc 1:3 rwmc 1:5 rwmc 1:7 rwmc 1:8 rwmc 1:9 rwmc 5:0 rwmc 5:1 rwmc 5:2 rwmc 136:* rwmc 10:200 rwm";
    check_in(
        World::new(false),
        Purpose::Create,
        r#"{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 8, "access": "r"}]}"#,
        &[("devices/devices.deny", "a"), ("devices/devices.allow", always)],
    );
    let allowed = r#"{"devices": [{"allow": true, "type": "b", "major": 8, "access": "r"}]}"#;
    let files = [("devices/devices.allow", "b 8:* r")];
    check_in(World::new(false), Purpose::Create, allowed, &files);
    check_in(World::new(false), Purpose::Update, allowed, &[]);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_host_without_the_controller_of_devices() {
    let lacking = || {
        let mut world = World::new(false);
        world.host.text = "3:freezer:/\n";
        world
    };
    let process = |capability| {
        format!(r#", "process": {{"cwd": "/", "args": ["a"], "capabilities": {{"bounding": ["{capability}"]}}}}"#)
    };
    let forbids = resources(r#"{"devices": [{"allow": false, "access": "rwm"}]}"#);
    let allows = resources(r#"{"devices": [{"allow": true, "access": "rwm"}]}"#);
    // What forbids nothing is kept anyway, and so are rules for who can make no node.
    lacking().apply(&format!("{}{allows}", process("CAP_MKNOD")), Purpose::Create);
    lacking().apply(&format!("{}{forbids}", process("CAP_CHOWN")), Purpose::Create);
    let refused = refusal(|| lacking().apply(&format!("{}{forbids}", process("CAP_MKNOD")), Purpose::Create));
    assert!(
        refused.ends_with("devices with devices.deny: the kernel needs CONFIG_CGROUP_DEVICE"),
        "{refused}"
    );
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_the_host_lacks_is_said_unless_it_may_be_missing() {
    let apply = |json: &str| {
        let mut world = World::new(false);
        world.host.text = "11:cpu,cpuacct:/\n3:freezer:/\n";
        world.apply(&resources(json), Purpose::Create);
        world.written()
    };
    let cases = [
        (
            r#"{"memory": {"limit": 1}}"#,
            "memory with memory.limit_in_bytes: the kernel needs CONFIG_MEMCG",
        ),
        (
            r#"{"pids": {"limit": 1}}"#,
            "pids with pids.max: the kernel needs CONFIG_CGROUP_PIDS",
        ),
        (
            r#"{"hugepageLimits": [{"pageSize": "1GB", "limit": 1}]}"#,
            "hugetlb with hugetlb.1GB.limit_in_bytes: the kernel needs CONFIG_CGROUP_HUGETLB",
        ),
        (
            r#"{"network": {"classID": 1}}"#,
            "net_cls with net_cls.classid: the kernel needs CONFIG_CGROUP_NET_CLASSID",
        ),
    ];
    for (json, expected) in cases {
        let refused = refusal(|| apply(json));
        assert_eq!(
            refused,
            format!("linux.resources: the host has no cgroup controller {expected}")
        );
    }
    let policies = |line: &str| assert!(policy::read(&understood(line), spec("")).is_ok());
    policies("roci run --policy limits=prefer web");
    let cpu = [("cpu,cpuacct/cpu.shares".to_string(), "1024".to_string())];
    assert_eq!(
        apply(r#"{"memory": {"limit": 1}, "cpu": {"shares": 1024}}"#),
        cpu.into()
    );
    policies("roci run --policy limits=off web");
    assert_eq!(
        apply(r#"{"memory": {"limit": 1}, "cpu": {"shares": 1024}}"#),
        BTreeMap::new()
    );
    policies("roci run --policy limits=require web");
    // A controller that nobody knows, in version 2, and a value that the kernel does not take.
    let refused = refusal(|| World::new(true).apply(&resources(r#"{"unified": {"misc.max": "1"}}"#), Purpose::Create));
    assert!(
        refused.ends_with("misc with misc.max: the kernel needs CONFIG_CGROUPS"),
        "{refused}"
    );
    let world = World::new(true).without(&["pids.max"]);
    std::fs::create_dir(world.directory.0.join("c/pids.max")).expect("a directory");
    let refused = refusal(|| world.apply(&resources(r#"{"pids": {"limit": 1}}"#), Purpose::Create));
    assert_eq!(refused, "linux.resources: write pids.max: is a directory (EISDIR)");
}

/// Where there are no cgroups at all, only what a container would go without is missed.
#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn limits_that_are_asked_for() {
    for json in [
        r#"{"memory": {"limit": 1}}"#,
        r#"{"memory": {"limit": 1, "swap": 1}}"#,
        r#"{"memory": {"reservation": 1}}"#,
        r#"{"cpu": {"quota": 1}}"#,
        r#"{"cpu": {"shares": 1}}"#,
        r#"{"cpu": {"cpus": "0"}}"#,
        r#"{"cpu": {"mems": "0"}}"#,
        r#"{"pids": {"limit": 1}}"#,
        r#"{"blockIO": {"weight": 10}}"#,
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
        r#"{"blockIO": {"throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
        r#"{"blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
        r#"{"blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}"#,
        r#"{"unified": {"cpu.weight": "1"}}"#,
    ] {
        assert!(asks_for_limits(spec(&resources(json))), "{json}");
        let refused = refusal(|| refuse_to_lack(spec(&resources(json))));
        assert!(refused.contains("the host has no cgroups"), "{refused}");
    }
    for json in [
        "{}",
        r#"{"memory": {"limit": -1, "swap": -1, "reservation": 0, "swappiness": 10}}"#,
        r#"{"cpu": {"quota": -1, "shares": 0, "period": 100000}}"#,
        r#"{"pids": {"limit": 0}}"#,
        r#"{"blockIO": {"weight": 0}}"#,
    ] {
        assert!(!asks_for_limits(spec(&resources(json))), "{json}");
        assert!(refuse_to_lack(spec(&resources(json))).is_ok(), "{json}");
    }
    let policies = |line: &str| assert!(policy::read(&understood(line), spec("")).is_ok());
    for line in [
        "roci run --policy limits=prefer web",
        "roci run --policy limits=off web",
    ] {
        policies(line);
        assert!(refuse_to_lack(spec(&resources(r#"{"pids": {"limit": 1}}"#))).is_ok());
    }
    policies("roci run --policy limits=require web");
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn devices_that_are_forbidden_are_a_limit_for_who_can_make_nodes() {
    let asks = |capability, allow, namespaces: &str| {
        let members = format!(
            r#", "process": {{"cwd": "/", "args": ["a"], "capabilities": {{"bounding": ["{capability}"]}}}},
            "linux": {{"resources": {{"devices": [{{"allow": true, "access": "r"}}, {{"allow": {allow}, "access": "rwm"}}]}}
            {namespaces}}}"#
        );
        asks_for_limits(spec(&members))
    };
    let user = r#", "namespaces": [{"type": "user"}], "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]"#;
    assert_eq!(asks("CAP_MKNOD", false, ""), !in_user_namespace());
    assert!(!asks("CAP_MKNOD", true, ""));
    assert!(!asks("CAP_CHOWN", false, ""));
    assert!(!asks("CAP_MKNOD", false, user));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn freezing() {
    for (is_v2, file, frozen, thawed) in [
        (false, "freezer/freezer.state", "FROZEN", "THAWED"),
        (true, "cgroup.freeze", "1", "0"),
    ] {
        for (is_frozen, text) in [(true, frozen), (false, thawed)] {
            let world = World::new(is_v2);
            assert!(set_frozen(&world.host, c"/c", is_frozen).is_ok());
            assert_eq!(world.written(), [(file.to_string(), text.to_string())].into());
        }
    }
    for (is_v2, text, expected) in [
        (false, "FROZEN\n", true),
        (false, "FREEZING\n", true),
        (false, "THAWED\n", false),
        (true, "1\n", true),
        (true, "0\n", false),
        (true, "", false),
    ] {
        let world = World::new(is_v2);
        let file = if is_v2 {
            "cgroup.freeze"
        } else {
            "freezer/freezer.state"
        };
        world.directory.write(&world.place(file), text);
        assert_eq!(is_frozen(&world.host, c"/c"), expected, "{text}");
        assert!(!is_frozen(&world.host, c"/other"));
    }
}
