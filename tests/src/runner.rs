//! Runs the tests: each in a process of its own, some side by side, with a time limit, and with a look at what it left
//! behind.
//!
//! A process per test makes the test the parent of the containers that the runtime leaves to its caller (it is a
//! subreaper, as conmon and the containerd shim are), keeps descriptors and environments apart, and survives a test
//! that hangs or dies.

use crate::leaks::{Leftovers, entries, links};
use crate::runtime::Runtime;
use crate::test::Test;
use std::collections::VecDeque;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A test process that was skipped ends with this status, automake's number for it.
const SKIPPED: i32 = 77;
/// How long a test may take, whatever it waits for.
const TEST_LIMIT_SECONDS: u64 = 90;

/// One test: a sentence and a function that panics when the sentence is not true.
pub struct Case {
    name: String,
    run: fn(&Test),
}

impl Case {
    /// Called by [`cases!`](crate::cases).
    pub fn new(module: &str, name: &str, run: fn(&Test)) -> Self {
        let module = module.split_once("::").map_or(module, |(_, rest)| rest);
        Self {
            name: format!("{module}::{name}"),
            run,
        }
    }
}

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The command line, as far as libtest's callers use it: filters, `--exact`, `--list`, `--skip`, `--test-threads`.
#[derive(Default)]
struct Options {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
    jobs: usize,
    one: Option<(String, String, PathBuf)>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            jobs: 4,
            ..Self::default()
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let (name, mut value) = match arg.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (arg, None),
            };
            let mut next = || value.take().or_else(|| args.next()).unwrap_or_default();
            match name.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--skip" => options.skip.push(next()),
                "--test-threads" | "-j" => options.jobs = next().parse().unwrap_or(1),
                "--one" => options.one = Some((next(), next(), next().into())),
                other if other.starts_with('-') => {}
                _ => options.filters.push(name),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        (self.filters.is_empty() || self.filters.iter().any(matches)) && !self.skip.iter().any(matches)
    }
}

/// Runs the tests that the command line asks for.
pub fn main(cases: Vec<Case>) -> ExitCode {
    let options = Options::parse();
    if let Some((name, token, dir)) = options.one {
        return run_here(&cases, &name, &token, dir);
    }
    let mut wanted: VecDeque<&Case> = cases.iter().filter(|case| options.wants(&case.name)).collect();
    if options.list {
        wanted.iter().for_each(|case| println!("{}: test", case.name));
        return ExitCode::SUCCESS;
    }
    let runtime = Runtime::executable();
    if !runtime.exists() {
        eprintln!("no runtime {}: `cargo build --release` makes it", runtime.display());
        return ExitCode::FAILURE;
    }
    if let Some(code) = hide_unified_hierarchy(&runtime) {
        return code;
    }
    println!("running {} tests on {}", wanted.len(), runtime.display());
    let links_before = links();
    let (done, total) = (Mutex::new(Vec::new()), wanted.len());
    let queue = Mutex::new(std::mem::take(&mut wanted));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, 16) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("lock").pop_front();
                    let Some(case) = next else { break };
                    let start = Instant::now();
                    let verdict = run_apart(case);
                    let mut done = done.lock().expect("lock");
                    report(&case.name, &verdict, start.elapsed());
                    done.push((case.name.clone(), verdict));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("lock");
    // A link has no owner and its name no room for a token, so links are compared once, over all tests.
    let links_left: Vec<_> = links()
        .into_iter()
        .filter(|link| !links_before.contains(link))
        .collect();
    if !links_left.is_empty() {
        done.push((
            "network links".into(),
            Verdict::Failed(format!("left behind: {}", links_left.join(" "))),
        ));
    }
    summary(&done, total)
}

fn report(name: &str, verdict: &Verdict, time: Duration) {
    let time = format!("{:.2}s", time.as_secs_f32());
    match verdict {
        Verdict::Passed => println!("test {name} ... ok ({time})"),
        Verdict::Failed(_) => println!("test {name} ... FAILED ({time})"),
        Verdict::Skipped(reason) => println!("test {name} ... skipped: {reason}"),
    }
    let _ = std::io::stdout().flush();
}

fn summary(done: &[(String, Verdict)], total: usize) -> ExitCode {
    let mut failed = 0;
    for (name, verdict) in done {
        if let Verdict::Failed(output) = verdict {
            failed += 1;
            println!("\n---- {name} ----\n{}", output.trim_end());
        }
    }
    let skipped = done
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Skipped(_)))
        .count();
    let passed = done.len() - failed - skipped;
    assert!(done.len() >= total, "a test was not run");
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from((failed > 0) as u8)
}

/// Ends the test process as skipped.
pub(crate) fn skip(reason: &str) -> ! {
    println!("{reason}");
    std::process::exit(SKIPPED)
}

/// Runs one test in this process.
fn run_here(cases: &[Case], name: &str, token: &str, dir: PathBuf) -> ExitCode {
    let case = cases.iter().find(|case| case.name == name).expect("the test exists");
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("subreaper");
    (case.run)(&Test::new(token, dir));
    ExitCode::SUCCESS
}

/// Runs one test in a process of its own and looks at what is left of it.
fn run_apart(case: &Case) -> Verdict {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // The letter at the end keeps the token of test 1 from being a part of test 10's.
    let token = format!("rt{}-{}x", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(format!("roci-test-{token}"));
    fs::create_dir_all(dir.join("state")).expect("the test's directory");
    let log = dir.join("log");
    let output = fs::File::create(&log).expect("the test's log");
    let mut child = Command::new(std::env::current_exe().expect("ourselves"))
        .args(["--one", &case.name, &token])
        .arg(&dir)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("dup"))
        .stderr(output)
        .spawn()
        .expect("the test's process");
    let deadline = Instant::now() + crate::patience(TEST_LIMIT_SECONDS);
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break Some(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let code = status.and_then(|status| status.code());
    let mut complaints = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    let reason = complaints.trim().to_owned();
    let passed = code == Some(0);
    let mut failed = !passed && code != Some(SKIPPED);
    if status.is_none() {
        complaints.push_str(&format!("\nthe test did not end within {TEST_LIMIT_SECONDS} s\n"));
    }
    for message in sweep(&token, &dir) {
        failed = true;
        complaints.push_str(&format!("\n{message}"));
    }
    let _ = fs::remove_dir_all(&dir);
    match (failed, passed) {
        (true, _) => Verdict::Failed(complaints),
        (false, true) => Verdict::Passed,
        (false, false) => Verdict::Skipped(reason),
    }
}

/// Deletes by force the containers that the test left, then looks for what is still there: both must work out.
fn sweep(token: &str, dir: &Path) -> Vec<String> {
    let runtime = Runtime {
        path: Runtime::executable(),
        root: dir.join("state"),
        token: token.to_owned(),
    };
    let mut complaints = Vec::new();
    for container in entries(&runtime.root) {
        let id = container.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if id.starts_with('.') {
            // Of a network: it goes with the last container.
            continue;
        }
        let call = || runtime.call(&["delete", "--force", &id]).run();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
            Ok(outcome) if outcome.status.success() => {}
            Ok(outcome) => complaints.push(format!("delete --force {id} failed: {outcome}")),
            Err(_) => complaints.push(format!("delete --force {id} did not end")),
        }
    }
    // crun gives the standard streams to the container's user by chown, devices included.
    complaints.extend(Leftovers::repair_dev_null().filter(|_| !runtime.name().starts_with("crun")));
    let found = Leftovers::settle(token, &runtime.root);
    if !found.is_empty() {
        complaints.push(format!("left behind:\n{found}"));
        found.clear();
    }
    complaints
}

/// crun 1.8 refuses a machine whose v2 hierarchy has a controller beside v1: run its tests where that is unmounted.
fn hide_unified_hierarchy(runtime: &Path) -> Option<ExitCode> {
    let unified = "/sys/fs/cgroup/unified";
    let is_crun = runtime.file_name().is_some_and(|name| name == "crun");
    if !is_crun || !Path::new(unified).join("cgroup.procs").exists() {
        return None;
    }
    let status = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            r#"umount "$0" && exec "$@""#,
            unified,
        ])
        .arg(std::env::current_exe().expect("ourselves"))
        .args(std::env::args_os().skip(1))
        .status()
        .expect("unshare");
    Some(ExitCode::from(status.code().unwrap_or(1) as u8))
}
