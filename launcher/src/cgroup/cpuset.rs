//! The processors and memory nodes of a cgroup of version 1.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use sys::OwnedFd;
use sys::fd::{open_in, read};

use super::DIRECTORY;

/// A new version 1 cpuset is empty, and nothing can join it: give it what the one above has.
pub fn fill_cpuset(directory: OwnedFd) -> core::result::Result<(), Errno> {
    for name in [c"cpuset.cpus", c"cpuset.mems"] {
        let mut memory = [0; 1024];
        let own = open_in(directory.as_fd(), name, OFlags::RDWR)?;
        if read(own.as_fd(), &mut memory)?.len() > 1 {
            own.close();
            continue;
        }
        let above = open_in(directory.as_fd(), c"..", DIRECTORY)?;
        let file = open_in(above.as_fd(), name, OFlags::RDONLY)?;
        let mut n = read(file.as_fd(), &mut memory)?.len();
        if n <= 1 {
            // Another roci has made that one and not filled it yet. The root, which ends this, is never empty.
            fill_cpuset(above)?;
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
            n = read(file.as_fd(), &mut memory)?.len();
        }
        rustix::io::write(&own, memory.get(..n).unwrap_or_default())?;
        own.close();
        file.close();
    }
    directory.close();
    Ok(())
}
