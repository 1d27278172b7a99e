//! `--init`: the separate PID 1, executed by descriptor, so that the image needs no copy of it.

use core::mem::MaybeUninit;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat_raw};
use spec_core::limits::PATH_BYTES_MAX;

use crate::error::{During, Result};
use crate::path::Path;
use crate::proc::Proc;
use crate::sealed;

/// Opens `roci-init`, which lies beside `roci`, so that nobody in the container can write it.
pub fn open(proc: &Proc) -> Result<OwnedFd> {
    let mut memory = [MaybeUninit::uninit(); PATH_BYTES_MAX];
    let (own, _) = readlinkat_raw(proc.as_fd(), c"self/exe", &mut memory).during("find roci-init")?;
    let slash = own.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let beside = Path::join(&[&own[..slash], b"/roci-init"]).during("find roci-init")?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    // A roci that runs from a copy in memory does not know where it came from.
    let file = openat(CWD, beside.as_c_str(), flags, Mode::empty())
        .or_else(|_| openat(CWD, c"/usr/bin/roci-init", flags, Mode::empty()))
        .or_else(|_| openat(CWD, c"/usr/libexec/roci-init", flags, Mode::empty()))
        .during_with(format_args!("open {}", beside.as_str()))?;
    sealed::seal(file)
}
