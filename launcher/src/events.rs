//! `events`: what the container uses, in runc's JSON, once or over and over; and that it ran out of memory.

use heapless::Vec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::OFlags;
use rustix::time::Timespec;
use spec_core::state::{State, Status};
use sys::OwnedFd;
use sys::fd::open_process;

use crate::cgroup::resources::Cgroup;
use crate::cli::{Invocation, Opt, as_text};
use crate::container::write_all;
use crate::error::{Error, Result};
use crate::msg;
use crate::output::Output;
use crate::proc::Proc;
use crate::state::{self, Access, Found};
use crate::text::{Line, Pieces, cut, parse_number};
use crate::texts::Text;
use crate::time::{milliseconds, pause};

/// `events`
pub fn events(invocation: &Invocation) -> Result<()> {
    let interval = interval_of(invocation)?;
    let mut state = State::new();
    let Found { id, proc, status, .. } = state::find(invocation, Access::Shared, &mut state)?;
    if matches!(status, Status::Stopped | Status::Creating) {
        return Err(Error::said(msg!("container not running")));
    }
    let (host, path) = crate::cgroup_of(invocation, &proc, &state)?;
    let watched = Watched {
        cgroup: Cgroup::of(host, path),
    };
    if invocation.has(Opt::Stats) {
        return watched.print_statistics(id);
    }
    watched.follow(id, &state, &proc, interval)
}

/// `--interval`, as Go writes durations: `5s`, `500ms`, `1m`.
fn interval_of(invocation: &Invocation) -> Result<Timespec> {
    let text = match invocation.value(Opt::Interval) {
        Some(word) => as_text(word)?,
        None => "5s",
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    // A day is more than anybody waits, and no clock's limit.
    let interval = factor
        .zip(parse_number(number))
        .map(|(factor, number)| number.saturating_mul(factor).min(86_400_000) as u32)
        .filter(|interval| *interval > 0);
    match interval {
        Some(interval) => Ok(milliseconds(interval)),
        None => Err(Error::usage(msg!("--interval: not a duration: #"), text)),
    }
}

/// The container, as far as this is about it.
struct Watched<'a> {
    cgroup: Cgroup<'a>,
}

impl Watched<'_> {
    /// Prints statistics until the container ends, and every time that it ran out of memory.
    fn follow(&self, id: &str, state: &State<'_>, proc: &Proc, interval: Timespec) -> Result<()> {
        let pidfd = open_process(state.pid).ok();
        let alarm = self.alarm();
        let mut deaths = self.deaths();
        loop {
            self.print_statistics(id)?;
            let mut fds = Vec::<PollFd<'_>, 2>::new();
            if let Some(pidfd) = &pidfd {
                let _ = fds.push(PollFd::new(pidfd, PollFlags::IN));
            }
            if let Some((alarm, flags)) = &alarm {
                let _ = fds.push(PollFd::new(alarm, *flags));
            }
            let _ = poll(&mut fds, Some(&interval));
            let rang = alarm.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            if let Some((alarm, flags)) = &alarm
                && rang
            {
                // Read, it is silent until it rings again: a counter gives its count, a file its new content.
                let _ = match *flags {
                    PollFlags::IN => rustix::io::read(alarm, &mut [0; 8]),
                    _ => rustix::io::pread(alarm, &mut [0; 256], 0),
                };
                // It rings before the kernel kills, and for other reasons too.
                for _ in 0..100 {
                    if self.deaths() > deaths {
                        break;
                    }
                    pause(50);
                }
            }
            let now = self.deaths();
            if now > deaths {
                let mut out = Output::new();
                out.str("{\"type\":\"oom\",\"id\":\"").str(id).str("\"}\n");
                out.finish()?;
            }
            deaths = now;
            if !proc.is_alive(state.pid, state.start_time) {
                return Ok(());
            }
        }
    }

    /// What the kernel wakes us by when memory runs out: version 2 its file, version 1 a counter that is registered there.
    fn alarm(&self) -> Option<(OwnedFd, PollFlags)> {
        let open = |file: &str, flags| self.cgroup.open("memory", file, flags).ok();
        if self.cgroup.host.is_v2 {
            let events = open("memory.events", OFlags::RDONLY)?;
            // The file is news as long as it was not read.
            let _ = rustix::io::read(&events, &mut [0; 256]);
            return Some((events, PollFlags::PRI));
        }
        let counter = sys::fd::counter().ok()?;
        let control = open("memory.oom_control", OFlags::RDONLY)?;
        let mut line = Line::new();
        line.number(counter.as_raw_fd() as u64)
            .str(" ")
            .number(control.as_raw_fd() as u64);
        let register = open("cgroup.event_control", OFlags::WRONLY)?;
        write_all(register.as_fd(), line.text().ok()?.as_bytes()).ok()?;
        Some((counter, PollFlags::IN))
    }

    /// How many processes the kernel has killed for want of memory.
    fn deaths(&self) -> u64 {
        let file = if self.cgroup.host.is_v2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        self.member("memory", file, "oom_kill")
    }

    fn print_statistics(&self, id: &str) -> Result<()> {
        let mut out = Output::new();
        out.str("{\"type\":\"stats\",\"id\":\"").str(id).str("\"");
        // What stands before each number, its controller, and its place in either version.
        let mut rest = Text::Events.get();
        while !rest.is_empty() {
            let mut row = cut(&mut rest, b'\n');
            out.str(cut(&mut row, b' '));
            let controller = cut(&mut row, b' ');
            let one = cut(&mut row, b' ');
            let place = if self.cgroup.host.is_v2 { row } else { one };
            out.number(self.number(controller, place));
        }
        out.str("},\"raw\":{");
        self.copy_statistics(&mut out);
        out.str("}},\"blkio\":{},\"hugetlb\":{}}}\n");
        out.finish()
    }

    /// The number at a place: a file; or a member of one, and what it is multiplied with to be in runc's unit.
    fn number(&self, controller: &str, mut place: &str) -> u64 {
        let file = cut(&mut place, b'#');
        let name = cut(&mut place, b'*');
        if !name.is_empty() {
            return self.member(controller, file, name) * parse_number(place).unwrap_or(1);
        }
        // "max" is a limit that is not there, which runc writes as 0.
        let mut memory = [0; 64];
        parse_number(self.cgroup.read(controller, file, &mut memory)).unwrap_or(0)
    }

    /// The number behind `name` in a file of lines.
    fn member(&self, controller: &str, file: &str, name: &str) -> u64 {
        let mut memory = [0; 2048];
        let mut rest = self.cgroup.read(controller, file, &mut memory);
        while !rest.is_empty() {
            let mut line = cut(&mut rest, b'\n');
            if cut(&mut line, b' ') == name {
                return parse_number(line).unwrap_or(0);
            }
        }
        0
    }

    /// All of memory.stat.
    fn copy_statistics(&self, out: &mut Output) {
        let mut memory = [0; 4096];
        let mut rest = self.cgroup.read("memory", "memory.stat", &mut memory);
        let mut comma = "";
        while !rest.is_empty() {
            let mut line = cut(&mut rest, b'\n');
            let name = cut(&mut line, b' ');
            out.str(comma).str("\"").str(name).str("\":");
            out.number(parse_number(line).unwrap_or(0));
            comma = ",";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::understood;
    use crate::harness::refusal;
    use std::format;

    /// As Go writes durations.
    #[test]
    #[cfg_attr(miri, ignore = "the table of options is a text that takes Miri minutes")]
    fn intervals_have_units() {
        let of = |text: &str| {
            let interval = interval_of(&understood(&format!("roci events --interval {text} web")));
            let interval = interval.unwrap_or_else(|error| error.never());
            (interval.tv_sec, interval.tv_nsec)
        };
        assert_eq!(of("500ms"), (0, 500_000_000));
        assert_eq!(of("5s"), (5, 0));
        assert_eq!(of("2m"), (120, 0));
        // A day, and what is longer.
        assert_eq!(
            [of("1440m"), of("9999999m"), of("18446744073709551615s")],
            [(86_400, 0); 3]
        );
        for text in [
            "0s",
            "0ms",
            "5",
            "5h",
            "s",
            "-5s",
            "+5s",
            "1.5s",
            "5sm",
            "18446744073709551616s",
        ] {
            let refused = refusal(|| interval_of(&understood(&format!("roci events --interval={text} web"))));
            assert!(refused.starts_with("--interval: not a duration: "), "{text}: {refused}");
        }
        let default = interval_of(&understood("roci events web")).unwrap_or_else(|error| error.never());
        assert_eq!((default.tv_sec, default.tv_nsec), (5, 0));
    }
}
