//! Parts of the kernel that lie in files.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::system::finit_module;
use sys::fd::{open, read};

use super::say::complain;
use crate::message::words;
use crate::text::Text;

const LIST: &CStr = c"/etc/roci/modules";
/// A longer list is refused as a whole; two hundred modules fit.
const LIST_BYTES_MAX: usize = 8192;

/// Loads the modules of the list, in its order, which puts what others need first, and then those of the setting.
pub fn load_all(setting: &[u8]) {
    load_listed();
    for name in setting.split(|byte| *byte == b',').filter(|name| !name.is_empty()) {
        load_told(name, b"");
    }
}

fn load_listed() {
    let mut memory = [0; LIST_BYTES_MAX];
    let list = match open(LIST, OFlags::RDONLY).and_then(|file| read(file.as_fd(), &mut memory)) {
        Ok(list) if list.len() < LIST_BYTES_MAX => list,
        Ok(_) => return complain(LIST.to_bytes(), "longer than 8 KiB"),
        // A kernel that has everything built in needs no list.
        Err(Errno::NOENT) => return,
        Err(errno) => return complain(LIST.to_bytes(), words(errno)),
    };
    for line in list.split(|&byte| byte == b'\n') {
        let mut parts = line.splitn(2, |&byte| byte == b' ');
        let name = parts.next().unwrap_or_default();
        if name.is_empty() || name.starts_with(b"#") {
            continue;
        }
        load_told(name, parts.next().unwrap_or_default());
    }
}

fn load_told(name: &[u8], parameters: &[u8]) {
    match load(name, parameters) {
        // It is there already, or was built in after all.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => complain(name, words(errno)),
    }
}

fn load(name: &[u8], parameters: &[u8]) -> Result<(), Errno> {
    let (mut path, mut values) = (Text::<256>::new(), Text::<256>::new());
    path.push(b"/lib/modules/");
    path.push(name);
    values.push(parameters);
    let path = path.as_c_str().ok_or(Errno::NAMETOOLONG)?;
    let file = open(path, OFlags::RDONLY)?;
    let result = finit_module(file.as_fd(), values.as_c_str().ok_or(Errno::TOOBIG)?, 0);
    file.close();
    result
}
