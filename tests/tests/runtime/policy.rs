//! What is done where the host lacks what the configuration asks for.

use serde_json::{Value, json};
use tests::{Container, Invocation, Test};

tests::cases![
    a_limit_that_the_host_lacks_may_be_done_without,
    a_host_without_cgroups_lacks_both_limits_and_rules,
    limits_may_be_left_alone,
    a_label_of_an_absent_module_may_be_done_without,
    a_seccomp_profile_may_be_left_off,
    shares_of_the_cache_may_be_done_without,
    the_option_counts_before_the_annotation,
    a_policy_that_means_nothing_is_refused,
    init_may_be_asked_for_by_an_annotation,
    cgroups_that_are_gone_are_told_of,
];

fn only_roci(t: &Test) {
    if !t.is_roci() {
        t.skip("policies are roci's own");
    }
}

/// A controller that no kernel of these days has on version 1 unless it is mounted, nor at all on version 2.
fn with_a_limit_that_is_lacking(t: &Test) -> Container<'_> {
    only_roci(t);
    if tests::cgroup_mounts().iter().any(|mount| mount.ends_with("net_cls")) {
        t.skip("this machine has net_cls");
    }
    let mut c = t.sh("echo ran");
    c.config["linux"]["resources"]["network"] = json!({"classID": 7});
    c
}

fn annotate(c: &mut Container<'_>, feature: &str, policy: &str) {
    let mut annotations = json!({});
    annotations[format!("io.roci.policy.{feature}")] = json!(policy);
    c.config["annotations"] = annotations;
}

fn a_limit_that_the_host_lacks_may_be_done_without(t: &Test) {
    let mut c = with_a_limit_that_is_lacking(t);
    let lacking = "linux.resources: the host has no cgroup controller net_cls";
    c.run().fails().roci_says(lacking).says("CONFIG_CGROUP_NET_CLASSID");
    annotate(&mut c, "limits", "require");
    c.run().fails().roci_says(lacking);
    annotate(&mut c, "limits", "prefer");
    let outcome = c.run().ok();
    assert_eq!(outcome.stdout, "ran\n");
    assert!(
        outcome
            .stderr
            .starts_with("roci: warning: linux.resources: net_cls.classid"),
        "{outcome}"
    );
    c.config["annotations"] = Value::Null;
    c.running(&["--policy", "limits=prefer"]).run().ok();
}

/// On a host that has cgroups mounted nowhere.
fn without_cgroups(call: Invocation) -> Invocation {
    call.with_own_mounts(r#"umount -R /sys/fs/cgroup && exec "$@""#, "sh")
}

/// Each policy is for itself: without limits there may still be rules for devices that somebody could make.
fn a_host_without_cgroups_lacks_both_limits_and_rules(t: &Test) {
    only_roci(t);
    t.needs("unshare", "util-linux");
    let mut c = t.sh("echo ran");
    c.config["linux"]["resources"] = json!({
        "pids": {"limit": 10},
        "devices": [{"allow": false, "access": "rwm"}],
    });
    let run = |c: &Container<'_>, options: &[&str]| without_cgroups(c.running(options)).run();
    let lacking = "linux.resources: the host has no cgroups at /sys/fs/cgroup";
    run(&c, &[]).fails().says(lacking);
    // Nobody could make nodes.
    assert_eq!(run(&c, &["--policy", "limits=prefer"]).ok().stdout, "ran\n");
    let sets = ["bounding", "effective", "permitted"].map(|set| (set, &["CAP_MKNOD"][..]));
    c.capabilities(&sets);
    run(&c, &["--policy", "limits=prefer"]).fails().says(lacking);
    run(&c, &["--policy", "devices=prefer"]).fails().says(lacking);
    let both = ["--policy", "limits=prefer", "--policy", "devices=prefer"];
    assert_eq!(run(&c, &both).ok().stdout, "ran\n");
}

/// Cgroups may go, and come; who says so does without.
fn cgroups_that_are_gone_are_told_of(t: &Test) {
    only_roci(t);
    t.needs("unshare", "util-linux");
    let disabled = ["--cgroup-manager", "disabled"];
    let c = t.server();
    c.up_and_ready();
    let exec = ["exec", &c.id, "echo", "inside"];
    let gone = "the host's cgroups are gone, of which the container has one (--cgroup-manager disabled does without)";
    without_cgroups(t.call(&exec)).run().code(255).says(gone);
    let inside = without_cgroups(t.runtime.global(&disabled, &exec)).run().ok();
    assert_eq!(inside.stdout, "inside\n");
    assert_eq!(t.call(&exec).run().ok().stdout, "inside\n");
    // A limit that is asked for is left alone then.
    let mut c = t.sh("echo ran");
    c.config["linux"]["resources"] = json!({"pids": {"limit": 10}});
    c.write_config();
    let bundle = c.bundle.to_str().expect("UTF-8");
    let run = ["run", "--bundle", bundle, &c.id];
    assert_eq!(
        without_cgroups(t.runtime.global(&disabled, &run)).run().ok().stdout,
        "ran\n"
    );
    assert_eq!(t.runtime.global(&disabled, &run).run().ok().stdout, "ran\n");
}

fn limits_may_be_left_alone(t: &Test) {
    let mut c = with_a_limit_that_is_lacking(t);
    annotate(&mut c, "limits", "off");
    let outcome = c.run().ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("ran\n", ""));
}

fn a_label_of_an_absent_module_may_be_done_without(t: &Test) {
    only_roci(t);
    for (field, feature) in [("apparmorProfile", "apparmor"), ("selinuxLabel", "selinux")] {
        let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        let mut c = t.sh("echo ran");
        c.config["process"][field] = json!("no-such-label");
        if !modules.contains(feature) {
            c.run().fails();
            annotate(&mut c, feature, "prefer");
            assert_eq!(c.output(), "ran\n");
        }
        annotate(&mut c, feature, "off");
        assert_eq!(c.output(), "ran\n");
    }
}

fn a_seccomp_profile_may_be_left_off(t: &Test) {
    only_roci(t);
    let mut c = t.sh("mkdir /made && echo made");
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    c.run().code(1);
    annotate(&mut c, "seccomp", "prefer");
    c.run().code(1);
    annotate(&mut c, "seccomp", "off");
    assert_eq!(c.output(), "made\n");
}

fn shares_of_the_cache_may_be_done_without(t: &Test) {
    only_roci(t);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounts.contains(" resctrl ") {
        t.skip("this machine has it");
    }
    let mut c = t.sh("echo ran");
    c.config["linux"]["intelRdt"] = json!({"l3CacheSchema": "L3:0=f"});
    c.run().fails();
    annotate(&mut c, "intelRdt", "prefer");
    assert_eq!(c.output(), "ran\n");
}

fn the_option_counts_before_the_annotation(t: &Test) {
    let mut c = with_a_limit_that_is_lacking(t);
    annotate(&mut c, "limits", "off");
    c.running(&["--policy", "limits=require"]).run().fails();
    annotate(&mut c, "limits", "require");
    c.running(&["--policy=limits=off"]).run().ok();
}

fn a_policy_that_means_nothing_is_refused(t: &Test) {
    only_roci(t);
    let mut c = t.sh("true");
    annotate(&mut c, "limits", "maybe");
    c.run()
        .fails()
        .roci_says("annotations: limits: neither require, prefer nor off");
    annotate(&mut c, "tea", "off");
    c.run().fails().roci_says("annotations: no such feature: tea");
    c.config["annotations"] = Value::Null;
    c.running(&["--policy", "limits"])
        .run()
        .fails()
        .roci_says("--policy: limits: neither require, prefer nor off");
    c.state_call().fails();
}

fn init_may_be_asked_for_by_an_annotation(t: &Test) {
    only_roci(t);
    let mut c = t.sh("cat /proc/1/comm");
    c.config["annotations"] = json!({"io.roci.init": "true"});
    assert_eq!(c.output(), "roci-init\n");
    c.config["annotations"] = json!({"io.roci.init": "false"});
    assert_eq!(c.output(), "cat\n");
}
