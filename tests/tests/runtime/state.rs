//! What `state` prints: the state of the specification, in every status.

use serde_json::{Value, json};
use tests::Test;

tests::cases![
    state_has_the_members_of_the_specification,
    state_carries_the_annotations,
    state_of_a_stopped_container_has_no_pid,
    state_has_the_members_that_clients_of_runc_read,
    state_of_an_unknown_container_fails,
    state_prints_nothing_on_stderr,
    state_survives_the_loss_of_the_bundle,
    a_pid_that_another_process_got_is_not_the_container,
];

/// The rules of the specification's "State".
#[track_caller]
fn check(state: &Value, id: &str, status: &str) {
    let version = state["ociVersion"].as_str().expect("ociVersion");
    assert!(
        version.starts_with("1.") && version.split('.').count() >= 3,
        "SemVer: {version}"
    );
    assert_eq!(state["id"], json!(id));
    assert_eq!(state["status"], json!(status));
    let bundle = state["bundle"].as_str().expect("bundle");
    assert!(bundle.starts_with('/'), "the bundle's path is absolute: {bundle}");
    if status != "stopped" {
        assert!(state["pid"].as_i64().expect("pid") > 0, "{state}");
    }
}

fn state_has_the_members_of_the_specification(t: &Test) {
    let c = t.server();
    c.create().ok();
    check(&c.state(), &c.id, "created");
    c.start().ok();
    check(&c.state(), &c.id, "running");
    assert_eq!(c.state()["bundle"], json!(c.bundle));
    let pid = c.pid();
    c.kill("KILL").ok();
    c.reap(pid);
    check(&c.state(), &c.id, "stopped");
}

fn state_carries_the_annotations(t: &Test) {
    let mut c = t.server();
    let annotations = json!({"org.example.key": "value", "org.example.quoted": "a \"b\" \\ \u{e4}\n", "empty": ""});
    c.config["annotations"] = annotations.clone();
    c.create().ok();
    assert_eq!(c.state()["annotations"], annotations);
}

fn state_of_a_stopped_container_has_no_pid(t: &Test) {
    let c = t.container(&["/bin/true"]);
    c.up();
    c.wait_until_stopped();
    assert_eq!(c.state()["pid"].as_i64().unwrap_or(0), 0);
}

fn state_has_the_members_that_clients_of_runc_read(t: &Test) {
    let c = t.server();
    c.create().ok();
    let state = c.state();
    // crun gives root.path as the configuration has it.
    if !t.is("crun") {
        assert_eq!(state["rootfs"], json!(c.rootfs()), "{state}");
    }
    let created = state["created"].as_str().expect("created");
    assert_eq!(created.as_bytes().get(10), Some(&b'T'), "RFC 3339: {created}");
    assert!(created.ends_with('Z') || created.contains('+'), "RFC 3339: {created}");
    assert!(state.get("owner").is_some(), "{state}");
}

fn state_of_an_unknown_container_fails(t: &Test) {
    t.server().state_call().fails().says("does not exist").code(1);
}

fn state_prints_nothing_on_stderr(t: &Test) {
    t.control();
    let c = t.server();
    c.create().ok();
    assert_eq!(c.state_call().ok().stderr, "");
}

fn state_survives_the_loss_of_the_bundle(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    std::fs::rename(&c.bundle, t.path("gone")).expect("rename");
    assert_eq!(c.status(), "running");
    c.kill("KILL").ok();
    c.wait_until_stopped();
    c.delete().ok();
}

/// A process is named by pid and start time: after a reboot, or a long life, the pid alone is somebody else's.
fn a_pid_that_another_process_got_is_not_the_container(t: &Test) {
    let c = t.server();
    c.create().ok();
    let pid = c.pid();
    // Start times are counted in hundredths of a second: the stranger must not start in the same one.
    std::thread::sleep(std::time::Duration::from_millis(30));
    // A process is named by its pid and the clock tick in which it started; two in one tick (10 ms) are not told apart,
    // and no kernel gives a pid out again that soon.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    // Put the stranger's pid where the state file has the container's, whatever the file's format is.
    let mut replaced = 0;
    for file in tests::leaks::entries(&t.runtime.root.join(&c.id)) {
        // A FIFO would block the read.
        if !file.is_file() {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        let mut changed = text.clone();
        for separator in [":", ": ", " : "] {
            for end in [",", "\n", "}", " "] {
                for name in ["pid", "init_process_pid"] {
                    let old = format!("\"{name}\"{separator}{pid}{end}");
                    changed = changed.replace(&old, &format!("\"{name}\"{separator}{}{end}", stranger.id()));
                }
            }
        }
        if changed != text {
            replaced += 1;
            std::fs::write(&file, changed).expect("write");
        }
    }
    if replaced == 0 {
        let _ = stranger.kill();
        t.skip("this runtime's state file has the pid in a form that the test does not know");
    }
    assert_eq!(
        c.status(),
        "stopped",
        "the process of that pid did not start when the container did"
    );
    let _ = c.kill("KILL");
    // The real one, which nobody can find any more, has to go first: its cgroup could not be removed.
    let container = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    rustix::process::kill_process(container, rustix::process::Signal::KILL).expect("kill");
    c.reap(pid);
    c.delete_force().ok();
    assert!(
        stranger.try_wait().expect("wait").is_none(),
        "a process that has nothing to do with it was killed"
    );
    stranger.kill().expect("kill");
    stranger.wait().expect("wait");
}
