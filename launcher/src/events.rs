//! `events --stats`: what the container uses, in runc's JSON.

use core::fmt::Write;

use spec_core::state::{State, Status};

use crate::cgroup::Host;
use crate::cgroup::resources::read;
use crate::cli::{Invocation, Opt};
use crate::error::{Error, Result};
use crate::output::Output;
use crate::state::{self, Access, Found};

/// `events`
pub fn events(invocation: &Invocation) -> Result<()> {
    if !invocation.has(Opt::Stats) {
        return Err(Error::usage(format_args!(
            "events: only --stats is there; a stream of events is not"
        )));
    }
    let mut state = State::new();
    let Found { id, proc, status, .. } = state::find(invocation, Access::Shared, &mut state)?;
    if matches!(status, Status::Stopped | Status::Creating) {
        return Err(Error::said("container not running"));
    }
    let Some((cgroup, host)) = state.cgroup.zip(crate::cgroup_host(invocation, &proc)?) else {
        return Err(Error::said("the container has no cgroup"));
    };
    let number = |controller: &str, one: &str, two: &str| -> u64 {
        let mut memory = [0; 64];
        let file = if host.is_v2 { two } else { one };
        // "max" is a limit that is not there, which runc writes as 0.
        read(host, cgroup.as_c_str(), controller, file, &mut memory)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let total = if host.is_v2 {
        cpu_usage_v2(host, cgroup.as_c_str())
    } else {
        number("cpuacct", "cpuacct.usage", "")
    };
    let mut out = Output::new();
    let _ = writeln!(
        out,
        concat!(
            "{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{",
            "\"cpu\":{{\"usage\":{{\"total\":{}}}}},",
            "\"memory\":{{\"usage\":{{\"limit\":{},\"usage\":{},\"max\":{}}}}},",
            "\"pids\":{{\"current\":{},\"limit\":{}}}}}}}"
        ),
        id,
        total,
        number("memory", "memory.limit_in_bytes", "memory.max"),
        number("memory", "memory.usage_in_bytes", "memory.current"),
        number("memory", "memory.max_usage_in_bytes", "memory.peak"),
        number("pids", "pids.current", "pids.current"),
        number("pids", "pids.max", "pids.max"),
    );
    out.finish()
}

/// Nanoseconds, from the microseconds in the first line of cpu.stat.
fn cpu_usage_v2(host: &Host, cgroup: &core::ffi::CStr) -> u64 {
    let mut memory = [0; 512];
    read(host, cgroup, "cpu", "cpu.stat", &mut memory)
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok())
        })
        .unwrap_or(0)
        * 1000
}
