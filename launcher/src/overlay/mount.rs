//! The overlay's mount, made by the container process in its own mount namespace.
//!
//! Below everything lies a small tmpfs on the place of the bundle's root. It holds the mount points of images, and the
//! changes where no directory does. The overlay covers it. It is the one mount that can be reached through a descriptor on
//! every kernel, whoever may walk to the bundle.
//!
//! `mount(2)` takes one page of options. All that an overlay needs is named in it by the numbers of open descriptors,
//! relative to the directory `/proc/self/fd`, so that the largest number of layers fits, no path needs an escape, and the
//! container does not see the host's paths among its mounts.

use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use rustix::fs::{Mode, OFlags, mkdirat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::fchdir;
use spec_core::Spec;
use spec_core::mounts::{MS_BIND, MS_NODEV, MS_NOSUID};
use sys::OwnedFd;
use sys::fd::{new_mount, open, open_in};
use sys::file::{is_missing, leave_open};
use sys::mount::{attach, mount as mount_call};
use sys::process::inherited_fd;

use super::{Kind as LayerKind, Overlay, Upper, absolute, image};
use crate::container::Document;
use crate::error::{During, Error, Result};
use crate::mounts::{clone_tree, fd_path, make_read_only};
use crate::msg;
use crate::path::Path;
use crate::policy::{self, Feature};
use crate::proc::Proc;
use crate::root::{Links, Root};
use crate::rootfs;
use crate::sync::{Kind, Socket};
use crate::text::{Digits, Sink, parts};

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
const ANYBODY_ENTERS: Mode = Mode::from_raw_mode(0o755);
/// The names in the tmpfs.
pub const UPPER: &CStr = c"upper";
const WORK: &CStr = c"work";

/// A root file system that is an overlay.
pub struct Mounted {
    /// The overlay's root.
    pub root: Root,
    /// The tmpfs below it, where that holds the changes: it stays, as the mount that the overlay lies on, so that `diff`
    /// finds them.
    pub below: Option<OwnedFd>,
}

/// Opens the directories, in this mount namespace: the kernel takes those of no other. It comes before the process becomes
/// somebody who may not be allowed to walk to them, and enters a cgroup that does not let it open devices.
pub fn open_directories(overlay: &Overlay, spec: &Spec<'static>) -> Result<()> {
    let mut has_devices = false;
    for layer in overlay.layers {
        has_devices |= layer.kind.get() == LayerKind::Device;
        if layer.kind.get() == LayerKind::Directory {
            let path = absolute(overlay.bundle, layer.path, "");
            let directory =
                open(path.as_c_str(), DIRECTORY).during_with(msg!("overlay: open lower #"), path.as_str())?;
            layer.fd.set(directory.into_raw_fd());
        }
    }
    if has_devices {
        let here = rootfs::part(spec)?;
        let below = mount_tmpfs(overlay, here)?;
        mount_images(overlay, below.as_fd())?;
    }
    if overlay.upper_kind() == Upper::Directory {
        let open = |path: &Path| open(path.as_c_str(), DIRECTORY).during_with(msg!("overlay: open #"), path.as_str());
        let upper = open(&absolute(overlay.bundle, overlay.upper, ""))?;
        let work = open(&overlay.work_path())?;
        overlay.opened.set([upper.into_raw_fd(), work.into_raw_fd()]);
    }
    Ok(())
}

/// Mounts the overlay on `here`, which is the working directory.
pub fn mount(overlay: &Overlay, here: OwnedFd, proc: &Proc, socket: &Socket, memory: &mut [u8]) -> Result<Mounted> {
    let below = mount_tmpfs(overlay, here)?;
    mkdirat(&below, UPPER, ANYBODY_ENTERS).during(msg!("overlay: make directory"))?;
    mount_images(overlay, below.as_fd())?;
    let mut upper = overlay.upper_kind();
    let first = mount_layers(overlay, below.as_fd(), upper, proc, memory)?;
    let mut mounted = first;
    let refused = mounted.is_err() && policy::is_preferred(Feature::Overlay);
    if refused && mounted != Err(Errno::NODEV) && upper == Upper::Directory {
        upper = Upper::Tmpfs;
        mounted = mount_layers(overlay, below.as_fd(), upper, proc, memory)?;
    }
    // None at all, or none for who is root in a user namespace.
    if refused && matches!(mounted, Err(Errno::NODEV | Errno::PERM)) {
        upper = Upper::Nowhere;
        mounted = bind_read_only(overlay, below.as_fd());
    }
    if let Err(errno) = mounted {
        // Why another way failed as well is not what the user asked for.
        return Err(Error::new(msg!("mount overlay"), first.err().unwrap_or(errno)));
    }
    if refused {
        socket
            .send(Kind::Overlay, &[upper as u8])
            .during(msg!("tell what holds the changes"))?;
        socket.wait_for_go();
    }
    // From below a covered directory the way up leads to what covers it.
    let root = open_in(below.as_fd(), c"upper/..", DIRECTORY).during(msg!("open root"))?;
    let root = Root::new(root);
    if upper == Upper::Nowhere {
        make_read_only(root.as_fd(), false)?;
        mount_writable(overlay, &root)?;
    }
    fchdir(root.as_fd()).during(msg!("enter root"))?;
    Ok(Mounted {
        root,
        below: (upper == Upper::Tmpfs).then_some(below),
    })
}

/// Mounts the tmpfs on the working directory.
fn mount_tmpfs(overlay: &Overlay, here: OwnedFd) -> Result<OwnedFd> {
    // Its own root is under the overlay, where nobody comes, so its mode does not matter.
    let size = Path::new(overlay.size.as_bytes());
    let options = [(c"size", size.as_c_str())];
    let given = usize::from(!overlay.size.is_empty());
    match new_mount(
        c"tmpfs",
        options.get(..given).unwrap_or_default(),
        MountAttrFlags::empty(),
    ) {
        Ok(mount) => {
            attach(mount.as_fd(), here.as_fd()).during(msg!("mount tmpfs"))?;
            leave_open(here);
            return Ok(mount);
        }
        Err(errno) if is_missing(errno) => {}
        Err(errno) => return Err(Error::new_with(msg!("mount tmpfs of size #"), overlay.size, errno)),
    }
    let data = Path::of(&[b"size=", overlay.size.as_bytes()]);
    let data = (given > 0).then(|| data.as_c_str());
    mount_call(Some(c"tmpfs"), c".", Some(c"tmpfs"), 0, data)
        .during_with(msg!("mount tmpfs of size #"), overlay.size)?;
    rootfs::open_covered()
}

/// Mounts the images in the tmpfs: before Linux 6.15 an overlay takes none that is mounted nowhere.
fn mount_images(overlay: &Overlay, below: BorrowedFd<'_>) -> Result<()> {
    for (index, layer) in overlay.layers.iter().enumerate() {
        let kind = layer.kind.replace(LayerKind::Directory);
        if kind == LayerKind::Directory {
            continue;
        }
        let name = Path::numbered("", index as u32);
        let image = inherited_fd(layer.fd.get());
        mkdirat(below, name.as_c_str(), ANYBODY_ENTERS).during(msg!("overlay: make directory"))?;
        let open_place = || name.open(below, DIRECTORY).during(msg!("overlay: open directory"));
        let place = open_place()?;
        if kind == LayerKind::Mount {
            attach(image, place.as_fd()).during_with(msg!("mount image #"), layer.path)?;
        } else {
            image::mount_device(fd_path(image).as_c_str(), fd_path(place.as_fd()).as_c_str())
                .during_with(msg!("mount image #"), layer.path)?;
            layer.fd.set(open_place()?.into_raw_fd());
        }
        place.close();
    }
    Ok(())
}

/// Mounts the overlay itself on the tmpfs. The kernel's refusal is the inner result.
fn mount_layers(
    overlay: &Overlay,
    below: BorrowedFd<'_>,
    upper: Upper,
    proc: &Proc,
    memory: &mut [u8],
) -> Result<core::result::Result<(), Errno>> {
    let mut directories = overlay.opened.get();
    if upper == Upper::Tmpfs {
        mkdirat(below, WORK, Mode::RWXU).during(msg!("overlay: make directory"))?;
        directories = [UPPER, WORK].map(|name| open_in(below, name, DIRECTORY).map_or(-1, IntoRawFd::into_raw_fd));
    }
    let mut data = Document::new(memory);
    let mut add = |name: &str, fd: i32| {
        data.put(name);
        data.put(Digits::signed(fd.into()).as_str());
    };
    let mut name = "lowerdir=";
    for layer in overlay.layers {
        add(name, layer.fd.get());
        name = ":";
    }
    let [upper, work] = directories;
    add(",upperdir=", upper);
    add(",workdir=", work);
    data.put(if overlay.user_attributes { ",userxattr\0" } else { "\0" });
    let data = CStr::from_bytes_until_nul(data.as_bytes()).unwrap_or_default();
    let descriptors = open_in(proc.as_fd(), c"self/fd", DIRECTORY).during(msg!("open /proc/self/fd"))?;
    fchdir(&descriptors).during(msg!("enter /proc/self/fd"))?;
    leave_open(descriptors);
    let target = Path::numbered("", below.as_raw_fd() as u32);
    Ok(mount_call(
        Some(c"overlay"),
        target.as_c_str(),
        Some(c"overlay"),
        0,
        Some(data),
    ))
}

/// Where the kernel has no overlay: the layer itself, where there is one alone.
fn bind_read_only(overlay: &Overlay, below: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    let [layer] = overlay.layers.as_slice() else {
        return Err(Errno::NODEV);
    };
    let layer = inherited_fd(layer.fd.get());
    // What is mounted below it is no part of a layer. The tmpfs may be, which covers the bundle's root.
    match clone_tree(layer, false) {
        Ok(tree) => attach(tree.as_fd(), below),
        Err(errno) if is_missing(errno) => {
            let (from, to) = (fd_path(layer), fd_path(below));
            mount_call(Some(from.as_c_str()), to.as_c_str(), None, MS_BIND, None)
        }
        other => other.map(drop),
    }
}

/// And on it a tmpfs on each path that is to be writable.
fn mount_writable(overlay: &Overlay, root: &Root) -> Result<()> {
    for path in parts(overlay.writable, b':').filter(|path| !path.is_empty()) {
        let place = root
            .open(Path::new(path.as_bytes()).as_c_str(), DIRECTORY, Links::Follow)
            .during_with(msg!("overlay: open #"), path)?;
        fchdir(&place).during(msg!("overlay: enter directory"))?;
        place.close();
        mount_call(Some(c"tmpfs"), c".", Some(c"tmpfs"), MS_NOSUID | MS_NODEV, None)
            .during_with(msg!("mount tmpfs on #"), path)?;
    }
    Ok(())
}
