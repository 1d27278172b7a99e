//! What becomes of one supervised container: events in, one action out. No system call is made here, and time is what the
//! caller says it is.
//!
//! ```text
//!  Waiting ─▶ Starting ─▶ Up ─▶ Stopping ─▶ Cleaning ─▶ Backoff ─▶ Starting ...
//!                 │        └───────────────────▲ └─▶ Ended
//!                 └────────────────────────────┘
//! ```
//!
//! `roci run` is at work in Starting, the program runs in Up, a signal has been sent in Stopping, `roci delete` is at work in
//! Cleaning. Whatever ends a program leads through Cleaning, where it is decided what comes next.

use spec_core::device::protocol::NO_END;
use spec_core::device::settings::{Kind, Ready, Restart, Settings};

/// A point in time, in milliseconds of a clock that nobody sets.
pub type Moment = u64;

/// A point in time that never comes.
pub const NEVER: Moment = Moment::MAX;

/// How often SIGKILL is repeated, should a process have come in between.
const KILL_AGAIN: Moment = 1000;

/// How a program ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// By itself, with a status.
    Status(u8),
    /// By a signal.
    Signal(u8),
    /// By the kernel, for want of memory.
    OutOfMemory,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Those that it comes after are ready.
    Go,
    /// Its program runs.
    Started,
    /// `roci run` failed with a status.
    NotStarted(u8),
    /// It says that it is ready.
    Ready,
    /// Its program ended.
    Exited(Exit),
    /// A health check ended; whether with success.
    Checked(bool),
    /// `roci delete` is done.
    Cleaned,
    /// Time has passed.
    Tick,
    /// Somebody wants it to run.
    Start,
    /// Somebody wants it not to run.
    Stop,
    /// Somebody wants it to begin anew.
    Restart,
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Call `roci run`.
    Start,
    /// Call `roci exec` with the health check.
    Check,
    /// End the health check.
    KillCheck,
    /// Send the signal that stops it.
    Signal,
    /// Send SIGKILL.
    Kill,
    /// Call `roci delete`.
    Clean,
    /// It is critical and cannot be had.
    Reboot,
}

/// What it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// For others to be ready.
    Waiting,
    /// `roci run` is at work.
    Starting,
    /// The program runs.
    Up,
    /// It was told to stop.
    Stopping,
    /// `roci delete` is at work.
    Cleaning,
    /// It will be started again.
    Backoff,
    /// It is left, because of this.
    Ended(Why),
}

/// Why a container is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It has done its work.
    Done,
    /// It failed, and is not to be started again.
    Failed,
    /// Somebody wants it so.
    Stopped,
}

/// What is wanted once the program has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// What the settings say.
    AsSet,
    /// That it is left.
    Off,
    /// That it runs again at once.
    Again,
}

/// What the supervisor has against a program that still runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Complaint {
    /// Nothing.
    None,
    /// Its health checks fail.
    Health,
    /// It was not ready in time.
    NotReady,
}

/// A supervised container.
pub struct Service {
    /// How it is supervised.
    pub settings: Settings,
    /// What it does.
    pub phase: Phase,
    /// How often it was started again.
    pub restarts: u32,
    /// Its last end: the place in the protocol's list of ends, and a status or a signal.
    pub last: (u8, u8),
    /// Since when its program runs.
    pub up_since: Moment,
    is_ready: bool,
    ready_since: Moment,
    wanted: Wanted,
    complaint: Complaint,
    /// When the phase is over, or the readiness overdue.
    until: Moment,
    /// When the next health check is due, or the running one is overdue.
    check_at: Moment,
    is_checking: bool,
    /// Health checks that failed in a row.
    failures: u32,
    /// Restarts in a row.
    row: u32,
    /// Whether the last end was a failure.
    has_failed: bool,
    /// Since when it is not ready, which counts for critical ones.
    away_since: Moment,
}

impl Service {
    /// A container that waits.
    pub const fn new(settings: Settings, now: Moment) -> Self {
        Self {
            settings,
            phase: Phase::Waiting,
            restarts: 0,
            last: (NO_END, 0),
            up_since: 0,
            is_ready: false,
            ready_since: 0,
            wanted: Wanted::AsSet,
            complaint: Complaint::None,
            until: NEVER,
            check_at: NEVER,
            is_checking: false,
            failures: 0,
            row: 0,
            has_failed: false,
            away_since: now,
        }
    }

    /// Whether those after it may be started.
    pub fn is_ready(&self) -> bool {
        match self.settings.kind {
            Kind::Oneshot => self.phase == Phase::Ended(Why::Done),
            Kind::Service => self.is_ready || self.phase == Phase::Ended(Why::Done),
        }
    }

    /// Whether nothing of it runs, and nothing will unless somebody wants it.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Whether it has ended, and not because somebody wanted it to.
    pub fn has_ended_by_itself(&self) -> bool {
        matches!(self.phase, Phase::Ended(Why::Done | Why::Failed))
    }

    /// Whether nothing of it runs now.
    pub fn is_down(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Backoff | Phase::Ended(_))
    }

    /// Whether it is critical and has been away for too long. One that was stopped on purpose may be away.
    pub fn is_overdue(&self, now: Moment) -> bool {
        now >= self.overdue_at()
    }

    fn overdue_at(&self) -> Moment {
        let may_be_away = self.is_ready() || self.wanted == Wanted::Off || self.phase == Phase::Ended(Why::Stopped);
        if !self.settings.critical || may_be_away {
            return NEVER;
        }
        self.away_since + u64::from(self.settings.critical_deadline)
    }

    /// When what it does now is over, should nothing else happen.
    pub fn until(&self) -> Moment {
        self.until
    }

    /// When [`Event::Tick`] is next wanted.
    pub fn deadline(&self) -> Moment {
        self.until.min(self.check_at).min(self.overdue_at())
    }

    /// The place of what it does in the protocol's list of phases.
    pub fn phase_shown(&self) -> u8 {
        match self.phase {
            Phase::Waiting => 0,
            Phase::Starting => 1,
            Phase::Up if !self.is_ready => 2,
            Phase::Up => 3,
            Phase::Stopping | Phase::Cleaning => 4,
            Phase::Backoff => 5,
            Phase::Ended(Why::Done) => 6,
            Phase::Ended(Why::Failed) => 7,
            Phase::Ended(Why::Stopped) => 8,
        }
    }

    /// Takes an event that happened `now`. `random` is any number, a new one each time.
    pub fn step(&mut self, event: Event, now: Moment, random: u32) -> Action {
        match (self.phase, event) {
            (Phase::Waiting | Phase::Backoff | Phase::Ended(_), Event::Start | Event::Restart)
            | (Phase::Waiting, Event::Go) => {
                self.row = 0;
                self.away_since = now;
                self.start(now)
            }
            (Phase::Waiting | Phase::Backoff, Event::Stop) => self.leave(Why::Stopped),
            (Phase::Backoff, Event::Tick) if now >= self.until => {
                self.restarts = self.restarts.saturating_add(1);
                self.start(now)
            }
            (Phase::Starting, Event::Started) => self.rise(now),
            (Phase::Starting, Event::NotStarted(status)) => {
                let (end, code) = match self.complaint {
                    Complaint::None => (6, status),
                    _ => (5, 0),
                };
                self.fall(end, code, true)
            }
            (Phase::Starting | Phase::Up | Phase::Stopping, Event::Exited(exit)) => self.exited(exit),
            // What `roci run` has begun is ended when it is done.
            (Phase::Starting, Event::Stop) => self.want(Wanted::Off),
            (Phase::Starting, Event::Restart) => self.want(Wanted::Again),
            (Phase::Stopping | Phase::Cleaning, Event::Stop) => self.want(Wanted::Off),
            (Phase::Stopping | Phase::Cleaning, Event::Start | Event::Restart) => self.want(Wanted::Again),
            (Phase::Up, Event::Stop) => self.stop(Wanted::Off, now),
            (Phase::Up, Event::Restart) => self.stop(Wanted::Again, now),
            (Phase::Up, Event::Ready) => {
                self.become_ready(now);
                Action::Nothing
            }
            // A check of the run before may end late.
            (Phase::Up, Event::Checked(is_well)) if self.is_checking => self.checked(is_well, now),
            (Phase::Starting | Phase::Stopping, Event::Tick) if now >= self.until => {
                if self.phase == Phase::Starting {
                    self.complaint = Complaint::NotReady;
                }
                self.until = now + KILL_AGAIN;
                Action::Kill
            }
            (Phase::Up, Event::Tick) => self.tick(now),
            (Phase::Cleaning, Event::Cleaned) => self.next(now, random),
            _ => Action::Nothing,
        }
    }

    fn start(&mut self, now: Moment) -> Action {
        self.phase = Phase::Starting;
        self.wanted = Wanted::AsSet;
        self.complaint = Complaint::None;
        self.until = now + u64::from(self.settings.ready_timeout);
        Action::Start
    }

    fn want(&mut self, wanted: Wanted) -> Action {
        self.wanted = wanted;
        Action::Nothing
    }

    fn leave(&mut self, why: Why) -> Action {
        self.phase = Phase::Ended(why);
        (self.until, self.check_at) = (NEVER, NEVER);
        Action::Nothing
    }

    /// The program runs.
    fn rise(&mut self, now: Moment) -> Action {
        let settings = &self.settings;
        self.phase = Phase::Up;
        self.up_since = now;
        self.failures = 0;
        self.is_checking = false;
        self.check_at = match settings.has_health {
            true => now + u64::from(settings.start_period),
            false => NEVER,
        };
        match (settings.kind, settings.ready) {
            (Kind::Oneshot, _) => self.until = NEVER,
            (Kind::Service, Ready::Start) => self.become_ready(now),
            (Kind::Service, Ready::Delay(time)) => self.until = now + u64::from(time),
            // The time for it counts from when `roci run` was called.
            _ => {}
        }
        match self.wanted {
            Wanted::AsSet => Action::Nothing,
            wanted => self.stop(wanted, now),
        }
    }

    fn become_ready(&mut self, now: Moment) {
        if !self.is_ready {
            self.is_ready = true;
            self.ready_since = now;
        }
        self.until = NEVER;
    }

    fn stop(&mut self, wanted: Wanted, now: Moment) -> Action {
        self.phase = Phase::Stopping;
        self.wanted = wanted;
        self.until = now + u64::from(self.settings.grace);
        self.check_at = NEVER;
        Action::Signal
    }

    fn checked(&mut self, is_well: bool, now: Moment) -> Action {
        self.is_checking = false;
        self.check_at = now + u64::from(self.settings.interval);
        if is_well {
            self.failures = 0;
            if self.settings.ready == Ready::Health {
                self.become_ready(now);
            }
            return Action::Nothing;
        }
        self.failures = self.failures.saturating_add(1);
        // One that has yet to be ready has its own time for that.
        if self.failures < self.settings.retries || (self.settings.ready == Ready::Health && !self.is_ready) {
            return Action::Nothing;
        }
        self.complaint = Complaint::Health;
        self.stop(Wanted::AsSet, now)
    }

    fn tick(&mut self, now: Moment) -> Action {
        if now >= self.until {
            if let Ready::Delay(_) = self.settings.ready {
                self.become_ready(now);
            } else {
                self.complaint = Complaint::NotReady;
                return self.stop(Wanted::AsSet, now);
            }
        }
        if now < self.check_at {
            return Action::Nothing;
        }
        if self.is_checking {
            // Its end is told as that of any check.
            self.check_at = NEVER;
            return Action::KillCheck;
        }
        self.is_checking = true;
        self.check_at = now + u64::from(self.settings.timeout);
        Action::Check
    }

    fn exited(&mut self, exit: Exit) -> Action {
        let (end, code) = match (self.complaint, exit) {
            (Complaint::Health, _) => (4, 0),
            (Complaint::NotReady, _) => (5, 0),
            (_, Exit::OutOfMemory) => (3, 0),
            (_, Exit::Signal(signal)) => (1, signal),
            (_, Exit::Status(status)) => (0, status),
        };
        // Who was told to stop may end as it likes.
        let is_success = (end, code) == (0, 0) || self.wanted != Wanted::AsSet;
        self.fall(end, code, !is_success)
    }

    fn fall(&mut self, end: u8, code: u8, has_failed: bool) -> Action {
        self.phase = Phase::Cleaning;
        self.last = (end, code);
        self.has_failed = has_failed;
        (self.until, self.check_at) = (NEVER, NEVER);
        Action::Clean
    }

    /// Nothing is left of the last run: what now?
    fn next(&mut self, now: Moment, random: u32) -> Action {
        if self.is_ready {
            self.away_since = now;
            if now - self.ready_since >= u64::from(self.settings.reset) {
                self.row = 0;
            }
        }
        self.is_ready = false;
        match self.wanted {
            Wanted::Off => return self.leave(Why::Stopped),
            Wanted::Again => {
                self.restarts = self.restarts.saturating_add(1);
                self.row = 0;
                return self.start(now);
            }
            Wanted::AsSet => {}
        }
        let settings = &self.settings;
        let is_over = match settings.restart.unwrap_or(Restart::OnFailure) {
            Restart::No => true,
            Restart::OnFailure => !self.has_failed,
            Restart::Always => false,
        };
        let is_too_often = settings.restarts_max != 0 && self.row >= settings.restarts_max;
        if is_over || is_too_often {
            let is_critical = settings.critical;
            if !self.has_failed && !is_too_often {
                return self.leave(Why::Done);
            }
            self.leave(Why::Failed);
            return if is_critical { Action::Reboot } else { Action::Nothing };
        }
        self.phase = Phase::Backoff;
        self.until = now + backoff(settings, self.row, random);
        self.row = self.row.saturating_add(1);
        Action::Nothing
    }
}

/// How long to wait before restart number `row` in a row, the first of which is 0: twice as long each time, up to the most,
/// and by chance up to a quarter more or less, so that what failed together does not come back together.
pub fn backoff(settings: &Settings, row: u32, random: u32) -> Moment {
    let most = u64::from(settings.delay_max.max(settings.delay));
    let delay = (u64::from(settings.delay) << row.min(24)).min(most);
    delay - delay / 4 + u64::from(random) % (delay / 2 + 1)
}

#[cfg(test)]
mod tests;
