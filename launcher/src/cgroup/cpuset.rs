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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Directory;

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn what_is_empty_gets_what_is_above() {
        let directory = Directory::new("cpuset");
        for (place, cpus, mems) in [
            ("", "0-3\n", "0\n"),
            ("a/", "\n", "\n"),
            ("a/b/", "\n", "1\n"),
            ("c/", "2\n", "\n"),
        ] {
            directory.write(&std::format!("{place}cpuset.cpus"), cpus);
            directory.write(&std::format!("{place}cpuset.mems"), mems);
        }
        let fill = |place| {
            let below = open_in(directory.open().as_fd(), place, DIRECTORY).expect("the directory");
            assert_eq!(fill_cpuset(below), Ok(()));
        };
        // The kernel takes a value wherever it is written; a file has it behind the line that was read.
        let all = |place: &str| {
            ["cpuset.cpus", "cpuset.mems"].map(|file| {
                let text = directory.read(&std::format!("{place}{file}"));
                std::string::String::from(text.trim())
            })
        };
        // What is above is empty too, and is filled first.
        fill(c"a/b");
        assert_eq!(all("a/b/"), ["0-3", "1"]);
        assert_eq!(all("a/"), ["0-3", "0"]);
        fill(c"c");
        assert_eq!(all("c/"), ["2", "0"]);
        let empty = Directory::new("cpuset-none");
        assert_eq!(fill_cpuset(empty.open()), Err(Errno::NOENT));
    }
}
