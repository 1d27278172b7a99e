//! `cargo suite`: everything that has to hold before a change is finished, with one number at the end.
//!
//! `cargo suite NAME...` runs the integration tests whose names contain one of the words, and nothing else;
//! `cargo suite --fast` leaves virtual machines, conformance and clients out; `cargo suite --bless` writes the README's tables anew.
//! `cargo suite --faults` makes every system call of every command fail once; `cargo suite --soak` makes ten thousand
//! containers; `cargo suite --fuzz` runs each fuzzer for ten minutes. Of each of these the suite has a part.
//! `cargo suite --miri` runs the unit tests of pure code in Miri, of which the suite has no part.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;
use tests::products::{
    self, BOOT_BYTES_MAX, EXECUTABLES, INIT_BYTES_MAX, ROCI_BYTES_MAX, ROCI_SMALLEST_BYTES_MAX,
    ROCI_SPECIFICATION_BYTES_MAX, TARGETS, Target, cargo, run,
};

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// What is printed later, since something else prints now.
    kept: Option<String>,
}

/// How long each part took.
struct Times {
    start: Instant,
    parts: Vec<(&'static str, u64)>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            parts: Vec::new(),
        }
    }
}

impl Times {
    /// A part has ended, and the next one begins.
    fn note(&mut self, part: &'static str) {
        let before: u64 = self.parts.iter().map(|(_, seconds)| seconds).sum();
        self.parts.push((part, self.start.elapsed().as_secs() - before));
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "after {} s", self.start.elapsed().as_secs())?;
        let mut mark = " (";
        for (part, seconds) in &self.parts {
            write!(f, "{mark}{part} {seconds}")?;
            mark = ", ";
        }
        f.write_str(if self.parts.is_empty() { "" } else { ")" })
    }
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Prints a line, or keeps it.
    fn say(&mut self, line: &str) {
        match &mut self.kept {
            Some(kept) => {
                kept.push_str(line);
                kept.push('\n');
            }
            None => println!("{line}"),
        }
    }

    /// Does something beside what goes on meanwhile.
    fn aside(act: impl FnOnce(&mut Tally) + Send + 'static) -> JoinHandle<Tally> {
        std::thread::spawn(|| {
            let mut tally = Tally {
                kept: Some(String::new()),
                ..Tally::default()
            };
            act(&mut tally);
            tally
        })
    }

    /// Waits for what was done aside, and prints what it had to say.
    fn join(&mut self, aside: JoinHandle<Tally>) {
        match aside.join() {
            Ok(other) => {
                print!("{}", other.kept.as_deref().unwrap_or_default());
                self.add(&other);
            }
            Err(_) => self.fail("what was done aside", "it panicked"),
        }
    }

    /// The numbers of a line `N passed, N failed, N skipped`.
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line
            .split(", ")
            .zip([" passed", " failed", " skipped"])
            .map(|(part, word)| part.strip_suffix(word)?.parse().ok());
        Some(Self {
            passed: numbers.next()??,
            failed: numbers.next()??,
            skipped: numbers.next()??,
            kept: None,
        })
    }

    fn pass(&mut self, what: &str, detail: &str) {
        self.passed += 1;
        let colon = if detail.is_empty() { "" } else { ": " };
        self.say(&format!("ok      {what}{colon}{detail}"));
    }

    fn fail(&mut self, what: &str, why: &str) {
        self.failed += 1;
        self.say(&format!("FAILED  {what}:\n{}", why.trim_end()));
    }

    fn skip(&mut self, what: &str, why: &str) {
        self.skipped += 1;
        self.say(&format!("skipped {what}: {why}"));
    }

    fn step(&mut self, what: &str, result: Result<String, String>) -> bool {
        match &result {
            Ok(detail) => self.pass(what, detail),
            Err(why) => self.fail(what, why),
        }
        let _ = std::io::stdout().flush();
        result.is_ok()
    }
}

fn main() -> ExitCode {
    let (options, filters): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    let has = |name: &str| options.iter().any(|option| option == name);
    if let Some(unknown) = options
        .iter()
        .find(|option| !["--fast", "--bless", "--faults", "--soak", "--fuzz", "--miri"].contains(&option.as_str()))
    {
        eprintln!(
            "unknown option {unknown}; usage: cargo suite [--fast|--bless|--faults|--soak|--fuzz|--miri] [NAME...]"
        );
        return ExitCode::from(2);
    }
    if has("--bless") {
        return match tests::tidy::bless() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    let mut times = Times::default();
    let mut tally = Tally::default();
    if has("--miri") {
        miri(&mut tally);
        return finish(&tally, &times);
    }
    install_tools(&mut tally);
    let built = products::build(None);
    let release = built.clone().unwrap_or_default();
    let works = tally.step("build of the products", built.map(|_| String::new()));
    let alone = ["--faults", "--soak", "--fuzz"].into_iter().find(|name| has(name));
    if let (Some(name), true) = (alone, works) {
        let roci = release.join("roci");
        match name {
            "--faults" => faults(&mut tally, &roci, &[]),
            "--soak" => soak(&mut tally, &roci, 10_000),
            _ => fuzz(&mut tally, 600),
        }
        return finish(&tally, &times);
    }
    times.note("tools and products");
    if filters.is_empty() {
        check_sources(&mut tally);
        times.note("sources");
        unit_tests(&mut tally);
        times.note("unit tests");
        if works {
            check_products(&mut tally, &release);
            smallest(&mut tally);
            times.note("products");
            other_machines(&mut tally, &release);
            times.note("other machines");
        }
    }
    let roci = release.join("roci");
    if works {
        integration_tests(&mut tally, "integration tests", &roci, &filters);
        times.note("integration tests");
        if filters.is_empty() {
            let day = std::time::UNIX_EPOCH
                .elapsed()
                .map_or(0, |time| time.as_secs() / 86400)
                .to_string();
            faults(&mut tally, &roci, &["--seconds", "60", "--seed", &day]);
            soak(&mut tally, &roci, 200);
            times.note("faults and soak");
        }
        if filters.is_empty() && !has("--fast") {
            // An emulated machine has one processor, and so have most of the others' tests.
            let machines = Tally::aside(|tally| {
                unit_tests_elsewhere(tally);
                virtual_machines(tally);
            });
            conformance(&mut tally, &roci);
            clients(&mut tally, &roci);
            fuzz(&mut tally, 3);
            times.note("conformance, clients and fuzzers");
            tally.join(machines);
            times.note("virtual machines beyond that");
        }
    } else {
        tally.skip("integration tests", "there is nothing to test");
    }
    finish(&tally, &times)
}

fn finish(tally: &Tally, times: &Times) -> ExitCode {
    println!("\n{times}:");
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    );
    ExitCode::from((tally.failed > 0) as u8)
}

/// What the tests need beyond a Rust toolchain.
fn install_tools(tally: &mut Tally) {
    // A missing linker stops everything, so it comes first; a missing tool skips the tests that need it.
    let wanted = [
        ("cc", "gcc"),
        ("busybox", "busybox-static"),
        ("ip", "iproute2"),
        ("ps", "procps"),
        ("strace", "strace"),
    ];
    for (program, package) in wanted {
        if tests::have(program) {
            continue;
        }
        match tests::apt_install(&[package]) {
            Ok(()) => tally.say(&format!("        installed {package}")),
            Err(why) => tally.skip(&format!("what needs {program}"), &why),
        }
    }
}

fn check_sources(tally: &mut Tally) {
    let quiet = |args: &[&str]| run(&mut cargo(args)).map(|_| String::new());
    tally.step("formatting", quiet(&["fmt", "--all", "--check"]));
    let products = ["clippy", "--quiet", "--", "-D", "warnings"];
    tally.step("clippy on the products", quiet(&products));
    let libraries = [
        "clippy",
        "--quiet",
        "--tests",
        "-p",
        "spec-core",
        "-p",
        "sys",
        "-p",
        "launcher",
        "-p",
        "init",
        "--",
        "-D",
        "warnings",
    ];
    tally.step("clippy on the unit tests", quiet(&libraries));
    let tests = [
        "clippy",
        "--quiet",
        "--all-targets",
        "-p",
        "tests",
        "-p",
        "qemu",
        "--",
        "-D",
        "warnings",
    ];
    tally.step("clippy on the tests and on what emulates machines", quiet(&tests));
    check_features(tally);
    for rule in tests::tidy::RULES {
        let broken = rule.check();
        tally.step(
            rule.name,
            if broken.is_empty() {
                Ok(String::new())
            } else {
                Err(broken.join("\n"))
            },
        );
    }
}

/// The unit tests of the crates that the products are made of, counted one by one.
fn unit_tests(tally: &mut Tally) {
    let packages = [
        "test",
        "--quiet",
        "--no-fail-fast",
        "-p",
        "spec-core",
        "-p",
        "sys",
        "-p",
        "launcher",
        "-p",
        "init",
        "-p",
        "qemu",
    ];
    count_unit_tests(tally, "unit tests", &mut cargo(&packages));
}

/// Machines whose programs with std can be built and run here, and which of the unit tests of spec-core are run on each: those
/// that depend on the size of a word, or, where they are emulated, on the machine's own system calls.
const ELSEWHERE: [(&str, &str); 2] = [
    ("i686-unknown-linux-musl", ""),
    ("aarch64-unknown-linux-musl", "seccomp"),
];

fn unit_tests_elsewhere(tally: &mut Tally) {
    for target in &TARGETS {
        let Some((triple, words)) = ELSEWHERE.iter().find(|(triple, _)| *triple == target.triple) else {
            continue;
        };
        let what = format!("unit tests of spec-core on {triple}");
        let mut command =
            match products::cargo_with_std(triple, &["test", "--quiet", "-p", "spec-core", "--lib", words]) {
                Ok(command) => command,
                Err(why) => {
                    tally.skip(&what, &why);
                    continue;
                }
            };
        if !target.is_native() {
            command.env(products::variable_of(triple, "RUNNER"), target.emulator);
        }
        count_unit_tests(tally, &what, &mut command);
    }
}

/// Which unit tests Miri runs. It interprets, so it makes no system call by instruction, and takes a thousand times as long.
const INTERPRETED: [(&str, &[&str]); 3] = [
    (
        "spec-core",
        &[
            "--skip",
            "every_name_is_found",
            "--skip",
            "limits::",
            "--skip",
            "samples::",
        ],
    ),
    (
        "sys",
        &[
            "take_once::",
            "scratch::",
            "start::",
            "--skip",
            "what_is_freed_last_first",
        ],
    ),
    (
        "launcher",
        &[
            "--skip",
            "root::",
            "--skip",
            "cli::tests",
            "--skip",
            "texts_are_lower_case",
        ],
    ),
];

/// Unit tests in Miri, which sees undefined behaviour.
fn miri(tally: &mut Tally) {
    for (package, words) in INTERPRETED {
        let what = format!("unit tests of {package} in Miri");
        let mut command = match products::cargo_miri(&["test", "--quiet", "-p", package, "--lib", "--"]) {
            Ok(command) => command,
            Err(why) => {
                tally.skip(&what, &why);
                continue;
            }
        };
        count_unit_tests(tally, &what, command.args(words));
    }
}

/// Runs what ends each part with the line of Rust's own test runner.
fn count_unit_tests(tally: &mut Tally, what: &str, command: &mut Command) {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return tally.fail(what, &error.to_string()),
    };
    let stdout = String::from_utf8_lossy(&output.stdout);
    let mut counted = Tally::default();
    for line in stdout.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let number = |word: &str| -> usize {
            let part = line
                .split(['.', ';'])
                .map(str::trim)
                .find_map(|part| part.strip_suffix(word));
            part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
        };
        counted.add(&Tally {
            passed: number("passed"),
            failed: number("failed"),
            skipped: number("ignored"),
            kept: None,
        });
    }
    tally.add(&counted);
    tally.say(&format!(
        "{}      {what}: {} passed, {} failed, {} skipped",
        if counted.failed == 0 { "ok" } else { "--" },
        counted.passed,
        counted.failed,
        counted.skipped
    ));
    if counted.failed > 0 {
        tally.say(&stdout);
    } else if !output.status.success() || counted.passed == 0 {
        tally.fail(what, &String::from_utf8_lossy(&output.stderr));
    }
}

fn check_products(tally: &mut Tally, release: &Path) {
    // The linker of the host aligns more than the one that is shipped.
    check_sizes(
        tally,
        release,
        [ROCI_BYTES_MAX + 8 * 1024, INIT_BYTES_MAX, BOOT_BYTES_MAX],
        "",
    );
    // The same program with its symbols, from a build of its own.
    let target = products::target_directory().join("with-symbols");
    let mut build = cargo(&["build", "--release", "--quiet"]);
    build
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("CARGO_TARGET_DIR", &target);
    let built = run(&mut build);
    for name in ["roci", "roci-init", "roci-boot"] {
        let symbols = built
            .clone()
            .and_then(|_| products::check_symbols(&target.join("release").join(name)));
        tally.step(
            &format!("{name} has no libc, no heap and no formatter"),
            symbols.map(|()| String::new()),
        );
    }
}

fn check_sizes(tally: &mut Tally, release: &Path, limits: [u64; 3], target: &str) {
    for (name, limit) in EXECUTABLES.into_iter().zip(limits) {
        let what = format!("{name} is small, static and stripped{target}");
        let size = products::check_executable(&release.join(name), limit);
        tally.step(&what, size.map(|size| format!("{size} bytes")));
    }
}

/// The launcher without what can be left out, and with each of its features alone.
fn check_features(tally: &mut Tally) {
    let manifest = products::workspace().join("launcher/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap_or_default();
    let lines = manifest.lines().skip_while(|line| *line != "[features]");
    let features = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| Some(line.split_once(" = ")?.0))
        .filter(|name| *name != "default");
    let check = |feature| {
        let words = [
            "clippy",
            "--quiet",
            "--tests",
            "-p",
            "launcher",
            "--no-default-features",
        ];
        let mut command = cargo(&words);
        command.args(["--features", feature, "--", "-D", "warnings"]);
        run(&mut command)
            .map(|_| feature)
            .map_err(|why| format!("with {feature:?}: {why}"))
    };
    let checked: Result<Vec<_>, _> = features.chain([""]).map(check).collect();
    tally.step("clippy on each feature alone", checked.map(|names| names.join(" ")));
}

/// What is tested of the executable without what can be left out.
const OF_SMALLEST: [&str; 10] = [
    "smallest::",
    "lifecycle::",
    "run::",
    "exec::",
    "kill::",
    "delete::",
    "hooks::",
    "mounts::",
    "namespaces::",
    "process::",
];

/// What asks for more than it can do.
const BEYOND_SMALLEST: [&str; 8] = [
    "exec::seccomp_of_the_container_applies",
    "exec::the_process_is_in_the_containers_cgroups",
    "delete::delete_removes_the_cgroups_that_create_made",
    "mounts::devices_that_the_cgroup_forbids_cannot_be_opened",
    "mounts::a_cgroup_mount_shows_the_containers_cgroup",
    "run::the_pid_file_is_complete_when_create_returns",
    // Without a cgroup, the children of a program that has ended are nobody's any more.
    "exec::exec_works_without_a_pid_namespace",
    "namespaces::without_a_pid_namespace_the_program_has_a_host_pid",
];

/// The executable without what can be left out: that it is small, does the rest, and says what it lacks.
fn smallest(tally: &mut Tally) {
    let Some(Target { triple, .. }) = TARGETS.iter().find(|target| target.is_native()) else {
        return;
    };
    if triple.starts_with("x86_64") {
        let what = "roci with the specification and nothing beside it is smaller";
        // What is wrong with it has been told.
        let _ = leaner(tally, what, triple, "specification", ROCI_SPECIFICATION_BYTES_MAX);
    }
    let what = "roci without all that can be left out is smaller";
    let Ok(roci) = leaner(tally, what, triple, "", ROCI_SMALLEST_BYTES_MAX) else {
        return;
    };
    // It looks for roci-init beside it.
    let init = products::target_directory().join("release/roci-init");
    if let Err(error) = std::fs::copy(&init, roci.with_file_name("roci-init")) {
        return tally.fail(&init.to_string_lossy(), &error.to_string());
    }
    let mut filters: Vec<_> = OF_SMALLEST.map(str::to_owned).into();
    for name in BEYOND_SMALLEST {
        filters.extend(["--skip".to_owned(), name.to_owned()]);
    }
    integration_tests(tally, "integration tests of the smaller one", &roci, &filters);
}

/// An executable with these features alone, and that it weighs no more than it may.
fn leaner(tally: &mut Tally, what: &str, triple: &str, features: &str, limit: u64) -> Result<PathBuf, String> {
    let words = [
        "build",
        "--release",
        "--quiet",
        "-p",
        "launcher",
        "--no-default-features",
        "--features",
        features,
    ];
    let target = products::target_directory().join("smallest");
    let built = products::cargo_for(triple, &words)
        .and_then(|mut build| run(build.env("CARGO_TARGET_DIR", &target)))
        .map(|_| target.join(triple).join("release/roci"));
    let size = built.clone().and_then(|roci| products::check_executable(&roci, limit));
    tally.step(what, size.map(|size| format!("{size} bytes")));
    built
}

/// Every machine: that its executables can be built, and run as far as they do without that machine.
fn other_machines(tally: &mut Tally, native: &Path) {
    for target in &TARGETS {
        let what = format!("build for {}", target.triple);
        let release = match products::build(Some(target.triple)) {
            Ok(release) => release,
            Err(why) if target.is_experimental || why.starts_with("the toolchain has no core") => {
                tally.skip(&what, why.lines().last().unwrap_or_default());
                continue;
            }
            Err(why) => {
                tally.fail(&what, &why);
                continue;
            }
        };
        tally.pass(&what, "");
        check_sizes(tally, &release, target.limits, &format!(" for {}", target.triple));
        emulated(tally, target, &release, native);
        explained(tally, target, &release);
    }
}

/// Calls that need no container, which have to do and say what they do and say natively.
fn emulated(tally: &mut Tally, target: &Target, release: &Path, native: &Path) {
    let what = format!("{} says what it says here", target.triple);
    let emulator = if target.is_native() {
        None
    } else {
        Some(target.emulator)
    };
    if let Some(emulator) = emulator
        && !tests::have(emulator)
        && let Err(why) = tests::apt_install(&["qemu-user-static"])
    {
        return tally.skip(&what, &why);
    }
    let calls: [&[&str]; 7] = [
        &["--version"],
        &["--help"],
        &["run", "--help"],
        &["spec", "--bundle", "."],
        &["state", "no-such-container"],
        &["kill", "web", "NOSIGNAL"],
        &["create", "../x"],
    ];
    let outcome = |release: &Path, emulator: Option<&str>| -> Result<String, String> {
        let directory = products::target_directory().join("emulated");
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let mut said = String::new();
        for words in calls {
            let roci = release.join("roci");
            // An emulator that is wrong about a system call may wait for ever.
            let output = Command::new("timeout")
                .arg("60")
                .args(emulator)
                .arg(roci)
                .args(words)
                .env("XDG_RUNTIME_DIR", &directory)
                .current_dir(&directory)
                .stdin(Stdio::null())
                .output()
                .map_err(|error| error.to_string())?;
            said += &format!(
                "{words:?}: {:?}\n{}{}",
                output.status.code(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        said += &std::fs::read_to_string(directory.join("config.json")).map_err(|error| error.to_string())?;
        Ok(said)
    };
    let result = match (outcome(release, emulator), outcome(native, None)) {
        (Ok(there), Ok(here)) if there == here => Ok(format!("{} calls", calls.len())),
        (Ok(there), Ok(here)) => {
            let mut lines = there.lines().zip(here.lines());
            let (there, here) = lines.find(|(there, here)| there != here).unwrap_or_default();
            Err(format!("{there}\ninstead of\n{here}"))
        }
        (Err(why), _) | (_, Err(why)) => Err(why),
    };
    match result {
        Err(why) if target.is_experimental => tally.skip(&what, why.lines().next().unwrap_or_default()),
        result => {
            tally.step(&what, result);
        }
    }
}

/// What each machine says of itself: `features` names the architecture's own system calls, `check` asks the kernel, and
/// `roci-init` passes on how a program ended.
fn explained(tally: &mut Tally, target: &Target, release: &Path) {
    let what = format!("{} says what it is", target.triple);
    let call = |name: &str, words: &[&str]| -> Result<Output, String> {
        let mut command = Command::new("timeout");
        command.args(["-s", "KILL", "60"]);
        if !target.is_native() {
            command.arg(target.emulator);
        }
        command.arg(release.join(name)).args(words).stdin(Stdio::null());
        command.output().map_err(|error| error.to_string())
    };
    let ask = |words: &[&str]| -> Result<serde_json::Value, String> {
        let output = call("roci", words)?;
        let words = words.join(" ");
        if !matches!(output.status.code(), Some(0 | 1)) {
            return Err(format!("{words} ends with {:?}", output.status.code()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{words}: {error}"))
    };
    let look = || -> Result<String, String> {
        let features = ask(&["features"])?;
        let own = &features["linux"]["seccomp"]["archs"][0];
        if own != target.seccomp {
            return Err(format!("features says {own} and not {}", target.seccomp));
        }
        let check = ask(&["check", "--json"])?;
        let rows = check.as_array().ok_or("check is no list")?;
        if rows.len() < 20 || !rows.iter().all(|row| row["present"].is_boolean()) {
            return Err(format!("check says {check}"));
        }
        for (program, expected) in [("exit 7", 7), ("kill -TERM $$", 128 + 15)] {
            let status = call("roci-init", &["/bin/sh", "-c", program])?.status.code();
            if status != Some(expected) {
                return Err(format!("roci-init ends with {status:?} after {program}"));
            }
        }
        Ok(format!("{}, {} features of the kernel", target.seccomp, rows.len()))
    };
    match look() {
        Err(why) if target.is_experimental => tally.skip(&what, &why),
        result => {
            tally.step(&what, result);
        }
    }
}

/// Runs a program that ends with a line of numbers; lines for which `hidden` holds are not shown.
///
/// Without them it may end only with the status `not_had`.
fn counted(
    tally: &mut Tally,
    what: &str,
    command: &mut Command,
    not_had: Option<i32>,
    hidden: fn(&str) -> bool,
) -> Option<i32> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tally.fail(what, &error.to_string());
            return None;
        }
    };
    let mut numbers = None;
    for line in BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
    {
        match Tally::parse(&line) {
            Some(found) => numbers = Some(found),
            None if hidden(&line) => {}
            None => tally.say(&format!("        {line}")),
        }
    }
    let code = child.wait().ok().and_then(|status| status.code());
    match numbers {
        Some(found) => {
            let verdict = if found.failed == 0 { "ok     " } else { "FAILED " };
            tally.say(&format!(
                "{verdict} {what}: {} passed, {} failed, {} skipped",
                found.passed, found.failed, found.skipped
            ));
            tally.add(&found);
        }
        None if code.is_some() && code == not_had => {}
        None => tally.fail(what, "it ended without its numbers"),
    }
    code
}

fn integration_tests(tally: &mut Tally, what: &str, roci: &Path, filters: &[String]) {
    if let Err(why) = tests::busybox() {
        return tally.skip(what, &why);
    }
    if !rustix::process::geteuid().is_root() {
        return tally.skip(what, "they make containers as root does");
    }
    let mut command = cargo(&["test", "--quiet", "-p", "tests", "--test", "runtime", "--"]);
    command.args(filters).env("ROCI", roci);
    counted(tally, what, &mut command, None, |line| {
        line.contains(" ... ok (") || line.is_empty()
    });
}

/// Makes system calls of roci fail, see `tests/src/faults`: all of them, or as many as the arguments say.
fn faults(tally: &mut Tally, roci: &Path, args: &[&str]) {
    const NAME: &str = "fault sweep";
    if !rustix::process::geteuid().is_root() || !cfg!(target_arch = "x86_64") {
        return tally.skip(NAME, "it needs root on x86_64");
    }
    let mut command = cargo(&["run", "--quiet", "-p", "tests", "--bin", "faults", "--"]);
    counted(tally, NAME, command.args(args).env("ROCI", roci), None, str::is_empty);
}

/// Makes `cycles` containers, four at a time, and looks whether anything grows.
fn soak(tally: &mut Tally, roci: &Path, cycles: u32) {
    const NAME: &str = "soak";
    if !rustix::process::geteuid().is_root() {
        return tally.skip(NAME, "it makes containers as root does");
    }
    let mut command = cargo(&["run", "--quiet", "-p", "tests", "--bin", "soak", "--"]);
    counted(
        tally,
        NAME,
        command.arg(cycles.to_string()).env("ROCI", roci),
        None,
        str::is_empty,
    );
}

/// Runs each fuzzer for so many seconds, from its seeds.
fn fuzz(tally: &mut Tally, seconds: u64) {
    let mut command = Command::new(products::workspace().join("tests/fuzz/run"));
    script(tally, "fuzzers", command.arg(seconds.to_string()), 2, |line| {
        line.starts_with("ok ")
    });
}

fn conformance(tally: &mut Tally, roci: &Path) {
    if !rustix::process::geteuid().is_root() {
        return tally.skip("conformance tests", "they make containers as root does");
    }
    let mut command = Command::new(products::workspace().join("tests/conformance/run"));
    command.arg("-v").arg(roci);
    script(tally, "conformance tests", &mut command, 2, |line| {
        line.starts_with("ok ") && !line.contains("passes now")
    });
}

/// podman, containerd and buildah, with and without root.
fn clients(tally: &mut Tally, roci: &Path) {
    if !rustix::process::geteuid().is_root() {
        return tally.skip("tests with clients", "they make containers as root does");
    }
    let mut command = Command::new(products::workspace().join("tests/clients/run"));
    command.arg("-v").arg(roci);
    script(tally, "tests with clients", &mut command, 2, |line| {
        line.starts_with("ok ")
    });
}

/// What this machine cannot show: another architecture, control groups of version 2 alone, and a root that `pivot_root`
/// cannot lead away from.
fn virtual_machines(tally: &mut Tally) {
    for (architecture, machine) in [("aarch64", "aarch64"), ("armv7", "armv7l"), ("mipsel", "mips")] {
        foreign_image(tally, architecture, machine);
    }
    for architecture in ["aarch64", "x86_64"] {
        supervised_image(tally, architecture);
    }
    let machines: [(&str, &[&str]); 2] = [
        ("tests with cgroup version 2", &["cgroups2", "policy::"]),
        (
            "tests on a ramdisk",
            &["--ramdisk", "lifecycle::", "run::", "propagation"],
        ),
    ];
    for (name, words) in machines {
        let mut command = cargo(&["qemu", "--test", "--arch", "x86_64"]);
        script(tally, name, command.args(words), NOT_HAD, |line| {
            line.contains(" ... ok (") || line.contains("reboot: ")
        });
    }
}

/// `cargo qemu` ends with this where a package cannot be had.
const NOT_HAD: i32 = 77;

/// Boots an image for another architecture, which calls itself `machine`. Its container ends with a status that no failure
/// has.
fn foreign_image(tally: &mut Tally, architecture: &str, machine: &str) {
    const STATUS: i32 = 42;
    let name = format!("an image for {architecture} boots and runs a container");
    let words = ["qemu", "--arch", architecture, "--command", "uname -m; exit 42"];
    let output = match cargo(&words).output() {
        Ok(output) => output,
        Err(error) => return tally.fail(&name, &error.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = said.lines().last().unwrap_or_default();
    match output.status.code() {
        Some(STATUS)
            if printed
                .lines()
                .any(|line| line.strip_prefix("example: ") == Some(machine)) =>
        {
            tally.pass(&name, last);
        }
        Some(NOT_HAD) => tally.skip(&name, last),
        _ => tally.fail(&name, &format!("{printed}{said}")),
    }
}

/// Boots a device whose containers are supervised.
fn supervised_image(tally: &mut Tally, architecture: &str) {
    let name = format!("a device for {architecture} supervises its containers");
    let output = match cargo(&["qemu", "--supervise", "--arch", architecture]).output() {
        Ok(output) => output,
        Err(error) => return tally.fail(&name, &error.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => tally.pass(&name, printed.trim_end()),
        Some(NOT_HAD) => tally.skip(&name, said.lines().last().unwrap_or_default()),
        _ => tally.fail(&name, &said),
    }
}

/// Runs something that ends in the number of tests, or with the status `not_had` and a reason where it cannot.
fn script(tally: &mut Tally, name: &str, command: &mut Command, not_had: i32, is_dull: fn(&str) -> bool) {
    let log = products::target_directory().join(format!("{}.log", name.replace(' ', "-")));
    let Ok(file) = std::fs::File::create(&log) else {
        return tally.fail(name, "no place for their log");
    };
    command.stderr(file);
    if counted(tally, name, command, Some(not_had), is_dull) == Some(not_had) {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        tally.skip(name, text.lines().last().unwrap_or("they could not be built"));
    }
}
