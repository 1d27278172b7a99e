//! The vulnerabilities of joining a container and of becoming its program: users, capabilities, descriptors, terminals.

use serde_json::json;
use std::fs;
use std::process::Command;

use super::{Host, privileged};
use crate::rootless::{as_user, owned};
use tests::{Test, eventually, field};

tests::cases![
    cve_2016_3697_a_user_that_is_no_number_is_not_root,
    cve_2026_30892_a_uid_without_a_gid_is_that_user,
    cve_2016_9962_the_container_sees_no_descriptor_of_who_joins_it,
    cve_2019_14271_nothing_of_the_image_is_loaded,
    cve_2021_43784_long_lists_do_not_become_other_settings,
    cve_2022_29162_exec_gives_no_inheritable_capabilities,
    cve_2022_27650_a_container_has_no_inheritable_capabilities,
    cve_2025_27612_exec_of_a_process_file_gives_no_inheritable_capabilities,
    cve_2023_25809_a_plain_users_container_does_not_write_its_cgroup,
    cve_2022_0492_a_release_agent_cannot_be_set,
    cve_2024_40635_an_id_that_is_too_large_is_not_root,
    tiocsti_does_not_reach_the_terminal_of_the_caller,
    the_session_keyring_is_the_containers_own,
    a_jailed_process_does_not_outlive_its_jail,
];

fn cve_2016_3697_a_user_that_is_no_number_is_not_root(t: &Test) {
    let c = t.server();
    // A user of the image whose name is a number.
    fs::write(c.rootfs().join("etc/passwd"), "1000:x:0:0:root:/root:/bin/sh\n").expect("write");
    c.up_and_ready();
    let outcome = c.executing(&["--user", "1000"], &["id", "-u"]).run().ok();
    assert_eq!(
        outcome.stdout, "1000\n",
        "a number is an id and never a name of the image"
    );
    for user in [
        "1000x",
        "+1000",
        "-1",
        "0x10",
        "1000:",
        ":1000",
        "1000:x",
        "4294967296",
        "4294967295",
        "root ",
    ] {
        let outcome = c.executing(&["--user", user], &["id", "-u"]).run();
        // The peers understand some of these, and ":1000" as root, which its words allow.
        assert!(
            !outcome.status.success() || !t.is_roci(),
            "{user:?} was understood: {outcome}"
        );
    }
}

fn cve_2026_30892_a_uid_without_a_gid_is_that_user(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    for (user, ids) in [("1", "1 0\n"), ("7:8", "7 8\n"), ("0:5", "0 5\n")] {
        let outcome = c
            .executing(&["--user", user], &["sh", "-c", "echo $(id -u) $(id -g)"])
            .run()
            .ok();
        assert_eq!(outcome.stdout, ids, "--user {user}");
    }
}

/// The attacker opens whatever the processes that come in have open, as fast as it can.
fn cve_2016_9962_the_container_sees_no_descriptor_of_who_joins_it(t: &Test) {
    let host = Host::new(t);
    let attack = "echo ready; while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] && continue; \
                  for f in $p/fd/* $p/cwd $p/root; do cat $f/secret $f/../secret $f/host/secret 2>/dev/null; \
                  case $(readlink $f) in */state/*|*/host*) echo caught $(readlink $f);; esac; done; done; done";
    // Without CAP_SYS_PTRACE, which no default has: with it in the host's user namespace everything is in reach.
    let mut c = t.sh(attack);
    let all = [
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_SETUID",
        "CAP_SYS_ADMIN",
    ];
    c.capabilities(&[("bounding", &all), ("effective", &all), ("permitted", &all)]);
    let created = c.up();
    eventually("the attacker runs", || created.stdout_now().contains("ready"));
    for _ in 0..60 {
        let directory = fs::File::open(&host.0).expect("open");
        let _ = c.executing(&[], &["/bin/true"]).fd(7, directory).run();
    }
    let seen = created.stdout_now();
    assert_eq!(seen, "ready\n", "the container got hold of the host");
    host.is_unharmed();
}

fn cve_2019_14271_nothing_of_the_image_is_loaded(t: &Test) {
    t.needs("strace", "strace");
    let c = t.server();
    fs::create_dir_all(c.rootfs().join("lib")).expect("mkdir");
    for library in [
        "lib/libnss_files.so.2",
        "lib/libc.so.6",
        "etc/nsswitch.conf",
        "etc/ld.so.preload",
    ] {
        fs::write(c.rootfs().join(library), "not what it seems\n").expect("write");
    }
    c.up_and_ready();
    let log = t.path("trace");
    let args = [
        "-f",
        "-e",
        "trace=open,openat,openat2",
        "-o",
        log.to_str().expect("path"),
    ];
    c.executing(&["--user", "1000"], &["/bin/true"])
        .under("strace", &args)
        .run()
        .ok();
    let trace = fs::read_to_string(&log).expect("the trace");
    let program = trace.find("execve").unwrap_or(trace.len());
    let before = trace.get(..program).unwrap_or_default();
    for name in ["nss", "ld.so", "/lib/", "libc"] {
        let opened = before.lines().find(|line| line.contains(name) && t.is_roci());
        assert_eq!(opened, None, "roci opened what the image put there");
    }
}

fn cve_2021_43784_long_lists_do_not_become_other_settings(t: &Test) {
    // In that vulnerability a length of 16 bits wrapped, and what came behind was taken for namespaces and maps.
    let mut c = t.sh("readlink /proc/self/ns/user; cat /proc/self/uid_map; env | wc -c");
    let env = c.config["process"]["env"].as_array_mut().expect("env");
    for number in 0..200 {
        env.push(json!(format!("V{number}={}", "x".repeat(700))));
    }
    let own = fs::read_link("/proc/self/ns/user").expect("the namespace");
    let outcome = c.run().ok();
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[0],
        own.to_string_lossy(),
        "the user namespace is the host's as configured"
    );
    assert!(
        lines[2].trim().parse::<usize>().is_ok_and(|bytes| bytes > 65536),
        "{outcome}"
    );
    // And as many maps as there may be: one more is refused.
    let mut c = t.sh("wc -l < /proc/self/uid_map");
    c.namespace("user", None);
    let map = |count: u32| -> Vec<_> {
        (0..count)
            .map(|id| json!({"containerID": id, "hostID": 100_000 + 2 * id, "size": 1}))
            .collect()
    };
    c.config["linux"]["gidMappings"] = json!(map(340));
    c.config["linux"]["uidMappings"] = json!(map(340));
    let outcome = c.run();
    if outcome.status.success() {
        assert_eq!(outcome.stdout.trim(), "340", "{outcome}");
    }
    c.config["linux"]["uidMappings"] = json!(map(341));
    c.run().fails();
}

/// What `/proc/self/status` says of the inheritable capabilities.
fn inheritable(status: &str) -> u64 {
    u64::from_str_radix(field(status, "CapInh"), 16).expect("a set")
}

fn cve_2022_29162_exec_gives_no_inheritable_capabilities(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 adds the capabilities of --cap to the inheritable ones",
    );
    let c = t.server();
    c.up_and_ready();
    for options in [
        &[][..],
        &["--cap", "CAP_NET_ADMIN"],
        &["--cap", "CAP_NET_ADMIN", "--user", "1000"],
    ] {
        let outcome = c.executing(options, &["cat", "/proc/self/status"]).run().ok();
        assert_eq!(inheritable(&outcome.stdout), 0, "{options:?}");
    }
}

fn cve_2022_27650_a_container_has_no_inheritable_capabilities(t: &Test) {
    let c = t.container(&["/bin/cat", "/proc/self/status"]);
    assert_eq!(inheritable(&c.output()), 0);
}

fn cve_2025_27612_exec_of_a_process_file_gives_no_inheritable_capabilities(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    let process = json!({
        "args": ["cat", "/proc/self/status"], "cwd": "/", "user": {"uid": 1000, "gid": 1000},
        "env": ["PATH=/bin"],
        "capabilities": {"bounding": ["CAP_NET_ADMIN"], "effective": ["CAP_NET_ADMIN"], "permitted": ["CAP_NET_ADMIN"]},
    });
    let file = t.path("process.json");
    fs::write(&file, process.to_string()).expect("write");
    let outcome = t
        .call(&["exec", "--process", file.to_str().expect("path"), &c.id])
        .run()
        .ok();
    assert_eq!(inheritable(&outcome.stdout), 0);
    assert_eq!(u64::from_str_radix(field(&outcome.stdout, "CapAmb"), 16), Ok(0));
}

fn cve_2023_25809_a_plain_users_container_does_not_write_its_cgroup(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    t.skip_on("runc", "runc 1.1.5 has no right to make the cgroup of a plain user");
    let mut c = owned(
        t,
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/mine 2>/dev/null && echo made $d/mine; done; echo end",
    );
    c.mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
    let outcome = as_user(c.running(&[])).run();
    assert!(!outcome.stdout.contains("made"), "{outcome}");
    // And with root's container without a cgroup namespace, where it would have the right.
    let mut c = t.sh(
        "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/mine 2>/dev/null && echo made $d/mine; done; echo end",
    );
    privileged(&mut c);
    c.mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    );
    let outcome = c.run().ok();
    assert_eq!(outcome.stdout, "end\n", "{outcome}");
}

fn cve_2022_0492_a_release_agent_cannot_be_set(t: &Test) {
    t.needs_v1_controller("pids");
    let script = "find / -name release_agent 2>/dev/null | while read f; do echo /evil > $f && echo wrote $f; done 2>/dev/null; \
                  mkdir /tmp/c; mount -t cgroup -o pids cgroup /tmp/c 2>/dev/null && echo mounted; echo end";
    let mut c = t.sh(script);
    // Without CAP_SYS_ADMIN, which no default has, and with cgroups in view.
    c.mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    );
    c.namespace("cgroup", None);
    assert_eq!(c.output(), "end\n");
    for mount in tests::cgroup_mounts() {
        let agent = fs::read_to_string(mount.join("release_agent")).unwrap_or_default();
        assert!(!agent.contains("evil"), "{}", mount.display());
    }
}

/// The image's `User` field, which containerd passes on: what does not fit must not become 0.
fn cve_2024_40635_an_id_that_is_too_large_is_not_root(t: &Test) {
    t.skip_on("crun", "crun 1.8 runs 4294967295 as root");
    for (uid, gid) in [
        ("4294967295", "0"),
        ("4294967296", "0"),
        ("0", "4294967296"),
        ("-1", "0"),
        ("18446744073709551616", "0"),
    ] {
        let c = t.sh("id -u");
        c.write_config();
        let path = c.bundle.join("config.json");
        let text = fs::read_to_string(&path).expect("read");
        let text = text.replacen("\"uid\": 0", &format!("\"uid\": {uid}"), 1);
        let text = text.replacen("\"gid\": 0", &format!("\"gid\": {gid}"), 1);
        fs::write(&path, text).expect("write");
        let outcome = t
            .call(&["run", "--bundle", c.bundle.to_str().expect("path"), &c.id])
            .run();
        assert!(
            !outcome.stdout.contains('0') || outcome.stdout.trim() != "0",
            "{uid}:{gid}: {outcome}"
        );
        assert!(!outcome.status.success() || !t.is_roci(), "{uid}:{gid}: {outcome}");
    }
    let mut c = t.sh("id -u");
    c.config["process"]["user"]["uid"] = json!(2_147_483_648_u32);
    let outcome = c.run();
    assert_ne!(outcome.stdout, "0\n", "{outcome}");
}

/// The caller's terminal is not the container's: there is nothing to push characters into.
fn tiocsti_does_not_reach_the_terminal_of_the_caller(t: &Test) {
    t.needs("script", "bsdutils");
    let c = t
        .sh("test -t 0 && echo the terminal is here; (echo x > /dev/tty) 2>/dev/null && echo it is writable; echo end");
    c.write_config();
    let call = [
        t.runtime.path.to_str().expect("path"),
        "--root",
        t.runtime.root.to_str().expect("path"),
        "run",
        "--bundle",
        c.bundle.to_str().expect("path"),
        &c.id,
        "</dev/null",
    ];
    let output = Command::new("script")
        .args(["-qec", &call.join(" "), "/dev/null"])
        .output()
        .expect("script");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("end"), "{said}");
    assert!(
        !said.contains("is writable"),
        "the container has the caller's terminal as its own: {said}"
    );
}

fn the_session_keyring_is_the_containers_own(t: &Test) {
    if fs::read_to_string("/proc/keys").is_err() {
        t.skip("the kernel has no keyrings");
    }
    let c = t.sh("cat /proc/keys");
    let mut c = c;
    c.config["linux"]["maskedPaths"] = json!([]);
    let outcome = c.run().ok();
    let name = format!("_ses.{}:", c.id);
    let has_own = outcome
        .stdout
        .lines()
        .any(|line| line.contains(&name) || line.contains(&format!(" {}:", c.id)));
    assert!(has_own, "{outcome}");
}

fn a_jailed_process_does_not_outlive_its_jail(t: &Test) {
    let c = t.sh("(trap '' TERM HUP INT; setsid sleep 1000) & trap 'exit 0' TERM; echo ready; sleep 1000 & wait");
    c.up_and_ready();
    c.exec_sh("trap '' TERM HUP INT; setsid sleep 1001 >/dev/null 2>&1 &")
        .ok();
    c.delete_force().ok();
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}
