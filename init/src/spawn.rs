//! Starting the program.

use crate::arguments::Order;
use crate::message::{complain, words};
use crate::signals::Inherited;
use crate::terminal::{self, own_pid};
use crate::text::{Text, after, digits, number};
use rustix::io::Errno;
use rustix::process::{Pid, chdir, getpid, set_child_subreaper, setpgid};
use sys::Arguments;
use sys::exec::{Replacement, execve_with_own_tail};
use sys::file::{close_one, close_range};
use sys::process::{exit, fork};
use sys::signal::set_parent_death_signal;

/// The longest path of the kernel, with its NUL.
const PATH_BYTES_MAX: usize = 4096;
/// What is searched where the environment has no `PATH`, as `execvp` has it.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// The descriptors that are closed one by one on kernels before 5.9: the soft limit that nearly all processes have.
const DESCRIPTORS: u32 = 1024;

/// Starts the program, and gives its number.
pub fn start(order: &Order<'_>, inherited: &Inherited, own: Arguments) -> Result<i32, Errno> {
    let init = own_pid();
    if init != 1 {
        // PID 1 is given the orphans of its namespace anyhow. Elsewhere this makes us the one who reaps; since Linux 3.4.
        let _ = set_child_subreaper(Some(getpid()));
    }
    if let Some(signal) = order.parent_death_signal {
        // The parser let only signals through.
        let _ = set_parent_death_signal(signal);
    }
    // Asked before there is a child, because the child is about to leave the group that is asked about.
    let foreground = terminal::is_in_foreground();
    let Some(program) = fork()? else {
        become_program(order, inherited, own, init, foreground)
    };
    // Both sides do this, as in a shell: whoever comes second finds it done, and a signal for the group finds the group.
    let _ = setpgid(Pid::from_raw(program), Pid::from_raw(program));
    keep_nothing();
    Ok(program)
}

/// Lets go of what would keep a file system busy or a pipe open for as long as we run.
fn keep_nothing() {
    if close_range(3, u32::MAX).is_err() {
        for fd in 3..DESCRIPTORS {
            let _ = close_one(fd);
        }
    }
    let _ = chdir(c"/");
}

/// The child: everything is put back as it was received, and then it is the program.
fn become_program(order: &Order<'_>, inherited: &Inherited, own: Arguments, init: i32, foreground: bool) -> ! {
    let _ = setpgid(None, None);
    let pid = own_pid();
    if foreground {
        // While SIGTTOU is still blocked: the group is in the background until this is done.
        terminal::hand_to(pid);
    }
    if let Some(signal) = order.parent_death_signal {
        // SIGKILL takes us without a chance to forward it, so the program asks for itself.
        let _ = set_parent_death_signal(signal);
    }
    let mut entry = Text::new();
    let listen_pid = listen_pid(own, init, pid, &mut entry);
    inherited.restore();
    let errno = match order.path {
        Some(path) => execve_with_own_tail(path, own, order.first, listen_pid.as_ref()),
        None => execute_by_name(order, own, listen_pid.as_ref()),
    };
    complain(order.path.unwrap_or(order.name).to_bytes(), words(errno));
    exit(if errno == Errno::NOENT || errno == Errno::NOTDIR {
        127
    } else {
        126
    })
}

/// `LISTEN_PID` with the program's number, where it holds ours: it names the process that the sockets are meant for
/// (`sd_listen_fds(3)`), and only that process knows its number.
fn listen_pid(own: Arguments, init: i32, pid: i32, entry: &mut Text<32>) -> Option<Replacement<'_>> {
    const NAME: &[u8] = b"LISTEN_PID=";
    let names_us = |value| number(value, i32::MAX as u32) == Some(init as u32);
    let index = own
        .environment()
        .position(|entry| after(entry.to_bytes(), NAME).is_some_and(names_us))?;
    entry.push(NAME);
    entry.push(digits(pid as u32, &mut [0; 10]));
    Some(Replacement {
        index,
        entry: entry.as_c_str()?,
    })
}

/// Executes the program as `execvp` would, but that a file in an unknown format is not given to a shell. Returns only with
/// the reason why nothing could be executed.
fn execute_by_name(order: &Order<'_>, own: Arguments, listen_pid: Option<&Replacement<'_>>) -> Errno {
    let name = order.name.to_bytes();
    if name.contains(&b'/') {
        return execve_with_own_tail(order.name, own, order.first, listen_pid);
    }
    if name.is_empty() {
        return Errno::NOENT;
    }
    let path = own.environment().find_map(|entry| after(entry.to_bytes(), b"PATH="));
    let mut result = Errno::NOENT;
    for directory in path.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':') {
        let path = join(directory, name);
        // What is too long for us is too long for the kernel.
        let Some(path) = path.as_c_str() else { continue };
        match execve_with_own_tail(path, own, order.first, listen_pid) {
            Errno::NOENT | Errno::NOTDIR => {}
            // It may be executable in another directory. If it is not, this says more than "not found".
            Errno::ACCESS => result = Errno::ACCESS,
            errno => return errno,
        }
    }
    result
}

/// The path of `name` in `directory`, of which an empty one is the working directory.
fn join(directory: &[u8], name: &[u8]) -> Text<PATH_BYTES_MAX> {
    let mut path = Text::new();
    path.push(if directory.is_empty() { b"." } else { directory });
    path.push(b"/");
    path.push(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ffi::CStr;

    #[test]
    fn paths_are_joined() {
        assert_eq!(join(b"/bin", b"sh").as_c_str(), Some(c"/bin/sh"));
        assert_eq!(join(b"", b"sh").as_c_str(), Some(c"./sh"));
        let longest = join(&[b'd'; PATH_BYTES_MAX - 4], b"sh");
        assert_eq!(longest.as_c_str().map(CStr::count_bytes), Some(4095));
        assert_eq!(join(&[b'd'; PATH_BYTES_MAX - 3], b"sh").as_c_str(), None);
    }
}
