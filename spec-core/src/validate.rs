//! Rules that look at more than one field. Those of a single field stand where the field is read.
//!
//! They run after the whole document has been read, and name the field that is at fault.

#[cfg(feature = "supervisor")]
use crate::device::settings::Settings;
use crate::error::{Cause, Error, Step};
use crate::limits::ID_MAP_EXTENTS_MAX;
use crate::linux::{IdMapping, NamespaceKind};
use crate::message::{Message, text};
use crate::mounts::Mount;
use crate::process::{SCHED_DEADLINE, SCHED_FIFO, SCHED_RR};
use crate::spec::{List, Spec};
use crate::words::{Words, words};

/// `None` is a rule that is broken.
type Check = Option<()>;

/// Checks config.json.
pub(crate) fn check_config<'a>(spec: &Spec<'a>, document: &'a [u8]) -> Result<(), Error<'a>> {
    let mut checker = Checker::new(spec, document);
    checker.check_config();
    checker.error.map_or(Ok(()), Err)
}

/// Checks the document that `exec --process` reads.
pub(crate) fn check_process_document<'a>(spec: &Spec<'a>, document: &'a [u8]) -> Result<(), Error<'a>> {
    let mut checker = Checker::new(spec, document);
    checker.check_scheduler([words!("scheduler priority "), words!("scheduler policy ")]);
    checker.error.map_or(Ok(()), Err)
}

/// What is checked, and the document to which an error points.
struct Checker<'s, 'a> {
    spec: &'s Spec<'a>,
    document: &'a [u8],
    error: Option<Error<'a>>,
}

const UID_MAPPINGS: Words = words!("linux uidMappings ");
const GID_MAPPINGS: Words = words!("linux gidMappings ");

impl<'s, 'a> Checker<'s, 'a> {
    fn new(spec: &'s Spec<'a>, document: &'a [u8]) -> Self {
        Self {
            spec,
            document,
            error: None,
        }
    }

    fn check_config(&mut self) -> Check {
        let spec = self.spec;
        self.check_scheduler([
            words!("process scheduler priority "),
            words!("process scheduler policy "),
        ])?;
        self.check_namespaces()?;
        self.check_mappings(spec.linux.uid_mappings, UID_MAPPINGS, None)?;
        self.check_mappings(spec.linux.gid_mappings, GID_MAPPINGS, None)?;
        self.check_mount_mappings()?;
        self.check_idmapped_mounts()?;
        self.check_late_namespaces()?;
        self.check_sysctls()?;
        #[cfg(feature = "supervisor")]
        self.check_annotations()?;
        self.check_seccomp_listener()
    }

    /// Points to the field at fault: to the names on the way to it, each with a space behind it, with `#` for an index, and
    /// from there to what `last` says.
    #[cold]
    #[inline(never)]
    fn refuse_for(&mut self, place: Words, index: usize, last: Option<Step<'a>>, cause: Cause) -> Check {
        let mut error = Error::new(self.document, cause);
        let names = place.iter().map(|name| match name {
            "#" => Step::Index(index),
            name => Step::Member(name),
        });
        for step in names.chain(last) {
            error = error.below(step);
        }
        self.error = Some(error);
        None
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, place: Words, index: usize, rule: Message) -> Check {
        self.refuse_for(place, index, None, Cause::Rule(rule))
    }

    /// The kernel takes each of these numbers with some policies only, and runc says so before the kernel does.
    fn check_scheduler(&mut self, [priority, policy]: [Words; 2]) -> Check {
        let Some(scheduler) = self.spec.process.as_ref().and_then(|process| process.scheduler) else {
            return Some(());
        };
        if scheduler.priority != 0 && !matches!(scheduler.policy, SCHED_FIFO | SCHED_RR) {
            return self.refuse(priority, 0, text!("only SCHED_FIFO and SCHED_RR have a priority"));
        }
        if scheduler.runtime | scheduler.deadline | scheduler.period != 0 && scheduler.policy != SCHED_DEADLINE {
            return self.refuse(
                policy,
                0,
                text!("only SCHED_DEADLINE has a runtime, a deadline and a period"),
            );
        }
        Some(())
    }

    fn has_namespace(&self, kind: NamespaceKind) -> bool {
        self.spec.linux.namespace(kind).is_some()
    }

    /// Whether what is given has the namespace that it needs, new or not.
    fn check_namespace(&mut self, is_given: bool, place: Words, kind: NamespaceKind) -> Check {
        if is_given && !self.has_namespace(kind) {
            return self.refuse(place, 0, missing(kind));
        }
        Some(())
    }

    fn check_namespaces(&mut self) -> Check {
        let (spec, linux) = (self.spec, &self.spec.linux);
        let is_readonly = spec.root.as_ref().is_some_and(|root| root.readonly);
        let has_mappings = [!linux.uid_mappings.is_empty(), !linux.gid_mappings.is_empty()];
        let given = [
            spec.hostname.is_some(),
            spec.domainname.is_some(),
            !linux.masked_paths.is_empty(),
            !linux.readonly_paths.is_empty(),
            is_readonly,
            has_mappings[0],
            has_mappings[1],
        ];
        static NEEDS: [(Words, NamespaceKind); 7] = [
            (words!("hostname "), NamespaceKind::Uts),
            (words!("domainname "), NamespaceKind::Uts),
            (words!("linux maskedPaths "), NamespaceKind::Mount),
            (words!("linux readonlyPaths "), NamespaceKind::Mount),
            (words!("root readonly "), NamespaceKind::Mount),
            (UID_MAPPINGS, NamespaceKind::User),
            (GID_MAPPINGS, NamespaceKind::User),
        ];
        for (is_given, (place, kind)) in given.into_iter().zip(&NEEDS) {
            self.check_namespace(is_given, *place, *kind)?;
        }
        for (has_mappings, place) in has_mappings.into_iter().zip([UID_MAPPINGS, GID_MAPPINGS]) {
            if !has_mappings && linux.has_new_namespace(NamespaceKind::User) {
                return self.refuse(place, 0, text!("a new user namespace needs mappings"));
            }
        }
        Some(())
    }

    fn check_late_namespaces(&mut self) -> Check {
        let linux = &self.spec.linux;
        let offsets = &linux.time_offsets;
        let has_offsets = offsets.monotonic.is_some() || offsets.boottime.is_some();
        if has_offsets && !linux.has_new_namespace(NamespaceKind::Time) {
            return self.refuse(words!("linux timeOffsets "), 0, text!("needs a new time namespace"));
        }
        let has_devices = !linux.net_devices.is_empty();
        self.check_namespace(has_devices, words!("linux netDevices "), NamespaceKind::Network)
    }

    fn check_mount_mappings(&mut self) -> Check {
        for (index, mount) in self.spec.mounts.iter().enumerate() {
            let (uids, gids) = (mount.uid_mappings, mount.gid_mappings);
            if uids.is_empty() != gids.is_empty() {
                return self.refuse(
                    words!("mounts # "),
                    index,
                    text!("uidMappings and gidMappings need each other"),
                );
            }
            self.check_mappings(uids, words!("mounts # uidMappings "), Some(index))?;
            self.check_mappings(gids, words!("mounts # gidMappings "), Some(index))?;
        }
        Some(())
    }

    /// Checks one map. `mount` is the index in its place, where there is one.
    #[inline(never)]
    fn check_mappings(&mut self, list: List<IdMapping>, place: Words, mount: Option<usize>) -> Check {
        let mappings = self.spec.list(list);
        let above = mount.unwrap_or_default();
        if mappings.len() > ID_MAP_EXTENTS_MAX {
            let cause = Cause::Limit(text!("ID_MAP_EXTENTS_MAX"), ID_MAP_EXTENTS_MAX as u32);
            return self.refuse_for(place, above, None, cause);
        }
        for (index, mapping) in mappings.iter().enumerate() {
            let rule = if mapping.size == 0 {
                text!("the size must not be 0")
            } else if mapping.container_id.checked_add(mapping.size).is_none() {
                text!("containerID and size reach beyond 32 bits")
            } else if mapping.host_id.checked_add(mapping.size).is_none() {
                text!("hostID and size reach beyond 32 bits")
            } else {
                continue;
            };
            return self.refuse_for(place, above, Some(Step::Index(index)), Cause::Rule(rule));
        }
        Some(())
    }

    /// Without mappings of its own a mount takes those of the container.
    fn check_idmapped_mounts(&mut self) -> Check {
        let lacks_mappings = |mount: &Mount<'_>| mount.plan.idmap.is_some() && mount.uid_mappings.is_empty();
        match self.spec.mounts.iter().position(lacks_mappings) {
            Some(index) if !self.has_namespace(NamespaceKind::User) => self.refuse(
                words!("mounts # options "),
                index,
                text!("an id-mapped mount needs mappings or a user namespace"),
            ),
            _ => Some(()),
        }
    }

    fn check_sysctls(&mut self) -> Check {
        for pair in self.spec.list(self.spec.linux.sysctl) {
            let key = pair.key.as_str();
            let rule = match sysctl_namespace(key) {
                _ if is_misspelt(key) => text!("has an empty, \".\" or \"..\" component"),
                None => text!("is not namespaced"),
                Some(kind) if self.has_namespace(kind) => continue,
                Some(kind) => missing(kind),
            };
            return self.refuse_for(words!("linux sysctl "), 0, Some(Step::Member(key)), Cause::Rule(rule));
        }
        Some(())
    }

    /// The annotations for who supervises the container.
    #[cfg(feature = "supervisor")]
    fn check_annotations(&mut self) -> Check {
        let mut settings = Settings::DEFAULT;
        for pair in self.spec.list(self.spec.annotations) {
            let key = pair.key.as_str();
            if let Some(Err(rule)) = settings.take(key, pair.value.as_str()) {
                return self.refuse_for(words!("annotations "), 0, Some(Step::Member(key)), Cause::Rule(rule));
            }
        }
        match settings.check() {
            Ok(()) => Some(()),
            Err(rule) => self.refuse(words!("annotations "), 0, rule),
        }
    }

    fn check_seccomp_listener(&mut self) -> Check {
        let Some(seccomp) = &self.spec.linux.seccomp else {
            return Some(());
        };
        if seccomp.lacks_listener(self.spec) {
            return self.refuse(words!("linux seccomp "), 0, text!("SCMP_ACT_NOTIFY needs listenerPath"));
        }
        Some(())
    }
}

/// What is wrong where a container does not have the namespace that something needs.
fn missing(kind: NamespaceKind) -> Message {
    match kind {
        NamespaceKind::Uts => text!("needs a uts namespace"),
        NamespaceKind::Ipc => text!("needs an ipc namespace"),
        NamespaceKind::User => text!("needs a user namespace"),
        NamespaceKind::Network => text!("needs a network namespace"),
        _ => text!("needs a mount namespace"),
    }
}

/// The sysctls that belong to a namespace, by how their names begin. A `$` stands for the end of the name.
const SYSCTLS: [(Words, NamespaceKind); 4] = [
    (words!("net. "), NamespaceKind::Network),
    (words!("user. "), NamespaceKind::User),
    (
        words!("fs.mqueue. kernel.msg kernel.sem$ kernel.sem_ kernel.shm "),
        NamespaceKind::Ipc,
    ),
    (words!("kernel.hostname$ kernel.domainname$ "), NamespaceKind::Uts),
];

/// The namespace that a sysctl belongs to.
fn sysctl_namespace(key: &str) -> Option<NamespaceKind> {
    let separator = separator(key);
    let begins = |known: &str| {
        // No byte of a name is the NUL that stands for its end here.
        let mut bytes = key
            .bytes()
            .map(|byte| if byte == separator { b'.' } else { byte })
            .chain([0]);
        let mut known = known.bytes().map(|byte| if byte == b'$' { 0 } else { byte });
        known.all(|byte| bytes.next() == Some(byte))
    };
    let mut sysctls = SYSCTLS.iter();
    sysctls
        .find(|(known, _)| known.iter().any(begins))
        .map(|(_, kind)| *kind)
}

/// A name is spelt with dots or with slashes, whichever comes first in it; the other of the two is then a part of a
/// component (sysctl.d(5)).
#[inline(never)]
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

#[cfg(test)]
mod tests;
