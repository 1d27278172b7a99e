//! The descriptors that a container gets: 0 to 2 untouched, and nothing else that was not asked for.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use tests::{Test, eventually, field};

tests::cases![
    standard_streams_are_passed_through,
    standard_streams_may_be_pipes,
    the_runtime_writes_nothing_to_the_containers_output,
    the_hosts_dev_null_is_left_alone,
    a_stream_that_is_null_is_the_containers,
    descriptors_of_the_caller_do_not_reach_the_container,
    descriptors_of_the_runtime_do_not_reach_the_container,
    preserved_descriptors_reach_the_container,
    socket_activation_reaches_the_container,
    the_socket_for_notifications_reaches_the_container,
    start_does_not_need_standard_streams,
    a_closed_standard_input_is_no_hole,
    closed_standard_streams_are_no_holes,
    the_end_of_the_container_closes_its_pipes,
    a_socket_for_notifications_that_cannot_be_mounted_is_left_out,
];

/// What stands behind each descriptor of PID 1, without a pipe of the shell's own.
const LIST: &str = "(ls -l /proc/1/fd >/list); sed -n 's/.* \\([0-9]*\\) -> \\(.*\\)/\\1 \\2/p' /list";

fn standard_streams_are_passed_through(t: &Test) {
    std::fs::write(t.path("input"), "from the caller\n").expect("write");
    let c = t.sh("cat; echo to-stderr >&2");
    let outcome = c
        .running(&[])
        .stdin(File::open(t.path("input")).expect("input"))
        .run()
        .ok();
    assert_eq!(outcome.stdout, "from the caller\n");
    assert_eq!(outcome.stderr, "to-stderr\n");
}

fn standard_streams_may_be_pipes(t: &Test) {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let (input, mut feed) = std::io::pipe().expect("pipe");
    let c = t.sh("read line; echo got $line; cat >/dev/null; echo end >&2");
    let null = File::options().write(true).open("/dev/null").expect("null");
    c.creation(&[]).stdin(input).spawn_to(writer, null).wait().ok();
    c.start().ok();
    std::io::Write::write_all(&mut feed, b"tea\n").expect("write");
    drop(feed);
    let mut text = String::new();
    reader
        .read_to_string(&mut text)
        .expect("the pipe ends when the container does");
    assert_eq!(text, "got tea\n");
}

fn the_runtime_writes_nothing_to_the_containers_output(t: &Test) {
    let c = t.sh("echo only-this");
    let created = c.up();
    c.wait_until_stopped();
    assert_eq!(
        (created.stdout_now().as_str(), created.stderr_now().as_str()),
        ("only-this\n", "")
    );
    let outcome = c.start();
    assert_eq!(outcome.stdout, "");
}

/// A runtime that gave the container's user its standard streams by chown once broke /dev/null for the whole machine.
fn the_hosts_dev_null_is_left_alone(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 gives the standard streams to the user by chown, devices included",
    );
    let null = || {
        let null = std::fs::symlink_metadata("/dev/null").expect("null");
        (null.mode(), null.uid(), null.gid(), null.rdev(), null.ino())
    };
    let before = null();
    let mut c = t.sh("echo x >/dev/null; stat -L -c '%u:%g %t:%T' /proc/self/fd/0");
    c.config["process"]["user"] = serde_json::json!({"uid": 1000, "gid": 1000});
    let created = c.up();
    c.wait_until_stopped();
    assert_eq!(created.stdout_now(), format!("{}:{} 1:3\n", before.1, before.2));
    assert_eq!(null(), before);
}

fn descriptors_of_the_caller_do_not_reach_the_container(t: &Test) {
    let secret = t.path("secret");
    std::fs::write(&secret, "secret").expect("write");
    let open = || File::open(&secret).expect("secret");
    let c = t.sh(LIST);
    let call = || {
        let call = c.running(&[]).fd(3, open()).fd(5, open()).fd(9, open());
        call.fd(100, File::open("/").expect("/"))
    };
    let outcome = call().run().ok();
    if t.is_roci() {
        // Before Linux 5.9 each is closed for itself.
        let older = crate::fallbacks::without(t, "close_range", crate::fallbacks::ENOSYS, call());
        assert_eq!(older.run().ok().stdout, outcome.stdout);
    }
    let listed: Vec<_> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    // The shell may keep its script under 10 or 255; what counts is that none leads out.
    assert!(listed.starts_with(&["0", "1", "2"]), "{outcome}");
    assert!(!outcome.stdout.contains("secret"), "{outcome}");
    assert_eq!(listed.len(), 3, "{outcome}");
}

fn descriptors_of_the_runtime_do_not_reach_the_container(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let fds = tests::leaks::entries(format!("/proc/{}/fd", c.pid()).as_ref());
    let names: Vec<_> = fds.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["0", "1", "2"]);
    let outcome = c.exec_sh("ls /proc/$$/fd; true").ok();
    let mut names: Vec<_> = outcome.stdout.split_whitespace().collect();
    names.sort();
    assert_eq!(names, ["0", "1", "2"], "{outcome}");
}

fn preserved_descriptors_reach_the_container(t: &Test) {
    for (name, text) in [("three", "tea"), ("four", "cup"), ("five", "pot")] {
        std::fs::write(t.path(name), text).expect("write");
    }
    let open = |name: &str| File::open(t.path(name)).expect(name);
    let c = t.sh("cat <&3; cat <&4; [ -e /proc/1/fd/5 ] && echo leaked; true");
    let run = c
        .running(&["--preserve-fds", "2"])
        .fd(3, open("three"))
        .fd(4, open("four"))
        .fd(5, open("five"));
    assert_eq!(run.run().ok().stdout, "teacup");
}

fn socket_activation_reaches_the_container(t: &Test) {
    t.skip_on("crun", "crun 1.8 hands the descriptors on, but not LISTEN_FDS");
    std::fs::write(t.path("socket"), "activated").expect("write");
    let c = t.sh("cat <&3; echo; echo LISTEN_FDS=$LISTEN_FDS LISTEN_PID=$LISTEN_PID $LISTEN_FDNAMES");
    // LISTEN_PID has to be the pid of the runtime, which only a process that becomes it can know.
    let outcome = c
        .running(&[])
        .under(
            "sh",
            &["-c", r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$0" "$@""#],
        )
        .fd(3, File::open(t.path("socket")).expect("socket"))
        .run()
        .ok();
    // runc leaves the names out.
    let names = if t.is_roci() { "web" } else { "" };
    assert_eq!(
        outcome.stdout,
        format!("activated\nLISTEN_FDS=1 LISTEN_PID=1 {names}\n")
    );
}

fn the_socket_for_notifications_reaches_the_container(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers stay behind as a proxy");
    }
    let path = t.path("notify.sock");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let mut c = t.sh("echo $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET && echo there; sleep 1000");
    let env = c.config["process"]["env"].as_array_mut().expect("env");
    env.push(serde_json::json!("NOTIFY_SOCKET=/of/somebody/else"));
    let creation = c.creation(&[]).env("NOTIFY_SOCKET", path.to_str().expect("UTF-8"));
    let outcome = creation.run().ok();
    c.start().ok();
    eventually("the program has printed", || outcome.stdout_now().contains("there"));
    assert_eq!(outcome.stdout_now(), "/run/notify/notify.sock\nthere\n");
    let inside = format!("/proc/{}/root/run/notify/notify.sock", c.pid());
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.send_to(b"READY=1", inside).expect("send");
    let mut message = [0; 16];
    let n = socket.recv(&mut message).expect("receive");
    assert_eq!(&message[..n], b"READY=1");
}

/// What a manager opens is the host's, often for reading only, and may be behind another mount.
fn a_stream_that_is_null_is_the_containers(t: &Test) {
    let c = t.sh("stat -Lc %d:%i /proc/1/fd/0 /dev/null; grep flags /proc/1/fdinfo/0");
    let output = c
        .running(&[])
        .stdin(File::open("/dev/null").expect("the host's"))
        .run()
        .ok()
        .stdout;
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0], lines[1], "{output}");
    assert!(lines[2].ends_with('2'), "for reading and writing: {output}");
}

fn start_does_not_need_standard_streams(t: &Test) {
    let c = t.sh("echo ran");
    let created = c.create().ok();
    t.call(&["start", &c.id])
        .under("sh", &["-c", r#"exec "$0" "$@" <&- >&- 2>&-"#])
        .run()
        .ok();
    eventually("the program ran", || created.stdout_now() == "ran\n");
}

/// With descriptor 0 closed the next file that the runtime opens would become the container's standard input.
fn a_closed_standard_input_is_no_hole(t: &Test) {
    t.control();
    let c = t.sh(LIST);
    let outcome = c.running(&[]).under("sh", &["-c", r#"exec "$0" "$@" <&-"#]).run();
    if outcome.status.success() {
        let stdin = outcome
            .stdout
            .lines()
            .find(|line| line.starts_with("0 "))
            .unwrap_or("0 -");
        let harmless = ["/dev/null", "-", "pipe:", "socket:", "/proc/1/fd", "/proc"];
        assert!(harmless.iter().any(|name| stdin[2..].starts_with(name)), "{outcome}");
        assert!(!field(&format!("{stdin}\n"), "0").contains("state"), "{outcome}");
    }
}

fn the_end_of_the_container_closes_its_pipes(t: &Test) {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let c = t.sh("echo one; exec >&- 2>&-; sleep 1000");
    let stderr = writer.try_clone().expect("dup");
    c.creation(&[]).spawn_to(writer, stderr).wait().ok();
    c.start().ok();
    let mut text = String::new();
    reader
        .read_to_string(&mut text)
        .expect("nobody but the program holds the pipe");
    assert_eq!(text, "one\n");
    assert_eq!(c.status(), "running");
}

/// The next descriptors that the runtime opens must not take the places of closed ones and end up in the container.
fn closed_standard_streams_are_no_holes(t: &Test) {
    t.skip_on("runc", "runc 1.1 gives pipes of its own in their place");
    t.skip_on("crun", "not looked at");
    let c = t.sh("(ls -l /proc/1/fd >/list); true");
    c.write_config();
    let status = std::process::Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"])
        .arg(&t.runtime.path)
        .arg("--root")
        .arg(&t.runtime.root)
        .args(["run", "--bundle"])
        .arg(&c.bundle)
        .arg(&c.id)
        .env("ROCI_TEST_TOKEN", &t.runtime.token)
        .status()
        .expect("sh");
    assert!(status.success(), "{status}");
    let list = std::fs::read_to_string(c.rootfs().join("list")).expect("list");
    for stream in ["0", "2"] {
        let link = list.lines().find(|line| line.contains(&format!(" {stream} -> ")));
        assert!(link.is_some_and(|link| link.ends_with(" /dev/null")), "{list}");
    }
}

fn a_socket_for_notifications_that_cannot_be_mounted_is_left_out(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers stay behind as a proxy");
    }
    let path = t.path("notify.sock");
    let _socket = UnixDatagram::bind(&path).expect("a socket");
    let path = path.to_str().expect("UTF-8");
    let look = "echo $NOTIFY_SOCKET; ls /run/notify 2>/dev/null; :";
    let printed =
        |c: &tests::Container<'_>, socket: &str| c.running(&[]).env("NOTIFY_SOCKET", socket).run().ok().stdout;
    // One without a file is of another network namespace.
    assert_eq!(printed(&t.sh(look), "@of/systemd"), "\n");
    assert_eq!(printed(&t.sh(look), path), "/run/notify/notify.sock\nnotify.sock\n");
    // What the configuration puts there stays.
    std::fs::create_dir(t.path("own")).expect("a directory");
    std::fs::write(t.path("own/file"), "").expect("a file");
    for (destination, listed) in [
        ("/run/notify", "file\n"),
        ("/run/notify/", "file\n"),
        ("/run/notify/notify.sock", "notify.sock\n"),
    ] {
        let mut c = t.sh(look);
        let source = if destination.ends_with("sock") {
            "own/file"
        } else {
            "own"
        };
        c.mount(destination, "bind", t.path(source), &["bind"]);
        assert_eq!(printed(&c, path), format!("\n{listed}"), "{destination}");
    }
    for destination in ["/run", "/run/notify/other"] {
        let mut c = t.sh("echo $NOTIFY_SOCKET; test -S $NOTIFY_SOCKET && echo there");
        c.mount(destination, "tmpfs", "tmpfs", &[]);
        assert_eq!(printed(&c, path), "/run/notify/notify.sock\nthere\n", "{destination}");
    }
}
