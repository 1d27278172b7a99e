//! What a test is given: a token, a private directory, and the runtime with a state directory of its own.

use crate::bundle::{default_config, make_rootfs};
use crate::container::Container;
use crate::runtime::{Invocation, Runtime};
use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One running test.
pub struct Test {
    /// The runtime under test.
    pub runtime: Runtime,
    /// A directory for the test's files, gone after the test.
    pub dir: PathBuf,
    containers: Cell<u32>,
}

impl Test {
    pub(crate) fn new(token: &str, dir: PathBuf) -> Self {
        let runtime = Runtime {
            path: Runtime::executable(),
            root: dir.join("state"),
            token: token.to_owned(),
        };
        Self {
            runtime,
            dir,
            containers: Cell::new(0),
        }
    }

    /// Whether roci's own promises can be demanded.
    pub fn is_roci(&self) -> bool {
        self.runtime.is_roci()
    }

    /// Whether the runtime is the named peer; every use says why the peer differs.
    pub fn is(&self, peer: &str) -> bool {
        self.runtime.name().starts_with(peer)
    }

    /// Ends the test as not run, which is reported and counted as such.
    pub fn skip(&self, reason: &str) -> ! {
        crate::runner::skip(reason)
    }

    /// Skips the test on the named peer, which does not do what the test asks for.
    pub fn skip_on(&self, peer: &str, reason: &str) {
        if self.is(peer) {
            self.skip(&format!("{peer}: {reason}"));
        }
    }

    /// Skips the test unless the program exists or can be installed from the Debian package.
    pub fn needs(&self, program: &str, package: &str) {
        if !crate::have(program)
            && let Err(reason) = crate::apt_install(&[package])
        {
            self.skip(&reason);
        }
    }

    /// Skips the test unless the machine has this cgroup v1 controller mounted; its directory is returned.
    pub fn needs_v1_controller(&self, controller: &str) -> PathBuf {
        let mounts = crate::cgroup_mounts();
        let found = mounts
            .iter()
            .find(|mount| mount.file_name().is_some_and(|name| name == controller));
        found
            .cloned()
            .unwrap_or_else(|| self.skip(&format!("no cgroup v1 controller {controller} on this machine")))
    }

    /// A new container with a bundle that runs `args`; nothing is created yet.
    pub fn container(&self, args: &[&str]) -> Container<'_> {
        let number = self.containers.get() + 1;
        self.containers.set(number);
        let id = format!("{}{number}", self.runtime.token);
        let bundle = self.dir.join(format!("bundle{number}"));
        make_rootfs(&bundle.join("rootfs")).expect("the root file system");
        let mut config = default_config(args);
        let env = config["process"]["env"].as_array_mut().expect("env");
        env.push(format!("ROCI_TEST_TOKEN={}", self.runtime.token).into());
        Container::new(self, id, bundle, config)
    }

    /// A new container that runs a shell script.
    pub fn sh(&self, script: &str) -> Container<'_> {
        self.container(&["/bin/sh", "-c", script])
    }

    /// A new container that prints `ready`, runs until SIGTERM, and then exits with 7.
    pub fn server(&self) -> Container<'_> {
        self.sh("trap 'exit 7' TERM; echo ready; sleep 1000 & wait; exit 8")
    }

    /// A container that must run and print. For tests whose subject may be refused or may work, where only harm is a
    /// failure: a runtime that refuses everything must not pass them.
    #[track_caller]
    pub fn control(&self) {
        let c = self.sh("echo the runtime works");
        assert_eq!(c.output(), "the runtime works\n");
    }

    /// A call of the runtime.
    pub fn call(&self, args: &[&str]) -> Invocation {
        self.runtime.call(args)
    }

    /// A path below the test's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// So many seconds, or as many times that as `ROCI_TEST_PATIENCE` says: an emulated machine takes its time.
pub fn patience(seconds: u64) -> Duration {
    let factor = std::env::var("ROCI_TEST_PATIENCE")
        .ok()
        .and_then(|text| text.parse::<u64>().ok());
    Duration::from_secs(seconds * factor.unwrap_or(1))
}

/// Waits until `condition` holds; one that does not hold in time fails the test.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The value of a line `NAME: value` or `NAME value` of a text like `/proc/self/status`.
#[track_caller]
pub fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix([':', ' ', '\t', '=']));
    line.unwrap_or_else(|| panic!("no `{name}` in: {text}")).trim()
}
