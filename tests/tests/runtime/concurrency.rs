//! Many at once: nothing is lost, nothing is made twice.

use serde_json::json;
use tests::{Invocation, Outcome, Test, eventually};

tests::cases![
    of_two_creates_of_one_id_exactly_one_wins,
    of_two_starts_exactly_one_wins,
    twenty_containers_at_once,
    state_during_create_is_an_error_or_the_truth,
    a_create_that_ends_while_state_looks_was_not_killed,
    a_create_that_fails_while_state_looks_leaves_no_container,
    a_create_that_has_no_lock_yet_is_no_container,
    a_delete_before_create_has_the_lock_does_not_harm_it,
    delete_and_kill_at_once_do_no_harm,
    containers_with_parents_in_common_come_and_go,
    two_hundred_containers_at_once,
    whatever_is_called_at_once_on_one_id_leaves_nothing,
    a_storm_of_exec_is_counted_to_the_last,
    a_container_that_forks_without_end_is_killed,
];

fn of_two_creates_of_one_id_exactly_one_wins(t: &Test) {
    t.skip_on("runc", "runc 1.1 looks before it makes the directory, without a lock");
    for _ in 0..5 {
        let c = t.server();
        c.write_config();
        // Not `creation`, which would write config.json while another one reads it.
        let create = ["create", "--bundle", c.bundle.to_str().expect("path"), &c.id];
        let running: Vec<_> = (0..4).map(|_| t.call(&create).spawn()).collect();
        let outcomes: Vec<_> = running.into_iter().map(|running| running.wait()).collect();
        let won = outcomes.iter().filter(|outcome| outcome.status.success()).count();
        assert_eq!(won, 1, "{outcomes:?}");
        if t.is_roci() {
            for outcome in outcomes.into_iter().filter(|outcome| !outcome.status.success()) {
                outcome.fails().says("already exists");
            }
        }
        assert_eq!(c.status(), "created", "the losers left the winner alone");
        c.start().ok();
        c.exec(&["/bin/true"]).ok();
        c.delete_force().ok();
    }
}

fn of_two_starts_exactly_one_wins(t: &Test) {
    t.skip_on("runc", "the loser of two starts of runc 1.1 may wait for ever");
    for _ in 0..5 {
        let c = t.server();
        let created = c.create().ok();
        let running: Vec<_> = (0..4).map(|_| t.call(&["start", &c.id]).spawn()).collect();
        let won = running
            .into_iter()
            .map(|running| running.wait())
            .filter(|outcome| outcome.status.success())
            .count();
        // A peer's second start may return early with success: the FIFO is open, whoever reads it.
        if t.is_roci() {
            assert_eq!(won, 1);
        }
        assert!(won >= 1);
        eventually("the program is ready", || created.stdout_now().contains("ready"));
        assert_eq!(created.stdout_now(), "ready\n");
        c.delete_force().ok();
    }
}

fn twenty_containers_at_once(t: &Test) {
    let containers: Vec<_> = (0..20)
        .map(|number| t.sh(&format!("echo {number}; exit {number}")))
        .collect();
    let running: Vec<_> = containers.iter().map(|c| c.running(&[]).spawn()).collect();
    for (number, running) in running.into_iter().enumerate() {
        let outcome = running.wait().code(number as i32);
        assert_eq!(outcome.stdout, format!("{number}\n"));
    }
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn state_during_create_is_an_error_or_the_truth(t: &Test) {
    t.skip_on("crun", "crun 1.8 shows a state file that is half written");
    let c = t.server();
    let mut creation = c.creation(&[]).spawn();
    let mut seen = Vec::new();
    while !creation.is_over() {
        let outcome = c.state_call();
        if outcome.status.success() {
            let state = outcome.json();
            let status = state["status"].as_str().expect("status").to_owned();
            assert!(["creating", "created"].contains(&status.as_str()), "{outcome}");
            seen.push(status);
        }
    }
    creation.wait().ok();
    assert!(
        seen.is_sorted_by(|first, second| first != "created" || second == "created"),
        "{seen:?}"
    );
    assert_eq!(c.status(), "created");
}

/// The call with each of its locks taken late, so that what may happen just before happens.
fn with_late_locks(t: &Test, call: Invocation) -> Invocation {
    if !t.is_roci() {
        t.skip("it is about roci's lock");
    }
    t.needs("strace", "strace");
    call.under("strace", &["-o", "/dev/null", "-e", "inject=flock:delay_enter=700000"])
}

/// What `state` says that begins while create waits for a hook, and ends after the hook has ended with `code`.
fn state_while_create_ends(t: &Test, code: i32) -> Outcome {
    let mut c = t.server();
    let reached = t.path("reached");
    let script = format!("touch {}; sleep 0.4; exit {code}", reached.display());
    c.config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    let creation = c.creation(&[]).spawn();
    eventually("create is at work", || reached.exists());
    let state = with_late_locks(t, t.call(&["state", &c.id])).run();
    assert_eq!(creation.wait().status.success(), code == 0);
    state
}

fn a_create_that_ends_while_state_looks_was_not_killed(t: &Test) {
    let state = state_while_create_ends(t, 0).ok();
    assert_eq!(state.json()["status"], "created", "{state}");
}

fn a_create_that_fails_while_state_looks_leaves_no_container(t: &Test) {
    state_while_create_ends(t, 1).fails().says("does not exist");
}

fn a_create_that_has_no_lock_yet_is_no_container(t: &Test) {
    let c = t.server();
    let creation = with_late_locks(t, c.creation(&[])).spawn();
    eventually("create is at work", || t.runtime.root.join(&c.id).exists());
    c.state_call().fails().says("does not exist");
    assert!(!t.call(&["list"]).run().ok().stdout.contains(&c.id));
    creation.wait().ok();
}

fn a_delete_before_create_has_the_lock_does_not_harm_it(t: &Test) {
    let c = t.server();
    let creation = with_late_locks(t, c.creation(&[])).spawn();
    eventually("create is at work", || t.runtime.root.join(&c.id).exists());
    c.delete_force().ok();
    creation.wait().ok();
    assert_eq!(c.status(), "created");
}

fn delete_and_kill_at_once_do_no_harm(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let calls = [
        &["kill", &c.id, "KILL"][..],
        &["delete", "--force", &c.id],
        &["state", &c.id],
        &["delete", "--force", &c.id],
    ];
    let running: Vec<_> = calls.iter().map(|args| t.call(args).spawn()).collect();
    for running in running {
        let _ = running.wait();
    }
    // crun 1.8 fails for an unknown id with --force.
    let _ = c.delete_force();
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

/// One container's clean-up must not take away the cgroup that another one is just about to use.
fn containers_with_parents_in_common_come_and_go(t: &Test) {
    t.control();
    let mut containers: Vec<_> = (0..4).map(|_| t.container(&["/bin/true"])).collect();
    for (number, c) in containers.iter_mut().enumerate() {
        c.config["linux"]["cgroupsPath"] = serde_json::json!(format!("/{}parent/{number}", t.runtime.token));
        c.write_config();
    }
    for _ in 0..5 {
        let running: Vec<_> = containers.iter().map(|c| c.running(&[]).spawn()).collect();
        for running in running {
            running.wait().ok();
        }
    }
    for mount in tests::cgroup_mounts() {
        let _ = std::fs::remove_dir(mount.join(format!("{}parent", t.runtime.token)));
    }
}

/// All of them are there together: they are created before the first is started.
fn two_hundred_containers_at_once(t: &Test) {
    t.skip_on(
        "runc",
        "two hundred waiting processes of runc do not fit into every machine",
    );
    let containers: Vec<_> = (0..200).map(|_| t.container(&["/bin/sleep", "1000"])).collect();
    // One root file system for all: it is not changed.
    let rootfs = containers[0].rootfs();
    let create = |container: &tests::Container<'_>| {
        let mut config = container.config.clone();
        config["root"]["path"] = json!(rootfs);
        std::fs::write(container.bundle.join("config.json"), config.to_string()).expect("write");
        t.call(&[
            "create",
            "--bundle",
            container.bundle.to_str().expect("path"),
            &container.id,
        ])
        .limit(tests::patience(60))
        .spawn()
    };
    for some in containers.chunks(50) {
        let running: Vec<_> = some.iter().map(create).collect();
        for running in running {
            running.wait().ok();
        }
    }
    let list = t.call(&["list", "--quiet"]).run().ok();
    assert_eq!(list.stdout.lines().count(), 200);
    for command in [&["start"][..], &["kill"], &["delete", "--force"]] {
        for some in containers.chunks(50) {
            let call = |container: &tests::Container<'_>| {
                let mut words = command.to_vec();
                words.push(&container.id);
                if command == ["kill"] {
                    words.push("KILL");
                }
                t.call(&words).limit(tests::patience(60)).spawn()
            };
            let running: Vec<_> = some.iter().map(call).collect();
            for running in running {
                running.wait().ok();
            }
        }
    }
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn whatever_is_called_at_once_on_one_id_leaves_nothing(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have no lock");
    }
    let containers: Vec<_> = (0..3).map(|_| t.container(&["/bin/sleep", "1000"])).collect();
    containers.iter().for_each(tests::Container::write_config);
    // A simple generator, so that a failure can be seen again.
    let mut seed = 20_261_128_u32;
    let mut below = |end: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % end
    };
    for _ in 0..40 {
        let mut running = Vec::new();
        for _ in 0..12 {
            let c = &containers[below(3) as usize];
            let bundle = c.bundle.to_str().expect("path");
            let call = match below(8) {
                0 | 1 => t.call(&["create", "--bundle", bundle, &c.id]),
                2 => t.call(&["start", &c.id]),
                3 => t.call(&["kill", &c.id, "KILL"]),
                4 => t.call(&["delete", &c.id]),
                5 => t.call(&["delete", "--force", &c.id]),
                6 => t.call(&["exec", &c.id, "/bin/true"]),
                _ => t.call(&["state", &c.id]),
            };
            running.push(call.spawn());
        }
        for running in running {
            let outcome = running.wait();
            assert_ne!(outcome.status.code(), Some(101), "{outcome}");
            assert!(outcome.status.code().is_some(), "{outcome}");
        }
    }
    for c in &containers {
        c.delete_force().ok();
    }
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn a_storm_of_exec_is_counted_to_the_last(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    for round in 0..8 {
        let script = format!("echo {round} >> /count; exit {round}");
        let call = || {
            c.executing(&[], &["/bin/sh", "-c", &script])
                .limit(tests::patience(60))
                .spawn()
        };
        let running: Vec<_> = (0..25).map(|_| call()).collect();
        for running in running {
            running.wait().code(round);
        }
    }
    let count = std::fs::read_to_string(c.rootfs().join("count")).expect("the file");
    assert_eq!(count.lines().count(), 200);
    c.delete_force().ok();
}

fn a_container_that_forks_without_end_is_killed(t: &Test) {
    t.needs_v1_controller("pids");
    let mut c = t.sh("echo ready; fork() { fork & fork; }; while :; do fork; done 2>/dev/null");
    c.config["linux"]["resources"]["pids"] = json!({"limit": 60});
    let created = c.up();
    eventually("it forks", || created.stdout_now().contains("ready"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    // No room is left for one more, which is said, and harms nobody.
    let _ = c.exec(&["/bin/true"]);
    c.delete_force().ok();
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
    // Without a pid namespace there is nobody whose death ends them all.
    let mut c = t.sh("echo ready; fork() { fork & fork; }; while :; do fork; done 2>/dev/null");
    c.config["linux"]["resources"]["pids"] = json!({"limit": 60});
    c.no_namespace("pid");
    let created = c.up();
    eventually("it forks", || created.stdout_now().contains("ready"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    c.delete_force().ok();
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}
