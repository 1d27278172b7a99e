//! `delete`: what it refuses, what it takes with force, and that it may be called again.

use serde_json::json;
use tests::{Test, eventually};

tests::cases![
    delete_of_an_unknown_container_says_that_it_does_not_exist,
    delete_force_of_an_unknown_container_succeeds,
    delete_force_ends_a_running_container,
    delete_force_is_idempotent,
    delete_force_ends_every_process_without_a_pid_namespace,
    delete_force_removes_half_made_state,
    delete_removes_the_cgroups_that_create_made,
    delete_leaves_cgroups_that_it_did_not_make,
    delete_leaves_the_bundle_as_it_is,
    delete_works_after_the_bundle_is_gone,
    the_short_option_works,
];

fn delete_of_an_unknown_container_says_that_it_does_not_exist(t: &Test) {
    t.server().delete().fails().says("does not exist");
}

fn delete_force_of_an_unknown_container_succeeds(t: &Test) {
    t.control();
    t.skip_on("crun", "crun 1.8 fails for an unknown id with --force");
    let outcome = t.server().delete_force().ok();
    assert_eq!(outcome.stdout, "");
}

fn delete_force_ends_a_running_container(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let pid = c.pid();
    c.delete_force().ok();
    assert_eq!(c.reap(pid), 137);
    c.state_call().fails().says("does not exist");
}

fn delete_force_is_idempotent(t: &Test) {
    t.skip_on("crun", "crun 1.8 fails for an unknown id with --force");
    let c = t.server();
    c.up_and_ready();
    c.delete_force().ok();
    c.delete_force().ok();
}

fn delete_force_ends_every_process_without_a_pid_namespace(t: &Test) {
    let mut c = t.sh("sleep 1001 & sleep 1002 & echo ready; wait");
    c.no_namespace("pid");
    c.up_and_ready();
    c.delete_force().ok();
    let left = || {
        tests::leaks::processes(&t.runtime.token)
            .iter()
            .any(|(_, what)| what.contains("sleep 100"))
    };
    eventually("all processes are gone", || !left());
}

fn delete_force_removes_half_made_state(t: &Test) {
    t.skip_on("crun", "crun 1.8 cannot delete what has no status file");
    let c = t.server();
    std::fs::create_dir_all(t.runtime.root.join(&c.id)).expect("mkdir");
    c.delete_force().ok();
    assert!(
        !t.runtime.root.join(&c.id).exists(),
        "the empty state directory is still there"
    );
    c.up();
}

fn delete_removes_the_cgroups_that_create_made(t: &Test) {
    let hierarchy = t.needs_v1_controller("pids");
    let mut c = t.server();
    let path = format!("/{}parent/child", t.runtime.token);
    c.config["linux"]["cgroupsPath"] = json!(path);
    c.up_and_ready();
    let pid = c.pid();
    assert!(hierarchy.join(&path[1..]).is_dir(), "the container's cgroup");
    c.kill("KILL").ok();
    c.reap(pid);
    c.delete().ok();
    assert!(!hierarchy.join(&path[1..]).exists());
    // The parent was made by create, too, but runc and crun leave it, since another container may be about to use it.
    for mount in tests::cgroup_mounts() {
        let _ = std::fs::remove_dir(mount.join(&path[1..]).parent().expect("parent"));
    }
}

fn delete_leaves_cgroups_that_it_did_not_make(t: &Test) {
    let hierarchy = t.needs_v1_controller("pids");
    let parent = hierarchy.join(format!("{}parent", t.runtime.token));
    let sibling = parent.join("sibling");
    std::fs::create_dir_all(&sibling).expect("mkdir");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}parent/child", t.runtime.token));
    c.up_and_ready();
    c.delete_force().ok();
    assert!(sibling.is_dir());
    std::fs::remove_dir(&sibling).expect("rmdir");
    for mount in tests::cgroup_mounts() {
        let _ = std::fs::remove_dir(mount.join(format!("{}parent", t.runtime.token)));
    }
}

fn delete_leaves_the_bundle_as_it_is(t: &Test) {
    let c = t.server();
    let list = || {
        let output = std::process::Command::new("find")
            .arg(&c.bundle)
            .args(["-printf", "%P %y %m %U %G %s\\n"])
            .output();
        let text = String::from_utf8(output.expect("find").stdout).expect("UTF-8");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    c.write_config();
    let before = list();
    c.up_and_ready();
    c.delete_force().ok();
    assert_eq!(list(), before);
}

fn delete_works_after_the_bundle_is_gone(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    std::fs::remove_dir_all(&c.bundle).expect("rm");
    c.delete_force().ok();
}

fn the_short_option_works(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    t.call(&["delete", "-f", &c.id]).run().ok();
}
