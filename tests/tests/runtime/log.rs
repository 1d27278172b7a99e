//! `--log`: where containerd and podman read what went wrong.

use serde_json::Value;
use tests::{Invocation, Test};

tests::cases![
    a_failure_is_exactly_one_json_line,
    the_log_is_appended_to,
    success_writes_no_line,
    the_same_text_is_on_standard_error,
    the_text_format_is_the_default,
    the_messages_are_valid_json_whatever_they_hold,
    a_log_that_cannot_be_opened_is_an_error,
    the_options_may_be_written_with_an_equals_sign,
    a_failure_of_the_container_process_is_logged,
    clients_options_are_accepted,
];

fn json_log(t: &Test, args: &[&str]) -> Invocation {
    let log = t.path("log.json");
    t.runtime
        .global(&["--log", log.to_str().expect("path"), "--log-format", "json"], args)
}

#[track_caller]
fn lines(t: &Test) -> Vec<Value> {
    let text = std::fs::read_to_string(t.path("log.json")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}")))
        .collect()
}

fn a_failure_is_exactly_one_json_line(t: &Test) {
    let id = t.server().id;
    json_log(t, &["state", &id]).run().fails();
    let lines = lines(t);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["level"], "error");
    assert!(!lines[0]["msg"].as_str().expect("msg").is_empty());
    let time = lines[0]["time"].as_str().expect("time");
    // RFC 3339: 2026-11-22T05:12:00Z or with a fraction or an offset.
    assert!(
        time.len() >= 20 && time.as_bytes()[10] == b'T' && time.as_bytes()[4] == b'-',
        "{time}"
    );
    assert!(
        time.ends_with('Z') || time.contains('+') || time.rfind('-').is_some_and(|at| at > 10),
        "{time}"
    );
}

fn the_log_is_appended_to(t: &Test) {
    let id = t.server().id;
    for count in 1..=3 {
        json_log(t, &["state", &id]).run().fails();
        assert_eq!(lines(t).len(), count);
    }
}

fn success_writes_no_line(t: &Test) {
    t.control();
    let c = t.server();
    c.write_config();
    json_log(t, &["create", "--bundle", c.bundle.to_str().expect("path"), &c.id])
        .run()
        .ok();
    for args in [
        &["start", &c.id][..],
        &["state", &c.id],
        &["exec", &c.id, "/bin/true"],
        &["delete", "--force", &c.id],
    ] {
        json_log(t, args).run().ok();
    }
    assert_eq!(lines(t), Vec::<Value>::new());
}

fn the_same_text_is_on_standard_error(t: &Test) {
    let c = t.container(&["/no/such/program"]);
    c.write_config();
    let outcome = json_log(t, &["create", "--bundle", c.bundle.to_str().expect("path"), &c.id])
        .run()
        .fails();
    let lines = lines(t);
    let message = lines.last().expect("a line")["msg"].as_str().expect("msg").to_owned();
    assert!(
        message.contains("no such file or directory") || t.is("crun"),
        "{message}"
    );
    assert!(
        outcome.stderr.contains(&message) || !t.is_roci(),
        "{message:?} is not in {outcome}"
    );
}

fn the_text_format_is_the_default(t: &Test) {
    let id = t.server().id;
    let log = t.path("log.txt");
    t.runtime
        .global(&["--log", log.to_str().expect("path")], &["state", &id])
        .run()
        .fails();
    let text = std::fs::read_to_string(log).expect("the log");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.starts_with('{'), "{text}");
}

fn the_messages_are_valid_json_whatever_they_hold(t: &Test) {
    for name in ["quote\"", "back\\slash", "tab\tnew\nline", "\u{7f}\u{1}", "\u{1F375}"] {
        let c = t.container(&[&format!("/no/{name}")]);
        c.write_config();
        let outcome = json_log(t, &["create", "--bundle", c.bundle.to_str().expect("path"), &c.id]).run();
        assert!(!outcome.status.success());
        lines(t);
    }
    assert!(lines(t).len() >= 5);
}

fn a_log_that_cannot_be_opened_is_an_error(t: &Test) {
    let c = t.server();
    c.create().ok();
    let outcome = t
        .runtime
        .global(&["--log", "/no/such/directory/log"], &["state", &c.id])
        .run();
    assert!(!outcome.status.success(), "{outcome}");
}

fn the_options_may_be_written_with_an_equals_sign(t: &Test) {
    let id = t.server().id;
    let log = format!("--log={}", t.path("log.json").display());
    t.runtime
        .global(&["--log-format=json", &log], &["state", &id])
        .run()
        .fails();
    assert_eq!(lines(t).len(), 1);
}

/// What the process on the other side of the clone noticed arrives in the log, and once.
fn a_failure_of_the_container_process_is_logged(t: &Test) {
    let mut c = t.server();
    c.config["linux"]["sysctl"] = serde_json::json!({"net.ipv4.no_such_sysctl": "1"});
    c.write_config();
    json_log(t, &["create", "--bundle", c.bundle.to_str().expect("path"), &c.id])
        .run()
        .fails();
    let lines = lines(t);
    let last = lines.last().expect("a line");
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().expect("msg").contains("no_such_sysctl"), "{last}");
    if t.is_roci() {
        assert_eq!(lines.len(), 1, "podman reads the file as one object: {lines:?}");
    }
}

/// The forms of conmon, containerd and dockerd, flags that change nothing here included.
fn clients_options_are_accepted(t: &Test) {
    let c = t.server();
    c.write_config();
    let bundle = c.bundle.to_str().expect("path");
    let log = t.path("log.json");
    let log = log.to_str().expect("path");
    let pid_file = t.path("pid");
    let create = [
        "create",
        "--bundle",
        bundle,
        "--pid-file",
        pid_file.to_str().expect("path"),
        "--no-new-keyring",
        &c.id,
    ];
    t.runtime
        .global(&["--log-format=json", "--log", log], &create)
        .run()
        .ok();
    t.runtime.global(&["--debug"], &["start", &c.id]).run().ok();
    t.call(&["kill", "--all", &c.id, "9"]).run().ok();
    c.wait_until_stopped();
    t.runtime
        .global(&["--log", log, "--log-format", "json"], &["delete", "--force", &c.id])
        .run()
        .ok();
    if t.is_roci() {
        t.runtime
            .global(&["--cgroup-manager", "disabled"], &["list"])
            .run()
            .ok();
        t.runtime.global(&["--rootless", "auto"], &["list"]).run().ok();
        t.runtime.global(&["--rootless=false"], &["list"]).run().ok();
    }
}
