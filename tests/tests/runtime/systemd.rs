//! `--systemd-cgroup`, with a systemd that is a thread of the test: what it is asked byte by byte, and what comes of each
//! thing that it may answer. `tests/vm/systemd` does the same with a real one.

use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tests::systemd::{Mood, properties};
use tests::{Container, Invocation, Test};

tests::cases![
    a_scope_is_asked_for_with_its_properties,
    limits_are_told_when_they_change,
    delete_ends_the_scope,
    run_needs_a_scope_too,
    annotations_are_properties,
    the_cgroup_has_a_name_without_a_path,
    a_refusal_is_told_and_leaves_nothing,
    a_job_that_fails_is_told_and_leaves_nothing,
    a_unit_that_has_just_ended_is_waited_for,
    a_scope_that_is_gone_is_not_made_again,
    what_is_not_d_bus_is_told,
    silence_is_told,
    without_systemd_there_is_one_clear_error,
    paths_of_one_kind_are_not_taken_for_the_other,
];

fn only_roci(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers need a real systemd");
    }
}

/// A systemd that is a thread, and calls of roci that ask it.
struct Systemd(tests::systemd::Systemd);

impl Systemd {
    fn start(t: &Test, mood: Mood) -> Self {
        let hierarchy = tests::systemd::hierarchy().expect("the hierarchy of systemd");
        Self(tests::systemd::Systemd::start(&t.path("bus"), mood, hierarchy))
    }

    fn call(&self, t: &Test, args: &[&str]) -> Invocation {
        t.runtime
            .global(&["--systemd-cgroup"], args)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.0.address)
    }

    fn create(&self, t: &Test, c: &Container) -> Invocation {
        c.write_config();
        self.call(t, &["create", "--bundle", c.bundle.to_str().expect("path"), &c.id])
    }
}

impl std::ops::Deref for Systemd {
    type Target = tests::systemd::Systemd;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A container whose cgroup is a scope below the root.
fn scoped(t: &Test) -> Container<'_> {
    only_roci(t);
    t.needs_v1_controller("freezer");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("-.slice:test:{}", c.id));
    c
}

/// What systemd would remove once it is empty.
fn directory(c: &Container) -> PathBuf {
    let name = format!("test-{}.scope", c.id);
    let mounts = tests::cgroup_mounts();
    let mount = mounts.iter().find(|mount| mount.ends_with("systemd"));
    mount.expect("the hierarchy of systemd").join(name)
}

fn clear_away(c: &Container) {
    let directory = directory(c);
    tests::eventually("the scope is empty", || {
        !directory.exists() || std::fs::remove_dir(&directory).is_ok()
    });
}

fn a_scope_is_asked_for_with_its_properties(t: &Test) {
    let mut c = scoped(t);
    c.config["linux"]["resources"] = json!({
        "memory": {"limit": 67_108_864}, "pids": {"limit": 99},
        "cpu": {"shares": 512, "quota": 30_000, "period": 50_000, "cpus": "0"},
    });
    let systemd = Systemd::start(t, Mood::Willing);
    systemd.create(t, &c).run().ok();
    let unit = format!("test-{}.scope", c.id);
    let calls = [
        "Hello",
        "AddMatch",
        "StartTransientUnit",
        "SetUnitProperties",
        "SetUnitProperties",
    ];
    assert_eq!(systemd.methods(), calls);
    let start = &systemd.asked("StartTransientUnit")[0];
    assert_eq!((&start[0], &start[1]), (&json!(unit), &json!("replace")));
    assert_eq!(start[3], json!([]));
    assert_eq!(
        properties(&start[2]),
        json!({
            "Description": format!("OCI container {}", c.id), "Slice": "-.slice", "PIDs": [c.pid()],
            "CollectMode": "inactive-or-failed", "Delegate": true, "DefaultDependencies": false,
            "MemoryAccounting": true, "CPUAccounting": true, "IOAccounting": true, "TasksAccounting": true,
        })
    );
    let limits = systemd.asked("SetUnitProperties");
    assert_eq!((&limits[0][0], &limits[0][1]), (&json!(unit), &json!(true)));
    assert_eq!(
        properties(&limits[0][2]),
        json!({"MemoryLimit": 67_108_864, "CPUShares": 512, "CPUQuotaPerSecUSec": 600_000, "TasksMax": 99})
    );
    assert_eq!(
        properties(&limits[1][2]),
        json!({"CPUQuotaPeriodUSec": 50_000, "AllowedCPUs": [1]})
    );
    // And the process is there, with the limits that systemd does not know.
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).expect("cgroup");
    for line in cgroup.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&format!("/{unit}")), "{cgroup}");
    }
    let quota = t.needs_v1_controller("cpu").join(&unit).join("cpu.cfs_quota_us");
    assert_eq!(std::fs::read_to_string(quota).expect("quota").trim(), "30000");
    c.start().ok();
    c.exec(&["/bin/true"]).ok();
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn limits_are_told_when_they_change(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Willing);
    systemd.create(t, &c).run().ok();
    let before = systemd.asked("SetUnitProperties").len();
    // podman does not repeat the option.
    let update = |options: &[&str]| {
        let args: Vec<_> = ["update"].iter().chain(options).chain(&[&*c.id]).copied().collect();
        let call = t.call(&args).env("DBUS_SYSTEM_BUS_ADDRESS", &systemd.address);
        call.run().ok();
        let asked = systemd.asked("SetUnitProperties");
        asked[before..].last().map(|last| properties(&last[2]))
    };
    assert_eq!(
        update(&["--memory", "33554432", "--pids-limit=-1"]),
        Some(json!({"MemoryLimit": 33_554_432, "TasksMax": u64::MAX}))
    );
    assert_eq!(update(&["--cpu-share", "77"]), Some(json!({"CPUShares": 77})));
    let count = systemd.asked("SetUnitProperties").len();
    update(&["--pids-limit=0"]);
    assert_eq!(systemd.asked("SetUnitProperties").len(), count, "0 leaves it alone");
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn delete_ends_the_scope(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Willing);
    let unit = json!(format!("test-{}.scope", c.id));
    systemd.create(t, &c).run().ok();
    let delete = t.call(&["delete", "--force", &c.id]);
    delete.env("DBUS_SYSTEM_BUS_ADDRESS", &systemd.address).run().ok();
    assert_eq!(systemd.asked("StopUnit"), [json!([unit, "replace"])]);
    assert_eq!(systemd.asked("ResetFailedUnit"), [json!([unit])]);
    clear_away(&c);
    // When it has gone for good, delete does all by itself.
    systemd.create(t, &c).run().ok();
    let delete = t.call(&["delete", "--force", &c.id]);
    delete
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus")
        .run()
        .ok();
    assert!(!directory(&c).exists());
}

fn run_needs_a_scope_too(t: &Test) {
    let mut c = scoped(t);
    c.config["process"]["args"] = json!(["/bin/sh", "-c", "cat /proc/self/cgroup; exit 3"]);
    c.write_config();
    let systemd = Systemd::start(t, Mood::Willing);
    let outcome = systemd
        .call(t, &["run", "--bundle", c.bundle.to_str().expect("path"), &c.id])
        .run()
        .code(3);
    assert!(outcome.stdout.contains(&format!("/test-{}.scope", c.id)), "{outcome}");
    clear_away(&c);
}

fn annotations_are_properties(t: &Test) {
    let mut c = scoped(t);
    let prefix = "org.systemd.property";
    c.config["annotations"] = json!({
        format!("{prefix}.TimeoutStopUSec"): "uint64 123456789",
        format!("{prefix}.KillMode"): "'mixed'",
        format!("{prefix}.SendSIGHUP"): "true",
        format!("{prefix}.OOMScoreAdjust"): "-5",
        format!("{prefix}.After"): "['a.service', \"b.service\"]",
        "other": "thing",
    });
    let systemd = Systemd::start(t, Mood::Willing);
    systemd.create(t, &c).run().ok();
    let asked = properties(&systemd.asked("StartTransientUnit")[0][2]);
    for (name, value) in [
        ("TimeoutStopUSec", json!(123_456_789)),
        ("KillMode", json!("mixed")),
        ("SendSIGHUP", json!(true)),
        ("OOMScoreAdjust", json!(-5)),
        ("After", json!(["a.service", "b.service"])),
    ] {
        assert_eq!(asked[name], value, "{name}: {asked}");
    }
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
    for value in [
        "",
        "uint64",
        "uint64 x",
        "'a",
        "[a]",
        "{'a': 1}",
        "['a' 'b']",
        "12x",
        "nothing",
    ] {
        c.config["annotations"] = json!({format!("{prefix}.KillMode"): value});
        let outcome = systemd.create(t, &c).run().fails();
        outcome.says("org.systemd.property.KillMode");
    }
}

fn the_cgroup_has_a_name_without_a_path(t: &Test) {
    let mut c = scoped(t);
    let systemd = Systemd::start(t, Mood::Refuses("org.freedesktop.DBus.Error.AccessDenied"));
    c.config["linux"].as_object_mut().expect("linux").remove("cgroupsPath");
    systemd.create(t, &c).run().fails();
    let asked = &systemd.asked("StartTransientUnit")[0];
    assert_eq!(asked[0], json!(format!("roci-{}.scope", c.id)));
    assert_eq!(properties(&asked[2])["Slice"], "system.slice");
}

#[track_caller]
fn leaves_nothing(t: &Test, c: &Container) {
    c.state_call().fails().says("does not exist");
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn a_refusal_is_told_and_leaves_nothing(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Refuses("org.freedesktop.DBus.Error.AccessDenied"));
    let outcome = systemd.create(t, &c).run().fails().code(1);
    outcome.says(&format!(
        "test-{}.scope: No, not this one. (org.freedesktop.DBus.Error.AccessDenied)",
        c.id
    ));
    leaves_nothing(t, &c);
    // It changes its mind.
    systemd.create(t, &c).run().ok();
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn a_job_that_fails_is_told_and_leaves_nothing(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Fails("dependency"));
    systemd.create(t, &c).run().fails().says("its job ended as dependency");
    leaves_nothing(t, &c);
}

fn a_unit_that_has_just_ended_is_waited_for(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Refuses("org.freedesktop.systemd1.UnitExists"));
    systemd.create(t, &c).run().ok();
    let calls = [
        "Hello",
        "AddMatch",
        "StartTransientUnit",
        "ResetFailedUnit",
        "StartTransientUnit",
    ];
    assert_eq!(systemd.methods()[..5], calls);
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn a_scope_that_is_gone_is_not_made_again(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::ComesTooLate);
    systemd.create(t, &c).run().fails().code(1).says("cgroup");
    // Nobody would remove it.
    leaves_nothing(t, &c);
}

fn what_is_not_d_bus_is_told(t: &Test) {
    for (mood, words) in [
        (Mood::Garbage, "not D-Bus"),
        (Mood::Hangup, "hung up"),
        (Mood::Rejects, "does not let us in: REJECTED EXTERNAL"),
    ] {
        let c = scoped(t);
        let systemd = Systemd::start(t, mood);
        systemd.create(t, &c).run().fails().code(1).says(words);
        leaves_nothing(t, &c);
        std::fs::remove_file(t.path("bus")).expect("the socket");
    }
}

fn silence_is_told(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Silence);
    let create = systemd.create(t, &c).limit(Duration::from_secs(60));
    create.run().fails().says("does not answer");
    leaves_nothing(t, &c);
}

fn without_systemd_there_is_one_clear_error(t: &Test) {
    let c = scoped(t);
    c.write_config();
    let bundle = c.bundle.to_str().expect("path");
    for address in [
        "unix:path=/no/such/bus",
        "unix:path=/no/such/bus,guid=1;unix:path=/other",
    ] {
        let create = ["create", "--bundle", bundle, &c.id];
        let create = t.runtime.global(&["--systemd-cgroup"], &create);
        let outcome = create.env("DBUS_SYSTEM_BUS_ADDRESS", address).run().fails().code(1);
        outcome.says("no systemd to talk to: connect to /no/such/bus: no such file or directory");
        leaves_nothing(t, &c);
    }
}

fn paths_of_one_kind_are_not_taken_for_the_other(t: &Test) {
    let mut c = scoped(t);
    c.create().fails().says("--systemd-cgroup is missing");
    leaves_nothing(t, &c);
    let systemd = Systemd::start(t, Mood::Willing);
    for path in [
        "/a/b",
        "a/b",
        "a:b",
        "system.slice:a/b:c",
        "no-slice:a:b",
        "a/b.slice:a:b",
        "a.slice:b:",
    ] {
        c.config["linux"]["cgroupsPath"] = json!(path);
        systemd.create(t, &c).run().fails().says("linux.cgroupsPath");
    }
    assert_eq!(systemd.methods(), Vec::<String>::new());
    leaves_nothing(t, &c);
}
