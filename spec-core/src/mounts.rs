//! `mounts[]`: the words of the options become flags here, before anything is mounted.

use crate::linux::IdMapping;
use crate::schema::members;
use crate::spec::List;
use crate::text::Text;
use crate::words::{Family, family};

/// One element of `mounts`.
#[derive(Clone, Copy)]
pub struct Mount<'a> {
    /// `destination`; relative ones are meant from `/`.
    pub destination: Text<'a>,
    /// `source`.
    pub source: Option<Text<'a>>,
    /// `type`.
    pub kind: Option<Text<'a>>,
    /// `options`, understood.
    pub plan: MountPlan<'a>,
    /// `uidMappings`.
    pub uid_mappings: List<IdMapping>,
    /// `gidMappings`.
    pub gid_mappings: List<IdMapping>,
}

/// What the options of a mount ask for.
///
/// `MS_` and `MOUNT_ATTR_` bits are the kernel's (`linux/mount.h`).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MountPlan<'a> {
    /// `MS_` flags that are set, `MS_BIND` and `MS_REC` (`rbind`) among them, without propagation.
    pub flags: u32,
    /// `MS_` flags that an option cleared explicitly (`rw`, `exec`, `dev` …): on a bind mount these are removed from what
    /// the source mount has, and the others are kept.
    pub cleared: u32,
    /// Propagation changes (`MS_PRIVATE`, `MS_SHARED`, `MS_SLAVE`, `MS_UNBINDABLE`, each with or without `MS_REC`), in
    /// order; 0 ends the list. A shared slave needs two.
    pub propagation: [u32; PROPAGATIONS_MAX],
    /// `MOUNT_ATTR_` bits to set on the whole tree (`rro`, `rnosuid` …).
    pub recursive_set: u64,
    /// `MOUNT_ATTR_` bits to clear on the whole tree; holds `MOUNT_ATTR__ATIME` where `recursive_set` chooses an atime mode.
    pub recursive_clear: u64,
    /// `idmap` or `ridmap`.
    pub idmap: Option<Idmap>,
    /// `tmpcopyup`: fill the fresh tmpfs with what the directory below holds.
    pub tmpcopyup: bool,
    /// The other options, joined by commas, for the file system.
    pub data: Option<Text<'a>>,
}

/// How many propagation changes one mount can ask for: a kind and, for a shared slave, a second one.
pub const PROPAGATIONS_MAX: usize = 2;

/// Which of the mounts an id mapping applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idmap {
    /// `idmap`: the mount itself.
    Single,
    /// `ridmap`: the mount and all below it.
    Recursive,
}

impl Mount<'_> {
    /// Whether this is a bind mount: the options say so, never the type (config.md, "Mounts").
    pub fn is_bind(&self) -> bool {
        self.plan.flags & MS_BIND != 0
    }
}

/// `MS_BIND` of `linux/mount.h`.
pub const MS_BIND: u32 = 4096;
/// `MS_RDONLY` of `linux/mount.h`.
pub const MS_RDONLY: u32 = 1;
/// `MS_NOSUID` of `linux/mount.h`.
pub const MS_NOSUID: u32 = 2;
/// `MS_NODEV` of `linux/mount.h`.
pub const MS_NODEV: u32 = 4;
/// `MS_NOEXEC` of `linux/mount.h`.
pub const MS_NOEXEC: u32 = 8;
/// `MS_SYNCHRONOUS` of `linux/mount.h`.
pub const MS_SYNCHRONOUS: u32 = 16;
/// `MS_REMOUNT` of `linux/mount.h`.
pub const MS_REMOUNT: u32 = 32;
/// `MS_MANDLOCK` of `linux/mount.h`.
pub const MS_MANDLOCK: u32 = 64;
/// `MS_DIRSYNC` of `linux/mount.h`.
pub const MS_DIRSYNC: u32 = 128;
/// `MS_NOSYMFOLLOW` of `linux/mount.h`.
pub const MS_NOSYMFOLLOW: u32 = 256;
/// `MS_NOATIME` of `linux/mount.h`.
pub const MS_NOATIME: u32 = 1024;
/// `MS_NODIRATIME` of `linux/mount.h`.
pub const MS_NODIRATIME: u32 = 2048;
/// `MS_REC` of `linux/mount.h`.
pub const MS_REC: u32 = 16384;
/// `MS_SILENT` of `linux/mount.h`.
pub const MS_SILENT: u32 = 32768;
/// `MS_UNBINDABLE` of `linux/mount.h`.
pub const MS_UNBINDABLE: u32 = 1 << 17;
/// `MS_PRIVATE` of `linux/mount.h`.
pub const MS_PRIVATE: u32 = 1 << 18;
/// `MS_SLAVE` of `linux/mount.h`.
pub const MS_SLAVE: u32 = 1 << 19;
/// `MS_SHARED` of `linux/mount.h`.
pub const MS_SHARED: u32 = 1 << 20;
/// `MS_RELATIME` of `linux/mount.h`.
pub const MS_RELATIME: u32 = 1 << 21;
/// `MS_I_VERSION` of `linux/mount.h`.
pub const MS_I_VERSION: u32 = 1 << 23;
/// `MS_STRICTATIME` of `linux/mount.h`.
pub const MS_STRICTATIME: u32 = 1 << 24;
/// `MS_LAZYTIME` of `linux/mount.h`.
pub const MS_LAZYTIME: u32 = 1 << 25;
/// `MOUNT_ATTR_RDONLY` of `linux/mount.h`.
pub const MOUNT_ATTR_RDONLY: u32 = 1;
/// `MOUNT_ATTR_NOSUID` of `linux/mount.h`.
pub const MOUNT_ATTR_NOSUID: u32 = 2;
/// `MOUNT_ATTR_NODEV` of `linux/mount.h`.
pub const MOUNT_ATTR_NODEV: u32 = 4;
/// `MOUNT_ATTR_NOEXEC` of `linux/mount.h`.
pub const MOUNT_ATTR_NOEXEC: u32 = 8;
/// `MOUNT_ATTR__ATIME` of `linux/mount.h`.
pub const MOUNT_ATTR__ATIME: u32 = 0x70;
/// `MOUNT_ATTR_RELATIME` of `linux/mount.h`.
pub const MOUNT_ATTR_RELATIME: u32 = 0;
/// `MOUNT_ATTR_NOATIME` of `linux/mount.h`.
pub const MOUNT_ATTR_NOATIME: u32 = 0x10;
/// `MOUNT_ATTR_STRICTATIME` of `linux/mount.h`.
pub const MOUNT_ATTR_STRICTATIME: u32 = 0x20;
/// `MOUNT_ATTR_NODIRATIME` of `linux/mount.h`.
pub const MOUNT_ATTR_NODIRATIME: u32 = 0x80;
/// `MOUNT_ATTR_NOSYMFOLLOW` of `linux/mount.h`.
pub const MOUNT_ATTR_NOSYMFOLLOW: u32 = 0x20_0000;

/// What one option does.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// Nothing.
    Nothing,
    /// Sets `MS_` flags.
    Set(u32),
    /// Clears `MS_` flags.
    Clear(u32),
    /// Changes the propagation.
    Propagate(u32),
    /// Sets `MOUNT_ATTR_` bits on the whole tree.
    SetAll(u32),
    /// Clears `MOUNT_ATTR_` bits on the whole tree.
    ClearAll(u32),
    /// Chooses how access times are kept on the whole tree.
    AtimeAll(u32),
    /// Undoes that choice, which leads back to the kernel's default.
    NotAtimeAll(u32),
    /// Asks for an id-mapped mount.
    MapIds(Idmap),
    /// Asks for a filled tmpfs.
    TmpCopyUp,
}

/// The options and what each of them does, in two tables of the same order.
macro_rules! options {
    ($($name:literal => $effect:expr,)*) => {
        /// All options that are not left to the file system, in the order of the alphabet.
        pub const MOUNT_OPTIONS: Family = family!("", $($name, " "),*);
        const EFFECTS: &[Effect] = {
            use Effect::*;
            &[$($effect),*]
        };
    };
}

options! {
    "async" => Clear(MS_SYNCHRONOUS),
    "atime" => Clear(MS_NOATIME),
    "bind" => Set(MS_BIND),
    "defaults" => Nothing,
    "dev" => Clear(MS_NODEV),
    "diratime" => Clear(MS_NODIRATIME),
    "dirsync" => Set(MS_DIRSYNC),
    "exec" => Clear(MS_NOEXEC),
    "idmap" => MapIds(Idmap::Single),
    "iversion" => Set(MS_I_VERSION),
    "lazytime" => Set(MS_LAZYTIME),
    "loud" => Clear(MS_SILENT),
    "mand" => Set(MS_MANDLOCK),
    "noatime" => Set(MS_NOATIME),
    "nodev" => Set(MS_NODEV),
    "nodiratime" => Set(MS_NODIRATIME),
    "noexec" => Set(MS_NOEXEC),
    "noiversion" => Clear(MS_I_VERSION),
    "nolazytime" => Clear(MS_LAZYTIME),
    "nomand" => Clear(MS_MANDLOCK),
    "norelatime" => Clear(MS_RELATIME),
    "nostrictatime" => Clear(MS_STRICTATIME),
    "nosuid" => Set(MS_NOSUID),
    "nosymfollow" => Set(MS_NOSYMFOLLOW),
    "private" => Propagate(MS_PRIVATE),
    "ratime" => NotAtimeAll(MOUNT_ATTR_NOATIME),
    "rbind" => Set(MS_BIND | MS_REC),
    "rdev" => ClearAll(MOUNT_ATTR_NODEV),
    "rdiratime" => ClearAll(MOUNT_ATTR_NODIRATIME),
    "relatime" => Set(MS_RELATIME),
    "remount" => Set(MS_REMOUNT),
    "rexec" => ClearAll(MOUNT_ATTR_NOEXEC),
    "ridmap" => MapIds(Idmap::Recursive),
    "rnoatime" => AtimeAll(MOUNT_ATTR_NOATIME),
    "rnodev" => SetAll(MOUNT_ATTR_NODEV),
    "rnodiratime" => SetAll(MOUNT_ATTR_NODIRATIME),
    "rnoexec" => SetAll(MOUNT_ATTR_NOEXEC),
    "rnorelatime" => NotAtimeAll(MOUNT_ATTR_RELATIME),
    "rnostrictatime" => NotAtimeAll(MOUNT_ATTR_STRICTATIME),
    "rnosuid" => SetAll(MOUNT_ATTR_NOSUID),
    "rnosymfollow" => SetAll(MOUNT_ATTR_NOSYMFOLLOW),
    "ro" => Set(MS_RDONLY),
    "rprivate" => Propagate(MS_PRIVATE | MS_REC),
    "rrelatime" => AtimeAll(MOUNT_ATTR_RELATIME),
    "rro" => SetAll(MOUNT_ATTR_RDONLY),
    "rrw" => ClearAll(MOUNT_ATTR_RDONLY),
    "rshared" => Propagate(MS_SHARED | MS_REC),
    "rslave" => Propagate(MS_SLAVE | MS_REC),
    "rstrictatime" => AtimeAll(MOUNT_ATTR_STRICTATIME),
    "rsuid" => ClearAll(MOUNT_ATTR_NOSUID),
    "rsymfollow" => ClearAll(MOUNT_ATTR_NOSYMFOLLOW),
    "runbindable" => Propagate(MS_UNBINDABLE | MS_REC),
    "rw" => Clear(MS_RDONLY),
    "shared" => Propagate(MS_SHARED),
    "silent" => Set(MS_SILENT),
    "slave" => Propagate(MS_SLAVE),
    "strictatime" => Set(MS_STRICTATIME),
    "suid" => Clear(MS_NOSUID),
    "symfollow" => Clear(MS_NOSYMFOLLOW),
    "sync" => Set(MS_SYNCHRONOUS),
    "tmpcopyup" => TmpCopyUp,
    "unbindable" => Propagate(MS_UNBINDABLE),
}

/// What the option at a place in [`MOUNT_OPTIONS`] does.
pub(crate) fn option_effect(place: usize) -> Option<Effect> {
    EFFECTS.get(place).copied()
}

members! {
    const MOUNT, fn store_mount(mount: Mount<'a>, given) {
        "destination": Text(Rule::NotEmpty), required => mount.destination = given.text,
        "source": Text(Rule::Optional) => mount.source = given.optional_text,
        "type": Text(Rule::Optional) => mount.kind = given.optional_text,
        // What has a meaning here is in the plan already.
        "options": Options => mount.plan.data = given.optional_text,
        "uidMappings": List(Object::IdMapping) => mount.uid_mappings = given.list(),
        "gidMappings": List(Object::IdMapping) => mount.gid_mappings = given.list(),
    }
}

impl<'a> Mount<'a> {
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            destination: blank,
            source: None,
            kind: None,
            plan: MountPlan {
                flags: 0,
                cleared: 0,
                propagation: [0; PROPAGATIONS_MAX],
                recursive_set: 0,
                recursive_clear: 0,
                idmap: None,
                tmpcopyup: false,
                data: None,
            },
            uid_mappings: List::EMPTY,
            gid_mappings: List::EMPTY,
        }
    }

    /// Mappings without the word for them can only be meant to be used.
    pub(crate) fn close(&mut self) {
        if !self.uid_mappings.is_empty() && self.plan.idmap.is_none() {
            self.plan.idmap = Some(Idmap::Single);
        }
    }
}

impl MountPlan<'_> {
    /// Adds what an option asks for. `false` where the plan has no room for it.
    pub(crate) fn add(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Nothing => {}
            Effect::Set(flags) => {
                self.flags |= flags;
                self.cleared &= !flags;
            }
            Effect::Clear(flags) => {
                self.flags &= !flags;
                self.cleared |= flags;
            }
            Effect::Propagate(propagation) => {
                if !self.propagation.contains(&propagation) {
                    let Some(place) = self.propagation.iter_mut().find(|place| **place == 0) else {
                        return false;
                    };
                    *place = propagation;
                }
            }
            Effect::SetAll(bits) => {
                self.recursive_set |= u64::from(bits);
                self.recursive_clear &= !u64::from(bits);
            }
            Effect::ClearAll(bits) => {
                self.recursive_set &= !u64::from(bits);
                self.recursive_clear |= u64::from(bits);
            }
            // The kernel takes a mode of access times only together with the mask of all of them.
            Effect::AtimeAll(mode) => {
                self.recursive_set = self.recursive_set & !ATIME_MASK | u64::from(mode);
                self.recursive_clear |= ATIME_MASK;
            }
            Effect::NotAtimeAll(mode) => {
                // Not to be in this mode is already true where another one has been chosen.
                if self.recursive_clear & ATIME_MASK == 0 || self.recursive_set & ATIME_MASK == u64::from(mode) {
                    self.recursive_set &= !ATIME_MASK;
                    self.recursive_clear |= ATIME_MASK;
                }
            }
            Effect::MapIds(idmap) => self.idmap = Some(idmap),
            Effect::TmpCopyUp => self.tmpcopyup = true,
        }
        true
    }
}

const ATIME_MASK: u64 = MOUNT_ATTR__ATIME as u64;

#[cfg(test)]
mod tests;
