//! Hooks: all six kinds, what they get, where they run, and what their failure does.

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use tests::{Container, Test, eventually};

tests::cases![
    hooks_run_in_the_order_of_the_specification,
    hooks_get_the_state_on_standard_input,
    hooks_run_in_their_namespaces,
    hooks_get_their_arguments_and_environment,
    a_hook_that_does_not_read_the_state_is_no_failure,
    a_failing_hook_of_create_undoes_everything,
    a_failing_start_container_hook_stops_the_container,
    a_failing_poststart_hook_stops_the_container,
    a_failing_poststop_hook_is_a_warning,
    a_hook_that_takes_too_long_is_killed,
    a_hook_that_does_not_exist_fails_create,
    hooks_after_a_failing_one_do_not_run,
    run_runs_all_hooks,
    delete_force_runs_poststop_hooks,
    poststop_hooks_follow_where_a_hook_or_the_program_fails,
    a_relative_hook_path_is_refused,
    start_container_hooks_are_the_containers_programs,
    the_network_can_be_set_up_by_a_hook,
];

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Adds a hook that runs a shell script; those of the container's namespaces find busybox under the same path.
fn hook(c: &mut Container, kind: &str, script: &str) {
    let entry = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]});
    let hooks = c
        .config
        .as_object_mut()
        .expect("object")
        .entry("hooks")
        .or_insert(json!({}));
    let list = hooks.as_object_mut().expect("object").entry(kind).or_insert(json!([]));
    list.as_array_mut().expect("array").push(entry);
}

/// Where a hook of this kind writes: startContainer sees the container's file system, the others the host's. The hook
/// createContainer is run before pivot_root, so that it still sees the host's.
fn place(t: &Test, kind: &str) -> String {
    if kind == "startContainer" {
        String::new()
    } else {
        t.dir.to_str().expect("path").to_owned()
    }
}

fn hooks_run_in_the_order_of_the_specification(t: &Test) {
    let mut c = t.sh("echo program >> /log");
    let log = c.rootfs().join("log");
    for kind in KINDS {
        let file = if kind == "startContainer" {
            "/log".to_owned()
        } else {
            log.display().to_string()
        };
        hook(&mut c, kind, &format!("echo {kind}-1 >> {file}"));
        hook(&mut c, kind, &format!("echo {kind}-2 >> {file}"));
    }
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let lines = |kinds: &[&str]| {
        kinds
            .iter()
            .map(|kind| format!("{kind}-1\n{kind}-2\n"))
            .collect::<String>()
    };
    c.create().ok();
    // Differs from runc because runc 1.1 runs the poststart hooks at the end of create; the specification: "after the
    // user-specified process is executed but before the start operation returns".
    t.skip_on("runc", "runc 1.1 runs poststart hooks in create");
    t.skip_on("crun", "crun 1.8 starts poststart hooks beside startContainer's");
    assert_eq!(read(), lines(&KINDS[..3]));
    c.start().ok();
    c.wait_until_stopped();
    // The program and the poststart hooks run side by side.
    let log_now = read();
    assert!(log_now.starts_with(&lines(&KINDS[..4])), "{log_now}");
    let mut rest: Vec<_> = log_now[lines(&KINDS[..4]).len()..].lines().collect();
    rest.retain(|line| *line != "program");
    assert_eq!(rest, ["poststart-1", "poststart-2"], "{log_now}");
    assert!(log_now.contains("program\n"), "{log_now}");
    let before = log_now.len();
    c.delete().ok();
    assert_eq!(&read()[before..], "poststop-1\npoststop-2\n");
}

fn hooks_get_the_state_on_standard_input(t: &Test) {
    let mut c = t.server();
    c.config["annotations"] = json!({"org.example.key": "value"});
    for kind in KINDS {
        hook(&mut c, kind, &format!("cat > {}/{kind}.json", place(t, kind)));
    }
    c.create().ok();
    let pid = c.pid();
    c.start().ok();
    let state = |kind: &str| -> Value {
        let directory = if kind == "startContainer" {
            c.rootfs()
        } else {
            t.dir.clone()
        };
        let text = std::fs::read_to_string(directory.join(format!("{kind}.json"))).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind} got no state ({error}): {text:?}"))
    };
    eventually("the start hooks ran", || {
        t.path("poststart.json").exists() && c.status() == "running"
    });
    c.kill("KILL").ok();
    c.reap(pid);
    c.delete().ok();
    for kind in KINDS {
        let state = state(kind);
        assert_eq!(state["id"], json!(c.id), "{kind}");
        // crun gives startContainer hooks its working directory.
        if !t.is("crun") {
            assert_eq!(state["bundle"], json!(c.bundle), "{kind}");
        }
        assert!(state["ociVersion"].is_string(), "{kind}: {state}");
        assert_eq!(state["annotations"]["org.example.key"], "value", "{kind}: {state}");
        let expected = match kind {
            // "Created" is what follows step 2 of the lifecycle, and hooks come after it; runc says "creating".
            "prestart" | "createRuntime" | "createContainer" => ["created", "creating"],
            "startContainer" => ["created", "created"],
            "poststart" => ["running", "running"],
            _ => ["stopped", "stopped"],
        };
        // runc 1.1 runs the poststart hooks in create.
        if t.is("runc") && kind == "poststart" {
            continue;
        }
        let status = state["status"].as_str().expect("status");
        // crun 1.8 says "created" to startContainer and poststart alike.
        if !t.is("crun") {
            assert!(expected.contains(&status), "{kind}: {state}");
        }
        if t.is_roci() {
            assert_eq!(status, expected[0], "{kind}: {state}");
        }
        match kind {
            "prestart" | "createRuntime" | "poststart" => assert_eq!(state["pid"], json!(pid), "{kind}: {state}"),
            "poststop" => assert_eq!(state["pid"].as_i64().unwrap_or(0), 0, "{state}"),
            // In the container's PID namespace that number would mean nothing; runc gives the host's all the same.
            _ => assert!(state["pid"].as_i64().unwrap_or(0) >= 0, "{kind}: {state}"),
        }
    }
}

fn hooks_run_in_their_namespaces(t: &Test) {
    let mut c = t.server();
    for kind in KINDS {
        let script = format!(
            "for n in mnt net uts; do readlink /proc/self/ns/$n; done > {}/{kind}.ns",
            place(t, kind)
        );
        hook(&mut c, kind, &script);
    }
    c.up_and_ready();
    let of = |pid: String| {
        ["mnt", "net", "uts"].map(|name| {
            std::fs::read_link(format!("/proc/{pid}/ns/{name}"))
                .expect("a namespace")
                .to_string_lossy()
                .into_owned()
        })
    };
    let (host, container) = (of("self".into()), of(c.pid().to_string()));
    c.delete_force().ok();
    for kind in KINDS {
        let directory = if kind == "startContainer" {
            c.rootfs()
        } else {
            t.dir.clone()
        };
        let text = std::fs::read_to_string(directory.join(format!("{kind}.ns"))).unwrap_or_default();
        let found: Vec<_> = text.lines().collect();
        let expected = if ["createContainer", "startContainer"].contains(&kind) {
            &container
        } else {
            &host
        };
        assert_eq!(found, expected, "{kind}");
    }
}

fn hooks_get_their_arguments_and_environment(t: &Test) {
    let mut c = t.sh("true");
    let script = t.path("hook");
    let out = t.path("out");
    std::fs::write(
        &script,
        format!("#!/bin/sh\n(echo \"$0|$1|$2\"; /usr/bin/env) > {}\n", out.display()),
    )
    .expect("write");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("chmod");
    c.config["hooks"] = json!({"createRuntime": [
        {"path": script, "args": ["zero", "one", "two words"], "env": ["A=1", "B=\"q\""]},
    ]});
    c.running(&[]).env("SECRET_OF_THE_CALLER", "1").run().ok();
    let text = std::fs::read_to_string(&out).expect("the hook's output");
    // A script is given its path as $0 by the kernel, whatever the first argument was.
    assert!(text.contains("|one|two words\n"), "{text}");
    assert!(text.contains("A=1\n") && text.contains("B=\"q\"\n"), "{text}");
    assert!(!text.contains("SECRET_OF_THE_CALLER"), "{text}");
}

fn a_hook_that_does_not_read_the_state_is_no_failure(t: &Test) {
    let mut c = t.sh("echo fine");
    // The annotation makes the state larger than a pipe.
    c.config["annotations"] = json!({"org.example.long": "x".repeat(if t.is_roci() { 1000 } else { 100_000 })});
    for kind in KINDS {
        hook(&mut c, kind, "exec <&-; exit 0");
    }
    t.skip_on("crun", "crun 1.8 fails when the hook does not read");
    assert_eq!(c.output(), "fine\n");
}

fn a_failing_hook_of_create_undoes_everything(t: &Test) {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut c = t.sh("echo ran > /ran");
        hook(&mut c, kind, "echo the reason >&2; exit 3");
        let outcome = c.create();
        assert!(!outcome.status.success(), "{kind}: {outcome}");
        assert!(outcome.stderr.contains("hook"), "{kind}: {outcome}");
        c.state_call().fails().says("does not exist");
        let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
        assert!(left.is_empty(), "{kind} left behind:\n{left}");
        assert!(!c.rootfs().join("ran").exists());
    }
}

fn a_failing_start_container_hook_stops_the_container(t: &Test) {
    let mut c = t.sh("echo ran > /ran");
    hook(&mut c, "startContainer", "exit 3");
    c.create().ok();
    let pid = c.pid();
    let started = c.start();
    // Differs from runc because runc 1.1's start is over when the program's process has passed the FIFO; the
    // specification: "If any startContainer hook fails, the runtime MUST generate an error, stop the container".
    if t.is_roci() {
        started.fails();
    }
    c.reap(pid);
    assert_eq!(c.status(), "stopped");
    assert!(!c.rootfs().join("ran").exists(), "the program ran");
}

fn a_failing_poststart_hook_stops_the_container(t: &Test) {
    // The specification since 1.3: "If any poststart hook fails, the runtime MUST generate an error, stop the
    // container, and continue the lifecycle at step 12". The peers are older: an error of create, or a warning.
    if !t.is_roci() {
        t.skip("the peers implement an older specification");
    }
    let mut c = t.server();
    hook(&mut c, "poststart", "exit 3");
    c.create().ok();
    let pid = c.pid();
    c.start().fails();
    assert_eq!(c.reap(pid), 137);
    assert_eq!(c.status(), "stopped");
    c.delete().ok();
}

fn a_failing_poststop_hook_is_a_warning(t: &Test) {
    let mut c = t.sh("true");
    hook(&mut c, "poststop", "exit 3");
    let marker = t.path("second");
    hook(&mut c, "poststop", &format!("touch {}", marker.display()));
    c.up();
    c.wait_until_stopped();
    t.skip_on("crun", "crun 1.8 ends at the first failing hook");
    c.delete().ok();
    c.state_call().fails().says("does not exist");
    // "the runtime MUST log a warning, but the remaining hooks and lifecycle continue as if the hook had succeeded";
    // runc 1.1 leaves the remaining hooks out.
    if t.is_roci() {
        assert!(marker.exists(), "the hooks after it ran");
    }
}

fn a_hook_that_takes_too_long_is_killed(t: &Test) {
    let mut c = t.server();
    hook(&mut c, "createRuntime", "exec sleep 1000");
    c.config["hooks"]["createRuntime"][0]["timeout"] = json!(1);
    let start = std::time::Instant::now();
    let outcome = c.create();
    assert!(!outcome.status.success(), "{outcome}");
    let time = start.elapsed();
    assert!(time >= std::time::Duration::from_millis(900), "{outcome}");
    assert!(time < tests::patience(5), "{time:?}: {outcome}");
    outcome.roci_says("hooks.createRuntime[0] /bin/sh: timed out after 1 s");
    c.state_call().fails();
    let mut c = t.sh("echo fine");
    hook(&mut c, "createRuntime", "sleep 0.1");
    c.config["hooks"]["createRuntime"][0]["timeout"] = json!(10);
    assert_eq!(c.output(), "fine\n");
}

fn a_hook_that_does_not_exist_fails_create(t: &Test) {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut c = t.server();
        c.config["hooks"] = json!({kind: [{"path": "/no/such/hook"}]});
        c.create().fails().says("no such file or directory");
        c.state_call().fails();
    }
}

fn hooks_after_a_failing_one_do_not_run(t: &Test) {
    let mut c = t.server();
    hook(&mut c, "createRuntime", "exit 1");
    hook(
        &mut c,
        "createRuntime",
        &format!("touch {}", t.path("second").display()),
    );
    c.create().fails();
    assert!(!t.path("second").exists());
}

fn run_runs_all_hooks(t: &Test) {
    let mut c = t.sh("echo fine");
    for kind in KINDS {
        hook(&mut c, kind, &format!("touch {}/{kind}.ran", place(t, kind)));
    }
    assert_eq!(c.output(), "fine\n");
    for kind in KINDS {
        let directory = if kind == "startContainer" {
            c.rootfs()
        } else {
            t.dir.clone()
        };
        assert!(directory.join(format!("{kind}.ran")).exists(), "{kind} did not run");
    }
}

/// runtime.md, Lifecycle: where a hook fails, and so where the program cannot be started, the lifecycle goes on with the steps
/// that end it. What fails before that has had no container.
fn poststop_hooks_follow_where_a_hook_or_the_program_fails(t: &Test) {
    t.skip_on("runc", "runc 1.1 runs none of them");
    t.skip_on("crun", "not looked at");
    let with = |c: &mut Container, name: &str| {
        let marker = t.path(name);
        hook(c, "poststop", &format!("touch {}", marker.display()));
        marker
    };
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        let mut c = t.sh("true");
        hook(&mut c, kind, "exit 3");
        let marker = with(&mut c, kind);
        c.run().fails();
        assert!(marker.exists(), "{kind}");
    }
    let mut c = t.container(&["/no/such/program"]);
    let marker = with(&mut c, "program");
    c.run().fails();
    assert!(marker.exists());
    let mut c = t.sh("true");
    c.mount("/data", "bind", "/no/such/source", &["bind"]);
    let marker = with(&mut c, "mount");
    c.run().fails();
    assert!(!marker.exists());
}

fn delete_force_runs_poststop_hooks(t: &Test) {
    let mut c = t.server();
    hook(&mut c, "poststop", &format!("touch {}", t.path("ran").display()));
    c.up_and_ready();
    c.delete_force().ok();
    assert!(t.path("ran").exists());
}

fn a_relative_hook_path_is_refused(t: &Test) {
    let mut c = t.server();
    c.config["hooks"] = json!({"createRuntime": [{"path": "bin/sh"}]});
    // The specification: "path (string, REQUIRED) ... The path MUST be absolute".
    t.skip_on("crun", "crun 1.8 starts it relative to its directory");
    c.create().fails();
}

fn start_container_hooks_are_the_containers_programs(t: &Test) {
    let mut c = t.sh("echo program");
    let script = c.rootfs().join("only-inside");
    std::fs::write(&script, "#!/bin/sh\ncat >/state; echo done > /hook-ran\n").expect("write");
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).expect("chmod");
    c.config["hooks"] = json!({"startContainer": [{"path": "/only-inside"}]});
    assert_eq!(c.output(), "program\n");
    assert!(c.rootfs().join("hook-ran").exists());
}

/// What dockerd does: a hook opens the network namespace of the pid that the state has.
fn the_network_can_be_set_up_by_a_hook(t: &Test) {
    t.needs("ip", "iproute2");
    t.needs("nsenter", "util-linux");
    for kind in ["prestart", "createRuntime"] {
        let mut c = t.sh("cat /sys/class/net/dummy7/address");
        let script = "pid=$(sed 's/.*\"pid\"[: ]*\\([0-9]*\\).*/\\1/'); \
                      nsenter -t $pid -n ip link add dummy7 address 02:00:00:00:00:07 type veth peer name dummy8";
        hook(&mut c, kind, script);
        assert_eq!(c.output(), "02:00:00:00:00:07\n", "{kind}");
    }
}
