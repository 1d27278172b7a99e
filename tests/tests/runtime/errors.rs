//! What is refused, in which words, and that nothing is left of it.

use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use tests::{Container, Test};

tests::cases![
    a_pid_file_does_not_outlive_a_create_that_fails,
    help_lists_the_options,
    a_line_names_the_command_and_the_container_where_there_is_one,
    whatever_stands_on_the_command_line_is_obeyed_or_refused,
    a_missing_bundle_is_refused,
    a_missing_configuration_is_refused,
    malformed_json_is_refused,
    json_that_is_cut_off_is_refused,
    a_wrong_type_is_refused,
    roci_names_the_place_of_an_error_in_the_configuration,
    empty_args_are_refused,
    a_missing_process_is_refused,
    a_relative_working_directory_is_refused,
    a_missing_rootfs_is_refused,
    a_rootfs_that_is_a_file_is_refused,
    a_program_that_is_not_there_is_an_error,
    a_program_that_is_not_in_the_path_is_an_error,
    a_program_that_is_not_executable_is_an_error,
    a_directory_is_not_a_program,
    an_interpreter_that_is_not_there_is_an_error,
    a_file_that_is_no_program_is_an_error,
    a_working_directory_that_is_a_file_is_an_error,
    an_unknown_namespace_is_refused,
    a_namespace_named_twice_is_refused,
    an_unknown_rlimit_is_refused,
    a_rlimit_named_twice_is_refused,
    a_mount_that_fails_is_named,
    an_unsupported_version_is_refused,
    an_unknown_property_is_ignored,
    an_unknown_option_is_a_usage_error,
    an_unknown_command_is_a_usage_error,
    a_missing_id_is_a_usage_error,
    too_many_entries_are_refused_with_the_name_of_the_limit,
    a_setup_that_fails_late_leaves_nothing,
    an_unknown_annotation_of_rocis_own_is_refused,
];

/// `create` and `run` must fail, and leave the machine as if they had never been called.
#[track_caller]
fn refused(t: &Test, c: &Container, words: &str) {
    c.write_config();
    refused_as_written(t, c, words);
}

#[track_caller]
fn refused_as_written(t: &Test, c: &Container, words: &str) {
    let bundle = c.bundle.to_str().expect("path");
    for command in ["create", "run"] {
        let outcome = t.call(&[command, "--bundle", bundle, &c.id]).run().fails().says(words);
        assert_eq!(outcome.stdout, "", "the message belongs on standard error");
        let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
        assert!(left.is_empty(), "`{command}` failed and left behind:\n{left}");
    }
}

fn a_missing_bundle_is_refused(t: &Test) {
    let missing = t.path("no-such-bundle");
    let outcome = t
        .call(&[
            "create",
            "--bundle",
            missing.to_str().expect("path"),
            &format!("{}a", t.runtime.token),
        ])
        .run();
    outcome.fails().says("no such file or directory");
}

fn a_missing_configuration_is_refused(t: &Test) {
    let c = t.server();
    // Differs from runc in words: "JSON specification file config.json not found".
    let words = if t.is_roci() {
        "no such file or directory"
    } else {
        "config.json"
    };
    refused_as_written(t, &c, words);
}

fn malformed_json_is_refused(t: &Test) {
    let c = t.server();
    for text in [
        "",
        "{",
        "not json",
        "[]",
        "{\"ociVersion\": \"1.0.2\",}",
        "{\"ociVersion\" \"1.0.2\"}",
        "\0\0\0",
    ] {
        std::fs::write(c.bundle.join("config.json"), text).expect("write");
        refused_as_written(t, &c, "");
    }
}

fn json_that_is_cut_off_is_refused(t: &Test) {
    let c = t.server();
    let text = serde_json::to_string(&c.config).expect("JSON");
    for length in [10, text.len() / 2, text.len() - 1] {
        std::fs::write(c.bundle.join("config.json"), &text[..length]).expect("write");
        refused_as_written(t, &c, "");
    }
}

fn a_wrong_type_is_refused(t: &Test) {
    t.skip_on("crun", "reads a number that is a string as 0");
    for (pointer, value) in [
        ("/process/args", json!("sh")),
        ("/process/user/uid", json!("root")),
        ("/process/user/uid", json!(-1)),
        ("/root/readonly", json!("yes")),
        ("/mounts", json!({})),
        ("/hostname", json!(5)),
        ("/linux/namespaces", json!("pid")),
    ] {
        let mut c = t.server();
        *c.config.pointer_mut(pointer).expect("a member") = value;
        refused(t, &c, "");
    }
}

fn roci_names_the_place_of_an_error_in_the_configuration(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers do not name line and column");
    }
    let mut c = t.server();
    c.config["process"]["user"]["uid"] = json!("root");
    c.write_config();
    let text = std::fs::read_to_string(c.bundle.join("config.json")).expect("read");
    let line = 1 + text.lines().position(|line| line.contains("\"uid\"")).expect("uid");
    let outcome = c.create().fails().says("process.user.uid");
    outcome.says(&format!("config.json:{line}:"));
}

fn empty_args_are_refused(t: &Test) {
    let mut c = t.server();
    c.config["process"]["args"] = json!([]);
    refused(t, &c, "args");
}

fn a_missing_process_is_refused(t: &Test) {
    let mut c = t.server();
    c.config.as_object_mut().expect("object").remove("process");
    // The specification needs `process` for start only; runc and crun refuse at create, when nothing has happened yet.
    if t.is_roci() && c.create().status.success() {
        c.start().fails().says("process");
        return;
    }
    refused(t, &c, "process");
}

fn a_relative_working_directory_is_refused(t: &Test) {
    let mut c = t.server();
    c.config["process"]["cwd"] = json!("tmp");
    // crun takes a relative cwd as relative to the root.
    t.skip_on("crun", "takes a relative cwd, against the specification");
    refused(t, &c, "absolute");
    c.config["process"]["cwd"] = json!("");
    refused(t, &c, "");
}

fn a_missing_rootfs_is_refused(t: &Test) {
    let mut c = t.server();
    c.config["root"]["path"] = json!("no-such-directory");
    refused(
        t,
        &c,
        if t.is_roci() {
            "no such file or directory"
        } else {
            "no-such-directory"
        },
    );
}

fn a_rootfs_that_is_a_file_is_refused(t: &Test) {
    let mut c = t.server();
    std::fs::write(c.bundle.join("file"), "").expect("write");
    c.config["root"]["path"] = json!("file");
    refused(t, &c, "");
}

fn a_program_that_is_not_there_is_an_error(t: &Test) {
    let c = t.container(&["/no/such/program"]);
    refused(t, &c, "no such file or directory");
}

fn a_program_that_is_not_in_the_path_is_an_error(t: &Test) {
    let mut c = t.container(&["no-such-program"]);
    refused(t, &c, "executable file not found in $PATH");
    c.config["process"]["env"] = json!([format!("ROCI_TEST_TOKEN={}", t.runtime.token)]);
    refused(t, &c, "executable file not found in $PATH");
}

fn a_program_that_is_not_executable_is_an_error(t: &Test) {
    let c = t.container(&["/bin/data"]);
    std::fs::write(c.rootfs().join("bin/data"), "#!/bin/sh\n").expect("write");
    refused(t, &c, "permission denied");
}

fn a_directory_is_not_a_program(t: &Test) {
    let c = t.container(&["/bin"]);
    refused(t, &c, if t.is_roci() { "permission denied" } else { "" });
}

/// The interpreter is the kernel's business at execve: runc and crun notice at start, when the status is known to
/// nobody; what must not happen is a container that is said to run.
#[track_caller]
fn never_runs(t: &Test, c: &Container, words: &str) {
    let created = c.create();
    if created.status.success() {
        let pid = c.pid();
        let started = c.start();
        if t.is_roci() {
            started.fails().says(words);
        }
        c.reap(pid);
        assert_eq!(c.status(), "stopped");
        c.delete().ok();
    } else {
        created.fails().says(words);
    }
    let outcome = c.run();
    assert!(!outcome.status.success(), "{outcome}");
    assert!(outcome.stderr.to_lowercase().contains(words), "{outcome}");
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn an_interpreter_that_is_not_there_is_an_error(t: &Test) {
    let c = t.container(&["/bin/script"]);
    let script = c.rootfs().join("bin/script");
    std::fs::write(&script, "#!/no/such/interpreter\n").expect("write");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("chmod");
    never_runs(t, &c, "no such file or directory");
}

fn a_file_that_is_no_program_is_an_error(t: &Test) {
    let c = t.container(&["/bin/garbage"]);
    let program = c.rootfs().join("bin/garbage");
    std::fs::write(&program, [0x7f, b'E', b'L', b'F', 9, 9, 9, 9]).expect("write");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");
    never_runs(t, &c, "exec format error");
}

fn a_working_directory_that_is_a_file_is_an_error(t: &Test) {
    let mut c = t.server();
    c.config["process"]["cwd"] = json!("/etc/passwd");
    refused(t, &c, "not a directory");
}

fn an_unknown_namespace_is_refused(t: &Test) {
    let mut c = t.server();
    c.namespace("teapot", None);
    refused(t, &c, "teapot");
}

fn a_namespace_named_twice_is_refused(t: &Test) {
    let mut c = t.server();
    c.config["linux"]["namespaces"]
        .as_array_mut()
        .expect("array")
        .push(json!({"type": "uts"}));
    // crun's join of the same bits has no such check.
    t.skip_on("crun", "accepts a namespace named twice, against the specification");
    refused(t, &c, "");
}

fn an_unknown_rlimit_is_refused(t: &Test) {
    let mut c = t.server();
    c.config["process"]["rlimits"] = json!([{"type": "RLIMIT_TEAPOT", "soft": 1, "hard": 1}]);
    refused(t, &c, "RLIMIT_TEAPOT");
}

fn a_rlimit_named_twice_is_refused(t: &Test) {
    let mut c = t.server();
    let limit = json!({"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64});
    c.config["process"]["rlimits"] = json!([limit, limit]);
    // Differs from runc because runc 1.1 takes the last one; the specification: "If rlimits contains duplicated
    // entries with same type, the runtime MUST generate an error."
    t.skip_on("runc", "takes a rlimit twice, against the specification");
    t.skip_on("crun", "takes a rlimit twice, against the specification");
    refused(t, &c, "process.rlimits[1]");
}

fn a_mount_that_fails_is_named(t: &Test) {
    let mut c = t.server();
    c.mount("/data", "bind", t.path("no-such-source"), &["bind"]);
    refused(t, &c, "no such file or directory");
    refused(t, &c, if t.is_roci() { "/data" } else { "" });
    c.unmount("/data").mount("/weird", "nosuchfs", "none", &[]);
    refused(t, &c, if t.is_roci() { "no such device" } else { "" });
    refused(t, &c, if t.is_roci() { "mounts[" } else { "" });
    c.unmount("/weird").mount("/tmpfs", "tmpfs", "tmpfs", &["mode=potato"]);
    refused(t, &c, if t.is_roci() { "invalid argument" } else { "" });
}

fn an_unsupported_version_is_refused(t: &Test) {
    let mut c = t.server();
    // crun looks at nothing but the first character of the version.
    t.skip_on("crun", "does not check ociVersion");
    for version in ["2.0.0", "", "one"] {
        c.config["ociVersion"] = json!(version);
        // Differs from runc because runc does not look at the version; the specification: a runtime MUST generate an
        // error for values that it does not support.
        t.skip_on("runc", "does not check ociVersion");
        refused(t, &c, "ociVersion");
    }
}

fn an_unknown_property_is_ignored(t: &Test) {
    let mut c = t.sh("echo fine");
    c.config["teapot"] = json!({"deep": [1, 2.5e3, null, true, {"x": "\u{1F375}"}]});
    c.config["process"]["teapot"] = json!([[], {}, "]}"]);
    c.config["linux"]["teapot"] = json!(-1.5);
    c.config["linux"]["resources"]["teapot"] = json!(null);
    // crun reads the number before the first dash only when there is none after it.
    if !t.is("crun") {
        c.config["ociVersion"] = json!("1.3.7-future");
    }
    assert_eq!(c.output(), "fine\n");
}

fn an_unknown_option_is_a_usage_error(t: &Test) {
    let c = t.server();
    c.write_config();
    let outcome = t.call(&["create", "--no-such-option", &c.id]).cwd(&c.bundle).run();
    assert!(!outcome.status.success(), "{outcome}");
    if t.is_roci() {
        outcome.code(2).says("--no-such-option");
    }
}

fn an_unknown_command_is_a_usage_error(t: &Test) {
    let outcome = t.call(&["teapot"]).run();
    // runc prints its help and exits 3 for an unknown command.
    assert!(!outcome.status.success(), "{outcome}");
    if t.is_roci() {
        outcome.code(2).says("teapot");
    }
}

fn a_missing_id_is_a_usage_error(t: &Test) {
    for command in [
        "create", "start", "state", "kill", "delete", "exec", "run", "ps", "pause", "resume",
    ] {
        let outcome = t.call(&[command]).run();
        assert!(!outcome.status.success(), "{command}: {outcome}");
        if t.is_roci() {
            assert_eq!(outcome.status.code(), Some(2), "{command}: {outcome}");
        }
    }
}

fn too_many_entries_are_refused_with_the_name_of_the_limit(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have no such limits");
    }
    let mut c = t.server();
    let options: Vec<_> = (0..10_000).map(|number| format!("option{number}")).collect();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    c.mount("/many", "tmpfs", "tmpfs", &options);
    c.write_config();
    let last = c.config["mounts"].as_array().expect("mounts").len() - 1;
    let outcome = c.create().fails().says("config.json:").says("more than").says("_MAX)");
    outcome.says(&format!("mounts[{last}].options"));
    refused(t, &c, "_MAX)");
    let mut c = t.server();
    let args: Vec<_> = (0..100_000).map(|_| "x").collect();
    c.config["process"]["args"] = json!(args);
    refused(t, &c, "_MAX)");
}

/// A device that cannot be is found after namespaces, mounts and cgroups were made.
fn a_setup_that_fails_late_leaves_nothing(t: &Test) {
    let mut c = t.server();
    c.config["linux"]["sysctl"] = json!({"net.ipv4.no_such_sysctl": "1"});
    refused(t, &c, "no such file or directory");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}cg", t.runtime.token));
    c.config["process"]["args"] = json!(["/no/such/program"]);
    refused(t, &c, "no such file or directory");
}

fn an_unknown_annotation_of_rocis_own_is_refused(t: &Test) {
    if !t.is_roci() {
        t.skip("the prefix io.roci. is roci's");
    }
    let mut c = t.server();
    c.config["annotations"] = json!({"io.roci.tea-pot": "1"});
    refused(t, &c, "io.roci.tea-pot");
}

fn a_line_names_the_command_and_the_container_where_there_is_one(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have other words");
    }
    for (args, line) in [
        (
            &["list", "--format", "xml"][..],
            "roci: list: --format: neither table nor json: xml\n",
        ),
        (&["state", "none"], "roci: state none: container does not exist\n"),
        (&["nonsense"], "roci: no such command: nonsense: see roci --help\n"),
    ] {
        let outcome = t.call(args).run();
        assert!(!outcome.status.success() && outcome.stderr == line, "{outcome}");
    }
}

fn help_lists_the_options(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have other words");
    }
    let help = t.call(&["--help"]).run().ok().stdout;
    for (command, own, others) in [
        ("create", "--pid-file", "--detach"),
        ("run", "--detach", "--follow"),
        ("exec", "--user", "--bundle"),
        ("events", "--interval", "--bundle"),
        ("delete", "--force", "--all"),
    ] {
        let text = t.call(&[command, "--help"]).run().ok().stdout;
        let lists = |text: &str, option: &str| text.split_whitespace().any(|word| word == option);
        assert!(
            lists(&text, own) && !lists(&text, others) && !lists(&text, "--root"),
            "{text}"
        );
        // What options are for stands in one column.
        let rows = text
            .lines()
            .filter(|line| line.starts_with("  -") || line.starts_with("      --"));
        for row in rows {
            let is_in_place = row.rfind("  ").unwrap_or_default() < 36 && !row[36..].starts_with(' ');
            assert!(is_in_place, "{command}: {row}");
        }
        // What goes before every command stands in the help of all.
        assert!(lists(&help, "--root") && !lists(&help, own), "{help}");
    }
}

/// Words that mean something, in any order, as a user who can do no harm.
fn whatever_stands_on_the_command_line_is_obeyed_or_refused(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have other words");
    }
    let help = t.call(&["--help"]).run().ok().stdout;
    let commands: Vec<&str> =
        "create start run exec state list ps kill pause resume update events delete spec features check diff network"
            .split(' ')
            .collect();
    let mut words: Vec<String> = help
        .split_whitespace()
        .map(|word| word.trim_matches([',', '[', ']', '=']).to_owned())
        .collect();
    for command in &commands {
        let text = t.call(&[command, "--help"]).run().ok().stdout;
        words.extend(
            text.split_whitespace()
                .map(|word| word.trim_matches([',', '[', ']', '=']).to_owned()),
        );
    }
    let odd = [
        "",
        "-",
        "--",
        "---",
        "--=",
        "=",
        "--root",
        "--root=",
        "../x",
        "web",
        "\u{fc}",
        "-1",
        "4294967296",
        "18446744073709551616",
        "a=b",
        "--user=",
        "1:2",
        "--env",
        "A",
        "/",
        ".",
        "%",
        "--policy=seccomp=maybe",
        "--cap=",
        "0",
        "KILL",
        "--pid-file=/proc/self/mem",
        "--console-socket=/",
        "--format=json",
        "--all",
        "-it",
        "-dp",
        "--preserve-fds=9999999999",
        "--log=/dev/full",
        "--log-format=x",
    ];
    words.extend(odd.map(str::to_owned));
    words.push("x".repeat(5000));
    words.retain(|word| !word.contains('\0') && word != "--follow");
    let state = t.path("nobodys");
    std::fs::create_dir(&state).expect("mkdir");
    crate::rootless::give_away(t);
    let mut seed = 20_261_128_u32;
    let mut below = |end: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as usize % end
    };
    let rounds = std::env::var("ROCI_TEST_LINES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    for _ in 0..rounds {
        let mut line = vec![commands[below(commands.len())]];
        for _ in 0..below(7) {
            line.insert(below(line.len() + 1), &words[below(words.len())]);
        }
        // `events` goes on for as long as the container lives, and there is none.
        let call = t
            .runtime
            .bare(&line)
            .cwd(&state)
            .env("XDG_RUNTIME_DIR", state.to_str().expect("path"));
        let outcome = crate::rootless::as_user(call).cwd(&state).run();
        let code = outcome.status.code();
        assert!(code.is_some_and(|code| code != 101), "{line:?}: {outcome}");
        if code != Some(0) {
            assert!(!outcome.stderr.is_empty(), "{line:?} failed without a word");
        }
    }
}

/// The last thing that can fail: who waits for the process's descriptor has gone.
fn a_pid_file_does_not_outlive_a_create_that_fails(t: &Test) {
    if !t.is_roci() {
        t.skip("runc 1.1 and crun 1.8 know no --pidfd-socket, or leave the file");
    }
    let mut c = t.server();
    c.config["hooks"] = serde_json::json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "0.3"]}]});
    let (socket, pid_file) = (t.path("socket"), t.path("pid"));
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bind");
    let gone = std::thread::spawn(move || drop(listener.accept()));
    let options = [
        "--pidfd-socket",
        socket.to_str().expect("path"),
        "--pid-file",
        pid_file.to_str().expect("path"),
    ];
    c.creation(&options).run().fails().says("send pidfd");
    gone.join().expect("the client");
    assert!(!pid_file.exists(), "the pid file names a process that is dead");
    assert!(!t.path(".pid").exists());
    assert!(!t.runtime.root.join(&c.id).exists());
}
