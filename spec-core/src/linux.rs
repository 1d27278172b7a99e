//! `linux`: what only a Linux host has.

use heapless::Vec;

use crate::limits::NAMESPACES_MAX;
use crate::mounts::{MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use crate::resources::Resources;
use crate::schema::{Kind, Member, Object, Rule, Wrong, members};
use crate::seccomp::Seccomp;
use crate::spec::{List, Present};
use crate::text::{Text, has};
use crate::words::{Family, family};

/// `linux`.
pub struct Linux<'a> {
    /// `namespaces`, no type twice. There is room for one that is.
    pub namespaces: Vec<Namespace<'a>, { NAMESPACES_MAX + 1 }>,
    /// `uidMappings`.
    pub uid_mappings: List<IdMapping>,
    /// `gidMappings`.
    pub gid_mappings: List<IdMapping>,
    /// `timeOffsets`.
    pub time_offsets: TimeOffsets,
    /// `devices`.
    pub devices: List<Device<'a>>,
    /// `netDevices`: name on the host and name in the container (the same where none is given).
    pub net_devices: List<Pair<'a>>,
    /// `cgroupsPath`.
    pub cgroups_path: Option<Text<'a>>,
    /// `resources`.
    pub resources: Resources<'a>,
    /// `sysctl`.
    pub sysctl: List<Pair<'a>>,
    /// `rootfsPropagation`, as `MS_` bits with `MS_REC` where it starts with "r".
    pub rootfs_propagation: Option<u32>,
    /// `maskedPaths`, absolute.
    pub masked_paths: List<Text<'a>>,
    /// `readonlyPaths`, absolute.
    pub readonly_paths: List<Text<'a>>,
    /// `mountLabel`.
    pub mount_label: Option<Text<'a>>,
    /// `seccomp`.
    pub seccomp: Option<Seccomp<'a>>,
    /// `intelRdt`.
    pub intel_rdt: Option<IntelRdt<'a>>,
    /// `memoryPolicy`.
    pub memory_policy: Option<MemoryPolicy<'a>>,
    /// `personality`.
    pub personality: Option<Personality>,
}

impl Linux<'_> {
    /// The empty object.
    pub const NONE: Self = Self {
        namespaces: Vec::new(),
        uid_mappings: List::EMPTY,
        gid_mappings: List::EMPTY,
        time_offsets: TimeOffsets {
            monotonic: None,
            boottime: None,
        },
        devices: List::EMPTY,
        net_devices: List::EMPTY,
        cgroups_path: None,
        resources: Resources::NONE,
        sysctl: List::EMPTY,
        rootfs_propagation: None,
        masked_paths: List::EMPTY,
        readonly_paths: List::EMPTY,
        mount_label: None,
        seccomp: None,
        intel_rdt: None,
        memory_policy: None,
        personality: None,
    };
}

impl<'a> Linux<'a> {
    /// The entry for namespaces of `kind`, or `None` where the container shares the runtime's.
    pub fn namespace(&self, kind: NamespaceKind) -> Option<&Namespace<'a>> {
        self.namespaces.iter().find(|namespace| namespace.kind == kind)
    }

    /// Whether the container gets a new namespace of `kind`.
    pub fn has_new_namespace(&self, kind: NamespaceKind) -> bool {
        self.namespace(kind).is_some_and(|namespace| namespace.path.is_none())
    }
}

/// One element of `namespaces`.
#[derive(Clone, Copy)]
pub struct Namespace<'a> {
    /// `type`.
    pub kind: NamespaceKind,
    /// `path` of a namespace to join, absolute; without one a new namespace is made.
    pub path: Option<Text<'a>>,
}

/// The kinds of namespaces. The value is the kernel's `CLONE_NEW` bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum NamespaceKind {
    /// `time`.
    Time = 0x0000_0080,
    /// `mount`.
    Mount = 0x0002_0000,
    /// `cgroup`.
    Cgroup = 0x0200_0000,
    /// `uts`.
    Uts = 0x0400_0000,
    /// `ipc`.
    Ipc = 0x0800_0000,
    /// `user`.
    User = 0x1000_0000,
    /// `pid`.
    Pid = 0x2000_0000,
    /// `network`.
    Network = 0x4000_0000,
}

impl NamespaceKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Pid,
        Self::Network,
        Self::Ipc,
        Self::Uts,
        Self::Cgroup,
        Self::Time,
        Self::Mount,
    ];

    /// The name that config.json uses.
    pub fn name(self) -> &'static str {
        let place = Self::ALL.iter().position(|kind| *kind == self);
        place
            .and_then(|place| NAMESPACE_NAMES.split().1.get(place))
            .unwrap_or_default()
    }

    /// The file name below `/proc/PID/ns`.
    pub fn proc_name(self) -> &'static core::ffi::CStr {
        match self {
            Self::Time => c"time",
            Self::Mount => c"mnt",
            Self::Cgroup => c"cgroup",
            Self::Uts => c"uts",
            Self::Ipc => c"ipc",
            Self::User => c"user",
            Self::Pid => c"pid",
            Self::Network => c"net",
        }
    }
}

/// The names of the kinds, in the order of [`NamespaceKind::ALL`].
pub(crate) const NAMESPACE_NAMES: Family = family!("", "user pid network ipc uts cgroup time mount ");

/// One element of an id mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// `containerID`.
    pub container_id: u32,
    /// `hostID`.
    pub host_id: u32,
    /// `size`, above 0.
    pub size: u32,
}

/// `timeOffsets`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeOffsets {
    /// `monotonic`.
    pub monotonic: Option<TimeOffset>,
    /// `boottime`.
    pub boottime: Option<TimeOffset>,
}

/// An offset of a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeOffset {
    /// `secs`.
    pub secs: i64,
    /// `nanosecs`.
    pub nanosecs: u32,
}

/// One element of `devices`.
#[derive(Clone, Copy)]
pub struct Device<'a> {
    /// `type`.
    pub kind: DeviceKind,
    /// `path`, absolute, in the container.
    pub path: Text<'a>,
    /// `major`.
    pub major: u32,
    /// `minor`.
    pub minor: u32,
    /// `fileMode`: permission bits (a decimal number in config.json).
    pub file_mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
}

/// `type` of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// `c` and `u`.
    Character,
    /// `b`.
    Block,
    /// `p`.
    Fifo,
}

/// A name and its value: an annotation, a sysctl, a unified resource, a network device.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// The name.
    pub key: Text<'a>,
    /// The value.
    pub value: Text<'a>,
}

/// `intelRdt`.
#[derive(Clone, Copy)]
pub struct IntelRdt<'a> {
    /// `closID`.
    pub clos_id: Option<Text<'a>>,
    /// `l3CacheSchema`.
    pub l3_cache_schema: Option<Text<'a>>,
    /// `memBwSchema`.
    pub mem_bw_schema: Option<Text<'a>>,
    /// `schemata`.
    pub schemata: List<Text<'a>>,
    /// `enableMonitoring`.
    pub enable_monitoring: bool,
    _present: Present,
}

/// `memoryPolicy`, for `set_mempolicy`.
#[derive(Clone, Copy)]
pub struct MemoryPolicy<'a> {
    /// `mode`, as `linux/mempolicy.h` numbers it.
    pub mode: u32,
    /// `flags`, as the kernel's `MPOL_F_` bits.
    pub flags: u32,
    /// `nodes`, as in "0-3,7".
    pub nodes: Option<Text<'a>>,
}

/// `personality`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Personality {
    /// `domain`: the kernel's `PER_LINUX` or `PER_LINUX32`.
    pub domain: u32,
}

/// The kernel's device numbers have 12 bits for the major part.
pub(crate) const MAJOR_MAX: u32 = 0xfff;
/// The kernel's device numbers have 20 bits for the minor part.
pub(crate) const MINOR_MAX: u32 = 0xf_ffff;

/// The words of `rootfsPropagation`; behind them the same with an "r" for `MS_REC`.
pub(crate) const PROPAGATIONS: Family = family!(
    "",
    "private shared slave unbindable rprivate rshared rslave runbindable "
);

/// The `MS_` bits of the word at a place; `None` where there is no word.
fn propagation(place: u64) -> Option<u32> {
    const BITS: [u32; 4] = [MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE];
    let recursive = if place & 4 != 0 { MS_REC } else { 0 };
    (place < 8).then(|| BITS[place as usize % 4] | recursive)
}

/// The modes of `memoryPolicy`, in the order in which `linux/mempolicy.h` numbers them.
pub const MEMORY_POLICY_MODES: Family = family!(
    "MPOL_",
    "DEFAULT PREFERRED BIND INTERLEAVE LOCAL PREFERRED_MANY WEIGHTED_INTERLEAVE "
);

/// The flags of `memoryPolicy`, from the lowest of the kernel's `MPOL_F_` bits on.
pub const MEMORY_POLICY_FLAGS: Family = family!("MPOL_F_", "NUMA_BALANCING RELATIVE_NODES STATIC_NODES ");
/// The kernel's bit for the first of them.
const MEMORY_POLICY_FLAGS_SHIFT: u32 = 13;

members! {
    const LINUX, fn store_linux(linux: Linux<'a>, given) {
        "namespaces": List(Object::Namespace) => {},
        "uidMappings": List(Object::IdMapping) => linux.uid_mappings = given.list(),
        "gidMappings": List(Object::IdMapping) => linux.gid_mappings = given.list(),
        "timeOffsets": Object(Object::TimeOffsets) => {},
        "devices": List(Object::Device) => linux.devices = given.list(),
        "netDevices": Map(Object::NetDevice) => linux.net_devices = given.list(),
        "cgroupsPath": Text(Rule::CgroupsPath) => linux.cgroups_path = given.optional_text,
        "resources": Object(Object::Resources) => {},
        "sysctl": Pairs(Rule::Any) => linux.sysctl = given.list(),
        "rootfsPropagation": OptionalWord(Vocabulary::Propagation) =>
            linux.rootfs_propagation = propagation(given.number),
        "maskedPaths": Texts(Rule::Absolute) => linux.masked_paths = given.list(),
        "readonlyPaths": Texts(Rule::Absolute) => linux.readonly_paths = given.list(),
        "mountLabel": Text(Rule::Optional) => linux.mount_label = given.optional_text,
        "seccomp": Object(Object::Seccomp) => {},
        "intelRdt": Object(Object::IntelRdt) => {},
        "memoryPolicy": Object(Object::MemoryPolicy) => {},
        "personality": Object(Object::Personality) => {},
    }
}

members! {
    const NAMESPACE, fn store_namespace(namespace: Namespace<'a>, given) {
        "type": Word(Vocabulary::Namespace), required => {
            if let Some(kind) = NamespaceKind::ALL.get(given.number as usize) {
                namespace.kind = *kind;
            }
        },
        "path": Text(Rule::OptionalAbsolute) => namespace.path = given.optional_text,
    }
}

members! {
    const ID_MAPPING, fn store_id_mapping(mapping: IdMapping, given) {
        "containerID": Integer(Range::Unsigned32), required => mapping.container_id = given.number as u32,
        "hostID": Integer(Range::Unsigned32), required => mapping.host_id = given.number as u32,
        "size": Integer(Range::Unsigned32), required => mapping.size = given.number as u32,
    }
}

/// `timeOffsets`. Each clock is an object with a place of its own.
pub(crate) const TIME_OFFSETS: &[Member] = &[
    Member {
        name: "monotonic",
        kind: Kind::Object(Object::Monotonic),
        required: false,
    },
    Member {
        name: "boottime",
        kind: Kind::Object(Object::Boottime),
        required: false,
    },
];

members! {
    const TIME_OFFSET, fn store_time_offset(offset: TimeOffset, given) {
        "secs": Integer(Range::Signed64) => offset.secs = given.number as i64,
        "nanosecs": Integer(Range::Nanoseconds) => offset.nanosecs = given.number as u32,
    }
}

/// The words of `type` of a device.
pub(crate) const DEVICE_KINDS: Family = family!("", "c b p u ");

members! {
    const DEVICE, fn store_device(device: Device<'a>, given) {
        "type": Word(Vocabulary::Device), required => {
            device.kind = match given.number {
                1 => DeviceKind::Block,
                2 => DeviceKind::Fifo,
                _ => DeviceKind::Character,
            };
        },
        "path": Text(Rule::Absolute), required => device.path = given.text,
        "major": Integer(Range::Major) => device.major = given.number as u32,
        "minor": Integer(Range::Minor) => device.minor = given.number as u32,
        // Clients write the whole `st_mode`, with the type of the file.
        "fileMode": Integer(Range::Unsigned32) => device.file_mode = Some(given.number as u32 & 0o7777),
        "uid": Integer(Range::Id) => device.uid = Some(given.number as u32),
        "gid": Integer(Range::Id) => device.gid = Some(given.number as u32),
    }
}

/// An element of `netDevices`, which becomes a [`Pair`].
pub(crate) const NET_DEVICE: &[Member] = &[Member {
    name: "name",
    kind: Kind::Text(Rule::NewInterface),
    required: false,
}];

/// What the kernel takes as the name of an interface (`dev_valid_name`), or as a template for one.
pub(crate) fn is_interface_name(name: &str) -> bool {
    let is_forbidden = |byte: u8| byte == b'/' || byte == b':' || byte == 0x0b || byte.is_ascii_whitespace();
    !matches!(name, "" | "." | "..") && name.len() <= 15 && !name.bytes().any(is_forbidden)
}

members! {
    const INTEL_RDT, fn store_intel_rdt(rdt: IntelRdt<'a>, given) {
        "closID": Text(Rule::ClosId) => rdt.clos_id = given.optional_text,
        "l3CacheSchema": Text(Rule::Optional) => rdt.l3_cache_schema = given.optional_text,
        "memBwSchema": Text(Rule::Optional) => rdt.mem_bw_schema = given.optional_text,
        "schemata": Texts(Rule::Any) => rdt.schemata = given.list(),
        "enableMonitoring": Boolean => rdt.enable_monitoring = given.flag(),
    }
}

/// Whether `name` names a file in a directory and nothing outside of it.
pub(crate) fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !has(name, b'/')
}

members! {
    const MEMORY_POLICY, fn store_memory_policy(policy: MemoryPolicy<'a>, given) {
        "mode": Word(Vocabulary::MemoryPolicy), required => policy.mode = given.number as u32,
        "flags": Words(Vocabulary::MemoryPolicyFlag) =>
            policy.flags = (given.number as u32) << MEMORY_POLICY_FLAGS_SHIFT,
        "nodes": Text(Rule::Optional) => policy.nodes = given.optional_text,
    }
}

/// The words for `PER_LINUX`, which is 0, and `PER_LINUX32`.
pub(crate) const PERSONALITIES: Family = family!("LINUX", " 32 ");
/// `PER_LINUX32` of `linux/personality.h`.
const PER_LINUX32: u32 = 8;

members! {
    const PERSONALITY, fn store_personality(personality: Personality, given) {
        "domain": Word(Vocabulary::Domain), required => personality.domain = given.number as u32 * PER_LINUX32,
        "flags": NoFlags => {},
    }
}

impl Linux<'_> {
    /// Whether the last namespace may stand where it does.
    pub(crate) fn close_namespace(&self) -> Result<(), Wrong> {
        if let Some((namespace, before)) = self.namespaces.split_last()
            && before.iter().any(|before| before.kind == namespace.kind)
        {
            return Err(Wrong::SameNamespace);
        }
        Ok(())
    }
}

impl Namespace<'_> {
    pub(crate) const EMPTY: Self = Self {
        kind: NamespaceKind::User,
        path: None,
    };
}

impl IdMapping {
    pub(crate) const EMPTY: Self = Self {
        container_id: 0,
        host_id: 0,
        size: 0,
    };
}

impl IntelRdt<'_> {
    pub(crate) const EMPTY: Self = Self {
        clos_id: None,
        l3_cache_schema: None,
        mem_bw_schema: None,
        schemata: List::EMPTY,
        enable_monitoring: false,
        _present: Present::Yes,
    };
}

impl MemoryPolicy<'_> {
    pub(crate) const EMPTY: Self = Self {
        mode: 0,
        flags: 0,
        nodes: None,
    };
}

impl<'a> Device<'a> {
    /// The numbers that no device can have stand for those that are not given.
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            kind: DeviceKind::Character,
            path: blank,
            major: u32::MAX,
            minor: u32::MAX,
            file_mode: None,
            uid: None,
            gid: None,
        }
    }

    /// A fifo has no numbers, the others need them.
    pub(crate) fn close(&mut self) -> Result<(), Wrong> {
        if self.kind == DeviceKind::Fifo {
            (self.major, self.minor) = (0, 0);
        }
        match (self.major, self.minor) {
            (u32::MAX, _) => Err(Wrong::NoMajor),
            (_, u32::MAX) => Err(Wrong::NoMinor),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
