//! The annotations that say how a container of a device is supervised.
//!
//! A value is checked where it is read, so what is wrong with it is known to `roci` as well, which otherwise leaves these
//! annotations alone.

use crate::message::{Message, text};
use crate::words::{Words, words};

/// What the annotations begin with.
pub const PREFIX: &str = "io.roci.";

/// Milliseconds.
pub type Time = u32;

/// What runs in the container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A program that ends; others wait until it has, with success.
    Oneshot,
    /// A program that goes on.
    Service,
}

/// After which ends a container is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// After none.
    No,
    /// After those that are no success.
    OnFailure,
    /// After each.
    Always,
}

/// What says that a service is ready, so that those after it are started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ready {
    /// That its program runs.
    Start,
    /// `READY=1` at `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
    /// A line, or the end, of what it writes to descriptor 3.
    Fd,
    /// The first health check that succeeds.
    Health,
    /// That its program has run for so long.
    Delay(Time),
}

/// Where a container's output goes, beside the memory that `roci logs` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Log {
    /// Nowhere.
    Ring,
    /// To the console, a line at a time.
    Console,
    /// To the kernel's log.
    Kmsg,
}

/// How a container is supervised. The names and the command of the health check are texts, which the reader keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// `kind`
    pub kind: Kind,
    /// `restart`; `None` where nothing is said.
    pub restart: Option<Restart>,
    /// `restart.delay`: before the first restart. Each further one in a row waits twice as long.
    pub delay: Time,
    /// `restart.delay-max`: the longest of them.
    pub delay_max: Time,
    /// `restart.reset`: who has run so long has succeeded, and the next restart is a first one.
    pub reset: Time,
    /// `restart.max`: restarts in a row, after which it is left; 0 for no end.
    pub restarts_max: u32,
    /// `ready`
    pub ready: Ready,
    /// `ready.timeout`: who is not ready by then has failed.
    pub ready_timeout: Time,
    /// Whether there is a `health` command.
    pub has_health: bool,
    /// `health.interval`: from the end of a check to the next.
    pub interval: Time,
    /// `health.timeout`: how long a check may take.
    pub timeout: Time,
    /// `health.retries`: how many checks in a row have to fail.
    pub retries: u32,
    /// `health.start-period`: before the first check.
    pub start_period: Time,
    /// `stop.grace`: from the signal to SIGKILL.
    pub grace: Time,
    /// `critical`: whether the device restarts where this one cannot be had.
    pub critical: bool,
    /// `critical.deadline`: how long it may be away.
    pub critical_deadline: Time,
    /// `log`; `None` where nothing is said.
    pub log: Option<Log>,
}

impl Settings {
    /// What counts where nothing is said.
    pub const DEFAULT: Self = Self {
        kind: Kind::Service,
        restart: None,
        delay: 1000,
        delay_max: 60_000,
        reset: 60_000,
        restarts_max: 0,
        ready: Ready::Start,
        ready_timeout: 60_000,
        has_health: false,
        interval: 30_000,
        timeout: 10_000,
        retries: 3,
        start_period: 1000,
        grace: 10_000,
        critical: false,
        critical_deadline: 300_000,
        log: None,
    };

    /// Takes the annotation `key` with this value. `None` where it is none of these; what is wrong with the value
    /// otherwise.
    #[inline(never)]
    pub fn take(&mut self, key: &str, value: &str) -> Option<Result<(), Message>> {
        Some(self.set(place_of(key)?, value))
    }

    fn set(&mut self, place: usize, value: &str) -> Result<(), Message> {
        let choice = |words: Words| words.position(value);
        match place {
            KIND => match choice(words!("service oneshot ")).ok_or(text!("expected service or oneshot"))? {
                0 => self.kind = Kind::Service,
                _ => self.kind = Kind::Oneshot,
            },
            RESTART => self.restart = Some(parse_restart(value).ok_or(text!("expected no, on-failure or always"))?),
            READY => {
                self.ready = match (choice(words!("start notify fd health ")), value.strip_prefix("delay:")) {
                    (Some(0), _) => Ready::Start,
                    (Some(1), _) => Ready::Notify,
                    (Some(2), _) => Ready::Fd,
                    (Some(_), _) => Ready::Health,
                    (None, Some(time)) => Ready::Delay(parse_time(time).ok_or(IS_NO_TIME)?),
                    (None, None) => return Err(text!("expected start, notify, fd, health or delay:TIME")),
                }
            }
            CRITICAL => match choice(words!("false true ")).ok_or(text!("expected true or false"))? {
                0 => self.critical = false,
                _ => self.critical = true,
            },
            LOG => self.log = Some(parse_log(value).ok_or(text!("expected ring, console or kmsg"))?),
            HEALTH => {
                if value.bytes().all(|byte| byte == b' ') {
                    return Err(text!("expected a command"));
                }
                self.has_health = true;
            }
            // What these name is known to who supervises.
            AFTER | STOP_SIGNAL if value.is_empty() => return Err(text!("expected a name")),
            AFTER | STOP_SIGNAL => {}
            RESTART_MAX => self.restarts_max = parse_number(value).ok_or(IS_NO_NUMBER)?,
            HEALTH_RETRIES => {
                self.retries = parse_number(value).filter(|number| *number > 0).ok_or(IS_NO_NUMBER)?;
            }
            _ => *self.time(place) = parse_time(value).filter(|time| *time > 0).ok_or(IS_NO_TIME)?,
        }
        Ok(())
    }

    fn time(&mut self, place: usize) -> &mut Time {
        match place {
            RESTART_DELAY => &mut self.delay,
            RESTART_DELAY_MAX => &mut self.delay_max,
            RESTART_RESET => &mut self.reset,
            READY_TIMEOUT => &mut self.ready_timeout,
            HEALTH_INTERVAL => &mut self.interval,
            HEALTH_TIMEOUT => &mut self.timeout,
            HEALTH_START => &mut self.start_period,
            STOP_GRACE => &mut self.grace,
            _ => &mut self.critical_deadline,
        }
    }

    /// What is wrong with the settings together.
    pub fn check(&self) -> Result<(), Message> {
        if self.kind == Kind::Oneshot && self.restart == Some(Restart::Always) {
            return Err(text!(
                "io.roci.restart: a oneshot that ended with success has done its work"
            ));
        }
        if self.kind == Kind::Oneshot && self.ready != Ready::Start {
            return Err(text!("io.roci.ready: a oneshot is ready when it has ended"));
        }
        if self.ready == Ready::Health && !self.has_health {
            return Err(text!("io.roci.ready: there is no io.roci.health"));
        }
        Ok(())
    }
}

const IS_NO_TIME: Message = text!("expected a time of more than 0: 500ms, 10s, 5m, 1h");
const IS_NO_NUMBER: Message = text!("expected a number");

/// The names behind [`PREFIX`]; the constants below are their places.
const NAMES: Words = words!(
    "after kind restart restart.delay restart.delay-max restart.reset restart.max ready ready.timeout health health.interval \
     health.timeout health.retries health.start-period stop.signal stop.grace critical critical.deadline log ",
);
const AFTER: usize = 0;
const KIND: usize = 1;
const RESTART: usize = 2;
const RESTART_DELAY: usize = 3;
const RESTART_DELAY_MAX: usize = 4;
const RESTART_RESET: usize = 5;
const RESTART_MAX: usize = 6;
const READY: usize = 7;
const READY_TIMEOUT: usize = 8;
const HEALTH: usize = 9;
const HEALTH_INTERVAL: usize = 10;
const HEALTH_TIMEOUT: usize = 11;
const HEALTH_RETRIES: usize = 12;
const HEALTH_START: usize = 13;
const STOP_SIGNAL: usize = 14;
const STOP_GRACE: usize = 15;
const CRITICAL: usize = 16;
const LOG: usize = 18;

fn place_of(key: &str) -> Option<usize> {
    NAMES.position(key.strip_prefix(PREFIX)?)
}

/// Whether `key` is one of these annotations.
pub fn is_known(key: &str) -> bool {
    place_of(key).is_some()
}

/// A restart policy by its name.
pub fn parse_restart(value: &str) -> Option<Restart> {
    match words!("no on-failure always ").position(value)? {
        0 => Some(Restart::No),
        1 => Some(Restart::OnFailure),
        _ => Some(Restart::Always),
    }
}

/// A place for output by its name.
pub fn parse_log(value: &str) -> Option<Log> {
    match words!("ring console kmsg ").position(value)? {
        0 => Some(Log::Ring),
        1 => Some(Log::Console),
        _ => Some(Log::Kmsg),
    }
}

/// A number in decimal digits.
pub fn parse_number(text: &str) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    text.bytes().try_fold(0_u32, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// A number with `ms`, `s`, `m` or `h` behind it; seconds without.
pub fn parse_time(text: &str) -> Option<Time> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let milliseconds = match unit.as_bytes() {
        b"ms" => 1,
        b"s" | b"" => 1000,
        b"m" => 60_000,
        b"h" => 3_600_000,
        _ => return None,
    };
    parse_number(number)?.checked_mul(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("5", Some(5000)),
            ("5s", Some(5000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("0", Some(0)),
            ("1193h", Some(1193 * 3_600_000)),
            ("1194h", None),
            ("", None),
            ("s", None),
            ("ms", None),
            ("-1", None),
            ("1.5s", None),
            ("1 s", None),
            ("99999999999", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }

    /// What `take` makes of a list of annotations: the settings, or the first that is wrong.
    fn taken(pairs: &[(&str, &str)]) -> Result<Settings, &'static str> {
        let mut settings = Settings::DEFAULT;
        for (name, value) in pairs {
            let key = std::format!("io.roci.{name}");
            assert!(is_known(&key), "{key}");
            settings.take(&key, value).unwrap().map_err(Message::text)?;
        }
        settings.check().map(|()| settings).map_err(Message::text)
    }

    #[test]
    fn every_annotation_has_its_effect() {
        let settings = taken(&[
            ("after", "network,setup"),
            ("kind", "service"),
            ("restart", "always"),
            ("restart.delay", "100ms"),
            ("restart.delay-max", "5s"),
            ("restart.reset", "2m"),
            ("restart.max", "7"),
            ("ready", "delay:2s"),
            ("ready.timeout", "3s"),
            ("health", "/bin/check me"),
            ("health.interval", "4s"),
            ("health.timeout", "6s"),
            ("health.retries", "8"),
            ("health.start-period", "9s"),
            ("stop.signal", "INT"),
            ("stop.grace", "11s"),
            ("critical", "true"),
            ("critical.deadline", "12s"),
            ("log", "kmsg"),
        ])
        .unwrap();
        let expected = Settings {
            kind: Kind::Service,
            restart: Some(Restart::Always),
            delay: 100,
            delay_max: 5000,
            reset: 120_000,
            restarts_max: 7,
            ready: Ready::Delay(2000),
            ready_timeout: 3000,
            has_health: true,
            interval: 4000,
            timeout: 6000,
            retries: 8,
            start_period: 9000,
            grace: 11_000,
            critical: true,
            critical_deadline: 12_000,
            log: Some(Log::Kmsg),
        };
        assert_eq!(settings, expected);
        for (word, ready) in [("start", Ready::Start), ("notify", Ready::Notify), ("fd", Ready::Fd)] {
            assert_eq!(taken(&[("ready", word)]).unwrap().ready, ready);
        }
        let health = taken(&[("health", "x"), ("ready", "health")]).unwrap();
        assert_eq!(health.ready, Ready::Health);
        assert_eq!(taken(&[("kind", "oneshot")]).unwrap().kind, Kind::Oneshot);
        for (word, restart) in [("no", Restart::No), ("on-failure", Restart::OnFailure)] {
            assert_eq!(taken(&[("restart", word)]).unwrap().restart, Some(restart));
        }
        for (word, log) in [("ring", Log::Ring), ("console", Log::Console)] {
            assert_eq!(taken(&[("log", word)]).unwrap().log, Some(log));
        }
        assert!(!taken(&[("critical", "true"), ("critical", "false")]).unwrap().critical);
    }

    #[test]
    fn wrong_values_are_refused() {
        for (pairs, expected) in [
            (&[("kind", "daemon")][..], "expected service or oneshot"),
            (&[("restart", "never")], "expected no, on-failure or always"),
            (&[("restart.delay", "soon")], IS_NO_TIME.text()),
            (&[("stop.grace", "0")], IS_NO_TIME.text()),
            (&[("restart.max", "-1")], IS_NO_NUMBER.text()),
            (&[("health.retries", "0")], IS_NO_NUMBER.text()),
            (&[("ready", "delay:")], IS_NO_TIME.text()),
            (&[("ready", "tcp")], "expected start, notify, fd, health or delay:TIME"),
            (&[("health", "  ")], "expected a command"),
            (&[("critical", "yes")], "expected true or false"),
            (&[("log", "file")], "expected ring, console or kmsg"),
            (&[("after", "")], "expected a name"),
            (&[("stop.signal", "")], "expected a name"),
            (
                &[("kind", "oneshot"), ("restart", "always")],
                "io.roci.restart: a oneshot that ended with success has done its work",
            ),
            (
                &[("kind", "oneshot"), ("ready", "notify")],
                "io.roci.ready: a oneshot is ready when it has ended",
            ),
            (&[("ready", "health")], "io.roci.ready: there is no io.roci.health"),
        ] {
            assert_eq!(taken(pairs), Err(expected), "{pairs:?}");
        }
        let mut settings = Settings::DEFAULT;
        assert!(settings.take("io.roci.kinds", "x").is_none());
        assert!(settings.take("kind", "service").is_none());
        assert!(!is_known("io.roci.init") && !is_known("org.kind"));
    }
}
