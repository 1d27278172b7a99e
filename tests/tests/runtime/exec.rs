//! `exec`: another process in a running container.

use serde_json::{Value, json};
use std::fs::read_link;
use tests::{ConsoleSocket, Container, Test, eventually, field};

tests::cases![
    exec_runs_a_program_in_the_container,
    the_exit_status_of_the_program_is_passed_on,
    a_program_that_a_signal_ended_has_128_plus_its_number,
    a_program_that_cannot_be_started_is_255,
    exec_in_a_container_that_does_not_run_is_refused,
    exec_in_an_unknown_container_says_that_it_does_not_exist,
    every_namespace_is_the_containers,
    the_process_is_in_the_containers_cgroups,
    options_set_directory_environment_and_user,
    user_strings_are_parsed_strictly,
    arguments_after_the_id_are_the_programs,
    a_process_file_is_taken_as_a_whole,
    a_detached_process_is_a_child_of_the_caller,
    the_pid_file_names_the_process,
    a_terminal_is_sent_to_the_console_socket,
    capabilities_are_those_of_the_container,
    no_capability_becomes_inheritable,
    capabilities_can_be_added,
    environment_of_the_container_is_inherited,
    no_new_privileges_is_that_of_the_container,
    standard_streams_are_passed_through,
    descriptors_do_not_leak,
    preserved_descriptors_reach_the_process,
    exec_works_in_a_user_namespace,
    exec_works_without_a_pid_namespace,
    seccomp_of_the_container_applies,
    the_processors_of_exec_are_set,
    a_process_killed_with_the_container_does_not_hang_exec,
    exec_sees_a_tmpfs_that_covers_proc,
    many_execs_at_once,
    what_is_said_twice_is_said,
    exec_without_a_mount_namespace_has_the_containers_root,
];

/// A process object as containerd writes one.
fn process(args: &[&str]) -> Value {
    json!({
        "user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "FROM=file"],
        "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"]},
        "noNewPrivileges": true,
    })
}

fn write_process(t: &Test, process: &Value) -> String {
    let path = t.path("process.json");
    std::fs::write(&path, process.to_string()).expect("write");
    path.to_str().expect("path").to_owned()
}

fn up(t: &Test) -> Container<'_> {
    let c = t.server();
    c.up_and_ready();
    c
}

fn exec_runs_a_program_in_the_container(t: &Test) {
    let c = up(t);
    let outcome = c.exec(&["/bin/sh", "-c", "hostname; echo x >/made; ps | wc -l"]).ok();
    assert!(outcome.stdout.starts_with("roci\n"), "{outcome}");
    assert!(c.rootfs().join("made").exists());
    assert_eq!(
        c.exec(&["echo", "found in the path"]).ok().stdout,
        "found in the path\n"
    );
}

fn the_exit_status_of_the_program_is_passed_on(t: &Test) {
    let c = up(t);
    for code in [0, 1, 2, 42, 126, 127, 255] {
        c.exec_sh(&format!("exit {code}")).code(code);
    }
}

fn a_program_that_a_signal_ended_has_128_plus_its_number(t: &Test) {
    let c = up(t);
    c.exec_sh("kill -KILL $$").code(137);
    c.exec_sh("kill -TERM $$").code(143);
}

fn a_program_that_cannot_be_started_is_255(t: &Test) {
    let c = up(t);
    std::fs::write(c.rootfs().join("data"), "").expect("write");
    let code = 255;
    c.exec(&["/no/such"])
        .fails()
        .says("no such file or directory")
        .code(code);
    c.exec(&["no-such"])
        .fails()
        .says("executable file not found in $PATH")
        .code(code);
    c.exec(&["/data"]).fails().says("permission denied").code(code);
    c.executing(&["--detach"], &["/no/such"])
        .run()
        .fails()
        .says("no such file or directory")
        .code(code);
    assert_eq!(c.status(), "running");
}

fn exec_in_a_container_that_does_not_run_is_refused(t: &Test) {
    let c = t.container(&["/bin/true"]);
    c.up();
    c.wait_until_stopped();
    // What clients match differs between the peers: "cannot exec in a stopped container".
    c.exec(&["/bin/true"]).fails();
}

fn exec_in_an_unknown_container_says_that_it_does_not_exist(t: &Test) {
    t.server().exec(&["/bin/true"]).fails().says("does not exist");
}

fn every_namespace_is_the_containers(t: &Test) {
    let mut c = t.server();
    c.namespace("cgroup", None);
    c.up_and_ready();
    let pid_file = t.path("pid");
    c.executing(
        &["--detach", "--pid-file", pid_file.to_str().expect("path")],
        &["sleep", "1000"],
    )
    .run()
    .ok();
    let pid: i64 = std::fs::read_to_string(pid_file)
        .expect("pid file")
        .parse()
        .expect("a pid");
    for file in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"] {
        let of = |pid: i64| read_link(format!("/proc/{pid}/ns/{file}")).ok();
        assert_eq!(of(pid), of(c.pid()), "{file}");
    }
    // Since the root is compared through /proc, the two processes share one.
    assert_eq!(
        read_link(format!("/proc/{pid}/root")).ok(),
        read_link(format!("/proc/{}/root", c.pid())).ok()
    );
}

fn the_process_is_in_the_containers_cgroups(t: &Test) {
    let c = up(t);
    let pid_file = t.path("pid");
    c.executing(
        &["-d", "--pid-file", pid_file.to_str().expect("path")],
        &["sleep", "1000"],
    )
    .run()
    .ok();
    let pid = std::fs::read_to_string(pid_file).expect("pid file");
    let of = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroup");
    assert_eq!(of(&pid), of(&c.pid().to_string()));
}

fn options_set_directory_environment_and_user(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 replaces the whole environment, PATH included, by --env",
    );
    let c = up(t);
    let options = [
        "--cwd",
        "/tmp",
        "--env",
        "A=1",
        "--env",
        "B=two words",
        "--user",
        "1000:1001",
    ];
    let outcome = c
        .executing(&options, &["sh", "-c", "pwd; echo $A,$B; id -u; id -g; id -G"])
        .run()
        .ok();
    assert_eq!(outcome.stdout, "/tmp\n1,two words\n1000\n1001\n1001\n");
    if !t.is("crun") {
        let outcome = c
            .executing(&["--additional-gids", "7", "--additional-gids", "8"], &["id", "-G"])
            .run()
            .ok();
        assert_eq!(outcome.stdout.trim(), "0 7 8");
    }
    let outcome = c.executing(&["--user=1000"], &["sh", "-c", "id -u; id -g"]).run().ok();
    assert_eq!(outcome.stdout, "1000\n0\n");
}

/// A string that was read as 0 by mistake once made `exec -u` root.
fn user_strings_are_parsed_strictly(t: &Test) {
    t.skip_on("runc", "runc 1.1 hands names to the program as uid 0's");
    t.skip_on("crun", "crun 1.8 reads the number that the string begins with");
    let c = up(t);
    for user in [
        "",
        ":",
        "x",
        "1x",
        "1:",
        ":1",
        "1:2:3",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x10",
        "4294967296",
        "1000:x",
        "1.5",
    ] {
        let outcome = c.executing(&["--user", user], &["id", "-u"]).run();
        assert!(!outcome.status.success(), "--user {user:?} was taken: {outcome}");
    }
}

fn arguments_after_the_id_are_the_programs(t: &Test) {
    let c = up(t);
    assert_eq!(
        c.exec(&["echo", "--detach", "-t", "--", "--pid-file"]).ok().stdout,
        "--detach -t -- --pid-file\n"
    );
}

fn a_process_file_is_taken_as_a_whole(t: &Test) {
    let c = up(t);
    let mut object = process(&[
        "/bin/sh",
        "-c",
        "cat /proc/self/status; pwd; echo $FROM; cat /proc/self/limits; umask",
    ]);
    object["user"] = json!({"uid": 33, "gid": 34, "umask": 0o27, "additionalGids": [35]});
    object["cwd"] = json!("/tmp");
    object["rlimits"] = json!([{"type": "RLIMIT_FSIZE", "soft": 5_000_000, "hard": 6_000_000}]);
    let outcome = c.executing(&["--process", &write_process(t, &object)], &[]).run().ok();
    assert_eq!(field(&outcome.stdout, "Uid"), "33\t33\t33\t33");
    assert_eq!(field(&outcome.stdout, "Gid"), "34\t34\t34\t34");
    assert!(
        field(&outcome.stdout, "Groups")
            .split_whitespace()
            .any(|group| group == "35"),
        "{outcome}"
    );
    assert_eq!(field(&outcome.stdout, "CapBnd"), "0000000000000020");
    assert_eq!(field(&outcome.stdout, "NoNewPrivs"), "1");
    let limits: Vec<_> = field(&outcome.stdout, "Max file size").split_whitespace().collect();
    assert_eq!(limits[..2], ["5000000", "6000000"]);
    assert!(outcome.stdout.contains("/tmp\nfile\n"), "{outcome}");
    // runc 1.1 forgets the umask of exec.
    if !t.is("runc") {
        assert!(outcome.stdout.ends_with("0027\n"), "{outcome}");
    }
    c.executing(&["-p", &write_process(t, &process(&["/bin/sh", "-c", "exit 9"]))], &[])
        .run()
        .code(9);
}

fn a_detached_process_is_a_child_of_the_caller(t: &Test) {
    let c = up(t);
    let pid_file = t.path("pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().expect("path")];
    c.executing(&options, &["sh", "-c", "sleep 0.1; exit 5"]).run().ok();
    let pid: i64 = std::fs::read_to_string(&pid_file)
        .expect("pid file")
        .parse()
        .expect("a pid");
    assert_eq!(c.reap(pid), 5);
}

fn the_pid_file_names_the_process(t: &Test) {
    let c = up(t);
    let pid_file = t.path("pid");
    let options = ["--pid-file", pid_file.to_str().expect("path")];
    let made = std::process::Command::new("mkfifo")
        .arg(c.rootfs().join("fifo"))
        .status()
        .expect("mkfifo");
    assert!(made.success());
    let mut running = c.executing(&options, &["sh", "-c", "read line </fifo"]).spawn();
    eventually("the pid file is there", || {
        std::fs::read_to_string(&pid_file).is_ok_and(|text| !text.is_empty())
    });
    let text = std::fs::read_to_string(&pid_file).expect("pid file");
    let _: u32 = text.parse().expect("decimal digits and nothing else");
    let mut fifo = std::fs::File::options()
        .write(true)
        .open(c.rootfs().join("fifo"))
        .expect("fifo");
    std::io::Write::write_all(&mut fifo, b"go\n").expect("write");
    eventually("exec ends", || running.is_over());
}

fn a_terminal_is_sent_to_the_console_socket(t: &Test) {
    let c = up(t);
    let socket = ConsoleSocket::listen(&t.path("console"));
    let mut object = process(&["/bin/sh", "-c", "tty; stty size; echo typed: $(head -n 1)"]);
    object["terminal"] = json!(true);
    object["consoleSize"] = json!({"height": 33, "width": 99});
    let file = write_process(t, &object);
    let options = ["--process", &file, "--detach", "--console-socket", socket.arg()];
    c.executing(&options, &[]).run().ok();
    let (mut terminal, _) = socket.receive();
    terminal.expect("/dev/pts/");
    if t.is_roci() {
        terminal.expect("33 99");
    }
    terminal.write("tea\n");
    terminal.expect("typed: tea");
}

fn capabilities_are_those_of_the_container(t: &Test) {
    let c = up(t);
    let status = c.exec(&["cat", "/proc/self/status"]).ok().stdout;
    let first = std::fs::read_to_string(format!("/proc/{}/status", c.pid())).expect("status");
    for set in ["CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(field(&status, set), field(&first, set), "{set}");
    }
}

/// CVE-2022-29162, CVE-2022-27650: capabilities that became inheritable by exec survive in files with inheritable bits.
fn no_capability_becomes_inheritable(t: &Test) {
    let c = up(t);
    for options in [&[][..], &["--cap", "CAP_NET_RAW"], &["--user", "1000"]] {
        let status = c.executing(options, &["cat", "/proc/self/status"]).run().ok().stdout;
        assert_eq!(field(&status, "CapInh"), "0000000000000000", "{options:?}");
    }
    let status = c.exec(&["cat", "/proc/1/status"]).ok().stdout;
    assert_eq!(field(&status, "CapInh"), "0000000000000000");
}

fn capabilities_can_be_added(t: &Test) {
    let c = up(t);
    let status = c
        .executing(&["--cap", "CAP_NET_RAW"], &["cat", "/proc/self/status"])
        .run()
        .ok()
        .stdout;
    let bits = u64::from_str_radix(field(&status, "CapEff"), 16).expect("a mask");
    assert_ne!(bits & (1 << 13), 0, "{status}");
}

fn environment_of_the_container_is_inherited(t: &Test) {
    t.skip_on("crun", "crun 1.8 replaces the whole environment by --env");
    let mut c = t.server();
    c.config["process"]["env"]
        .as_array_mut()
        .expect("env")
        .push(json!("TEA=pot"));
    c.up_and_ready();
    let outcome = c.running_env(&["--env", "TERM=dumb"]);
    assert!(outcome.contains("TEA=pot\n"), "{outcome}");
    assert_eq!(outcome.matches("TERM=").count(), 1, "{outcome}");
    assert!(outcome.contains("TERM=dumb\n"), "{outcome}");
}

/// The environment of a process that exec starts.
trait Environment {
    fn running_env(&self, options: &[&str]) -> String;
}

impl Environment for Container<'_> {
    fn running_env(&self, options: &[&str]) -> String {
        self.executing(options, &["env"]).run().ok().stdout
    }
}

fn no_new_privileges_is_that_of_the_container(t: &Test) {
    let c = up(t);
    // crun 1.8 wants --no-new-privs to be given.
    if !t.is("crun") {
        assert_eq!(
            field(&c.exec(&["cat", "/proc/self/status"]).ok().stdout, "NoNewPrivs"),
            "1"
        );
    }
    let mut c = t.server();
    c.config["process"]["noNewPrivileges"] = json!(false);
    c.up_and_ready();
    assert_eq!(
        field(&c.exec(&["cat", "/proc/self/status"]).ok().stdout, "NoNewPrivs"),
        "0"
    );
    let outcome = c
        .executing(&["--no-new-privs"], &["cat", "/proc/self/status"])
        .run()
        .ok();
    assert_eq!(field(&outcome.stdout, "NoNewPrivs"), "1");
}

fn standard_streams_are_passed_through(t: &Test) {
    let c = up(t);
    std::fs::write(t.path("input"), "from the caller").expect("write");
    let input = std::fs::File::open(t.path("input")).expect("input");
    let outcome = c
        .executing(&[], &["sh", "-c", "cat; echo error >&2"])
        .stdin(input)
        .run()
        .ok();
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("from the caller", "error\n")
    );
}

fn descriptors_do_not_leak(t: &Test) {
    let c = up(t);
    let root = || std::fs::File::open("/").expect("/");
    let outcome = c
        .executing(&[], &["sh", "-c", "ls /proc/$$/fd; true"])
        .fd(3, root())
        .fd(7, root())
        .fd(50, root())
        .run();
    let outcome = outcome.ok();
    let mut names: Vec<_> = outcome.stdout.split_whitespace().collect();
    names.sort();
    assert_eq!(names, ["0", "1", "2"], "{outcome}");
}

fn preserved_descriptors_reach_the_process(t: &Test) {
    let c = up(t);
    std::fs::write(t.path("three"), "tea").expect("write");
    let three = std::fs::File::open(t.path("three")).expect("three");
    let outcome = c
        .executing(&["--preserve-fds", "1"], &["sh", "-c", "cat <&3"])
        .fd(3, three)
        .run()
        .ok();
    assert_eq!(outcome.stdout, "tea");
}

fn exec_works_in_a_user_namespace(t: &Test) {
    if !tests::user_namespaces() {
        t.skip("no user namespaces on this machine");
    }
    let mut c = t.server();
    c.namespace("user", None);
    for kind in ["uidMappings", "gidMappings"] {
        c.config["linux"][kind] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    }
    let chown = std::process::Command::new("chown")
        .args(["-hR", "100000:100000"])
        .arg(c.rootfs())
        .status();
    assert!(chown.expect("chown").success());
    c.up_and_ready();
    let outcome = c
        .exec_sh("id -u; awk '{print $2}' /proc/self/uid_map; echo x >/made && echo made")
        .ok();
    assert_eq!(outcome.stdout, "0\n100000\nmade\n");
    let outcome = c
        .executing(&["--user", "5:6"], &["sh", "-c", "id -u; id -g"])
        .run()
        .ok();
    assert_eq!(outcome.stdout, "5\n6\n");
}

fn exec_works_without_a_pid_namespace(t: &Test) {
    let mut c = t.server();
    c.no_namespace("pid");
    c.up_and_ready();
    assert_eq!(c.exec(&["echo", "fine"]).ok().stdout, "fine\n");
    t.call(&["kill", "--all", &c.id, "KILL"]).run().ok();
}

fn seccomp_of_the_container_applies(t: &Test) {
    let mut c = t.server();
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    c.up_and_ready();
    let outcome = c.exec_sh("mkdir /made || echo refused").ok();
    assert_eq!(outcome.stdout, "refused\n");
}

fn the_processors_of_exec_are_set(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know execCPUAffinity");
    t.skip_on("crun", "crun 1.8 does not know execCPUAffinity");
    let mut c = t.server();
    c.config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
    c.up_and_ready();
    let script = "grep Cpus_allowed_list /proc/self/status; grep Cpus_allowed_list /proc/1/status";
    let outcome = c.exec_sh(script).ok();
    let lists: Vec<_> = outcome
        .stdout
        .lines()
        .map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(lists[0], Some("0"));
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        assert_ne!(lists[1], Some("0"), "it is for exec alone");
    }
}

fn a_process_killed_with_the_container_does_not_hang_exec(t: &Test) {
    let c = up(t);
    let running = c.executing(&[], &["sh", "-c", "echo up; sleep 1000"]).spawn();
    eventually("the process runs", || running.stdout().contains("up"));
    c.kill("KILL").ok();
    running.wait().code(137);
}

/// The runtime must not trust the container's /proc: here is none.
fn exec_sees_a_tmpfs_that_covers_proc(t: &Test) {
    t.skip_on("crun", "crun 1.8 reads its own /proc through the container's");
    t.control();
    let mut c = t.server();
    c.unmount("/proc").mount("/proc", "tmpfs", "tmpfs", &[]);
    for list in ["maskedPaths", "readonlyPaths"] {
        c.config["linux"][list] = json!([]);
    }
    t.skip_on("runc", "runc 1.1 refuses a tmpfs on /proc (CVE-2019-16884)");
    let created = c.create();
    if !created.status.success() {
        return;
    }
    c.start().ok();
    assert_eq!(c.exec(&["echo", "fine"]).ok().stdout, "fine\n");
}

fn many_execs_at_once(t: &Test) {
    let c = up(t);
    let running: Vec<_> = (0..10)
        .map(|number| {
            c.executing(&[], &["sh", "-c", &format!("echo {number}; exit {number}")])
                .spawn()
        })
        .collect();
    for (number, running) in running.into_iter().enumerate() {
        assert_eq!(running.wait().code(number as i32).stdout, format!("{number}\n"));
    }
}

/// In the document and on the command line.
fn what_is_said_twice_is_said(t: &Test) {
    t.skip_on("crun", "crun 1.8 takes no options beside a document");
    t.skip_on("runc", "runc 1.1 takes no options beside a document");
    let c = up(t);
    let socket = ConsoleSocket::listen(&t.path("socket"));
    let mut process = c.config["process"].clone();
    process["terminal"] = json!(true);
    process["noNewPrivileges"] = json!(true);
    process["args"] = json!(["/bin/sh", "-c", "tty; grep NoNewPrivs /proc/self/status"]);
    let document = t.path("process.json");
    std::fs::write(&document, process.to_string()).expect("a file");
    let document = document.to_str().expect("UTF-8");
    let options = [
        "--process",
        document,
        "--tty",
        "--no-new-privs",
        "--console-socket",
        socket.arg(),
        "--detach",
    ];
    c.executing(&options, &[]).run().ok();
    let (mut terminal, _) = socket.receive();
    terminal.expect("/dev/pts/");
    terminal.expect("NoNewPrivs:\t1");
}

fn exec_without_a_mount_namespace_has_the_containers_root(t: &Test) {
    t.skip_on("crun", "crun 1.8 mounts on the host then");
    t.skip_on("runc", "runc 1.1 wants a mount namespace");
    let mut c = t.container(&["/bin/sleep", "1000"]);
    c.no_namespace("mount");
    c.config["mounts"] = json!([]);
    let linux = c.config["linux"].as_object_mut().expect("linux");
    linux.remove("maskedPaths");
    linux.remove("readonlyPaths");
    std::fs::write(c.rootfs().join("only-here"), "inside\n").expect("a file");
    c.up();
    assert_eq!(c.exec(&["/bin/cat", "/only-here"]).ok().stdout, "inside\n");
}
