//! `--init`: the separate PID 1, executed by descriptor, so that the image needs no copy of it.

use core::ffi::CStr;

use rustix::fs::OFlags;
use spec_core::limits::PATH_BYTES_MAX;
use sys::Arguments;
use sys::OwnedFd;
use sys::file::read_link;

use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::{Path, split_last};
use crate::proc::Proc;
use crate::sealed;

/// Opens `roci-init`, which lies beside `roci`, so that nobody in the container can write it.
pub fn open(proc: &Proc, arguments: Arguments) -> Result<OwnedFd> {
    let mut memory = [0; PATH_BYTES_MAX];
    let own = read_link(proc.as_fd(), c"self/exe", &mut memory).during(msg!("find roci-init"))?;
    // A protected copy of roci was started by the path of what it is a copy of.
    let name = arguments.get(0).map_or(&b""[..], CStr::to_bytes);
    let mut refused = None;
    for path in [name, own] {
        let (directory, _) = split_last(path);
        if directory.is_empty() {
            continue;
        }
        let beside = Path::of(&[directory, b"roci-init"]);
        match sys::fd::open(beside.as_c_str(), OFlags::RDONLY) {
            Ok(file) => return sealed::seal(file),
            Err(errno) => refused = Some((beside, errno)),
        }
    }
    Err(match refused {
        Some((path, errno)) => Error::new_with(msg!("--init: open #"), path.as_str(), errno),
        None => Error::said(msg!("--init: roci-init is not beside roci")),
    })
}
