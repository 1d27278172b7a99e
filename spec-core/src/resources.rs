//! `linux.resources`: what a cgroup limits. Also the document that `update --resources` reads.

use crate::linux::{DeviceKind, Pair};
use crate::message::{Message, text};
use crate::schema::{Given, members};
use crate::spec::List;
use crate::text::Text;
use crate::words::{Family, family};

/// `resources`. A number that is not given is `None`; 0 is a value.
#[derive(Clone, Copy)]
pub struct Resources<'a> {
    /// Whether `resources` stands in the document at all.
    pub present: bool,
    /// `devices`, applied in order.
    pub devices: List<DeviceRule>,
    /// `memory`.
    pub memory: Memory,
    /// `cpu`.
    pub cpu: Cpu<'a>,
    /// `pids.limit`; -1 is "unlimited".
    pub pids_limit: Option<i64>,
    /// `blockIO`.
    pub block_io: BlockIo,
    /// `hugepageLimits`.
    pub hugepage_limits: List<HugepageLimit<'a>>,
    /// `network.classID`.
    pub network_class_id: Option<u32>,
    /// `network.priorities`.
    pub network_priorities: List<NetworkPriority<'a>>,
    /// `rdma`.
    pub rdma: List<RdmaLimit<'a>>,
    /// `unified`: file and what is written into it, verbatim.
    pub unified: List<Pair<'a>>,
}

impl Resources<'_> {
    /// No limits.
    pub const NONE: Self = Self {
        present: false,
        devices: List::EMPTY,
        memory: Memory {
            limit: None,
            reservation: None,
            swap: None,
            kernel: None,
            kernel_tcp: None,
            swappiness: None,
            disable_oom_killer: false,
            use_hierarchy: false,
            check_before_update: false,
        },
        cpu: Cpu {
            shares: None,
            quota: None,
            burst: None,
            period: None,
            realtime_runtime: None,
            realtime_period: None,
            cpus: None,
            mems: None,
            idle: None,
        },
        pids_limit: None,
        block_io: BlockIo {
            weight: None,
            leaf_weight: None,
            weight_devices: List::EMPTY,
            throttle_read_bps: List::EMPTY,
            throttle_write_bps: List::EMPTY,
            throttle_read_iops: List::EMPTY,
            throttle_write_iops: List::EMPTY,
        },
        hugepage_limits: List::EMPTY,
        network_class_id: None,
        network_priorities: List::EMPTY,
        rdma: List::EMPTY,
        unified: List::EMPTY,
    };
}

/// One element of `devices`. A `None` means all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// `allow`.
    pub allow: bool,
    /// `type`; `None` for `a` and where it is not given.
    pub kind: Option<DeviceKind>,
    /// `major`; `None` for -1 and where it is not given.
    pub major: Option<u32>,
    /// `minor`; `None` for -1 and where it is not given.
    pub minor: Option<u32>,
    /// `access`.
    pub access: DeviceAccess,
}

impl DeviceRule {
    /// Forbids everything, as a rule does that says nothing.
    pub(crate) const ALL: Self = Self {
        allow: false,
        kind: None,
        major: None,
        minor: None,
        access: DeviceAccess {
            read: true,
            write: true,
            mknod: true,
        },
    };
}

/// `access` of a device rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceAccess {
    /// `r`.
    pub read: bool,
    /// `w`.
    pub write: bool,
    /// `m`.
    pub mknod: bool,
}

/// `memory`, in bytes; -1 is "unlimited".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `limit`.
    pub limit: Option<i64>,
    /// `reservation`.
    pub reservation: Option<i64>,
    /// `swap`: memory and swap together.
    pub swap: Option<i64>,
    /// `kernel`, which kernels since 5.16 ignore.
    pub kernel: Option<i64>,
    /// `kernelTCP`.
    pub kernel_tcp: Option<i64>,
    /// `swappiness`, 0 to 100.
    pub swappiness: Option<u64>,
    /// `disableOOMKiller`; runc, too, makes no difference between `false` and absence.
    pub disable_oom_killer: bool,
    /// `useHierarchy`, which every kernel of today does anyhow.
    pub use_hierarchy: bool,
    /// `checkBeforeUpdate`.
    pub check_before_update: bool,
}

/// `cpu`; times in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu<'a> {
    /// `shares`.
    pub shares: Option<u64>,
    /// `quota`; -1 is "unlimited".
    pub quota: Option<i64>,
    /// `burst`.
    pub burst: Option<u64>,
    /// `period`.
    pub period: Option<u64>,
    /// `realtimeRuntime`.
    pub realtime_runtime: Option<i64>,
    /// `realtimePeriod`.
    pub realtime_period: Option<u64>,
    /// `cpus`, as in "0-3,7".
    pub cpus: Option<Text<'a>>,
    /// `mems`, as in "0-3,7".
    pub mems: Option<Text<'a>>,
    /// `idle`: 0 or 1.
    pub idle: Option<i64>,
}

/// `blockIO`.
#[derive(Clone, Copy, Default)]
pub struct BlockIo {
    /// `weight`.
    pub weight: Option<u16>,
    /// `leafWeight`.
    pub leaf_weight: Option<u16>,
    /// `weightDevice`.
    pub weight_devices: List<WeightDevice>,
    /// `throttleReadBpsDevice`.
    pub throttle_read_bps: List<ThrottleDevice>,
    /// `throttleWriteBpsDevice`.
    pub throttle_write_bps: List<ThrottleDevice>,
    /// `throttleReadIOPSDevice`.
    pub throttle_read_iops: List<ThrottleDevice>,
    /// `throttleWriteIOPSDevice`.
    pub throttle_write_iops: List<ThrottleDevice>,
}

/// One element of `weightDevice`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightDevice {
    /// `major`.
    pub major: u32,
    /// `minor`.
    pub minor: u32,
    /// `weight`.
    pub weight: Option<u16>,
    /// `leafWeight`.
    pub leaf_weight: Option<u16>,
}

impl WeightDevice {
    pub(crate) const EMPTY: Self = Self {
        major: 0,
        minor: 0,
        weight: None,
        leaf_weight: None,
    };
}

/// One element of the four throttle lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleDevice {
    /// `major`.
    pub major: u32,
    /// `minor`.
    pub minor: u32,
    /// `rate`, bytes or operations a second.
    pub rate: u64,
}

impl ThrottleDevice {
    pub(crate) const EMPTY: Self = Self {
        major: 0,
        minor: 0,
        rate: 0,
    };
}

/// One element of `hugepageLimits`.
#[derive(Clone, Copy, Debug)]
pub struct HugepageLimit<'a> {
    /// `pageSize`, as in "2MB".
    pub page_size: Text<'a>,
    /// `limit`, bytes.
    pub limit: u64,
}

impl<'a> HugepageLimit<'a> {
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            page_size: blank,
            limit: 0,
        }
    }
}

/// One element of `network.priorities`.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPriority<'a> {
    /// `name` of the interface.
    pub name: Text<'a>,
    /// `priority`.
    pub priority: u32,
}

impl<'a> NetworkPriority<'a> {
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            name: blank,
            priority: 0,
        }
    }
}

/// One member of `rdma`.
#[derive(Clone, Copy, Debug)]
pub struct RdmaLimit<'a> {
    /// The device.
    pub device: Text<'a>,
    /// `hcaHandles`.
    pub hca_handles: Option<u32>,
    /// `hcaObjects`.
    pub hca_objects: Option<u32>,
}

impl<'a> RdmaLimit<'a> {
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            device: blank,
            hca_handles: None,
            hca_objects: None,
        }
    }
}

members! {
    const RESOURCES, fn store_resources(resources: Resources<'a>, given) {
        "devices": List(Object::DeviceRule) => resources.devices = given.list(),
        "memory": Object(Object::Memory) => {},
        "cpu": Object(Object::Cpu) => {},
        "pids": Object(Object::Pids) => {},
        "blockIO": Object(Object::BlockIo) => {},
        "hugepageLimits": List(Object::HugepageLimit) => resources.hugepage_limits = given.list(),
        "network": Object(Object::Network) => {},
        "rdma": Map(Object::RdmaLimit) => resources.rdma = given.list(),
        "unified": Pairs(Rule::UnifiedFile) => resources.unified = given.list(),
    }
}

/// The words of `type` of a device rule. The last means all of them.
pub(crate) const RULE_DEVICE_KINDS: Family = family!("", "c b a ");

members! {
    const DEVICE_RULE, fn store_device_rule(rule: DeviceRule, given) {
        "allow": Boolean => rule.allow = given.flag(),
        "type": OptionalWord(Vocabulary::RuleDevice) => {
            rule.kind = match given.number {
                0 => Some(DeviceKind::Character),
                1 => Some(DeviceKind::Block),
                _ => None,
            };
        },
        "major": Integer(Range::AnyMajor) => rule.major = u32::try_from(given.number).ok(),
        "minor": Integer(Range::AnyMinor) => rule.minor = u32::try_from(given.number).ok(),
        "access": Access => rule.access = DeviceAccess {
            read: given.number & 1 != 0,
            write: given.number & 2 != 0,
            mknod: given.number & 4 != 0,
        },
    }
}

/// The letters of `access`, one bit for each of `rwm`, or what is wrong with them.
pub(crate) fn device_access(letters: &str) -> Result<u64, Message> {
    if letters.is_empty() {
        // As if it were absent, which means all of them.
        return Ok(7);
    }
    let mut bits = 0;
    for letter in letters.bytes() {
        let bit = match letter {
            b'r' => 1,
            b'w' => 2,
            b'm' => 4,
            _ => return Err(text!("unknown access ")),
        };
        if bits & bit != 0 {
            return Err(text!("the same letter twice: "));
        }
        bits |= bit;
    }
    Ok(bits)
}

members! {
    const MEMORY, fn store_memory(memory: Memory, given) {
        "limit": Integer(Range::Bytes) => memory.limit = Some(given.number as i64),
        "reservation": Integer(Range::Bytes) => memory.reservation = Some(given.number as i64),
        "swap": Integer(Range::Bytes) => memory.swap = Some(given.number as i64),
        "kernel": Integer(Range::Bytes) => memory.kernel = Some(given.number as i64),
        "kernelTCP": Integer(Range::Bytes) => memory.kernel_tcp = Some(given.number as i64),
        "swappiness": Integer(Range::Swappiness) =>
            memory.swappiness = (given.number != u64::MAX).then_some(given.number),
        "disableOOMKiller": Boolean => memory.disable_oom_killer = given.flag(),
        "useHierarchy": Boolean => memory.use_hierarchy = given.flag(),
        "checkBeforeUpdate": Boolean => memory.check_before_update = given.flag(),
    }
}

members! {
    const CPU, fn store_cpu(cpu: Cpu<'a>, given) {
        "shares": Integer(Range::Unsigned64) => cpu.shares = Some(given.number),
        "quota": Integer(Range::Signed64) => cpu.quota = Some(given.number as i64),
        "burst": Integer(Range::Unsigned64) => cpu.burst = Some(given.number),
        "period": Integer(Range::Unsigned64) => cpu.period = Some(given.number),
        "realtimeRuntime": Integer(Range::Signed64) => cpu.realtime_runtime = Some(given.number as i64),
        "realtimePeriod": Integer(Range::Unsigned64) => cpu.realtime_period = Some(given.number),
        "cpus": Text(Rule::Optional) => cpu.cpus = given.optional_text,
        "mems": Text(Rule::Optional) => cpu.mems = given.optional_text,
        "idle": Integer(Range::Idle) => cpu.idle = Some(given.number as i64),
    }
}

members! {
    const PIDS, fn store_pids(resources: Resources<'a>, given) {
        "limit": Integer(Range::Signed64) => resources.pids_limit = Some(given.number as i64),
    }
}

members! {
    const BLOCK_IO, fn store_block_io(io: BlockIo, given) {
        "weight": Integer(Range::Unsigned16) => io.weight = Some(given.number as u16),
        "leafWeight": Integer(Range::Unsigned16) => io.leaf_weight = Some(given.number as u16),
        "weightDevice": List(Object::WeightDevice) => io.weight_devices = given.list(),
        "throttleReadBpsDevice": List(Object::ThrottleDevice) => io.throttle_read_bps = given.list(),
        "throttleWriteBpsDevice": List(Object::ThrottleDevice) => io.throttle_write_bps = given.list(),
        "throttleReadIOPSDevice": List(Object::ThrottleDevice) => io.throttle_read_iops = given.list(),
        "throttleWriteIOPSDevice": List(Object::ThrottleDevice) => io.throttle_write_iops = given.list(),
    }
}

// What the lists of `blockIO` have as elements is one object to the specification, with members that are for some of them.
members! {
    const WEIGHT_DEVICE, fn store_weight_device(device: WeightDevice, given) {
        "major": Integer(Range::Major), required => device.major = given.number as u32,
        "minor": Integer(Range::Minor), required => device.minor = given.number as u32,
        "rate": Integer(Range::Unsigned64) => {},
        "weight": Integer(Range::Unsigned16) => device.weight = Some(given.number as u16),
        "leafWeight": Integer(Range::Unsigned16) => device.leaf_weight = Some(given.number as u16),
    }
}

members! {
    const THROTTLE_DEVICE, fn store_throttle_device(device: ThrottleDevice, given) {
        "major": Integer(Range::Major), required => device.major = given.number as u32,
        "minor": Integer(Range::Minor), required => device.minor = given.number as u32,
        "rate": Integer(Range::Unsigned64), required => device.rate = given.number,
        "weight": Integer(Range::Unsigned16) => {},
        "leafWeight": Integer(Range::Unsigned16) => {},
    }
}

members! {
    const HUGEPAGE_LIMIT, fn store_hugepage_limit(limit: HugepageLimit<'a>, given) {
        "pageSize": Text(Rule::PageSize), required => limit.page_size = given.text,
        "limit": Integer(Range::Unsigned64), required => limit.limit = given.number,
    }
}

/// A number and its unit, as the kernel spells them in the names of its files.
pub(crate) fn is_page_size(size: &str) -> bool {
    match size.as_bytes() {
        [b'1'..=b'9', digits @ .., b'K' | b'M' | b'G', b'B'] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

members! {
    const NETWORK, fn store_network(resources: Resources<'a>, given) {
        "classID": Integer(Range::Unsigned32) => resources.network_class_id = Some(given.number as u32),
        "priorities": List(Object::NetworkPriority) => resources.network_priorities = given.list(),
    }
}

members! {
    const NETWORK_PRIORITY, fn store_network_priority(priority: NetworkPriority<'a>, given) {
        "name": Text(Rule::NotEmpty), required => priority.name = given.text,
        "priority": Integer(Range::Unsigned32), required => priority.priority = given.number as u32,
    }
}

members! {
    const RDMA_LIMIT, fn store_rdma_member(limit: RdmaLimit<'a>, given) {
        "hcaHandles": Integer(Range::Unsigned32) => limit.hca_handles = Some(given.number as u32),
        "hcaObjects": Integer(Range::Unsigned32) => limit.hca_objects = Some(given.number as u32),
    }
}
/// The number of no member: the name of the device.
pub(crate) const RDMA_DEVICE: usize = RDMA_LIMIT.len();

pub(crate) fn store_rdma_limit<'a>(limit: &mut RdmaLimit<'a>, member: usize, given: &Given<'a>) {
    if member == RDMA_DEVICE {
        limit.device = given.text;
    }
    store_rdma_member(limit, member, given);
}

#[cfg(test)]
mod tests;
