//! `linux.resources`: what a cgroup limits. Also the document that `update --resources` reads.

use crate::json::Read;
use crate::linux::{DeviceKind, MAJOR_MAX, MINOR_MAX, Pair, is_file_name};
use crate::spec::{List, Pool, Spec, read_list, read_pairs};
use crate::text::Text;
use crate::value::{Value, members};
use crate::words::NO_WORDS;

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

/// One element of `hugepageLimits`.
#[derive(Clone, Copy, Debug)]
pub struct HugepageLimit<'a> {
    /// `pageSize`, as in "2MB".
    pub page_size: Text<'a>,
    /// `limit`, bytes.
    pub limit: u64,
}

/// One element of `network.priorities`.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPriority<'a> {
    /// `name` of the interface.
    pub name: Text<'a>,
    /// `priority`.
    pub priority: u32,
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

/// Reads `resources`.
pub(crate) fn read_resources<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    spec.linux.resources = Resources {
        present: true,
        ..Resources::NONE
    };
    members!(value, {
        "devices" => spec.linux.resources.devices = read_list(value, spec, read_device_rule)?,
        "memory" => read_memory(value, &mut spec.linux.resources.memory)?,
        "cpu" => read_cpu(value, &mut spec.linux.resources.cpu)?,
        "pids" => read_pids_limit(value, &mut spec.linux.resources.pids_limit)?,
        "blockIO" => read_block_io(value, spec)?,
        "hugepageLimits" => spec.linux.resources.hugepage_limits = read_list(value, spec, read_hugepage_limit)?,
        "network" => read_network(value, spec)?,
        "rdma" => spec.linux.resources.rdma = read_rdma(value, spec)?,
        "unified" => spec.linux.resources.unified = read_pairs(value, spec, check_unified_file)?,
    })
}

fn read_device_rule<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<DeviceRule> {
    let access = DeviceAccess {
        read: true,
        write: true,
        mknod: true,
    };
    let rule = &mut DeviceRule {
        allow: false,
        kind: None,
        major: None,
        minor: None,
        access,
    };
    members!(value, rule, {
        "allow" => value.boolean_into(&mut rule.allow)?,
        "type" => {
            rule.kind = match value.word()? {
                "" | "a" => None,
                "c" => Some(DeviceKind::Character),
                "b" => Some(DeviceKind::Block),
                _ => return Err(value.refuse("unknown device type ")),
            }
        },
        "major" => rule.major = u32::try_from(value.between(-1, MAJOR_MAX)?).ok(),
        "minor" => rule.minor = u32::try_from(value.between(-1, MINOR_MAX)?).ok(),
        "access" => rule.access = read_access(value)?,
    })?;
    Ok(*rule)
}

fn read_access<'a>(value: &mut Value<'_, 'a>) -> Read<DeviceAccess> {
    let letters = match value.word()? {
        // As if it were absent, which means all of them.
        "" => "rwm",
        letters => letters,
    };
    let mut access = DeviceAccess::default();
    for letter in letters.bytes() {
        let kind = match letter {
            b'r' => &mut access.read,
            b'w' => &mut access.write,
            b'm' => &mut access.mknod,
            _ => return Err(value.refuse("unknown access ")),
        };
        if *kind {
            return Err(value.refuse("the same letter twice: "));
        }
        *kind = true;
    }
    Ok(access)
}

fn read_memory(value: &mut Value<'_, '_>, memory: &mut Memory) -> Read<()> {
    members!(value, memory, {
        "limit" => read_bytes(value, &mut memory.limit)?,
        "reservation" => read_bytes(value, &mut memory.reservation)?,
        "swap" => read_bytes(value, &mut memory.swap)?,
        "kernel" => read_bytes(value, &mut memory.kernel)?,
        "kernelTCP" => read_bytes(value, &mut memory.kernel_tcp)?,
        "swappiness" => {
            memory.swappiness = match value.unsigned()? {
                // The -1 of old clients, which stands for the default.
                u64::MAX => None,
                101.. => return Err(value.out_of_range()),
                swappiness => Some(swappiness),
            }
        },
        "disableOOMKiller" => value.boolean_into(&mut memory.disable_oom_killer)?,
        "useHierarchy" => value.boolean_into(&mut memory.use_hierarchy)?,
        "checkBeforeUpdate" => value.boolean_into(&mut memory.check_before_update)?,
    })
}

fn read_bytes(value: &mut Value<'_, '_>, place: &mut Option<i64>) -> Read<()> {
    *place = Some(value.between(-1, i64::MAX)?);
    Ok(())
}

fn read_cpu<'a>(value: &mut Value<'_, 'a>, cpu: &mut Cpu<'a>) -> Read<()> {
    members!(value, cpu, {
        "shares" => value.unsigned_into(&mut cpu.shares)?,
        "quota" => value.signed_into(&mut cpu.quota)?,
        "burst" => value.unsigned_into(&mut cpu.burst)?,
        "period" => value.unsigned_into(&mut cpu.period)?,
        "realtimeRuntime" => value.signed_into(&mut cpu.realtime_runtime)?,
        "realtimePeriod" => value.unsigned_into(&mut cpu.realtime_period)?,
        "cpus" => value.text_into(&mut cpu.cpus)?,
        "mems" => value.text_into(&mut cpu.mems)?,
        "idle" => cpu.idle = Some(value.between(0, 1)?),
    })
}

fn read_pids_limit(value: &mut Value<'_, '_>, limit: &mut Option<i64>) -> Read<()> {
    members!(value, {
        "limit" => value.signed_into(limit)?,
    })
}

fn read_block_io<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    members!(value, {
        "weight" => value.unsigned_16_into(&mut spec.linux.resources.block_io.weight)?,
        "leafWeight" => value.unsigned_16_into(&mut spec.linux.resources.block_io.leaf_weight)?,
        "weightDevice" => spec.linux.resources.block_io.weight_devices = read_list(value, spec, read_weight_device)?,
        "throttleReadBpsDevice" => spec.linux.resources.block_io.throttle_read_bps = read_list(value, spec, read_throttle_device)?,
        "throttleWriteBpsDevice" => spec.linux.resources.block_io.throttle_write_bps = read_list(value, spec, read_throttle_device)?,
        "throttleReadIOPSDevice" => spec.linux.resources.block_io.throttle_read_iops = read_list(value, spec, read_throttle_device)?,
        "throttleWriteIOPSDevice" => spec.linux.resources.block_io.throttle_write_iops = read_list(value, spec, read_throttle_device)?,
    })
}

/// What all elements of the lists of `blockIO` can have.
#[derive(Clone, Copy, Default)]
struct BlockDevice {
    major: Option<u32>,
    minor: Option<u32>,
    rate: Option<u64>,
    weight: Option<u16>,
    leaf_weight: Option<u16>,
}

fn read_block_device<'a>(value: &mut Value<'_, 'a>) -> Read<BlockDevice> {
    let device = &mut BlockDevice::default();
    members!(value, device, {
        "major" => device.major = Some(value.between(0, MAJOR_MAX)? as u32),
        "minor" => device.minor = Some(value.between(0, MINOR_MAX)? as u32),
        "rate" => value.unsigned_into(&mut device.rate)?,
        "weight" => value.unsigned_16_into(&mut device.weight)?,
        "leafWeight" => value.unsigned_16_into(&mut device.leaf_weight)?,
    })?;
    value.require("major", device.major)?;
    value.require("minor", device.minor)?;
    Ok(*device)
}

fn read_weight_device<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<WeightDevice> {
    let BlockDevice {
        major,
        minor,
        weight,
        leaf_weight,
        ..
    } = read_block_device(value)?;
    Ok(WeightDevice {
        major: major.unwrap_or_default(),
        minor: minor.unwrap_or_default(),
        weight,
        leaf_weight,
    })
}

fn read_throttle_device<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<ThrottleDevice> {
    let BlockDevice { major, minor, rate, .. } = read_block_device(value)?;
    let rate = value.require("rate", rate)?;
    Ok(ThrottleDevice {
        major: major.unwrap_or_default(),
        minor: minor.unwrap_or_default(),
        rate,
    })
}

fn read_hugepage_limit<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<HugepageLimit<'a>> {
    let (mut page_size, mut limit) = (None, None);
    members!(value, {
        "pageSize" => {
            let size = value.text()?;
            if !is_page_size(size.as_str()) {
                return Err(value.refuse("not a page size such as \"2MB\": "));
            }
            page_size = Some(size);
        },
        "limit" => value.unsigned_into(&mut limit)?,
    })?;
    Ok(HugepageLimit {
        page_size: value.require("pageSize", page_size)?,
        limit: value.require("limit", limit)?,
    })
}

/// A number and its unit, as the kernel spells them in the names of its files.
fn is_page_size(size: &str) -> bool {
    let number = ["KB", "MB", "GB"]
        .iter()
        .find_map(|unit| size.strip_suffix(unit))
        .unwrap_or_default();
    !number.is_empty() && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_network<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    members!(value, {
        "classID" => value.unsigned_32_into(&mut spec.linux.resources.network_class_id)?,
        "priorities" => spec.linux.resources.network_priorities = read_list(value, spec, read_network_priority)?,
    })
}

fn read_network_priority<'a>(value: &mut Value<'_, 'a>, _: &mut Spec<'a>) -> Read<NetworkPriority<'a>> {
    let (mut interface, mut priority) = (None, None);
    members!(value, {
        "name" => interface = Some(value.some_text()?),
        "priority" => value.unsigned_32_into(&mut priority)?,
    })?;
    Ok(NetworkPriority {
        name: value.require("name", interface)?,
        priority: value.require("priority", priority)?,
    })
}

fn read_rdma<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<List<RdmaLimit<'a>>> {
    let start = spec.rdma_limits.len();
    value.object(NO_WORDS, |_, device, value| {
        let mut limit = RdmaLimit {
            device: value.keep(&[device])?,
            hca_handles: None,
            hca_objects: None,
        };
        members!(value, {
            "hcaHandles" => value.unsigned_32_into(&mut limit.hca_handles)?,
            "hcaObjects" => value.unsigned_32_into(&mut limit.hca_objects)?,
        })?;
        limit.push(value, spec)
    })?;
    Ok(RdmaLimit::list_from(start, spec))
}

fn check_unified_file(name: &str) -> Option<&'static str> {
    (!is_file_name(name)).then_some("must be a plain file name")
}

#[cfg(test)]
mod tests;
