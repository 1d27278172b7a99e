//! Resources: the limits of the configuration, and the commands that change them in a running container.

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use tests::{Container, Running, Test, eventually};

tests::cases![
    every_controller_has_a_cgroup_that_is_named,
    a_hierarchy_that_is_not_mounted_is_left_alone,
    a_limit_brings_its_controller,
    the_limits_of_the_configuration_are_set,
    the_container_is_limited_before_its_program_runs,
    a_limit_that_the_kernel_refuses_fails_create,
    update_changes_limits,
    update_reads_standard_input,
    update_leaves_alone_what_is_zero,
    update_takes_options_up_to_their_limits,
    pause_and_resume,
    a_paused_container_can_be_deleted_by_force,
    events_prints_statistics,
    events_follow_a_container_to_its_end,
    events_tell_that_memory_ran_out,
    unified_resources_need_cgroup_v2,
    no_resources_at_all_are_fine,
];

/// The directory of the container in a v1 hierarchy.
fn directory(t: &Test, c: &Container, controller: &str) -> PathBuf {
    let mount = t.needs_v1_controller(controller);
    let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).expect("cgroup");
    let path = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields
            .next()?
            .split(',')
            .any(|name| name == controller)
            .then(|| fields.next())?
    });
    mount.join(path.expect("a path").trim_start_matches('/'))
}

#[track_caller]
fn value(t: &Test, c: &Container, controller: &str, file: &str) -> String {
    let path = directory(t, c, controller).join(file);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .trim()
        .to_owned()
}

pub fn limits(c: &mut Container, name: &str, limits: Value) {
    c.config["linux"]["resources"][name] = limits;
}

/// The kernel still lists it.
fn a_hierarchy_that_is_not_mounted_is_left_alone(t: &Test) {
    t.needs_v1_controller("pids");
    t.needs("unshare", "util-linux");
    let needed = ["pids", "freezer", "devices", "memory", "cpu", "unified"];
    let is_needed = |mount: &PathBuf| needed.iter().any(|name| mount.to_string_lossy().contains(name));
    let Some(gone) = tests::cgroup_mounts().into_iter().find(|mount| !is_needed(mount)) else {
        t.skip("this machine has no other hierarchy")
    };
    let mut c = t.sh("echo ran");
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", c.id));
    c.write_config();
    let script = format!("umount -l {gone} && \"$@\" && ls -A {gone}", gone = gone.display());
    let outcome = t
        .call(&["run", "--bundle", &c.bundle.to_string_lossy(), &c.id])
        .under("unshare", &["-m", "sh", "-c", &script, "sh"])
        .run()
        .ok();
    assert_eq!(outcome.stdout, "ran\n");
}

fn every_controller_has_a_cgroup_that_is_named(t: &Test) {
    t.needs_v1_controller("pids");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", c.id));
    c.create().ok();
    let text = fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).expect("cgroup");
    for line in text.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&c.id), "{line}");
    }
}

/// Joining a hierarchy takes a while, so a container without a named cgroup is only where a limit or a command needs it.
fn a_limit_brings_its_controller(t: &Test) {
    t.needs_v1_controller("memory");
    t.needs_v1_controller("freezer");
    if !t.is_roci() {
        t.skip("the peers join every hierarchy");
    }
    let mut c = t.server();
    limits(&mut c, "pids", json!({"limit": 77}));
    c.up_and_ready();
    let own = |controller: &str| directory(t, &c, controller).ends_with(&c.id);
    assert!(own("pids") && own("freezer"));
    assert!(!own("memory") && !own("cpu"));
    // A later limit takes every process along.
    t.call(&["update", "--memory", "67108864", &c.id]).run().ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes"), "67108864");
    let processes = value(t, &c, "memory", "cgroup.procs");
    assert_eq!(processes, value(t, &c, "pids", "cgroup.procs"));
    assert!(processes.lines().any(|line| line == c.pid().to_string()));
    let inside = c.exec_sh("grep memory: /proc/self/cgroup").ok();
    assert!(inside.stdout.trim().ends_with(&c.id), "{inside}");
}

fn the_limits_of_the_configuration_are_set(t: &Test) {
    t.needs_v1_controller("memory");
    let mut c = t.server();
    limits(
        &mut c,
        "memory",
        json!({"limit": 67_108_864, "reservation": 33_554_432, "swappiness": 10}),
    );
    limits(&mut c, "pids", json!({"limit": 77}));
    limits(&mut c, "cpu", json!({"shares": 512, "quota": 25_000, "period": 50_000}));
    c.up_and_ready();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(value(t, &c, "memory", "memory.soft_limit_in_bytes"), "33554432");
    assert_eq!(value(t, &c, "memory", "memory.swappiness"), "10");
    assert_eq!(value(t, &c, "pids", "pids.max"), "77");
    assert_eq!(value(t, &c, "cpu", "cpu.shares"), "512");
    assert_eq!(value(t, &c, "cpu", "cpu.cfs_quota_us"), "25000");
    assert_eq!(value(t, &c, "cpu", "cpu.cfs_period_us"), "50000");
}

fn the_container_is_limited_before_its_program_runs(t: &Test) {
    t.needs_v1_controller("pids");
    let mut c = t.sh("for i in 1 2 3 4 5 6 7 8; do sleep 0.2 & done; wait; echo end");
    limits(&mut c, "pids", json!({"limit": 4}));
    let outcome = c.run();
    assert!(
        outcome.stderr.contains("fork"),
        "more than four processes ran: {outcome}"
    );
}

fn a_limit_that_the_kernel_refuses_fails_create(t: &Test) {
    t.needs_v1_controller("cpuset");
    t.skip_on("crun", "crun 1.8 leaves the cgroup behind");
    let mut c = t.server();
    limits(&mut c, "cpu", json!({"cpus": "1000-2000"}));
    c.create().fails();
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn update_changes_limits(t: &Test) {
    t.needs_v1_controller("memory");
    let mut c = t.server();
    limits(&mut c, "memory", json!({"limit": 33_554_432}));
    c.up_and_ready();
    let file = t.path("resources.json");
    fs::write(
        &file,
        json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 55}}).to_string(),
    )
    .expect("write");
    t.call(&["update", "--resources", file.to_str().expect("path"), &c.id])
        .run()
        .ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes"), "67108864");
    assert_eq!(value(t, &c, "pids", "pids.max"), "55");
    t.call(&["update", "--memory", "16777216", "--pids-limit", "44", &c.id])
        .run()
        .ok();
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes"), "16777216");
    assert_eq!(value(t, &c, "pids", "pids.max"), "44");
}

fn update_reads_standard_input(t: &Test) {
    t.needs_v1_controller("cpu");
    let c = t.server();
    c.up_and_ready();
    fs::write(t.path("input"), json!({"cpu": {"shares": 256}}).to_string()).expect("write");
    let input = || fs::File::open(t.path("input")).expect("input");
    t.call(&["update", "--resources", "-", &c.id]).stdin(input()).run().ok();
    assert_eq!(value(t, &c, "cpu", "cpu.shares"), "256");
}

fn update_takes_options_up_to_their_limits(t: &Test) {
    if !t.is_roci() {
        t.skip("it is about roci's own limits");
    }
    t.needs_v1_controller("cpuset");
    t.needs_v1_controller("memory");
    let c = t.server();
    c.up_and_ready();
    let update = |option: &str, text: &str| t.call(&["update", option, text, &c.id]).run();
    // The largest number that resources may have, which the kernel rounds to pages.
    update("--memory-reservation", "9223372036854775807").ok();
    assert_eq!(
        value(t, &c, "memory", "memory.soft_limit_in_bytes"),
        "9223372036854771712"
    );
    for text in ["9223372036854775808", "18446744073709551615", "1k", "", "+", "--5"] {
        let outcome = update("--memory-reservation", text).code(2);
        assert!(outcome.stderr.contains("not a number"), "{text}: {outcome}");
    }
    // 0 leaves it alone, as clients mean it, and less is none.
    t.needs_v1_controller("pids");
    for (text, expected) in [("17", "17"), ("0", "17"), ("-1", "max"), ("+18", "18")] {
        update("--pids-limit", text).ok();
        assert_eq!(value(t, &c, "pids", "pids.max"), expected, "{text}");
    }
    let longest = format!("00{}", ",0".repeat(511));
    update("--cpuset-cpus", &longest).ok();
    assert_eq!(value(t, &c, "cpuset", "cpuset.cpus"), "0");
    update("--cpuset-cpus", &format!("0{longest}"))
        .fails()
        .says("the options are too long");
}

/// Docker sends every group and means "leave alone" by 0; CRI sends a device rule that must not be applied.
pub fn update_with_zeros(t: &Test, c: &Container) {
    let resources = json!({
        "devices": [{"allow": false, "access": "rwm"}],
        "memory": {"limit": 0, "reservation": 0, "kernel": 0}, "blockIO": {"weight": 0},
        "cpu": {"shares": 0, "quota": 25_000, "period": 100_000}, "pids": {"limit": 77},
    });
    fs::write(t.path("input"), resources.to_string()).expect("write");
    let input = fs::File::open(t.path("input")).expect("input");
    t.call(&["update", "--resources", "-", &c.id]).stdin(input).run().ok();
}

fn update_leaves_alone_what_is_zero(t: &Test) {
    t.needs_v1_controller("memory");
    t.skip_on("crun", "crun 1.8 writes the 0, which the kernel refuses");
    let mut c = t.server();
    limits(&mut c, "memory", json!({"limit": 33_554_432}));
    c.up_and_ready();
    update_with_zeros(t, &c);
    assert_eq!(value(t, &c, "memory", "memory.limit_in_bytes"), "33554432");
    assert_eq!(value(t, &c, "cpu", "cpu.cfs_quota_us"), "25000");
    assert_eq!(value(t, &c, "pids", "pids.max"), "77");
    c.exec_sh("echo x > /dev/null").ok();
}

/// A container that writes all the time, but not while it is paused. `look` is what else is to be seen then.
pub fn stands_still<'t>(t: &'t Test, look: impl FnOnce(&Container)) -> Container<'t> {
    let c = t.sh("echo ready; while :; do echo . ; sleep 0.01; done");
    let created = c.up_and_ready();
    t.call(&["pause", &c.id]).run().ok();
    assert_eq!(c.status(), "paused");
    look(&c);
    let length = created.stdout_now().len();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(created.stdout_now().len(), length, "it still runs");
    t.call(&["resume", &c.id]).run().ok();
    assert_eq!(c.status(), "running");
    eventually("it goes on", || created.stdout_now().len() > length);
    c
}

fn pause_and_resume(t: &Test) {
    t.needs_v1_controller("freezer");
    let c = stands_still(t, |_| {});
    // crun 1.8 resumes what runs.
    if !t.is("crun") {
        t.call(&["resume", &c.id]).run().fails();
    }
    c.kill("KILL").ok();
    c.wait_until_stopped();
    t.call(&["pause", &c.id]).run().fails();
}

fn a_paused_container_can_be_deleted_by_force(t: &Test) {
    t.needs_v1_controller("freezer");
    let c = t.server();
    c.up_and_ready();
    t.call(&["pause", &c.id]).run().ok();
    c.delete().fails().roci_says("it is still paused");
    c.delete_force().ok();
}

fn events_prints_statistics(t: &Test) {
    t.needs_v1_controller("memory");
    t.skip_on("crun", "crun 1.8 has no events command");
    let mut c = t.sh("i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo ready; exec sleep 1000");
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", c.id));
    limits(&mut c, "memory", json!({"limit": 33_554_432}));
    limits(&mut c, "pids", json!({"limit": 17}));
    c.up_and_ready();
    let stats = t.call(&["events", "--stats", &c.id]).run().ok().json();
    assert_eq!((&stats["type"], &stats["id"]), (&json!("stats"), &json!(c.id)));
    let number = |path: &str| {
        stats
            .pointer(path)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no {path}: {stats}"))
    };
    let file = |controller: &str, file: &str| -> u64 { value(t, &c, controller, file).parse().expect("a number") };
    // What changes from one moment to the next lies between what is now and what was.
    let used = number("/data/memory/usage/usage");
    assert!((4096..=33_554_432).contains(&used), "{stats}");
    assert_eq!(number("/data/memory/usage/limit"), 33_554_432);
    let most = number("/data/memory/usage/max");
    assert!(
        (used..=file("memory", "memory.max_usage_in_bytes")).contains(&most),
        "{stats}"
    );
    assert_eq!(number("/data/pids/limit"), 17);
    assert_eq!(number("/data/pids/current"), 1);
    let total = number("/data/cpu/usage/total");
    assert!(total > 100_000 && total <= file("cpuacct", "cpuacct.usage"), "{stats}");
    assert_eq!(number("/data/memory/raw/hierarchical_memory_limit"), 33_554_432);
    assert!(number("/data/memory/raw/rss") + number("/data/memory/raw/cache") <= 33_554_432);
}

fn events_follow_a_container_to_its_end(t: &Test) {
    t.needs_v1_controller("memory");
    t.skip_on("crun", "crun 1.8 has no events command");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", c.id));
    c.up_and_ready();
    let stream = t.call(&["events", "--interval", "100ms", &c.id]).spawn();
    eventually("there are several lines", || stream.stdout().lines().count() >= 3);
    c.kill("KILL").ok();
    let outcome = stream.wait();
    for line in outcome.stdout.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["type"], json!("stats"));
        assert!(event["data"]["memory"]["raw"]["cache"].is_u64(), "{line}");
    }
    for interval in ["", "5", "s", "-1s", "0s", "5h"] {
        if t.is_roci() {
            t.call(&["events", "--interval", interval, &c.id]).run().code(2);
        }
    }
}

/// A container within these limits of memory that has run out of it, and `events`, which has told that.
pub fn memory_runs_out(t: &Test, memory: Value) -> (Container<'_>, Running) {
    let mut c = t.sh("echo ready; read go </fifo; (tail -c 100m /dev/zero; true); echo over; sleep 1000");
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", c.id));
    limits(&mut c, "memory", memory);
    let fifo = c.rootfs().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o666.into(), 0).expect("a fifo");
    c.config["root"]["readonly"] = json!(false);
    let created = c.up_and_ready();
    let stream = t.call(&["events", "--interval", "60s", &c.id]).spawn();
    eventually("it has begun", || stream.stdout().contains("stats"));
    fs::write(fifo, "go\n").expect("write");
    eventually("the kernel has killed somebody", || {
        created.stdout_now().contains("over")
    });
    // At once, and not after the interval.
    eventually("that is told", || stream.stdout().contains(r#""type":"oom""#));
    (c, stream)
}

fn events_tell_that_memory_ran_out(t: &Test) {
    t.needs_v1_controller("memory");
    t.skip_on("crun", "crun 1.8 has no events command");
    let (c, stream) = memory_runs_out(t, json!({"limit": 8_388_608}));
    c.kill("KILL").ok();
    stream.wait();
}

fn unified_resources_need_cgroup_v2(t: &Test) {
    t.skip_on("crun", "crun 1.8 leaves the cgroup behind");
    t.needs_v1_controller("memory");
    let mut c = t.server();
    limits(&mut c, "unified", json!({"memory.max": "1000000"}));
    // The specification: MUST be an error when the values cannot be set.
    t.skip_on("runc", "runc 1.1 ignores it on v1");
    c.create()
        .fails()
        .roci_says("linux.resources.unified memory.max: needs cgroup version 2");
}

fn no_resources_at_all_are_fine(t: &Test) {
    let mut c = t.sh("echo fine");
    c.config["linux"].as_object_mut().expect("linux").remove("resources");
    assert_eq!(c.output(), "fine\n");
    c.config["linux"]["resources"] = json!({});
    assert_eq!(c.output(), "fine\n");
}
