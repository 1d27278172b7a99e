//! The executable from which everything is left out that can be: what it refuses, and in which words.

use serde_json::{Value, json};
use tests::{Container, Runtime, Test};

tests::cases![
    commands_that_were_left_out_say_so,
    options_that_were_left_out_say_so,
    help_shows_nothing_that_was_left_out,
    features_and_check_say_nothing_of_it,
    a_seccomp_profile_is_refused,
    exec_refuses_the_profile_of_its_container,
    every_limit_is_refused,
    what_limits_nothing_is_no_limit,
    rules_for_devices_are_refused_where_nodes_can_be_made,
    a_view_of_cgroups_is_refused,
    a_container_with_a_cgroup_is_left_to_who_has_made_it,
    a_network_device_is_refused,
    the_template_asks_for_nothing_that_was_left_out,
];

const LEFT_OUT: &str = "this roci was built without it";

/// Whether the executable under test is that one.
pub fn is_tested() -> bool {
    let said = std::process::Command::new(Runtime::executable())
        .args(["pause", "--help"])
        .output();
    said.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(LEFT_OUT))
}

/// Calls that are refused in one line, which ends in what is given and in that it was left out.
#[track_caller]
fn refuses(outcome: tests::Outcome, start: &str, what: &str) {
    let outcome = outcome.fails();
    assert_eq!(outcome.stderr, format!("roci: {start}: {what}{LEFT_OUT}\n"));
}

fn commands_that_were_left_out_say_so(t: &Test) {
    let commands: [(&[&str], &str); 11] = [
        (&["pause", "x"], ""),
        (&["resume", "x"], ""),
        (&["update", "--memory", "4194304", "x"], ""),
        (&["events", "--stats", "x"], ""),
        (&["diff", "x"], "overlay: "),
        (&["network", "ls"], "network: "),
        (&["stop", "x"], ""),
        (&["restart", "x"], ""),
        (&["logs", "x"], ""),
        (&["poweroff"], ""),
        (&["reboot"], ""),
    ];
    for (words, what) in commands {
        let named = [words[0], words[words.len() - 1]];
        let start = named[..words.len().min(2)].join(" ");
        refuses(t.call(words).run(), &start, what);
    }
}

fn options_that_were_left_out_say_so(t: &Test) {
    let c = t.sh("true");
    let start = format!("run {}", c.id);
    for (options, what) in [
        (["--overlay", "--detach"], "overlay: "),
        (["--network", "bridge"], "network: "),
    ] {
        refuses(c.running(&options).run(), &start, what);
    }
    c.write_config();
    let bundle = c.bundle.to_str().expect("a path");
    let words = ["run", "--bundle", bundle, &c.id];
    let outcome = t.runtime.global(&["--systemd-cgroup"], &words).run();
    refuses(outcome, &start, "--systemd-cgroup: ");
}

fn help_shows_nothing_that_was_left_out(t: &Test) {
    let help = t.call(&["--help"]).run().ok().stdout;
    for command in ["create", "features", "check"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    for command in [
        "pause", "resume", "update", "events", "diff", "network", "stop", "restart", "logs", "poweroff", "reboot",
    ] {
        assert!(!help.contains(&format!("\n  {command} ")), "{command}: {help}");
        let own = t.call(&[command, "--help"]).run().ok();
        assert!(own.stdout.contains(&format!("\n\n{LEFT_OUT}\n")), "{own}");
        assert_eq!(own.stdout.matches(" --").count(), 1, "{own}");
    }
    assert!(!help.contains("--systemd-cgroup"), "{help}");
    let help = t.call(&["run", "--help"]).run().ok().stdout;
    assert!(help.contains("--policy"), "{help}");
    assert!(!help.contains("--overlay") && !help.contains("--publish"), "{help}");
}

fn features_and_check_say_nothing_of_it(t: &Test) {
    let features = t.call(&["features"]).run().ok().json();
    let linux = &features["linux"];
    assert_eq!(linux["seccomp"], json!({"enabled": false}));
    assert_eq!(linux["netDevices"], json!({"enabled": false}));
    for member in ["v1", "v2", "systemd", "systemdUser", "rdma"] {
        assert_eq!(linux["cgroup"][member], json!(false), "{member}");
    }
    let check = t.call(&["check", "--json"]).run().json();
    let rows = check.as_array().expect("rows");
    let names: Vec<_> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert!(
        names.contains(&"mount namespace") && names.contains(&"openat2"),
        "{names:?}"
    );
    for name in [
        "cgroups",
        "seccomp filters",
        "bridge",
        "veth",
        "macvlan",
        "nf_tables",
        "overlay",
        "squashfs",
        "erofs",
    ] {
        assert!(!names.contains(&name), "{name}: {names:?}");
    }
}

fn with_a_profile(c: &mut Container<'_>) {
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
    });
}

fn a_seccomp_profile_is_refused(t: &Test) {
    let mut c = t.sh("grep Seccomp: /proc/self/status");
    with_a_profile(&mut c);
    refuses(c.run(), &format!("run {}", c.id), "linux.seccomp: ");
    let outcome = c.running(&["--policy", "seccomp=off"]).run().ok();
    assert_eq!(outcome.stderr, "");
    let outcome = c.running(&["--policy", "seccomp=prefer"]).run().ok();
    let warning = format!("roci: warning: linux.seccomp is not used: {LEFT_OUT}\n");
    assert_eq!(outcome.stderr, warning);
    assert_eq!(outcome.stdout, "Seccomp:\t0\n");
}

fn exec_refuses_the_profile_of_its_container(t: &Test) {
    let mut c = t.server();
    with_a_profile(&mut c);
    c.creation(&["--policy", "seccomp=off"]).run().ok();
    c.start().ok();
    refuses(
        c.exec(&["true"]).code(255),
        &format!("exec {}", c.id),
        "linux.seccomp: ",
    );
    c.executing(&["--policy", "seccomp=off"], &["true"]).run().ok();
}

/// With these resources and no others.
fn with_resources(c: &mut Container<'_>, resources: Value) {
    c.config["linux"]["resources"] = resources;
}

fn every_limit_is_refused(t: &Test) {
    let mut c = t.sh("echo ran");
    let device = json!([{"major": 8, "minor": 0, "rate": 1, "weight": 10}]);
    for resources in [
        json!({"memory": {"limit": 4_194_304}}),
        json!({"memory": {"swap": 4_194_304}}),
        json!({"memory": {"reservation": 4_194_304}}),
        json!({"memory": {"kernelTCP": 4_194_304}}),
        json!({"memory": {"swappiness": 60}}),
        json!({"memory": {"disableOOMKiller": true}}),
        json!({"cpu": {"shares": 1024}}),
        json!({"cpu": {"quota": 1000}}),
        json!({"cpu": {"burst": 1000}}),
        json!({"cpu": {"realtimeRuntime": 1000}}),
        json!({"cpu": {"realtimePeriod": 1000}}),
        json!({"cpu": {"cpus": "0"}}),
        json!({"cpu": {"mems": "0"}}),
        json!({"cpu": {"idle": 1}}),
        json!({"pids": {"limit": 10}}),
        json!({"blockIO": {"weight": 10}}),
        json!({"blockIO": {"weightDevice": device}}),
        json!({"blockIO": {"throttleReadBpsDevice": device}}),
        json!({"blockIO": {"throttleWriteBpsDevice": device}}),
        json!({"blockIO": {"throttleReadIOPSDevice": device}}),
        json!({"blockIO": {"throttleWriteIOPSDevice": device}}),
        json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}),
        json!({"network": {"classID": 7}}),
        json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}}),
        json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}}),
        json!({"unified": {"memory.high": "1M"}}),
    ] {
        with_resources(&mut c, resources);
        refuses(c.run(), &format!("run {}", c.id), "linux.resources: ");
    }
    for policy in ["limits=prefer", "limits=off"] {
        assert_eq!(c.running(&["--policy", policy]).run().ok().stdout, "ran\n");
    }
    let bundle = c.bundle.to_str().expect("a path");
    let words = ["run", "--bundle", bundle, &c.id];
    let outcome = t.runtime.global(&["--cgroup-manager", "disabled"], &words).run().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("ran\n", ""));
}

fn what_limits_nothing_is_no_limit(t: &Test) {
    let mut c = t.sh("echo ran");
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", t.runtime.token));
    with_resources(
        &mut c,
        json!({
            "devices": [{"allow": false, "access": "rwm"}],
            "memory": {"limit": 0, "swap": -1, "disableOOMKiller": false},
            "cpu": {"shares": 0, "period": 100_000, "cpus": ""},
            "pids": {"limit": -1},
            "blockIO": {"weight": 0},
            "network": {"priorities": []},
        }),
    );
    assert_eq!(c.output(), "ran\n");
}

fn rules_for_devices_are_refused_where_nodes_can_be_made(t: &Test) {
    let mut c = t.sh("echo ran");
    c.capabilities(&[("bounding", &["CAP_MKNOD"])]);
    with_resources(&mut c, json!({"devices": [{"allow": true, "access": "rwm"}]}));
    assert_eq!(c.output(), "ran\n");
    with_resources(&mut c, json!({"devices": [{"allow": false, "access": "rwm"}]}));
    refuses(c.run(), &format!("run {}", c.id), "linux.resources.devices: ");
    refuses(
        c.running(&["--policy", "limits=off"]).run(),
        &format!("run {}", c.id),
        "linux.resources.devices: ",
    );
    let outcome = c.running(&["--policy", "devices=off"]).run().ok();
    assert_eq!(outcome.stdout, "ran\n");
}

fn a_view_of_cgroups_is_refused(t: &Test) {
    for kind in ["cgroup", "cgroup2"] {
        let mut c = t.sh("true");
        c.mount("/sys/fs/cgroup", kind, kind, &["ro"]);
        let start = format!("run {}: mounts[6] /sys/fs/cgroup", c.id);
        refuses(c.run(), &start, "mount cgroup: ");
    }
}

fn a_container_with_a_cgroup_is_left_to_who_has_made_it(t: &Test) {
    let c = t.server();
    c.create().ok();
    let path = t.runtime.root.join(&c.id).join("state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&path).expect("state.json")).expect("JSON");
    state["cgroup"] = json!("/x");
    std::fs::write(&path, state.to_string()).expect("state.json");
    let words = "the container has a cgroup: this roci was built without it (--cgroup-manager disabled does without)";
    let outcome = c.delete().fails();
    assert_eq!(outcome.stderr, format!("roci: delete {}: {words}\n", c.id));
    let disabled = ["--cgroup-manager", "disabled"];
    t.runtime.global(&disabled, &["delete", "--force", &c.id]).run().ok();
}

fn a_network_device_is_refused(t: &Test) {
    let mut c = t.sh("true");
    c.config["linux"]["netDevices"] = json!({"lo": {"name": "lo1"}});
    refuses(c.run(), &format!("run {}", c.id), "linux.netDevices: ");
}

fn the_template_asks_for_nothing_that_was_left_out(t: &Test) {
    let mut c = t.sh("echo ran");
    t.call(&["spec"]).cwd(&t.dir).run().ok();
    let template = std::fs::read_to_string(t.dir.join("config.json")).expect("config.json");
    let args = c.config["process"]["args"].take();
    c.config = serde_json::from_str(&template).expect("JSON");
    c.config["process"]["args"] = args;
    c.config["process"]["terminal"] = json!(false);
    assert_eq!(c.output(), "ran\n");
}
