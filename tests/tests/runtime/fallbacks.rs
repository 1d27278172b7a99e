//! Older kernels, and filters in front of newer ones: each system call that roci can do without is made to fail.

use serde_json::json;
use std::path::Path;
use tests::{Container, Invocation, Test, eventually, field};

tests::cases![
    without_clone3,
    without_openat2,
    without_the_mount_calls,
    without_mount_setattr,
    without_process_descriptors,
    without_close_range,
    without_keyrings,
    without_the_seccomp_call,
    without_memory_files_the_executable_is_protected_all_the_same,
    as_on_linux_4_19,
    idmap_without_mount_setattr_is_an_error,
    recursive_options_without_mount_setattr_are_an_error,
    cgroups_are_shown_read_only_without_the_mount_calls,
    a_time_namespace_without_clone3_works_all_the_same,
    binds_have_their_own_flags_without_the_mount_calls,
    check_finds_what_is_missing,
    check_tells_a_plain_bundle_from_others,
];

pub const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// The call, made where `calls` fail.
pub fn without(t: &Test, calls: &str, errno: u32, call: Invocation) -> Invocation {
    t.needs("python3", "python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtime/without.py");
    call.under("python3", &[script, &errno.to_string(), calls])
}

/// A container with a bit of everything.
fn everything<'t>(t: &'t Test, script: &str) -> Container<'t> {
    let mut c = t.sh(script);
    let shared = t.path("shared");
    std::fs::create_dir_all(&shared).expect("a directory");
    std::fs::write(shared.join("file"), "of the host\n").expect("a file");
    c.mount("/in/side", "bind", &shared, &["rbind", "ro", "nosuid"]);
    c.mount("/one/file", "bind", shared.join("file"), &["bind", "ro"]);
    c.mount("/private", "bind", &shared, &["rbind", "rprivate", "rw"]);
    c.config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/etc"]);
    c.config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/acpi", "/masked", "/proc/scsi"]);
    c.config["linux"]["devices"] = json!([{"type": "c", "path": "/dev/mine", "major": 1, "minor": 5}]);
    std::fs::create_dir_all(c.rootfs().join("masked/below")).expect("a directory");
    c
}

const LOOK: &str = "cat /in/side/file; cat /one/file; touch /in/side/no || echo ro; touch /private/yes && echo rw; \
    cat /proc/keys | wc -c; ls /masked | wc -l; touch /etc/no || echo protected; ls /dev/mine; hostname; \
    ls /proc/1/fd; :";

/// The last are the descriptors of the shell, which has no pipe open at that moment: the standard streams.
const SEEN: &str = "of the host\nof the host\nro\nrw\n0\n0\nprotected\n/dev/mine\nroci\n0\n1\n2\n";

/// The whole life of a container and everything that can be done to it.
fn lives(t: &Test, calls: &str, errno: u32) {
    if !t.is_roci() {
        t.skip("it is about roci's ways around what is missing");
    }
    let c = everything(t, LOOK);
    let outcome = without(t, calls, errno, c.running(&[])).run().ok();
    assert_eq!(outcome.stdout, SEEN, "{outcome}");

    let c = everything(t, "echo up; sleep 1000");
    let call = |args: &[&str]| without(t, calls, errno, t.call(args));
    let created = without(t, calls, errno, c.creation(&[])).run().ok();
    call(&["start", &c.id]).run().ok();
    call(&["start", &c.id]).run().fails().says("not in created state");
    eventually("the program runs", || created.stdout_now().contains("up"));
    let inside = call(&["exec", &c.id, "cat", "/proc/self/status"]).run().ok();
    assert_eq!(field(&inside.stdout, "Uid"), "0\t0\t0\t0");
    // It is in every namespace that the first process is in, with nothing but its streams.
    let script = "for kind in mnt uts ipc net pid cgroup; do \
        [ $(readlink /proc/self/ns/$kind) = $(readlink /proc/1/ns/$kind) ] || echo $kind; done; ls /proc/$$/fd; hostname";
    let inside = call(&["exec", &c.id, "/bin/sh", "-c", script]).run().ok();
    inside.prints("0\n1\n2\nroci");
    call(&["kill", &c.id, "KILL"]).run().ok();
    c.wait_until_stopped();
    call(&["delete", &c.id]).run().ok();

    let c = everything(t, "sleep 1000");
    without(t, calls, errno, c.creation(&[])).run().ok();
    call(&["delete", "--force", &c.id]).run().ok();
    assert!(!t.runtime.root.join(&c.id).exists());
}

/// As the kernel says that it does not have them, and as a filter says it that forbids them.
fn lives_without(t: &Test, calls: &str) {
    lives(t, calls, ENOSYS);
    lives(t, calls, EPERM);
}

fn without_clone3(t: &Test) {
    lives_without(t, "clone3");
}

fn without_openat2(t: &Test) {
    lives_without(t, "openat2");
}

fn without_the_mount_calls(t: &Test) {
    let calls = "open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr";
    lives_without(t, calls);
}

fn without_mount_setattr(t: &Test) {
    lives_without(t, "mount_setattr");
}

fn without_process_descriptors(t: &Test) {
    lives_without(t, "pidfd_open,pidfd_send_signal,pidfd_getfd");
}

fn without_close_range(t: &Test) {
    lives_without(t, "close_range");
}

fn without_keyrings(t: &Test) {
    lives_without(t, "keyctl");
}

fn without_the_seccomp_call(t: &Test) {
    if !t.is_roci() {
        t.skip("it is about roci's ways around what is missing");
    }
    let mut c = t.sh("mkdir /made || echo refused");
    c.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    });
    let outcome = without(t, "seccomp", ENOSYS, c.running(&[])).run().ok();
    assert_eq!(outcome.stdout, "refused\n");
}

fn without_memory_files_the_executable_is_protected_all_the_same(t: &Test) {
    lives(t, "memfd_create", ENOSYS);
}

fn as_on_linux_4_19(t: &Test) {
    let calls = "clone3,openat2,open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr,pidfd_open,pidfd_send_signal,\
        pidfd_getfd,close_range,faccessat2";
    lives(t, calls, ENOSYS);
}

fn idmap_without_mount_setattr_is_an_error(t: &Test) {
    if !t.is_roci() {
        t.skip("it is about roci's ways around what is missing");
    }
    let mut c = everything(t, "true");
    let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
    let shared = t.path("shared");
    c.mount("/mapped", "bind", &shared, &["bind", "idmap"]);
    let last = c.config["mounts"]
        .as_array_mut()
        .expect("mounts")
        .last_mut()
        .expect("it");
    last["uidMappings"] = mapping.clone();
    last["gidMappings"] = mapping;
    let outcome = without(t, "mount_setattr", ENOSYS, c.running(&[])).run().fails();
    assert!(outcome.stderr.contains("/mapped: "), "{outcome}");
    c.state_call().fails();
}

fn recursive_options_without_mount_setattr_are_an_error(t: &Test) {
    if !t.is_roci() {
        t.skip("it is about roci's ways around what is missing");
    }
    let mut c = everything(t, "true");
    c.mount("/all", "bind", t.path("shared"), &["rbind", "rro"]);
    without(t, "mount_setattr", ENOSYS, c.running(&[]))
        .run()
        .fails()
        .says("recursive mount options need Linux 5.12");
    c.state_call().fails();
}

fn cgroups_are_shown_read_only_without_the_mount_calls(t: &Test) {
    if !t.is_roci() {
        t.skip("it is about roci's ways around what is missing");
    }
    let place = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        "/sys/fs/cgroup"
    } else {
        t.needs_v1_controller("devices");
        "/sys/fs/cgroup/devices"
    };
    // Without a cgroup namespace of its own the container is shown the host's directories.
    let mut c = t.sh(&format!(
        "test -e {place}/cgroup.procs && mkdir {place}/mine || echo refused"
    ));
    c.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev"]);
    for calls in ["open_tree,move_mount,mount_setattr", "mount_setattr"] {
        let outcome = without(t, calls, ENOSYS, c.running(&[])).run().ok();
        assert_eq!(outcome.stdout, "refused\n", "{outcome}");
        assert!(outcome.stderr.contains("Read-only file system"), "{outcome}");
    }
}

fn a_time_namespace_without_clone3_works_all_the_same(t: &Test) {
    if !t.is_roci() || !Path::new("/proc/self/ns/time").exists() {
        t.skip("the kernel has no time namespaces, or it is not roci");
    }
    let mut c = t.sh("cut -d. -f1 /proc/uptime");
    c.namespace("time", None);
    c.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
    let outcome = without(t, "clone3", ENOSYS, c.running(&[])).run().ok();
    assert!(
        outcome.stdout.trim().parse::<u64>().is_ok_and(|up| up > 100_000_000),
        "{outcome}"
    );
}

/// What `check` says, by the names of its rows.
/// What `check --json` says of each feature: its name, and whether it is there.
pub fn rows(call: Invocation, status: i32) -> Vec<(String, bool)> {
    let found = call.run().code(status).json();
    let rows = found.as_array().expect("a list").iter();
    rows.map(|row| {
        (
            row["name"].as_str().expect("a name").to_owned(),
            row["present"].as_bool().expect("a truth value"),
        )
    })
    .collect()
}

fn check_finds_what_is_missing(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have no such command");
    }
    let check = || t.call(&["check", "--json"]);
    let here = rows(check(), 0);
    for (call, name) in [
        ("clone3", "clone3"),
        ("open_tree", "mount API"),
        ("mount_setattr", "mount_setattr"),
        ("pidfd_open", "pidfd"),
        ("close_range", "close_range"),
        ("memfd_create", "memfd"),
        ("keyctl", "keyrings"),
        ("openat2", "openat2"),
    ] {
        let mut expected = here.clone();
        let row = expected.iter_mut().find(|(of, _)| of == name).expect("its row");
        assert!(std::mem::take(&mut row.1), "{name} is here");
        assert_eq!(rows(without(t, call, ENOSYS, check()), 0), expected, "{call}");
        let text = without(t, call, ENOSYS, t.call(&["check"])).run().ok().stdout;
        let line = text.lines().find(|line| line.starts_with(name)).expect("its line");
        assert!(line[19..].starts_with("missing: needs "), "{line}");
        assert!(text.ends_with("\nA plain bundle can run here.\n"), "{text}");
    }
}

/// Where the kernel has no file systems to show, those that every container needs are missing too.
fn check_tells_a_plain_bundle_from_others(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have no such command");
    }
    let hidden = |call: Invocation| {
        let script = r#"mount --bind "$0" /proc/filesystems && exec "$@""#;
        let empty = t.path("empty");
        std::fs::write(&empty, "nodev\tproc\n\text4\nnodev\tsysfs\n").expect("a file");
        let empty = empty.to_str().expect("a UTF-8 path").to_owned();
        call.with_own_mounts(script, &empty)
    };
    let here = rows(t.call(&["check", "--json"]), 0);
    let known = std::fs::read_to_string("/proc/filesystems").expect("the kernel's file systems");
    for name in ["overlay", "squashfs", "erofs"] {
        let is_known = known.lines().any(|line| line.split('\t').nth(1) == Some(name));
        let is_here = here.iter().any(|(of, is_here)| of == name && *is_here);
        assert_eq!(is_here, is_known, "{name}");
    }
    let there = rows(hidden(t.call(&["check", "--json"])), 1);
    assert_eq!(here.len(), there.len());
    for ((name, is_here), (_, is_there)) in here.iter().zip(&there) {
        // Another mount is no part of the procfs that roci reads.
        let is_file_system = [
            "proc", "tmpfs", "sysfs", "devpts", "mqueue", "overlay", "squashfs", "erofs",
        ]
        .contains(&name.as_str());
        assert_eq!(*is_there, *is_here && !is_file_system, "{name}");
    }
    let text = hidden(t.call(&["check"])).run().code(1).stdout;
    assert!(text.ends_with("\nA plain bundle cannot run here.\n"), "{text}");
    assert!(
        text.contains("\ntmpfs              missing: needs CONFIG_TMPFS; without it: no /dev of its own\n"),
        "{text}"
    );
}

/// A remount replaces all flags, so those that the mount had have to be said again, and no others.
fn binds_have_their_own_flags_without_the_mount_calls(t: &Test) {
    if !t.is_roci() {
        t.skip("it is about roci's ways around what is missing");
    }
    t.needs("unshare", "util-linux");
    let shared = t.path("shared");
    std::fs::create_dir(&shared).expect("a directory");
    let script = r#"mount -t tmpfs -o nosuid,noexec of-the-host "$0" && mkdir "$0/below" && mount -t tmpfs below "$0/below" && exec "$@""#;
    for calls in [
        "open_tree",
        "mount_setattr",
        "open_tree,move_mount,mount_setattr,fsopen",
    ] {
        let mut c = t.sh("cat /proc/self/mountinfo");
        for (place, options) in [
            ("/plain", &["bind"][..]),
            ("/same", &["bind", "nosuid"]),
            ("/more", &["bind", "nodev"]),
            ("/less", &["bind", "exec"]),
            ("/fixed", &["bind", "ro"]),
            ("/all", &["rbind", "ro"]),
        ] {
            c.mount(place, "bind", &shared, options);
        }
        c.config["linux"]["readonlyPaths"] = json!(["/plain"]);
        let call = without(t, calls, ENOSYS, c.running(&[]));
        let shared = shared.to_str().expect("UTF-8");
        let output = call.with_own_mounts(script, shared).run().ok().stdout;
        let flags = |place: &str| {
            let line = output.lines().rfind(|line| line.split(' ').nth(4) == Some(place));
            let flags = line
                .and_then(|line| line.split(' ').nth(5))
                .unwrap_or("none")
                .split(',');
            flags.filter(|flag| *flag != "relatime").collect::<Vec<_>>().join(",")
        };
        for (place, expected) in [
            ("/plain", "ro,nosuid,noexec"),
            ("/plain/below", "none"),
            ("/same", "rw,nosuid,noexec"),
            ("/more", "rw,nosuid,nodev,noexec"),
            ("/less", "rw,nosuid"),
            ("/fixed", "ro,nosuid,noexec"),
            ("/fixed/below", "none"),
            ("/all", "ro,nosuid,noexec"),
            ("/all/below", "rw"),
        ] {
            assert_eq!(flags(place), expected, "{calls}: {place}: {output}");
        }
    }
}
