//! `run`: create, start, wait and delete in one call; and the pid file.

use serde_json::json;
use tests::{Test, eventually};

tests::cases![
    a_caller_that_ignores_its_children_is_told_all_the_same,
    run_passes_the_exit_status_on,
    run_deletes_the_container,
    run_of_a_program_that_a_signal_ended_is_128_plus_its_number,
    run_detached_returns_while_the_program_runs,
    run_keep_leaves_the_stopped_container,
    run_writes_the_pid_file,
    run_forwards_signals_to_the_program,
    run_refuses_an_id_that_exists,
    run_of_a_program_that_is_missing_leaves_nothing,
    run_can_be_killed_and_deleted_from_outside,
    the_pid_file_is_complete_when_create_returns,
    the_pid_file_is_not_written_when_create_fails,
    a_pid_file_that_cannot_be_written_fails_create,
    an_existing_pid_file_is_replaced,
    the_short_options_work,
    run_survives_a_program_that_ends_at_once,
    run_of_a_program_that_cannot_be_started_has_the_status_of_shells,
];

fn run_passes_the_exit_status_on(t: &Test) {
    for code in [0, 1, 7, 126, 127, 255] {
        t.sh(&format!("exit {code}")).run().code(code);
    }
}

fn run_deletes_the_container(t: &Test) {
    let c = t.sh("exit 3");
    c.run().code(3);
    c.state_call().fails().says("does not exist");
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn run_of_a_program_that_a_signal_ended_is_128_plus_its_number(t: &Test) {
    let c = t.server();
    let running = c.running(&[]).spawn();
    eventually("the program is ready", || running.stdout().contains("ready"));
    c.kill("KILL").ok();
    running.wait().code(128 + 9);
}

fn run_detached_returns_while_the_program_runs(t: &Test) {
    for option in ["--detach", "-d"] {
        let c = t.server();
        let outcome = c.running(&[option]).run().ok();
        eventually("the program is ready", || outcome.stdout_now().contains("ready"));
        assert_eq!(c.status(), "running");
        let pid = c.pid();
        c.kill("TERM").ok();
        assert_eq!(c.reap(pid), 7);
        c.delete().ok();
    }
}

fn run_keep_leaves_the_stopped_container(t: &Test) {
    t.skip_on("crun", "crun 1.8 has no --keep");
    let c = t.sh("exit 3");
    c.running(&["--keep"]).run().code(3);
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
}

fn run_writes_the_pid_file(t: &Test) {
    let c = t.server();
    let pid_file = t.path("pid");
    let running = c.running(&["--pid-file", pid_file.to_str().expect("path")]).spawn();
    eventually("the program is ready", || running.stdout().contains("ready"));
    // The program may be quicker than the file; what a reader finds is complete all the same.
    let read = || std::fs::read_to_string(&pid_file).unwrap_or_default();
    eventually("the pid file is there", || !read().is_empty());
    assert_eq!(read(), c.pid().to_string());
    c.kill("TERM").ok();
    running.wait().code(7);
}

fn run_forwards_signals_to_the_program(t: &Test) {
    let c = t.sh("trap 'echo hup' HUP; trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done");
    let running = c.running(&[]).spawn();
    eventually("the program is ready", || running.stdout().contains("ready"));
    let pid = rustix::process::Pid::from_raw(running.pid() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("kill");
    eventually("SIGHUP arrived", || running.stdout().contains("hup"));
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("kill");
    running.wait().code(7);
}

fn run_refuses_an_id_that_exists(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    c.run().fails().says("already exists");
    assert_eq!(c.status(), "running");
}

fn run_of_a_program_that_is_missing_leaves_nothing(t: &Test) {
    let c = t.container(&["/no/such"]);
    // Docker's numbers would be 127; runc's run fails with 1 and podman and Docker read the words.
    let outcome = c.run().fails().says("no such file or directory");
    assert!(!outcome.status.success());
    c.state_call().fails().says("does not exist");
}

/// As shells have it; a command line that is wrong has a status of its own.
fn run_of_a_program_that_cannot_be_started_has_the_status_of_shells(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers' run ends with 1, or with 255");
    }
    for (program, status) in [("no-such", 127), ("/no/such", 127), ("/etc/passwd", 126)] {
        t.container(&[program]).run().code(status);
    }
    let mut c = t.sh("true");
    c.config["process"]["cwd"] = json!("/etc/passwd");
    c.run().code(1);
    let c = t.server();
    c.up_and_ready();
    c.executing(&[], &["no-such"]).run().code(255);
    c.executing(&["--no-such-option"], &["true"]).run().code(2);
    c.running(&["--no-such-option"]).run().code(2);
}

fn run_can_be_killed_and_deleted_from_outside(t: &Test) {
    t.skip_on("crun", "crun 1.8 fails when run deletes the container first");
    let c = t.server();
    let running = c.running(&[]).spawn();
    eventually("the program is ready", || running.stdout().contains("ready"));
    c.delete_force().ok();
    let outcome = running.wait();
    assert!(!outcome.status.success(), "{outcome}");
}

fn the_pid_file_is_complete_when_create_returns(t: &Test) {
    let c = t.server();
    let pid_file = t.path("pid");
    c.creation(&["--pid-file", pid_file.to_str().expect("path")]).run().ok();
    let text = std::fs::read_to_string(&pid_file).expect("pid file");
    assert_eq!(text, c.pid().to_string(), "decimal digits and nothing else");
    let cgroup = std::fs::read_to_string(format!("/proc/{text}/cgroup")).expect("cgroup");
    assert!(cgroup.contains(&c.id), "the process is in its final cgroup: {cgroup}");
}

fn the_pid_file_is_not_written_when_create_fails(t: &Test) {
    let c = t.container(&["/no/such"]);
    let pid_file = t.path("pid");
    c.creation(&["--pid-file", pid_file.to_str().expect("path")])
        .run()
        .fails();
    // Differs from runc because runc 1.1 writes it before it knows; a caller that sees a pid would wait for it.
    if t.is_roci() {
        assert!(!pid_file.exists());
    }
}

fn a_pid_file_that_cannot_be_written_fails_create(t: &Test) {
    let c = t.server();
    c.creation(&["--pid-file", "/no/such/directory/pid"])
        .run()
        .fails()
        .says("no such file or directory");
    c.state_call().fails();
}

fn an_existing_pid_file_is_replaced(t: &Test) {
    let c = t.server();
    let pid_file = t.path("pid");
    std::fs::write(&pid_file, "123456789012345\n").expect("write");
    c.creation(&["--pid-file", pid_file.to_str().expect("path")]).run().ok();
    assert_eq!(
        std::fs::read_to_string(&pid_file).expect("pid file"),
        c.pid().to_string()
    );
}

fn the_short_options_work(t: &Test) {
    let c = t.sh("echo fine");
    c.write_config();
    assert_eq!(
        t.call(&["run", "-b", c.bundle.to_str().expect("path"), &c.id])
            .run()
            .ok()
            .stdout,
        "fine\n"
    );
    let option = format!("--bundle={}", c.bundle.display());
    assert_eq!(t.call(&["run", &option, &c.id]).run().ok().stdout, "fine\n");
}

fn run_survives_a_program_that_ends_at_once(t: &Test) {
    let mut c = t.container(&["/bin/true"]);
    for _ in 0..20 {
        c.run().ok();
    }
    c.config["process"]["args"] = json!(["/bin/false"]);
    for _ in 0..20 {
        c.run().code(1);
    }
}

/// `trap '' CHLD` in a shell, and some supervisors: the disposition is handed on, and then no child's end is told.
fn a_caller_that_ignores_its_children_is_told_all_the_same(t: &Test) {
    t.skip_on("crun", "crun 1.8 waits for ever");
    let mut c = t.sh("exit 7");
    if t.is_roci() {
        c.config["hooks"] =
            serde_json::json!({"createRuntime": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]});
    }
    let ignoring = ["-c", "trap '' CHLD; exec \"$0\" \"$@\""];
    c.running(&[]).under("/bin/sh", &ignoring).run().code(7);
}
