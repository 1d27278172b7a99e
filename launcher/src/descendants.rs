//! Processes as `/proc` shows them, for containers without a cgroup and for tables.

use heapless::{String, Vec};
use rustix::fs::{Mode, OFlags, RawDir, openat};

use crate::error::{During, Error, Result};
use crate::path::Path;
use crate::proc::Proc;

/// How many processes of one container are followed where no cgroup names them.
const DESCENDANTS_MAX: usize = 1024;

/// A process.
pub struct Process {
    /// Its parent.
    pub parent: i32,
    /// The letter of its state.
    pub state: u8,
    /// What the kernel calls it.
    pub name: String<64>,
}

/// Reads `/proc/PID/stat`.
pub fn look(proc: &Proc, pid: i32) -> Option<Process> {
    let path = Path::format(format_args!("{pid}/stat"));
    let file = proc.open_file(path.as_c_str(), OFlags::RDONLY).ok()?;
    let mut memory = [0; 512];
    let n = rustix::io::read(&file, &mut memory).ok()?;
    let stat = core::str::from_utf8(&memory[..n]).ok()?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat.get(close + 1..)?.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let mut name = String::new();
    let _ = name.push('[');
    let _ = name.push_str(stat.get(open + 1..close)?);
    let _ = name.push(']');
    Some(Process { parent, state, name })
}

/// The beginning of a process's command line, its words parted by blanks.
pub fn command_line<'m>(proc: &Proc, pid: i32, memory: &'m mut [u8; 256]) -> &'m str {
    let read = |memory: &mut [u8]| {
        let path = Path::format(format_args!("{pid}/cmdline"));
        let file = proc.open_file(path.as_c_str(), OFlags::RDONLY).ok()?;
        rustix::io::read(&file, memory).ok()
    };
    let n = read(memory).unwrap_or(0);
    for byte in &mut memory[..n] {
        // What a container wrote there must not move the cursor of who looks at it.
        if *byte < b' ' || *byte == 0x7f {
            *byte = b' ';
        }
    }
    core::str::from_utf8(&memory[..n]).unwrap_or("?").trim_end()
}

/// Calls `each` with all that descend from `ancestor`.
pub fn for_each(proc: &Proc, ancestor: i32, each: &mut dyn FnMut(i32)) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(proc.as_fd(), c".", flags, Mode::empty()).during("open /proc")?;
    let mut family = Vec::<i32, DESCENDANTS_MAX>::new();
    let _ = family.push(ancestor);
    let mut memory = [core::mem::MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&directory, &mut memory);
    // Children mostly have higher numbers than their parents, and /proc lists by number, so one pass finds nearly all; a
    // second one finds those whose numbers wrapped around.
    for _ in 0..2 {
        while let Some(entry) = entries.next() {
            let entry = entry.during("read /proc")?;
            let Some(pid) = entry
                .file_name()
                .to_str()
                .ok()
                .and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let Some(process) = look(proc, pid) else { continue };
            if family.contains(&process.parent) && !family.contains(&pid) {
                family
                    .push(pid)
                    .map_err(|_| Error::said("more than 1024 processes (DESCENDANTS_MAX)"))?;
                each(pid);
            }
        }
        rustix::fs::seek(&directory, rustix::fs::SeekFrom::Start(0)).during("read /proc")?;
        entries = RawDir::new(&directory, &mut memory);
    }
    Ok(())
}
