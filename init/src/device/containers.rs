//! Running the containers of the machine.

use core::cmp::Ordering;
use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use sys::directory::Names;
use sys::exec::{StringList, execve};
use sys::fd::open;
use sys::process::{exit, fork};

use super::{Report, complain};
use crate::message::{tell, words};
use crate::text::{Text, digits};

const BUNDLES: &CStr = c"/etc/roci/containers";
const ROCI: &CStr = c"/bin/roci";
/// The longest name of a file, with its NUL.
const NAME_BYTES_MAX: usize = 256;

/// Runs the bundles one after the other, in the order of their names.
pub fn run_all(report: &mut Report) {
    let mut last = Text::<NAME_BYTES_MAX>::new();
    loop {
        let next = match next_name(last.as_bytes()) {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(errno) => {
                complain(BUNDLES.to_bytes(), words(errno));
                report.status = 1;
                return;
            }
        };
        report.container();
        let status = next.as_c_str().ok_or(Errno::NAMETOOLONG).and_then(run);
        let status = status.unwrap_or_else(|errno| {
            complain(next.as_bytes(), words(errno));
            1
        });
        tell(&[
            b"roci-boot: ",
            next.as_bytes(),
            b": ended with ",
            digits(u32::from(status), &mut [0; 10]),
        ]);
        if report.status == 0 {
            report.status = status;
        }
        last = next;
    }
}

/// The first name in the order of bytes that comes after `last`. The directory is read once for each name, because there is
/// no memory for all names.
fn next_name(last: &[u8]) -> Result<Option<Text<NAME_BYTES_MAX>>, Errno> {
    let directory = open(BUNDLES, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Names::of(directory.as_fd());
    let mut next: Option<Text<NAME_BYTES_MAX>> = None;
    while let Some(name) = names.next()? {
        let name = name.to_bytes();
        let is_nearer = next
            .as_ref()
            .is_none_or(|next| name.cmp(next.as_bytes()) == Ordering::Less);
        if name > last && is_nearer {
            let mut text = Text::new();
            text.push(name);
            next = Some(text);
        }
    }
    directory.close();
    Ok(next)
}

/// Runs the container `name` until it ends; the value is the status of `roci run`.
fn run(name: &CStr) -> Result<u8, Errno> {
    let Some(program) = fork()? else { become_roci(name) };
    loop {
        // Whatever has lost its parent ends here, too.
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == program => {
                let killed = status.terminating_signal().map(|signal| signal.wrapping_add(128));
                return Ok(status.exit_status().or(killed).unwrap_or(1) as u8);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn become_roci(name: &CStr) -> ! {
    let mut bundle = Text::<{ NAME_BYTES_MAX + 32 }>::new();
    bundle.push(BUNDLES.to_bytes());
    bundle.push(b"/");
    bundle.push(name.to_bytes());
    let mut arguments = StringList::<8>::new();
    for word in [
        ROCI,
        c"run",
        c"--bundle",
        bundle.as_c_str().unwrap_or_default(),
        c"--",
        name,
    ] {
        // There is room for more of them.
        let _ = arguments.push(word);
    }
    let mut environment = StringList::<4>::new();
    for entry in [c"PATH=/bin:/sbin:/usr/bin:/usr/sbin", c"HOME=/root"] {
        let _ = environment.push(entry);
    }
    let errno = execve(ROCI, &arguments, &environment);
    complain(ROCI.to_bytes(), words(errno));
    exit(127)
}
