use std::format;
use std::string::String;

use crate::harness::{check, check_with, config, linux, process, repeat};

/// config.json with these namespaces, and more members of `linux` and of the top.
fn with_namespaces(kinds: &[&str], linux: &str, top: &str) -> String {
    let namespaces = repeat(kinds.len(), |index| format!("{{\"type\": \"{}\"}}", kinds[index]));
    config(&format!("\"linux\": {{\"namespaces\": [{namespaces}]{linux}}}{top}"))
}

const MAPPINGS: &str = r#", "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
    "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]"#;

#[test]
fn hostname_needs_a_uts_namespace() {
    check(&config(r#""hostname": @"web""#), "hostname: needs a uts namespace");
    check(&with_namespaces(&["uts"], "", r#", "hostname": "web""#), "");
    check(&config(r#""hostname": """#), "");
}

#[test]
fn domainname_needs_a_uts_namespace() {
    check(&config(r#""domainname": @"lan""#), "domainname: needs a uts namespace");
    check(&with_namespaces(&["uts"], "", r#", "domainname": "lan""#), "");
}

#[test]
fn masked_paths_need_a_mount_namespace() {
    let message = "linux.maskedPaths: needs a mount namespace";
    check(
        &with_namespaces(&[], r#", "maskedPaths": @["/proc/kcore"]"#, ""),
        message,
    );
    check(
        &with_namespaces(&["mount"], r#", "maskedPaths": ["/proc/kcore"]"#, ""),
        "",
    );
    check(&with_namespaces(&[], r#", "maskedPaths": []"#, ""), "");
}

#[test]
fn readonly_paths_need_a_mount_namespace() {
    let message = "linux.readonlyPaths: needs a mount namespace";
    check(
        &with_namespaces(&[], r#", "readonlyPaths": @["/proc/sys"]"#, ""),
        message,
    );
    check(
        &with_namespaces(&["mount"], r#", "readonlyPaths": ["/proc/sys"]"#, ""),
        "",
    );
}

#[test]
fn a_readonly_root_needs_a_mount_namespace() {
    let json = r#"{"ociVersion": "1.0.0", "root": {"path": "r", "readonly": @true}}"#;
    check(json, "root.readonly: needs a mount namespace");
    let json = json
        .replace('@', "")
        .replace("}}", r#"}, "linux": {"namespaces": [{"type": "mount"}]}}"#);
    check(&json, "");
}

#[test]
fn mappings_need_a_user_namespace() {
    let mappings = r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#;
    for name in ["uidMappings", "gidMappings"] {
        let json = with_namespaces(&[], &format!(", \"{name}\": @{mappings}"), "");
        check(&json, &format!("linux.{name}: needs a user namespace"));
    }
    check(&with_namespaces(&["user"], MAPPINGS, ""), "");
    let joined = format!("\"linux\": {{\"namespaces\": [{{\"type\": \"user\", \"path\": \"/ns\"}}]{MAPPINGS}}}");
    check(&config(&joined), "");
}

#[test]
fn a_new_user_namespace_needs_mappings() {
    let message = "linux.uidMappings: a new user namespace needs mappings";
    check(
        &with_namespaces(&["user"], "", "").replace("\"linux\": ", "\"linux\": @"),
        message,
    );
    let uids = MAPPINGS.split(",\n").next().unwrap();
    let message = "linux.gidMappings: a new user namespace needs mappings";
    check(
        &with_namespaces(&["user"], uids, "").replace("\"linux\": ", "\"linux\": @"),
        message,
    );
    check(
        &config(r#""linux": {"namespaces": [{"type": "user", "path": "/ns"}]}"#),
        "",
    );
}

#[test]
fn extents_are_inside_of_32_bits() {
    let with = |extent: &str| {
        let marked = MAPPINGS.replacen("[{\"containerID\": 0, \"hostID\": 1000, \"size\": 10}]", extent, 1);
        with_namespaces(&["user"], &marked, "")
    };
    let good = r#"[{"containerID": 0, "hostID": 0, "size": 4294967295}]"#;
    check(&with(good), "");
    for (extent, rule) in [
        (
            r#"[@{"containerID": 0, "hostID": 0, "size": 0}]"#,
            "the size must not be 0",
        ),
        (
            r#"[{"containerID": 0, "hostID": 0, "size": 1}, @{"containerID": 1, "hostID": 0, "size": 4294967295}]"#,
            "containerID and size reach beyond 32 bits",
        ),
        (
            r#"[@{"containerID": 0, "hostID": 1, "size": 4294967295}]"#,
            "hostID and size reach beyond 32 bits",
        ),
    ] {
        let index = usize::from(extent.matches('{').count() > 1);
        check(&with(extent), &format!("linux.uidMappings[{index}]: {rule}"));
    }
    let gids = with_namespaces(&["user"], MAPPINGS, "");
    let at = gids.rfind("{\"containerID\"").unwrap();
    let (before, after) = gids.split_at(at);
    let json = format!("{before}@{}", after.replacen("\"size\": 10", "\"size\": 0", 1));
    check(&json, "linux.gidMappings[0]: the size must not be 0");
}

#[test]
#[cfg_attr(miri, ignore = "a bound, which takes Miri minutes, as those of limits do")]
fn a_map_has_340_extents() {
    let extents = |count| {
        let list = repeat(count, |index| {
            format!("{{\"containerID\":{index},\"hostID\":{index},\"size\":1}}")
        });
        let gids = MAPPINGS.split(",\n").nth(1).unwrap();
        let marker = if count > 340 { "@" } else { "" };
        with_namespaces(&["user"], &format!(", \"uidMappings\": {marker}[{list}],{gids}"), "")
    };
    check(&extents(340), "");
    check(
        &extents(341),
        "linux.uidMappings: more than 340 entries (ID_MAP_EXTENTS_MAX)",
    );
}

#[test]
fn the_mappings_of_a_mount_come_in_pairs() {
    let map = r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#;
    let mount = |marker: &str, more: &str| {
        config(&format!(
            "\"mounts\": [{{\"destination\": \"/a\"}}, {marker}{{\"destination\": \"/b\"{more}}}]"
        ))
    };
    let message = "mounts[1]: uidMappings and gidMappings need each other";
    check(&mount("@", &format!(", \"uidMappings\": {map}")), message);
    check(&mount("@", &format!(", \"gidMappings\": {map}")), message);
    check(
        &mount("", &format!(", \"uidMappings\": {map}, \"gidMappings\": {map}")),
        "",
    );
    let bad = r#"[@{"containerID": 0, "hostID": 0, "size": 0}]"#;
    let json = mount("", &format!(", \"uidMappings\": {map}, \"gidMappings\": {bad}"));
    check(&json, "mounts[1].gidMappings[0]: the size must not be 0");
}

#[test]
fn idmapped_mounts_need_mappings_from_somewhere() {
    let mount = r#""mounts": [{"destination": "/a", "options": @["idmap"]}]"#;
    check(
        &config(mount),
        "mounts[0].options: an id-mapped mount needs mappings or a user namespace",
    );
    let mount = mount.replace('@', "");
    check(&with_namespaces(&["user"], MAPPINGS, &format!(", {mount}")), "");
}

#[test]
fn time_offsets_need_a_new_time_namespace() {
    let offsets = r#""timeOffsets": @{"boottime": {"secs": 1}}"#;
    check(
        &with_namespaces(&[], &format!(", {offsets}"), ""),
        "linux.timeOffsets: needs a new time namespace",
    );
    let joined = format!("\"linux\": {{\"namespaces\": [{{\"type\": \"time\", \"path\": \"/ns\"}}], {offsets}}}");
    check(&config(&joined), "linux.timeOffsets: needs a new time namespace");
    check(
        &with_namespaces(&["time"], &format!(", {}", offsets.replace('@', "")), ""),
        "",
    );
}

#[test]
fn net_devices_need_a_network_namespace() {
    let devices = r#", "netDevices": @{"eth0": {}}"#;
    check(
        &with_namespaces(&[], devices, ""),
        "linux.netDevices: needs a network namespace",
    );
    check(&with_namespaces(&["network"], &devices.replace('@', ""), ""), "");
}

#[test]
fn sysctls_need_their_namespace() {
    for (key, namespace, rule) in [
        ("kernel.msgmax", "ipc", "needs an ipc namespace"),
        ("kernel/msgmni", "ipc", "needs an ipc namespace"),
        ("kernel.sem", "ipc", "needs an ipc namespace"),
        ("kernel.sem_next_id", "ipc", "needs an ipc namespace"),
        ("kernel.shm_rmid_forced", "ipc", "needs an ipc namespace"),
        ("fs.mqueue.msg_max", "ipc", "needs an ipc namespace"),
        ("fs/mqueue/msg_max", "ipc", "needs an ipc namespace"),
        ("net.ipv4.ip_forward", "network", "needs a network namespace"),
        (
            "net/ipv4/conf/eth0.100/forwarding",
            "network",
            "needs a network namespace",
        ),
        ("kernel.domainname", "uts", "needs a uts namespace"),
        ("kernel.hostname", "uts", "needs a uts namespace"),
        ("user.max_user_namespaces", "user", "needs a user namespace"),
    ] {
        let sysctl = |marker: &str| format!(", \"sysctl\": {{\"{key}\": {marker}\"1\"}}");
        check(
            &with_namespaces(&[], &sysctl("@"), ""),
            &format!("linux.sysctl[\"{key}\"]: {rule}"),
        );
        let mappings = if namespace == "user" { MAPPINGS } else { "" };
        check(
            &with_namespaces(&[namespace], &format!("{}{mappings}", sysctl("")), ""),
            "",
        );
    }
}

#[test]
fn other_sysctls_belong_to_the_host() {
    for key in [
        "kernel.panic",
        "vm.swappiness",
        "kernel.semx",
        "kernel.domainname.x",
        "fs.mqueue",
        "netx",
        "",
        "net",
    ] {
        let rule = if key.is_empty() {
            "has an empty, \".\" or \"..\" component"
        } else {
            "is not namespaced"
        };
        let path = if key.chars().all(|char| char.is_ascii_alphanumeric()) && !key.is_empty() {
            format!("linux.sysctl.{key}")
        } else {
            format!("linux.sysctl[\"{key}\"]")
        };
        check(
            &linux(&format!("\"sysctl\": {{\"{key}\": @\"1\"}}")),
            &format!("{path}: {rule}"),
        );
    }
}

#[test]
fn sysctls_cannot_leave_their_directory() {
    for key in [
        "net/../kernel/core_pattern",
        "net.//.kernel.core_pattern",
        "net./.kernel.core_pattern",
        "net..kernel",
        "net/./ipv4",
        "net/",
        "net.",
        ".net",
        "/net/ipv4",
    ] {
        let message = format!("linux.sysctl[\"{key}\"]: has an empty, \".\" or \"..\" component");
        check(&linux(&format!("\"sysctl\": {{\"{key}\": @\"1\"}}")), &message);
    }
    // Three dots are a name like any other, which only is not there.
    let namespaces = r#""namespaces": [{"type": "network"}]"#;
    check(
        &linux(&format!("{namespaces}, \"sysctl\": {{\"net/.../x\": \"1\"}}")),
        "",
    );
}

#[test]
fn scheduler_numbers_fit_the_policy() {
    for (members, message) in [
        (r#""policy": "SCHED_FIFO", "priority": 5"#, ""),
        (r#""policy": "SCHED_RR", "priority": 5"#, ""),
        (r#""policy": "SCHED_OTHER", "nice": 5, "priority": 0"#, ""),
        (
            r#""policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 2, "period": 3"#,
            "",
        ),
        (
            r#""policy": "SCHED_OTHER", "priority": @5"#,
            "priority: only SCHED_FIFO and SCHED_RR have a priority",
        ),
        (
            r#""policy": @"SCHED_FIFO", "runtime": 1"#,
            "policy: only SCHED_DEADLINE has a runtime, a deadline and a period",
        ),
        (
            r#""policy": @"SCHED_FIFO", "deadline": 1"#,
            "policy: only SCHED_DEADLINE has a runtime, a deadline and a period",
        ),
        (
            r#""policy": @"SCHED_OTHER", "runtime": 6, "deadline": 6"#,
            "policy: only SCHED_DEADLINE has a runtime, a deadline and a period",
        ),
        (
            r#""policy": @"SCHED_RR", "deadline": 3, "period": 3"#,
            "policy: only SCHED_DEADLINE has a runtime, a deadline and a period",
        ),
    ] {
        let scheduler = format!("\"scheduler\": {{{members}}}");
        check(&process(&scheduler), &format!("process.scheduler.{message}"));
        let document = format!("{{\"cwd\": \"/\", \"args\": [\"sh\"], {scheduler}}}");
        check_with(crate::parse_process, &document, &format!("scheduler.{message}"));
    }
}

#[test]
#[cfg(feature = "seccomp")]
fn notifications_need_a_listener() {
    let message = "linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath";
    check(&linux(r#""seccomp": @{"defaultAction": "SCMP_ACT_NOTIFY"}"#), message);
    let rule = r#""syscalls": [{"names": ["mknod"], "action": "SCMP_ACT_NOTIFY"}]"#;
    check(
        &linux(&format!(
            "\"seccomp\": @{{\"defaultAction\": \"SCMP_ACT_ALLOW\", {rule}}}"
        )),
        message,
    );
    let listener = r#""listenerPath": "/run/listener""#;
    check(
        &linux(&format!(
            "\"seccomp\": {{\"defaultAction\": \"SCMP_ACT_ALLOW\", {rule}, {listener}}}"
        )),
        "",
    );
}
