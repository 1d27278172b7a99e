//! `roci-boot`, as the first process of namespaces of its own: what it starts and in which order, what it keeps running, what
//! it says to `roci`, and how it ends. A whole machine is looked at by `cargo qemu --supervise`.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{Test, eventually, field, make_rootfs, patience};

tests::cases![
    containers_start_in_order_and_stop_in_reverse,
    the_end_of_all_is_the_end,
    a_crashing_container_comes_back_later_each_time,
    a_container_out_of_memory_is_told_apart,
    failing_health_checks_lead_to_a_restart,
    who_says_that_it_is_ready_is_waited_for,
    containers_are_stopped_and_started_on_request,
    output_is_kept_and_followed,
    only_root_is_listened_to,
    a_program_that_cannot_be_started_is_told,
    mistakes_in_bundles_are_told,
    signals_end_it,
    a_critical_container_that_fails_restarts_it,
    who_does_not_stop_in_time_is_left_behind,
    a_bug_ends_in_a_restart,
    sixteen_containers_take_little_memory_and_wake_nobody,
];

/// What `unshare` says when the namespaces ended as a machine that is switched off, or restarted: as if by this signal
/// (reboot(2)).
const OFF: i32 = 128 + 2;
const RESTARTED: i32 = 128 + 1;

/// The root of a device, which is in `dir`, and what runs on it.
struct Device<'t> {
    t: &'t Test,
    dir: PathBuf,
    running: Option<Child>,
}

impl<'t> Device<'t> {
    fn new(t: &'t Test) -> Self {
        if !t.is_roci() {
            t.skip("roci-boot is no part of another runtime");
        }
        t.needs("unshare", "util-linux");
        let dir = t.path("device");
        let _ = fs::remove_dir_all(&dir);
        for name in ["bin", "dev", "etc/roci/containers", "proc", "run", "sbin", "sys", "tmp"] {
            fs::create_dir_all(dir.join(name)).expect("a directory");
        }
        for (name, place) in [("roci", "bin"), ("roci-init", "bin"), ("roci-boot", "sbin")] {
            let from = t.runtime.path.with_file_name(name);
            if !from.exists() {
                t.skip("there is no roci-boot");
            }
            fs::copy(&from, dir.join(place).join(name)).expect("a copy");
        }
        make_rootfs(&dir.join("root")).expect("the root file system");
        Self { t, dir, running: None }
    }

    /// The name of a container, which is its id: no other test has one like it.
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.t.runtime.token)
    }

    fn set(&self, settings: &str) {
        fs::write(self.dir.join("etc/roci/device"), settings).expect("the settings");
    }

    /// Adds a container whose shell runs `script`. In annotations and scripts `@` stands for the token.
    fn add(&self, name: &str, script: &str, annotations: &[(&str, &str)]) {
        self.add_changed(name, script, annotations, |_| {});
    }

    fn add_changed(&self, name: &str, script: &str, annotations: &[(&str, &str)], change: impl FnOnce(&mut Value)) {
        let mut config = tests::default_config(&["/bin/sh", "-c", script]);
        config["root"] = json!({"path": "/root", "readonly": false});
        let env = config["process"]["env"].as_array_mut().expect("env");
        env.push(format!("ROCI_TEST_TOKEN={}", self.t.runtime.token).into());
        // One that is told to stop before its shell has set the trap does not hear it.
        for (key, value) in [("stop.grace", "2s")].iter().chain(annotations) {
            config["annotations"][format!("io.roci.{key}")] = value.replace('@', &self.t.runtime.token).into();
        }
        change(&mut config);
        let bundle = self.dir.join("etc/roci/containers").join(self.name(name));
        fs::create_dir_all(&bundle).expect("a bundle");
        fs::write(bundle.join("config.json"), config.to_string()).expect("config.json");
    }

    fn start(&mut self) {
        let log = fs::File::create(self.dir.join("console")).expect("a file");
        let script =
            "mount --make-rprivate / && mount --bind \"$0\" \"$0\" && exec unshare --root=\"$0\" /sbin/roci-boot";
        let child = Command::new("unshare")
            .args([
                "--pid",
                "--fork",
                "--mount",
                "--net",
                "--uts",
                "--kill-child",
                "sh",
                "-c",
                script,
            ])
            .arg(&self.dir)
            .env("ROCI_TEST_TOKEN", &self.t.runtime.token)
            .env("ROCI_STATUS", "/status")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("dup"))
            .stderr(log)
            .spawn()
            .expect("unshare starts");
        fs::write(self.dir.join("status"), "").expect("a file");
        self.running = Some(child);
    }

    /// The process that is the first one in there.
    fn pid(&self) -> i32 {
        let unshare = self.running.as_ref().expect("it runs").id();
        let path = format!("/proc/{unshare}/task/{unshare}/children");
        let mut pid = None;
        eventually("roci-boot is there", || {
            let list = fs::read_to_string(&path).unwrap_or_default();
            pid = list.split_whitespace().next().and_then(|word| word.parse().ok());
            pid.is_some_and(|pid: i32| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "roci-boot")
            })
        });
        pid.expect("a pid")
    }

    /// What it has printed, with `@` for the token.
    fn console(&self) -> String {
        let text = fs::read(self.dir.join("console")).unwrap_or_default();
        String::from_utf8_lossy(&text).replace(&self.t.runtime.token, "@")
    }

    #[track_caller]
    fn expect(&self, line: &str) {
        self.expect_times(line, 1);
    }

    #[track_caller]
    fn expect_times(&self, line: &str, times: usize) {
        let deadline = Instant::now() + patience(10);
        while self.console().matches(line).count() < times {
            assert!(Instant::now() < deadline, "no \"{line}\" in\n{}", self.console());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The lines have come in this order; others may stand between them.
    #[track_caller]
    fn check_order(&self, lines: &[&str]) {
        let text = self.console();
        let mut rest = text.lines();
        for line in lines {
            assert!(
                rest.by_ref().any(|printed| printed.contains(line)),
                "\"{line}\" is missing, or not where it should be, in\n{text}"
            );
        }
    }

    /// A call of `roci` on the device.
    fn roci(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "-t",
                &self.pid().to_string(),
                "-m",
                "-p",
                "-n",
                "-u",
                "-r",
                "-w",
                "/bin/roci",
            ])
            .args(words.iter().map(|word| word.replace('@', &self.t.runtime.token)))
            .env("ROCI_TEST_TOKEN", &self.t.runtime.token)
            .stdin(Stdio::null());
        command
    }

    /// The same, made; what it printed and its status, with `@` for the token.
    fn call(&self, words: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.roci(words).output().expect("nsenter runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(&self.t.runtime.token, "@");
        (status.code().unwrap_or(-1), text(stdout), text(stderr))
    }

    /// A row of `list`, as its words.
    fn row(&self, name: &str) -> String {
        let (code, table, stderr) = self.call(&["list"]);
        assert_eq!(code, 0, "{stderr}");
        let row = table.lines().find(|line| line.split_whitespace().next() == Some(name));
        let words: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
        words.join(" ")
    }

    fn kill(&self, signal: &str) {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-s", signal, &pid]).status().expect("kill");
    }

    /// How it ends, which it does soon.
    #[track_caller]
    fn end(&mut self) -> i32 {
        let mut status = None;
        let deadline = Instant::now() + patience(10);
        while status.is_none() {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.console());
            std::thread::sleep(Duration::from_millis(5));
            let child = self.running.as_mut().expect("it runs");
            status = child.try_wait().expect("wait");
        }
        self.running = None;
        use std::os::unix::process::ExitStatusExt;
        let status = status.expect("a status");
        // unshare ends as its child does.
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
    }

    /// The status that it left for whoever runs it.
    fn status(&self) -> String {
        let text = fs::read_to_string(self.dir.join("status")).expect("the status");
        field(&text, "status").to_owned()
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs until it is told to stop, and says so.
const SERVE: &str = "trap 'echo good bye; exit 0' TERM; echo serving; while :; do sleep 0.02; done";

fn containers_start_in_order_and_stop_in_reverse(t: &Test) {
    let mut device = Device::new(t);
    device.set("# A comment\nlog=console\n\nhostname=box\n");
    device.add("a", SERVE, &[("after", "@b")]);
    device.add(
        "b",
        "sleep 0.2; echo made; cat /proc/sys/kernel/hostname",
        &[("kind", "oneshot"), ("after", "@c")],
    );
    device.add("c", SERVE, &[]);
    device.start();
    device.expect("@a: serving");
    device.expect("boot: @a: started");
    device.check_order(&[
        "boot: @c: started",
        "boot: @b: started",
        "@b: made",
        "boot: @b: done",
        "boot: @a: started",
    ]);
    // It ends with the rest, unless it is faster.
    device.call(&["poweroff"]);
    assert_eq!(device.end(), OFF);
    device.check_order(&[
        "boot: power off: stopping",
        "@a: good bye",
        "boot: @a: ended with 0",
        "boot: @a: stopped",
        "@c: good bye",
        "boot: @c: stopped",
    ]);
    assert_eq!(device.status(), "0");
}

fn the_end_of_all_is_the_end(t: &Test) {
    let mut device = Device::new(t);
    device.add("one", "exit 0", &[("kind", "oneshot")]);
    device.add("two", "exit 7", &[("kind", "oneshot"), ("restart", "no")]);
    device.add("three", "exit 0", &[("after", "@two")]);
    device.start();
    assert_eq!(device.end(), OFF);
    device.expect("boot: @two: failed, and left");
    device.expect("boot: @three: not started: it comes after @two");
    assert_eq!(device.status(), "7");
    device.set("end=reboot\nrestart=no\n");
    device.start();
    assert_eq!(device.end(), RESTARTED);
    // Without any container there is nothing to do.
    let mut empty = Device::new(t);
    fs::remove_dir_all(empty.dir.join("etc/roci/containers")).expect("remove");
    empty.start();
    assert_eq!(empty.end(), OFF);
    empty.expect("roci-boot: /etc/roci/containers: no such file or directory");
    assert_eq!(empty.status(), "1");
}

fn a_crashing_container_comes_back_later_each_time(t: &Test) {
    let mut device = Device::new(t);
    device.add(
        "crash",
        "exit 3",
        &[("restart.delay", "100ms"), ("restart.delay-max", "300ms")],
    );
    device.start();
    device.expect_times("boot: @crash: started again in", 4);
    let text = device.console();
    let delays = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("started again in ")?;
        rest.strip_suffix(" ms")?.parse().ok()
    });
    let delays: Vec<u32> = delays.collect();
    for (delay, middle) in delays.iter().zip([100, 200, 300, 300]) {
        // A quarter more or less, and the time that has passed since it was drawn.
        assert!(
            (middle - middle / 4 - 20..=middle + middle / 4).contains(delay),
            "{delays:?}"
        );
    }
    let row = device.row("@crash");
    assert!(row.contains("exit 3"), "{row}");
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
}

fn a_container_out_of_memory_is_told_apart(t: &Test) {
    t.needs_v1_controller("memory");
    let mut device = Device::new(t);
    let eat = "x=x; while :; do x=$x$x; done";
    let annotations = [("restart.max", "1"), ("restart.delay", "50ms")];
    device.add_changed("eater", eat, &annotations, |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 6 << 20});
    });
    device.add("stays", SERVE, &[]);
    device.start();
    device.expect("boot: @eater: failed, and left");
    device.check_order(&[
        "@eater: ended for want of memory",
        "@eater: started again",
        "@eater: started",
        "@eater: ended for want",
    ]);
    assert_eq!(device.row("@eater"), "@eater failed 1 oom");
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
    assert_eq!(device.status(), "137");
}

fn failing_health_checks_lead_to_a_restart(t: &Test) {
    let mut device = Device::new(t);
    let checks = |command: &'static str, timeout: &'static str| {
        [
            ("health", command),
            ("health.interval", "100ms"),
            ("health.start-period", "50ms"),
            ("health.timeout", timeout),
            ("health.retries", "2"),
            ("restart.delay", "50ms"),
        ]
    };
    let serve = "trap 'exit 0' TERM; while :; do sleep 0.02; done";
    device.add("well", serve, &checks("/bin/true", "20s"));
    device.add("sick", serve, &checks("/bin/false", "20s"));
    // This one never answers.
    device.add("slow", serve, &checks("/bin/sleep 1000", "200ms"));
    device.start();
    for name in ["sick", "slow"] {
        device.expect_times(&format!("boot: @{name}: its health checks fail"), 2);
        let row = device.row(&format!("@{name}"));
        assert!(row.contains(" health"), "{row}");
    }
    let row = device.row("@well");
    assert!(row.contains("ready 0 -"), "{row}");
    // The checks are reaped, those that were killed, too.
    let boot = device.pid();
    let children = fs::read_to_string(format!("/proc/{boot}/task/{boot}/children")).expect("children");
    let zombies = children.split_whitespace().filter(|child| {
        fs::read_to_string(format!("/proc/{child}/status")).is_ok_and(|status| field(&status, "State").starts_with('Z'))
    });
    let zombies: Vec<&str> = zombies.collect();
    std::thread::sleep(Duration::from_millis(300));
    for zombie in zombies {
        let status = fs::read_to_string(format!("/proc/{zombie}/status")).unwrap_or_default();
        assert!(!status.contains("(zombie)"), "{status}");
    }
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
}

fn who_says_that_it_is_ready_is_waited_for(t: &Test) {
    let mut device = Device::new(t);
    let stops = |script: &str| format!("trap 'exit 0' TERM; {script}; while :; do sleep 0.02; done");
    device.add("fd", &stops("sleep 0.2; echo >&3; exec 3>&-"), &[("ready", "fd")]);
    device.add(
        "notify",
        &stops("echo $NOTIFY_SOCKET"),
        &[("ready", "notify"), ("after", "@fd")],
    );
    device.add(
        "late",
        &stops("true"),
        &[("ready", "fd"), ("ready.timeout", "300ms"), ("restart", "no")],
    );
    device.add(
        "health",
        &stops("touch /tmp/there"),
        &[
            ("after", "@notify"),
            ("ready", "health"),
            ("health", "/bin/true"),
            ("health.start-period", "10ms"),
        ],
    );
    device.add("last", SERVE, &[("after", "@health"), ("ready", "delay:100ms")]);
    device.start();
    device.expect("boot: @notify: started");
    device.check_order(&["boot: @fd: started", "boot: @fd: ready", "boot: @notify: started"]);
    device.expect("boot: @late: not ready in time: stopped");
    device.expect("boot: @late: failed, and left");
    assert_eq!(device.row("@late"), "@late failed 0 not ready");
    eventually("it runs", || device.row("@notify").contains("running"));
    // What the program would do. Nonsense is not taken for it.
    let socket = UnixDatagram::unbound().expect("a socket");
    // The path is too long for an address but from close by.
    let boot = device.pid();
    let path = format!("/proc/{boot}/root/run/roci-boot/{}.notify", device.name("notify"));
    socket.send_to(b"STATUS=READY=1\n", &path).expect("send");
    std::thread::sleep(Duration::from_millis(50));
    assert!(!device.console().contains("boot: @notify: ready"));
    socket.send_to(b"STATUS=here\nREADY=1\n", &path).expect("send");
    device.expect("boot: @last: ready");
    device.check_order(&[
        "@notify: ready",
        "@health: started",
        "@health: ready",
        "@last: started",
        "@last: ready",
    ]);
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
}

fn containers_are_stopped_and_started_on_request(t: &Test) {
    let mut device = Device::new(t);
    device.add("web", SERVE, &[("log", "console")]);
    device.add("once", "true", &[("kind", "oneshot")]);
    device.add_changed("bad", "", &[("restart", "no")], |config| {
        config["process"]["args"] = json!(["/no/such/program"]);
    });
    device.start();
    device.expect("@web: serving");
    device.expect("boot: @bad: failed");
    assert_eq!(device.call(&["stop", "@web"]).0, 0);
    assert_eq!(device.row("@web"), "@web off 0 exit 0");
    // Stopped is stopped, and a second time does no harm.
    assert_eq!(device.call(&["stop", "@web"]).0, 0);
    assert_eq!(device.call(&["start", "@web"]), (0, String::new(), String::new()));
    // It has its trap by then.
    device.expect_times("@web: serving", 2);
    let row = device.row("@web");
    assert!(row.contains("running") && row.contains("ready 0 exit 0"), "{row}");
    let refused = "roci: start @web: it is running\n";
    assert_eq!(device.call(&["start", "@web"]), (1, String::new(), refused.into()));
    let pid = |row: &str| row.split(' ').nth(1).map(str::to_owned);
    assert_eq!(device.call(&["restart", "@web"]).0, 0);
    let again = device.row("@web");
    assert!(again.contains("ready 1 exit 0") && pid(&again) != pid(&row), "{again}");
    assert_eq!(device.call(&["restart", "@once"]).0, 0);
    let (code, _, stderr) = device.call(&["start", "@bad"]);
    assert_eq!((code, stderr.contains("it does not run")), (1, true), "{stderr}");
    for words in [["stop", "nobody"], ["restart", "nobody"], ["logs", "nobody"]] {
        let (code, _, stderr) = device.call(&words);
        let expected = format!("roci: {} nobody: the device has no such container\n", words[0]);
        assert_eq!((code, stderr), (1, expected));
    }
    // What is not the device's is as it always was.
    let (code, _, stderr) = device.call(&["start", "nobody"]);
    assert_eq!((code, stderr.contains("does not exist")), (1, true), "{stderr}");
    // It ends with the rest, unless it is faster.
    device.call(&["reboot"]);
    assert_eq!(device.end(), RESTARTED);
    // Where nothing supervises, there is nobody to ask.
    t.call(&["stop", "web"])
        .run()
        .fails()
        .says("stop web: roci-boot does not run here");
}

fn output_is_kept_and_followed(t: &Test) {
    let mut device = Device::new(t);
    device.add(
        "talk",
        "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done; exec sleep 1000",
        &[("stop.grace", "50ms")],
    );
    device.add(
        "tick",
        "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done",
        &[("stop.grace", "50ms")],
    );
    device.start();
    device.expect("boot: @talk: started");
    eventually("all was said", || {
        device.call(&["logs", "@talk"]).1.ends_with("line 4999\n")
    });
    let text = device.call(&["logs", "@talk"]).1;
    assert_eq!(text.len(), 8192);
    let whole: String = (0..5000).map(|number| format!("line {number}\n")).collect();
    assert!(whole.ends_with(&text));
    // It is not on the console, which nobody has asked for.
    assert!(!device.console().contains("line 1\n"));
    let mut follow = device
        .roci(&["logs", "-f", "@tick"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("nsenter");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(follow.stdout.take().expect("a pipe")));
    let first = lines.next().expect("a line").expect("text");
    let number: u32 = first
        .strip_prefix("tick ")
        .and_then(|word| word.parse().ok())
        .expect("a number");
    for next in number + 1..number + 30 {
        assert_eq!(lines.next().expect("a line").expect("text"), format!("tick {next}"));
    }
    // Others are served meanwhile, more than have a place at a time.
    for _ in 0..6 {
        assert!(device.row("@tick").contains("ready"));
    }
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
    assert!(follow.wait().is_ok());
}

fn only_root_is_listened_to(t: &Test) {
    t.needs("setpriv", "util-linux");
    let mut device = Device::new(t);
    device.add("web", SERVE, &[]);
    device.start();
    device.expect("boot: @web: started");
    let boot = device.pid();
    let socket = format!("/proc/{boot}/root/run/roci-boot/socket");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&socket).expect("the socket").permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Even where somebody has opened the way for others, they are not answered.
    for (path, mode) in [("run/roci-boot", 0o755), ("run/roci-boot/socket", 0o666)] {
        let path = format!("/proc/{boot}/root/{path}");
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    }
    let mut call = Command::new("nsenter");
    call.args([
        "-t",
        &boot.to_string(),
        "-m",
        "-r",
        "-w",
        "-S",
        "1000",
        "-G",
        "1000",
        "/bin/roci",
        "poweroff",
    ]);
    let output = call.env("ROCI_TEST_TOKEN", &t.runtime.token).output().expect("nsenter");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // Nonsense is refused, and does no harm.
    for bytes in [&b""[..], b"x", &[0; 64], &[255; 300]] {
        use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketType, connect, send, socket};
        let line = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("a socket");
        let path = format!("/proc/{boot}/root/run/roci-boot/socket");
        connect(&line, &SocketAddrUnix::new(path).expect("an address")).expect("connect");
        send(&line, bytes, SendFlags::NOSIGNAL).expect("send");
    }
    assert!(device.row("@web").contains("ready"));
    assert!(!device.console().contains("power off"));
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
}

fn a_program_that_cannot_be_started_is_told(t: &Test) {
    let mut device = Device::new(t);
    device.add_changed("gone", "", &[("restart", "no")], |config| {
        config["process"]["args"] = json!(["/no/such/program"]);
    });
    device.start();
    assert_eq!(device.end(), OFF);
    device.check_order(&[
        "@gone: roci: run @gone:",
        "boot: @gone: not started: roci run ended with 127",
        "boot: @gone: failed, and left",
    ]);
    assert_eq!(device.status(), "127");
}

fn mistakes_in_bundles_are_told(t: &Test) {
    let mut device = Device::new(t);
    device.set("colour=blue\nshutdown=soon\n");
    device.add("a", "true", &[("after", "@b")]);
    device.add("b", "true", &[("after", "@c")]);
    device.add("c", "true", &[("after", "@a")]);
    device.add("lost", "true", &[("after", "nobody")]);
    device.add("wrong", "true", &[("restart.delay", "soon")]);
    device.add("signal", "true", &[("stop.signal", "NOSUCH")]);
    device.add("both", "true", &[("kind", "oneshot"), ("restart", "always")]);
    device.add("fine", "true", &[]);
    fs::create_dir_all(device.dir.join("etc/roci/containers/empty")).expect("a directory");
    device.start();
    assert_eq!(device.end(), OFF);
    for line in [
        "roci-boot: colour=blue: unknown setting",
        "roci-boot: shutdown=soon: expected a time",
        "@a: not started: io.roci.after: @a after @b after @c after @a",
        "@lost: not started: io.roci.after: there is no container nobody",
        "@wrong: not started: an annotation of io.roci. has a wrong value",
        "@signal: not started: io.roci.stop.signal: not a signal",
        "@both: not started: annotations of io.roci. contradict each other",
        "empty: not started: no such file or directory",
        "@fine: done",
    ] {
        device.expect(line);
    }
}

fn signals_end_it(t: &Test) {
    for (signal, how, word) in [
        ("TERM", RESTARTED, "reboot"),
        ("INT", RESTARTED, "reboot"),
        ("USR1", OFF, "halt"),
        ("USR2", OFF, "power off"),
        ("PWR", OFF, "power off"),
    ] {
        let mut device = Device::new(t);
        device.add("web", SERVE, &[("log", "console")]);
        device.start();
        device.expect("@web: serving");
        // Others are nothing to it.
        for signal in ["HUP", "QUIT", "USR1"]
            .into_iter()
            .take(2)
            .chain(["PIPE", "ALRM", "34", "64", "WINCH"])
        {
            device.kill(signal);
        }
        device.kill(signal);
        assert_eq!(device.end(), how, "{signal}");
        device.check_order(&[
            &format!("roci-boot: {word}: stopping what runs"),
            "@web: good bye",
            "@web: stopped",
        ]);
    }
}

fn a_critical_container_that_fails_restarts_it(t: &Test) {
    let mut device = Device::new(t);
    device.add("vital", "exit 1", &[("critical", "true"), ("restart", "no")]);
    // It may be told to stop before its shell has set the trap.
    device.add("web", SERVE, &[("log", "console"), ("stop.grace", "1s")]);
    device.start();
    assert_eq!(device.end(), RESTARTED);
    device.check_order(&["@vital: critical, and has failed", "reboot: stopping", "@web: stopped"]);
    let mut device = Device::new(t);
    device.add(
        "vital",
        "exit 1",
        &[
            ("critical", "true"),
            ("critical.deadline", "400ms"),
            ("restart.delay", "50ms"),
        ],
    );
    device.start();
    assert_eq!(device.end(), RESTARTED);
    device.check_order(&[
        "@vital: started again",
        "@vital: critical, and away for too long",
        "reboot: stopping",
    ]);
}

fn who_does_not_stop_in_time_is_left_behind(t: &Test) {
    let mut device = Device::new(t);
    let stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    device.set("shutdown=1s\nlog=console\n");
    device.add("killed", stubborn, &[("stop.grace", "200ms")]);
    device.add("left", stubborn, &[("stop.grace", "1h")]);
    device.start();
    device.expect_times(": ready", 2);
    let start = Instant::now();
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
    assert!(start.elapsed() >= Duration::from_secs(1) && start.elapsed() < patience(6));
    device.check_order(&[
        "@killed: does not stop: killed",
        "@killed: stopped",
        "shutdown: some do not stop in time",
    ]);
    // What is left of it is on a ramdisk, which ends with the machine; here it is not.
    let groups = tests::cgroup_mounts()
        .into_iter()
        .map(|mount| mount.join(device.name("left")));
    for group in groups.filter(|group| group.exists()) {
        eventually("the cgroup is empty", || fs::remove_dir(&group).is_ok());
    }
}

fn a_bug_ends_in_a_restart(t: &Test) {
    for (signal, number) in [("SEGV", 11), ("BUS", 7), ("ABRT", 6), ("ILL", 4), ("FPE", 8)] {
        let mut device = Device::new(t);
        device.start_empty();
        device.kill(signal);
        assert_eq!(device.end(), RESTARTED, "{signal}");
        device.expect(&format!(
            "roci-boot: signal {number}: a bug was found in it, and the machine is restarted"
        ));
    }
}

impl Device<'_> {
    /// Starts it with nothing to do, and waits until it waits.
    fn start_empty(&mut self) {
        self.set("end=stay\n");
        self.start();
        let socket = format!("/proc/{}/root/run/roci-boot/socket", self.pid());
        eventually("it listens", || fs::metadata(&socket).is_ok());
    }
}

fn sixteen_containers_take_little_memory_and_wake_nobody(t: &Test) {
    let mut device = Device::new(t);
    for number in 0..16 {
        let talk = "i=0; while [ $i -lt 2000 ]; do echo this is line number $i; i=$((i+1)); done; exec sleep 1000";
        device.add(&format!("c{number}"), talk, &[("stop.grace", "50ms")]);
    }
    device.add("one-too-many", "true", &[]);
    device.start();
    device.expect_times(": started", 16);
    device.expect("one-too-many: not started: there are too many containers");
    eventually("all was said", || {
        (0..16).all(|number| {
            device
                .call(&["logs", &format!("@c{number}")])
                .1
                .ends_with("number 1999\n")
        })
    });
    let boot = device.pid();
    let rollup = fs::read_to_string(format!("/proc/{boot}/smaps_rollup")).expect("smaps_rollup");
    let kib = |name| {
        let value = field(&rollup, name).trim_end_matches(" kB").trim();
        value.parse::<u32>().expect("a number")
    };
    let private = kib("Private_Clean") + kib("Private_Dirty");
    println!("{private} KiB private");
    assert!(private <= 256, "{rollup}");
    std::thread::sleep(Duration::from_millis(200));
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{boot}/status")).expect("status");
        field(&status, "voluntary_ctxt_switches").to_owned()
    };
    let before = switches();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(switches(), before);
    device.kill("USR2");
    assert_eq!(device.end(), OFF);
}
