//! A runtime that was killed, and a state that is out of date.

use std::time::Duration;
use tests::Test;

tests::cases![
    whatever_create_was_killed_at_delete_force_leaves_nothing,
    whatever_start_was_killed_at_the_container_is_whole,
    a_killed_run_leaves_what_delete_force_removes,
    a_truncated_state_file_does_not_prevent_delete_force,
    a_stale_pid_is_a_stopped_container,
];

fn whatever_create_was_killed_at_delete_force_leaves_nothing(t: &Test) {
    t.control();
    // Differs from the peers because they record the cgroup and the process late; what they leave is for an
    // administrator to find.
    if !t.is_roci() {
        t.skip("the peers leave processes and cgroups when create is killed");
    }
    for step in 0..40 {
        let c = t.server();
        let mut creation = c.creation(&[]).spawn();
        // The moments spread over twice the time that a create takes on a slow machine.
        std::thread::sleep(Duration::from_micros(200 * step));
        creation.kill();
        let _ = creation.wait();
        c.delete_force().ok();
        let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
        assert!(
            left.is_empty(),
            "create was killed after {} µs and left behind:\n{left}",
            200 * step
        );
        // And the id is free again.
        c.run_at_once();
    }
}

/// A whole life under the id that was just freed.
trait AtOnce {
    fn run_at_once(&self);
}

impl AtOnce for tests::Container<'_> {
    fn run_at_once(&self) {
        self.create().ok();
        self.delete_force().ok();
    }
}

fn whatever_start_was_killed_at_the_container_is_whole(t: &Test) {
    for step in 0..10 {
        let c = t.server();
        c.create().ok();
        let mut start = t.call(&["start", &c.id]).spawn();
        std::thread::sleep(Duration::from_micros(300 * step));
        start.kill();
        let _ = start.wait();
        let status = c.status();
        assert!(["created", "running", "stopped"].contains(&status.as_str()), "{status}");
        c.delete_force().ok();
    }
}

fn a_killed_run_leaves_what_delete_force_removes(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 may forget the container before its processes have gone",
    );
    let c = t.server();
    let mut running = c.running(&[]).spawn();
    tests::eventually("the program is ready", || running.stdout().contains("ready"));
    running.kill();
    let _ = running.wait();
    c.delete_force().ok();
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

/// A power failure leaves files empty.
fn a_truncated_state_file_does_not_prevent_delete_force(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers cannot delete a container whose state they cannot read");
    }
    for length in [0, 20] {
        let c = t.server();
        c.up_and_ready();
        let pid = c.pid();
        for file in tests::leaks::entries(&t.runtime.root.join(&c.id)) {
            if file.extension().is_some_and(|extension| extension == "json") && file.ends_with("state.json") {
                let file = std::fs::File::options().write(true).open(file).expect("open");
                file.set_len(length).expect("truncate");
            }
        }
        c.state_call().fails();
        // Whoever can still find the process ends it; here it is ended as a reboot would.
        let name = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
        let _ = rustix::process::kill_process(name, rustix::process::Signal::KILL);
        c.reap(pid);
        c.delete_force().ok();
        assert!(!t.runtime.root.join(&c.id).exists());
    }
}

fn a_stale_pid_is_a_stopped_container(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let pid = c.pid();
    let name = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    rustix::process::kill_process(name, rustix::process::Signal::KILL).expect("kill");
    // Not yet reaped: a zombie is stopped, too.
    tests::eventually("the zombie counts as stopped", || c.status() == "stopped");
    c.reap(pid);
    assert_eq!(c.status(), "stopped");
    c.kill("TERM").fails().says("container not running");
    c.exec(&["/bin/true"]).fails();
    c.delete().ok();
}
