//! A container as the tests see it: an id, a bundle, and the calls that a client would make.

use crate::runtime::{Invocation, Outcome};
use crate::test::{Test, eventually};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A container that a test makes. Nothing is undone when it goes out of scope: the runner deletes what is left by
/// force and then looks for leftovers.
pub struct Container<'t> {
    test: &'t Test,
    /// Its id.
    pub id: String,
    /// The directory of config.json.
    pub bundle: PathBuf,
    /// What `create` and `run` write to config.json before they call the runtime.
    pub config: Value,
}

impl<'t> Container<'t> {
    pub(crate) fn new(test: &'t Test, id: String, bundle: PathBuf, config: Value) -> Self {
        Self {
            test,
            id,
            bundle,
            config,
        }
    }

    /// The root file system, as the host sees it.
    pub fn rootfs(&self) -> PathBuf {
        self.bundle.join("rootfs")
    }

    /// Writes config.json.
    pub fn write_config(&self) {
        let text = serde_json::to_string_pretty(&self.config).expect("JSON");
        std::fs::write(self.bundle.join("config.json"), text).expect("config.json");
    }

    /// Adds a mount.
    pub fn mount(&mut self, destination: &str, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> &mut Self {
        let mount = serde_json::json!({
            "destination": destination, "type": kind, "source": source.as_ref(), "options": options,
        });
        self.config["mounts"].as_array_mut().expect("mounts").push(mount);
        self
    }

    /// Removes the mount on `destination`.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        self.config["mounts"]
            .as_array_mut()
            .expect("mounts")
            .retain(|mount| mount["destination"] != destination);
        self
    }

    /// Adds a namespace, or gives the one that is there a path.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.no_namespace(kind);
        let mut namespace = serde_json::json!({"type": kind});
        if let Some(path) = path {
            namespace["path"] = path.into();
        }
        self.config["linux"]["namespaces"]
            .as_array_mut()
            .expect("namespaces")
            .push(namespace);
        self
    }

    /// Leaves a namespace of the host's out of the configuration.
    pub fn no_namespace(&mut self, kind: &str) -> &mut Self {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// Sets all five capability sets.
    pub fn capabilities(&mut self, sets: &[(&str, &[&str])]) -> &mut Self {
        let sets = sets
            .iter()
            .map(|(name, list)| ((*name).to_owned(), serde_json::json!(list)));
        self.config["process"]["capabilities"] = Value::Object(sets.collect());
        self
    }

    /// A call `COMMAND [OPTIONS] --bundle DIR ID` with config.json written.
    fn with_bundle(&self, command: &str, options: &[&str]) -> Invocation {
        self.write_config();
        let bundle = self.bundle.to_str().expect("a UTF-8 path");
        let args: Vec<&str> = [command, "--bundle", bundle]
            .iter()
            .chain(options)
            .copied()
            .chain([&*self.id])
            .collect();
        self.test.call(&args)
    }

    /// `create`, not yet called.
    pub fn creation(&self, options: &[&str]) -> Invocation {
        self.with_bundle("create", options)
    }

    /// `create`.
    pub fn create(&self) -> Outcome {
        self.creation(&[]).run()
    }

    /// `run`, not yet called.
    pub fn running(&self, options: &[&str]) -> Invocation {
        self.with_bundle("run", options)
    }

    /// `run` in the foreground; standard output is the container's.
    pub fn run(&self) -> Outcome {
        self.running(&[]).run()
    }

    /// `run` with exit status 0; the result is what the container printed.
    #[track_caller]
    pub fn output(&self) -> String {
        self.run().ok().stdout
    }

    /// `create` and `start`.
    #[track_caller]
    pub fn up(&self) -> Outcome {
        let created = self.create().ok();
        self.start().ok();
        created
    }

    /// `create` and `start` of [`Test::server`], until its program is known to run.
    #[track_caller]
    pub fn up_and_ready(&self) -> Outcome {
        let created = self.up();
        eventually("the program is ready", || created.stdout_now().contains("ready"));
        created
    }

    /// `start`.
    pub fn start(&self) -> Outcome {
        self.test.call(&["start", &self.id]).run()
    }

    /// `state`, not necessarily with success.
    pub fn state_call(&self) -> Outcome {
        self.test.call(&["state", &self.id]).run()
    }

    /// The state as JSON.
    #[track_caller]
    pub fn state(&self) -> Value {
        self.state_call().ok().json()
    }

    /// The status member of the state.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("status").to_owned()
    }

    /// The pid of the container's process, as the host sees it.
    #[track_caller]
    pub fn pid(&self) -> i64 {
        let pid = self.state()["pid"].as_i64().expect("pid");
        assert!(pid > 0, "a container that is not stopped has a pid");
        pid
    }

    /// Waits until the container has stopped.
    #[track_caller]
    pub fn wait_until_stopped(&self) {
        eventually("the container has stopped", || self.status() == "stopped");
    }

    /// `kill ID SIGNAL`.
    pub fn kill(&self, signal: &str) -> Outcome {
        self.test.call(&["kill", &self.id, signal]).run()
    }

    /// `delete ID`.
    pub fn delete(&self) -> Outcome {
        self.test.call(&["delete", &self.id]).run()
    }

    /// `delete --force ID`.
    pub fn delete_force(&self) -> Outcome {
        self.test.call(&["delete", "--force", &self.id]).run()
    }

    /// `exec [OPTIONS] ID ARGS`, not yet called.
    pub fn executing(&self, options: &[&str], args: &[&str]) -> Invocation {
        let args: Vec<&str> = ["exec"]
            .iter()
            .chain(options)
            .copied()
            .chain([&*self.id])
            .chain(args.iter().copied())
            .collect();
        self.test.call(&args)
    }

    /// `exec ID ARGS`.
    pub fn exec(&self, args: &[&str]) -> Outcome {
        self.executing(&[], args).run()
    }

    /// `exec` of a shell script.
    pub fn exec_sh(&self, script: &str) -> Outcome {
        self.exec(&["/bin/sh", "-c", script])
    }

    /// Waits for the end of the container's process, which is a child of the test since the runtime is gone: the
    /// value is what a shell would call its exit status.
    #[track_caller]
    pub fn reap(&self, pid: i64) -> i32 {
        reap(pid)
    }
}

/// See [`Container::reap`].
#[track_caller]
pub(crate) fn reap(pid: i64) -> i32 {
    use rustix::process::{Pid, WaitOptions, waitpid};
    let name = Pid::from_raw(pid as i32).expect("a pid");
    let mut status = None;
    eventually(
        "the process that the runtime left to its caller has ended",
        || match waitpid(Some(name), WaitOptions::NOHANG) {
            Ok(Some((_, ended))) => {
                status = Some(ended);
                true
            }
            Ok(None) => false,
            Err(error) => panic!("process {pid} is not a child of the runtime's caller: {error}"),
        },
    );
    let status = status.expect("a status");
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        .expect("an end")
}
