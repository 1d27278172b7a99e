//! The files of a cgroup that roci reads and writes.

use super::Host;
use crate::text::cut;

/// The files, in the order of [`FILES`].
#[derive(Clone, Copy)]
pub enum File {
    /// `memory.limit`.
    MemoryLimit,
    /// `memory.swap`.
    MemorySwap,
    /// `memory.reservation`.
    MemoryReservation,
    /// `memory.kernelTCP`.
    MemoryKernelTcp,
    /// `memory.swappiness`.
    MemorySwappiness,
    /// `memory.disableOOMKiller`.
    MemoryOomControl,
    /// `cpu.shares`.
    CpuShares,
    /// `cpu.quota` and `cpu.period` of version 2.
    CpuMax,
    /// `cpu.period` of version 1.
    CpuPeriod,
    /// `cpu.quota` of version 1.
    CpuQuota,
    /// `cpu.burst`.
    CpuBurst,
    /// `cpu.realtimePeriod`.
    CpuRealtimePeriod,
    /// `cpu.realtimeRuntime`.
    CpuRealtimeRuntime,
    /// `cpu.idle`.
    CpuIdle,
    /// `cpu.cpus`.
    Cpus,
    /// `cpu.mems`.
    Mems,
    /// `pids.limit`.
    Pids,
    /// `blockIO.weight` for the CFQ scheduler.
    Weight,
    /// `blockIO.weight` for the BFQ scheduler.
    WeightBfq,
    /// `blockIO.weightDevice` for CFQ.
    WeightDevice,
    /// `blockIO.weightDevice` for BFQ.
    WeightDeviceBfq,
    /// `blockIO.throttleReadBpsDevice`.
    ThrottleReadBps,
    /// `blockIO.throttleWriteBpsDevice`.
    ThrottleWriteBps,
    /// `blockIO.throttleReadIOPSDevice`.
    ThrottleReadIops,
    /// `blockIO.throttleWriteIOPSDevice`.
    ThrottleWriteIops,
    /// `network.classID`.
    NetworkClass,
    /// `network.priorities`.
    NetworkPriorities,
    /// `rdma`.
    Rdma,
    /// `devices` that allow.
    DevicesAllow,
    /// `devices` that forbid.
    DevicesDeny,
    /// Whether the cgroup is frozen.
    Freezer,
}

/// The name of each file in version 1, and in version 2. Where one is missing both have the same, or that version does not
/// have it, and nobody finds it under the other's name. A name begins with the controller, as version 1 calls it in its names.
const FILES: &str = "\
memory.limit_in_bytes memory.max
memory.memsw.limit_in_bytes memory.swap.max
memory.soft_limit_in_bytes memory.low
memory.kmem.tcp.limit_in_bytes
memory.swappiness
memory.oom_control
cpu.shares cpu.weight
 cpu.max
cpu.cfs_period_us
cpu.cfs_quota_us
cpu.cfs_burst_us cpu.max.burst
cpu.rt_period_us
cpu.rt_runtime_us
cpu.idle
cpuset.cpus
cpuset.mems
pids.max
blkio.weight io.weight
blkio.bfq.weight io.bfq.weight
blkio.weight_device io.weight
blkio.bfq.weight_device io.bfq.weight
blkio.throttle.read_bps_device io.max
blkio.throttle.write_bps_device io.max
blkio.throttle.read_iops_device io.max
blkio.throttle.write_iops_device io.max
net_cls.classid
net_prio.ifpriomap
rdma.max
devices.allow
devices.deny
freezer.state cgroup.freeze
";

impl File {
    /// Its controller, and its name on this host; where the version has none, the one that people know it by.
    #[inline(never)]
    pub fn names(self, host: &Host) -> (&'static str, &'static str) {
        let mut rest = FILES;
        for _ in 0..self as u8 {
            cut(&mut rest, b'\n');
        }
        let mut row = cut(&mut rest, b'\n');
        let one = cut(&mut row, b' ');
        let (name, other) = if host.is_v2 { (row, one) } else { (one, row) };
        let mut controller = if one.is_empty() { row } else { one };
        let controller = cut(&mut controller, b'.');
        (controller, if name.is_empty() { other } else { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_row() {
        let row = |file: File| FILES.lines().nth(file as usize);
        assert_eq!(row(File::MemoryLimit), Some("memory.limit_in_bytes memory.max"));
        assert_eq!(row(File::CpuMax), Some(" cpu.max"));
        assert_eq!(row(File::Pids), Some("pids.max"));
        assert_eq!(row(File::Freezer), FILES.lines().last());
    }
}
