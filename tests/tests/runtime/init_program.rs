//! `roci-init`, by itself: what it starts, what it forwards, what it reaps, and that it sleeps otherwise.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::{Terminal, Test, eventually, field, have};

tests::cases![
    the_program_is_found_and_named,
    the_exit_status_is_the_programs,
    a_program_that_cannot_run_is_an_error,
    mistakes_on_the_command_line_are_errors,
    chosen_statuses_become_success,
    every_signal_is_forwarded,
    a_stopped_program_is_continued,
    signals_go_to_the_program_or_its_group,
    signals_are_rewritten_and_dropped,
    ten_thousand_orphans_are_reaped,
    an_orphan_costs_two_system_calls,
    the_end_of_the_program_is_seen_among_others,
    nothing_wakes_it_up,
    the_program_inherits_what_init_got,
    init_keeps_no_descriptor_and_no_directory,
    the_socket_activation_pid_is_the_programs,
    the_end_of_the_parent_is_a_signal,
    the_first_process_of_a_pid_namespace,
    the_end_of_the_program_ends_the_namespace,
    the_terminal_belongs_to_the_program,
    a_shell_sees_its_job_stop,
];

/// `roci-init`, which lies beside `roci`.
fn path(t: &Test) -> String {
    if !t.is_roci() {
        t.skip("roci-init is no part of another runtime");
    }
    let path = t.runtime.path.with_file_name("roci-init");
    assert!(path.exists(), "`cargo build --release` makes roci-init");
    path.to_str().expect("a UTF-8 path").to_owned()
}

/// A call of `roci-init`.
fn init(t: &Test, args: &[&str]) -> Command {
    under(t, &[], args)
}

/// The same by another program, which gets the path of `roci-init` and the arguments behind its own.
fn under(t: &Test, wrapper: &[&str], args: &[&str]) -> Command {
    let path = path(t);
    let words = [wrapper, &[&path], args].concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env("ROCI_TEST_TOKEN", &t.runtime.token)
        .stdin(Stdio::null());
    command
}

fn output(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let code = status.code().unwrap_or_else(|| panic!("{status}"));
    (code, text(&stdout), text(&stderr))
}

fn code(t: &Test, args: &[&str]) -> i32 {
    output(init(t, args)).0
}

/// A `roci-init` that runs, and is killed at the end of the test.
struct Running {
    child: Child,
}

impl Running {
    /// Starts it, and waits for the first line of its program where there is one.
    fn start(mut command: Command) -> (Self, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("a line");
        (Self { child }, line.trim().to_owned())
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn children(&self) -> Vec<i32> {
        children(self.pid())
    }

    fn kill(&self, signals: &str) {
        kill(self.pid(), signals);
    }

    /// The exit status; it must end soon.
    #[track_caller]
    fn end(&mut self) -> i32 {
        let mut status = None;
        eventually("roci-init ends", || {
            status = self.child.try_wait().expect("wait");
            status.is_some()
        });
        let status = status.expect("a status");
        status.code().unwrap_or_else(|| 1000 + status.signal().unwrap_or(0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for pid in self.children() {
            kill(pid, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `/proc/PID/status`, which is empty for a process that is gone.
fn proc(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default()
}

fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Sends the signals, in order.
fn kill(pid: i32, signals: &str) {
    let script = format!("for s in {signals}; do kill -$s {pid}; done");
    let _ = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).status();
}

/// A set of signals in a line of `/proc/PID/status`, as the numbers in it.
fn signals(status: &str, name: &str) -> Vec<u32> {
    let set = u64::from_str_radix(field(status, name), 16).expect("a hexadecimal number");
    (1..=64).filter(|signal| set >> (signal - 1) & 1 == 1).collect()
}

fn the_program_is_found_and_named(t: &Test) {
    assert_eq!(output(init(t, &["echo", "-g", "--"])), (0, "-g --\n".into(), "".into()));
    assert_eq!(output(init(t, &["--", "echo", "--"])), (0, "--\n".into(), "".into()));
    assert_eq!(output(init(t, &["/bin/sh", "-c", "echo $0"])).1, "/bin/sh\n");
    assert_eq!(output(init(t, &["--", "sh", "-c", "echo $0"])).1, "sh\n");
    let (code, stdout, _) = output(init(
        t,
        &["-s", "--exec", "/bin/sh", "--", "other", "-c", "echo $0; exit 3"],
    ));
    assert_eq!((code, stdout.as_str()), (3, "other\n"));
    // Neither a missing PATH nor one of odd entries keeps the program from being found.
    for path in ["", "/nonexistent:/etc/passwd:", "/bin"] {
        let mut command = init(t, &["sh", "-c", "echo found"]);
        command.env("PATH", path).current_dir("/bin");
        assert_eq!(output(command).1, "found\n", "PATH={path}");
    }
    let mut command = init(t, &["sh", "-c", "echo found"]);
    command.env_remove("PATH");
    assert_eq!(output(command).1, "found\n");
}

fn the_exit_status_is_the_programs(t: &Test) {
    for status in (0..=255).step_by(15).chain([1, 2, 101, 126, 127, 128, 254]) {
        assert_eq!(code(t, &["sh", "-c", &format!("exit {status}")]), status);
    }
    for signal in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 31, 34, 64] {
        let script = format!("ulimit -c 0; kill -{signal} $$; exit 1");
        assert_eq!(code(t, &["sh", "-c", &script]), 128 + signal);
    }
}

fn a_program_that_cannot_run_is_an_error(t: &Test) {
    let text = t.path("text");
    fs::write(&text, "text").expect("write");
    let script = t.path("script");
    fs::write(&script, "echo no interpreter is named\n").expect("write");
    Command::new("chmod").arg("755").arg(&script).status().expect("chmod");
    let (text, script) = (text.to_str().expect("UTF-8"), script.to_str().expect("UTF-8"));
    for (args, status, subject, what) in [
        (
            vec!["no-such-program"],
            127,
            "no-such-program",
            "no such file or directory",
        ),
        (
            vec!["/no/such/program"],
            127,
            "/no/such/program",
            "no such file or directory",
        ),
        (vec!["--", ""], 127, "", "no such file or directory"),
        (
            vec!["--exec", "/no/such", "--", "sh"],
            127,
            "/no/such",
            "no such file or directory",
        ),
        (vec![text], 126, text, "permission denied"),
        (vec!["/etc"], 126, "/etc", "permission denied"),
        (vec![script], 126, script, "exec format error"),
    ] {
        let expected = (status, String::new(), format!("roci-init: {subject}: {what}\n"));
        assert_eq!(output(init(t, &args)), expected, "{args:?}");
    }
}

fn mistakes_on_the_command_line_are_errors(t: &Test) {
    for (args, line) in [
        (vec![], "roci-init: PROGRAM: missing"),
        (vec!["-g", "--"], "roci-init: PROGRAM: missing"),
        (vec!["-x", "true"], "roci-init: -x: unknown option"),
        (vec!["-e", "256", "true"], "roci-init: -e: needs a number from 0 to 255"),
        (vec!["-p", "NONE", "true"], "roci-init: -p: needs a signal"),
        (
            vec!["-r", "KILL:TERM", "true"],
            "roci-init: -r: needs two signals, A:B, or A:0 to drop A",
        ),
    ] {
        let (code, _, stderr) = output(init(t, &args));
        assert_eq!((code, stderr.lines().next()), (2, Some(line)), "{args:?}");
    }
    let (code, stdout, _) = output(init(t, &["--version"]));
    assert_eq!((code, stdout.starts_with("roci-init ")), (0, true));
}

fn chosen_statuses_become_success(t: &Test) {
    assert_eq!(code(t, &["-e", "7", "-e255", "sh", "-c", "exit 7"]), 0);
    assert_eq!(code(t, &["-e", "7", "-e255", "sh", "-c", "exit 255"]), 0);
    assert_eq!(code(t, &["-e", "7", "sh", "-c", "exit 8"]), 8);
    assert_eq!(code(t, &["-e", "143", "sh", "-c", "kill -TERM $$"]), 0);
}

/// The program is a second `roci-init`, which blocks everything and is kept from taking it: what arrives stays pending.
fn every_signal_is_forwarded(t: &Test) {
    let (outer, _) = Running::start(init(t, &[&path(t), "sh", "-c", "echo ready; exec sleep 1000"]));
    let inner = outer.children()[0];
    kill(inner, "STOP");
    eventually("the program is stopped", || {
        field(&proc(inner), "State").starts_with('T')
    });
    let all: Vec<u32> = (1..=64).filter(|signal| ![9, 17, 18, 19].contains(signal)).collect();
    let list: Vec<String> = all.iter().map(u32::to_string).collect();
    outer.kill(&list.join(" "));
    eventually("every signal is pending in the program", || {
        // Its own child is alive, so only SIGCHLD could be there beside them.
        signals(&proc(inner), "ShdPnd") == all
    });
    for pid in children(inner) {
        kill(pid, "KILL");
    }
    kill(inner, "KILL");
}

fn a_stopped_program_is_continued(t: &Test) {
    let (mut running, _) = Running::start(init(
        t,
        &[
            "sh",
            "-c",
            "trap 'exit 4' CONT; echo ready; while :; do sleep 0.01; done",
        ],
    ));
    let program = running.children()[0];
    // The process group of the program is not an orphaned one, so the kernel does not discard this.
    running.kill("TSTP");
    eventually("the program is stopped", || {
        field(&proc(program), "State").starts_with('T')
    });
    running.kill("CONT");
    assert_eq!(running.end(), 4);
}

fn signals_go_to_the_program_or_its_group(t: &Test) {
    // What the shell's own child died of: the TERM for the group, or else the KILL.
    // A loop and not a `wait`: the signal may come before the wait begins, which it would then not end.
    let script = "sleep 1000 & p=$!; trap got=1 TERM; echo ready; while [ -z \"$got\" ]; do sleep 0.02; done; \
                  kill -KILL $p; wait $p; exit $?";
    for (args, expected) in [(vec![], 137), (vec!["-g"], 143)] {
        let args: Vec<_> = args.into_iter().chain(["sh", "-c", script]).collect();
        let (mut running, _) = Running::start(init(t, &args));
        running.kill("TERM");
        assert_eq!(running.end(), expected, "{args:?}");
    }
}

fn signals_are_rewritten_and_dropped(t: &Test) {
    let script = "trap 'exit 9' USR1; trap 'exit 5' HUP; trap 'exit 6' TERM; echo ready; while :; do sleep 0.01; done";
    let args = [
        "-r",
        "TERM:USR1",
        "-rSIGHUP:0",
        "-r",
        "RTMIN+3:KILL",
        "sh",
        "-c",
        script,
    ];
    let (mut running, _) = Running::start(init(t, &args));
    running.kill("HUP HUP TERM");
    assert_eq!(running.end(), 9);
    let (mut running, _) = Running::start(init(t, &args));
    running.kill("37");
    assert_eq!(running.end(), 137);
}

/// It is not PID 1 here, so this is also the test that it is a subreaper.
fn ten_thousand_orphans_are_reaped(t: &Test) {
    let script = "i=0; while [ $i -lt 10000 ]; do (true &); i=$((i+1)); done; echo done; exec sleep 1000";
    let (mut running, line) = Running::start(init(t, &["sh", "-c", script]));
    assert_eq!(line, "done");
    eventually("only the program is left", || running.children().len() == 1);
    running.kill("TERM");
    assert_eq!(running.end(), 143);
}

/// Each orphan by itself is the worst case: many that end together are reaped with one call each.
fn an_orphan_costs_two_system_calls(t: &Test) {
    t.needs("strace", "strace");
    let counts = t.path("counts");
    let wrapper = ["strace", "-c", "-o", counts.to_str().expect("UTF-8")];
    // roci-init alone is traced, since its children are not followed.
    let calls = |orphans: u32| {
        let script = format!("i=0; while [ $i -lt {orphans} ]; do (true &); i=$((i+1)); done; wait; sleep 0.2");
        let (code, _, stderr) = output(under(t, &wrapper, &["sh", "-c", &script]));
        assert_eq!(code, 0, "{stderr}");
        let table = fs::read_to_string(&counts).expect("strace's table");
        // Before the calls stands what one takes, which older versions leave out of the sums.
        let heads = table.lines().next().expect("names of columns");
        let total = table.lines().last().expect("a line of sums");
        let end = heads.find("calls").expect("a column of calls") + "calls".len();
        let number = total.get(..end).and_then(|line| line.split_whitespace().next_back());
        let number = number.and_then(|word| word.parse::<u32>().ok());
        number.unwrap_or_else(|| panic!("{table}"))
    };
    let (none, many) = (calls(0), calls(10_000));
    // The last ones may be asked for in vain.
    assert!(
        many - none <= 2 * 10_000 + 20,
        "{} calls for 10000 orphans",
        many - none
    );
}

/// The end of the program is not missed among those of others, and not waited for.
fn the_end_of_the_program_is_seen_among_others(t: &Test) {
    let start = Instant::now();
    for status in 1..=20 {
        // The pipe ends while the program does.
        let script =
            format!("for i in 1 2 3 4 5 6 7 8 9 10; do (cat <&3 >/dev/null &); done; sleep 0.02; exit {status}");
        let wrapper = ["sh", "-c", r#"sleep 0.03 | { exec 3<&0; exec "$0" "$@"; }"#];
        let piped = under(t, &wrapper, &["sh", "-c", &script]);
        assert_eq!(output(piped).0, status);
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

fn nothing_wakes_it_up(t: &Test) {
    let (running, _) = Running::start(init(t, &["sh", "-c", "(true &); echo ready; exec sleep 1000"]));
    eventually("it sleeps", || field(&proc(running.pid()), "State").starts_with('S'));
    std::thread::sleep(Duration::from_millis(300));
    let switches = || {
        let status = proc(running.pid());
        let count = |name| field(&status, name).parse::<u64>().expect("a number");
        (count("voluntary_ctxt_switches"), count("nonvoluntary_ctxt_switches"))
    };
    let before = switches();
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(switches(), before);
}

fn the_program_inherits_what_init_got(t: &Test) {
    // The program reads it itself: a shell blocks signals while it starts another.
    let look = ["cat", "/proc/self/status"];
    let sets = |status: &str| (signals(status, "SigIgn"), signals(status, "SigBlk"));
    let mut direct = Command::new(look[0]);
    direct.args(&look[1..]);
    let (mut ignored, blocked) = sets(&output(direct).1);
    assert_eq!(sets(&output(init(t, &look)).1), (ignored.clone(), blocked.clone()));
    let ignoring = ["sh", "-c", r#"trap "" PIPE TSTP; exec "$0" "$@""#];
    ignored.extend([13, 20]);
    ignored.sort();
    ignored.dedup();
    assert_eq!(sets(&output(under(t, &ignoring, &look)).1), (ignored, blocked));
    let wrapper = ["env", "--ignore-signal=CHLD", "--block-signal=USR1,RTMAX"];
    if !Command::new("env")
        .args(&wrapper[1..])
        .arg("true")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return;
    }
    let (code, status, _) = output(under(t, &wrapper, &look));
    assert!(
        [10, 64]
            .iter()
            .all(|signal| signals(&status, "SigBlk").contains(signal)),
        "{status}"
    );
    assert!(signals(&status, "SigIgn").contains(&17), "{status}");
    assert_eq!(code, 0, "an ignored SIGCHLD does not lose the status");
}

fn init_keeps_no_descriptor_and_no_directory(t: &Test) {
    fs::write(t.path("file"), "inherited").expect("write");
    let wrapper = ["sh", "-c", r#"exec "$0" "$@" 3<file 7<file"#];
    let mut command = under(
        t,
        &wrapper,
        &["sh", "-c", "echo $(pwd) $(cat <&3)$(cat <&7); exec sleep 1000"],
    );
    command.current_dir(&t.dir);
    let (running, line) = Running::start(command);
    assert_eq!(line, format!("{} inheritedinherited", t.dir.display()));
    let proc = format!("/proc/{}", running.pid());
    assert_eq!(fs::read_link(format!("{proc}/cwd")).expect("cwd").to_str(), Some("/"));
    let fds = tests::leaks::entries(format!("{proc}/fd").as_ref());
    let names: Vec<_> = fds.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!(names, ["0", "1", "2"]);
}

fn the_socket_activation_pid_is_the_programs(t: &Test) {
    let script = r#"set -- $LISTEN_PID; [ "$1" = $$ ] && echo mine; env | grep -c ^LISTEN_; echo $A$B"#;
    let wrapper = [
        "sh",
        "-c",
        r#"export A=a LISTEN_PID=$$ LISTEN_FDS=1 B=b; exec "$0" "$@""#,
    ];
    let (_, stdout, _) = output(under(t, &wrapper, &["sh", "-c", script]));
    assert_eq!(stdout, "mine\n2\nab\n");
    // One that names another process is not ours to change.
    let mut command = init(t, &["sh", "-c", "echo $LISTEN_PID"]);
    command.env("LISTEN_PID", "1");
    assert_eq!(output(command).1, "1\n");
}

fn the_end_of_the_parent_is_a_signal(t: &Test) {
    for (signal, dies) in [("TERM", false), ("KILL", true)] {
        let script = "trap 'echo got >got; exit' TERM; echo $$; while :; do sleep 0.01; done";
        let wrapper = ["sh", "-c", r#""$0" "$@" & wait"#];
        let mut command = under(t, &wrapper, &["-p", signal, "sh", "-c", script]);
        command.current_dir(&t.dir);
        let (mut parent, line) = Running::start(command);
        parent.child.kill().expect("kill");
        parent.end();
        let program = line.parse().expect("a number");
        eventually("the program is gone", || {
            let status = proc(program);
            status.is_empty() || field(&status, "State").starts_with('Z')
        });
        assert_eq!(t.path("got").exists(), !dies, "{signal}");
        let _ = fs::remove_file(t.path("got"));
    }
}

const UNSHARE: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

fn the_first_process_of_a_pid_namespace(t: &Test) {
    let script = "i=0; while [ $i -lt 100 ]; do (true &); i=$((i+1)); done; echo $$ $PPID; exec sleep 1000";
    let (mut unshare, line) = Running::start(under(t, &UNSHARE, &["sh", "-c", script]));
    assert_eq!(line, "2 1");
    let init = unshare.children()[0];
    eventually("only the program is left", || children(init).len() == 1);
    // A process without a handler for it would not get this as PID 1.
    kill(init, "TERM");
    assert_eq!(unshare.end(), 143);
}

fn the_end_of_the_program_ends_the_namespace(t: &Test) {
    let start = Instant::now();
    let (mut unshare, line) = Running::start(under(t, &UNSHARE, &["sh", "-c", "sleep 1000 & echo started; exit 12"]));
    assert_eq!(line, "started");
    assert_eq!(unshare.end(), 12);
    assert!(start.elapsed() < Duration::from_secs(10));
}

fn the_terminal_belongs_to_the_program(t: &Test) {
    t.needs("setsid", "util-linux");
    let (mut terminal, slave) = Terminal::open();
    let script = "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.01; done";
    // As a container manager does it: the leader of a session with this terminal.
    let mut command = under(t, &["setsid", "--ctty"], &["sh", "-c", script]);
    let stream = || slave.try_clone().expect("dup");
    command.stdin(stream()).stdout(stream()).stderr(stream());
    let mut running = Running {
        child: command.spawn().expect("it starts"),
    };
    terminal.expect("ready");
    let stat = fs::read_to_string(format!("/proc/{}/stat", running.pid())).expect("stat");
    let numbers: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // The fields behind the name: state, ppid, pgrp, session, tty, and the foreground group.
    assert_eq!(numbers[5], running.children()[0].to_string(), "{stat}");
    terminal.write("\x03");
    terminal.expect("interrupted");
    assert_eq!(running.end(), 5);
}

fn a_shell_sees_its_job_stop(t: &Test) {
    t.needs("setsid", "util-linux");
    if !have("bash") {
        t.skip("no shell with job control that can be relied on");
    }
    let (mut terminal, slave) = Terminal::open();
    let path = path(t);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "bash", "--norc", "--noediting", "-i"]);
    let stream = || slave.try_clone().expect("dup");
    command.stdin(stream()).stdout(stream()).stderr(stream());
    command
        .env("ROCI_TEST_TOKEN", &t.runtime.token)
        .env("PS1", "prompt> ")
        .env("HISTFILE", "");
    let _shell = Running {
        child: command.spawn().expect("it starts"),
    };
    terminal.expect("prompt>");
    // The words are put together by the shell, so that they are not found in the echo of what was typed.
    terminal.write(&format!("{path} sh -c 'echo re''ady; exec cat'; echo sta''tus $?\n"));
    terminal.expect("ready");
    terminal.write("\x1a");
    terminal.expect("Stopped");
    terminal.write("fg; echo en''ded $?\n");
    terminal.write("a line\n");
    eventually("the line is echoed by the terminal and by cat", || {
        terminal.seen().matches("a line\r\n").count() == 2
    });
    terminal.write("\x04");
    terminal.expect("ended 0");
    terminal.write("exit\n");
}
