//! The data partition, at `/data`.

use core::ffi::CStr;

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use sys::directory::make;
use sys::fd::exists_in;
use sys::mount::mount;

use super::filesystems::{NODEV, NOSUID};
use super::say::{complain, say};
use crate::message::words;
use crate::text::Text;

const DATA: &CStr = c"/data";
/// What is tried where no type is said.
const TYPES: [&CStr; 5] = [c"ext4", c"f2fs", c"btrfs", c"xfs", c"vfat"];
/// How often, and how long each time, a device is waited for.
const TRIES: u32 = 50;
const TRY_MS: u64 = 100;

/// Mounts `DEVICE[:TYPE[:OPTIONS]]`; the value is whether what is written there stays. Without it containers find an empty
/// directory in memory there, which is told.
pub fn mount_data(setting: &[u8]) -> bool {
    if setting.is_empty() {
        return false;
    }
    let _ = make(CWD, DATA, Mode::from_raw_mode(0o755));
    match try_mount(setting) {
        Ok(()) => true,
        Err(errno) => {
            complain(setting, words(errno));
            let options = Some(c"mode=755");
            match mount(Some(c"tmpfs"), DATA, Some(c"tmpfs"), NOSUID | NODEV, options) {
                Ok(()) => say(
                    DATA.to_bytes(),
                    &[b"it is in memory, and what is written there is lost"],
                ),
                Err(errno) => complain(DATA.to_bytes(), words(errno)),
            }
            false
        }
    }
}

fn try_mount(setting: &[u8]) -> Result<(), Errno> {
    let mut parts = setting.splitn(3, |byte| *byte == b':');
    let (mut device, mut kind, mut options) = (Text::<64>::new(), Text::<16>::new(), Text::<128>::new());
    device.push(parts.next().unwrap_or_default());
    kind.push(parts.next().unwrap_or_default());
    options.push(parts.next().unwrap_or_default());
    let (Some(device), Some(kind), Some(options)) = (device.as_c_str(), kind.as_c_str(), options.as_c_str()) else {
        return Err(Errno::NAMETOOLONG);
    };
    let options = (!options.is_empty()).then_some(options);
    // A disk may take a while to be found.
    for _ in 0..TRIES {
        if exists_in(CWD, device) {
            break;
        }
        let _ = sys::poll::poll(&mut [], Some(TRY_MS));
    }
    let call = |kind| mount(Some(device), DATA, Some(kind), NOSUID | NODEV, options);
    if !kind.is_empty() {
        return call(kind);
    }
    let mut result = Err(Errno::NODEV);
    for kind in TYPES {
        result = call(kind);
        if !matches!(result, Err(Errno::NODEV | Errno::INVAL)) {
            break;
        }
    }
    result
}
