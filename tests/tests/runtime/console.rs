//! Terminals: one that is sent to the client's socket, and the one that `run` is started in.

use serde_json::json;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use tests::{ConsoleSocket, Container, Terminal, Test, eventually};

tests::cases![
    the_master_is_sent_to_the_console_socket,
    the_socket_path_may_be_longer_than_a_socket_address,
    the_terminal_controls_the_session,
    the_console_device_is_the_terminal,
    the_console_size_is_applied,
    the_end_of_the_container_hangs_up,
    the_terminal_belongs_to_the_user,
    a_terminal_without_a_socket_is_refused_by_create,
    a_socket_without_a_terminal_is_refused,
    a_socket_that_nobody_listens_on_is_an_error,
    run_relays_the_terminal,
    run_passes_the_size_and_its_changes_on,
    run_restores_the_terminal,
    exec_relays_the_terminal,
    control_c_reaches_the_program,
];

/// A container with a terminal.
fn with_terminal<'t>(t: &'t Test, script: &str) -> Container<'t> {
    let mut c = t.sh(script);
    c.config["process"]["terminal"] = json!(true);
    c
}

/// Creates and starts a container with a terminal, and receives it.
fn connect(t: &Test, c: &Container) -> (Terminal, String) {
    let socket = ConsoleSocket::listen(&t.path("console"));
    c.creation(&["--console-socket", socket.arg()]).run().ok();
    let received = socket.receive();
    c.start().ok();
    received
}

fn the_master_is_sent_to_the_console_socket(t: &Test) {
    let c = with_terminal(t, "read line; echo \"you typed $line\"");
    let (mut terminal, name) = connect(t, &c);
    assert!(!name.is_empty());
    let metadata = terminal.master.metadata().expect("stat");
    assert!(metadata.file_type().is_char_device());
    assert_eq!(rustix::fs::major(metadata.rdev()), 5, "a master is /dev/ptmx opened");
    terminal.write("tea\n");
    terminal.expect("you typed tea");
}

fn the_socket_path_may_be_longer_than_a_socket_address(t: &Test) {
    t.skip_on("runc", "runc 1.1 connects to the path as it is");
    t.skip_on("crun", "crun 1.8 connects to the path as it is");
    let c = with_terminal(t, "echo on the terminal");
    let directory = t
        .path("a-directory-name-of-forty-characters-long")
        .join("and-another-one-of-forty-characters-more");
    std::fs::create_dir_all(&directory).expect("mkdir");
    let socket = ConsoleSocket::listen(&directory.join("and-the-socket-itself"));
    assert!(socket.arg().len() > 107);
    c.creation(&["--console-socket", socket.arg()]).run().ok();
    let (mut terminal, _) = socket.receive();
    c.start().ok();
    terminal.expect("on the terminal");
}

fn the_terminal_controls_the_session(t: &Test) {
    let c = with_terminal(
        t,
        "tty; echo through-dev-tty >/dev/tty; cut -d' ' -f 6,7 /proc/1/stat; echo end",
    );
    let (mut terminal, _) = connect(t, &c);
    terminal.expect("end");
    let seen = terminal.seen().to_owned();
    assert!(seen.contains("/dev/pts/0") || seen.contains("/dev/console"), "{seen:?}");
    assert!(seen.contains("through-dev-tty"), "{seen:?}");
    let numbers = seen
        .lines()
        .find(|line| line.starts_with("1 "))
        .unwrap_or_else(|| panic!("no session in {seen:?}"));
    let device: u64 = numbers.trim()[2..].parse().expect("a device number");
    assert_eq!(
        device >> 8 & 0xfff,
        136,
        "the controlling terminal is a slave of devpts: {seen:?}"
    );
}

fn the_console_device_is_the_terminal(t: &Test) {
    let c = with_terminal(
        t,
        "echo through-console >/dev/console; ls -l /dev/console /proc/self/fd/0; echo end",
    );
    let (mut terminal, _) = connect(t, &c);
    terminal.expect("end");
    let seen = terminal.seen().to_owned();
    assert!(seen.contains("through-console"), "{seen:?}");
    assert!(
        seen.contains("136,") || seen.contains("136, "),
        "/dev/console is a slave of devpts: {seen:?}"
    );
}

fn the_console_size_is_applied(t: &Test) {
    let mut c = with_terminal(t, "stty size; echo end");
    c.config["process"]["consoleSize"] = json!({"height": 33, "width": 99});
    let (mut terminal, _) = connect(t, &c);
    terminal.expect("33 99");
}

fn the_end_of_the_container_hangs_up(t: &Test) {
    let c = with_terminal(t, "echo bye");
    let (mut terminal, _) = connect(t, &c);
    terminal.expect("bye");
    // Reading a master whose last slave is closed gives EIO: nobody else may hold the slave.
    eventually("the terminal hangs up", || {
        use std::io::Read;
        matches!((&terminal.master).read(&mut [0; 64]), Err(error) if error.raw_os_error() == Some(5))
    });
}

fn the_terminal_belongs_to_the_user(t: &Test) {
    let mut c = with_terminal(
        t,
        "stat -c 'owner %u:%g %a' /proc/self/fd/0 -L; echo x >/proc/self/fd/1 && echo end",
    );
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let (mut terminal, _) = connect(t, &c);
    terminal.expect("end");
    assert!(terminal.seen().contains("owner 1000:"), "{:?}", terminal.seen());
}

fn a_terminal_without_a_socket_is_refused_by_create(t: &Test) {
    t.skip_on("crun", "crun 1.8 creates the container all the same");
    let c = with_terminal(t, "true");
    c.create().fails().roci_says("console-socket");
    c.running(&["--detach"]).run().fails().roci_says("console-socket");
}

fn a_socket_without_a_terminal_is_refused(t: &Test) {
    t.skip_on("crun", "crun 1.8 ignores the socket");
    let socket = ConsoleSocket::listen(&t.path("console"));
    t.sh("true").creation(&["--console-socket", socket.arg()]).run().fails();
}

fn a_socket_that_nobody_listens_on_is_an_error(t: &Test) {
    let c = with_terminal(t, "true");
    let missing = t.path("no-socket");
    c.creation(&["--console-socket", missing.to_str().expect("path")])
        .run()
        .fails()
        .says("no such file or directory");
    c.state_call().fails();
}

/// Starts a call in a terminal of its own, as a user's shell would.
fn in_a_terminal(t: &Test, call: tests::Invocation) -> (Terminal, tests::Running) {
    t.needs("setsid", "util-linux");
    let (terminal, slave) = Terminal::open();
    terminal.resize(40, 120);
    let dup = || slave.try_clone().expect("dup");
    let call = call.under("setsid", &["--ctty", "--wait"]).stdin(dup());
    let running = call.spawn_to(dup(), dup());
    (terminal, running)
}

fn run_relays_the_terminal(t: &Test) {
    let c = with_terminal(t, "tty; read line; echo \"you typed $line\"; exit 9");
    let (mut terminal, running) = in_a_terminal(t, c.running(&[]));
    terminal.expect("/dev/");
    terminal.write("tea\r");
    terminal.expect("you typed tea");
    running.wait().code(9);
}

fn run_passes_the_size_and_its_changes_on(t: &Test) {
    let c = with_terminal(
        t,
        "stty size; trap 'echo now $(stty size)' WINCH; echo ready; while :; do sleep 0.02; done",
    );
    let (mut terminal, mut running) = in_a_terminal(t, c.running(&[]));
    terminal.expect("ready");
    // The peers set the size after the program has started.
    if t.is_roci() {
        assert!(terminal.seen().contains("40 120"), "{:?}", terminal.seen());
    }
    terminal.resize(33, 99);
    terminal.expect("now 33 99");
    c.kill("KILL").ok();
    eventually("run ends", || running.is_over());
}

fn run_restores_the_terminal(t: &Test) {
    let c = with_terminal(t, "echo ready; read line");
    let (mut terminal, running) = in_a_terminal(t, c.running(&[]));
    // A second slave keeps the settings: they are gone with the last one.
    terminal.expect("ready");
    eventually("the terminal is raw", || !terminal.is_cooked());
    terminal.write("\r");
    running.wait().ok();
    assert!(terminal.is_cooked(), "the terminal is as it was before");
}

fn exec_relays_the_terminal(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let call = c.executing(
        &["--tty"],
        &[
            "sh",
            "-c",
            "tty; stty size; read line; echo \"you typed $line\"; exit 9",
        ],
    );
    let (mut terminal, running) = in_a_terminal(t, call);
    // The peers set the size after the program has started.
    terminal.expect(if t.is_roci() { "40 120" } else { "/dev/pts/" });
    terminal.write("tea\r");
    terminal.expect("you typed tea");
    running.wait().code(9);
}

fn control_c_reaches_the_program(t: &Test) {
    let c = with_terminal(
        t,
        "trap 'echo interrupted; exit 6' INT; echo ready; while :; do sleep 0.02; done",
    );
    let (mut terminal, running) = in_a_terminal(t, c.running(&[]));
    terminal.expect("ready");
    eventually("the terminal is raw", || !terminal.is_cooked());
    terminal.write("\x03");
    terminal.expect("interrupted");
    running.wait().code(6);
}
