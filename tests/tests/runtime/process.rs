//! What the program starts with: ids, capabilities, limits, environment, working directory.

use serde_json::json;
use std::os::unix::fs::{PermissionsExt, symlink};
use tests::{Test, field};

tests::cases![
    the_user_and_its_groups_are_set,
    root_keeps_no_groups_of_the_caller,
    the_umask_is_set,
    the_umask_is_022_when_the_configuration_has_none,
    the_environment_is_exactly_the_configurations,
    home_is_set_from_the_users_database_when_missing,
    the_program_is_searched_in_the_path_of_the_configuration,
    the_program_is_searched_inside_the_container,
    arguments_arrive_as_they_are,
    the_working_directory_is_set,
    a_missing_working_directory_is_made,
    five_capability_sets_are_set,
    a_missing_capability_set_is_empty,
    ambient_capabilities_reach_a_user_that_is_not_root,
    capabilities_of_a_user_that_is_not_root_are_kept_only_as_ambient,
    an_unknown_capability_is_no_error,
    no_new_privileges_is_set_and_unset,
    resource_limits_are_set,
    the_oom_score_adjustment_is_set,
    the_program_leads_a_session,
    signals_are_neither_blocked_nor_ignored,
    the_memory_policy_is_set,
    a_memory_policy_for_nodes_that_are_not_there_is_an_error,
    labels_of_absent_security_modules_are_refused,
    shares_of_the_cache_need_resctrl,
    the_scheduler_is_set,
    the_io_priority_is_set,
    the_personality_is_set,
    the_environment_may_be_large,
    a_script_is_run_by_its_interpreter,
];

const STATUS: &str = "cat /proc/self/status";

fn the_user_and_its_groups_are_set(t: &Test) {
    let mut c = t.sh(STATUS);
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6, 4_000_000]});
    let status = c.output();
    assert_eq!(field(&status, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(field(&status, "Gid"), "1001\t1001\t1001\t1001");
    let mut groups: Vec<_> = field(&status, "Groups").split_whitespace().collect();
    groups.retain(|group| *group != "1001");
    assert_eq!(groups, ["5", "6", "4000000"]);
}

fn root_keeps_no_groups_of_the_caller(t: &Test) {
    t.needs("setpriv", "util-linux");
    let c = t.sh(STATUS);
    let outcome = c.running(&[]).under("setpriv", &["--groups", "4,24,27"]).run().ok();
    assert_eq!(field(&outcome.stdout, "Groups"), "");
}

fn the_umask_is_set(t: &Test) {
    let mut c = t.sh("umask; touch /made");
    c.config["process"]["user"]["umask"] = json!(0o137);
    assert_eq!(c.output(), "0137\n");
    let mode = std::fs::metadata(c.rootfs().join("made"))
        .expect("made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

fn the_umask_is_022_when_the_configuration_has_none(t: &Test) {
    // The specification: "If unspecified, the umask should not be changed from the calling process' umask." runc and
    // crun set 022, which every image was built under; containerd's and podman's callers have 022, where both agree.
    let c = t.sh("umask");
    let outcome = c
        .running(&[])
        .under("sh", &["-c", r#"umask 022; exec "$0" "$@""#])
        .run()
        .ok();
    assert_eq!(outcome.stdout, "0022\n");
}

fn the_environment_is_exactly_the_configurations(t: &Test) {
    let mut c = t.sh("cat /proc/1/environ | tr '\\0' '\\n'");
    c.config["process"]["env"] = json!([
        "PATH=/bin",
        "HOME=/x",
        "A=1",
        "EMPTY=",
        "B=two words",
        "A_B=\u{e4}=\"q\"\\"
    ]);
    let outcome = c
        .running(&[])
        .env("SECRET_OF_THE_CALLER", "1")
        .env("_OCI_STARTPIPE", "4")
        .run()
        .ok();
    let mut lines: Vec<_> = outcome.stdout.lines().collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "A=1",
            "A_B=\u{e4}=\"q\"\\",
            "B=two words",
            "EMPTY=",
            "HOME=/x",
            "PATH=/bin"
        ]
    );
}

fn home_is_set_from_the_users_database_when_missing(t: &Test) {
    let mut c = t.sh("echo $HOME");
    assert_eq!(c.output(), "/root\n");
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(c.output(), "/home\n");
}

fn the_program_is_searched_in_the_path_of_the_configuration(t: &Test) {
    let mut c = t.container(&["tool"]);
    for (directory, word) in [("one", "first"), ("two", "second")] {
        let directory = c.rootfs().join("opt").join(directory);
        std::fs::create_dir_all(&directory).expect("mkdir");
        let program = directory.join("tool");
        std::fs::write(&program, format!("#!/bin/sh\necho {word}\n")).expect("write");
        std::fs::set_permissions(program, PermissionsExt::from_mode(0o755)).expect("chmod");
    }
    c.config["process"]["env"] = json!(["PATH=/nowhere:/opt/one:/opt/two:/bin"]);
    assert_eq!(c.output(), "first\n");
    // What cannot be executed does not end the search.
    std::fs::set_permissions(c.rootfs().join("opt/one/tool"), PermissionsExt::from_mode(0o644)).expect("chmod");
    assert_eq!(c.output(), "second\n");
}

fn the_program_is_searched_inside_the_container(t: &Test) {
    // This program exists on the host only.
    let mut c = t.container(&[t.runtime.path.to_str().expect("path")]);
    c.create().fails().says("no such file or directory");
    // And an absolute symbolic link is the container's business.
    symlink("/bin/busybox", c.rootfs().join("home/echo")).expect("symlink");
    c.config["process"]["args"] = json!(["/home/echo", "inside"]);
    assert_eq!(c.output(), "inside\n");
}

fn arguments_arrive_as_they_are(t: &Test) {
    let arguments = [
        "",
        " ",
        "a b",
        "\"q\"",
        "$HOME",
        "*",
        "\u{1F375}",
        "line\nbreak",
        "tab\t",
        "back\\slash",
        "--",
        "-x",
    ];
    let args: Vec<_> = ["/bin/sh", "-c", "for a; do printf '<%s>' \"$a\"; done", "sh"]
        .iter()
        .chain(&arguments)
        .copied()
        .collect();
    let c = t.container(&args);
    let expected: String = arguments.iter().map(|argument| format!("<{argument}>")).collect();
    assert_eq!(c.output(), expected);
}

fn the_working_directory_is_set(t: &Test) {
    let mut c = t.sh("pwd; echo $PWD");
    c.config["process"]["cwd"] = json!("/var/../etc");
    let output = c.output();
    assert!(output.starts_with("/etc\n"), "{output}");
}

fn a_missing_working_directory_is_made(t: &Test) {
    let mut c = t.sh("pwd");
    c.config["process"]["cwd"] = json!("/new/deep/directory");
    assert_eq!(c.output(), "/new/deep/directory\n");
}

/// The five sets of a process, as numbers.
#[track_caller]
fn sets(status: &str) -> [u64; 5] {
    ["CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb"]
        .map(|set| u64::from_str_radix(field(status, set), 16).expect(set))
}

const CHOWN: u64 = 1 << 0;
const KILL: u64 = 1 << 5;
const NET_BIND: u64 = 1 << 10;
const NET_RAW: u64 = 1 << 13;

fn five_capability_sets_are_set(t: &Test) {
    let mut c = t.sh(STATUS);
    c.capabilities(&[
        (
            "bounding",
            &["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW"],
        ),
        ("permitted", &["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"]),
        ("effective", &["CAP_CHOWN", "CAP_KILL"]),
        ("inheritable", &["CAP_KILL", "CAP_NET_BIND_SERVICE"]),
        ("ambient", &["CAP_KILL"]),
    ]);
    // A user that is not root keeps across execve what is ambient; bounding and inheritable stay as they were set.
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let [bounding, effective, permitted, inheritable, ambient] = sets(&c.output());
    assert_eq!(bounding, CHOWN | KILL | NET_BIND | NET_RAW);
    assert_eq!(inheritable, KILL | NET_BIND);
    assert_eq!((effective, permitted, ambient), (KILL, KILL, KILL));
}

fn a_missing_capability_set_is_empty(t: &Test) {
    let mut c = t.sh(STATUS);
    c.capabilities(&[("bounding", &["CAP_KILL"])]);
    let [bounding, _, _, inheritable, ambient] = sets(&c.output());
    assert_eq!((bounding, inheritable, ambient), (KILL, 0, 0));
    c.capabilities(&[]);
    assert_eq!(sets(&c.output()), [0; 5]);
    c.config["process"]
        .as_object_mut()
        .expect("process")
        .remove("capabilities");
    // Differs from runc because runc 1.1 takes a missing object as "leave as it is"; the specification calls the sets
    // "an array of capabilities that are kept", so there is nothing to keep.
    if t.is_roci() {
        assert_eq!(sets(&c.output()), [0; 5]);
    }
}

fn ambient_capabilities_reach_a_user_that_is_not_root(t: &Test) {
    let mut c = t.sh(STATUS);
    let set: &[&str] = &["CAP_NET_RAW"];
    c.capabilities(&[
        ("bounding", set),
        ("permitted", set),
        ("effective", set),
        ("inheritable", set),
        ("ambient", set),
    ]);
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    assert_eq!(sets(&c.output()), [NET_RAW; 5]);
}

fn capabilities_of_a_user_that_is_not_root_are_kept_only_as_ambient(t: &Test) {
    let mut c = t.sh(STATUS);
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let [_, effective, permitted, _, ambient] = sets(&c.output());
    assert_eq!((effective, permitted, ambient), (0, 0, 0));
}

fn an_unknown_capability_is_no_error(t: &Test) {
    let mut c = t.sh(STATUS);
    let set: &[&str] = &["CAP_KILL", "CAP_TEAPOT"];
    c.capabilities(&[("bounding", set), ("permitted", set), ("effective", set)]);
    // "the runtime ... SHOULD NOT fail": a warning it may be.
    assert_eq!(sets(&c.output())[..3], [KILL; 3]);
}

fn no_new_privileges_is_set_and_unset(t: &Test) {
    let mut c = t.sh(STATUS);
    assert_eq!(field(&c.output(), "NoNewPrivs"), "1");
    c.config["process"]["noNewPrivileges"] = json!(false);
    assert_eq!(field(&c.output(), "NoNewPrivs"), "0");
}

fn resource_limits_are_set(t: &Test) {
    let mut c = t.sh("cat /proc/self/limits");
    c.config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_STACK", "soft": 4_194_304, "hard": 8_388_608},
        {"type": "RLIMIT_FSIZE", "soft": 1_000_000, "hard": 18_446_744_073_709_551_615_u64},
    ]);
    let limits = c.output();
    let words = |name: &str| {
        field(&limits, name)
            .split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words("Max open files"), ["100", "200"]);
    assert_eq!(words("Max core file size"), ["0", "0"]);
    assert_eq!(words("Max stack size"), ["4194304", "8388608"]);
    assert_eq!(words("Max file size"), ["1000000", "unlimited"]);
}

fn the_oom_score_adjustment_is_set(t: &Test) {
    let mut c = t.sh("cat /proc/1/oom_score_adj");
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj").expect("oom_score_adj");
    assert_eq!(c.output(), ours, "without a value it is the caller's");
    // Raising needs no privilege.
    c.config["process"]["oomScoreAdj"] = json!(777);
    assert_eq!(c.output(), "777\n");
}

fn the_program_leads_a_session(t: &Test) {
    let c = t.sh("cat /proc/1/stat");
    let output = c.output();
    let (_, rest) = output.rsplit_once(") ").expect("stat");
    let fields: Vec<_> = rest.split_whitespace().collect();
    assert_eq!(
        fields[3], "1",
        "the session, so that nobody can type into the caller's terminal: {output}"
    );
    assert_eq!(fields[4], "0", "no controlling terminal: {output}");
}

fn signals_are_neither_blocked_nor_ignored(t: &Test) {
    let c = t.container(&["/bin/cat", "/proc/self/status"]);
    // Not even when the caller ignores some, as nohup does for SIGHUP; what the caller ignores, a runtime may keep.
    let status = c.output();
    assert_eq!(field(&status, "SigBlk"), "0000000000000000");
    let ignored = u64::from_str_radix(field(&status, "SigIgn"), 16).expect("a mask");
    let own = std::fs::read_to_string("/proc/self/status").expect("status");
    let inherited = u64::from_str_radix(field(&own, "SigIgn"), 16).expect("a mask");
    assert_eq!(ignored & !inherited, 0, "{status}");
}

fn the_scheduler_is_set(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know process.scheduler");
    t.skip_on("crun", "crun 1.8 needs CAP_SYS_NICE for it");
    let mut c = t.sh("cut -d' ' -f 19,41 /proc/1/stat");
    // Nice value and policy 3, SCHED_BATCH: lowering one's own priority needs no privilege.
    c.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
    assert_eq!(c.output(), "7 3\n");
}

fn the_io_priority_is_set(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know process.ioPriority");
    t.skip_on("crun", "crun 1.8 does not know process.ioPriority");
    let mut c = t.sh("ionice -p 1");
    c.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    assert_eq!(c.output(), "best-effort: prio 6\n");
}

fn the_memory_policy_is_set(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know memoryPolicy");
    t.skip_on("crun", "crun 1.8 does not know memoryPolicy");
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        t.skip("the kernel has no CONFIG_NUMA");
    }
    let mut c = t.sh("cut -d' ' -f 2 /proc/self/numa_maps | sort -u");
    c.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    assert_eq!(c.output(), "bind=static:0\n");
}

fn a_memory_policy_for_nodes_that_are_not_there_is_an_error(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know memoryPolicy");
    t.skip_on("crun", "crun 1.8 does not know memoryPolicy");
    for nodes in ["63", "3-1", "x", "99999"] {
        let mut c = t.sh("true");
        c.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": nodes});
        c.run().fails().says("linux.memoryPolicy");
        c.state_call().fails();
    }
}

fn labels_of_absent_security_modules_are_refused(t: &Test) {
    for (field, module) in [("apparmorProfile", "apparmor"), ("selinuxLabel", "selinux")] {
        let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
        if modules.contains(module) {
            continue;
        }
        let mut c = t.sh("true");
        c.config["process"][field] = json!("no-such-label");
        if t.is_roci() {
            let words = format!("process.{field}: the kernel does not have the label, or not the module");
            c.run()
                .fails()
                .says(&words)
                .says(&format!("CONFIG_SECURITY_{}", module.to_uppercase()));
            c.state_call().fails();
        }
        c.config["process"][field] = json!("");
        c.run().ok();
    }
}

fn shares_of_the_cache_need_resctrl(t: &Test) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounts.contains(" resctrl ") {
        t.skip("this machine has it");
    }
    t.skip_on("runc", "runc 1.1 says it otherwise");
    t.skip_on("crun", "crun 1.8 ignores it");
    let mut c = t.sh("true");
    c.config["linux"]["intelRdt"] = json!({"l3CacheSchema": "L3:0=f"});
    c.run()
        .fails()
        .roci_says("linux.intelRdt: no resctrl at /sys/fs/resctrl")
        .says("CONFIG_X86_CPU_RESCTRL");
    c.state_call().fails();
}

fn the_personality_is_set(t: &Test) {
    if !cfg!(target_arch = "x86_64") {
        t.skip("LINUX32 changes the machine's name on 64-bit machines");
    }
    t.skip_on("runc", "runc 1.1 does not know linux.personality");
    let mut c = t.sh("uname -m");
    c.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    assert_eq!(c.output(), "i686\n");
}

fn the_environment_may_be_large(t: &Test) {
    let mut c = t.sh("env | grep -c BIG_; echo ${#BIG_7}");
    let env = c.config["process"]["env"].as_array_mut().expect("env");
    env.extend((0..50).map(|number| json!(format!("BIG_{number}={}", "x".repeat(500)))));
    assert_eq!(c.output(), "50\n500\n");
}

fn a_script_is_run_by_its_interpreter(t: &Test) {
    let c = t.container(&["/bin/script", "word"]);
    let script = c.rootfs().join("bin/script");
    std::fs::write(&script, "#!/bin/sh\necho $0 $1\n").expect("write");
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).expect("chmod");
    assert_eq!(c.output(), "/bin/script word\n");
}
