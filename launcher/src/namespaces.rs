//! Namespaces: which are made by the clone, which are joined, and in what order.
//!
//! Usually one clone with all flags makes everything. Three things need a process of their own in between, which makes the
//! container process as its sibling (`CLONE_PARENT`) and goes: joining a pid namespace and making a time namespace, which
//! only children enter; and user namespaces together with joined ones, since what is joined may belong to the namespace
//! that is left.

use heapless::Vec;
use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::limits::NAMESPACES_MAX;
use spec_core::linux::{NamespaceKind, TimeOffset};
use sys::OwnedFd;
use sys::fd::open;
use sys::namespace::{enter, unshare};

use crate::error::{During, Error, NO_INDEX, Result, within};
use crate::msg;
use crate::proc::Proc;
use crate::text::{Line, Pieces};
use crate::texts::Message;

/// What is made and what is joined.
pub struct Plan {
    /// `CLONE_NEW*` bits for the clone of the container process.
    pub clone_flags: u32,
    /// Namespaces to join, open.
    joins: Vec<(NamespaceKind, OwnedFd), NAMESPACES_MAX>,
    /// Whether a new user namespace is made.
    pub new_user: bool,
    /// Whether the container process is in a user namespace other than roci's.
    pub in_user_namespace: bool,
    /// Whether a new cgroup namespace is made, after the cgroup was joined: its root is where its maker is.
    pub new_cgroup: bool,
    new_time: bool,
}

impl Plan {
    /// Opens what is to be joined.
    pub fn make(spec: &Spec<'static>) -> Result<Self> {
        let mut plan = Self {
            clone_flags: 0,
            joins: Vec::new(),
            new_user: false,
            in_user_namespace: false,
            new_cgroup: false,
            new_time: false,
        };
        for (index, namespace) in spec.linux.namespaces.iter().enumerate() {
            let kind = namespace.kind;
            plan.in_user_namespace |= kind == NamespaceKind::User;
            let Some(path) = namespace.path else {
                match kind {
                    NamespaceKind::Cgroup => plan.new_cgroup = true,
                    NamespaceKind::Time => plan.new_time = true,
                    _ => plan.clone_flags |= kind as u32,
                }
                plan.new_user |= kind == NamespaceKind::User;
                continue;
            };
            let fd = within(msg!("linux.namespaces"), index, kind.name(), || {
                open(path.as_c_str(), OFlags::RDONLY).during_with(msg!("open #"), path.as_str())
            })?;
            // As many places as there are kinds.
            let _ = plan.joins.push((kind, fd));
        }
        Ok(plan)
    }

    /// Whether a stage in between is needed.
    pub fn is_staged(&self) -> bool {
        let joins = |kind| self.joins.iter().any(|(of, _)| *of == kind);
        self.new_time
            || joins(NamespaceKind::Pid)
            || joins(NamespaceKind::User)
            || (self.new_user && !self.joins.is_empty())
    }

    /// What the stage in between does: joins everything, and makes the time namespace.
    pub fn enter_stage(&self, spec: &Spec<'static>, proc: &Proc) -> Result<()> {
        self.join()?;
        if self.new_time {
            unshare(NamespaceKind::Time as u32).during(msg!("unshare time (needs CONFIG_TIME_NS)"))?;
            write_offsets(spec, proc)?;
        }
        Ok(())
    }

    /// Joins everything.
    pub fn join(&self) -> Result<()> {
        join(&self.joins)
    }
}

/// Joins namespaces. One may belong to the runtime's user namespace or to the one that is joined too: what is refused before
/// the user namespace is entered is tried again after.
pub fn join(joins: &[(NamespaceKind, OwnedFd)]) -> Result<()> {
    let mut later = 0_u32;
    let user = joins.iter().find(|(kind, _)| *kind == NamespaceKind::User);
    for (kind, fd) in joins {
        if *kind == NamespaceKind::User {
            continue;
        }
        match enter(fd.as_fd(), *kind as u32) {
            Ok(()) => {}
            Err(Errno::PERM) if user.is_some() => later |= *kind as u32,
            Err(errno) => return Err(join_error(*kind, errno)),
        }
    }
    if let Some((kind, fd)) = user {
        match enter(fd.as_fd(), *kind as u32) {
            Ok(()) => {}
            // Joining the namespace that one is in is refused, and needless.
            Err(Errno::INVAL) if is_own_user_namespace(fd) => {}
            Err(errno) => return Err(join_error(*kind, errno)),
        }
    }
    for (kind, fd) in joins {
        if later & *kind as u32 != 0 {
            enter(fd.as_fd(), *kind as u32).map_err(|errno| join_error(*kind, errno))?;
        }
    }
    Ok(())
}

fn join_error(kind: NamespaceKind, errno: Errno) -> Error {
    within(msg!("linux.namespaces"), NO_INDEX, kind.name(), || {
        if errno == Errno::INVAL {
            return Error::said(msg!("the path is not a namespace of this type"));
        }
        Error::new(msg!("join"), errno)
    })
}

fn is_own_user_namespace(fd: &OwnedFd) -> bool {
    let own = rustix::fs::stat(c"/proc/self/ns/user");
    let other = rustix::fs::fstat(fd);
    matches!((own, other), (Ok(own), Ok(other)) if (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino))
}

fn write_offsets(spec: &Spec<'static>, proc: &Proc) -> Result<()> {
    let offsets = spec.linux.time_offsets;
    write_offset(
        msg!("linux.timeOffsets.monotonic"),
        "monotonic ",
        offsets.monotonic,
        proc,
    )?;
    write_offset(msg!("linux.timeOffsets.boottime"), "boottime ", offsets.boottime, proc)
}

#[inline(never)]
fn write_offset(site: Message, clock: &str, offset: Option<TimeOffset>, proc: &Proc) -> Result<()> {
    let Some(TimeOffset { secs, nanosecs }) = offset else {
        return Ok(());
    };
    let mut line = Line::new();
    line.str(clock).signed(secs).str(" ").number(nanosecs.into()).str("\n");
    within(site, NO_INDEX, "", || {
        line.text()
            .and_then(|text| proc.write(c"self/timens_offsets", text.as_bytes()))
            .during(msg!("write timens_offsets"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(members: &str) -> Plan {
        let maps = match members.contains("user") {
            true => {
                r#", "uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}],
                "gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]"#
            }
            false => "",
        };
        let members = std::format!(r#", "linux": {{"namespaces": [{members}]{maps}}}"#);
        Plan::make(crate::harness::spec(&members)).unwrap_or_else(|error| error.never())
    }

    /// CLONE_NEW* of linux/sched.h. A cgroup namespace is made once the cgroup was joined, one of time by a process whose
    /// child is in it.
    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn what_the_clone_makes() {
        for (kind, flag) in [
            ("pid", 0x2000_0000),
            ("network", 0x4000_0000),
            ("mount", 0x0002_0000),
            ("ipc", 0x0800_0000),
            ("uts", 0x0400_0000),
        ] {
            let plan = plan(&std::format!(r#"{{"type": "{kind}"}}"#));
            assert_eq!(plan.clone_flags, flag, "{kind}");
            assert!(
                !plan.is_staged() && !plan.new_user && !plan.in_user_namespace && !plan.new_cgroup,
                "{kind}"
            );
        }
        let user = plan(r#"{"type": "user"}, {"type": "mount"}"#);
        assert_eq!(user.clone_flags, 0x1002_0000);
        assert!(user.new_user && user.in_user_namespace && !user.is_staged());
        let cgroup = plan(r#"{"type": "cgroup"}, {"type": "mount"}"#);
        assert!(cgroup.new_cgroup && cgroup.clone_flags == 0x0002_0000 && !cgroup.is_staged());
        let time = plan(r#"{"type": "time"}, {"type": "user"}"#);
        assert!(time.is_staged() && time.clone_flags == 0x1000_0000);
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn what_takes_a_process_in_between() {
        let own = |kind, file| std::format!(r#"{{"type": "{kind}", "path": "/proc/self/ns/{file}"}}"#);
        let network = plan(&own("network", "net"));
        assert!(!network.is_staged() && network.clone_flags == 0 && !network.in_user_namespace);
        assert!(plan(&own("pid", "pid")).is_staged());
        let user = plan(&own("user", "user"));
        assert!(user.is_staged() && user.in_user_namespace && !user.new_user);
        // What is joined may belong to the user namespace that is left.
        assert!(plan(&std::format!(r#"{{"type": "user"}}, {}"#, own("network", "net"))).is_staged());
        let refused = crate::harness::refusal(|| plan(r#"{"type": "ipc", "path": "/no/such"}"#));
        assert_eq!(
            refused,
            "linux.namespaces[0] ipc: open /no/such: no such file or directory (ENOENT)"
        );
    }
}
