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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::vec::Vec as List;

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn a_command_line_moves_no_cursor() {
        let proc = Proc::open().unwrap_or_else(|error| error.never());
        let mut child = Command::new("/bin/sleep")
            .arg0("\x1b[2Js\x7fl\u{e9}~ep\n")
            .arg("60")
            .spawn()
            .expect("a process");
        let mut memory = [0; 256];
        // The process is there a moment before its words are.
        while command_line(&proc, child.id() as i32, &mut memory).is_empty() {}
        let line = command_line(&proc, child.id() as i32, &mut memory);
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(line, " [2Js l\u{e9}~ep  60");
        assert_eq!(command_line(&proc, i32::MAX, &mut memory), "");
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn it_and_all_that_descend_are_found_and_nobody_else() {
        let proc = Proc::open().unwrap_or_else(|error| error.never());
        let script = "sh -c 'sleep 60 & echo; wait' & wait";
        let mut stranger = Command::new("/bin/sleep").arg("60").spawn().expect("a process");
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdout(std::process::Stdio::piped())
            // It is ended by this and not by what was found.
            .process_group(0)
            .spawn()
            .expect("a process");
        // A line is written when all of them are there.
        let mut line = [0; 1];
        let output = child.stdout.as_mut().expect("its output");
        std::io::Read::read_exact(output, &mut line).expect("a line");
        let ancestor = child.id() as i32;
        let mut found = List::new();
        let result = for_each(&proc, ancestor, &mut |pid| found.push(pid));
        result.unwrap_or_else(|error| error.never());
        let parents: List<_> = found
            .iter()
            .map(|pid| proc.process(*pid, &mut [0; 1024]).map(|process| process.parent))
            .collect();
        let group = rustix::process::Pid::from_raw(ancestor);
        let _ = group.map(|group| rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
        let _ = stranger.kill();
        let _ = child.wait();
        let _ = stranger.wait();
        assert_eq!(
            parents,
            [Some(std::process::id() as i32), Some(ancestor), Some(found[1])]
        );
    }
}
