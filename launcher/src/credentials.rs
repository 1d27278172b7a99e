//! Who the program is: groups, ids, capabilities. There is one safe order, and it is here.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use spec_core::Spec;
use spec_core::limits::IDS_MAX;
use spec_core::process::{CAPABILITY_NAMES, Capabilities, Process};
use sys::fd::read;
use sys::process::SchedulerAttributes;

use crate::error::{During, Error, NO_INDEX, Result, within};
use crate::msg;
use crate::proc::Proc;
use crate::text::Digits;

/// Becomes root of the user namespace, so that files made from here on have an owner there.
pub fn become_namespace_root(proc: &Proc) -> Result<()> {
    let root = (Uid::ROOT, Gid::ROOT);
    set_groups(&[], proc)?;
    // Where id 0 is not mapped the process stays nobody, with all capabilities in its namespace.
    match set_thread_res_gid(root.1, root.1, root.1) {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(errno) => return Err(Error::new(msg!("setgid"), errno)),
    }
    match set_thread_res_uid(root.0, root.0, root.0) {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Error::new(msg!("setuid"), errno)),
    }
}

fn set_groups(groups: &[Gid], proc: &Proc) -> Result<()> {
    match set_thread_groups(groups) {
        Err(Errno::PERM) if groups.is_empty() && keeps_groups(proc) => Ok(()),
        result => result.during(msg!("setgroups")),
    }
}

/// Whether the user namespace keeps everybody's groups, since its maps were written without privileges.
fn keeps_groups(proc: &Proc) -> bool {
    let mut memory = [0; 8];
    proc.open_file(c"self/setgroups", OFlags::RDONLY)
        .and_then(|file| read(file.as_fd(), &mut memory))
        .is_ok_and(|text| text.starts_with(b"deny"))
}

/// Gives up everything that `process` does not grant. After this the process is the user's program in all but its code.
pub fn take(spec: &Spec<'static>, process: &Process<'static>, proc: &Proc) -> Result<()> {
    let wanted = &process.capabilities;
    // The bounding set first: dropping from it needs CAP_SETPCAP, which the next steps may take away.
    drop_bounding(wanted.bounding)?;
    let user = &process.user;
    if user.uid != 0 {
        // Otherwise leaving uid 0 would clear the sets before they can be set.
        set_keep_capabilities(true).during(msg!("keep capabilities"))?;
    }
    let gids = spec.list(user.additional_gids);
    let mut groups = heapless::Vec::<Gid, IDS_MAX>::new();
    for gid in gids {
        // The configuration has no more.
        let _ = groups.push(Gid::from_raw(*gid));
    }
    set_groups(&groups, proc)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_res_gid(gid, gid, gid).during(msg!("setgid"))?;
    set_thread_res_uid(uid, uid, uid).during(msg!("setuid"))?;
    set_sets(wanted)?;
    if process.no_new_privileges {
        set_no_new_privs(true).during(msg!("set no_new_privs"))?;
    }
    Ok(())
}

fn drop_bounding(keep: u64) -> Result<()> {
    for number in 0..64 {
        if keep & (1 << number) != 0 {
            continue;
        }
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel knows no capability from this number on, and says so of its presence as well.
            Err(Errno::INVAL) if capability_is_in_bounding_set(capability) == Err(Errno::INVAL) => break,
            Err(errno) => return Err(Error::new(msg!("drop bounding capability"), errno)),
        }
    }
    Ok(())
}

/// The four sets of the thread. What this process does not have itself cannot be granted, which the specification makes a
/// warning and clients rely on (privileged containers list every capability there is).
fn set_sets(wanted: &Capabilities) -> Result<()> {
    let set = |wanted: &Capabilities, limit: u64| {
        let permitted = wanted.permitted & limit;
        set_capabilities(
            None,
            CapabilitySets {
                effective: CapabilitySet::from_bits_retain(wanted.effective & permitted),
                permitted: CapabilitySet::from_bits_retain(permitted),
                inheritable: CapabilitySet::from_bits_retain(wanted.inheritable & limit),
            },
        )
    };
    let mut limit = u64::MAX;
    match set(wanted, limit) {
        Ok(()) => {}
        Err(Errno::PERM) => {
            let own = rustix::thread::capabilities(None).during(msg!("get capabilities"))?;
            limit = own.permitted.bits();
            set(wanted, limit).during(msg!("set capabilities"))?;
        }
        Err(errno) => return Err(Error::new(msg!("set capabilities"), errno)),
    }
    let ambient = wanted.ambient & wanted.permitted & wanted.inheritable & limit;
    if wanted.ambient == 0 {
        // A fresh exec has none unless the caller of roci gave some; one call makes sure.
        return clear_ambient_capability_set().during(msg!("clear ambient capabilities"));
    }
    for number in 0..CAPABILITY_NAMES.len() {
        if ambient & (1 << number) != 0 {
            configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(1 << number), true)
                .during(msg!("set ambient capability"))?;
        }
    }
    Ok(())
}

/// Resource limits, for this process.
pub fn set_rlimits(process: &Process<'static>, pid: i32) -> Result<()> {
    for (index, limit) in process.rlimits.iter().enumerate() {
        within(msg!("process.rlimits"), index, "", || {
            sys::process::set_rlimit(pid, limit.resource, limit.soft, limit.hard).during(msg!("set rlimit"))
        })?;
    }
    Ok(())
}

/// How the process gets the processor and the disk. Both need rights that the program may not have.
pub fn set_scheduling(process: &Process<'static>) -> Result<()> {
    if let Some(scheduler) = process.scheduler {
        let mut attributes = SchedulerAttributes::default();
        attributes.policy = scheduler.policy;
        attributes.flags = scheduler.flags;
        attributes.nice = scheduler.nice;
        attributes.priority = scheduler.priority;
        attributes.runtime = scheduler.runtime;
        attributes.deadline = scheduler.deadline;
        attributes.period = scheduler.period;
        within(msg!("process.scheduler"), NO_INDEX, "", || {
            sys::process::set_scheduler(attributes).during(msg!("set scheduler"))
        })?;
    }
    if let Some(io) = process.io_priority {
        within(msg!("process.ioPriority"), NO_INDEX, "", || {
            sys::process::set_io_priority(io.class, io.priority).during(msg!("set io priority"))
        })?;
    }
    Ok(())
}

/// How willingly the kernel kills the process when memory is short.
pub fn set_oom_score(proc: &Proc, process: &Process<'static>, pid: Option<i32>) -> Result<()> {
    let Some(score) = process.oom_score_adj else {
        return Ok(());
    };
    let path = match pid {
        Some(pid) => crate::path::Path::of_process(pid, "oom_score_adj"),
        None => crate::path::Path::new(b"self/oom_score_adj"),
    };
    let file = proc
        .open_file(path.as_c_str(), OFlags::WRONLY)
        .during(msg!("set oom score"))?;
    rustix::io::write(&file, Digits::signed(score.into()).as_bytes())
        .map(drop)
        .during(msg!("set oom score"))
}
