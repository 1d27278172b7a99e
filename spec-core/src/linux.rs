//! `linux`: what only a Linux host has.

use heapless::Vec;

use crate::json::Read;
use crate::limits::NAMESPACES_MAX;
use crate::mounts::{MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use crate::resources::{Resources, read_resources};
use crate::seccomp::{Seccomp, read_seccomp};
use crate::spec::{List, Pool, Present, Spec, push_pair, read_absolute_paths, read_list, read_pairs, read_texts};
use crate::text::Text;
use crate::value::{Value, members};
use crate::words::{NO_WORDS, Words};

/// `linux`.
pub struct Linux<'a> {
    /// `namespaces`, no type twice.
    pub namespaces: Vec<Namespace<'a>, NAMESPACES_MAX>,
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
        match self {
            Self::Time => "time",
            Self::Mount => "mount",
            Self::Cgroup => "cgroup",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::User => "user",
            Self::Pid => "pid",
            Self::Network => "network",
        }
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
pub(crate) const MAJOR_MAX: i64 = 0xfff;
/// The kernel's device numbers have 20 bits for the minor part.
pub(crate) const MINOR_MAX: i64 = 0xf_ffff;

/// The words of `rootfsPropagation`, as `MS_` bits.
fn propagation(word: &str) -> Option<u32> {
    let (word, recursive) = match word.strip_prefix('r') {
        Some(word) => (word, MS_REC),
        None => (word, 0),
    };
    Some(
        recursive
            | match word {
                "private" => MS_PRIVATE,
                "shared" => MS_SHARED,
                "slave" => MS_SLAVE,
                "unbindable" => MS_UNBINDABLE,
                _ => return None,
            },
    )
}

/// The modes of `memoryPolicy`, in the order in which `linux/mempolicy.h` numbers them.
pub const MEMORY_POLICY_MODES: Words = Words::new(
    "MPOL_DEFAULT MPOL_PREFERRED MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL MPOL_PREFERRED_MANY MPOL_WEIGHTED_INTERLEAVE ",
);

/// The flags of `memoryPolicy`, from the lowest of the kernel's `MPOL_F_` bits on.
pub const MEMORY_POLICY_FLAGS: Words = Words::new("MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES ");
/// The kernel's bit for the first of them.
const MEMORY_POLICY_FLAGS_SHIFT: u32 = 13;

/// Reads `linux`.
pub(crate) fn read_linux<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    members!(value, {
        "namespaces" => read_namespaces(value, spec)?,
        "uidMappings" => spec.linux.uid_mappings = read_list(value, spec, read_id_mapping)?,
        "gidMappings" => spec.linux.gid_mappings = read_list(value, spec, read_id_mapping)?,
        "timeOffsets" => read_time_offsets(value, &mut spec.linux.time_offsets)?,
        "devices" => spec.linux.devices = read_list(value, spec, read_device)?,
        "netDevices" => spec.linux.net_devices = read_net_devices(value, spec)?,
        "cgroupsPath" => spec.linux.cgroups_path = read_cgroups_path(value)?,
        "resources" => read_resources(value, spec)?,
        "sysctl" => spec.linux.sysctl = read_pairs(value, spec, |_| None)?,
        "rootfsPropagation" => spec.linux.rootfs_propagation = read_propagation(value)?,
        "maskedPaths" => spec.linux.masked_paths = read_absolute_paths(value, spec)?,
        "readonlyPaths" => spec.linux.readonly_paths = read_absolute_paths(value, spec)?,
        "mountLabel" => value.text_into(&mut spec.linux.mount_label)?,
        "seccomp" => spec.linux.seccomp = Some(read_seccomp(value, spec)?),
        "intelRdt" => spec.linux.intel_rdt = Some(read_intel_rdt(value, spec)?),
        "memoryPolicy" => spec.linux.memory_policy = Some(read_memory_policy(value)?),
        "personality" => spec.linux.personality = Some(read_personality(value)?),
    })
}

fn read_namespaces<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    let namespaces = &mut spec.linux.namespaces;
    namespaces.clear();
    value.array(|_, _, value| {
        let namespace = read_namespace(value)?;
        if namespaces.iter().any(|before| before.kind == namespace.kind) {
            return Err(value.refuse("a namespace of the same type stands before"));
        }
        namespaces
            .push(namespace)
            .map_err(|_| value.refuse_as_too_many("NAMESPACES_MAX", NAMESPACES_MAX))
    })
}

fn read_namespace<'a>(value: &mut Value<'_, 'a>) -> Read<Namespace<'a>> {
    let (mut kind, mut path) = (None, None);
    members!(value, {
        "type" => {
            let word = value.word()?;
            kind = NamespaceKind::ALL.into_iter().find(|kind| kind.name() == word);
            if kind.is_none() {
                return Err(value.refuse("unknown namespace type "));
            }
        },
        "path" => path = value.optional_absolute_path()?,
    })?;
    Ok(Namespace {
        kind: value.require("type", kind)?,
        path,
    })
}

/// Reads one extent of `uidMappings` or `gidMappings`, here and in `mounts`.
pub(crate) fn read_id_mapping<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<IdMapping> {
    let (mut container_id, mut host_id, mut size) = (None, None, None);
    members!(value, {
        "containerID" => value.unsigned_32_into(&mut container_id)?,
        "hostID" => value.unsigned_32_into(&mut host_id)?,
        "size" => value.unsigned_32_into(&mut size)?,
    })?;
    Ok(IdMapping {
        container_id: value.require("containerID", container_id)?,
        host_id: value.require("hostID", host_id)?,
        size: value.require("size", size)?,
    })
}

fn read_time_offsets(value: &mut Value<'_, '_>, offsets: &mut TimeOffsets) -> Read<()> {
    members!(value, offsets, {
        "monotonic" => read_time_offset(value, &mut offsets.monotonic)?,
        "boottime" => read_time_offset(value, &mut offsets.boottime)?,
        // Ignoring a clock that was meant to be shifted would be no service.
        _ => Err(value.refuse("no clock that can have an offset")),
    })
}

fn read_time_offset(value: &mut Value<'_, '_>, place: &mut Option<TimeOffset>) -> Read<()> {
    let offset = place.insert(TimeOffset::default());
    members!(value, offset, {
        "secs" => offset.secs = value.signed()?,
        "nanosecs" => offset.nanosecs = value.between(0, 999_999_999)? as u32,
    })
}

fn read_device<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<Device<'a>> {
    let (mut kind, mut path, mut major, mut minor) = (None, None, None, None);
    let (mut file_mode, mut uid, mut gid) = (None, None, None);
    members!(value, {
        "type" => {
            kind = Some(match value.word()? {
                "c" | "u" => DeviceKind::Character,
                "b" => DeviceKind::Block,
                "p" => DeviceKind::Fifo,
                _ => return Err(value.refuse("unknown device type ")),
            });
        },
        "path" => path = Some(value.absolute_path()?),
        "major" => major = Some(value.between(0, MAJOR_MAX)? as u32),
        "minor" => minor = Some(value.between(0, MINOR_MAX)? as u32),
        // Clients write the whole `st_mode`, with the type of the file.
        "fileMode" => file_mode = Some(value.unsigned_32()? & 0o7777),
        "uid" => value.unsigned_32_into(&mut uid)?,
        "gid" => value.unsigned_32_into(&mut gid)?,
    })?;
    let kind = value.require("type", kind)?;
    if kind == DeviceKind::Fifo {
        (major, minor) = (Some(0), Some(0));
    }
    Ok(Device {
        kind,
        path: value.require("path", path)?,
        major: value.require("major", major)?,
        minor: value.require("minor", minor)?,
        file_mode,
        uid,
        gid,
    })
}

fn read_net_devices<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<List<Pair<'a>>> {
    let start = spec.pairs.len();
    value.object(NO_WORDS, |_, host_name, value| {
        if !is_interface_name(host_name) {
            return Err(value.refuse("not the name of a network interface"));
        }
        let key = value.keep(&[host_name])?;
        let mut pair = Pair { key, value: key };
        members!(value, {
            "name" => if let Some(name) = value.optional_text()? {
                if !is_interface_name(name.as_str()) {
                    return Err(value.refuse("not the name of a network interface: "));
                }
                pair.value = name;
            },
        })?;
        push_pair(pair, start, value, spec)
    })?;
    Ok(Pair::list_from(start, spec))
}

/// What the kernel takes as the name of an interface (`dev_valid_name`), or as a template for one.
fn is_interface_name(name: &str) -> bool {
    let is_forbidden = |byte: u8| byte == b'/' || byte == b':' || byte == 0x0b || byte.is_ascii_whitespace();
    !matches!(name, "" | "." | "..") && name.len() <= 15 && !name.bytes().any(is_forbidden)
}

fn read_cgroups_path<'a>(value: &mut Value<'_, 'a>) -> Read<Option<Text<'a>>> {
    let path = value.optional_text()?;
    if path.is_some_and(|path| path.as_str().split('/').any(|part| part == "..")) {
        return Err(value.refuse("must not have a \"..\" component: "));
    }
    Ok(path)
}

fn read_propagation<'a>(value: &mut Value<'_, 'a>) -> Read<Option<u32>> {
    let word = value.word()?;
    match propagation(word) {
        Some(bits) => Ok(Some(bits)),
        None if word.is_empty() => Ok(None),
        None => Err(value.refuse("unknown propagation ")),
    }
}

fn read_intel_rdt<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<IntelRdt<'a>> {
    let rdt = &mut IntelRdt {
        clos_id: None,
        l3_cache_schema: None,
        mem_bw_schema: None,
        schemata: List::EMPTY,
        enable_monitoring: false,
        _present: Present::Yes,
    };
    members!(value, rdt, {
        "closID" => {
            rdt.clos_id = value.optional_text()?;
            if rdt.clos_id.is_some_and(|id| !is_file_name(id.as_str())) {
                return Err(value.refuse("must be a plain file name: "));
            }
        },
        "l3CacheSchema" => value.text_into(&mut rdt.l3_cache_schema)?,
        "memBwSchema" => value.text_into(&mut rdt.mem_bw_schema)?,
        "schemata" => rdt.schemata = read_texts(value, spec)?,
        "enableMonitoring" => value.boolean_into(&mut rdt.enable_monitoring)?,
    })?;
    Ok(*rdt)
}

/// Whether `name` names a file in a directory and nothing outside of it.
pub(crate) fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains('/')
}

fn read_memory_policy<'a>(value: &mut Value<'_, 'a>) -> Read<MemoryPolicy<'a>> {
    let (mut mode, mut flags, mut nodes) = (None, 0, None);
    members!(value, {
        "mode" => mode = Some(value.one_of(MEMORY_POLICY_MODES, "unknown memory policy ")? as u32),
        "flags" => flags = value.any_of(MEMORY_POLICY_FLAGS, "unknown flag ")? << MEMORY_POLICY_FLAGS_SHIFT,
        "nodes" => value.text_into(&mut nodes)?,
    })?;
    Ok(MemoryPolicy {
        mode: value.require("mode", mode)?,
        flags,
        nodes,
    })
}

/// The words for `PER_LINUX`, which is 0, and `PER_LINUX32`.
const PERSONALITIES: Words = Words::new("LINUX LINUX32 ");
/// `PER_LINUX32` of `linux/personality.h`.
const PER_LINUX32: u32 = 8;

fn read_personality<'a>(value: &mut Value<'_, 'a>) -> Read<Personality> {
    let mut domain = None;
    members!(value, {
        "domain" => domain = Some(value.one_of(PERSONALITIES, "unknown domain ")? as u32 * PER_LINUX32),
        "flags" => value.array(|_, _, value| Err(value.refuse("no flag is supported: ")))?,
    })?;
    Ok(Personality {
        domain: value.require("domain", domain)?,
    })
}

#[cfg(test)]
mod tests;
