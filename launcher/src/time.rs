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
        let (year, month, day) = civil((self.seconds / 86_400) as u32);
        let second_of_day = (self.seconds % 86_400) as u32;
        let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        for (number, end) in [
            (year, "-"),
            (month, "-"),
            (day, "T"),
            (hour, ":"),
            (minute, ":"),
            (second, "."),
        ] {
            line.str(if number < 10 { "0" } else { "" })
                .number(number.into())
                .str(end);
        }
        // Nine digits, with zeros before them: those of a number that has one more before.
        let digits = Digits::of(1_000_000_000 + u64::from(self.nanoseconds));
        line.str(digits.as_str().get(1..).unwrap_or_default()).str("Z");
        line
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years are taken to begin in March, so that the leap day is the last of its year; 400 years have 146,097 days.
fn civil(days: u32) -> (u32, u32, u32) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
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
