//! Images of file systems as layers: squashfs and erofs, by way of a loop device.

use core::ffi::CStr;

use rustix::fd::{AsFd, IntoRawFd};
use rustix::fs::OFlags;
use rustix::io::{Errno, pread};
use rustix::mount::MountAttrFlags;
use spec_core::mounts::MS_RDONLY;
use sys::OwnedFd;
use sys::fd::new_mount;
use sys::file::is_missing;

use super::Kind;
use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::Path;

/// How often somebody else may take the device that was free a moment ago.
const TRIES: u32 = 1000;

/// Mounts the image at `path`, which the user calls `name`, and nowhere: the mount goes with its descriptor, whose number is
/// returned, and the device goes with the mount. Before Linux 5.2 it is the device, for [`mount_device`].
pub fn open(path: &CStr, name: &str) -> Result<(i32, Kind)> {
    let file = sys::fd::open(path, OFlags::RDONLY).during_with(msg!("overlay: open lower #"), name)?;
    let mark = |place| {
        let mut mark = [0; 4];
        let _ = pread(&file, &mut mark, place);
        mark
    };
    let kind = if mark(0) == *b"hsqs" {
        c"squashfs"
    } else if mark(1024) == 0xe0f5_e1e2_u32.to_le_bytes() {
        c"erofs"
    } else {
        return Err(Error::says(
            msg!("overlay: neither a directory nor a squashfs or erofs image: #"),
            name,
        ));
    };
    let (device, device_path) = attach(&file).during(msg!(
        "overlay: find a loop device (needs CONFIG_BLK_DEV_LOOP and /dev/loop-control)"
    ))?;
    file.close();
    let options = [(c"ro", c""), (c"source", device_path.as_c_str())];
    match new_mount(kind, &options, MountAttrFlags::MOUNT_ATTR_RDONLY) {
        Ok(mount) => {
            device.close();
            Ok((mount.into_raw_fd(), Kind::Mount))
        }
        Err(errno) if is_missing(errno) => Ok((device.into_raw_fd(), Kind::Device)),
        Err(errno) => Err(Error::new_with(msg!("mount image #"), name, errno)),
    }
}

/// A loop device that shows `file`, and its path.
fn attach(file: &OwnedFd) -> core::result::Result<(OwnedFd, Path), Errno> {
    let control = sys::fd::open(c"/dev/loop-control", OFlags::RDWR)?;
    let mut tries = 0;
    loop {
        let path = Path::numbered("/dev/loop", sys::loop_device::find_free(control.as_fd())?);
        let device = sys::fd::open(path.as_c_str(), OFlags::RDONLY)?;
        match sys::loop_device::show(device.as_fd(), file.as_fd()) {
            Err(Errno::BUSY) if tries < TRIES => tries += 1,
            Err(errno) => return Err(errno),
            Ok(()) => {
                control.close();
                return Ok((device, path));
            }
        }
        device.close();
    }
}

/// Mounts a device on `target`, a path, as whatever it is.
pub fn mount_device(device: &CStr, target: &CStr) -> core::result::Result<(), Errno> {
    let mut result = Err(Errno::INVAL);
    for kind in [c"squashfs", c"erofs"] {
        if result.is_err() {
            result = sys::mount::mount(Some(device), target, Some(kind), MS_RDONLY, None);
        }
    }
    result
}
