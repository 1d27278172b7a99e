//! Processes as `/proc` shows them, for containers without a cgroup and for tables.

use heapless::Vec;
use rustix::fd::AsFd;
use rustix::fs::{OFlags, SeekFrom, seek};
use sys::directory::Names;
use sys::fd::open_in;

use crate::error::{During, Error, Result};
use crate::msg;
use crate::proc::Proc;
use crate::text::{parse_number, utf8};

/// How many processes of one container are followed where no cgroup names them.
const DESCENDANTS_MAX: usize = 1024;

/// The beginning of a process's command line, its words parted by blanks.
pub fn command_line<'m>(proc: &Proc, pid: i32, memory: &'m mut [u8; 256]) -> &'m str {
    let line = proc.read_of(pid, "cmdline", memory).unwrap_or_default();
    for byte in line.iter_mut() {
        // What a container wrote there must not move the cursor of who looks at it.
        if *byte < b' ' || *byte == 0x7f {
            *byte = b' ';
        }
    }
    utf8(line.trim_ascii_end())
}

/// Calls `each` with `ancestor` and all that descend from it. Nobody is told before all are found: the children of one that is
/// killed have another parent.
pub fn for_each(proc: &Proc, ancestor: i32, each: &mut dyn FnMut(i32)) -> Result<()> {
    let directory = open_in(proc.as_fd(), c".", OFlags::RDONLY | OFlags::DIRECTORY).during(msg!("open /proc"))?;
    let mut family = Vec::<i32, DESCENDANTS_MAX>::new();
    let _ = family.push(ancestor);
    // Children mostly have higher numbers than their parents, and /proc lists by number, so one pass finds nearly all; a
    // second one finds those whose numbers wrapped around.
    for _ in 0..2 {
        let mut names = Names::of(directory.as_fd());
        while let Some(name) = names.next().during(msg!("read /proc"))? {
            let Some(pid) = parse_number(utf8(name.to_bytes())) else {
                continue;
            };
            let pid = pid as i32;
            let Some(parent) = proc.process(pid, &mut [0; 1024]).map(|process| process.parent) else {
                continue;
            };
            if family.contains(&parent) && !family.contains(&pid) && family.push(pid).is_err() {
                return Err(Error::said(msg!("more than 1024 processes (DESCENDANTS_MAX)")));
            }
        }
        seek(&directory, SeekFrom::Start(0)).during(msg!("read /proc"))?;
    }
    directory.close();
    family.iter().for_each(|pid| each(*pid));
    Ok(())
}
