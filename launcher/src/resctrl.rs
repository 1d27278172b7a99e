//! `linux.intelRdt`: shares of the cache and of memory bandwidth, by the kernel's resctrl file system.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, unlinkat};
use rustix::io::Errno;
use spec_core::Spec;
use sys::directory::make;
use sys::fd::open_in;
use sys::{FileSystem, OwnedFd};

use crate::container::write_all;
use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::Path;
use crate::policy::{Feature, is_off, is_preferred};
use crate::text::Digits;

/// `RDTGROUP_SUPER_MAGIC` of `linux/magic.h`.
const RESCTRL_MAGIC: u32 = 0x0765_5821;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// The file system, where it is mounted.
fn top() -> core::result::Result<OwnedFd, Errno> {
    let top = open_in(CWD, c"/sys/fs/resctrl", DIRECTORY)?;
    if FileSystem::of(top.as_fd())?.magic == RESCTRL_MAGIC {
        Ok(top)
    } else {
        Err(Errno::NODEV)
    }
}

/// Puts the process into the class that the configuration asks for, which is made where it is missing.
pub fn apply(spec: &Spec<'static>, id: &'static CStr, pid: i32) -> Result<()> {
    let Some(rdt) = spec.linux.intel_rdt.as_ref().filter(|_| !is_off(Feature::IntelRdt)) else {
        return Ok(());
    };
    let Ok(top) = top() else {
        if is_preferred(Feature::IntelRdt) {
            return Ok(());
        }
        return Err(Error::said(msg!(
            "linux.intelRdt: no resctrl at /sys/fs/resctrl: the kernel needs CONFIG_X86_CPU_RESCTRL"
        )));
    };
    let schemata = spec.list(rdt.schemata);
    let asks = rdt.l3_cache_schema.is_some() || rdt.mem_bw_schema.is_some() || !schemata.is_empty();
    let name = rdt.clos_id.map_or(id, |name| name.as_c_str());
    // A class that is only named belongs to somebody else, and has to be there.
    if rdt.clos_id.is_none() || asks {
        make(top.as_fd(), name, Mode::from_raw_mode(0o755)).during(msg!("linux.intelRdt: make class"))?;
    }
    let class = open_in(top.as_fd(), name, DIRECTORY).during(msg!("linux.intelRdt: open class"))?;
    let write = |file: &CStr, text: &[u8]| {
        let file = open_in(class.as_fd(), file, OFlags::WRONLY)?;
        write_all(file.as_fd(), text)
    };
    let lines = rdt.l3_cache_schema.iter().chain(&rdt.mem_bw_schema).chain(schemata);
    for line in lines {
        let line = Path::of(&[line.as_str().as_bytes(), b"\n"]);
        write(c"schemata", line.as_bytes()).during(msg!("linux.intelRdt: write schemata"))?;
    }
    let pid = Digits::of(pid as u64);
    write(c"tasks", pid.as_bytes()).during(msg!("linux.intelRdt: join class"))?;
    if rdt.enable_monitoring {
        let group = Path::of(&[b"mon_groups/", id.to_bytes()]);
        make(class.as_fd(), group.as_c_str(), Mode::from_raw_mode(0o755))
            .during(msg!("linux.intelRdt: make monitoring group"))?;
        let tasks = Path::of(&[b"mon_groups/", id.to_bytes(), b"/tasks"]);
        write(tasks.as_c_str(), pid.as_bytes()).during(msg!("linux.intelRdt: join monitoring group"))?;
    }
    Ok(())
}

/// Removes what was made for the container: its class, unless that has a name of its own and may have other containers.
pub fn remove(spec: &Spec<'static>, id: &CStr) {
    let Some(rdt) = &spec.linux.intel_rdt else {
        return;
    };
    let Ok(top) = top() else {
        return;
    };
    // It goes with the container, which must not stay for want of it.
    let _ = match rdt.clos_id {
        None => unlinkat(&top, id, AtFlags::REMOVEDIR),
        Some(name) => {
            let group = Path::of(&[name.as_str().as_bytes(), b"/mon_groups/", id.to_bytes()]);
            unlinkat(&top, group.as_c_str(), AtFlags::REMOVEDIR)
        }
    };
}
