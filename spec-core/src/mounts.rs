//! `mounts[]`: the words of the options become flags here, before anything is mounted.

use static_assertions::const_assert;

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

// What one option does: one of these, and the flags that it is about.
/// Nothing.
const NOTHING: u32 = 0;
/// Sets `MS_` flags.
const SET: u32 = 1 << 28;
/// Clears `MS_` flags.
const CLEAR: u32 = 2 << 28;
/// Changes the propagation.
const PROPAGATE: u32 = 3 << 28;
/// Sets `MOUNT_ATTR_` bits on the whole tree.
const SET_ALL: u32 = 4 << 28;
/// Clears `MOUNT_ATTR_` bits on the whole tree.
const CLEAR_ALL: u32 = 5 << 28;
/// Chooses how access times are kept on the whole tree.
const ATIME_ALL: u32 = 6 << 28;
/// Undoes that choice, which leads back to the kernel's default.
const NOT_ATIME_ALL: u32 = 7 << 28;
/// Asks for an id-mapped mount.
const MAP_IDS: u32 = 8 << 28;
/// Asks for one with all that is mounted below it.
const MAP_IDS_ALL: u32 = 9 << 28;
/// Asks for a filled tmpfs.
const TMP_COPY_UP: u32 = 10 << 28;
/// The bits of the flags.
const FLAGS: u32 = (1 << 28) - 1;
const_assert!(MS_LAZYTIME < SET);

/// The options and what each of them does, in two tables of the same order.
macro_rules! options {
    ($($name:literal => $effect:expr,)*) => {
        /// All options that are not left to the file system, in the order of the alphabet.
        pub const MOUNT_OPTIONS: Family = family!("", $($name, " "),*);
        const EFFECTS: &[u32] = &[$($effect),*];
    };
}

options! {
    "async" => CLEAR | MS_SYNCHRONOUS,
    "atime" => CLEAR | MS_NOATIME,
    "bind" => SET | MS_BIND,
    "defaults" => NOTHING,
    "dev" => CLEAR | MS_NODEV,
    "diratime" => CLEAR | MS_NODIRATIME,
    "dirsync" => SET | MS_DIRSYNC,
    "exec" => CLEAR | MS_NOEXEC,
    "idmap" => MAP_IDS,
    "iversion" => SET | MS_I_VERSION,
    "lazytime" => SET | MS_LAZYTIME,
    "loud" => CLEAR | MS_SILENT,
    "mand" => SET | MS_MANDLOCK,
    "noatime" => SET | MS_NOATIME,
    "nodev" => SET | MS_NODEV,
    "nodiratime" => SET | MS_NODIRATIME,
    "noexec" => SET | MS_NOEXEC,
    "noiversion" => CLEAR | MS_I_VERSION,
    "nolazytime" => CLEAR | MS_LAZYTIME,
    "nomand" => CLEAR | MS_MANDLOCK,
    "norelatime" => CLEAR | MS_RELATIME,
    "nostrictatime" => CLEAR | MS_STRICTATIME,
    "nosuid" => SET | MS_NOSUID,
    "nosymfollow" => SET | MS_NOSYMFOLLOW,
    "private" => PROPAGATE | MS_PRIVATE,
    "ratime" => NOT_ATIME_ALL | MOUNT_ATTR_NOATIME,
    "rbind" => SET | MS_BIND | MS_REC,
    "rdev" => CLEAR_ALL | MOUNT_ATTR_NODEV,
    "rdiratime" => CLEAR_ALL | MOUNT_ATTR_NODIRATIME,
    "relatime" => SET | MS_RELATIME,
    "remount" => SET | MS_REMOUNT,
    "rexec" => CLEAR_ALL | MOUNT_ATTR_NOEXEC,
    "ridmap" => MAP_IDS_ALL,
    "rnoatime" => ATIME_ALL | MOUNT_ATTR_NOATIME,
    "rnodev" => SET_ALL | MOUNT_ATTR_NODEV,
    "rnodiratime" => SET_ALL | MOUNT_ATTR_NODIRATIME,
    "rnoexec" => SET_ALL | MOUNT_ATTR_NOEXEC,
    "rnorelatime" => NOT_ATIME_ALL | MOUNT_ATTR_RELATIME,
    "rnostrictatime" => NOT_ATIME_ALL | MOUNT_ATTR_STRICTATIME,
    "rnosuid" => SET_ALL | MOUNT_ATTR_NOSUID,
    "rnosymfollow" => SET_ALL | MOUNT_ATTR_NOSYMFOLLOW,
    "ro" => SET | MS_RDONLY,
    "rprivate" => PROPAGATE | MS_PRIVATE | MS_REC,
    "rrelatime" => ATIME_ALL | MOUNT_ATTR_RELATIME,
    "rro" => SET_ALL | MOUNT_ATTR_RDONLY,
    "rrw" => CLEAR_ALL | MOUNT_ATTR_RDONLY,
    "rshared" => PROPAGATE | MS_SHARED | MS_REC,
    "rslave" => PROPAGATE | MS_SLAVE | MS_REC,
    "rstrictatime" => ATIME_ALL | MOUNT_ATTR_STRICTATIME,
    "rsuid" => CLEAR_ALL | MOUNT_ATTR_NOSUID,
    "rsymfollow" => CLEAR_ALL | MOUNT_ATTR_NOSYMFOLLOW,
    "runbindable" => PROPAGATE | MS_UNBINDABLE | MS_REC,
    "rw" => CLEAR | MS_RDONLY,
    "shared" => PROPAGATE | MS_SHARED,
    "silent" => SET | MS_SILENT,
    "slave" => PROPAGATE | MS_SLAVE,
    "strictatime" => SET | MS_STRICTATIME,
    "suid" => CLEAR | MS_NOSUID,
    "symfollow" => CLEAR | MS_NOSYMFOLLOW,
    "sync" => SET | MS_SYNCHRONOUS,
    "tmpcopyup" => TMP_COPY_UP,
    "unbindable" => PROPAGATE | MS_UNBINDABLE,
}

/// What the option at a place in [`MOUNT_OPTIONS`] does.
pub(crate) fn option_effect(place: usize) -> Option<u32> {
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
    pub(crate) fn add(&mut self, effect: u32) -> bool {
        let flags = effect & FLAGS;
        match effect & !FLAGS {
            SET => {
                self.flags |= flags;
                self.cleared &= !flags;
            }
            CLEAR => {
                self.flags &= !flags;
                self.cleared |= flags;
            }
            PROPAGATE if !self.propagation.contains(&flags) => {
                let Some(place) = self.propagation.iter_mut().find(|place| **place == 0) else {
                    return false;
                };
                *place = flags;
            }
            SET_ALL => {
                self.recursive_set |= u64::from(flags);
                self.recursive_clear &= !u64::from(flags);
            }
            CLEAR_ALL => {
                self.recursive_set &= !u64::from(flags);
                self.recursive_clear |= u64::from(flags);
            }
            // The kernel takes a mode of access times only together with the mask of all of them.
            ATIME_ALL => {
                self.recursive_set = self.recursive_set & !ATIME_MASK | u64::from(flags);
                self.recursive_clear |= ATIME_MASK;
            }
            // Not to be in this mode is already true where another one has been chosen.
            NOT_ATIME_ALL
                if self.recursive_clear & ATIME_MASK == 0 || self.recursive_set & ATIME_MASK == u64::from(flags) =>
            {
                self.recursive_set &= !ATIME_MASK;
                self.recursive_clear |= ATIME_MASK;
            }
            MAP_IDS => self.idmap = Some(Idmap::Single),
            MAP_IDS_ALL => self.idmap = Some(Idmap::Recursive),
            TMP_COPY_UP => self.tmpcopyup = true,
            _ => {}
        }
        true
    }
}

const ATIME_MASK: u64 = MOUNT_ATTR__ATIME as u64;

#[cfg(test)]
mod tests;
