//! `kill`: how a signal may be named, and to whom it can be sent.

use tests::{Container, Test, eventually};

tests::cases![
    signals_are_named_with_and_without_sig_and_in_any_case,
    signals_have_numbers,
    the_default_signal_is_term,
    an_unknown_signal_is_refused,
    kill_of_a_stopped_container_says_that_it_is_not_running,
    kill_of_an_unknown_container_says_that_it_does_not_exist,
    kill_all_reaches_every_process,
    kill_works_on_a_created_container,
    realtime_signals_can_be_sent,
    a_signal_without_handler_does_not_end_pid_1,
    kill_all_sends_a_signal_once,
];

/// A container that prints the name of each signal that it gets.
fn listener(t: &Test) -> Container<'_> {
    t.sh(
        "for s in HUP USR1 USR2 WINCH CONT; do trap \"echo got-$s\" $s; done; echo ready; \
          while :; do sleep 0.02; done",
    )
}

fn signals_are_named_with_and_without_sig_and_in_any_case(t: &Test) {
    let c = listener(t);
    let created = c.up_and_ready();
    for (name, number) in [("HUP", 1), ("SIGHUP", 2), ("hup", 3), ("sighup", 4)] {
        // crun knows the upper-case names only.
        if t.is("crun") && number > 2 {
            break;
        }
        c.kill(name).ok();
        eventually("the signal arrived", || {
            created.stdout_now().matches("got-HUP").count() == number
        });
    }
}

fn signals_have_numbers(t: &Test) {
    let c = listener(t);
    let created = c.up_and_ready();
    for (number, name) in [("10", "USR1"), ("12", "USR2"), ("28", "WINCH"), ("1", "HUP")] {
        c.kill(number).ok();
        eventually("the signal arrived", || {
            created.stdout_now().contains(&format!("got-{name}"))
        });
    }
}

fn the_default_signal_is_term(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let pid = c.pid();
    t.call(&["kill", &c.id]).run().ok();
    assert_eq!(c.reap(pid), 7);
}

fn an_unknown_signal_is_refused(t: &Test) {
    t.skip_on("crun", "takes an unknown name as signal 0");
    let c = t.server();
    c.up_and_ready();
    // runc hands a number to the kernel as it is: 0 is taken, 65 the kernel refuses.
    for signal in ["TEAPOT", "SIG", "-1", "65", "9x", "99999999999"] {
        let outcome = c.kill(signal);
        assert!(!outcome.status.success(), "`kill {signal:?}` was taken: {outcome}");
    }
    assert_eq!(c.status(), "running");
}

fn kill_of_a_stopped_container_says_that_it_is_not_running(t: &Test) {
    let c = t.container(&["/bin/true"]);
    c.up();
    c.wait_until_stopped();
    c.kill("TERM").fails().says("container not running");
    c.kill("KILL").fails().says("container not running");
}

fn kill_of_an_unknown_container_says_that_it_does_not_exist(t: &Test) {
    t.server().kill("TERM").fails().says("does not exist");
}

fn kill_all_reaches_every_process(t: &Test) {
    let mut c = t.sh("sleep 1001 & sleep 1002 & echo ready; wait");
    // Without a PID namespace of its own the end of the first process ends nobody else.
    c.no_namespace("pid");
    c.up_and_ready();
    t.call(&["kill", "--all", &c.id, "9"]).run().ok();
    let left = || {
        tests::leaks::processes(&t.runtime.token)
            .iter()
            .any(|(_, what)| what.contains("sleep 100"))
    };
    eventually("all processes are gone", || !left());
    c.wait_until_stopped();
    c.delete().ok();
}

fn kill_works_on_a_created_container(t: &Test) {
    let c = t.server();
    c.create().ok();
    let pid = c.pid();
    c.kill("KILL").ok();
    assert_eq!(c.reap(pid), 137);
    assert_eq!(c.status(), "stopped");
}

fn realtime_signals_can_be_sent(t: &Test) {
    let c = t.sh("trap 'exit 3' 40; echo ready; while :; do sleep 0.02; done");
    c.up_and_ready();
    let pid = c.pid();
    c.kill("40").ok();
    assert_eq!(c.reap(pid), 3);
}

/// The kernel's rule for PID 1; a runtime that runs a shim there would break it.
fn a_signal_without_handler_does_not_end_pid_1(t: &Test) {
    let c = t.sh("echo ready; while :; do sleep 0.02; done");
    c.up_and_ready();
    c.kill("TERM").ok();
    c.exec(&["/bin/true"]).ok();
    assert_eq!(c.status(), "running");
}

fn kill_all_sends_a_signal_once(t: &Test) {
    let c = t.sh("trap 'echo one' USR1; echo ready; while :; do sleep 0.02; done");
    let created = c.up_and_ready();
    t.call(&["kill", "--all", &c.id, "USR1"]).run().ok();
    eventually("the signal arrived", || created.stdout_now().contains("one"));
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(created.stdout_now().matches("one").count(), 1);
}
