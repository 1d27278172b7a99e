//! What config.json may ask for and this roci does not do. It is refused: a container that runs without a protection that
//! was asked for is worse than one that does not run.

use spec_core::Spec;

use crate::error::{Error, Result};
use crate::report::Reporter;

/// Warns of limits that are not set: a container without them runs, only less confined than it was meant to be.
pub fn warn(spec: &Spec<'static>, reporter: &Reporter) {
    let resources = &spec.linux.resources;
    let limited = [
        resources.memory.limit.is_some_and(|limit| limit > 0),
        resources.memory.swap.is_some_and(|limit| limit > 0),
        resources.pids_limit.is_some_and(|limit| limit > 0),
        resources.cpu.quota.is_some_and(|quota| quota > 0),
        resources.cpu.shares.is_some_and(|shares| shares > 0),
        resources.cpu.cpus.is_some(),
        !resources.unified.is_empty(),
        !resources.hugepage_limits.is_empty(),
    ];
    if limited.contains(&true) {
        reporter.warn(format_args!("linux.resources: this version of roci sets no limits"));
    }
}

/// Refuses what cannot be done.
pub fn refuse(spec: &Spec<'static>) -> Result<()> {
    let process = spec.process.as_ref();
    let asked: [(&str, bool); 8] = [
        ("linux.seccomp", spec.linux.seccomp.is_some()),
        ("linux.intelRdt", spec.linux.intel_rdt.is_some()),
        ("linux.memoryPolicy", spec.linux.memory_policy.is_some()),
        ("linux.netDevices", !spec.linux.net_devices.is_empty()),
        ("process.apparmorProfile", process.is_some_and(|process| process.apparmor_profile.is_some())),
        ("process.selinuxLabel", process.is_some_and(|process| process.selinux_label.is_some())),
        ("process.scheduler", process.is_some_and(|process| process.scheduler.is_some())),
        ("process.ioPriority", process.is_some_and(|process| process.io_priority.is_some())),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Error::says(format_args!("{field}: not supported by this version of roci"))),
        None => Ok(()),
    }
}
