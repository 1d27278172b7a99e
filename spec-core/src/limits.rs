//! Every capacity of roci: what it bounds, and what sets it.
//!
//! The bounds on input are generous: the largest configuration that podman, containerd, Docker, buildah or a Kubernetes
//! node was seen to write fits four times over. Overflow is an error that names the constant. A pool that is not used
//! costs address space and no memory.

use static_assertions::const_assert;

/// Bytes of config.json, process.json or a resources document. The largest real configuration seen has 14 KB.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;
/// Bytes of decoded strings: every string is copied once with a NUL in place of its quotes, and unknown mount options once
/// more into the mount's data, so twice the document always suffices.
pub const TEXT_BYTES_MAX: usize = 2 * CONFIG_BYTES_MAX;
/// How deep objects and arrays may nest. The specification needs 6.
pub const JSON_DEPTH_MAX: usize = 32;

/// Elements of `mounts`. A privileged container with many volumes has about 40.
pub const MOUNTS_MAX: usize = 256;
/// Elements of `mounts[].options`. Real ones have up to 10.
pub const MOUNT_OPTIONS_MAX: usize = 64;
/// Strings of all string lists together: arguments, environment, paths, seccomp names (434 in podman's profile).
pub const TEXTS_MAX: usize = 8192;
/// Members of `annotations`, `sysctl`, `unified` and `netDevices` together.
pub const PAIRS_MAX: usize = 512;
/// Elements of all `additionalGids`; the kernel takes 65536 (`NGROUPS_MAX`), people have a few dozen.
pub const IDS_MAX: usize = 1024;
/// Elements of all id mappings together. The kernel takes 340 in one map.
pub const ID_MAPPINGS_MAX: usize = 1024;
/// Elements of one id mapping: `UID_GID_MAP_MAX_EXTENTS` of the kernel.
pub const ID_MAP_EXTENTS_MAX: usize = 340;
/// Hooks of all six kinds together.
pub const HOOKS_MAX: usize = 64;
/// Elements of `linux.devices`. A privileged container lists every device of its host, about 100 on a PC.
pub const DEVICES_MAX: usize = 1024;
/// Elements of `linux.resources.devices`. A privileged container has one, Docker's default 11.
pub const DEVICE_RULES_MAX: usize = 1024;
/// Elements of `blockIO.weightDevice`, and of the four throttle lists together.
pub const BLOCK_DEVICES_MAX: usize = 256;
/// Elements of `hugepageLimits`. An architecture has at most 6 page sizes.
pub const HUGEPAGE_LIMITS_MAX: usize = 16;
/// Members of `rdma`.
pub const RDMA_LIMITS_MAX: usize = 32;
/// Elements of `network.priorities`.
pub const NETWORK_PRIORITIES_MAX: usize = 64;
/// Elements of `seccomp.syscalls`. Docker's profile has 19 once it is resolved.
pub const SECCOMP_RULES_MAX: usize = 1024;
/// Elements of all `args` of seccomp rules together.
pub const SECCOMP_ARGUMENTS_MAX: usize = 1024;
/// Rules with `args`, counted once for each system call and architecture. Each takes two instructions or more.
pub const SECCOMP_CONDITIONS_MAX: usize = SECCOMP_INSTRUCTIONS_MAX / 2;
/// Instructions of the compiled profile: `BPF_MAXINSNS` of the kernel. podman's profile has 324 for three architectures.
pub const SECCOMP_INSTRUCTIONS_MAX: usize = 4096;
/// Elements of `linux.namespaces`: there are eight kinds and none may stand twice.
pub const NAMESPACES_MAX: usize = 8;
/// Elements of `rlimits`: the kernel has 16 resources and none may stand twice.
pub const RLIMITS_MAX: usize = 16;

/// Bytes of a path with its NUL: `PATH_MAX` of the kernel.
pub const PATH_BYTES_MAX: usize = 4096;
/// Lower layers of an overlay: `OVL_MAX_STACK` of the kernel.
pub const LAYERS_MAX: usize = 500;
/// Bytes of `hostname` and of `domainname`: `__NEW_UTS_LEN` of the kernel.
pub const HOSTNAME_BYTES_MAX: usize = 64;
/// Bytes of a container id: it becomes a file name (`NAME_MAX`).
pub const ID_BYTES_MAX: usize = 255;
/// Bytes of state.json: the annotations make the most of it.
pub const STATE_BYTES_MAX: usize = 64 * 1024;
/// Members of `annotations` in state.json: all that config.json can have.
pub const STATE_ANNOTATIONS_MAX: usize = PAIRS_MAX;
/// Bytes of one error line; longer ones are cut and end in "…".
pub const MESSAGE_BYTES_MAX: usize = 1024;

// Both maps of a container fit, as long as the kernel takes them, and those of a mount beside them.
const_assert!(ID_MAPPINGS_MAX >= 3 * ID_MAP_EXTENTS_MAX);
// Of what the kernel has few of, there is a place for each.
const_assert!(NAMESPACES_MAX == crate::linux::NamespaceKind::ALL.len());
const_assert!(RLIMITS_MAX == crate::process::RLIMIT_NAMES.len());
// What has been accepted can be remembered.
const_assert!(STATE_ANNOTATIONS_MAX >= PAIRS_MAX);
// The text of the error has the number in it.
const_assert!(ID_BYTES_MAX == 255);
// An id is a file name, and an error line can hold it.
const_assert!(ID_BYTES_MAX < PATH_BYTES_MAX && ID_BYTES_MAX < MESSAGE_BYTES_MAX);
// A state has room for four of the longest paths, and for a name and a value of 30 letters for every annotation.
const_assert!(STATE_BYTES_MAX >= 4 * PATH_BYTES_MAX + STATE_ANNOTATIONS_MAX * 66);

#[cfg(test)]
mod tests;
