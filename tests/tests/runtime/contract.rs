//! What conmon, containerd's shim, dockerd and buildah rely on, beyond the specification: their command lines, and the words,
//! files and descriptors that they look at.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tests::{Container, Invocation, Outcome, Test, eventually};

tests::cases![
    every_option_of_clients_is_taken_in_both_spellings_and_places,
    every_failed_command_logs_exactly_one_line,
    a_wrong_command_line_is_logged,
    checkpoint_and_restore_are_refused,
    an_empty_runtime_directory_is_none,
    programs_that_cannot_be_run_are_told_in_the_words_that_clients_match,
    a_shim_finds_the_container_as_it_expects_it,
    memory_and_swap_are_changed_in_the_order_that_works,
    a_container_that_has_ended_is_told_in_the_words_that_clients_match,
    the_text_of_a_failure_is_on_standard_error_and_in_the_log,
    a_client_without_cgroups_is_served,
    lines_of_a_log_come_one_after_the_other,
];

fn path(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// The lines of the log that [`logged`] names.
#[track_caller]
fn lines(t: &Test) -> Vec<Value> {
    let text = fs::read_to_string(t.path("log.json")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}")))
        .collect()
}

/// A call in the form of containerd's shim.
fn logged(t: &Test, args: &[&str]) -> Invocation {
    let log = t.path("log.json");
    t.runtime.global(&["--log", path(&log), "--log-format", "json"], args)
}

/// A command with its options, each with its value or, a switch, with none, and the words behind them.
type Call<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

/// Options as words, with values behind an equals sign or as words of their own.
fn spelled(options: &[(&str, &str)], equals: bool) -> Vec<String> {
    let mut words = Vec::new();
    for (name, value) in options {
        match (value.is_empty(), equals) {
            (true, _) => words.push((*name).to_owned()),
            (false, true) => words.push(format!("{name}={value}")),
            (false, false) => words.extend([(*name).to_owned(), (*value).to_owned()]),
        }
    }
    words
}

/// Makes the call, with its options before or after the id.
#[track_caller]
fn make(t: &Test, globals: &[(&str, &str)], call: &Call<'_>, equals: bool, after: bool) {
    let (command, options, words) = *call;
    let globals = spelled(globals, equals);
    let options = spelled(options, equals);
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let (first, second) = if after { (words, options) } else { (options, words) };
    let globals: Vec<_> = globals.iter().map(String::as_str).collect();
    let args: Vec<_> = [command]
        .into_iter()
        .chain(first.iter().map(String::as_str))
        .chain(second.iter().map(String::as_str))
        .collect();
    t.runtime.global(&globals, &args).run().ok();
}

fn every_option_of_clients_is_taken_in_both_spellings_and_places(t: &Test) {
    t.skip_on("runc", "runc's options stand before the id");
    t.skip_on("crun", "crun 1.8 knows fewer options");
    t.needs_v1_controller("freezer");
    for (equals, after) in [(false, false), (true, false), (false, true), (true, true)] {
        let c = t.server();
        c.write_config();
        let pid_file = t.path("pid");
        let process = t.path("process.json");
        let resources = t.path("resources.json");
        let object = json!({"args": ["/bin/true"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "env": []});
        fs::write(&process, object.to_string()).expect("write");
        fs::write(&resources, json!({"pids": {"limit": 50}}).to_string()).expect("write");
        let log = t.path("log.json");
        let globals: [(&str, &str); 6] = [
            ("--log", path(&log)),
            ("--log-format", "json"),
            ("--debug", ""),
            ("--cgroup-manager", "cgroupfs"),
            ("--rootless", "auto"),
            ("--criu", "/usr/sbin/criu"),
        ];
        let id = [&*c.id];
        let calls: [Call<'_>; 14] = [
            (
                "create",
                &[
                    ("--bundle", path(&c.bundle)),
                    ("--pid-file", path(&pid_file)),
                    ("--preserve-fds", "0"),
                    ("--no-pivot", ""),
                    ("--no-new-keyring", ""),
                ],
                &id,
            ),
            ("start", &[], &id),
            ("state", &[], &id),
            ("list", &[("--quiet", ""), ("--format", "json")], &[]),
            ("ps", &[("--format", "json")], &id),
            ("ps", &[("--format", "table")], &id),
            ("pause", &[], &id),
            ("resume", &[], &id),
            ("update", &[("--resources", path(&resources))], &id),
            ("events", &[("--stats", "")], &id),
            ("features", &[], &[]),
            ("kill", &[("--all", "")], &[&*c.id, "0"]),
            ("kill", &[("--all", "")], &[&*c.id, "SIGKILL"]),
            ("delete", &[("--force", "")], &id),
        ];
        for row in &calls {
            make(t, &globals, row, equals, after);
            if row.0 == "start" {
                // What stands behind the id of exec is the program's.
                let exec: Call<'_> = (
                    "exec",
                    &[
                        ("--process", path(&process)),
                        ("--pid-file", path(&pid_file)),
                        ("--detach", ""),
                        ("--preserve-fds", "0"),
                    ],
                    &id,
                );
                make(t, &globals, &exec, equals, false);
                let pid = fs::read_to_string(&pid_file).expect("pid file").parse();
                assert_eq!(c.reap(pid.expect("a pid")), 0);
            }
        }
        assert_eq!(lines(t), Vec::<Value>::new());
    }
}

fn every_failed_command_logs_exactly_one_line(t: &Test) {
    t.skip_on("runc", "some failures of runc's take two lines");
    t.skip_on("crun", "crun 1.8 has no features command");
    let c = t.server();
    let input = t.path("resources.json");
    fs::write(&input, json!({"pids": {"limit": 50}}).to_string()).expect("write");
    let calls: [&[&str]; 11] = [
        &["create", "--bundle", "/no/such/bundle", &c.id],
        &["run", "--bundle", "/no/such/bundle", &c.id],
        &["start", &c.id],
        &["exec", &c.id, "/bin/true"],
        &["kill", &c.id, "15"],
        &["kill", "--all", &c.id, "9"],
        &["ps", "--format", "json", &c.id],
        &["pause", &c.id],
        &["update", "--resources", path(&input), &c.id],
        &["events", "--stats", &c.id],
        &["delete", &c.id],
    ];
    for (before, args) in calls.iter().enumerate() {
        let outcome = logged(t, args).run().fails();
        let lines = lines(t);
        assert_eq!(lines.len(), before + 1, "{args:?}: {lines:?}");
        same_text(&outcome, &lines[before]);
    }
}

/// One line on standard error, and its text as the log has it.
#[track_caller]
fn same_text(outcome: &Outcome, line: &Value) {
    assert_eq!(line["level"], "error");
    let text = line["msg"].as_str().expect("msg");
    assert_eq!(outcome.stderr.trim_end(), text);
}

fn a_wrong_command_line_is_logged(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers print help instead");
    }
    for (count, args) in [
        &["create", "--no-such-option", "id"][..],
        &["teapot"],
        &["start"],
        &["kill", "id", "TERM", "what?"],
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = logged(t, args).run().code(2);
        let lines = lines(t);
        assert_eq!(lines.len(), count + 1, "{args:?}: {lines:?}");
        same_text(&outcome, &lines[count]);
    }
    // Behind the command, too.
    let log = t.path("other.json");
    t.call(&["state", "--log-format=json", "--log", path(&log), "no-such-id"])
        .run()
        .fails();
    assert_eq!(fs::read_to_string(&log).expect("the log").lines().count(), 1);
}

fn checkpoint_and_restore_are_refused(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers use CRIU");
    }
    let c = t.server();
    c.up_and_ready();
    let image = t.path("image");
    let calls: [&[&str]; 3] = [
        &["checkpoint", "--image-path", path(&image), "--leave-running", &c.id],
        &["checkpoint", &c.id],
        &["restore", "--bundle", path(&c.bundle), "--detach", &c.id],
    ];
    for (before, args) in calls.iter().enumerate() {
        let outcome = logged(t, args).run().fails().code(1).says("not supported");
        same_text(&outcome, &lines(t)[before]);
        assert_eq!(lines(t).len(), before + 1);
    }
    assert!(!image.exists());
    assert_eq!(c.status(), "running");
}

/// podman sets the variable for root, to nothing. What is at `/run` must not be touched by a test, so that is another one.
fn an_empty_runtime_directory_is_none(t: &Test) {
    t.needs("unshare", "util-linux");
    // The directory does not depend on what a copy of the executable is called.
    let name = if t.is_roci() {
        "roci".to_owned()
    } else {
        t.runtime.name()
    };
    let c = t.server();
    c.write_config();
    let script = format!(
        "mount -t tmpfs tmpfs /run && \"$@\" && ls -d /run/{name}/{id} && \"$0\" delete --force {id} && ls /run/{name}",
        id = c.id
    );
    for value in ["", "/run/nobody/made/this"] {
        if !value.is_empty() && !t.is_roci() {
            continue;
        }
        let outcome = t
            .runtime
            .bare(&["create", "--bundle", path(&c.bundle), &c.id])
            .under("unshare", &["-m", "sh", "-c", &script, path(&t.runtime.path)])
            .env("XDG_RUNTIME_DIR", value)
            .run()
            .ok();
        assert_eq!(outcome.stdout, format!("/run/{name}/{}\n", c.id), "{value:?}");
    }
}

/// Docker's 126 and 127 come from these words, and podman's.
fn programs_that_cannot_be_run_are_told_in_the_words_that_clients_match(t: &Test) {
    t.skip_on("crun", "crun's words begin with capitals");
    let programs = [
        ("no-such", "exec: \"no-such\": executable file not found in $PATH"),
        (
            "/no/such",
            "exec: \"/no/such\": stat /no/such: no such file or directory",
        ),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ];
    let up = t.server();
    up.up_and_ready();
    for (program, words) in programs {
        // runc's text log puts backslashes before the quotation marks.
        let words = if t.is_roci() {
            words
        } else {
            words.rsplit_once("\": ").expect("a mark").1
        };
        let c = t.container(&[program]);
        c.create().fails().says(words).code(1);
        c.run().fails().says(words);
        up.exec(&[program]).fails().says(words).code(255);
        let process = json!({"args": [program], "cwd": "/", "user": {"uid": 0, "gid": 0},
            "env": ["PATH=/bin"]});
        let file = t.path("process.json");
        fs::write(&file, process.to_string()).expect("write");
        let detached = up.executing(&["--process", path(&file), "--detach"], &[]).run();
        detached.fails().says(words).code(255);
    }
}

/// As soon as create has ended: the file of the pid, the process in its cgroups, its parent, and none of the shim's own
/// descriptors.
fn a_shim_finds_the_container_as_it_expects_it(t: &Test) {
    let top = t.needs_v1_controller("pids");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}shim/box", t.runtime.token));
    let pid_file = t.path("init.pid");
    c.write_config();
    let secret = t.path("socket-of-the-shim");
    fs::write(&secret, "").expect("write");
    let mut call = logged(
        t,
        &[
            "create",
            "--bundle",
            path(&c.bundle),
            "--pid-file",
            path(&pid_file),
            &c.id,
        ],
    );
    // containerd leaks 3, buildah several more, conmon a pipe at 5.
    for number in [3, 4, 5, 8, 11, 250] {
        call = call.fd(number, fs::File::open(&secret).expect("open"));
    }
    call.run().ok();
    let text = fs::read_to_string(&pid_file).expect("pid file");
    assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
    let pid: i64 = text.parse().expect("a pid");
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    for controller in ["memory", "pids", "freezer"] {
        let line = cgroup.lines().find(|line| line.contains(&format!(":{controller}:")));
        assert!(line.is_none_or(|line| line.ends_with("shim/box")), "{cgroup}");
    }
    let parent = tests::proc_status(pid, "PPid");
    assert_eq!(parent, std::process::id().to_string(), "the shim waits for it");
    let open = || -> Vec<_> {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("fd");
        fds.filter_map(|fd| fs::read_link(fd.expect("fd").path()).ok())
            .collect()
    };
    assert!(!open().contains(&secret), "{:?}", open());
    logged(t, &["start", &c.id]).run().ok();
    eventually("the program runs", || {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sh\n")
    });
    assert!(!open().contains(&secret), "{:?}", open());
    // docker kill, and the shim's two deletes.
    logged(t, &["kill", "--all", &c.id, "9"]).run().ok();
    assert_eq!(c.reap(pid), 137);
    logged(t, &["delete", &c.id]).run().ok();
    logged(t, &["delete", "--force", &c.id]).run().ok();
    let directory = top.join(format!("{}shim", t.runtime.token));
    // The one above was made on the way, and is whose it is: a client's.
    let _ = fs::remove_dir(&directory);
    for mount in tests::cgroup_mounts() {
        let _ = fs::remove_dir(mount.join(directory.file_name().expect("a name")));
    }
    assert_eq!(lines(t), Vec::<Value>::new());
}

/// The kernel refuses a limit above the sum with swap, and a sum below the limit, at any moment.
fn memory_and_swap_are_changed_in_the_order_that_works(t: &Test) {
    const MIB: i64 = 1 << 20;
    let memory = t.needs_v1_controller("memory");
    t.skip_on("crun", "crun 1.8 knows one order");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}swap", t.runtime.token));
    c.config["linux"]["resources"]["memory"] = json!({"limit": 64 * MIB, "swap": 128 * MIB});
    c.up_and_ready();
    let directory = memory.join(format!("{}swap", t.runtime.token));
    if !directory.join("memory.memsw.limit_in_bytes").exists() {
        t.skip("the kernel does not count swap");
    }
    let read = |file: &str| {
        let text = fs::read_to_string(directory.join(file)).expect("a limit");
        text.trim().parse::<i64>().expect("a number") / MIB
    };
    let both = || (read("memory.limit_in_bytes"), read("memory.memsw.limit_in_bytes"));
    assert_eq!(both(), (64, 128));
    for (limit, swap) in [(256, 512), (32, 48), (48, 48), (300, 300), (16, 16)] {
        let file = t.path("resources.json");
        let resources = json!({"memory": {"limit": limit * MIB, "swap": swap * MIB}});
        fs::write(&file, resources.to_string()).expect("write");
        t.call(&["update", "--resources", path(&file), &c.id]).run().ok();
        assert_eq!(both(), (limit, swap));
    }
    // Without a limit on either.
    let options = ["update", "--memory=-1", "--memory-swap=-1", &c.id];
    t.call(&options).run().ok();
    assert!(both().0 > 1 << 30, "{:?}", both());
}

fn a_container_that_has_ended_is_told_in_the_words_that_clients_match(t: &Test) {
    t.skip_on("crun", "crun has its own words");
    let c = t.container(&["/bin/true"]);
    c.up();
    c.wait_until_stopped();
    for signal in ["15", "9", "SIGTERM", "KILL", "28"] {
        c.kill(signal).fails().says("container not running");
    }
    c.delete().ok();
    for args in [&["kill", &c.id, "9"][..], &["delete", &c.id], &["state", &c.id]] {
        t.call(args).run().fails().says("does not exist");
    }
    t.call(&["delete", "--force", &c.id]).run().ok().prints("");
}

fn the_text_of_a_failure_is_on_standard_error_and_in_the_log(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers put other words around it");
    }
    let bad: [(&str, Value); 4] = [
        ("/process/args", json!(["/etc/passwd"])),
        ("/process/cwd", json!("relative")),
        ("/linux/sysctl", json!({"net.ipv4.no_such": "1"})),
        ("/hooks", json!({"prestart": [{"path": "/bin/false"}]})),
    ];
    for (before, (place, value)) in bad.into_iter().enumerate() {
        let mut c = t.server();
        let (parent, name) = place.rsplit_once('/').expect("a slash");
        c.config.pointer_mut(parent).expect("an object")[name] = value;
        c.write_config();
        let outcome = logged(t, &["create", "--bundle", path(&c.bundle), &c.id]).run().fails();
        let lines = lines(t);
        assert_eq!(lines.len(), before + 1, "{lines:?}");
        same_text(&outcome, &lines[before]);
    }
}

/// podman's `--cgroups=disabled`, in conmon's spelling.
fn a_client_without_cgroups_is_served(t: &Test) {
    t.skip_on("runc", "runc does not know --cgroup-manager");
    let c = t.server();
    c.write_config();
    let log = t.path("log.json");
    let globals = ["--log-format=json", "--log", path(&log), "--cgroup-manager", "disabled"];
    let call = |args: &[&str]| t.runtime.global(&globals, args).run();
    call(&["create", "--bundle", path(&c.bundle), &c.id]).ok();
    let cgroup = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    assert_eq!(cgroup(&c.pid().to_string()), cgroup("self"));
    // podman's own calls do not have the option.
    c.start().ok();
    call(&["exec", &c.id, "/bin/true"]).ok();
    c.kill("9").ok();
    c.delete_force().ok();
}

fn lines_of_a_log_come_one_after_the_other(t: &Test) {
    let ids: Vec<Container> = (0..8).map(|_| t.server()).collect();
    let running: Vec<_> = ids.iter().map(|c| logged(t, &["start", &c.id]).spawn()).collect();
    for call in running {
        call.wait().fails();
    }
    assert_eq!(lines(t).len(), ids.len());
}
