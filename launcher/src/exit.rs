//! Exit statuses.

/// The operation failed; one line on stderr says why.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// `exec` could not start the program, as runc has it.
pub const EXEC_FAILED: u8 = 255;

/// The status of `run` whose program could not be started, as shells have it, from the error's text: the error was made in
/// the container process, and its words are the interface.
pub fn of_failed_run(text: &str) -> u8 {
    if !text.starts_with("exec: \"") {
        return FAILED;
    }
    let ends = |end: &str| text.ends_with(end);
    if ends("not found in $PATH") || ends("no such file or directory") {
        127
    } else if ends("permission denied") || ends("exec format error") {
        126
    } else {
        FAILED
    }
}

/// The status of a program that ended, from the kernel's wait status.
pub fn of_wait_status(status: rustix::process::WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128 + signal as u8,
        (None, None) => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn a_program_that_ended_has_its_own_status() {
        use rustix::process::{Pid, WaitOptions, waitpid};
        for (script, expected) in [
            ("exit 0", 0),
            ("exit 7", 7),
            ("exit 255", 255),
            ("kill -9 $$", 137),
            ("kill -15 $$", 143),
        ] {
            let child = std::process::Command::new("/bin/sh").args(["-c", script]).spawn();
            let pid = Pid::from_raw(child.expect("a process").id() as i32);
            let (_, status) = waitpid(pid, WaitOptions::empty())
                .expect("its end")
                .expect("its status");
            assert_eq!(of_wait_status(status), expected, "{script}");
        }
    }

    #[test]
    fn a_program_that_cannot_be_started_has_the_status_of_shells() {
        assert_eq!(of_failed_run("exec: \"nope\": executable file not found in $PATH"), 127);
        assert_eq!(
            of_failed_run("exec: \"/no/such\": stat /no/such: no such file or directory"),
            127
        );
        assert_eq!(of_failed_run("exec: \"/etc/passwd\": permission denied"), 126);
        assert_eq!(of_failed_run("container with given ID already exists"), FAILED);
    }
}
