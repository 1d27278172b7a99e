//! `events --stats`: what the container uses, in runc's JSON.

use spec_core::state::{State, Status};

use crate::cgroup::Host;
use crate::cgroup::resources::read;
use crate::cli::{Invocation, Opt};
use crate::error::{Error, Result};
use crate::output::Output;
use crate::state::{self, Access, Found};
use crate::text::{Pieces, cut, parse_number};

/// `events`
pub fn events(invocation: &Invocation) -> Result<()> {
    if !invocation.has(Opt::Stats) {
        return Err(Error::usage(
            "events: only --stats is there; a stream of events is not",
            "",
        ));
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
        parse_number(read(host, cgroup.as_c_str(), controller, file, &mut memory)).unwrap_or(0)
    };
    let total = if host.is_v2 {
        cpu_usage_v2(host, cgroup.as_c_str())
    } else {
        number("cpuacct", "cpuacct.usage", "")
    };
    let mut out = Output::new();
    out.str("{\"type\":\"stats\",\"id\":\"").str(id);
    out.str("\",\"data\":{\"cpu\":{\"usage\":{\"total\":").number(total);
    let mut rest = NUMBERS;
    while !rest.is_empty() {
        let mut row = cut(&mut rest, b'\n');
        out.str(cut(&mut row, b' '));
        let (controller, one) = (cut(&mut row, b' '), cut(&mut row, b' '));
        out.number(number(controller, one, row));
    }
    out.str("}}}\n");
    out.finish()
}

/// The numbers after the processor time: what stands before each, its controller, and its file in either version.
const NUMBERS: &str = "\
}},\"memory\":{\"usage\":{\"limit\": memory memory.limit_in_bytes memory.max
,\"usage\": memory memory.usage_in_bytes memory.current
,\"max\": memory memory.max_usage_in_bytes memory.peak
}},\"pids\":{\"current\": pids pids.current pids.current
,\"limit\": pids pids.max pids.max
";

/// Nanoseconds, from the microseconds in the first line of cpu.stat.
fn cpu_usage_v2(host: &Host, cgroup: &core::ffi::CStr) -> u64 {
    let mut memory = [0; 512];
    let mut rest = read(host, cgroup, "cpu", "cpu.stat", &mut memory);
    while !rest.is_empty() {
        let mut line = cut(&mut rest, b'\n');
        if cut(&mut line, b' ') == "usage_usec" {
            return parse_number(line).unwrap_or(0) * 1000;
        }
    }
    0
}
