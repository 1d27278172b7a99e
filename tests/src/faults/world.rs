//! What the containers of the sweep have.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::case::Command;
use crate::bundle::{default_config, make_rootfs};
use crate::systemd::{self, Mood, Systemd};

/// Shows what a container is made of, so that one in which something silently failed differs from the others.
pub const LOOK: [&str; 3] = [
    "/bin/sh",
    "-c",
    "cat /proc/self/mountinfo /proc/self/status /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj /proc/net/dev \
     /proc/sys/kernel/hostname /etc/hosts /etc/resolv.conf /proc/uptime; pwd; ls /proc/self/fd; ls -l /dev /masked; env; umask; \
     cat /masked/* /proc/keys 2>&1; :",
];

/// A kind of container.
#[derive(Clone, Copy)]
pub struct World {
    /// In the names of cases.
    pub name: &'static str,
    /// Before the name of the command.
    pub global: &'static [&'static str],
    /// For `create` and `run`.
    pub options: &'static [&'static str],
    /// The commands that are tried, which elsewhere do what they do in another world.
    pub commands: &'static [Command],
    /// Whether there are networks, and rules to compare.
    pub has_network: bool,
    change: fn(&mut Value),
}

const PLAIN: World = World {
    name: "plain",
    global: &[],
    options: &[],
    commands: &Command::LIFECYCLE,
    has_network: false,
    change: |_| {},
};

/// All of them.
const WORLDS: [World; 8] = [
    PLAIN,
    World {
        name: "limits",
        options: &["--pid-file", "DIR/pid"],
        change: limits,
        ..PLAIN
    },
    World {
        name: "running",
        commands: &Command::OTHERS,
        change: limits,
        ..PLAIN
    },
    World {
        name: "network",
        options: &[
            "--overlay-upper",
            "DIR/upper",
            "--network",
            "bridge",
            "--publish",
            "8080:80",
        ],
        has_network: true,
        ..PLAIN
    },
    World {
        name: "user",
        change: user,
        ..PLAIN
    },
    World {
        name: "hooks",
        options: &["--overlay", "--init"],
        change: hooks,
        ..PLAIN
    },
    World {
        name: "terminal",
        options: &["--console-socket", "DIR/socket", "--pidfd-socket", "DIR/socket"],
        change: |config| config["process"]["terminal"] = true.into(),
        ..PLAIN
    },
    World {
        name: "systemd",
        global: &["--systemd-cgroup"],
        commands: &[Command::Run, Command::Delete, Command::DeleteForce],
        change: scope,
        ..PLAIN
    },
];

/// Those that this machine can have.
pub fn worlds() -> Vec<World> {
    let has_systemd = systemd::hierarchy().is_some();
    let mut worlds = WORLDS.to_vec();
    worlds.retain(|world| has_systemd || world.global.is_empty());
    worlds
}

/// For `DBUS_SYSTEM_BUS_ADDRESS`: where the systemd of a worker is.
pub fn bus(directory: &Path) -> PathBuf {
    directory.join("bus")
}

/// Has a systemd answer there.
pub fn start_systemd(directory: &Path) {
    if let Some(hierarchy) = systemd::hierarchy() {
        Systemd::start(&bus(directory), Mood::Willing, hierarchy);
    }
}

/// Limits, a profile of seccomp, and what else roci sets for a process.
fn limits(config: &mut Value) {
    config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    config["linux"]["resources"]["pids"] = json!({"limit": 50});
    config["linux"]["resources"]["cpu"] = json!({"shares": 512, "quota": 50000, "period": 100_000});
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["ptrace", "kexec_load"], "action": "SCMP_ACT_ERRNO"}],
    });
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/acpi", "/masked"]);
    config["linux"]["devices"] = json!([{"type": "c", "path": "/dev/mine", "major": 1, "minor": 5}]);
    config["process"]["oomScoreAdj"] = json!(100);
    config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 6], "umask": 0o27});
    config["process"]["noNewPrivileges"] = json!(false);
}

/// A user namespace and a time namespace, which takes a process in between.
fn user(config: &mut Value) {
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    config["linux"]["uidMappings"] = mapping.clone();
    config["linux"]["gidMappings"] = mapping;
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces");
    namespaces.push(json!({"type": "user"}));
    namespaces.push(json!({"type": "cgroup"}));
    namespaces.push(json!({"type": "time"}));
    config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
    let mount =
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid"]});
    config["mounts"].as_array_mut().expect("mounts").push(mount);
}

/// A scope with limits, of which systemd has to be told.
fn scope(config: &mut Value) {
    config["linux"]["cgroupsPath"] = "-.slice:sweep:WORKER".into();
    config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    config["linux"]["resources"]["pids"] = json!({"limit": 50});
    config["linux"]["resources"]["cpu"] = json!({"quota": 50000, "period": 100_000});
}

/// Hooks of all kinds, and roci-init.
fn hooks(config: &mut Value) {
    let host = json!([{"path": "/bin/true"}]);
    config["hooks"] = json!({
        "prestart": host, "createRuntime": host, "createContainer": host, "startContainer": host, "poststart": host,
        "poststop": host,
    });
}

/// What a container runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// [`LOOK`]
    Look,
    /// Something that ends when it is killed.
    Sleep,
}

impl World {
    /// Where the bundle is.
    pub fn bundle(&self, directory: &Path, program: Program) -> PathBuf {
        directory.join(self.name).join(match program {
            Program::Look => "look",
            Program::Sleep => "sleep",
        })
    }

    /// The options, with the names of files put in.
    pub fn options(&self, directory: &Path) -> Vec<String> {
        let directory = directory.join(self.name);
        self.options
            .iter()
            .map(|word| word.replace("DIR", &directory.to_string_lossy()))
            .collect()
    }

    /// Writes the bundles. The root file system is the same for all.
    pub fn prepare(&self, directory: &Path) {
        fs::create_dir_all(directory.join(self.name).join("upper")).expect("mkdir");
        if self.options.contains(&"DIR/socket") {
            receive_terminals(&directory.join(self.name).join("socket"));
        }
        for (program, args) in [(Program::Look, &LOOK[..]), (Program::Sleep, &["/bin/sleep", "1000"])] {
            let mut config = default_config(args);
            config["root"]["path"] = directory.join("rootfs").to_string_lossy().into();
            (self.change)(&mut config);
            let bundle = self.bundle(directory, program);
            fs::create_dir_all(&bundle).expect("mkdir");
            // The worker's directory has a name that nobody else has.
            let worker = directory.file_name().expect("a name").to_string_lossy();
            let config = config.to_string().replace("WORKER", &worker);
            fs::write(bundle.join("config.json"), config).expect("config.json");
        }
    }
}

/// The root file system that all bundles share.
pub fn prepare_root(directory: &Path) {
    let rootfs = directory.join("rootfs");
    make_rootfs(&rootfs).expect("the root file system");
    fs::create_dir(rootfs.join("masked")).expect("mkdir");
    fs::write(rootfs.join("masked/secret"), "secret of the host\n").expect("write");
    for file in ["hosts", "resolv.conf", "hostname"] {
        fs::write(rootfs.join("etc").join(file), "").expect("write");
    }
    // A root of a user namespace has to get there.
    for path in [directory, directory.parent().expect("a parent")] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        if path != Path::new("/tmp") {
            fs::set_permissions(path, mode).expect("chmod");
        }
    }
}

/// Takes what roci sends to the socket, and keeps it for as long as a container may live: it ends with its terminal.
fn receive_terminals(socket: &Path) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    const KEPT: usize = 8;
    static TERMINALS: std::sync::Mutex<std::collections::VecDeque<std::os::fd::OwnedFd>> =
        std::sync::Mutex::new(std::collections::VecDeque::new());
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("bind");
    let receive = |client: std::os::unix::net::UnixStream| {
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut payload = [0; 4096];
        let parts = &mut [std::io::IoSliceMut::new(&mut payload)];
        let _ = recvmsg(&client, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        let mut terminals = TERMINALS.lock().expect("lock");
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                terminals.extend(rights);
            }
        }
        while terminals.len() > KEPT {
            terminals.pop_front();
        }
    };
    // A thread for each: one roci has two lines open at once, and may say nothing over one of them.
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || receive(client));
        }
    });
}
