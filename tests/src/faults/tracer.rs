//! Runs a command under `ptrace`, records the system calls that it and its children make, and makes one of them fail.
//!
//! A process of the command is traced until it becomes another program: what a container runs is not roci. Where the one
//! call has failed, everybody is let go, and the command goes on at its own speed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::calls;

/// What a process that is to be traced is called as: it waits to be seized, and becomes the command.
pub const TRACED: &str = "--traced";

/// A command that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(8);

/// One system call of a command: which process made it, and the how-manieth call of this number of its it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// `0` is the command itself, `0.1` its second child.
    pub process: String,
    /// The number of the call.
    pub number: u64,
    /// From 0 up.
    pub occurrence: u32,
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It is not made and returns this.
    Errno(i32),
    /// It is not made: its process is killed.
    Kill,
    /// The command's first process is killed while another one makes the call.
    KillRoot,
}

/// A call that was recorded.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where.
    pub place: Place,
    /// With the path or the other thing that tells it from its likes.
    pub text: String,
}

impl Call {
    /// Whether the text is this call's but for numbers: what is tried again makes all calls that follow others.
    fn is_like(&self, text: &str) -> bool {
        let letters = |text: &str| {
            text.chars()
                .filter(|letter| !letter.is_ascii_digit())
                .collect::<String>()
        };
        letters(&self.text) == letters(text)
    }
}

/// How a command ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Its exit status.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether the call came up that was to fail.
    pub is_hit: bool,
    /// Whether it had to be killed.
    pub hung: bool,
    /// The calls, where no call was to fail.
    pub calls: Vec<Call>,
    /// What it wrote.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

struct Tracee {
    name: String,
    children: u32,
    counts: HashMap<u64, u32>,
    in_call: bool,
    /// The call that is being made is to return this.
    result: Option<i32>,
}

impl Tracee {
    fn new(name: String) -> Self {
        Self {
            name,
            children: 0,
            counts: HashMap::new(),
            in_call: false,
            result: None,
        }
    }
}

/// The process in between: it stops, for the tracer to seize it, and becomes the command.
pub fn become_traced(mut words: impl Iterator<Item = std::ffi::OsString>) -> ! {
    let program = words.next().expect("a program");
    kill(nix::unistd::getpid(), Signal::SIGSTOP).expect("stop");
    let error = Command::new(program).args(words).exec();
    panic!("exec: {error}");
}

/// A file in memory that the command writes to.
pub fn memory_file() -> File {
    let fd = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd");
    rustix::fs::fcntl_setfl(&fd, rustix::fs::OFlags::APPEND).expect("append mode");
    File::from(fd)
}

/// What is in such a file.
pub fn text_of(file: &File) -> String {
    let mut bytes = vec![0; file.metadata().expect("stat").len() as usize];
    let n = file.read_at(&mut bytes, 0).expect("read");
    String::from_utf8_lossy(bytes.get(..n).unwrap_or_default()).into_owned()
}

/// Kills every process of this pid namespace but its first, which is the caller.
pub fn kill_everybody() {
    assert_eq!(
        std::process::id(),
        1,
        "this is for the first process of a pid namespace of its own"
    );
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            && pid > 1
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Kills everybody where a command takes too long. One for all commands, since a thread each would cost.
pub struct Watchdog {
    start: Instant,
    /// Milliseconds since the start at which the command has had enough time; 0 while there is none.
    deadline: AtomicU64,
    has_bitten: AtomicBool,
}

impl Watchdog {
    /// Begins to watch.
    pub fn start() -> &'static Self {
        let watchdog: &'static Self = Box::leak(Box::new(Self {
            start: Instant::now(),
            deadline: AtomicU64::new(0),
            has_bitten: AtomicBool::new(false),
        }));
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(50));
                let deadline = watchdog.deadline.load(Ordering::SeqCst);
                if deadline != 0 && watchdog.start.elapsed().as_millis() as u64 > deadline {
                    watchdog.has_bitten.store(true, Ordering::SeqCst);
                    kill_everybody();
                }
            }
        });
        watchdog
    }

    fn watch(&self) {
        self.has_bitten.store(false, Ordering::SeqCst);
        let deadline = self.start.elapsed() + LIMIT;
        self.deadline.store(deadline.as_millis() as u64, Ordering::SeqCst);
    }

    fn rest(&self) -> bool {
        self.deadline.store(0, Ordering::SeqCst);
        self.has_bitten.load(Ordering::SeqCst)
    }
}

/// A command that is not traced.
pub fn run<S: AsRef<OsStr>>(watchdog: &Watchdog, program: &Path, words: &[S], stdout: &File) -> Ended {
    let stderr = memory_file();
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    command.stdout(stdout.try_clone().expect("dup"));
    command.stderr(stderr.try_clone().expect("dup"));
    watchdog.watch();
    let child = Pid::from_raw(command.spawn().expect("the command").id() as i32);
    let mut ended = Ended::default();
    while ended.code.is_none() && ended.signal.is_none() {
        // Others that have ended are reaped on the way: the end of a pid namespace waits for that.
        match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => ended.code = Some(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => ended.signal = Some(signal as i32),
            Ok(WaitStatus::PtraceEvent(pid, ..) | WaitStatus::PtraceSyscall(pid) | WaitStatus::Stopped(pid, _)) => {
                let _ = ptrace::detach(pid, None);
            }
            _ => {}
        }
    }
    ended.hung = watchdog.rest();
    ended.stdout = text_of(stdout);
    ended.stderr = text_of(&stderr);
    ended
}

/// A command that is traced, and, where `fault` says so, has one call fail.
pub fn trace<S: AsRef<OsStr>>(
    watchdog: &Watchdog,
    program: &Path,
    words: &[S],
    stdout: &File,
    fault: Option<(&Call, Fault)>,
) -> Ended {
    let stderr = memory_file();
    let mut command = Command::new("/proc/self/exe");
    command.arg(TRACED).arg(program).args(words).stdin(Stdio::null());
    command.stdout(stdout.try_clone().expect("dup"));
    command.stderr(stderr.try_clone().expect("dup"));
    // The tracer waits for all of its processes in one place.
    #[allow(clippy::zombie_processes)]
    let child = command.spawn().expect("the command");
    watchdog.watch();
    let root = Pid::from_raw(child.id() as i32);
    waitpid(root, Some(WaitPidFlag::WUNTRACED)).expect("the command stops");
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(root, options).expect("seize");
    kill(root, Signal::SIGCONT).expect("continue");
    let mut trace = Trace {
        root,
        fault,
        tracees: HashMap::from([(root, Tracee::new("0".to_owned()))]),
        early: Vec::new(),
        is_started: false,
        ended: Ended::default(),
    };
    trace.follow();
    let mut ended = trace.ended;
    ended.hung = watchdog.rest();
    ended.stdout = text_of(stdout);
    ended.stderr = text_of(&stderr);
    ended
}

struct Trace<'a> {
    root: Pid,
    fault: Option<(&'a Call, Fault)>,
    tracees: HashMap<Pid, Tracee>,
    /// Children that stopped for the first time before their parent told of them.
    early: Vec<Pid>,
    /// Whether the process in between has become the command.
    is_started: bool,
    ended: Ended,
}

impl Trace<'_> {
    fn is_over(&self) -> bool {
        self.ended.code.is_some() || self.ended.signal.is_some()
    }

    fn follow(&mut self) {
        loop {
            if self.is_over() {
                // The others wait in calls, for `start`; they stop for us once more.
                self.tracees.retain(|pid, _| ptrace::interrupt(*pid).is_ok());
                if self.tracees.is_empty() {
                    return;
                }
            }
            match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Ok(status) => self.step(status),
                Err(nix::errno::Errno::ECHILD) => return,
                Err(_) => {}
            }
        }
    }

    /// Whether everybody is let go.
    fn lets_go(&self) -> bool {
        self.is_over() || self.ended.is_hit
    }

    fn go_on(&mut self, pid: Pid, signal: Option<Signal>) {
        if self.lets_go() && self.tracees.get(&pid).is_none_or(|tracee| tracee.result.is_none()) {
            let _ = ptrace::detach(pid, signal);
            self.tracees.remove(&pid);
        } else {
            let _ = ptrace::syscall(pid, signal);
        }
    }

    fn step(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(pid, code) => {
                self.tracees.remove(&pid);
                if pid == self.root {
                    self.ended.code = Some(code);
                }
            }
            WaitStatus::Signaled(pid, signal, _) => {
                self.tracees.remove(&pid);
                if pid == self.root {
                    self.ended.signal = Some(signal as i32);
                }
            }
            WaitStatus::PtraceSyscall(pid) => self.at_call(pid),
            WaitStatus::PtraceEvent(pid, _, event) => self.at_event(pid, event),
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            _ => {}
        }
    }

    fn at_event(&mut self, pid: Pid, event: i32) {
        use nix::libc;
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                let child = ptrace::getevent(pid).map_or(0, |pid| pid as i32);
                if let Some(tracee) = self.tracees.get_mut(&pid) {
                    let name = format!("{}.{}", tracee.name, tracee.children);
                    tracee.children += 1;
                    let child = Pid::from_raw(child);
                    self.tracees.insert(child, Tracee::new(name));
                    if let Some(place) = self.early.iter().position(|pid| *pid == child) {
                        self.early.swap_remove(place);
                        self.go_on(child, None);
                    }
                }
                self.go_on(pid, None);
            }
            libc::PTRACE_EVENT_EXEC if pid == self.root => {
                self.is_started = true;
                self.go_on(pid, None);
            }
            libc::PTRACE_EVENT_EXEC => {
                let _ = ptrace::detach(pid, None);
                self.tracees.remove(&pid);
            }
            _ if !self.lets_go() && !self.tracees.contains_key(&pid) => self.early.push(pid),
            _ => self.go_on(pid, None),
        }
    }

    fn at_call(&mut self, pid: Pid) {
        let is_started = self.is_started;
        let Some(tracee) = self.tracees.get_mut(&pid) else {
            let _ = ptrace::detach(pid, None);
            return;
        };
        if tracee.in_call {
            tracee.in_call = false;
            if let Some(errno) = tracee.result.take()
                && let Ok(mut registers) = ptrace::getregs(pid)
            {
                registers.rax = (-i64::from(errno)) as u64;
                let _ = ptrace::setregs(pid, registers);
            }
            return self.go_on(pid, None);
        }
        tracee.in_call = true;
        if !is_started || self.ended.is_hit {
            return self.go_on(pid, None);
        }
        let Ok(mut registers) = ptrace::getregs(pid) else {
            return self.go_on(pid, None);
        };
        let number = registers.orig_rax;
        let count = tracee.counts.entry(number).or_default();
        let occurrence = *count;
        *count += 1;
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        match self.fault {
            None => {
                let place = Place {
                    process: tracee.name.clone(),
                    number,
                    occurrence,
                };
                let text = calls::describe(pid.as_raw(), number, arguments);
                self.ended.calls.push(Call { place, text });
            }
            Some((call, fault))
                if call.place.number == number
                    && call.place.occurrence == occurrence
                    && call.place.process == tracee.name
                    && call.is_like(&calls::describe(pid.as_raw(), number, arguments)) =>
            {
                self.ended.is_hit = true;
                match fault {
                    Fault::Errno(errno) => {
                        // A descriptor is closed even where closing it fails.
                        if number != nix::libc::SYS_close as u64 {
                            registers.orig_rax = u64::MAX;
                            let _ = ptrace::setregs(pid, registers);
                        }
                        tracee.result = Some(errno);
                    }
                    Fault::Kill => {
                        let _ = kill(pid, Signal::SIGKILL);
                    }
                    Fault::KillRoot => {
                        let _ = kill(self.root, Signal::SIGKILL);
                    }
                }
            }
            Some(_) => {}
        }
        self.go_on(pid, None);
    }
}

/// The text at `address` of a process, up to its NUL.
pub fn read_text(pid: i32, address: u64) -> String {
    let mut bytes = [0; 256];
    let Ok(memory) = File::open(format!("/proc/{pid}/mem")) else {
        return String::new();
    };
    let mut n = memory.read_at(&mut bytes, address).unwrap_or(0);
    if n == 0 {
        // The end of a mapping.
        let end = (4096 - address % 4096).min(256) as usize;
        n = memory.read_at(&mut bytes[..end], address).unwrap_or(0);
    }
    let text = bytes.get(..n).unwrap_or_default();
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// All of a file, or nothing.
pub fn read_file(path: &str) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(path) {
        let _ = file.read_to_string(&mut text);
    }
    text
}
