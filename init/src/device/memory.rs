//! Whether a container was ended for want of memory, as its cgroup says.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use sys::fd::{open, read};

use super::config::Reader;
use crate::text::{Text, after, number};

/// A path of the kernel's cgroups.
type Path = Text<512>;

/// Whether the kernel has killed a process of the container `name`, which `roci` has not deleted yet.
pub fn has_killed(name: &[u8]) -> bool {
    let mut cgroup = Path::new();
    if !find_cgroup(name, &mut cgroup) {
        return false;
    }
    // Version 2, and the hierarchy of version 1 that has memory.
    [
        (&b"/sys/fs/cgroup"[..], &b"memory.events"[..]),
        (b"/sys/fs/cgroup/memory", b"memory.oom_control"),
    ]
    .into_iter()
    .any(|(hierarchy, file)| {
        let mut path = Path::new();
        for part in [hierarchy, b"/", cgroup.as_bytes(), b"/", file] {
            path.push(part);
        }
        counts_kills(&path)
    })
}

/// The container's cgroup, as `roci` has noted it.
fn find_cgroup(name: &[u8], cgroup: &mut Path) -> bool {
    let mut path = Path::new();
    for part in [b"/run/roci/", name, b"/state.json"] {
        path.push(part);
    }
    let Ok(file) = open(path.as_c_str().unwrap_or_default(), OFlags::RDONLY) else {
        return false;
    };
    let (mut reader, mut memory) = (Reader::new(), [0; 512]);
    let mut is_found = false;
    while let Ok(bytes) = read(file.as_fd(), &mut memory) {
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            if let Some(member) = reader.feed(*byte)
                && (member.object, member.name) == (b"", b"cgroup")
            {
                cgroup.push(member.value.unwrap_or_default().as_bytes());
                is_found = true;
            }
        }
    }
    file.close();
    is_found
}

/// Whether the file has a line `oom_kill N` with a number that is not 0.
fn counts_kills(path: &Path) -> bool {
    let Ok(file) = open(path.as_c_str().unwrap_or_default(), OFlags::RDONLY) else {
        return false;
    };
    let mut memory = [0; 256];
    let text = read(file.as_fd(), &mut memory).map_or(&b""[..], |text| text);
    let has_killed = says_kills(text);
    file.close();
    has_killed
}

fn says_kills(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| after(line, b"oom_kill "))
        .any(|count| number(count, u32::MAX) != Some(0))
}

#[cfg(test)]
mod tests {
    use super::says_kills;

    #[test]
    fn kills_are_counted_in_both_versions() {
        assert!(says_kills(
            b"low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"
        ));
        assert!(!says_kills(b"low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\n"));
        assert!(says_kills(b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"));
        assert!(!says_kills(b"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"));
        assert!(!says_kills(b""));
    }
}
