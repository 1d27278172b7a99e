//! `cargo suite --soak`: containers that come and go, four at a time, and nothing that grows: `soak CYCLES`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tests::{Runtime, default_config, make_rootfs};

const AT_A_TIME: u32 = 4;

/// What must not grow.
#[derive(Debug)]
struct Host {
    processes: usize,
    mounts: usize,
    cgroups: u64,
    /// Cgroups that are removed and not yet forgotten, which pages hold that somebody else uses.
    kernel_cgroups: u64,
    files: usize,
    descriptors: u64,
    /// Bytes of the kernel's own memory.
    slab: u64,
}

fn number(path: &str, name: &str, field: usize) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| name.is_empty() || line.starts_with(name));
    lines
        .filter_map(|line| line.split_whitespace().nth(field)?.parse::<u64>().ok())
        .sum()
}

impl Host {
    fn look(state: &Path, token: &str) -> Self {
        let count = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
        let list = Command::new("find")
            .args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("*{token}*")])
            .output();
        let found = list.map_or(0, |output| output.stdout.iter().filter(|byte| **byte == b'\n').count());
        Self {
            processes: tests::leaks::processes(token).len(),
            mounts: fs::read_to_string("/proc/self/mountinfo")
                .unwrap_or_default()
                .lines()
                .count(),
            cgroups: found as u64,
            kernel_cgroups: number("/proc/cgroups", "", 2),
            files: count(&state.to_string_lossy()),
            descriptors: number("/proc/sys/fs/file-nr", "", 0),
            slab: number("/proc/meminfo", "SUnreclaim:", 1) * 1024,
        }
    }
}

struct Soak {
    runtime: Runtime,
    bundle: PathBuf,
    next: AtomicU32,
}

impl Soak {
    fn call(&self, args: &[&str]) -> Result<(), String> {
        let mut command = Command::new(&self.runtime.path);
        command.arg("--root").arg(&self.runtime.root).args(args);
        command
            .env("ROCI_TEST_TOKEN", &self.runtime.token)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let output = command
            .stderr(Stdio::inherit())
            .status()
            .map_err(|error| error.to_string())?;
        output
            .success()
            .then_some(())
            .ok_or_else(|| format!("{}: {output}", args.join(" ")))
    }

    fn cycle(&self, number: u32) -> Result<(), String> {
        let id = format!("{}n{number}", self.runtime.token);
        let bundle = self.bundle.to_string_lossy();
        // Its output must not be ours: it lives longer than the call.
        self.call(&["create", "--bundle", &bundle, &id])?;
        self.call(&["start", &id])?;
        self.call(&["kill", &id, "KILL"])?;
        // A killed process needs a moment, and is this program's to reap.
        self.call(&["delete", "--force", &id])
    }

    /// Cycles until there have been `until` of them; the time that one takes.
    fn run(&self, until: u32) -> Result<Duration, String> {
        let (start, first) = (Instant::now(), self.next.load(Ordering::SeqCst));
        let failed = std::sync::Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    loop {
                        let number = self.next.fetch_add(1, Ordering::SeqCst);
                        if number >= until {
                            break;
                        }
                        if let Err(why) = self.cycle(number) {
                            *failed.lock().expect("lock") = Some(why);
                        }
                    }
                });
            }
        });
        self.next.store(until, Ordering::SeqCst);
        match failed.into_inner().expect("lock") {
            Some(why) => Err(why),
            None => Ok(start.elapsed() / (until - first).max(1)),
        }
    }
}

/// Reaps what roci leaves to its caller.
fn reap_for_ever() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("subreaper");
    std::thread::spawn(|| {
        loop {
            for pid in orphans() {
                let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

/// Children that are no roci of ours: `Command` reaps those itself.
fn orphans() -> Vec<rustix::process::Pid> {
    let path = format!("/proc/self/task/{0}/children", std::process::id());
    let text = fs::read_to_string(path).unwrap_or_default();
    let pids = text.split_whitespace().filter_map(|word| word.parse::<i32>().ok());
    let is_container = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "sleep"
    };
    pids.filter(is_container)
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

fn main() -> ExitCode {
    let cycles: u32 = std::env::args()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(10_000);
    let token = format!("soak{}x", std::process::id());
    let directory = std::env::temp_dir().join(format!("roci-{token}"));
    let soak = Soak {
        runtime: Runtime {
            path: Runtime::executable(),
            root: directory.join("state"),
            token: token.clone(),
        },
        bundle: directory.join("bundle"),
        next: AtomicU32::new(0),
    };
    fs::create_dir_all(&soak.runtime.root).expect("mkdir");
    make_rootfs(&soak.bundle.join("rootfs")).expect("the root file system");
    let config = default_config(&["/bin/sleep", "1000"]).to_string();
    fs::write(soak.bundle.join("config.json"), config).expect("config.json");
    reap_for_ever();
    let result = measure(&soak, cycles);
    let _ = fs::remove_dir_all(&directory);
    match &result {
        Ok(text) => println!("{text}\n1 passed, 0 failed, 0 skipped"),
        Err(why) => println!("{why}\n0 passed, 1 failed, 0 skipped"),
    }
    ExitCode::from(result.is_err() as u8)
}

fn measure(soak: &Soak, cycles: u32) -> Result<String, String> {
    let look = || Host::look(&soak.runtime.root, &soak.runtime.token);
    // What the kernel sets up once is set up in the first tenth.
    let first = soak.run((cycles / 10).max(1))?;
    let before = look();
    let rest = soak.run(cycles)?;
    // Namespaces are taken down behind everybody's back.
    std::thread::sleep(Duration::from_secs(3));
    let after = look();
    let text =
        format!("{cycles} cycles, {rest:?} each, {first:?} in the first tenth\nbefore {before:?}\nafter  {after:?}");
    // What other programs do meanwhile, and what the kernel keeps for the next time, is not a part of every container.
    let made = u64::from(cycles);
    let grows = |before: u64, after: u64, slack: u64| after.saturating_sub(before) > slack;
    let wrong = [
        ("processes", after.processes > 0),
        ("mounts", after.mounts > before.mounts),
        ("cgroups", after.cgroups > 0),
        (
            "the kernel's cgroups",
            grows(before.kernel_cgroups, after.kernel_cgroups, made / 10 + 200),
        ),
        ("files", after.files > 0),
        (
            "descriptors",
            grows(before.descriptors, after.descriptors, made / 10 + 1000),
        ),
        ("slab", grows(before.slab, after.slab, made * 512 + (32 << 20))),
        ("time", rest > first * 2 + Duration::from_millis(5)),
    ];
    let wrong: Vec<_> = wrong
        .iter()
        .filter(|(_, is_wrong)| *is_wrong)
        .map(|(name, _)| *name)
        .collect();
    if wrong.is_empty() {
        Ok(text)
    } else {
        Err(format!("{} grew: {text}", wrong.join(", ")))
    }
}
