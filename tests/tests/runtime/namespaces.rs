//! Namespaces: new ones, joined ones, the host's, user and time namespaces.

use serde_json::json;
use std::fs::read_link;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command};
use tests::{Container, Test, eventually, field};

tests::cases![
    new_namespaces_are_not_the_hosts,
    a_namespace_that_is_not_listed_is_the_hosts,
    namespaces_are_joined_by_path,
    a_pid_namespace_is_joined_by_path,
    a_namespace_of_another_type_is_refused,
    a_namespace_path_that_does_not_exist_is_refused,
    a_file_that_is_no_namespace_is_refused,
    a_cgroup_namespace_hides_the_path,
    a_new_network_namespace_has_loopback_up,
    without_a_pid_namespace_the_program_has_a_host_pid,
    hostname_and_domainname_are_set_inside_only,
    a_user_namespace_has_the_maps_of_the_configuration,
    files_have_the_owners_that_the_user_namespace_maps,
    a_user_namespace_without_maps_is_refused,
    a_user_namespace_is_joined_by_path,
    a_time_namespace_has_its_offsets,
    sysctls_are_set_in_the_namespaces,
    a_sysctl_of_the_host_is_refused,
    a_container_in_the_hosts_network_has_its_links,
];

const KINDS: [(&str, &str); 5] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
];

/// The namespace of a process, as the link in /proc has it.
#[track_caller]
fn namespace(pid: i64, file: &str) -> String {
    let link = read_link(format!("/proc/{pid}/ns/{file}")).expect("a namespace");
    link.to_string_lossy().into_owned()
}

fn ours(file: &str) -> String {
    namespace(std::process::id().into(), file)
}

/// A process in new namespaces, which a container can join.
struct Holder(Child);

impl Holder {
    fn new(t: &Test, options: &[&str]) -> Self {
        let child = Command::new("unshare")
            .args(options)
            .args(["sleep", "1000"])
            .env("ROCI_TEST_TOKEN", &t.runtime.token)
            .spawn()
            .expect("unshare");
        let holder = Self(child);
        eventually("unshare is done", || {
            let comm = std::fs::read_to_string(format!("/proc/{}/comm", holder.0.id())).unwrap_or_default();
            comm.trim() == "sleep" || holder.child().is_some()
        });
        holder
    }

    /// The child of `unshare --fork`, once it is the program.
    fn child(&self) -> Option<i64> {
        let pid = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let child = children.split_whitespace().next()?.parse().ok()?;
        let comm = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        (comm.trim() == "sleep").then_some(child)
    }

    fn pid(&self) -> i64 {
        self.child().unwrap_or(self.0.id().into())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(pid) = self.child().and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn new_namespaces_are_not_the_hosts(t: &Test) {
    let c = t.server();
    c.create().ok();
    for (_, file) in KINDS {
        assert_ne!(namespace(c.pid(), file), ours(file), "{file}");
    }
    assert_eq!(
        namespace(c.pid(), "user"),
        ours("user"),
        "no user namespace was asked for"
    );
}

fn a_namespace_that_is_not_listed_is_the_hosts(t: &Test) {
    let mut c = t.server();
    c.no_namespace("ipc").no_namespace("uts").no_namespace("network");
    c.config.as_object_mut().expect("object").remove("hostname");
    // A mqueue file system needs the IPC namespace to be ours.
    c.unmount("/dev/mqueue");
    c.up_and_ready();
    for file in ["ipc", "uts", "net"] {
        assert_eq!(namespace(c.pid(), file), ours(file));
    }
    assert_ne!(namespace(c.pid(), "mnt"), ours("mnt"));
}

fn namespaces_are_joined_by_path(t: &Test) {
    let holder = Holder::new(t, &["--net", "--ipc", "--uts"]);
    let mut c = t.server();
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        c.namespace(kind, Some(&format!("/proc/{}/ns/{file}", holder.pid())));
    }
    c.up_and_ready();
    for file in ["net", "ipc", "uts"] {
        assert_eq!(namespace(c.pid(), file), namespace(holder.pid(), file), "{file}");
    }
    assert_ne!(namespace(c.pid(), "pid"), ours("pid"));
}

fn a_pid_namespace_is_joined_by_path(t: &Test) {
    let pod = t.server();
    pod.up_and_ready();
    let mut c = t.sh("echo $$ >/pid; trap 'exit 0' TERM; echo ready; sleep 1000 & wait");
    c.namespace("pid", Some(&format!("/proc/{}/ns/pid", pod.pid())));
    c.up_and_ready();
    assert_eq!(namespace(c.pid(), "pid"), namespace(pod.pid(), "pid"));
    let inside = std::fs::read_to_string(c.rootfs().join("pid")).expect("pid");
    assert_ne!(inside.trim(), "1", "PID 1 is the other container's");
    let pid = c.pid();
    c.kill("KILL").ok();
    c.reap(pid);
    c.delete().ok();
    assert_eq!(
        pod.status(),
        "running",
        "the container that owns the namespace lives on"
    );
}

fn a_namespace_of_another_type_is_refused(t: &Test) {
    let holder = Holder::new(t, &["--net", "--ipc"]);
    let mut c = t.server();
    c.namespace("network", Some(&format!("/proc/{}/ns/ipc", holder.pid())));
    let words = "linux.namespaces network: the path is not a namespace of this type";
    c.create().fails().roci_says(words);
}

fn a_namespace_path_that_does_not_exist_is_refused(t: &Test) {
    let mut c = t.server();
    c.namespace("network", Some("/no/such/namespace"));
    c.create().fails().says("no such file or directory");
}

fn a_file_that_is_no_namespace_is_refused(t: &Test) {
    std::fs::write(t.path("file"), "").expect("write");
    let mut c = t.server();
    c.namespace("network", Some(t.path("file").to_str().expect("path")));
    c.create().fails();
}

fn a_cgroup_namespace_hides_the_path(t: &Test) {
    t.control();
    let mut c = t.sh("cat /proc/self/cgroup");
    c.namespace("cgroup", None);
    // Without controllers of cgroup v2 runc knows no container cgroup there, so only v1's lines are looked at.
    let output = c.output();
    let seen: Vec<_> = output.lines().filter(|line| line.contains(&t.runtime.token)).collect();
    assert!(seen.is_empty(), "the container sees the host's path: {seen:?}");
    assert!(
        output.lines().any(|line| line.contains("pids") && line.ends_with(":/")) || !output.contains("pids"),
        "{output}"
    );
}

fn a_new_network_namespace_has_loopback_up(t: &Test) {
    let mut c =
        t.sh("cat /sys/class/net/lo/flags; ls /sys/class/net; ping -c 1 -W 2 127.0.0.1 >/dev/null && echo answers");
    let raw = ["CAP_NET_RAW"];
    c.capabilities(&[("bounding", &raw), ("effective", &raw), ("permitted", &raw)]);
    let output = c.output();
    assert!(output.contains("answers"), "{output}");
    let flags = output.lines().next().expect("flags").trim_start_matches("0x");
    assert_eq!(
        u32::from_str_radix(flags, 16).expect("flags") & 1,
        1,
        "IFF_UP: {output}"
    );
    assert!(!output.contains("eth0"), "{output}");
}

fn without_a_pid_namespace_the_program_has_a_host_pid(t: &Test) {
    let mut c = t.sh("echo pid $$; echo ready; trap 'exit 7' TERM; sleep 1000 & wait");
    c.no_namespace("pid");
    let created = c.up_and_ready();
    assert_eq!(field(&created.stdout_now(), "pid"), c.pid().to_string());
    t.call(&["kill", "--all", &c.id, "KILL"]).run().ok();
}

fn hostname_and_domainname_are_set_inside_only(t: &Test) {
    let ours = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("hostname");
    let mut c = t.sh("hostname; cat /proc/sys/kernel/domainname");
    c.config["hostname"] = json!("tea-pot.example");
    c.config["domainname"] = json!("tea.example");
    let output = c.output();
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some("tea-pot.example"));
    // domainname came with version 1.1 of the specification.
    if !t.is("runc") {
        assert_eq!(lines.next(), Some("tea.example"));
    }
    assert_eq!(
        std::fs::read_to_string("/proc/sys/kernel/hostname").expect("hostname"),
        ours
    );
}

/// A container in a user namespace of its own, with the rootfs owned by its root.
fn in_a_user_namespace<'t>(t: &'t Test, script: &str) -> Container<'t> {
    if !tests::user_namespaces() {
        t.skip("no user namespaces on this machine");
    }
    let mut c = t.sh(script);
    c.namespace("user", None);
    c.config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    c.config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
    let status = Command::new("chown")
        .args(["-hR", "100000:200000"])
        .arg(c.rootfs())
        .status()
        .expect("chown");
    assert!(status.success());
    c
}

fn a_user_namespace_has_the_maps_of_the_configuration(t: &Test) {
    let c = in_a_user_namespace(
        t,
        "cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g; echo x > /made; mkdir /d",
    );
    let output = c.output();
    let words: Vec<_> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536", "0", "200000", "65536", "0", "0"]);
    let made = std::fs::metadata(c.rootfs().join("made")).expect("made");
    assert_eq!((made.uid(), made.gid()), (100_000, 200_000));
}

fn files_have_the_owners_that_the_user_namespace_maps(t: &Test) {
    let script = "stat -c '%n %u:%g' /proc/1 /dev/null /dev/pts/ptmx /dev/shm /bin/busybox /proc/self/fd/; \
                  echo x > /dev/null && echo null-works; id -u";
    let mut c = in_a_user_namespace(t, script);
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    let output = c.output();
    assert_eq!(field(&output, "/bin/busybox"), "0:0");
    assert_eq!(field(&output, "/proc/1"), "1000:1000");
    assert_eq!(field(&output, "/dev/shm"), "0:0");
    assert!(output.contains("null-works") && output.ends_with("1000\n"), "{output}");
}

fn a_user_namespace_without_maps_is_refused(t: &Test) {
    let mut c = in_a_user_namespace(t, "id -u");
    c.config["linux"].as_object_mut().expect("linux").remove("uidMappings");
    c.config["linux"].as_object_mut().expect("linux").remove("gidMappings");
    // crun then maps the whole range of ids of the caller.
    t.skip_on("crun", "maps what the caller has");
    c.create().fails();
}

fn a_user_namespace_is_joined_by_path(t: &Test) {
    let owner = in_a_user_namespace(t, "echo ready; sleep 1000 & wait");
    owner.up_and_ready();
    let mut c = t.sh("cat /proc/self/uid_map; id -u; echo ready; sleep 1000 & wait");
    let status = Command::new("chown")
        .args(["-hR", "100000:200000"])
        .arg(c.rootfs())
        .status()
        .expect("chown");
    assert!(status.success());
    let pid = owner.pid();
    c.namespace("user", Some(&format!("/proc/{pid}/ns/user")));
    c.namespace("network", Some(&format!("/proc/{pid}/ns/net")));
    // runc 1.1 asks for maps also when the namespace has them already.
    if t.is("runc") {
        c.config["linux"]["uidMappings"] = owner.config["linux"]["uidMappings"].clone();
        c.config["linux"]["gidMappings"] = owner.config["linux"]["gidMappings"].clone();
    }
    let created = c.up_and_ready();
    assert_eq!(namespace(c.pid(), "user"), namespace(pid, "user"));
    assert_ne!(namespace(c.pid(), "uts"), namespace(pid, "uts"));
    let output = created.stdout_now();
    let words: Vec<_> = output.split_whitespace().take(4).collect();
    assert_eq!(words, ["0", "100000", "65536", "0"]);
}

fn a_time_namespace_has_its_offsets(t: &Test) {
    t.skip_on("runc", "runc 1.1 has no time namespaces");
    t.skip_on("crun", "crun 1.8 has no time namespaces");
    if !std::path::Path::new("/proc/self/ns/time").exists() {
        t.skip("the kernel has no time namespaces");
    }
    let mut c = t.sh("cat /proc/uptime; cat /proc/self/timens_offsets");
    c.namespace("time", None);
    c.config["linux"]["timeOffsets"] =
        json!({"monotonic": {"secs": 172_800, "nanosecs": 5}, "boottime": {"secs": 604_800}});
    let output = c.output();
    let uptime: f64 = output
        .split_whitespace()
        .next()
        .expect("uptime")
        .parse()
        .expect("a number");
    let ours = std::fs::read_to_string("/proc/uptime").expect("uptime");
    let ours: f64 = ours
        .split_whitespace()
        .next()
        .expect("uptime")
        .parse()
        .expect("a number");
    assert!(
        (uptime - ours - 604_800.0).abs() < 60.0,
        "{uptime} inside, {ours} outside"
    );
    let monotonic: Vec<_> = field(&output, "monotonic").split_whitespace().collect();
    assert_eq!(monotonic, ["172800", "5"]);
}

fn sysctls_are_set_in_the_namespaces(t: &Test) {
    let mut c = t.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_default_ttl");
    c.config["linux"]["sysctl"] =
        json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "65535", "net/ipv4/ip_default_ttl": "33"});
    assert_eq!(c.output(), "1\n65535\n33\n");
}

fn a_sysctl_of_the_host_is_refused(t: &Test) {
    let before = std::fs::read_to_string("/proc/sys/vm/swappiness").expect("swappiness");
    let mut c = t.server();
    c.config["linux"]["sysctl"] = json!({"vm.swappiness": "1"});
    c.create().fails();
    let mut c = t.server();
    c.no_namespace("network");
    c.config["linux"]["sysctl"] = json!({"net.ipv4.ip_default_ttl": "33"});
    c.create().fails();
    for escape in [
        "net.ipv4.../../vm/swappiness",
        "net/../vm/swappiness",
        "kernel.msgmax/../../vm/swappiness",
    ] {
        let mut c = t.server();
        c.config["linux"]["sysctl"] = json!({escape: "1"});
        c.create().fails();
    }
    assert_eq!(
        std::fs::read_to_string("/proc/sys/vm/swappiness").expect("swappiness"),
        before
    );
}

fn a_container_in_the_hosts_network_has_its_links(t: &Test) {
    let mut c = t.sh("ls /sys/class/net; cat /proc/net/dev");
    c.no_namespace("network").unmount("/sys");
    // sysfs shows the network namespace of whoever mounts it, and mounting it needs to own that namespace.
    c.mount("/sys", "bind", "/sys", &["rbind", "ro", "nosuid", "noexec", "nodev"]);
    // Tests beside this one make links and remove them.
    let before = tests::leaks::links();
    let output = c.output();
    let after = tests::leaks::links();
    for link in before.iter().filter(|link| after.contains(link)) {
        assert!(output.contains(link.as_str()), "{link} is missing: {output}");
    }
}
