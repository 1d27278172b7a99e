//! Exit statuses.

/// The operation failed; one line on stderr says why.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// `exec` could not start the program, as runc has it.
pub const EXEC_FAILED: u8 = 255;

/// The table of `--help`.
pub const TABLE: &str = "
Exit status:
  0      done
  1      the operation failed; the last line on stderr says why
  2      the command line is wrong
  101    a bug in roci
  255    exec could not start the program
  run and exec that wait: the program's own status, 128+n where signal n ended it
";

/// The status of a program that ended, from the kernel's wait status.
pub fn of_wait_status(status: rustix::process::WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128 + signal as u8,
        (None, None) => FAILED,
    }
}
