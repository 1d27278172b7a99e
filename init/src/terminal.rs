//! The terminal's foreground and job control.
//!
//! The program leads a process group of its own, so that what is typed (^C, ^Z) reaches the program and its children once,
//! from the kernel, and not a second time from us. The group is not orphaned in the kernel's sense, since its parent is in the
//! same session, so a forwarded SIGTSTP stops it as it should.
//!
//! SIGTTOU is blocked in here, like everything, so the terminal may be handed over from the background as well.

use crate::signals::TSTP;
use rustix::fd::BorrowedFd;
use rustix::process::getpid;
use sys::process::inherited_fd;
use sys::signal::{SignalSet, send, set_blocked};
use sys::terminal::{foreground_group, own_group, set_foreground_group};

fn stdin() -> BorrowedFd<'static> {
    inherited_fd(0)
}

/// Whether our process group is in the foreground of our terminal. Only who has the foreground may give it away.
pub fn is_in_foreground() -> bool {
    match (foreground_group(stdin()), own_group()) {
        // Both groups lie outside of our pid namespace and may be two. A read of nothing tells: the kernel refuses it in the
        // background, as SIGTTIN is blocked.
        (Ok(0), 0) => rustix::io::read(stdin(), &mut [0; 0]).is_ok(),
        (Ok(foreground), own) => foreground == own,
        // Not a terminal, or not ours.
        (Err(_), _) => false,
    }
}

/// Puts the process group of `program` into the foreground.
pub fn hand_to(program: i32) {
    // It can fail only where the group or the terminal has just gone, and then there is nothing to hand over.
    let _ = set_foreground_group(stdin(), program);
}

/// Takes the foreground back from `program`, which has ended: what comes after us in a script wants to read, too.
pub fn take_back_from(program: i32) {
    // After `bg` it is the shell that has the foreground, and keeps it.
    if foreground_group(stdin()) == Ok(program) {
        hand_to(own_group());
    }
}

/// Stops as `program` was stopped, so that the shell whose job we are sees its job stop.
///
/// Where the program has the terminal, it was ^Z, which our whole process group would have got if the program had stayed in
/// it: a script that runs us stops as well. Otherwise somebody meant the program, or us, and nobody else.
///
/// The kernel discards the signal where nobody could continue us: for PID 1, and in an orphaned process group, which is that
/// of a session leader started by a container manager. It also leaves us running where our caller ignores SIGTSTP.
pub fn stop_with(program: i32) {
    let has_terminal = foreground_group(stdin()) == Ok(program);
    let _ = send(if has_terminal { 0 } else { own_pid() }, TSTP);
    set_blocked(SignalSet::ALL.without(TSTP));
    set_blocked(SignalSet::ALL);
}

/// The number of this process.
pub fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}
