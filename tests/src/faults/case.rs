//! One command in one world, and what has to hold after it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::host::{Host, reap};
use super::tracer::{Call, Ended, Fault, Place, Watchdog, memory_file, run, text_of, trace};
use super::world::{LOOK, Program, World, worlds};
use super::{calls, lines, listed};

/// A command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    Create,
    Start,
    Run,
    Exec,
    Kill,
    Delete,
    DeleteForce,
    KillAll,
    Pause,
    Resume,
    Update,
    State,
    List,
    Ps,
    Events,
}

impl Command {
    /// Those that depend on what the container has.
    pub const LIFECYCLE: [Self; 7] = [
        Self::Create,
        Self::Start,
        Self::Run,
        Self::Exec,
        Self::Kill,
        Self::Delete,
        Self::DeleteForce,
    ];
    /// Those that look at a container that runs, or change it.
    pub const OTHERS: [Self; 8] = [
        Self::KillAll,
        Self::Pause,
        Self::Resume,
        Self::Update,
        Self::State,
        Self::List,
        Self::Ps,
        Self::Events,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Run => "run",
            Self::Exec => "exec",
            Self::Kill => "kill",
            Self::Delete => "delete",
            Self::DeleteForce => "delete-force",
            Self::KillAll => "kill-all",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Update => "update",
            Self::State => "state",
            Self::List => "list",
            Self::Ps => "ps",
            Self::Events => "events",
        }
    }

    /// As the line of a failure names it.
    fn word(self) -> &'static str {
        match self {
            Self::DeleteForce => "delete",
            Self::KillAll => "kill",
            other => other.name(),
        }
    }
}

/// A command in a world.
#[derive(Clone, Copy)]
pub struct Case {
    pub command: Command,
    pub world: World,
}

impl Case {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let of_world = |world: World| {
            world.commands.iter().map(move |command| Self {
                command: *command,
                world,
            })
        };
        worlds().into_iter().flat_map(of_world).collect()
    }

    /// As in `create/plain`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.command.name(), self.world.name)
    }
}

/// A call and what is done to it.
#[derive(Clone)]
pub struct Point {
    pub call: Call,
    pub fault: Fault,
}

impl Point {
    /// As in `0.1 openat#3 EACCES`.
    pub fn name(&self) -> String {
        let Place {
            process,
            number,
            occurrence,
        } = &self.call.place;
        let fault = match self.fault {
            Fault::Errno(errno) => calls::errno_name(errno),
            Fault::Kill => "killed".to_owned(),
            Fault::KillRoot => "roci-killed".to_owned(),
        };
        format!("{process} {}#{occurrence} {fault}", calls::name(*number))
    }
}

/// What a worker has.
pub struct Bench {
    pub roci: PathBuf,
    pub directory: PathBuf,
    pub token: String,
    pub watchdog: &'static Watchdog,
}

/// What the container shows when nothing fails, per world: after `run`, and in `exec`.
#[derive(Default, Clone)]
pub struct Looks {
    pub run: String,
    pub exec: String,
}

/// The end of an attempt.
pub struct Verdict {
    pub is_hit: bool,
    /// What does not hold.
    pub wrong: Vec<String>,
    /// Why the call is allowed to fail without the command failing.
    pub excused: Option<usize>,
}

impl Bench {
    fn words(&self, words: &[&str]) -> Vec<String> {
        let root = self.directory.join("state");
        let mut all = vec!["--root".to_owned(), root.to_string_lossy().into_owned()];
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all
    }

    /// A call that nothing happens to.
    pub fn call(&self, words: &[&str]) -> Ended {
        self.call_to(words, &memory_file())
    }

    fn call_to(&self, words: &[&str], output: &File) -> Ended {
        run(self.watchdog, &self.roci, &self.words(words), output)
    }

    fn making(&self, command: &str, case: &Case, program: Program, id: &str) -> Vec<String> {
        let bundle = case.world.bundle(&self.directory, program);
        let mut words = vec![command.to_owned()];
        words.extend(case.world.options(&self.directory));
        words.extend([
            "--bundle".to_owned(),
            bundle.to_string_lossy().into_owned(),
            id.to_owned(),
        ]);
        words
    }

    fn create(&self, case: &Case, program: Program, id: &str, output: &File) -> Result<(), String> {
        let words = self.making("create", case, program, id);
        let words: Vec<_> = case
            .world
            .global
            .iter()
            .copied()
            .chain(words.iter().map(String::as_str))
            .collect();
        ok(&self.call_to(&words, output), "create before it")
    }

    fn status(&self, id: &str) -> String {
        let ended = self.call(&["state", id]);
        let value: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap_or_default();
        value["status"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the container's status is `wanted`.
    fn reaches(&self, id: &str, wanted: &str) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            reap();
            let status = self.status(id);
            if status == wanted {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the container is {status:?} and not {wanted}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What the container is before the command, with its output.
    fn arrange(&self, case: &Case, id: &str, output: &File) -> Result<(), String> {
        match case.command {
            Command::Create | Command::Run => Ok(()),
            Command::Start => self.create(case, Program::Look, id, output),
            _ => {
                self.create(case, Program::Sleep, id, output)?;
                ok(&self.call(&["start", id]), "start before it")?;
                match case.command {
                    Command::Delete => {
                        ok(&self.call(&["kill", id, "KILL"]), "kill before it")?;
                        self.reaches(id, "stopped")
                    }
                    Command::Resume => ok(&self.call(&["pause", id]), "pause before it"),
                    _ => Ok(()),
                }
            }
        }
    }

    fn command_line(&self, case: &Case, id: &str) -> Vec<String> {
        let mut words: Vec<_> = case.world.global.iter().map(|word| (*word).to_owned()).collect();
        words.extend(match case.command {
            Command::Create => self.making("create", case, Program::Look, id),
            Command::Run => self.making("run", case, Program::Look, id),
            Command::Start => vec!["start".to_owned(), id.to_owned()],
            Command::Exec => ["exec", id]
                .iter()
                .chain(&LOOK)
                .map(|word| (*word).to_owned())
                .collect(),
            Command::Kill => ["kill", id, "KILL"].map(str::to_owned).to_vec(),
            Command::Delete => ["delete", id].map(str::to_owned).to_vec(),
            Command::DeleteForce => ["delete", "--force", id].map(str::to_owned).to_vec(),
            Command::KillAll => ["kill", "--all", id, "KILL"].map(str::to_owned).to_vec(),
            Command::Pause | Command::Resume | Command::State => [case.command.name(), id].map(str::to_owned).to_vec(),
            Command::Update => ["update", "--pids-limit", "40", "--cpu-share", "256", id]
                .map(str::to_owned)
                .to_vec(),
            Command::List => vec!["list".to_owned()],
            Command::Ps => ["ps", "--format", "json", id].map(str::to_owned).to_vec(),
            Command::Events => ["events", "--stats", id].map(str::to_owned).to_vec(),
        });
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.words(&words)
    }

    /// Records the calls, and what the container looks like.
    pub fn record(&self, case: &Case, looks: &mut Looks) -> Result<Vec<Call>, String> {
        let (ended, output) = self.attempt(case, None)?;
        ok(&ended, "the command")?;
        let id = self.id();
        let look = self.outcome_look(case, &ended, &output)?;
        match case.command {
            Command::Exec => looks.exec = self.normal(&look),
            Command::Create | Command::Start | Command::Run => looks.run = self.normal(&look),
            _ => {}
        }
        ok(&self.call(&["delete", "--force", &id]), "delete --force")?;
        let unknown = ended.calls.iter().find(|call| !calls::is_known(call.place.number));
        match unknown {
            Some(call) => Err(format!("the table of calls lacks {}", call.text)),
            None => Ok(ended.calls),
        }
    }

    /// The same for all: addresses follow from it, and what one container leaves is in the next one's way.
    fn id(&self) -> String {
        self.token.clone()
    }

    /// Makes the container and gives the command.
    fn attempt(&self, case: &Case, point: Option<&Point>) -> Result<(Ended, File), String> {
        let id = self.id();
        let output = memory_file();
        self.arrange(case, &id, &output)?;
        let own = match case.command {
            Command::Start => memory_file(),
            _ => output.try_clone().expect("dup"),
        };
        let words = self.command_line(case, &id);
        let fault = point.map(|point| (&point.call, point.fault));
        let ended = trace(self.watchdog, &self.roci, &words, &own, fault);
        Ok((ended, output))
    }

    /// After a command that has succeeded: that it has done what it is for. What the container shows is returned.
    fn outcome_look(&self, case: &Case, ended: &Ended, output: &File) -> Result<String, String> {
        let id = self.id();
        match case.command {
            Command::Create => {
                self.reaches(&id, "created")?;
                ok(&self.call(&["start", &id]), "start after it")?;
                self.reaches(&id, "stopped")?;
                Ok(text_of(output))
            }
            Command::Start => {
                self.reaches(&id, "stopped")?;
                Ok(text_of(output))
            }
            Command::Run => Ok(ended.stdout.clone()),
            Command::Exec => {
                self.reaches(&id, "running")?;
                Ok(ended.stdout.clone())
            }
            Command::Kill | Command::KillAll => self.reaches(&id, "stopped").map(|()| String::new()),
            Command::Delete | Command::DeleteForce => self.reaches(&id, "").map(|()| String::new()),
            Command::Pause => self.reaches(&id, "paused").map(|()| String::new()),
            Command::Resume => self.reaches(&id, "running").map(|()| String::new()),
            Command::Update => {
                let stats = self.call(&["events", "--stats", &id]);
                ok(&stats, "events after it")?;
                shows(&stats.stdout, "/data/pids/limit", &40.into())
            }
            Command::State => shows(&ended.stdout, "/status", &"running".into()),
            Command::List => {
                let row = ended.stdout.lines().find(|line| line.starts_with(&id));
                told_if(row.is_some_and(|row| row.contains("running")), ended)
            }
            Command::Ps => {
                let processes: Vec<u32> = serde_json::from_str(&ended.stdout).unwrap_or_default();
                told_if(processes.len() == 1, ended)
            }
            Command::Events => shows(&ended.stdout, "/data/pids/limit", &50.into()),
        }
    }

    /// What differs from run to run is left out.
    fn normal(&self, look: &str) -> String {
        let mut lines = Vec::new();
        for line in look.replace(&self.id(), "ID").lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let is_mount = words.len() > 8 && words.contains(&"-");
            let is_own = [
                "Pid:",
                "PPid:",
                "Tgid:",
                "NSpid:",
                "NSpgid:",
                "NSsid:",
                "NStgid:",
                "Ngid:",
                "Vm",
                "Rss",
                "voluntary",
                "nonvoluntary",
                "Mems",
                "Cpus",
                "Hugetlb",
                "Threads",
                "FDSize",
                "x86_Thread",
                "total ",
                "SigQ",
            ];
            if is_mount {
                let rest = words.get(3..).unwrap_or_default();
                let rest = rest
                    .iter()
                    .filter(|word| !word.starts_with("master:") && !word.starts_with("shared:"));
                // The layers of an overlay are descriptors.
                let rest = rest.map(|word| word.split(",lowerdir=").next().unwrap_or_default());
                lines.push(rest.collect::<Vec<_>>().join(" "));
            } else if line.trim_start().starts_with("eth0")
                || line.contains("  lo:")
                || line.trim_start().starts_with("lo:")
            {
                lines.push(line.split(':').next().unwrap_or_default().trim().to_owned());
            } else if words.len() == 2 && words.iter().all(|word| word.parse::<f64>().is_ok()) {
                // The time since the start of the host, or of a time namespace that is a hundred million seconds ahead.
                let up = words
                    .first()
                    .and_then(|word| word.parse::<f64>().ok())
                    .unwrap_or_default();
                lines.push(format!("up for {}", if up > 1e8 { "long" } else { "less" }));
            } else if words.len() > 8
                && line.contains(':')
                && ["c", "d", "l", "-"].iter().any(|kind| line.starts_with(kind))
            {
                // `ls -l`: without size and date.
                let kept = words
                    .iter()
                    .filter(|word| !word.contains(':') && word.parse::<u32>().is_err());
                lines.push(kept.copied().collect::<Vec<_>>().join(" "));
            } else if !is_own.iter().any(|own| line.starts_with(own)) {
                lines.push(line.to_owned());
            }
        }
        // Another way to the same may make it in another order.
        lines.sort_unstable();
        lines.join("\n")
    }

    /// Has the call fail, and looks whether all that has to hold holds.
    pub fn check(&self, case: &Case, point: &Point, looks: &Looks, before: &Host) -> Verdict {
        let mut verdict = Verdict {
            is_hit: false,
            wrong: Vec::new(),
            excused: None,
        };
        match self.attempt(case, Some(point)) {
            Err(why) => verdict.wrong.push(why),
            Ok((ended, output)) => {
                verdict.is_hit = ended.is_hit;
                self.judge(case, point, looks, &ended, &output, &mut verdict);
            }
        }
        let id = self.id();
        if let Err(why) = ok(&self.call(&["delete", "--force", &id]), "delete --force") {
            verdict.wrong.push(why);
        }
        self.forget_pid_file(case);
        if let Some(difference) = before.differs(&self.token, &self.directory, case.world.has_network) {
            verdict.wrong.push(format!("the host is not as before: {difference}"));
            super::tracer::kill_everybody();
            reap();
        }
        verdict
    }

    /// It is the caller's, and so is what a roci that was killed wrote beside it.
    pub fn forget_pid_file(&self, case: &Case) {
        for file in ["pid", ".pid"] {
            let _ = std::fs::remove_file(self.directory.join(case.world.name).join(file));
        }
    }

    fn judge(&self, case: &Case, point: &Point, looks: &Looks, ended: &Ended, output: &File, verdict: &mut Verdict) {
        let wrong = &mut verdict.wrong;
        if ended.hung {
            wrong.push("it hung".to_owned());
            return;
        }
        let is_root = point.call.place.process == "0";
        if ended.is_hit && (point.fault == Fault::KillRoot || (point.fault == Fault::Kill && is_root)) {
            // It may have been done by then.
            let was_done = point.fault == Fault::KillRoot && ended.code == Some(0);
            if ended.signal != Some(9) && !was_done {
                wrong.push(format!("it should have been killed: {}", told(ended)));
            }
            return;
        }
        if ended.code == Some(0) {
            let looked = self.outcome_look(case, ended, output);
            let expected = match case.command {
                Command::Exec => &looks.exec,
                Command::Create | Command::Start | Command::Run => &looks.run,
                _ => "",
            };
            let excuse = listed::excuse(case, point);
            verdict.excused = excuse;
            match looked {
                Err(why) if !listed::may_end(case, point) && !excuse.is_some_and(listed::may_differ) => {
                    wrong.push(format!("it succeeded, but {why}"))
                }
                Err(_) => {}
                Ok(look) => {
                    let look = self.normal(&look);
                    let differs = first_difference(expected, &look);
                    if let Some(difference) = differs
                        && !excuse.is_some_and(listed::may_differ)
                    {
                        wrong.push(format!("it succeeded, but the container differs: {difference}"));
                    }
                }
            }
            if ended.is_hit && excuse.is_none() && !listed::may_end(case, point) && !lines::warns(point, &ended.stderr)
            {
                wrong.push("it succeeded without the call".to_owned());
            }
            return;
        }
        if point.fault == Fault::Kill && ended.is_hit && ended.code == Some(137) && ended.stderr.is_empty() {
            // From where roci sees it, the program was killed.
            return;
        }
        self.judge_failure(case, point, ended, wrong);
    }

    fn judge_failure(&self, case: &Case, point: &Point, ended: &Ended, wrong: &mut Vec<String>) {
        let start = match case.command {
            Command::List => "roci: list: ".to_owned(),
            command => format!("roci: {} {}: ", command.word(), self.id()),
        };
        // A warning may come before.
        let lines: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| !line.starts_with("roci: warning: "))
            .collect();
        let is_line = match lines.as_slice() {
            [line] => line.starts_with(&start) || lines::comes_before_the_command(line),
            _ => false,
        };
        if !is_line || ended.code.is_none() || ended.code == Some(101) {
            wrong.push(format!("not one line that says what failed: {}", told(ended)));
            return;
        }
        if let Fault::Errno(errno) = point.fault
            && ended.is_hit
            && !ended.stderr.contains(&calls::errno_name(errno))
            && !lines::is_worded(errno, &ended.stderr)
        {
            wrong.push(format!("the line does not name the fault: {}", ended.stderr.trim_end()));
        }
        let state = self.directory.join("state").join(self.id());
        match case.command {
            Command::Create | Command::Run if state.exists() && !lines::may_stay(ended) => {
                wrong.push(format!(
                    "it failed and left its state directory: {}",
                    ended.stderr.trim_end()
                ));
            }
            Command::Exec | Command::Update | Command::State | Command::List | Command::Ps | Command::Events => {
                wrong.extend(self.reaches(&self.id(), "running").err());
            }
            _ => {}
        }
    }
}

/// Whether the command has printed what is so.
fn told_if(is_told: bool, ended: &Ended) -> Result<String, String> {
    match is_told {
        true => Ok(String::new()),
        false => Err(format!("it printed {:?}", ended.stdout)),
    }
}

/// Whether that is what a document that was printed says there.
fn shows(document: &str, pointer: &str, wanted: &serde_json::Value) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
    match value.pointer(pointer) == Some(wanted) {
        true => Ok(String::new()),
        false => Err(format!("{pointer} is not {wanted}: {document:?}")),
    }
}

fn first_difference(expected: &str, found: &str) -> Option<String> {
    if expected == found {
        return None;
    }
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let less = old
        .iter()
        .filter(|line| !new.contains(line))
        .map(|line| format!("-{line}"));
    let more = new
        .iter()
        .filter(|line| !old.contains(line))
        .map(|line| format!("+{line}"));
    let all: Vec<_> = less.chain(more).take(6).collect();
    Some(if all.is_empty() {
        "the order of lines".to_owned()
    } else {
        all.join("; ")
    })
}

fn ok(ended: &Ended, what: &str) -> Result<(), String> {
    if ended.code == Some(0) && !ended.hung {
        return Ok(());
    }
    Err(format!("{what} failed: {}", told(ended)))
}

fn told(ended: &Ended) -> String {
    let hung = if ended.hung { "hung, " } else { "" };
    format!(
        "{hung}status {:?}, signal {:?}, {:?}",
        ended.code, ended.signal, ended.stderr
    )
}

/// Where a worker keeps its files.
pub fn directory(token: &str) -> PathBuf {
    Path::new("/tmp").join(format!("roci-{token}"))
}
