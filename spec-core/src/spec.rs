//! The top level of config.json, and the pools that its lists share.

use core::marker::PhantomData;

use heapless::Vec;
use static_assertions::const_assert;

use crate::hooks::{Hook, Hooks};
use crate::limits::*;
use crate::linux::{Device, IdMapping, Linux, Pair, TimeOffset};
use crate::message::{Message, text};
use crate::mounts::{Mount, MountPlan};
use crate::process::Process;
use crate::resources::{
    DeviceRule, HugepageLimit, NetworkPriority, RdmaLimit, Resources, ThrottleDevice, WeightDevice,
};
use crate::schema::{Given, Object, Target, Wrong, members, push};
use crate::seccomp::{Argument, Rule, Seccomp};
use crate::text::Text;
use crate::words::{Words, words};
use crate::{hooks, linux, mounts, resources, seccomp};

/// A list of `T` inside one of the pools of [`Spec`]: where it starts and how long it is. All zero is the empty list.
pub struct List<T> {
    pub(crate) start: u16,
    pub(crate) len: u16,
    kind: PhantomData<fn() -> T>,
}

impl<T> List<T> {
    /// The empty list.
    pub const EMPTY: Self = Self::new(0, 0);

    pub(crate) const fn new(start: u16, len: u16) -> Self {
        Self {
            start,
            len,
            kind: PhantomData,
        }
    }

    /// How many elements there are.
    pub fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for List<T> {}
impl<T> core::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "List({}, {})", self.start, self.len)
    }
}
impl<T> Default for List<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A field that makes the absence of its struct all zero bytes.
///
/// `Option` marks absence in the field that has the most values to spare. Where that is a `bool` or an inner `Option`, the
/// mark is 2, and a static [`Spec`] becomes a third of a megabyte of data in the executable. This field has more values to
/// spare than any other, and 0 is the one that rustc takes.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Present {
    Yes = 1,
}

/// Something that is kept in a pool of [`Spec`], so that [`Spec::list`] can find the elements of a [`List`].
pub trait Pooled<'a>: Sized {
    /// The pool of this type.
    fn pool<'s>(spec: &'s Spec<'a>) -> &'s [Self]
    where
        'a: 's;
}

/// config.json. Every string borrows from the arena that [`crate::parse_config`] was given.
///
/// The value of all zero bytes is an empty configuration, so that a static one costs no space in the executable; the
/// pages of a pool that nothing is pushed into are never touched.
pub struct Spec<'a> {
    /// `ociVersion`.
    pub oci_version: Option<Text<'a>>,
    /// `root`.
    pub root: Option<Root<'a>>,
    /// `process`, which `start` needs and `create` may lack.
    pub process: Option<Process<'a>>,
    /// `hostname`.
    pub hostname: Option<Text<'a>>,
    /// `domainname`.
    pub domainname: Option<Text<'a>>,
    /// `mounts`, in the listed order.
    pub mounts: Vec<Mount<'a>, MOUNTS_MAX>,
    /// `hooks`.
    pub hooks: Hooks<'a>,
    /// `annotations`.
    pub annotations: List<Pair<'a>>,
    /// `linux`.
    pub linux: Linux<'a>,

    // The pools. A list that stands in config.json is a contiguous run in one of them.
    pub(crate) texts: Vec<Text<'a>, TEXTS_MAX>,
    pub(crate) pairs: Vec<Pair<'a>, PAIRS_MAX>,
    pub(crate) ids: Vec<u32, IDS_MAX>,
    pub(crate) id_mappings: Vec<IdMapping, ID_MAPPINGS_MAX>,
    pub(crate) hook_entries: Vec<Hook<'a>, HOOKS_MAX>,
    pub(crate) devices: Vec<Device<'a>, DEVICES_MAX>,
    pub(crate) device_rules: Vec<DeviceRule, DEVICE_RULES_MAX>,
    pub(crate) weight_devices: Vec<WeightDevice, BLOCK_DEVICES_MAX>,
    pub(crate) throttle_devices: Vec<ThrottleDevice, BLOCK_DEVICES_MAX>,
    pub(crate) hugepage_limits: Vec<HugepageLimit<'a>, HUGEPAGE_LIMITS_MAX>,
    pub(crate) rdma_limits: Vec<RdmaLimit<'a>, RDMA_LIMITS_MAX>,
    pub(crate) network_priorities: Vec<NetworkPriority<'a>, NETWORK_PRIORITIES_MAX>,
    pub(crate) seccomp_rules: Vec<Rule<'a>, SECCOMP_RULES_MAX>,
    pub(crate) seccomp_arguments: Vec<Argument, SECCOMP_ARGUMENTS_MAX>,
}

/// `root`.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// `path`: absolute, or relative to the bundle.
    pub path: Text<'a>,
    /// `readonly`.
    pub readonly: bool,
    _present: Present,
}

impl<'a> Spec<'a> {
    /// An empty configuration.
    pub const fn new() -> Self {
        Self {
            oci_version: None,
            root: None,
            process: None,
            hostname: None,
            domainname: None,
            mounts: Vec::new(),
            hooks: Hooks::NONE,
            annotations: List::EMPTY,
            linux: Linux::NONE,
            texts: Vec::new(),
            pairs: Vec::new(),
            ids: Vec::new(),
            id_mappings: Vec::new(),
            hook_entries: Vec::new(),
            devices: Vec::new(),
            device_rules: Vec::new(),
            weight_devices: Vec::new(),
            throttle_devices: Vec::new(),
            hugepage_limits: Vec::new(),
            rdma_limits: Vec::new(),
            network_priorities: Vec::new(),
            seccomp_rules: Vec::new(),
            seccomp_arguments: Vec::new(),
        }
    }

    /// The elements of `list`.
    #[inline(never)]
    pub fn list<T: Pooled<'a>>(&self, list: List<T>) -> &[T] {
        let start = usize::from(list.start);
        T::pool(self).get(start..start + list.len()).unwrap_or_default()
    }

    /// The value of the annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<Text<'a>> {
        self.list(self.annotations)
            .iter()
            .find(|pair| pair.key.as_str() == key)
            .map(|pair| pair.value)
    }
}

/// What `exec` changes in the container's process. Each fails, with nothing to add, where a pool is full.
#[allow(
    clippy::result_unit_err,
    reason = "there is one way to fail, and the caller knows the option that did"
)]
impl<'a> Spec<'a> {
    /// Replaces `process.args`. An item that is `None` is a string that cannot be one.
    pub fn set_arguments(&mut self, arguments: impl Iterator<Item = Option<Text<'a>>>) -> Result<(), ()> {
        let start = self.texts.len();
        for argument in arguments {
            self.texts.push(argument.ok_or(())?).map_err(drop)?;
        }
        if let Some(process) = &mut self.process {
            // The pool's capacity fits the index type, see limits.rs.
            process.args = List::new(start as u16, (self.texts.len() - start) as u16);
        }
        Ok(())
    }

    /// Adds to `process.env`, in place of a variable of the same name.
    pub fn add_variable(&mut self, variable: Text<'a>) -> Result<(), ()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let name = |text: &Text<'a>| text.as_str().as_bytes().split(|byte| *byte == b'=').next();
        let start = usize::from(process.env.start);
        let present = self.texts.get_mut(start..start + process.env.len()).unwrap_or_default();
        if let Some(old) = present.iter_mut().find(|old| name(old) == name(&variable)) {
            *old = variable;
            return Ok(());
        }
        process.env = append(&mut self.texts, process.env, variable)?;
        Ok(())
    }

    /// Appends to `process.user.additionalGids`.
    pub fn add_group(&mut self, gid: u32) -> Result<(), ()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        process.user.additional_gids = append(&mut self.ids, process.user.additional_gids, gid)?;
        Ok(())
    }
}

/// Makes `list` longer by `item`. Unless it is the last of its pool already, its elements are copied to the end.
fn append<T: Copy, const N: usize>(pool: &mut Vec<T, N>, list: List<T>, item: T) -> Result<List<T>, ()> {
    let (start, len) = (usize::from(list.start), list.len());
    let at = if start + len == pool.len() { start } else { pool.len() };
    if at != start {
        for index in start..start + len {
            let copy = *pool.get(index).ok_or(())?;
            pool.push(copy).map_err(drop)?;
        }
    }
    pool.push(item).map_err(drop)?;
    Ok(List::new(at as u16, len as u16 + 1))
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self::new()
    }
}

members! {
    const CONFIG, fn store_config(spec: Spec<'a>, given) {
        "ociVersion": Text(Rule::Version), required => spec.oci_version = Some(given.text),
        "root": Object(Object::Root), required => {},
        "process": Object(Object::Process) => {},
        "hostname": Text(Rule::Hostname) => spec.hostname = given.optional_text,
        "domainname": Text(Rule::Hostname) => spec.domainname = given.optional_text,
        "mounts": List(Object::Mount) => {},
        "hooks": Object(Object::Hooks) => {},
        "annotations": Pairs(Rule::Annotation) => spec.annotations = given.list(),
        "linux": Object(Object::Linux) => {},
    }
}

members! {
    const ROOT, fn store_root(root: Root<'a>, given) {
        "path": Text(Rule::NotEmpty), required => root.path = given.text,
        "readonly": Boolean => root.readonly = given.flag(),
    }
}

impl<'a> Target<'a> for Spec<'a> {
    fn open(&mut self, object: Object, blank: Text<'a>) -> Result<(), Object> {
        match object {
            Object::Root => {
                self.root = Some(Root {
                    path: blank,
                    readonly: false,
                    _present: Present::Yes,
                });
            }
            Object::Process => self.process = Some(Process::new(blank)),
            Object::Hooks => self.hooks = Hooks::NONE,
            Object::Monotonic => self.linux.time_offsets.monotonic = Some(TimeOffset::default()),
            Object::Boottime => self.linux.time_offsets.boottime = Some(TimeOffset::default()),
            Object::IntelRdt => self.linux.intel_rdt = Some(linux::IntelRdt::EMPTY),
            Object::MemoryPolicy => self.linux.memory_policy = Some(linux::MemoryPolicy::EMPTY),
            Object::Personality => self.linux.personality = Some(linux::Personality { domain: 0 }),
            Object::Resources => {
                self.linux.resources = Resources::NONE;
                self.linux.resources.present = true;
            }
            Object::Seccomp => self.linux.seccomp = Some(Seccomp::EMPTY),
            Object::Mount => return push(&mut self.mounts, Mount::new(blank), object),
            Object::Namespace => {
                return push(&mut self.linux.namespaces, linux::Namespace::EMPTY, object);
            }
            Object::Text => return push(&mut self.texts, blank, object),
            Object::Id => return push(&mut self.ids, 0, object),
            Object::IdMapping => return push(&mut self.id_mappings, IdMapping::EMPTY, object),
            Object::Hook => return push(&mut self.hook_entries, Hook::new(blank), object),
            Object::Device => return push(&mut self.devices, Device::new(blank), object),
            Object::DeviceRule => return push(&mut self.device_rules, DeviceRule::ALL, object),
            Object::WeightDevice => {
                return push(&mut self.weight_devices, WeightDevice::EMPTY, object);
            }
            Object::ThrottleDevice => {
                return push(&mut self.throttle_devices, ThrottleDevice::EMPTY, object);
            }
            Object::HugepageLimit => {
                return push(&mut self.hugepage_limits, HugepageLimit::new(blank), object);
            }
            Object::RdmaLimit => return push(&mut self.rdma_limits, RdmaLimit::new(blank), object),
            Object::NetworkPriority => {
                return push(&mut self.network_priorities, NetworkPriority::new(blank), object);
            }
            Object::SeccompRule => return push(&mut self.seccomp_rules, Rule::EMPTY, object),
            Object::SeccompArgument => {
                return push(&mut self.seccomp_arguments, Argument::EMPTY, object);
            }
            _ => {
                if let Some(process) = &mut self.process {
                    return process.open(object);
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, object: Object) -> usize {
        match object {
            Object::Text => self.texts.len(),
            Object::Pair => self.pairs.len(),
            Object::Id => self.ids.len(),
            Object::IdMapping => self.id_mappings.len(),
            Object::Hook => self.hook_entries.len(),
            Object::Device => self.devices.len(),
            Object::DeviceRule => self.device_rules.len(),
            Object::WeightDevice => self.weight_devices.len(),
            Object::ThrottleDevice => self.throttle_devices.len(),
            Object::HugepageLimit => self.hugepage_limits.len(),
            Object::RdmaLimit => self.rdma_limits.len(),
            Object::NetworkPriority => self.network_priorities.len(),
            Object::SeccompRule => self.seccomp_rules.len(),
            Object::SeccompArgument => self.seccomp_arguments.len(),
            _ => 0,
        }
    }

    fn clear(&mut self, object: Object) {
        match (object, &mut self.process) {
            (Object::Mount, _) => self.mounts.clear(),
            (Object::Namespace, _) => self.linux.namespaces.clear(),
            (Object::Rlimit, Some(process)) => process.rlimits.clear(),
            _ => {}
        }
    }

    fn store(&mut self, object: Object, member: usize, given: &Given<'a>) {
        // What was opened last is the last of its pool.
        macro_rules! last {
            ($pool:expr, $store:path) => {
                if let [.., last] = $pool.as_mut_slice() {
                    $store(last, member, given);
                }
            };
        }
        macro_rules! present {
            ($place:expr, $store:path) => {
                if let Some(present) = &mut $place {
                    $store(present, member, given);
                }
            };
        }
        let resources = &mut self.linux.resources;
        match object {
            Object::Config => store_config(self, member, given),
            Object::Root => present!(self.root, store_root),
            Object::Hooks => hooks::store_hooks(&mut self.hooks, member, given),
            Object::Hook => last!(self.hook_entries, hooks::store_hook),
            Object::Mount => last!(self.mounts, mounts::store_mount),
            Object::Linux => linux::store_linux(&mut self.linux, member, given),
            Object::Namespace => last!(self.linux.namespaces, linux::store_namespace),
            Object::IdMapping => last!(self.id_mappings, linux::store_id_mapping),
            Object::Monotonic => present!(self.linux.time_offsets.monotonic, linux::store_time_offset),
            Object::Boottime => present!(self.linux.time_offsets.boottime, linux::store_time_offset),
            Object::Device => last!(self.devices, linux::store_device),
            Object::IntelRdt => present!(self.linux.intel_rdt, linux::store_intel_rdt),
            Object::MemoryPolicy => present!(self.linux.memory_policy, linux::store_memory_policy),
            Object::Personality => present!(self.linux.personality, linux::store_personality),
            Object::Resources => resources::store_resources(resources, member, given),
            Object::DeviceRule => last!(self.device_rules, resources::store_device_rule),
            Object::Memory => resources::store_memory(&mut resources.memory, member, given),
            Object::Cpu => resources::store_cpu(&mut resources.cpu, member, given),
            Object::Pids => resources::store_pids(resources, member, given),
            Object::BlockIo => resources::store_block_io(&mut resources.block_io, member, given),
            Object::WeightDevice => last!(self.weight_devices, resources::store_weight_device),
            Object::ThrottleDevice => last!(self.throttle_devices, resources::store_throttle_device),
            Object::HugepageLimit => last!(self.hugepage_limits, resources::store_hugepage_limit),
            Object::Network => resources::store_network(resources, member, given),
            Object::NetworkPriority => last!(self.network_priorities, resources::store_network_priority),
            Object::RdmaLimit => last!(self.rdma_limits, resources::store_rdma_limit),
            Object::Seccomp => present!(self.linux.seccomp, seccomp::store_seccomp),
            Object::SeccompRule => last!(self.seccomp_rules, seccomp::store_rule),
            Object::SeccompArgument => last!(self.seccomp_arguments, seccomp::store_argument),
            Object::Text => {
                if let Some(last) = self.texts.last_mut() {
                    *last = given.text;
                }
            }
            Object::Id => {
                if let Some(last) = self.ids.last_mut() {
                    *last = given.number as u32;
                }
            }
            _ => {
                if let Some(process) = &mut self.process {
                    process.store(object, member, given);
                }
            }
        }
    }

    /// A name that is there already takes the new value, as it does in Go.
    fn store_pair(&mut self, start: usize, pair: Pair<'a>) -> Result<(), Object> {
        let before = self.pairs.get_mut(start..).unwrap_or_default();
        match before.iter_mut().find(|before| before.key == pair.key) {
            Some(before) => {
                *before = pair;
                Ok(())
            }
            None => push(&mut self.pairs, pair, Object::Pair),
        }
    }

    fn close(&mut self, object: Object) -> Result<(), Wrong> {
        match (object, &mut self.process) {
            (Object::Process, Some(process)) => process.close(),
            (Object::Rlimit, Some(process)) => process.close_rlimit(),
            (Object::Mount, _) => {
                if let Some(mount) = self.mounts.last_mut() {
                    mount.close();
                }
                Ok(())
            }
            (Object::Namespace, _) => self.linux.close_namespace(),
            (Object::Device, _) => self.devices.last_mut().map_or(Ok(()), Device::close),
            (Object::Seccomp, _) => self.linux.seccomp.as_ref().map_or(Ok(()), Seccomp::close),
            (Object::SeccompRule, _) => self.seccomp_rules.last().map_or(Ok(()), Rule::close),
            _ => Ok(()),
        }
    }

    fn plan(&mut self) -> Option<&mut MountPlan<'a>> {
        self.mounts.last_mut().map(|mount| &mut mount.plan)
    }
}

/// The annotation that asks for `roci-init`, by `true`.
pub const INIT_ANNOTATION: &str = "io.roci.init";
/// What annotations begin with that say what to do where the host lacks something. The launcher knows what stands behind it.
pub const POLICY_ANNOTATIONS: &str = "io.roci.policy.";
/// The annotations that say what network a container has.
pub const NETWORK_ANNOTATIONS: Words = words!(concat!(
    "io.roci.network io.roci.network.subnet io.roci.network.ip io.roci.network.publish ",
    "io.roci.network.ip-forward ",
));

/// The annotations that say what the root file system is an overlay of; the options of the same names override them.
pub const OVERLAY_ANNOTATIONS: Words = words!(concat!(
    "io.roci.overlay io.roci.overlay.lower io.roci.overlay.upper io.roci.overlay.work io.roci.overlay.size ",
    "io.roci.overlay.tmpfs ",
));

/// What is wrong with the name of an annotation.
pub(crate) fn check_annotation(key: &str) -> Option<Message> {
    if key.is_empty() {
        return Some(text!("the name must not be empty"));
    }
    // Most likely a slip of the keyboard in something that was meant to take effect.
    let is_known = key == INIT_ANNOTATION
        || key.starts_with(POLICY_ANNOTATIONS)
        || OVERLAY_ANNOTATIONS.position(key).is_some()
        || NETWORK_ANNOTATIONS.position(key).is_some()
        || crate::device::settings::is_known(key);
    (key.starts_with("io.roci.") && !is_known).then_some(text!("unknown annotation"))
}

/// What is wrong with `ociVersion`, which may be any version of the first generation. Newer ones add members that may be
/// ignored.
pub(crate) fn check_version(version: &str) -> Option<Message> {
    match major_version(version.as_bytes()) {
        Some(b"1") => None,
        Some(_) => Some(text!("only version 1 is supported: ")),
        None => Some(text!("not a semantic version: ")),
    }
}

/// The first number of a semantic version.
fn major_version(version: &[u8]) -> Option<&[u8]> {
    let (core, suffix) = match version.iter().position(|byte| matches!(byte, b'-' | b'+')) {
        Some(at) => (version.get(..at)?, version.get(at + 1..)?),
        None => (version, &b"0"[..]),
    };
    let mut numbers = core.split(|byte| *byte == b'.');
    let mut number = || {
        let number = numbers.next()?;
        (!number.is_empty() && number.iter().all(u8::is_ascii_digit)).then_some(number)
    };
    let major = number()?;
    number()?;
    number()?;
    let is_suffix = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    let is_complete = numbers.next().is_none() && !suffix.is_empty() && suffix.iter().all(is_suffix);
    is_complete.then_some(major)
}

/// The longest `hostname`; the text of the error has the number in it.
pub(crate) const HOSTNAME_BYTES_SHOWN: usize = 64;
const_assert!(HOSTNAME_BYTES_MAX == HOSTNAME_BYTES_SHOWN);

macro_rules! pooled {
    ($($type:ty => $pool:ident, $max:ident);* $(;)?) => {$(
        impl<'a> Pooled<'a> for $type {
            fn pool<'s>(spec: &'s Spec<'a>) -> &'s [Self] where 'a: 's {
                &spec.$pool
            }
        }
        // A list counts in `u16`.
        const_assert!($max <= u16::MAX as usize);
    )*};
}

pooled! {
    Text<'a> => texts, TEXTS_MAX;
    Pair<'a> => pairs, PAIRS_MAX;
    u32 => ids, IDS_MAX;
    IdMapping => id_mappings, ID_MAPPINGS_MAX;
    Hook<'a> => hook_entries, HOOKS_MAX;
    Device<'a> => devices, DEVICES_MAX;
    DeviceRule => device_rules, DEVICE_RULES_MAX;
    WeightDevice => weight_devices, BLOCK_DEVICES_MAX;
    ThrottleDevice => throttle_devices, BLOCK_DEVICES_MAX;
    HugepageLimit<'a> => hugepage_limits, HUGEPAGE_LIMITS_MAX;
    RdmaLimit<'a> => rdma_limits, RDMA_LIMITS_MAX;
    NetworkPriority<'a> => network_priorities, NETWORK_PRIORITIES_MAX;
    Rule<'a> => seccomp_rules, SECCOMP_RULES_MAX;
    Argument => seccomp_arguments, SECCOMP_ARGUMENTS_MAX;
}

// A document is small and the pools are sized for the worst of them, so this is address space and not memory.
const_assert!(size_of::<Spec<'_>>() <= 512 * 1024);

#[cfg(test)]
mod tests;
