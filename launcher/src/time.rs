//! The time of day as RFC 3339 writes it, and pauses.

use rustix::time::Timespec;

use crate::text::{Digits, Line, Pieces};

/// As many milliseconds as the kernel is told them.
pub const fn milliseconds(number: u32) -> Timespec {
    Timespec {
        tv_sec: (number / 1000) as i64,
        tv_nsec: (number % 1000 * 1_000_000) as _,
    }
}

/// Sleeps for so many milliseconds.
#[inline(never)]
pub fn pause(number: u32) {
    // `poll` without descriptors sleeps, and needs no other call in the executable.
    let _ = rustix::event::poll(&mut [], Some(&milliseconds(number)));
}

/// A point in time, UTC, printed as `2026-11-22T05:12:00.123456789Z`.
#[derive(Clone, Copy)]
pub struct Rfc3339 {
    seconds: u64,
    nanoseconds: u32,
}

impl Rfc3339 {
    /// Now.
    pub fn now() -> Self {
        let now = sys::process::now(sys::process::Clock::Realtime);
        Self {
            seconds: now.tv_sec.max(0) as u64,
            nanoseconds: now.tv_nsec as u32,
        }
    }

    /// The time in words.
    #[inline(never)]
    pub fn line(self) -> Line {
        let mut line = Line::new();
        let [year, month, day] = civil((self.seconds / 86_400) as u32);
        let second_of_day = (self.seconds % 86_400) as u32;
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        // Each has as many digits as it is to have, with zeros before them, where one more stands before.
        let numbers = [
            10_000 + year,
            100 + month,
            100 + day,
            100 + hour,
            100 + minute,
            100 + second,
            1_000_000_000 + self.nanoseconds,
        ];
        for (at, number) in numbers.into_iter().enumerate() {
            let digits = Digits::of(number.into());
            line.str(digits.as_str().get(1..).unwrap_or_default())
                .str("--T::.Z".get(at..=at).unwrap_or_default());
        }
        line
    }
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(mut days: u32) -> [u32; 3] {
    let mut year = 1970;
    let february = loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = 365 + u32::from(is_leap);
        if days < length {
            break 28 + u32::from(is_leap);
        }
        (days, year) = (days - length, year + 1);
    };
    let mut month = 1;
    loop {
        let length = match month {
            2 => february,
            // From August on it is the other way round.
            _ => 30 + (month + month / 8) % 2,
        };
        if days < length {
            return [year, month, days + 1];
        }
        (days, month) = (days - length, month + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(civil(0), [1970, 1, 1]);
        assert_eq!(civil(11_016), [2000, 2, 29]);
        assert_eq!(civil(20_779), [2026, 11, 22]);
        assert_eq!(civil(47_540), [2100, 2, 28]);
        assert_eq!(civil(47_541), [2100, 3, 1]);
        for (first, last, year) in [(11_323, 11_687, 2001), (10_957, 11_322, 2000)] {
            assert_eq!(civil(first), [year, 1, 1]);
            assert_eq!(civil(last), [year, 12, 31]);
        }
    }

    #[test]
    fn pauses_are_seconds_and_nanoseconds() {
        for (number, seconds, nanoseconds) in [
            (0, 0, 0),
            (1, 0, 1_000_000),
            (999, 0, 999_000_000),
            (1000, 1, 0),
            (61_250, 61, 250_000_000),
        ] {
            let time = milliseconds(number);
            assert_eq!((time.tv_sec, time.tv_nsec), (seconds, nanoseconds));
        }
    }

    #[test]
    fn printed_with_nanoseconds() {
        let time = Rfc3339 {
            seconds: 1_000_000_000,
            nanoseconds: 42,
        };
        assert_eq!(time.line().text(), Ok("2001-09-09T01:46:40.000000042Z"));
        let time = Rfc3339 {
            seconds: 1_000_000_000 + 32 * 86_400 + 30_000 + 10,
            nanoseconds: 999_999_999,
        };
        assert_eq!(time.line().text(), Ok("2001-10-11T10:06:50.999999999Z"));
    }
}
