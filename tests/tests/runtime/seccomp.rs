//! Seccomp profiles in a container: what they forbid, and whom they ask.

use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use tests::{Test, eventually, field};

tests::cases![
    seccomp_forbids_a_system_call,
    seccomp_with_no_new_privileges_unset,
    a_profile_need_not_allow_what_the_runtime_does,
    a_notification_is_answered_by_the_listener,
    a_notification_of_exec_is_answered_by_the_listener,
    a_listener_that_is_not_there_is_an_error,
    a_profile_that_asks_for_write_is_refused,
];

fn seccomp_forbids_a_system_call(t: &Test) {
    let mut c = t.sh("mkdir /made || echo refused; grep Seccomp: /proc/self/status");
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    });
    let outcome = c.run().ok();
    assert!(outcome.stdout.contains("refused"), "{outcome}");
    assert!(outcome.stderr.contains("not implemented"), "{outcome}");
    assert_eq!(field(&outcome.stdout, "Seccomp"), "2");
}

fn seccomp_with_no_new_privileges_unset(t: &Test) {
    let mut c = t.sh("mkdir /made || echo refused; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status");
    c.config["process"]["noNewPrivileges"] = json!(false);
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    let output = c.output();
    assert!(output.contains("refused"), "{output}");
    assert_eq!((field(&output, "Seccomp"), field(&output, "NoNewPrivs")), ("2", "0"));
}

/// With no new privileges the filter is loaded last of all: what the program never calls can be forbidden, though the runtime
/// had to call it a moment before.
fn a_profile_need_not_allow_what_the_runtime_does(t: &Test) {
    let mut c = t.sh("id -u; grep -E 'Seccomp:|CapBnd' /proc/self/status");
    c.config["process"]["noNewPrivileges"] = json!(true);
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [7]});
    c.capabilities(&[]);
    // A shell changes its ids to those that it has.
    let names = ["setgroups", "capset", "chdir", "fchdir", "mount", "socket"];
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_KILL_PROCESS"}],
    });
    let output = c.output();
    assert!(output.starts_with("1000\n"), "{output}");
    assert_eq!(
        (field(&output, "Seccomp"), field(&output, "CapBnd")),
        ("2", "0000000000000000")
    );
}

/// A program that answers notifications, and what it printed.
struct Supervisor<'t> {
    t: &'t Test,
    child: Child,
}

impl<'t> Supervisor<'t> {
    fn start(t: &'t Test) -> Self {
        t.needs("python3", "python3");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtime/supervisor.py");
        let log = std::fs::File::create(t.path("supervisor.log")).expect("a log");
        let child = Command::new("python3")
            .args([script.as_ref(), t.path("listener").as_os_str()])
            .stdout(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("python3");
        let supervisor = Self { t, child };
        eventually("the supervisor listens", || supervisor.log().contains("listening"));
        supervisor
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.t.path("supervisor.log")).unwrap_or_default()
    }

    /// The messages that came with exactly one descriptor.
    fn messages(&self) -> Vec<Value> {
        let log = self.log();
        let messages = log.lines().filter_map(|line| line.strip_prefix("1 "));
        messages
            .map(|message| serde_json::from_str(message).expect("JSON"))
            .collect()
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn asking(t: &Test) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": t.path("listener"),
        "listenerMetadata": "who \"asks\"",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    })
}

fn a_notification_is_answered_by_the_listener(t: &Test) {
    t.skip_on("crun", "crun 1.8 wants a plugin for it");
    for no_new_privileges in [true, false] {
        let supervisor = Supervisor::start(t);
        let mut c = t.sh("mkdir /made; echo $?");
        c.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        c.config["linux"]["seccomp"] = asking(t);
        c.config["annotations"] = json!({"org.example": "x"});
        let outcome = c.run().ok();
        assert_eq!(outcome.stdout, "1\n");
        assert!(
            outcome.stderr.to_lowercase().contains("address not available")
                || outcome.stderr.contains("assign requested address"),
            "{outcome}"
        );
        assert!(supervisor.log().contains("answered"));
        let messages = supervisor.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert_eq!(messages[0]["fds"], json!(["seccompFd"]));
        assert_eq!(messages[0]["metadata"], json!("who \"asks\""));
        assert_eq!(messages[0]["state"]["id"], json!(c.id));
        assert_eq!(messages[0]["state"]["annotations"]["org.example"], json!("x"));
        assert!(messages[0]["pid"].as_i64().expect("a pid") > 1);
        drop(supervisor);
        std::fs::remove_file(t.path("listener")).expect("the socket");
    }
}

fn a_notification_of_exec_is_answered_by_the_listener(t: &Test) {
    t.skip_on("crun", "crun 1.8 wants a plugin for it");
    let supervisor = Supervisor::start(t);
    let mut c = t.server();
    c.config["linux"]["seccomp"] = asking(t);
    c.up_and_ready();
    assert_eq!(c.exec_sh("mkdir /made; echo $?").stdout, "1\n");
    let messages = supervisor.messages();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages[1]["state"]["pid"], json!(c.pid()));
    assert_ne!(messages[1]["pid"], json!(c.pid()));
}

fn a_listener_that_is_not_there_is_an_error(t: &Test) {
    t.skip_on("crun", "crun 1.8 wants a plugin for it");
    let mut c = t.sh("true");
    c.config["linux"]["seccomp"] = asking(t);
    c.run().fails().says("no such file or directory");
    c.state_call().fails();
}

fn a_profile_that_asks_for_write_is_refused(t: &Test) {
    t.skip_on("crun", "crun 1.8 wants a plugin for it");
    let mut c = t.sh("true");
    c.config["linux"]["seccomp"] = asking(t);
    c.config["linux"]["seccomp"]["syscalls"][0]["names"] = json!(["mkdir", "write"]);
    c.run().fails().says("write");
    c.config["linux"]["seccomp"]["syscalls"][0]["names"] = json!(["mkdir"]);
    c.config["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_NOTIFY");
    c.run().fails();
}
