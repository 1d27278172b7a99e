//! Rules that look at more than one field. Those of a single field stand where the field is read.
//!
//! Each rule is a function of its own, runs after the whole document has been read, and names the field that is at fault.

use crate::error::{Cause, Error, Step, limit};
use crate::limits::ID_MAP_EXTENTS_MAX;
use crate::linux::{IdMapping, NamespaceKind};
use crate::process::{Process, SCHEDULER_POLICIES};
use crate::seccomp::Action;
use crate::spec::{List, Spec};
use Step::{Index, Member};

/// The field at fault, and why.
pub(crate) struct Broken<'a> {
    steps: [Step<'a>; STEPS_MAX],
    depth: usize,
    cause: Cause,
}

/// `mounts[3].uidMappings[2]` is the longest path of a rule.
const STEPS_MAX: usize = 4;

impl<'a> Broken<'a> {
    fn new(path: &[Step<'a>], cause: Cause) -> Self {
        let mut steps = [Index(0); STEPS_MAX];
        let depth = path.len().min(STEPS_MAX);
        steps.iter_mut().zip(path).for_each(|(place, step)| *place = *step);
        Self { steps, depth, cause }
    }

    /// The error that points into the document.
    pub(crate) fn in_document(self, document: &'a [u8]) -> Error<'a> {
        Error::new(document, self.steps.get(..self.depth).unwrap_or_default(), self.cause)
    }
}

type Check<'a> = Result<(), Broken<'a>>;

/// The rules for config.json, in the order in which they run.
const RULES: [for<'s, 'a> fn(&'s Spec<'a>) -> Check<'a>; 16] = [
    check_process,
    check_hostname,
    check_domainname,
    check_masked_paths,
    check_readonly_paths,
    check_readonly_root,
    check_mappings_have_user_namespace,
    check_user_namespace_has_mappings,
    check_user_mappings,
    check_group_mappings,
    check_mount_mappings,
    check_idmapped_mounts,
    check_time_offsets,
    check_net_devices,
    check_sysctls,
    check_seccomp_listener,
];

/// Checks config.json.
pub(crate) fn check_config<'a>(spec: &Spec<'a>) -> Check<'a> {
    RULES.iter().try_for_each(|rule| rule(spec))
}

/// Checks the document that `exec --process` reads.
pub(crate) fn check_process_document<'a>(spec: &Spec<'a>) -> Check<'a> {
    spec.process
        .as_ref()
        .map_or(Ok(()), |process| check_scheduler(process, &[]))
}

fn broken<'a>(steps: &[Step<'a>], rule: &'static str) -> Check<'a> {
    Err(Broken::new(steps, Cause::Rule(rule)))
}

fn check_process<'a>(spec: &Spec<'a>) -> Check<'a> {
    spec.process
        .as_ref()
        .map_or(Ok(()), |process| check_scheduler(process, &[Member("process")]))
}

/// The kernel takes each of these numbers with some policies only, and runc says so before the kernel does.
fn check_scheduler<'a>(process: &Process<'a>, above: &[Step<'a>]) -> Check<'a> {
    let Some(scheduler) = process.scheduler else {
        return Ok(());
    };
    let policy = SCHEDULER_POLICIES
        .iter()
        .find(|(_, number)| *number == scheduler.policy)
        .map_or("", |(name, _)| *name);
    let times = [
        ("runtime", scheduler.runtime),
        ("deadline", scheduler.deadline),
        ("period", scheduler.period),
    ];
    let deadline = times.iter().find(|(_, time)| *time != 0 && policy != "SCHED_DEADLINE");
    let (name, rule) = if scheduler.priority != 0 && !matches!(policy, "SCHED_FIFO" | "SCHED_RR") {
        ("priority", "only SCHED_FIFO and SCHED_RR have a priority")
    } else if let Some((name, _)) = deadline {
        (*name, "only SCHED_DEADLINE has times")
    } else {
        return Ok(());
    };
    match above {
        [top, ..] => broken(&[*top, Member("scheduler"), Member(name)], rule),
        [] => broken(&[Member("scheduler"), Member(name)], rule),
    }
}

fn has_namespace(spec: &Spec<'_>, kind: NamespaceKind) -> bool {
    spec.linux.namespace(kind).is_some()
}

fn check_hostname<'a>(spec: &Spec<'a>) -> Check<'a> {
    if spec.hostname.is_some() && !has_namespace(spec, NamespaceKind::Uts) {
        return broken(&[Member("hostname")], "needs a uts namespace");
    }
    Ok(())
}

fn check_domainname<'a>(spec: &Spec<'a>) -> Check<'a> {
    if spec.domainname.is_some() && !has_namespace(spec, NamespaceKind::Uts) {
        return broken(&[Member("domainname")], "needs a uts namespace");
    }
    Ok(())
}

fn check_masked_paths<'a>(spec: &Spec<'a>) -> Check<'a> {
    if !spec.linux.masked_paths.is_empty() && !has_namespace(spec, NamespaceKind::Mount) {
        return broken(&[Member("linux"), Member("maskedPaths")], "needs a mount namespace");
    }
    Ok(())
}

fn check_readonly_paths<'a>(spec: &Spec<'a>) -> Check<'a> {
    if !spec.linux.readonly_paths.is_empty() && !has_namespace(spec, NamespaceKind::Mount) {
        return broken(&[Member("linux"), Member("readonlyPaths")], "needs a mount namespace");
    }
    Ok(())
}

fn check_readonly_root<'a>(spec: &Spec<'a>) -> Check<'a> {
    if spec.root.as_ref().is_some_and(|root| root.readonly) && !has_namespace(spec, NamespaceKind::Mount) {
        return broken(&[Member("root"), Member("readonly")], "needs a mount namespace");
    }
    Ok(())
}

fn check_mappings_have_user_namespace<'a>(spec: &Spec<'a>) -> Check<'a> {
    for (name, mappings) in [
        ("uidMappings", spec.linux.uid_mappings),
        ("gidMappings", spec.linux.gid_mappings),
    ] {
        if !mappings.is_empty() && !has_namespace(spec, NamespaceKind::User) {
            return broken(&[Member("linux"), Member(name)], "needs a user namespace");
        }
    }
    Ok(())
}

fn check_user_namespace_has_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    for (name, mappings) in [
        ("uidMappings", spec.linux.uid_mappings),
        ("gidMappings", spec.linux.gid_mappings),
    ] {
        if mappings.is_empty() && spec.linux.has_new_namespace(NamespaceKind::User) {
            return broken(&[Member("linux"), Member(name)], "a new user namespace needs mappings");
        }
    }
    Ok(())
}

fn check_user_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    check_mappings(
        spec,
        spec.linux.uid_mappings,
        &mut [Member("linux"), Member("uidMappings"), Index(0)],
    )
}

fn check_group_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    check_mappings(
        spec,
        spec.linux.gid_mappings,
        &mut [Member("linux"), Member("gidMappings"), Index(0)],
    )
}

fn check_mount_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    for (index, mount) in spec.mounts.iter().enumerate() {
        if mount.uid_mappings.is_empty() != mount.gid_mappings.is_empty() {
            return broken(
                &[Member("mounts"), Index(index)],
                "uidMappings and gidMappings need each other",
            );
        }
        for (name, list) in [("uidMappings", mount.uid_mappings), ("gidMappings", mount.gid_mappings)] {
            check_mappings(
                spec,
                list,
                &mut [Member("mounts"), Index(index), Member(name), Index(0)],
            )?;
        }
    }
    Ok(())
}

/// Checks one map. The path has a place for the index at its end.
fn check_mappings<'a>(spec: &Spec<'a>, list: List<IdMapping>, path: &mut [Step<'a>]) -> Check<'a> {
    let mappings = spec.list(list);
    let [place @ .., last] = path else { return Ok(()) };
    if mappings.len() > ID_MAP_EXTENTS_MAX {
        return Err(Broken::new(place, limit!(ID_MAP_EXTENTS_MAX)));
    }
    for (index, mapping) in mappings.iter().enumerate() {
        let rule = if mapping.size == 0 {
            "the size must not be 0"
        } else if mapping.container_id.checked_add(mapping.size).is_none() {
            "containerID and size reach beyond 32 bits"
        } else if mapping.host_id.checked_add(mapping.size).is_none() {
            "hostID and size reach beyond 32 bits"
        } else {
            continue;
        };
        *last = Index(index);
        return broken(path, rule);
    }
    Ok(())
}

/// Without mappings of its own a mount takes those of the container.
fn check_idmapped_mounts<'a>(spec: &Spec<'a>) -> Check<'a> {
    if has_namespace(spec, NamespaceKind::User) {
        return Ok(());
    }
    match spec
        .mounts
        .iter()
        .position(|mount| mount.plan.idmap.is_some() && mount.uid_mappings.is_empty())
    {
        Some(index) => broken(
            &[Member("mounts"), Index(index), Member("options")],
            "an id-mapped mount needs mappings or a user namespace",
        ),
        None => Ok(()),
    }
}

fn check_time_offsets<'a>(spec: &Spec<'a>) -> Check<'a> {
    let offsets = spec.linux.time_offsets;
    let is_given = offsets.monotonic.is_some() || offsets.boottime.is_some();
    if is_given && !spec.linux.has_new_namespace(NamespaceKind::Time) {
        return broken(&[Member("linux"), Member("timeOffsets")], "needs a new time namespace");
    }
    Ok(())
}

fn check_net_devices<'a>(spec: &Spec<'a>) -> Check<'a> {
    if !spec.linux.net_devices.is_empty() && !has_namespace(spec, NamespaceKind::Network) {
        return broken(&[Member("linux"), Member("netDevices")], "needs a network namespace");
    }
    Ok(())
}

fn check_sysctls<'a>(spec: &Spec<'a>) -> Check<'a> {
    for pair in spec.list(spec.linux.sysctl) {
        let rule = match sysctl_namespace(pair.key.as_str()) {
            Sysctl::Global => "is not namespaced",
            Sysctl::Misspelt => "has an empty, \".\" or \"..\" component",
            Sysctl::Namespaced(kind) if has_namespace(spec, kind) => continue,
            Sysctl::Namespaced(NamespaceKind::Ipc) => "needs an ipc namespace",
            Sysctl::Namespaced(NamespaceKind::Uts) => "needs a uts namespace",
            Sysctl::Namespaced(NamespaceKind::User) => "needs a user namespace",
            Sysctl::Namespaced(_) => "needs a network namespace",
        };
        return broken(&[Member("linux"), Member("sysctl"), Member(pair.key.as_str())], rule);
    }
    Ok(())
}

enum Sysctl {
    Namespaced(NamespaceKind),
    Global,
    Misspelt,
}

/// The namespace that a sysctl belongs to. A name is spelt with dots or with slashes, whichever comes first in it; the
/// other of the two is then a part of a component (sysctl.d(5)).
fn sysctl_namespace(key: &str) -> Sysctl {
    let separator = key.bytes().find(|byte| b"./".contains(byte)).unwrap_or(b'.');
    let other = if separator == b'.' { b'/' } else { b'.' };
    // What becomes an empty, "." or ".." component of a path leads to somewhere else below /proc/sys.
    let is_misspelt = |part: &[u8]| part.len() <= 2 && part.iter().all(|byte| *byte == other);
    if key.as_bytes().split(|byte| *byte == separator).any(is_misspelt) {
        return Sysctl::Misspelt;
    }
    let mut parts = key.as_bytes().split(|byte| *byte == separator);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let rest = parts.next();
    Sysctl::Namespaced(match (first, second, rest) {
        (b"net", b"", _) => return Sysctl::Global,
        (b"net", _, _) => NamespaceKind::Network,
        (b"user", b"", _) => return Sysctl::Global,
        (b"user", _, _) => NamespaceKind::User,
        (b"fs", b"mqueue", Some(_)) => NamespaceKind::Ipc,
        (b"kernel", b"sem", None) => NamespaceKind::Ipc,
        (b"kernel", name, None) if name.starts_with(b"msg") || name.starts_with(b"shm") => NamespaceKind::Ipc,
        (b"kernel", b"hostname" | b"domainname", None) => NamespaceKind::Uts,
        _ => return Sysctl::Global,
    })
}

fn check_seccomp_listener<'a>(spec: &Spec<'a>) -> Check<'a> {
    let Some(seccomp) = spec.linux.seccomp else {
        return Ok(());
    };
    let notifies = seccomp.default_action == Action::Notify
        || spec
            .list(seccomp.rules)
            .iter()
            .any(|rule| rule.action == Action::Notify);
    if notifies && seccomp.listener_path.is_none() {
        return broken(
            &[Member("linux"), Member("seccomp")],
            "SCMP_ACT_NOTIFY needs listenerPath",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
