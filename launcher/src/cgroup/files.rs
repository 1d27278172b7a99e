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

/// The controller of each file, its name in version 1, and its name in version 2. Where one is missing that version does
/// not have it, and nobody finds it under the other's name.
const FILES: &str = "\
memory memory.limit_in_bytes memory.max
memory memory.memsw.limit_in_bytes memory.swap.max
memory memory.soft_limit_in_bytes memory.low
memory memory.kmem.tcp.limit_in_bytes
memory memory.swappiness
memory memory.oom_control
cpu cpu.shares cpu.weight
cpu  cpu.max
cpu cpu.cfs_period_us
cpu cpu.cfs_quota_us
cpu cpu.cfs_burst_us cpu.max.burst
cpu cpu.rt_period_us
cpu cpu.rt_runtime_us
cpu cpu.idle cpu.idle
cpuset cpuset.cpus cpuset.cpus
cpuset cpuset.mems cpuset.mems
pids pids.max pids.max
blkio blkio.weight io.weight
blkio blkio.bfq.weight io.bfq.weight
blkio blkio.weight_device io.weight
blkio blkio.bfq.weight_device io.bfq.weight
blkio blkio.throttle.read_bps_device io.max
blkio blkio.throttle.write_bps_device io.max
blkio blkio.throttle.read_iops_device io.max
blkio blkio.throttle.write_iops_device io.max
net_cls net_cls.classid
net_prio net_prio.ifpriomap
rdma rdma.max rdma.max
devices devices.allow
devices devices.deny
freezer freezer.state cgroup.freeze
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
        let controller = cut(&mut row, b' ');
        let one = cut(&mut row, b' ');
        let (name, other) = if host.is_v2 { (row, one) } else { (one, row) };
        (controller, if name.is_empty() { other } else { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_its_row() {
        let row = |file: File| FILES.lines().nth(file as usize);
        assert_eq!(row(File::MemoryLimit), Some("memory memory.limit_in_bytes memory.max"));
        assert_eq!(row(File::CpuMax), Some("cpu  cpu.max"));
        assert_eq!(row(File::Pids), Some("pids pids.max pids.max"));
        assert_eq!(row(File::Freezer), FILES.lines().last());
    }
}
