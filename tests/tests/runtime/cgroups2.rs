//! The same on cgroup version 2, where one directory has everything and the values are converted.

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use tests::{Container, Test, eventually};

use crate::cgroups::{limits, memory_runs_out, stands_still, update_with_zeros};

tests::cases![
    limits_are_converted,
    a_process_starts_inside_its_cgroup,
    the_container_is_limited_from_its_first_moment,
    a_named_path_is_where_the_container_is,
    a_limit_that_version_2_refuses_leaves_nothing,
    an_absent_controller_is_an_error_that_names_it,
    limits_change_and_zero_leaves_them_alone,
    files_of_version_2_are_written_as_they_are,
    what_the_host_lacks_of_them_is_an_error,
    devices_are_forbidden_and_allowed,
    exec_is_held_to_the_rules_for_devices,
    processes_are_frozen,
    everybody_is_killed_without_a_pid_namespace,
    statistics_of_version_2,
    memory_that_ran_out_is_told,
    a_container_that_manages_its_cgroup_owns_it,
    the_cgroup_is_gone_with_the_container,
];

/// `/sys/fs/cgroup`, where it is version 2 and hands the controller down.
fn needs(t: &Test, controller: &str) -> PathBuf {
    let top = PathBuf::from("/sys/fs/cgroup");
    let controllers = fs::read_to_string(top.join("cgroup.controllers")).unwrap_or_default();
    if !controllers.split_whitespace().any(|name| name == controller) {
        t.skip(&format!(
            "no controller {controller} of cgroup version 2 on this machine"
        ));
    }
    top
}

/// The cgroup of the container.
#[track_caller]
fn directory(t: &Test, c: &Container) -> PathBuf {
    let top = needs(t, "pids");
    let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).expect("cgroup");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    top.join(path.expect("a path"))
}

#[track_caller]
fn value(t: &Test, c: &Container, file: &str) -> String {
    let path = directory(t, c).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim().to_owned()
}

fn limits_are_converted(t: &Test) {
    needs(t, "memory");
    let mut c = t.server();
    limits(
        &mut c,
        "memory",
        json!({"limit": 67_108_864, "reservation": 33_554_432, "swap": 100_663_296}),
    );
    limits(&mut c, "pids", json!({"limit": 77}));
    limits(
        &mut c,
        "cpu",
        json!({"shares": 1024, "quota": 25_000, "period": 50_000, "cpus": "0"}),
    );
    c.up_and_ready();
    for (file, expected) in [
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        // Version 1 counts memory and swap together, version 2 swap alone.
        ("memory.swap.max", "33554432"),
        ("pids.max", "77"),
        ("cpu.weight", "39"),
        ("cpu.max", "25000 50000"),
        ("cpuset.cpus", "0"),
    ] {
        let path = directory(t, &c).join(file);
        // A kernel without swap has no such file.
        if path.exists() || file != "memory.swap.max" {
            assert_eq!(value(t, &c, file), expected, "{file}");
        }
    }
    let mut c = t.server();
    limits(&mut c, "memory", json!({"limit": -1}));
    limits(&mut c, "pids", json!({"limit": -1}));
    limits(&mut c, "cpu", json!({"quota": -1, "period": 100_000}));
    c.up_and_ready();
    assert_eq!(value(t, &c, "memory.max"), "max");
    assert_eq!(value(t, &c, "pids.max"), "max");
    assert_eq!(value(t, &c, "cpu.max"), "max 100000");
}

fn a_process_starts_inside_its_cgroup(t: &Test) {
    needs(t, "pids");
    let mut c = t.sh("cat /proc/self/cgroup");
    assert_eq!(c.output(), format!("0::/{}\n", c.id));
    c.namespace("cgroup", None);
    assert_eq!(c.output(), "0::/\n");
}

fn the_container_is_limited_from_its_first_moment(t: &Test) {
    needs(t, "pids");
    let mut c = t.sh("for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait; echo end");
    limits(&mut c, "pids", json!({"limit": 4}));
    let outcome = c.run();
    assert!(
        outcome.stderr.contains("fork"),
        "more than four processes ran: {outcome}"
    );
}

fn a_named_path_is_where_the_container_is(t: &Test) {
    let top = needs(t, "pids");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{0}/below/{0}", c.id));
    limits(&mut c, "pids", json!({"limit": 70}));
    c.up_and_ready();
    assert_eq!(directory(t, &c), top.join(format!("{0}/below/{0}", c.id)));
    assert_eq!(value(t, &c, "pids.max"), "70");
    let inside = c.exec_sh("cat /proc/self/cgroup").ok();
    assert!(inside.stdout.trim().ends_with(&c.id), "{inside}");
    c.delete_force().ok();
    // What was made on the way may hold other containers, and stays.
    for name in [format!("{}/below", c.id), c.id.clone()] {
        fs::remove_dir(top.join(name)).expect("empty");
    }
}

fn a_limit_that_version_2_refuses_leaves_nothing(t: &Test) {
    let top = needs(t, "cpuset");
    let mut c = t.server();
    limits(&mut c, "cpu", json!({"cpus": "1000-2000"}));
    c.create().fails().says("linux.resources: write cpuset.cpus");
    assert!(!top.join(&c.id).exists());
}

fn an_absent_controller_is_an_error_that_names_it(t: &Test) {
    needs(t, "pids");
    let mut c = t.server();
    limits(&mut c, "network", json!({"classID": 7}));
    c.create()
        .fails()
        .roci_says("linux.resources: the host has no cgroup controller net_cls")
        .says("CONFIG_CGROUP_NET_CLASSID");
}

fn limits_change_and_zero_leaves_them_alone(t: &Test) {
    needs(t, "memory");
    let mut c = t.server();
    limits(&mut c, "memory", json!({"limit": 33_554_432}));
    c.up_and_ready();
    update_with_zeros(t, &c);
    assert_eq!(value(t, &c, "memory.max"), "33554432");
    assert_eq!(value(t, &c, "cpu.max"), "25000 100000");
    assert_eq!(value(t, &c, "pids.max"), "77");
    t.call(&["update", "--memory", "50331648", "--cpu-share", "2048", &c.id])
        .run()
        .ok();
    assert_eq!(value(t, &c, "memory.max"), "50331648");
    assert_eq!(value(t, &c, "cpu.weight"), "79");
    c.exec_sh("echo x > /dev/null").ok();
}

fn files_of_version_2_are_written_as_they_are(t: &Test) {
    needs(t, "memory");
    let mut c = t.server();
    limits(
        &mut c,
        "unified",
        json!({"memory.high": "50331648", "cgroup.max.depth": "3"}),
    );
    c.up_and_ready();
    assert_eq!(value(t, &c, "memory.high"), "50331648");
    assert_eq!(value(t, &c, "cgroup.max.depth"), "3");
}

fn what_the_host_lacks_of_them_is_an_error(t: &Test) {
    let top = needs(t, "memory");
    let mut c = t.server();
    limits(&mut c, "unified", json!({"nothing.of.this": "1"}));
    c.create().fails().says("nothing.of.this");
    assert!(!top.join(&c.id).exists());
}

/// Two nodes of which one may be opened: without the rules, both could be.
fn with_devices(t: &Test) -> Container<'_> {
    let mut c = t.server();
    c.capabilities(&[
        ("bounding", &["CAP_MKNOD"]),
        ("effective", &["CAP_MKNOD"]),
        ("permitted", &["CAP_MKNOD"]),
    ]);
    limits(
        &mut c,
        "devices",
        json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"},
        ]),
    );
    c
}

/// Makes and opens `/dev/kmsg` (1:11) and `/dev/mem`'s neighbour that every kernel has, `/dev/port`'s place (1:4) aside: a
/// terminal of the machine (4:0).
const OPEN: &str = "mknod /kmsg c 1 11; mknod /tty0 c 4 0; exec 2>&1; \
    (: >/kmsg) && echo written; (: </kmsg) || echo not read; (: <>/tty0) || echo not opened; \
    (: >/dev/null) && echo null; (: </dev/urandom) && echo urandom";

fn opened(text: &str) -> Vec<&str> {
    text.lines()
        .map(|line| if line.contains("not permitted") { "EPERM" } else { line })
        .collect()
}

const SEEN: [&str; 7] = ["written", "EPERM", "not read", "EPERM", "not opened", "null", "urandom"];

fn devices_are_forbidden_and_allowed(t: &Test) {
    needs(t, "pids");
    let mut c = with_devices(t);
    c.config["process"]["args"] = json!(["/bin/sh", "-c", OPEN]);
    assert_eq!(opened(&c.output()), SEEN);
}

fn exec_is_held_to_the_rules_for_devices(t: &Test) {
    needs(t, "pids");
    let c = with_devices(t);
    c.up_and_ready();
    assert_eq!(opened(&c.exec_sh(OPEN).stdout), SEEN);
}

fn processes_are_frozen(t: &Test) {
    needs(t, "pids");
    let c = stands_still(t, |c| {
        assert_eq!(value(t, c, "cgroup.freeze"), "1");
        eventually("all processes are frozen", || {
            value(t, c, "cgroup.events").contains("frozen 1")
        });
    });
    t.call(&["pause", &c.id]).run().ok();
    c.delete_force().ok();
}

fn everybody_is_killed_without_a_pid_namespace(t: &Test) {
    needs(t, "pids");
    let mut c = t.sh("(setsid sleep 1001 &) ; (setsid sleep 1002 &); echo ready; sleep 1003");
    c.no_namespace("pid");
    c.up_and_ready();
    let processes = || value(t, &c, "cgroup.procs").lines().count();
    eventually("all of them run", || processes() >= 3);
    let listed = t.call(&["ps", "--format", "json", &c.id]).run().ok().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(processes()));
    let cgroup = directory(t, &c);
    t.call(&["kill", "--all", &c.id, "KILL"]).run().ok();
    eventually("they are dead", || {
        fs::read_to_string(cgroup.join("cgroup.procs")).is_ok_and(|text| text.is_empty())
    });
}

fn statistics_of_version_2(t: &Test) {
    needs(t, "memory");
    let mut c = t.server();
    limits(&mut c, "memory", json!({"limit": 67_108_864}));
    limits(&mut c, "pids", json!({"limit": 99}));
    c.up_and_ready();
    let stats = t.call(&["events", "--stats", &c.id]).run().ok().json();
    let data = &stats["data"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    assert_eq!(data["memory"]["usage"]["limit"], json!(67_108_864));
    assert!(number(&data["memory"]["usage"]["usage"]) > 0, "{stats}");
    assert!(number(&data["cpu"]["usage"]["total"]) > 0, "{stats}");
    assert!(number(&data["pids"]["current"]) > 0, "{stats}");
    assert_eq!(data["pids"]["limit"], json!(99));
}

fn memory_that_ran_out_is_told(t: &Test) {
    needs(t, "memory");
    let (c, stream) = memory_runs_out(t, json!({"limit": 8_388_608, "swap": 8_388_608}));
    c.kill("KILL").ok();
    let outcome = stream.wait();
    // Once told is enough, and it is not told over and over.
    assert_eq!(outcome.stdout.matches("oom\"").count(), 1, "{outcome}");
    assert!(outcome.stdout.lines().count() <= 4, "{outcome}");
}

fn a_container_that_manages_its_cgroup_owns_it(t: &Test) {
    needs(t, "pids");
    for (options, owner) in [(&["nosuid", "nodev", "noexec"][..], 7), (&["ro"], 0)] {
        let mut c = t.server();
        c.namespace("cgroup", None);
        c.mount("/sys/fs/cgroup", "cgroup", "cgroup", options);
        c.config["process"]["user"] = json!({"uid": 7, "gid": 7});
        c.up_and_ready();
        let cgroup = directory(t, &c);
        for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
            let metadata = fs::metadata(cgroup.join(file)).expect(file);
            assert_eq!((metadata.uid(), metadata.gid()), (owner, 0), "{file} {options:?}");
        }
        let limit = fs::metadata(cgroup.join("pids.max")).expect("pids.max");
        assert_eq!(limit.uid(), 0, "its own limits are not the container's");
        let made = c.executing(&["--user", "7"], &["mkdir", "/sys/fs/cgroup/mine"]).run();
        assert_eq!(made.status.success(), owner == 7, "{made}");
        c.delete_force().ok();
        assert!(!cgroup.exists());
    }
}

fn the_cgroup_is_gone_with_the_container(t: &Test) {
    let top = needs(t, "pids");
    let c = t.server();
    c.up_and_ready();
    let cgroup = directory(t, &c);
    assert_eq!(cgroup, top.join(&c.id));
    c.kill("KILL").ok();
    c.wait_until_stopped();
    c.delete().ok();
    assert!(!cgroup.exists());
}
