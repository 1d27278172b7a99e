//! Rules that look at more than one field. Those of a single field stand where the field is read.
//!
//! Each rule is a function of its own, runs after the whole document has been read, and names the field that is at fault.

use crate::error::{Cause, Error, Step};
use crate::limits::ID_MAP_EXTENTS_MAX;
use crate::linux::{IdMapping, NamespaceKind};
use crate::process::{Process, SCHEDULER_POLICIES};
use crate::seccomp::Action;
use crate::spec::{List, Spec};

/// The field at fault, and why.
pub(crate) struct Broken<'a> {
    /// The path of the field, with `#` for an index, as in `mounts.#.options`.
    place: &'static str,
    /// What the `#` stand for.
    indices: [usize; 2],
    /// A name at the end of the path that is not ours.
    key: Option<&'a str>,
    cause: Cause,
}

impl<'a> Broken<'a> {
    fn new(place: &'static str, rule: &'static str) -> Self {
        Self {
            place,
            indices: [0; 2],
            key: None,
            cause: Cause::Rule(rule),
        }
    }

    /// The error that points into the document.
    pub(crate) fn in_document(self, document: &'a [u8]) -> Error<'a> {
        let mut indices = self.indices.into_iter();
        let mut error = Error::new(document, &[], self.cause);
        for name in self.place.split('.') {
            error = error.below(match name {
                "#" => Step::Index(indices.next().unwrap_or_default()),
                name => Step::Member(name),
            });
        }
        match self.key {
            Some(key) => error.below(Step::Member(key)),
            None => error,
        }
    }
}

type Check<'a> = Result<(), Broken<'a>>;

/// The rules for config.json, in the order in which they run.
const RULES: [for<'s, 'a> fn(&'s Spec<'a>) -> Check<'a>; 15] = [
    check_process,
    check_hostname,
    check_domainname,
    check_masked_paths,
    check_readonly_paths,
    check_readonly_root,
    check_mappings_have_user_namespace,
    check_user_namespace_has_mappings,
    check_host_mappings,
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
    spec.process.as_ref().map_or(Ok(()), |process| {
        check_scheduler(process, ["scheduler.priority", "scheduler.policy"])
    })
}

fn broken<'a>(place: &'static str, rule: &'static str) -> Check<'a> {
    Err(Broken::new(place, rule))
}

fn check_process<'a>(spec: &Spec<'a>) -> Check<'a> {
    spec.process.as_ref().map_or(Ok(()), |process| {
        check_scheduler(process, ["process.scheduler.priority", "process.scheduler.policy"])
    })
}

/// The kernel takes each of these numbers with some policies only, and runc says so before the kernel does.
fn check_scheduler<'a>(process: &Process<'a>, [priority, policy]: [&'static str; 2]) -> Check<'a> {
    let Some(scheduler) = process.scheduler else {
        return Ok(());
    };
    let name = SCHEDULER_POLICIES
        .iter()
        .nth(scheduler.policy as usize)
        .unwrap_or_default();
    if scheduler.priority != 0 && !matches!(name, "SCHED_FIFO" | "SCHED_RR") {
        return broken(priority, "only SCHED_FIFO and SCHED_RR have a priority");
    }
    if scheduler.runtime | scheduler.deadline | scheduler.period != 0 && name != "SCHED_DEADLINE" {
        return broken(policy, "only SCHED_DEADLINE has a runtime, a deadline and a period");
    }
    Ok(())
}

fn has_namespace(spec: &Spec<'_>, kind: NamespaceKind) -> bool {
    spec.linux.namespace(kind).is_some()
}

fn check_hostname<'a>(spec: &Spec<'a>) -> Check<'a> {
    if spec.hostname.is_some() && !has_namespace(spec, NamespaceKind::Uts) {
        return broken("hostname", "needs a uts namespace");
    }
    Ok(())
}

fn check_domainname<'a>(spec: &Spec<'a>) -> Check<'a> {
    if spec.domainname.is_some() && !has_namespace(spec, NamespaceKind::Uts) {
        return broken("domainname", "needs a uts namespace");
    }
    Ok(())
}

fn check_masked_paths<'a>(spec: &Spec<'a>) -> Check<'a> {
    if !spec.linux.masked_paths.is_empty() && !has_namespace(spec, NamespaceKind::Mount) {
        return broken("linux.maskedPaths", "needs a mount namespace");
    }
    Ok(())
}

fn check_readonly_paths<'a>(spec: &Spec<'a>) -> Check<'a> {
    if !spec.linux.readonly_paths.is_empty() && !has_namespace(spec, NamespaceKind::Mount) {
        return broken("linux.readonlyPaths", "needs a mount namespace");
    }
    Ok(())
}

fn check_readonly_root<'a>(spec: &Spec<'a>) -> Check<'a> {
    if spec.root.as_ref().is_some_and(|root| root.readonly) && !has_namespace(spec, NamespaceKind::Mount) {
        return broken("root.readonly", "needs a mount namespace");
    }
    Ok(())
}

fn check_mappings_have_user_namespace<'a>(spec: &Spec<'a>) -> Check<'a> {
    for (place, mappings) in [UID_MAPPINGS, GID_MAPPINGS].into_iter().zip(host_mappings(spec)) {
        if !mappings.is_empty() && !has_namespace(spec, NamespaceKind::User) {
            return broken(place, "needs a user namespace");
        }
    }
    Ok(())
}

fn check_user_namespace_has_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    for (place, mappings) in [UID_MAPPINGS, GID_MAPPINGS].into_iter().zip(host_mappings(spec)) {
        if mappings.is_empty() && spec.linux.has_new_namespace(NamespaceKind::User) {
            return broken(place, "a new user namespace needs mappings");
        }
    }
    Ok(())
}

const UID_MAPPINGS: &str = "linux.uidMappings";
const GID_MAPPINGS: &str = "linux.gidMappings";

fn host_mappings(spec: &Spec<'_>) -> [List<IdMapping>; 2] {
    [spec.linux.uid_mappings, spec.linux.gid_mappings]
}

fn check_host_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    check_mappings(spec, spec.linux.uid_mappings, [UID_MAPPINGS, "linux.uidMappings.#"], 0)?;
    check_mappings(spec, spec.linux.gid_mappings, [GID_MAPPINGS, "linux.gidMappings.#"], 0)
}

fn check_mount_mappings<'a>(spec: &Spec<'a>) -> Check<'a> {
    for (index, mount) in spec.mounts.iter().enumerate() {
        let (uids, gids) = (mount.uid_mappings, mount.gid_mappings);
        if uids.is_empty() != gids.is_empty() {
            let broken = Broken::new("mounts.#", "uidMappings and gidMappings need each other");
            return Err(Broken {
                indices: [index, 0],
                ..broken
            });
        }
        check_mappings(spec, uids, ["mounts.#.uidMappings", "mounts.#.uidMappings.#"], index)?;
        check_mappings(spec, gids, ["mounts.#.gidMappings", "mounts.#.gidMappings.#"], index)?;
    }
    Ok(())
}

/// Checks one map. `places` are the paths of the list and of an element, `mount` is the index in them that is known.
fn check_mappings<'a>(spec: &Spec<'a>, list: List<IdMapping>, places: [&'static str; 2], mount: usize) -> Check<'a> {
    let mappings = spec.list(list);
    if mappings.len() > ID_MAP_EXTENTS_MAX {
        let broken = Broken::new(places[0], "");
        return Err(Broken {
            indices: [mount, 0],
            cause: Cause::Limit("ID_MAP_EXTENTS_MAX", ID_MAP_EXTENTS_MAX),
            ..broken
        });
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
        // The paths of `linux` have one index, those of `mounts` have another one before it.
        let indices = if places[0].contains('#') {
            [mount, index]
        } else {
            [index, 0]
        };
        return Err(Broken {
            indices,
            ..Broken::new(places[1], rule)
        });
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
        Some(index) => {
            let broken = Broken::new(
                "mounts.#.options",
                "an id-mapped mount needs mappings or a user namespace",
            );
            Err(Broken {
                indices: [index, 0],
                ..broken
            })
        }
        None => Ok(()),
    }
}

fn check_time_offsets<'a>(spec: &Spec<'a>) -> Check<'a> {
    let offsets = spec.linux.time_offsets;
    let is_given = offsets.monotonic.is_some() || offsets.boottime.is_some();
    if is_given && !spec.linux.has_new_namespace(NamespaceKind::Time) {
        return broken("linux.timeOffsets", "needs a new time namespace");
    }
    Ok(())
}

fn check_net_devices<'a>(spec: &Spec<'a>) -> Check<'a> {
    if !spec.linux.net_devices.is_empty() && !has_namespace(spec, NamespaceKind::Network) {
        return broken("linux.netDevices", "needs a network namespace");
    }
    Ok(())
}

fn check_sysctls<'a>(spec: &Spec<'a>) -> Check<'a> {
    for pair in spec.list(spec.linux.sysctl) {
        let key = pair.key.as_str();
        let rule = match sysctl_namespace(key) {
            _ if is_misspelt(key) => "has an empty, \".\" or \"..\" component",
            None => "is not namespaced",
            Some((kind, _)) if has_namespace(spec, kind) => continue,
            Some((_, rule)) => rule,
        };
        return Err(Broken {
            key: Some(key),
            ..Broken::new("linux.sysctl", rule)
        });
    }
    Ok(())
}

/// The sysctls that belong to a namespace, by how their names begin.
const SYSCTLS: [(&str, NamespaceKind, &str); 9] = [
    ("net.", NamespaceKind::Network, "needs a network namespace"),
    ("user.", NamespaceKind::User, "needs a user namespace"),
    ("fs.mqueue.", NamespaceKind::Ipc, "needs an ipc namespace"),
    ("kernel.msg", NamespaceKind::Ipc, "needs an ipc namespace"),
    ("kernel.sem\0", NamespaceKind::Ipc, "needs an ipc namespace"),
    ("kernel.sem_", NamespaceKind::Ipc, "needs an ipc namespace"),
    ("kernel.shm", NamespaceKind::Ipc, "needs an ipc namespace"),
    ("kernel.hostname\0", NamespaceKind::Uts, "needs a uts namespace"),
    ("kernel.domainname\0", NamespaceKind::Uts, "needs a uts namespace"),
];

/// The namespace that a sysctl belongs to, and what is wrong where the container does not have it.
fn sysctl_namespace(key: &str) -> Option<(NamespaceKind, &'static str)> {
    let begins = |known: &str| {
        // The NUL at the end of a known name stands for the end of the key.
        let mut bytes = key
            .bytes()
            .map(|byte| if byte == separator(key) { b'.' } else { byte })
            .chain([0]);
        known.bytes().all(|byte| bytes.next() == Some(byte))
    };
    SYSCTLS
        .iter()
        .find(|(known, ..)| begins(known))
        .map(|(_, kind, rule)| (*kind, *rule))
}

/// A name is spelt with dots or with slashes, whichever comes first in it; the other of the two is then a part of a
/// component (sysctl.d(5)).
fn separator(key: &str) -> u8 {
    key.bytes().find(|byte| matches!(byte, b'.' | b'/')).unwrap_or(b'.')
}

/// Whether the name, as a path, would lead to somewhere else below /proc/sys, or out of it.
fn is_misspelt(key: &str) -> bool {
    let separator = separator(key);
    // Bytes of the component so far, and whether all of them become dots.
    let (mut length, mut dots) = (0, true);
    for byte in key.bytes().chain([separator]) {
        if byte != separator {
            length += 1;
            dots &= matches!(byte, b'.' | b'/');
        } else if dots && length <= 2 {
            return true;
        } else {
            (length, dots) = (0, true);
        }
    }
    false
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
        return broken("linux.seccomp", "SCMP_ACT_NOTIFY needs listenerPath");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
