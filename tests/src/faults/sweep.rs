//! The workers, and who hands out the points among them.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use super::case::{Bench, Case, Looks, Point, directory};
use super::host::Host;
use super::tracer::{Call, Fault, Watchdog};
use super::{calls, listed, world};
use crate::runtime::Runtime;

/// What is to be tried.
#[derive(Clone, Default)]
pub struct Options {
    seconds: Option<u64>,
    seed: u64,
    jobs: u64,
    brief: bool,
    /// So many points of each worker have been tried before, in the same order.
    skip: u64,
    worker: u64,
    token: String,
    words: Vec<String>,
    list: bool,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            jobs: 2,
            ..Self::default()
        };
        let mut args = args;
        while let Some(arg) = args.next() {
            let mut number = || -> Result<u64, String> {
                let next = args.next().unwrap_or_default();
                next.parse().map_err(|_| format!("{arg} {next}: not a number"))
            };
            match arg.as_str() {
                "--seconds" => options.seconds = Some(number()?),
                "--seed" => options.seed = number()?,
                "--jobs" => options.jobs = number()?.clamp(1, 64),
                "--skip" => options.skip = number()?,
                "--worker" => options.worker = number()?,
                "--token" => options.token = args.next().unwrap_or_default(),
                "--brief" => options.brief = true,
                "--list" => options.list = true,
                other if other.starts_with("--") => return Err(format!("unknown option {other}")),
                _ => options.words.push(arg),
            }
        }
        Ok(options)
    }

    fn wants(&self, case: &Case, point: &Point) -> bool {
        let name = format!("{} {} {}", case.name(), point.name(), point.call.text);
        self.words.iter().all(|word| name.contains(word.as_str()))
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

const USAGE: &str = "usage: faults [--seconds N] [--seed N] [--jobs N] [--skip N] [--brief] [--list] [WORD...]";

/// What [`USAGE`] says: tries the points whose names hold all of the words. With the same seed and as many jobs, `--skip` goes
/// on where a sweep was that did not come to its end: so many points of each worker are left out.
pub fn sweep(args: Vec<String>) -> ExitCode {
    let options = match Options::parse(args.iter().cloned()) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if !crate::have("nft")
        && let Err(why) = crate::apt_install(&["nftables"])
    {
        println!("the rules of the packet filter are not compared: {why}");
    }
    let start = Instant::now();
    let token = format!("ft{}x", std::process::id());
    println!(
        "seed {}, {} at a time, {}",
        options.seed,
        options.jobs,
        Runtime::executable().display()
    );
    let workers: Vec<_> = (0..options.jobs)
        .map(|worker| spawn_worker(&args, &token, worker))
        .collect();
    let mut sum = Sum::default();
    let (sender, lines) = std::sync::mpsc::channel();
    for mut worker in workers {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let output = worker.stdout.take().expect("a pipe");
            let mut lines = BufReader::new(output).lines().map_while(Result::ok);
            let _ = lines.try_for_each(|line| sender.send(line));
            let status = worker.wait().expect("wait");
            if !status.success() {
                let _ = sender.send(format!("broken\ta worker ended with {status}"));
            }
        });
    }
    drop(sender);
    lines.iter().for_each(|line| sum.add(&line));
    for worker in 0..options.jobs {
        let _ = std::fs::remove_dir_all(directory(&format!("{token}{worker}")));
    }
    sum.report(start.elapsed())
}

/// A worker is the first process of a pid namespace, which dies with it.
fn spawn_worker(args: &[String], token: &str, worker: u64) -> Child {
    Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .arg(std::env::current_exe().expect("ourselves"))
        .args([
            "--work",
            "--worker",
            &worker.to_string(),
            "--token",
            &format!("{token}{worker}"),
        ])
        .args(args)
        .env("ROCI", Runtime::executable())
        .env(
            "DBUS_SYSTEM_BUS_ADDRESS",
            format!(
                "unix:path={}",
                world::bus(&directory(&format!("{token}{worker}"))).display()
            ),
        )
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare")
}

#[derive(Default)]
struct Sum {
    tried: u64,
    missed: u64,
    excused: BTreeMap<String, u64>,
    failed: u64,
    /// The points that did not come up.
    not_up: Vec<String>,
    /// What went wrong, with the points at which it did.
    wrong: BTreeMap<String, Vec<String>>,
    broken: Vec<String>,
}

impl Sum {
    fn add(&mut self, line: &str) {
        let parts: Vec<_> = line.split('\t').collect();
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        match parts.as_slice() {
            ["tried", tried, missed] => {
                self.tried += number(tried);
                self.missed += number(missed);
            }
            ["missed", point] => self.not_up.push((*point).to_owned()),
            ["broken", why] => self.broken.push((*why).to_owned()),
            ["failed", count] => self.failed += number(count),
            ["excused", reason, count] => *self.excused.entry((*reason).to_owned()).or_default() += number(count),
            ["wrong", place, fault, what] => {
                println!("{place} {fault}: {what}");
                self.wrong
                    .entry((*place).to_owned())
                    .or_default()
                    .push((*fault).to_owned());
            }
            _ => println!("{line}"),
        }
    }

    fn report(&self, time: Duration) -> ExitCode {
        if !self.wrong.is_empty() {
            println!("\nin short:");
        }
        for (place, faults) in &self.wrong {
            println!("{place}: {}", faults.join(" "));
        }
        println!("\ndone without, by design:");
        for (reason, count) in &self.excused {
            println!("{count:6} {reason}");
        }
        if !self.not_up.is_empty() {
            println!("\ndid not come up:");
        }
        self.not_up.iter().for_each(|point| println!("{point}"));
        self.broken.iter().for_each(|why| println!("{why}"));
        println!(
            "\n{} points tried in {} s, {} did not come up; {} failed",
            self.tried,
            time.as_secs(),
            self.missed,
            self.failed
        );
        let failed = self.failed + self.broken.len() as u64;
        println!(
            "{} passed, {failed} failed, 0 skipped",
            self.tried.saturating_sub(self.failed)
        );
        ExitCode::from((failed > 0) as u8)
    }
}

/// One worker.
pub fn work(args: Vec<String>) -> ExitCode {
    let options = Options::parse(args.into_iter()).expect("the coordinator has parsed them");
    assert_eq!(std::process::id(), 1, "a worker is started by `faults` itself");
    let directory = directory(&options.token);
    std::fs::create_dir_all(directory.join("state")).expect("mkdir");
    world::prepare_root(&directory);
    world::worlds().iter().for_each(|world| world.prepare(&directory));
    world::start_systemd(&directory);
    let _ = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    // Or every container would be warned of it.
    let _ = std::fs::write("/proc/sys/net/ipv4/ip_forward", "1");
    let bench = Bench {
        roci: Runtime::executable(),
        directory,
        token: options.token.clone(),
        watchdog: Watchdog::start(),
    };
    let mut looks = HashMap::new();
    let mut points = Vec::new();
    for case in Case::all() {
        let of_world: &mut Looks = looks.entry(case.world.name).or_default();
        // The first time makes what is made once: mount points, modules of the kernel.
        let recorded = bench
            .record(&case, of_world)
            .and_then(|_| bench.record(&case, of_world));
        bench.forget_pid_file(&case);
        match recorded {
            Ok(calls) => points.extend(points_of(case, &calls, &options)),
            Err(why) => {
                println!("wrong\t{}\tno fault\t{}", case.name(), why.replace(['\n', '\t'], " "));
                println!("failed\t1");
            }
        }
    }
    points.sort_by_cached_key(|(case, point)| {
        let key = hash(&(options.seed, case.name(), point.name()));
        (!listed::is_always_tried(case, point), key)
    });
    let mut points = points.split_off(points.len().min(options.skip as usize));
    if options.list {
        if options.skip == 0 {
            points.sort_by_cached_key(|(case, point)| (case.name(), point.call.place.clone()));
        }
        points
            .iter()
            .for_each(|(case, point)| println!("{} {} {}", case.name(), point.name(), point.call.text));
        return ExitCode::SUCCESS;
    }
    try_points(&bench, &points, &looks, &options);
    ExitCode::SUCCESS
}

fn points_of(case: Case, calls: &[Call], options: &Options) -> Vec<(Case, Point)> {
    let mut points = Vec::new();
    for call in calls {
        let mut faults = vec![Fault::Kill];
        if call.place.process != "0" {
            faults.push(Fault::KillRoot);
        }
        let errnos = calls::errnos(call.place.number);
        let count = if options.brief { 2 } else { errnos.len() };
        let number = call.place.number;
        let errnos = errnos
            .iter()
            .take(count)
            .filter(|errno| !listed::contradicts(&call.text, number, **errno));
        faults.extend(errnos.map(|errno| Fault::Errno(*errno)));
        for fault in faults {
            let point = Point {
                call: call.clone(),
                fault,
            };
            let is_mine = hash(&(case.name(), point.name())) % options.jobs == options.worker;
            if is_mine && options.wants(&case, &point) {
                points.push((case, point));
            }
        }
    }
    points
}

/// Some calls are made only where somebody else is slow: the point is tried again so many times where it does not come up.
const RETRIES: u32 = 5;

/// After so many points a worker says where it is.
const PROGRESS: u64 = 1000;

fn try_points(bench: &Bench, points: &[(Case, Point)], looks: &HashMap<&str, Looks>, options: &Options) {
    let start = Instant::now();
    let (mut tried, mut missed, mut failed) = (0_u64, 0_u64, 0_u64);
    let mut excused = BTreeMap::<usize, u64>::new();
    let mut hosts = HashMap::new();
    for (case, point) in points {
        if tried > 0 && tried.is_multiple_of(PROGRESS) {
            let (at, all) = (options.skip + tried, options.skip + points.len() as u64);
            println!("worker {}: {at} of {all}, {failed} failed", options.worker);
        }
        if options
            .seconds
            .is_some_and(|seconds| start.elapsed().as_secs() >= seconds)
        {
            break;
        }
        let has_network = case.world.has_network;
        let before = hosts
            .entry(has_network)
            .or_insert_with(|| Host::look(&bench.token, &bench.directory, has_network))
            .clone();
        let check = || bench.check(case, point, &looks[case.world.name], &before);
        let mut verdict = check();
        for _ in 0..RETRIES {
            if verdict.is_hit || !verdict.wrong.is_empty() {
                break;
            }
            verdict = check();
        }
        tried += 1;
        if !verdict.is_hit {
            missed += 1;
            println!("missed\t{} {} {}", case.name(), point.name(), point.call.text);
        }
        failed += u64::from(!verdict.wrong.is_empty());
        if let Some(excuse) = verdict.excused {
            *excused.entry(excuse).or_default() += 1;
        }
        for what in &verdict.wrong {
            let place = format!("{} {} {}", case.name(), point.call.place.process, point.call.text);
            let occurrence = point.name();
            println!("wrong\t{place}\t{occurrence}\t{}", what.replace(['\n', '\t'], " "));
        }
        if !verdict.wrong.is_empty() {
            // What one point has left must not fail the next ones.
            clean(bench, has_network);
            hosts.clear();
        }
    }
    println!("tried\t{tried}\t{missed}");
    println!("failed\t{failed}");
    for (excuse, count) in excused {
        println!("excused\t{}\t{count}", listed::reason(excuse));
    }
}

/// Removes what was left behind.
fn clean(bench: &Bench, has_network: bool) {
    crate::leaks::Leftovers::find(&bench.token, Path::new("/nowhere")).clear();
    let state = bench.directory.join("state");
    let _ = std::fs::remove_dir_all(&state);
    let _ = std::fs::create_dir(&state);
    let _ = std::fs::remove_dir_all(bench.directory.join("network/upper.work"));
    if has_network {
        let _ = Command::new("ip")
            .args(["link", "delete", "roci0"])
            .stderr(Stdio::null())
            .status();
        let _ = Command::new("nft")
            .args(["delete", "table", "inet", "roci"])
            .stderr(Stdio::null())
            .status();
    }
}
