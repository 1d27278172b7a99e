//! `linux.resources`, written into the cgroup's files.
//!
//! The names and units are version 1's. For version 2 each value is converted as the peers do it, so that one
//! configuration means the same on both.

use core::ffi::CStr;
use core::fmt;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use spec_core::linux::DeviceKind;
use spec_core::resources::{DeviceRule, Resources, ThrottleDevice};
use spec_core::{List, Spec};

use super::Host;
use crate::container::write_all;
use crate::error::{Error, Result, keep};
use crate::path::Path;

/// Whether a cgroup gets its first limits or other ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `create`: every value counts.
    Create,
    /// `update`: 0 means "leave alone" (Docker sends every group), and device rules are not applied.
    Update,
}

/// Sets everything that `resources` asks for.
///
/// # Errors
/// The kernel's; and where a value belongs to a controller that the host lacks, an error that names it.
pub fn apply(
    host: &Host,
    path: &CStr,
    spec: &Spec<'static>,
    resources: &Resources<'static>,
    purpose: Purpose,
) -> Result<()> {
    let cgroup = Cgroup { host, path };
    if purpose == Purpose::Create {
        apply_devices(&cgroup, spec, resources)?;
    }
    apply_memory(&cgroup, resources)?;
    apply_cpu(&cgroup, resources, purpose)?;
    match resources.pids_limit {
        None => {}
        Some(0) if purpose == Purpose::Update => {}
        // 0 is what clients send for "no limit"; no container could run with none.
        Some(limit) if limit <= 0 => cgroup.set("pids", "pids.max", "pids.max", format_args!("max"))?,
        Some(limit) => cgroup.set("pids", "pids.max", "pids.max", format_args!("{limit}"))?,
    }
    apply_block_io(&cgroup, spec, resources)?;
    for limit in spec.list(resources.hugepage_limits) {
        let size = limit.page_size;
        let one = keep(format_args!("hugetlb.{size}.limit_in_bytes"));
        let two = keep(format_args!("hugetlb.{size}.max"));
        cgroup.set("hugetlb", one, two, format_args!("{}", limit.limit))?;
    }
    if let Some(id) = resources.network_class_id.filter(|id| *id != 0) {
        cgroup.set("net_cls", "net_cls.classid", "", format_args!("{id}"))?;
    }
    for priority in spec.list(resources.network_priorities) {
        let value = format_args!("{} {}", priority.name, priority.priority);
        cgroup.set("net_prio", "net_prio.ifpriomap", "", value)?;
    }
    for limit in spec.list(resources.rdma) {
        for (key, value) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)] {
            if let Some(value) = value {
                cgroup.set(
                    "rdma",
                    "rdma.max",
                    "rdma.max",
                    format_args!("{} {key}={value}", limit.device),
                )?;
            }
        }
    }
    for pair in spec.list(resources.unified) {
        if !host.is_v2 {
            return Err(Error::says(format_args!(
                "linux.resources.unified {}: needs cgroup version 2",
                pair.key
            )));
        }
        let controller = pair.key.as_str().split('.').next().unwrap_or_default();
        cgroup.set(controller, "", pair.key.as_str(), format_args!("{}", pair.value))?;
    }
    Ok(())
}

/// Whether a limit is asked for that a container without a cgroup would lack. Device rules are not counted: who cannot make
/// a cgroup cannot make a device node either.
pub fn asks_for_limits(resources: &Resources<'_>) -> bool {
    let Resources {
        memory,
        cpu,
        block_io: io,
        ..
    } = resources;
    let bytes = [
        memory.limit,
        memory.swap,
        memory.reservation,
        cpu.quota,
        resources.pids_limit,
    ];
    let lists = [
        io.throttle_read_bps,
        io.throttle_write_bps,
        io.throttle_read_iops,
        io.throttle_write_iops,
    ];
    bytes.into_iter().flatten().any(|value| value > 0)
        || cpu.shares.is_some_and(|shares| shares > 0)
        || cpu.cpus.is_some()
        || cpu.mems.is_some()
        || io.weight.is_some_and(|weight| weight > 0)
        || lists.iter().any(|list| !list.is_empty())
        || !resources.hugepage_limits.is_empty()
        || !resources.unified.is_empty()
}

/// Freezes or thaws the cgroup.
pub fn set_frozen(host: &Host, path: &CStr, frozen: bool) -> Result<()> {
    let (one, two) = if frozen { ("FROZEN", "1") } else { ("THAWED", "0") };
    let value = if host.is_v2 { two } else { one };
    Cgroup { host, path }.set("freezer", "freezer.state", "cgroup.freeze", format_args!("{value}"))
}

/// Whether the cgroup is frozen, or being frozen.
pub fn is_frozen(host: &Host, path: &CStr) -> bool {
    let mut memory = [0; 32];
    let name = if host.is_v2 { "cgroup.freeze" } else { "freezer.state" };
    match read(host, path, "freezer", name, &mut memory) {
        Some(text) => text.starts_with("FR") || text.starts_with('1'),
        None => false,
    }
}

/// Reads a file of the cgroup.
pub fn read<'m>(host: &Host, path: &CStr, controller: &str, file: &str, memory: &'m mut [u8]) -> Option<&'m str> {
    let name = Cgroup { host, path }.file(controller, file).ok()??;
    let file = openat(
        &host.top,
        name.as_c_str(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    let n = rustix::io::read(&file, &mut *memory).ok()?;
    Some(core::str::from_utf8(&memory[..n]).ok()?.trim_ascii())
}

struct Cgroup<'a> {
    host: &'a Host,
    path: &'a CStr,
}

impl Cgroup<'_> {
    /// The path of `file` below `/sys/fs/cgroup`; `None` where the host lacks the controller.
    fn file(&self, controller: &str, file: &str) -> core::result::Result<Option<Path>, Errno> {
        let path = self.path.to_bytes();
        if self.host.is_v2 {
            return Path::join(&[&path[1..], b"/", file.as_bytes()]).map(Some);
        }
        let has = |name: &str| name.split(',').any(|name| name == controller);
        let hierarchy = self.host.hierarchies.iter().find(|hierarchy| has(&hierarchy.name));
        hierarchy
            .map(|hierarchy| Path::join(&[hierarchy.name.as_bytes(), path, b"/", file.as_bytes()]))
            .transpose()
    }

    fn try_set(
        &self,
        controller: &str,
        one: &str,
        two: &str,
        value: fmt::Arguments<'_>,
    ) -> core::result::Result<(), Errno> {
        let file = if self.host.is_v2 { two } else { one };
        let name = self
            .file(controller, file)?
            .filter(|_| !file.is_empty())
            .ok_or(Errno::NODEV)?;
        let mut memory = [0; 256];
        let mut text = crate::container::Document::new(&mut memory);
        fmt::write(&mut text, value).map_err(|_| Errno::TOOBIG)?;
        let file = openat(
            &self.host.top,
            name.as_c_str(),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        write_all(file.as_fd(), text.as_bytes())
    }

    /// Writes `value` to the file `one` of version 1 or `two` of version 2.
    fn set(&self, controller: &str, one: &str, two: &str, value: fmt::Arguments<'_>) -> Result<()> {
        match self.try_set(controller, one, two, value) {
            Ok(()) => Ok(()),
            Err(errno) => Err(self.error(controller, if self.host.is_v2 { two } else { one }, errno)),
        }
    }

    /// Writes each of `values` to the file of version 1, one call for each, as it takes them.
    fn set_each(&self, controller: &str, file: &str, values: &[&str]) -> Result<()> {
        let write = || {
            let name = self.file(controller, file)?.ok_or(Errno::NODEV)?;
            let file = openat(
                &self.host.top,
                name.as_c_str(),
                OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            values
                .iter()
                .try_for_each(|value| write_all(file.as_fd(), value.as_bytes()))
        };
        write().map_err(|errno| self.error(controller, file, errno))
    }

    fn error(&self, controller: &str, file: &str, errno: Errno) -> Error {
        if matches!(errno, Errno::NODEV | Errno::NOENT) {
            return Error::says(format_args!(
                "linux.resources: the host has no cgroup controller {controller} with {file}: the kernel needs {}",
                config_option(controller)
            ));
        }
        Error::new_with(format_args!("linux.resources: write {file}"), errno)
    }
}

fn config_option(controller: &str) -> &'static str {
    match controller {
        "memory" => "CONFIG_MEMCG",
        "cpu" => "CONFIG_CGROUP_SCHED",
        "cpuset" => "CONFIG_CPUSETS",
        "pids" => "CONFIG_CGROUP_PIDS",
        "blkio" => "CONFIG_BLK_CGROUP",
        "hugetlb" => "CONFIG_CGROUP_HUGETLB",
        "devices" => "CONFIG_CGROUP_DEVICE",
        "freezer" => "CONFIG_CGROUP_FREEZER",
        "rdma" => "CONFIG_CGROUP_RDMA",
        "net_cls" => "CONFIG_CGROUP_NET_CLASSID",
        "net_prio" => "CONFIG_CGROUP_NET_PRIO",
        _ => "CONFIG_CGROUPS",
    }
}

/// Bytes, where -1 means "unlimited".
struct Bytes(i64, bool);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ..0 if self.1 => f.write_str("max"),
            bytes => write!(f, "{bytes}"),
        }
    }
}

fn apply_memory(cgroup: &Cgroup<'_>, resources: &Resources<'static>) -> Result<()> {
    let memory = &resources.memory;
    let is_v2 = cgroup.host.is_v2;
    // Clients write 0 for a limit that they do not mean.
    let wanted = |value: Option<i64>| value.filter(|value| *value != 0);
    let (limit, swap) = (wanted(memory.limit), wanted(memory.swap));
    let bytes = |value| Bytes(value, is_v2);
    let set_limit = |limit| {
        cgroup.try_set(
            "memory",
            "memory.limit_in_bytes",
            "memory.max",
            format_args!("{}", bytes(limit)),
        )
    };
    let set_swap = |swap: i64| {
        // Version 2 counts swap alone.
        let swap = if is_v2 && swap > 0 {
            swap - limit.unwrap_or(0)
        } else {
            swap
        };
        cgroup.try_set(
            "memory",
            "memory.memsw.limit_in_bytes",
            "memory.swap.max",
            format_args!("{}", bytes(swap)),
        )
    };
    let limit_error = |errno| {
        cgroup.error(
            "memory",
            if is_v2 { "memory.max" } else { "memory.limit_in_bytes" },
            errno,
        )
    };
    let swap_error = |errno| {
        cgroup.error(
            "memory",
            if is_v2 {
                "memory.swap.max"
            } else {
                "memory.memsw.limit_in_bytes"
            },
            errno,
        )
    };
    match (limit, swap) {
        (None, None) => {}
        (Some(limit), None) => set_limit(limit).map_err(limit_error)?,
        (None, Some(swap)) => set_swap(swap).map_err(swap_error)?,
        // Version 1 refuses a limit above the sum with swap, and a sum below the limit: which of them has to move first
        // depends on where they are.
        (Some(limit), Some(swap)) => match set_limit(limit) {
            Ok(()) => set_swap(swap).map_err(swap_error)?,
            Err(Errno::INVAL | Errno::BUSY) => {
                set_swap(swap).map_err(swap_error)?;
                set_limit(limit).map_err(limit_error)?;
            }
            Err(errno) => return Err(limit_error(errno)),
        },
    }
    if let Some(reservation) = wanted(memory.reservation) {
        let value = bytes(reservation);
        cgroup.set(
            "memory",
            "memory.soft_limit_in_bytes",
            "memory.low",
            format_args!("{value}"),
        )?;
    }
    if let Some(kernel_tcp) = wanted(memory.kernel_tcp).filter(|_| !is_v2) {
        cgroup.set(
            "memory",
            "memory.kmem.tcp.limit_in_bytes",
            "",
            format_args!("{kernel_tcp}"),
        )?;
    }
    if let Some(swappiness) = memory.swappiness.filter(|_| !is_v2) {
        cgroup.set("memory", "memory.swappiness", "", format_args!("{swappiness}"))?;
    }
    if memory.disable_oom_killer && !is_v2 {
        cgroup.set("memory", "memory.oom_control", "", format_args!("1"))?;
    }
    Ok(())
}

/// Shares, 2 to 262144, as a weight, 1 to 10000 (the conversion of the cgroup version 2 work in runc and crun).
fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

fn apply_cpu(cgroup: &Cgroup<'_>, resources: &Resources<'static>, purpose: Purpose) -> Result<()> {
    let cpu = &resources.cpu;
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0) {
        let value = if cgroup.host.is_v2 {
            weight_of_shares(shares)
        } else {
            shares
        };
        cgroup.set("cpu", "cpu.shares", "cpu.weight", format_args!("{value}"))?;
    }
    let period = cpu.period.filter(|period| *period != 0);
    let quota = cpu.quota.filter(|quota| *quota != 0);
    if cgroup.host.is_v2 {
        match (quota, period) {
            (None, None) => {}
            (Some(quota), period) if quota > 0 => {
                cgroup.set(
                    "cpu",
                    "",
                    "cpu.max",
                    format_args!("{quota} {}", period.unwrap_or(100_000)),
                )?;
            }
            (_, period) => cgroup.set("cpu", "", "cpu.max", format_args!("max {}", period.unwrap_or(100_000)))?,
        }
    } else {
        // A quota must fit its period, so with both the order depends on where they are.
        let set_period = |period| cgroup.try_set("cpu", "cpu.cfs_period_us", "", format_args!("{period}"));
        let again = match period.map(set_period) {
            None | Some(Ok(())) => false,
            Some(Err(Errno::INVAL)) if quota.is_some() => true,
            Some(Err(errno)) => return Err(cgroup.error("cpu", "cpu.cfs_period_us", errno)),
        };
        if let Some(quota) = quota {
            cgroup.set("cpu", "cpu.cfs_quota_us", "", format_args!("{quota}"))?;
        }
        if again && let Some(period) = period {
            set_period(period).map_err(|errno| cgroup.error("cpu", "cpu.cfs_period_us", errno))?;
        }
    }
    if let Some(burst) = cpu.burst.filter(|burst| *burst != 0 || purpose == Purpose::Create) {
        cgroup.set("cpu", "cpu.cfs_burst_us", "cpu.max.burst", format_args!("{burst}"))?;
    }
    if let Some(period) = cpu.realtime_period.filter(|period| *period != 0) {
        cgroup.set("cpu", "cpu.rt_period_us", "", format_args!("{period}"))?;
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime != 0) {
        cgroup.set("cpu", "cpu.rt_runtime_us", "", format_args!("{runtime}"))?;
    }
    if let Some(idle) = cpu.idle {
        cgroup.set("cpu", "cpu.idle", "cpu.idle", format_args!("{idle}"))?;
    }
    if let Some(cpus) = cpu.cpus {
        cgroup.set("cpuset", "cpuset.cpus", "cpuset.cpus", format_args!("{cpus}"))?;
    }
    if let Some(mems) = cpu.mems {
        cgroup.set("cpuset", "cpuset.mems", "cpuset.mems", format_args!("{mems}"))?;
    }
    Ok(())
}

fn apply_block_io(cgroup: &Cgroup<'_>, spec: &Spec<'static>, resources: &Resources<'static>) -> Result<()> {
    let io = &resources.block_io;
    if let Some(weight) = io.weight.filter(|weight| *weight != 0) {
        set_weight(cgroup, "", weight)?;
    }
    for device in spec.list(io.weight_devices) {
        if let Some(weight) = device.weight.filter(|weight| *weight != 0) {
            set_weight(cgroup, keep(format_args!("{}:{} ", device.major, device.minor)), weight)?;
        }
    }
    let lists: [(List<ThrottleDevice>, &str, &str); 4] = [
        (io.throttle_read_bps, "blkio.throttle.read_bps_device", "rbps="),
        (io.throttle_write_bps, "blkio.throttle.write_bps_device", "wbps="),
        (io.throttle_read_iops, "blkio.throttle.read_iops_device", "riops="),
        (io.throttle_write_iops, "blkio.throttle.write_iops_device", "wiops="),
    ];
    for (list, one, key) in lists {
        let key = if cgroup.host.is_v2 { key } else { "" };
        for device in spec.list(list) {
            let value = format_args!("{}:{} {key}{}", device.major, device.minor, device.rate);
            cgroup.set("blkio", one, "io.max", value)?;
        }
    }
    Ok(())
}

/// The weight's file depends on the scheduler that the kernel has: CFQ's of old, or BFQ's.
fn set_weight(cgroup: &Cgroup<'_>, device: &str, weight: u16) -> Result<()> {
    let (plain, bfq) = if device.is_empty() {
        ("blkio.weight", "blkio.bfq.weight")
    } else {
        ("blkio.weight_device", "blkio.bfq.weight_device")
    };
    match cgroup.try_set("blkio", bfq, "io.bfq.weight", format_args!("{device}{weight}")) {
        Err(Errno::NOENT | Errno::ACCESS) => {
            // io.weight goes to 10000 where the others go to 1000.
            let value = if cgroup.host.is_v2 {
                1 + (u64::from(weight.max(10)) - 10) * 9999 / 990
            } else {
                weight.into()
            };
            cgroup.set("blkio", plain, "io.weight", format_args!("{device}{value}"))
        }
        other => other.map_err(|errno| cgroup.error("blkio", bfq, errno)),
    }
}

/// What every container may use, whatever its rules say: the default devices and terminals, and making any node, which
/// opens none (as runc and crun).
const ALWAYS: [&str; 12] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:200 rwm",
];

/// Version 1 has a file for each direction; version 2 needs a program, which is not attached.
fn apply_devices(cgroup: &Cgroup<'_>, spec: &Spec<'static>, resources: &Resources<'static>) -> Result<()> {
    let rules = spec.list(resources.devices);
    if rules.is_empty() || cgroup.host.is_v2 {
        return Ok(());
    }
    for rule in rules {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        match cgroup.try_set("devices", file, "", format_args!("{}", V1Rule(rule))) {
            Ok(()) => {}
            // A host without the controller: not a node that is missing can be opened in any case.
            Err(Errno::NODEV) if !rule.allow => return Ok(()),
            Err(errno) => return Err(cgroup.error("devices", file, errno)),
        }
    }
    // A list that forbids nothing forbids none of these either.
    if rules.iter().any(|rule| !rule.allow) {
        cgroup.set_each("devices", "devices.allow", &ALWAYS)?;
    }
    Ok(())
}

struct V1Rule<'a>(&'a DeviceRule);

impl fmt::Display for V1Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.0;
        let kind = match rule.kind {
            None if rule.major.is_none() && rule.minor.is_none() => return f.write_str("a"),
            None => 'a',
            Some(DeviceKind::Block) => 'b',
            Some(_) => 'c',
        };
        write!(f, "{kind} ")?;
        for (number, end) in [(rule.major, ":"), (rule.minor, " ")] {
            match number {
                Some(number) => write!(f, "{number}{end}")?,
                None => write!(f, "*{end}")?,
            }
        }
        for (granted, letter) in [
            (rule.access.read, "r"),
            (rule.access.write, "w"),
            (rule.access.mknod, "m"),
        ] {
            if granted {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec_core::resources::DeviceAccess;
    use std::string::ToString;

    #[test]
    fn rules_as_version_1_writes_them() {
        let access = DeviceAccess {
            read: true,
            write: false,
            mknod: true,
        };
        let all = DeviceRule {
            allow: false,
            kind: None,
            major: None,
            minor: None,
            access,
        };
        assert_eq!(V1Rule(&all).to_string(), "a");
        let tty = DeviceRule {
            allow: true,
            kind: Some(DeviceKind::Character),
            major: Some(136),
            minor: None,
            access,
        };
        assert_eq!(V1Rule(&tty).to_string(), "c 136:* rm");
    }

    #[test]
    fn shares_become_weights() {
        assert_eq!(
            (weight_of_shares(2), weight_of_shares(1024), weight_of_shares(262_144)),
            (1, 39, 10_000)
        );
        assert_eq!((weight_of_shares(0), weight_of_shares(u64::MAX)), (1, 10_000));
    }
}
