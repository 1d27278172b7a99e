//! The loop in which `roci-boot` spends its life: it sleeps in one system call, and wakes up for a signal, for output, for a
//! request, or when a time has come that somebody waits for.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, wait};
use spec_core::device::settings::Log;
use sys::OwnedFd;
use sys::TakeOnce;
use sys::fd::read;
use sys::poll::{Watch, poll};
use sys::process::{Clock, now as time_of};
use sys::signal::{BUGS, SIGCHLD, SignalSet, open_signal_fd, read_signal_fd, set_blocked};

use super::containers::Containers;
use super::control::{CLIENTS_MAX, Control};
use super::options::{End, Options};
use super::order::{self, CONTAINERS_MAX, Set};
use super::ring::Ring;
use super::say::{complain, line, say, to_console, to_kmsg};
use super::service::{Action, Event, Exit, Moment, NEVER, Phase, Why};
use super::unit::Job;
use super::watchdog::Watchdog;
use super::{Ending, Report};
use crate::message::words;
use crate::text::digits;

static RINGS: TakeOnce<[Ring; CONTAINERS_MAX]> = TakeOnce::new([const { Ring::new() }; CONTAINERS_MAX]);

/// Bytes that are read at once of what a container prints.
const CHUNK: usize = 2048;

/// What is known of everything.
pub struct Supervisor<'a> {
    /// The containers.
    pub containers: &'a mut Containers,
    /// What they have printed.
    pub rings: &'static mut [Ring; CONTAINERS_MAX],
    /// Since when they are being stopped, and for what.
    pub shutdown: Option<Shutdown>,
    options: &'a Options,
    report: &'a mut Report,
    watchdog: Watchdog,
    random: u32,
    /// Those that have said that they wait for one that cannot be had.
    told: Set,
}

/// The end of all containers.
#[derive(Clone, Copy)]
pub struct Shutdown {
    how: Ending,
    deadline: Moment,
}

/// Milliseconds of a clock that nobody sets.
pub fn now() -> Moment {
    let time = time_of(Clock::Monotonic);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Which signal asks for what. Others are left.
fn asks_for(signal: u8) -> Option<Ending> {
    const INT: u8 = 2;
    const TERM: u8 = 15;
    // These have other numbers on MIPS.
    let [usr1, usr2, pwr] = if cfg!(target_arch = "mips") {
        [16, 17, 19]
    } else {
        [10, 12, 30]
    };
    match signal {
        // Ctrl-Alt-Del is the first of these.
        INT | TERM => Some(Ending::Reboot),
        _ if signal == usr1 => Some(Ending::Halt),
        _ if signal == usr2 || signal == pwr => Some(Ending::PowerOff),
        _ => None,
    }
}

impl<'a> Supervisor<'a> {
    /// Runs the containers until the device is to end; the value is how.
    pub fn run(
        containers: &'a mut Containers,
        options: &'a Options,
        report: &'a mut Report,
        watchdog: Watchdog,
    ) -> Ending {
        let mut random = [0; 4];
        // Jitter may be bad; it must not wait.
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::NONBLOCK);
        let mut supervisor = Self {
            containers,
            rings: RINGS.take(),
            shutdown: None,
            options,
            report,
            watchdog,
            random: u32::from_ne_bytes(random) | 1,
            told: 0,
        };
        // What the kernel finds wrong in this program is handled, and not waited for.
        let waited_for = BUGS.into_iter().fold(SignalSet::ALL, SignalSet::without);
        set_blocked(waited_for);
        let signals = match open_signal_fd(waited_for) {
            Ok(signals) => signals,
            Err(errno) => {
                complain(b"signals", words(errno));
                return Ending::Reboot;
            }
        };
        let mut control = Control::open();
        loop {
            supervisor.advance();
            control.serve(&mut supervisor);
            if supervisor.is_over() {
                control.serve(&mut supervisor);
                let how = supervisor.shutdown.map_or(Ending::PowerOff, |shutdown| shutdown.how);
                if how == Ending::Halt {
                    supervisor.watchdog.turn_off();
                }
                return how;
            }
            if let Err(errno) = supervisor.sleep(&signals, &mut control)
                && errno != Errno::INTR
            {
                complain(b"poll", words(errno));
                return Ending::Reboot;
            }
        }
    }

    /// Waits for something to happen, and takes it.
    fn sleep(&mut self, signals: &OwnedFd, control: &mut Control) -> Result<(), Errno> {
        const UNITS_AT: usize = 2;
        const CLIENTS_AT: usize = UNITS_AT + 3 * CONTAINERS_MAX;
        let mut watches = [Watch::NONE; CLIENTS_AT + CLIENTS_MAX];
        let (fixed, rest) = watches.split_at_mut(UNITS_AT);
        let (units, clients) = rest.split_at_mut(3 * CONTAINERS_MAX);
        for (watch, fd) in fixed.iter_mut().zip([Some(signals), control.listener.as_ref()]) {
            *watch = Watch::to_read(fd);
        }
        for (watches, unit) in units.chunks_exact_mut(3).zip(self.containers.iter()) {
            let fds = [&unit.output, &unit.notify, &unit.ready];
            for (watch, fd) in watches.iter_mut().zip(fds) {
                *watch = Watch::to_read(fd.as_ref());
            }
        }
        control.watch(clients);
        let now = now();
        let mut deadline = self.watchdog.deadline();
        for unit in self.containers.iter() {
            deadline = deadline.min(unit.service.deadline());
        }
        if let Some(shutdown) = self.shutdown {
            deadline = deadline.min(shutdown.deadline);
        }
        // Behind the moment, not a part of a millisecond before it.
        let timeout = (deadline != NEVER).then(|| deadline.saturating_sub(now) + 1);
        poll(&mut watches, timeout)?;
        let has = |index: usize| watches.get(index).is_some_and(Watch::has_happened);
        let mut children = false;
        if has(0) {
            while let Some(signal) = read_signal_fd(signals.as_fd()) {
                children |= signal == SIGCHLD;
                if let Some(how) = asks_for(signal) {
                    self.end(how);
                }
            }
        }
        for index in 0..CONTAINERS_MAX {
            let at = UNITS_AT + 3 * index;
            if has(at) {
                self.take_output(index);
            }
            if has(at + 1) {
                self.take_notice(index);
            }
            if has(at + 2) {
                self.take_ready(index);
            }
        }
        if children {
            self.reap();
        }
        if has(1) {
            control.accept();
        }
        for place in 0..CLIENTS_MAX {
            if has(CLIENTS_AT + place) {
                control.receive(place, self);
            }
        }
        Ok(())
    }

    /// Does what is due.
    fn advance(&mut self) {
        let now = now();
        for index in 0..self.containers.count {
            let unit = self.containers.get(index);
            if unit.service.is_overdue(now) && self.shutdown.is_none() {
                let name = unit.name;
                say(name.as_bytes(), &[b"critical, and away for too long"]);
                self.watchdog.starve();
                self.end(Ending::Reboot);
            }
            if self.containers.get(index).service.deadline() <= now {
                self.step(index, Event::Tick);
            }
        }
        match self.shutdown {
            Some(shutdown) => {
                self.stop_last();
                if now >= shutdown.deadline {
                    self.watchdog.starve();
                }
            }
            None => {
                self.start_next();
                let is_waited_for = self.options.end != End::Stay;
                // Who stops the last container by hand does not mean the device.
                let has_ended = self.containers.iter().all(|unit| unit.service.has_ended_by_itself());
                if is_waited_for && has_ended {
                    self.end(match self.options.end {
                        End::Reboot => Ending::Reboot,
                        _ => Ending::PowerOff,
                    });
                }
            }
        }
        self.watchdog.feed(now);
    }

    /// Starts those whose time has come.
    fn start_next(&mut self) {
        let ready = self.containers.those(|unit| unit.service.is_ready());
        let failed = self
            .containers
            .those(|unit| unit.service.phase == Phase::Ended(Why::Failed));
        for index in 0..self.containers.count {
            let after = self.containers.after[index % CONTAINERS_MAX];
            if self.containers.get(index).service.phase != Phase::Waiting {
                continue;
            }
            if after & !ready == 0 {
                self.step(index, Event::Go);
            } else if after & failed != 0 {
                let before = (after & failed).trailing_zeros() as usize;
                let (name, before) = (self.containers.get(index).name, self.containers.get(before).name);
                say(name.as_bytes(), &[b"not started: it comes after ", before.as_bytes()]);
                self.containers.get(index).service.phase = Phase::Ended(Why::Failed);
            }
        }
    }

    /// Stops those that nobody comes after who still runs.
    fn stop_last(&mut self) {
        let running = self.containers.those(|unit| !unit.service.is_down());
        let last = order::last(&self.containers.all_before, self.containers.count, running);
        for index in 0..self.containers.count {
            let is_at_rest = matches!(
                self.containers.get(index).service.phase,
                Phase::Waiting | Phase::Backoff
            );
            if is_at_rest || (order::has(last, index) && !order::has(self.told, index)) {
                self.told |= order::only(index);
                self.step(index, Event::Stop);
            }
        }
    }

    /// Begins to stop everything.
    pub fn end(&mut self, how: Ending) {
        if self.shutdown.is_some() {
            return;
        }
        let what: &[u8] = match how {
            Ending::PowerOff => b"power off",
            Ending::Reboot => b"reboot",
            Ending::Halt => b"halt",
        };
        say(what, &[b"stopping what runs"]);
        self.told = 0;
        self.shutdown = Some(Shutdown {
            how,
            deadline: now() + u64::from(self.options.shutdown),
        });
    }

    /// Whether nothing runs any more, or had its time.
    fn is_over(&self) -> bool {
        let Some(shutdown) = self.shutdown else { return false };
        let late = now() >= shutdown.deadline;
        if late {
            say(b"shutdown", &[b"some do not stop in time"]);
        }
        late || self.containers.iter().all(|unit| unit.service.is_down())
    }

    /// Lets a container take an event, and does what follows.
    pub fn step(&mut self, index: usize, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next {
            // xorshift32
            self.random ^= self.random << 13;
            self.random ^= self.random >> 17;
            self.random ^= self.random << 5;
            let random = self.random;
            let unit = self.containers.get(index);
            let (before, was_ready) = (unit.service.phase, unit.service.is_ready());
            let action = unit.service.step(event, now(), random);
            self.tell(index, event, before, was_ready);
            next = self.act(index, action);
        }
    }

    /// Does it; the value is an event that has followed at once.
    fn act(&mut self, index: usize, action: Action) -> Option<Event> {
        let unit = self.containers.get(index);
        if action == Action::Start {
            self.report.container();
            unit.run_from = self.rings[index % CONTAINERS_MAX].end();
        }
        let (result, failed) = match action {
            Action::Nothing => return None,
            Action::Signal => {
                unit.stop();
                return None;
            }
            Action::Kill => {
                let name = unit.name;
                unit.kill();
                say(name.as_bytes(), &[b"does not stop: killed"]);
                return None;
            }
            Action::KillCheck => {
                unit.kill_check();
                return None;
            }
            Action::Reboot => {
                let name = unit.name;
                say(name.as_bytes(), &[b"critical, and has failed"]);
                self.end(Ending::Reboot);
                return None;
            }
            Action::Start => (unit.start(), Event::NotStarted(1)),
            Action::Check => (unit.start_check(), Event::Checked(false)),
            Action::Clean => (unit.start_cleaning(), Event::Cleaned),
        };
        match result {
            Ok(()) if action == Action::Start && unit.is_in_foreground() => Some(Event::Started),
            Ok(()) => None,
            Err(errno) => {
                let name = unit.name;
                complain(name.as_bytes(), words(errno));
                Some(failed)
            }
        }
    }

    /// Tells what has become of a container.
    fn tell(&mut self, index: usize, event: Event, before: Phase, was_ready: bool) {
        let now = now();
        let unit = self.containers.get(index);
        let name = unit.name;
        let service = &unit.service;
        let mut memory = [0; 10];
        let name = name.as_bytes();
        match (event, service.phase) {
            (Event::Started, Phase::Up) => say(name, &[b"started"]),
            (Event::NotStarted(status), Phase::Cleaning) => {
                say(
                    name,
                    &[b"not started: roci run ended with ", digits(status.into(), &mut memory)],
                );
            }
            (Event::Exited(exit), Phase::Cleaning) => {
                let (what, number): (&[u8], u8) = match exit {
                    Exit::Status(status) => (b"ended with ", status),
                    Exit::Signal(signal) => (b"ended by signal ", signal),
                    Exit::OutOfMemory => (b"ended for want of memory, by signal ", 9),
                };
                say(name, &[what, digits(number.into(), &mut memory)]);
            }
            (Event::Checked(false), Phase::Stopping) => say(name, &[b"its health checks fail: stopped"]),
            (Event::Tick, Phase::Stopping) if before == Phase::Up => say(name, &[b"not ready in time: stopped"]),
            (Event::Cleaned, Phase::Backoff) => {
                let wait = service.until().saturating_sub(now);
                say(
                    name,
                    &[
                        b"started again in ",
                        digits(wait.min(u32::MAX.into()) as u32, &mut memory),
                        b" ms",
                    ],
                );
            }
            (Event::Cleaned, Phase::Ended(why)) => {
                let what: &[u8] = match why {
                    Why::Done => b"done",
                    Why::Failed => b"failed, and left",
                    Why::Stopped => b"stopped",
                };
                say(name, &[what]);
            }
            _ => {}
        }
        let service = &self.containers.get(index).service;
        if service.is_ready() && !was_ready && event != Event::Started && service.phase == Phase::Up {
            say(name, &[b"ready"]);
        }
        if event == Event::Cleaned && service.phase == Phase::Ended(Why::Failed) {
            let (end, code) = service.last;
            self.report.failure(match end {
                0 | 6 => code,
                1 => code.wrapping_add(128),
                3 => 137,
                _ => 1,
            });
        }
    }

    /// Takes what a container has printed.
    fn take_output(&mut self, index: usize) {
        let mut memory = [0; CHUNK];
        let unit = self.containers.get(index);
        let Some(output) = &unit.output else { return };
        if let Ok(bytes) = read(output.as_fd(), &mut memory) {
            self.rings[index % CONTAINERS_MAX].push(bytes);
            self.mirror(index, false);
        }
    }

    /// Takes all that a container had printed when it ended, which the pipe has room for.
    fn take_last_output(&mut self, index: usize) {
        for _ in 0..(64 << 10) / CHUNK {
            let before = self.rings[index % CONTAINERS_MAX].end();
            self.take_output(index);
            if self.rings[index % CONTAINERS_MAX].end() == before {
                break;
            }
        }
        self.mirror(index, true);
    }

    /// Shows whole lines where they are to be shown, and with `to_end` what there is of the last.
    fn mirror(&mut self, index: usize, to_end: bool) {
        let ring = &self.rings[index % CONTAINERS_MAX];
        let unit = self.containers.get(index);
        let mut memory = [0; 400];
        while let Some((count, place)) = ring.line(unit.mirrored, &mut memory, to_end) {
            unit.mirrored = place;
            let text = memory.get(..count).unwrap_or_default();
            match unit.log {
                Log::Ring => {}
                Log::Console => to_console(line(&[unit.name.as_bytes(), b": ", text]).as_bytes()),
                Log::Kmsg => to_kmsg(&[unit.name.as_bytes(), b": ", text]),
            }
        }
    }

    /// Takes what a container has said at its `NOTIFY_SOCKET`.
    fn take_notice(&mut self, index: usize) {
        let mut memory = [0; 512];
        let Some(notify) = &self.containers.get(index).notify else {
            return;
        };
        if let Ok(text) = read(notify.as_fd(), &mut memory)
            && text.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
        {
            self.step(index, Event::Ready);
        }
    }

    /// Takes a line from a container's descriptor 3.
    fn take_ready(&mut self, index: usize) {
        let mut memory = [0; 64];
        let unit = self.containers.get(index);
        let Some(ready) = &unit.ready else { return };
        match read(ready.as_fd(), &mut memory) {
            Ok(text) if text.contains(&b'\n') => {
                unit.close_ready();
                self.step(index, Event::Ready);
            }
            // Nobody has it any more.
            Ok([]) => unit.close_ready(),
            _ => {}
        }
    }

    /// Takes every child that has ended. What lost its parent ends here, too.
    fn reap(&mut self) {
        while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
            self.take_end(process.as_raw_nonzero().get(), status);
        }
    }

    fn take_end(&mut self, process: i32, status: WaitStatus) {
        let exit = match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Exit::Status(status as u8),
            (None, signal) => Exit::Signal(signal.unwrap_or(0) as u8),
        };
        for index in 0..self.containers.count {
            let unit = self.containers.get(index);
            if process == unit.cleaner {
                unit.cleaner = 0;
                return self.step(index, Event::Cleaned);
            }
            if process == unit.run.process {
                unit.run = Job::new();
                return self.take_exit(index, exit);
            }
            if process == unit.run.caller {
                return self.take_start(index, exit);
            }
            if process == unit.check.process {
                unit.check = Job::new();
                return self.step(index, Event::Checked(exit == Exit::Status(0)));
            }
            if process == unit.check.caller {
                unit.check.caller = 0;
                if exit != Exit::Status(0) {
                    unit.check = Job::new();
                    return self.step(index, Event::Checked(false));
                }
                unit.check.process = unit.left_process(true);
                if let Some(exit) = unit.check.early {
                    unit.check = Job::new();
                    return self.step(index, Event::Checked(exit == Exit::Status(0)));
                }
                return;
            }
        }
        self.note_early(process, exit);
    }

    /// `roci run` has ended.
    fn take_start(&mut self, index: usize, exit: Exit) {
        let unit = self.containers.get(index);
        unit.run.caller = 0;
        let status = match exit {
            Exit::Status(status) => status,
            Exit::Signal(signal) => signal.wrapping_add(128),
            Exit::OutOfMemory => 137,
        };
        if status != 0 {
            unit.run = Job::new();
            self.take_last_output(index);
            let unit = self.containers.get(index);
            let log = unit.log;
            if log != Log::Console {
                // Wherever else its output goes, why it was not started is wanted here.
                unit.mirrored = unit.run_from;
                unit.log = Log::Console;
                self.mirror(index, true);
                self.containers.get(index).log = log;
            }
            return self.step(index, Event::NotStarted(status));
        }
        unit.run.process = unit.left_process(false);
        let early = unit.run.early.take();
        if unit.run.process == 0 {
            return self.step(index, Event::NotStarted(1));
        }
        self.step(index, Event::Started);
        if let Some(exit) = early {
            self.containers.get(index).run = Job::new();
            self.take_exit(index, exit);
        }
    }

    /// The container's process has ended.
    fn take_exit(&mut self, index: usize, exit: Exit) {
        // What it printed at last comes before the line that says how it ended.
        self.take_last_output(index);
        let unit = self.containers.get(index);
        let is_well = exit == Exit::Status(0);
        let exit = match exit {
            exit if is_well || !unit.was_out_of_memory() => exit,
            _ => Exit::OutOfMemory,
        };
        self.step(index, Event::Exited(exit));
    }

    /// Notes the end of what a call of `roci` has left, where it was faster than the call.
    fn note_early(&mut self, process: i32, exit: Exit) {
        for unit in self.containers.iter_mut() {
            for is_check in [false, true] {
                let job = if is_check { &unit.check } else { &unit.run };
                if job.caller == 0 || job.process != 0 || unit.left_process(is_check) != process {
                    continue;
                }
                let job = if is_check { &mut unit.check } else { &mut unit.run };
                job.early = Some(exit);
            }
        }
    }
}
