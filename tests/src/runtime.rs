//! Starting the runtime: the only code that makes a command line of it.

use command_fds::{CommandFdExt, FdMapping};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long one call of the runtime may take before the harness kills it: long enough for the slowest machine that
/// still deserves a green run, short enough that a hanging runtime is reported and not waited for.
const CALL_LIMIT_SECONDS: u64 = 20;

/// Which runtime the tests run.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The executable.
    pub path: PathBuf,
    /// `--root`: the state directory, the test's own.
    pub root: PathBuf,
    /// The token of the test, part of every name it makes.
    pub token: String,
}

impl Runtime {
    /// The executable that `ROCI` names, or else the release build of this workspace.
    pub fn executable() -> PathBuf {
        if let Some(path) = std::env::var_os("ROCI") {
            return crate::machine::find_program(&path.to_string_lossy()).unwrap_or_else(|| path.into());
        }
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let builds = [
            target.unwrap_or_else(|| workspace.join("target")),
            workspace.join("target"),
        ];
        let mut candidates = builds.iter().map(|target| target.join("release/roci"));
        candidates
            .find(|path| path.exists())
            .unwrap_or_else(|| workspace.join("target/release/roci"))
    }

    /// The file name of the executable, which is how the tests tell the runtimes apart.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether roci's own words and promises can be demanded; on a peer only what the specification demands is.
    pub fn is_roci(&self) -> bool {
        self.name().starts_with("roci")
    }

    fn speaks(&self) -> Speaks {
        match self.is_roci() {
            true => Speaks::Roci,
            false if self.name().starts_with("crun") => Speaks::Crun,
            false => Speaks::Runc,
        }
    }

    /// A call with global options before the command.
    pub fn global(&self, options: &[&str], args: &[&str]) -> Invocation {
        let root = self.root.to_str().expect("a UTF-8 path");
        let all: Vec<_> = ["--root", root].iter().chain(options).chain(args).copied().collect();
        let mut call = self.bare(&all);
        call.what = args.join(" ");
        call.name = args.first().copied().unwrap_or_default().to_owned();
        call
    }

    /// A call with these arguments and no others: the runtime chooses where it keeps its state.
    pub fn bare(&self, args: &[&str]) -> Invocation {
        let mut command = Command::new(&self.path);
        command.args(args);
        command.env("ROCI_TEST_TOKEN", &self.token).stdin(Stdio::null());
        // A socket of the machine's init has no business in the tests, and runc would use it.
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        let name = args.first().copied().unwrap_or_default().to_owned();
        Invocation {
            what: args.join(" "),
            name,
            command,
            fds: Vec::new(),
            speaks: self.speaks(),
            limit: crate::patience(CALL_LIMIT_SECONDS),
        }
    }

    /// A call of the runtime.
    pub fn call(&self, args: &[&str]) -> Invocation {
        self.global(&[], args)
    }
}

/// A call of the runtime that has not been made yet.
#[must_use = "a call does nothing until `run` or `spawn`"]
pub struct Invocation {
    what: String,
    name: String,
    command: Command,
    fds: Vec<FdMapping>,
    speaks: Speaks,
    limit: Duration,
}

/// Whose words the runtime uses: clients match runc's, so they are demanded of every runtime but crun.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speaks {
    Roci,
    Runc,
    Crun,
}

impl Invocation {
    /// Runs `program` in place of the runtime, with the runtime's command line after `args`: for `setsid`, `sh -c`, ...
    pub fn under(mut self, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command
            .args(args)
            .arg(self.command.get_program())
            .args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        self.command = command;
        self
    }

    /// Runs the runtime in a mount namespace of its own, after what `script` does there: it ends with `exec "$@"`, and `$0` is
    /// `name`.
    pub fn with_own_mounts(self, script: &str, name: &str) -> Self {
        let args = ["--mount", "--propagation", "private", "sh", "-c", script, name];
        self.under("unshare", &args)
    }

    /// Sets an environment variable of the runtime.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the runtime's working directory.
    pub fn cwd(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Another standard input than `/dev/null`.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// A descriptor that the runtime finds open under `number`.
    pub fn fd(mut self, number: i32, fd: impl Into<OwnedFd>) -> Self {
        self.fds.push(FdMapping {
            parent_fd: fd.into(),
            child_fd: number,
        });
        self
    }

    /// Another time limit than the usual one.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the call; its output goes to files, since a container may hold a pipe open long after the call is over.
    pub fn spawn(mut self) -> Running {
        let (stdout, stderr) = (Output::new(), Output::new());
        self.command.stdout(stdout.writer()).stderr(stderr.writer());
        self.spawn_with(Some(stdout), Some(stderr))
    }

    /// Starts the call with the given standard output and error instead of files.
    pub fn spawn_to(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Running {
        self.command.stdout(stdout).stderr(stderr);
        self.spawn_with(None, None)
    }

    fn spawn_with(mut self, stdout: Option<Output>, stderr: Option<Output>) -> Running {
        if !self.fds.is_empty() {
            let fds = std::mem::take(&mut self.fds);
            self.command.fd_mappings(fds).expect("distinct descriptor numbers");
        }
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command));
        // Dropping the command closes our copies of the descriptors that it hands over.
        drop(self.command);
        Running {
            what: self.what,
            name: self.name,
            child,
            stdout,
            stderr,
            speaks: self.speaks,
            limit: self.limit,
        }
    }

    /// Makes the call and waits for its end.
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }
}

/// An unnamed file that collects output.
#[derive(Debug)]
struct Output(File);

impl Output {
    fn new() -> Self {
        // O_TMPFILE needs a file system that has it; a memfd needs nothing. Append mode, because stdout and stderr of
        // several processes may end up here.
        let fd = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
        rustix::fs::fcntl_setfl(&fd, rustix::fs::OFlags::APPEND).expect("append mode");
        Self(File::from(fd))
    }

    fn writer(&self) -> File {
        self.0.try_clone().expect("dup")
    }

    fn text(&self) -> String {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; self.0.metadata().expect("stat").len() as usize];
        self.0.read_exact_at(&mut bytes, 0).expect("read");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A call that is being made.
pub struct Running {
    what: String,
    name: String,
    child: Child,
    stdout: Option<Output>,
    stderr: Option<Output>,
    speaks: Speaks,
    limit: Duration,
}

impl Running {
    /// The pid of the runtime.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What was written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.as_ref().map(Output::text).unwrap_or_default()
    }

    /// Whether the call is over.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("wait").is_some()
    }

    /// Ends the runtime without letting it do anything about it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for the end of the call; one that takes too long is killed and fails the test.
    pub fn wait(mut self) -> Outcome {
        let deadline = Instant::now() + self.limit;
        let mut pause = Duration::from_micros(500);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let stderr = self.stderr.as_ref().map(Output::text).unwrap_or_default();
                panic!(
                    "`{}` did not end within {:?}\nstdout: {}\nstderr: {stderr}",
                    self.what,
                    self.limit,
                    self.stdout()
                );
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        };
        Outcome {
            what: self.what,
            name: self.name,
            status,
            stdout: self.stdout.as_ref().map(Output::text).unwrap_or_default(),
            stderr: self.stderr.as_ref().map(Output::text).unwrap_or_default(),
            output: self.stdout,
            error_output: self.stderr,
            speaks: self.speaks,
        }
    }
}

/// What a call of the runtime did.
#[derive(Debug)]
pub struct Outcome {
    what: String,
    name: String,
    /// How the runtime ended.
    pub status: ExitStatus,
    /// What was on standard output when it ended.
    pub stdout: String,
    /// What was on standard error when it ended.
    pub stderr: String,
    output: Option<Output>,
    error_output: Option<Output>,
    speaks: Speaks,
}

impl Outcome {
    /// The call must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status.success(), "`{}` failed: {self}", self.what);
        self
    }

    /// The call must have failed by itself, with a message; roci's is one line in roci's form.
    #[track_caller]
    pub fn fails(self) -> Self {
        assert!(self.status.signal().is_none(), "`{}` was killed: {self}", self.what);
        assert!(!self.status.success(), "`{}` should have failed: {self}", self.what);
        assert!(
            !self.stderr.trim().is_empty(),
            "`{}` failed without a word: {self}",
            self.what
        );
        if self.speaks == Speaks::Roci {
            let start = format!("roci: {}", self.name);
            assert!(
                self.stderr.starts_with(&start),
                "the message should start with `{start}`: {self}"
            );
            assert_eq!(
                self.stderr.matches('\n').count(),
                1,
                "the message should be one line: {self}"
            );
            assert!(self.stderr.ends_with('\n'), "the message should be one line: {self}");
            assert_ne!(self.status.code(), Some(101), "101 means a bug in roci: {self}");
        }
        self
    }

    /// Standard error must contain `words`, which some client matches; crun has its own.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        let said = self.speaks == Speaks::Crun || self.stderr.contains(words);
        assert!(said, "`{}` should say `{words}`: {self}", self.what);
        self
    }

    /// Standard error must contain `words`, when it is roci that speaks.
    #[track_caller]
    pub fn roci_says(self, words: &str) -> Self {
        if self.speaks == Speaks::Roci {
            self.says(words)
        } else {
            self
        }
    }

    /// The exit status must be `code`.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status of `{}`: {self}", self.what);
        self
    }

    /// Standard output must be exactly `text`, white space at the end aside.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert_eq!(self.stdout.trim_end(), text, "output of `{}`: {self}", self.what);
        self
    }

    /// Standard output by now: a container may write long after `create` has ended.
    pub fn stdout_now(&self) -> String {
        self.output.as_ref().map(Output::text).unwrap_or_default()
    }

    /// Standard error by now.
    pub fn stderr_now(&self) -> String {
        self.error_output.as_ref().map(Output::text).unwrap_or_default()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr)
    }
}
