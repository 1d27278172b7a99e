//! The cgroup file systems inside a container.

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, symlinkat};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::process::fchdir;
use spec_core::linux::NamespaceKind;
use spec_core::mounts::{MS_BIND, MS_RDONLY, MS_REC, Mount};
use sys::OwnedFd;
use sys::fd::{clone_tree, open};
use sys::file::{is_missing, leave_open};
use sys::mount::{attach, mount as mount_call};

use super::{host, lists};
use crate::error::{During, Error, Result};
use crate::mounts::{Surroundings, attach_read_only, make_read_only};
use crate::msg;
use crate::path::Path;
use crate::root::Links;
use crate::text::cut;

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);

/// Mounts what the container may see of its cgroups on the working directory.
///
/// With a cgroup namespace of its own that is a view that begins at its cgroup; without one, copies of the host's
/// directories of its cgroup, read-only, since a container that shares the host's cgroup namespace could otherwise change
/// its own limits (CVE-2023-25809).
pub fn mount_cgroup(around: &Surroundings<'_>, mount: &Mount<'static>) -> Result<()> {
    let Some(host) = host(around.proc) else {
        return Err(Error::said(msg!(
            "the host has no cgroups at /sys/fs/cgroup: leave this mount out"
        )));
    };
    let namespaced = around.spec.linux.namespace(NamespaceKind::Cgroup).is_some();
    let read_only = mount.plan.flags & MS_RDONLY != 0;
    let mounted = || around.root.open(mount.destination.as_c_str(), DIRECTORY, Links::Refuse);
    if host.is_v2 {
        if namespaced {
            let flags = mount.plan.flags;
            match mount_call(Some(c"cgroup2"), c".", Some(c"cgroup2"), flags, None) {
                // In a user namespace that does not own the cgroup namespace: show the host's directory.
                Err(Errno::PERM | Errno::BUSY) => {}
                other => return other.during(msg!("mount cgroup2")),
            }
        }
        let here = open(c".", DIRECTORY).during(msg!("open directory"))?;
        return bind_directory(around, "", here.as_fd(), &mounted, !namespaced || read_only);
    }
    let data = Some(c"mode=755,size=64k");
    mount_call(
        Some(c"cgroup"),
        c".",
        Some(c"tmpfs"),
        mount.plan.flags & !MS_RDONLY,
        data,
    )
    .during(msg!("mount tmpfs"))?;
    let top = mounted().during(msg!("open mount"))?;
    for (hierarchy, _) in host.lines() {
        let name = Path::new(hierarchy.as_bytes());
        mkdirat(&top, name.as_c_str(), Mode::from_raw_mode(0o755)).during(msg!("make directory"))?;
        let open_it = || name.open(top.as_fd(), DIRECTORY);
        let directory = open_it().during(msg!("open directory"))?;
        let mut bind = true;
        if namespaced {
            fchdir(&directory).during(msg!("enter directory"))?;
            let is_named = lists("systemd,openrc,elogind", hierarchy);
            let start: &[u8] = if is_named { b"none,name=" } else { b"" };
            let data = Path::of(&[start, hierarchy.as_bytes()]);
            let data = Some(data.as_c_str());
            match mount_call(Some(c"cgroup"), c".", Some(c"cgroup"), mount.plan.flags, data) {
                Err(Errno::PERM | Errno::BUSY | Errno::INVAL) => {}
                result => {
                    result.during(msg!("mount cgroup"))?;
                    bind = false;
                }
            }
        }
        if bind {
            bind_directory(around, hierarchy, directory.as_fd(), &open_it, true)?;
        }
        leave_open(directory);
        let mut rest = hierarchy;
        // Each of several controllers in one hierarchy has a link to it.
        let mut controller = cut(&mut rest, b',');
        while controller != hierarchy && !controller.is_empty() {
            let link = Path::new(controller.as_bytes());
            symlinkat(name.as_c_str(), &top, link.as_c_str()).during(msg!("make link"))?;
            controller = cut(&mut rest, b',');
        }
    }
    if read_only {
        make_read_only(top.as_fd(), false)
    } else {
        Ok(())
    }
}

/// Shows the host's directory of the container's cgroup in `hierarchy`, on `here`. What is mounted there then is what
/// `mounted` opens.
fn bind_directory(
    around: &Surroundings<'_>,
    hierarchy: &str,
    here: BorrowedFd<'_>,
    mounted: &dyn Fn() -> core::result::Result<OwnedFd, Errno>,
    read_only: bool,
) -> Result<()> {
    let cgroup = around.cgroup.map_or(&b""[..], core::ffi::CStr::to_bytes);
    let path = Path::of(&[b"/sys/fs/cgroup/", hierarchy.as_bytes(), cgroup]);
    match clone_tree(CWD, path.as_c_str(), OpenTreeFlags::AT_RECURSIVE) {
        Ok(tree) if read_only => attach_read_only(tree.as_fd(), here, true),
        Ok(tree) => attach(tree.as_fd(), here).during(msg!("bind cgroup")),
        Err(errno) if is_missing(errno) => {
            let name = crate::mounts::fd_path(here);
            mount_call(Some(path.as_c_str()), name.as_c_str(), None, MS_BIND | MS_REC, None)
                .during(msg!("bind cgroup"))?;
            if read_only {
                // What was opened before lies below the new mount.
                make_read_only(mounted().during(msg!("open mount"))?.as_fd(), false)?;
            }
            Ok(())
        }
        Err(errno) => Err(Error::new_with(msg!("open #"), path.as_str(), errno)),
    }
}
