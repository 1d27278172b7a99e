//! `linux.resources`, written into the cgroup's files.
//!
//! The names and units are version 1's. For version 2 each value is converted as the peers do it, so that one
//! configuration means the same on both.

use core::cell::Cell;
use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::resources::Resources;
use sys::OwnedFd;

use super::devices::apply_devices;
use super::files::File;
use super::{Hierarchies, Host};
use crate::container::write_all;
use crate::error::{Error, Result, keep};
use crate::limits::asks_for_limits;
use crate::msg;
use crate::path::Path;
use crate::policy::{Feature, is_off, is_preferred};
use crate::report;
use crate::text::{Digits, Line, Pieces, cut, utf8};
use crate::texts::Text;

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
///
/// A hierarchy of version 1 that the cgroup is not in yet is made where a limit needs it, and noted in `made`.
pub fn apply(
    host: &Host,
    path: &CStr,
    made: &Cell<Hierarchies>,
    spec: &Spec<'static>,
    resources: &Resources<'static>,
    purpose: Purpose,
) -> Result<()> {
    let cgroup = Cgroup {
        host,
        path,
        made: Some(made),
    };
    if purpose == Purpose::Create && !is_off(Feature::Devices) {
        apply_devices(&cgroup, spec, resources)?;
    }
    if is_off(Feature::Limits) {
        return Ok(());
    }
    apply_memory(&cgroup, resources)?;
    apply_cpu(&cgroup, resources, purpose)?;
    match resources.pids_limit {
        None => {}
        Some(0) if purpose == Purpose::Update => {}
        // 0 is what clients send for "no limit"; no container could run with none.
        Some(limit) if limit <= 0 => cgroup.set_text(File::Pids, "max")?,
        Some(limit) => cgroup.set(File::Pids, limit as u64)?,
    }
    apply_block_io(&cgroup, spec, resources)?;
    for limit in spec.list(resources.hugepage_limits) {
        let mut name = Line::new();
        name.str("hugetlb.").str(limit.page_size.as_str());
        name.str(if host.is_v2 { ".max" } else { ".limit_in_bytes" });
        let name = name.text().unwrap_or_default();
        cgroup.set_named("hugetlb", name, Digits::of(limit.limit).as_str())?;
    }
    cgroup.set_meant(File::NetworkClass, resources.network_class_id.map(i64::from))?;
    for priority in spec.list(resources.network_priorities) {
        let mut line = Line::new();
        line.str(priority.name.as_str())
            .str(" ")
            .number(priority.priority.into());
        cgroup.set_line(File::NetworkPriorities, &line)?;
    }
    for limit in spec.list(resources.rdma) {
        for (key, value) in [(" hca_handle=", limit.hca_handles), (" hca_object=", limit.hca_objects)] {
            if let Some(value) = value {
                let mut line = Line::new();
                line.str(limit.device.as_str()).str(key).number(value.into());
                cgroup.set_line(File::Rdma, &line)?;
            }
        }
    }
    for pair in spec.list(resources.unified) {
        let name = pair.key.as_str();
        if !host.is_v2 {
            return Err(Error::says(
                msg!("linux.resources.unified #: needs cgroup version 2"),
                name,
            ));
        }
        cgroup.set_named(cut(&mut { name }, b'.'), name, pair.value.as_str())?;
    }
    Ok(())
}

/// The host has no cgroups: an error where a limit is asked for, unless it may be missing.
pub fn refuse_to_lack(spec: &Spec<'static>) -> Result<()> {
    if !asks_for_limits(spec) {
        return Ok(());
    }
    Err(Error::said(msg!(
        "linux.resources: the host has no cgroups at /sys/fs/cgroup (CONFIG_CGROUPS)"
    )))
}

/// The error of a container that has a cgroup where there are none to use.
pub fn gone() -> Error {
    Error::said(msg!(
        "the host's cgroups are gone, of which the container has one (--cgroup-manager disabled does without)"
    ))
}

/// Freezes or thaws the cgroup.
pub fn set_frozen(host: &Host, path: &CStr, frozen: bool) -> Result<()> {
    let value = match (host.is_v2, frozen) {
        (true, true) => "1",
        (true, false) => "0",
        (false, true) => "FROZEN",
        (false, false) => "THAWED",
    };
    Cgroup::of(host, path).set_text(File::Freezer, value)
}

/// Whether the cgroup is frozen, or being frozen.
pub fn is_frozen(host: &Host, path: &CStr) -> bool {
    let mut memory = [0; 32];
    let (controller, name) = File::Freezer.names(host);
    // FROZEN, FREEZING, or 1.
    matches!(
        Cgroup::of(host, path).read(controller, name, &mut memory).as_bytes(),
        [b'F', b'R', ..] | [b'1', ..]
    )
}

/// A cgroup whose files are read and written.
pub struct Cgroup<'a> {
    /// Where it is.
    pub host: &'a Host,
    /// The path in each hierarchy.
    pub(super) path: &'a CStr,
    /// Where it is noted in which hierarchies the cgroup was made; without it none is made.
    made: Option<&'a Cell<Hierarchies>>,
}

impl<'a> Cgroup<'a> {
    /// One that is there.
    pub const fn of(host: &'a Host, path: &'a CStr) -> Self {
        Self { host, path, made: None }
    }
}

impl Cgroup<'_> {
    /// Reads `file`; nothing where the host has no such file, or the kernel no such count. That it cannot be read must not pass
    /// for that.
    pub fn read<'m>(&self, controller: &str, file: &str, memory: &'m mut [u8]) -> &'m str {
        let read = self.open(controller, file, OFlags::RDONLY).and_then(|file| {
            let bytes = sys::fd::read(file.as_fd(), memory);
            file.close();
            bytes
        });
        match read {
            Ok(bytes) => utf8(bytes.trim_ascii()),
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => "",
            Err(errno) => Error::new_with(msg!("read #"), file, errno).never(),
        }
    }

    /// Opens `file`.
    ///
    /// # Errors
    /// `ENODEV` where the host lacks the controller; and the kernel's.
    #[inline(never)]
    pub fn open(&self, controller: &str, file: &str, flags: OFlags) -> core::result::Result<OwnedFd, Errno> {
        let (place, name) = self.host.hierarchy_of(controller).ok_or(Errno::NODEV)?;
        let directory = self.host.directory(name, self.path);
        let path = Path::of(&[directory.as_bytes(), b"/", file.as_bytes()]);
        let top = self.host.top.as_fd();
        let opened = match (path.open(top, flags), self.made) {
            (Err(Errno::NOENT), Some(made)) if !self.host.is_v2 && !made.get().contains(place) => {
                self.host.make(name, self.path)?;
                made.set(made.get().with(place));
                path.open(top, flags)
            }
            (result, _) => result,
        };
        path.free();
        directory.free();
        opened
    }

    #[inline(never)]
    pub(super) fn try_set(&self, file: File, value: &str) -> core::result::Result<(), Errno> {
        let (controller, name) = file.names(self.host);
        self.write(controller, name, value)
    }

    /// Writes `value` to `file`.
    fn write(&self, controller: &str, file: &str, value: &str) -> core::result::Result<(), Errno> {
        let file = self.open(controller, file, OFlags::WRONLY)?;
        let written = write_all(file.as_fd(), value.as_bytes());
        file.close();
        written
    }

    /// Tries to set a limit in bytes or microseconds, where a negative number means "unlimited".
    fn try_limit(&self, file: File, limit: i64) -> core::result::Result<(), Errno> {
        if limit < 0 && self.host.is_v2 {
            return self.try_set(file, "max");
        }
        self.try_set(file, Digits::signed(limit).as_str())
    }

    /// Writes `value` to the file.
    fn set_text(&self, file: File, value: &str) -> Result<()> {
        self.check(file, self.try_set(file, value))
    }

    /// Writes a number to the file.
    #[inline(never)]
    fn set(&self, file: File, value: u64) -> Result<()> {
        self.set_text(file, Digits::of(value).as_str())
    }

    /// Writes a limit to the file, where there is one.
    #[inline(never)]
    fn set_limit(&self, file: File, limit: Option<i64>) -> Result<()> {
        match limit {
            Some(limit) => self.check(file, self.try_limit(file, limit)),
            None => Ok(()),
        }
    }

    /// Writes a limit to the file, where there is one that is meant: clients write 0 for one that they do not mean.
    #[inline(never)]
    fn set_meant(&self, file: File, limit: Option<i64>) -> Result<()> {
        self.set_limit(file, meant(limit))
    }

    /// Writes two limits of which the kernel refuses one if it does not fit the other. Which of them has to move first
    /// depends on where they are.
    fn set_two(&self, first: (File, Option<i64>), second: (File, Option<i64>)) -> Result<()> {
        let mut again = None;
        if let (file, Some(limit)) = first {
            match self.try_limit(file, limit) {
                Err(Errno::INVAL | Errno::BUSY) if second.1.is_some() => again = first.1,
                result => self.check(file, result)?,
            }
        }
        self.set_limit(second.0, second.1)?;
        self.set_limit(first.0, again)
    }

    /// Writes a line to the file.
    #[inline(never)]
    fn set_line(&self, file: File, line: &Line) -> Result<()> {
        self.check(file, line.text().and_then(|text| self.try_set(file, text)))
    }

    /// Writes `value` to a file that is not among [`FILES`].
    fn set_named(&self, controller: &str, file: &str, value: &str) -> Result<()> {
        match self.write(controller, file, value) {
            Ok(()) => Ok(()),
            Err(errno) => self.refused(controller, file, errno),
        }
    }

    #[inline(never)]
    pub(super) fn check(&self, file: File, result: core::result::Result<(), Errno>) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(errno) => {
                let (controller, name) = file.names(self.host);
                self.refused(controller, name, errno)
            }
        }
    }

    fn refused(&self, controller: &str, file: &str, errno: Errno) -> Result<()> {
        if matches!(errno, Errno::NODEV | Errno::NOENT) {
            // Each controller and what the kernel calls the option for it; the last is that of all others.
            let mut rest = Text::Controllers.get();
            let option = loop {
                let (known, option) = (cut(&mut rest, b' '), cut(&mut rest, b'\n'));
                if known == controller || rest.is_empty() {
                    break option;
                }
            };
            let feature = if controller == "devices" {
                Feature::Devices
            } else {
                Feature::Limits
            };
            if is_preferred(feature) {
                report::warn(
                    keep(msg!("linux.resources: # is not there: CONFIG_#"), &[file, option]),
                    "",
                );
                return Ok(());
            }
            return Err(Error::said(keep(
                msg!("linux.resources: the host has no cgroup controller # with #: the kernel needs CONFIG_#"),
                &[controller, file, option],
            )));
        }
        Err(Error::new_with(msg!("linux.resources: write #"), file, errno))
    }
}

/// The limit, unless it is the 0 that clients write for one that they do not mean.
pub(super) fn meant(limit: Option<i64>) -> Option<i64> {
    limit.filter(|limit| *limit != 0)
}

fn apply_memory(cgroup: &Cgroup<'_>, resources: &Resources<'static>) -> Result<()> {
    let memory = &resources.memory;
    let is_v2 = cgroup.host.is_v2;
    let limit = meant(memory.limit);
    let swap = meant(memory.swap).map(|swap| {
        // Version 2 counts swap alone.
        if is_v2 && swap > 0 {
            swap - limit.unwrap_or(0)
        } else {
            swap
        }
    });
    // Version 1 refuses a limit above the sum with swap, and a sum below the limit.
    cgroup.set_two((File::MemoryLimit, limit), (File::MemorySwap, swap))?;
    cgroup.set_meant(File::MemoryReservation, memory.reservation)?;
    if is_v2 {
        return Ok(());
    }
    cgroup.set_meant(File::MemoryKernelTcp, memory.kernel_tcp)?;
    cgroup.set_limit(File::MemorySwappiness, memory.swappiness.map(u64::cast_signed))?;
    if memory.disable_oom_killer {
        cgroup.set(File::MemoryOomControl, 1)?;
    }
    Ok(())
}

/// Shares as the file of the host's version takes them: 2 to 262144, to which version 1 brings them itself, or a weight, 1
/// to 10000 (the conversion of the cgroup version 2 work in runc and crun).
pub(super) fn shares_or_weight(shares: u64, is_v2: bool) -> u64 {
    let shares = shares.clamp(2, 262_144);
    if is_v2 {
        1 + (shares - 2) * 9999 / 262_142
    } else {
        shares
    }
}

fn apply_cpu(cgroup: &Cgroup<'_>, resources: &Resources<'static>, purpose: Purpose) -> Result<()> {
    let cpu = &resources.cpu;
    let is_v2 = cgroup.host.is_v2;
    if let Some(shares @ 1..) = cpu.shares {
        cgroup.set(File::CpuShares, shares_or_weight(shares, is_v2))?;
    }
    let period = meant(cpu.period.map(u64::cast_signed));
    let quota = meant(cpu.quota);
    if !is_v2 {
        // A quota must fit its period.
        cgroup.set_two((File::CpuPeriod, period), (File::CpuQuota, quota))?;
    } else if quota.is_some() || period.is_some() {
        let mut line = Line::new();
        match quota {
            Some(quota) if quota > 0 => line.signed(quota),
            _ => line.str("max"),
        }
        .str(" ")
        .signed(period.unwrap_or(100_000));
        cgroup.set_line(File::CpuMax, &line)?;
    }
    let burst = cpu.burst.map(u64::cast_signed);
    match purpose {
        Purpose::Create => cgroup.set_limit(File::CpuBurst, burst)?,
        Purpose::Update => cgroup.set_meant(File::CpuBurst, burst)?,
    }
    cgroup.set_meant(File::CpuRealtimePeriod, cpu.realtime_period.map(u64::cast_signed))?;
    cgroup.set_meant(File::CpuRealtimeRuntime, cpu.realtime_runtime)?;
    cgroup.set_limit(File::CpuIdle, cpu.idle)?;
    for (file, list) in [(File::Cpus, cpu.cpus), (File::Mems, cpu.mems)] {
        if let Some(list) = list {
            cgroup.set_text(file, list.as_str())?;
        }
    }
    Ok(())
}

fn apply_block_io(cgroup: &Cgroup<'_>, spec: &Spec<'static>, resources: &Resources<'static>) -> Result<()> {
    let io = &resources.block_io;
    set_weight(cgroup, None, io.weight)?;
    for device in spec.list(io.weight_devices) {
        set_weight(cgroup, Some((device.major, device.minor)), device.weight)?;
    }
    let lists = [
        (io.throttle_read_bps, File::ThrottleReadBps, "rbps="),
        (io.throttle_write_bps, File::ThrottleWriteBps, "wbps="),
        (io.throttle_read_iops, File::ThrottleReadIops, "riops="),
        (io.throttle_write_iops, File::ThrottleWriteIops, "wiops="),
    ];
    for (list, file, key) in lists {
        for device in spec.list(list) {
            let mut line = device_line(device.major, device.minor);
            line.str(if cgroup.host.is_v2 { key } else { "" }).number(device.rate);
            cgroup.set_line(file, &line)?;
        }
    }
    Ok(())
}

/// `MAJOR:MINOR` and a blank.
fn device_line(major: u32, minor: u32) -> Line {
    let mut line = Line::new();
    line.number(major.into()).str(":").number(minor.into()).str(" ");
    line
}

/// The weight's file depends on the scheduler that the kernel has: CFQ's of old, or BFQ's.
fn set_weight(cgroup: &Cgroup<'_>, device: Option<(u32, u32)>, weight: Option<u16>) -> Result<()> {
    let Some(weight @ 1..) = weight.map(u64::from) else {
        return Ok(());
    };
    let (plain, bfq) = match device {
        None => (File::Weight, File::WeightBfq),
        Some(_) => (File::WeightDevice, File::WeightDeviceBfq),
    };
    let start = || device.map_or(Line::new(), |(major, minor)| device_line(major, minor));
    let mut line = start();
    match line.number(weight).text().and_then(|text| cgroup.try_set(bfq, text)) {
        Err(Errno::NOENT | Errno::ACCESS) => {
            // io.weight goes to 10000 where the others go to 1000.
            let value = if cgroup.host.is_v2 {
                1 + (weight.max(10) - 10) * 9999 / 990
            } else {
                weight
            };
            cgroup.set_line(plain, start().number(value))
        }
        result => cgroup.check(bfq, result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        for (shares, weight) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(shares_or_weight(shares, true), weight);
        }
        assert_eq!(shares_or_weight(1024, false), 1024);
    }
}
