//! Which limits a configuration asks for that a container without a cgroup would lack.

use spec_core::Spec;
use spec_core::linux::NamespaceKind;
use spec_core::resources::Resources;

use crate::container::in_user_namespace;
use crate::policy::{Feature, is_required};

/// `CAP_MKNOD` of `linux/capability.h`.
const CAP_MKNOD: u64 = 1 << 27;

/// Whether something is asked for that a container without a cgroup would lack, and may not do without.
pub fn asks_for_limits(spec: &Spec<'static>) -> bool {
    sets_limits(spec) && is_required(Feature::Limits) || forbids_nodes(spec) && is_required(Feature::Devices)
}

/// Whether a limit is asked for.
pub fn sets_limits(spec: &Spec<'static>) -> bool {
    let resources = &spec.linux.resources;
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

/// Whether there are rules for devices that the container could make nodes of, which is not so in a user namespace.
pub fn forbids_nodes(spec: &Spec<'static>) -> bool {
    makes_nodes(spec)
        && spec.list(spec.linux.resources.devices).iter().any(|rule| !rule.allow)
        && spec.linux.namespace(NamespaceKind::User).is_none()
        && !in_user_namespace()
}

/// Whether the container could make nodes.
pub fn makes_nodes(spec: &Spec<'static>) -> bool {
    spec.process
        .as_ref()
        .is_some_and(|process| process.capabilities.bounding & CAP_MKNOD != 0)
}
