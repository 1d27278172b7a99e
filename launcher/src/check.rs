//! `check`: what this host's kernel offers, on one screen, and what follows where it lacks something.
//!
//! Every probe asks the kernel in the way that roci itself will, and changes nothing.
//!
//! The rows are [`Text::Check`], a line each: whether a plain bundle, as `roci spec` writes it, runs without it (`+`) or does
//! not (`!`); how the kernel is asked, see [`probe`]; its name; the kernel's option, or its age; what roci does without it.

use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags, ResolveFlags};
use rustix::io::Errno;
use sys::probe::{Call, call_with_nonsense};

use crate::cgroup;
use crate::cli::{Invocation, Opt};
use crate::error::Result;
use crate::msg;
use crate::net;
use crate::output::Output;
use crate::path::Path;
use crate::proc::Proc;
use crate::seccomp;
use crate::text::{Pieces, cut, utf8};
use crate::texts::Text;

/// The calls that rows name by their place here.
const CALLS: [Call; 7] = [
    Call::Clone3,
    Call::OpenTree,
    Call::MountSetattr,
    Call::PidfdOpen,
    Call::CloseRange,
    Call::MemfdCreate,
    Call::Keyctl,
];

/// `check`; the exit status says whether a plain bundle can run.
pub fn check(invocation: &Invocation) -> Result<u8> {
    let proc = Proc::open()?;
    let json = invocation.has(Opt::Json);
    let mut out = Output::new();
    let mut runs = true;
    let rows = Text::Check.get();
    let mut rest = rows;
    while !rest.is_empty() {
        let is_first = rest.len() == rows.len();
        let mut row = cut(&mut rest, b'\n');
        let plain = cut(&mut row, b';') == "+";
        let present = probe(&proc, cut(&mut row, b';'));
        runs &= present || plain;
        let (name, needs) = (cut(&mut row, b';'), cut(&mut row, b';'));
        if json {
            out.str(if is_first { "[\n" } else { ",\n" });
            let pattern = msg!("  {\"name\":\"#\",\"present\":#,\"needs\":\"#\",\"without\":\"#\"}");
            out.fill(
                pattern.get(),
                &[name, if present { "true" } else { "false" }, needs, row],
            );
            continue;
        }
        out.column(name, 18);
        if present {
            out.str("present\n");
        } else {
            out.fill(msg!("missing: needs #; without it: #\n").get(), &[needs, row]);
        }
    }
    let end = if json {
        msg!("\n]\n")
    } else if runs {
        msg!("A plain bundle can run here.\n")
    } else {
        msg!("A plain bundle cannot run here.\n")
    };
    out.str(end.get());
    out.finish()?;
    Ok(if runs { 0 } else { crate::exit::FAILED })
}

/// Asks the kernel: `n` and the name of a namespace, `f` and the name of a file system, `l` and a kind of network device, `t`
/// for the packet filter, `o` for openat2, `g` for cgroups, `s` for seccomp, or the place of a call in [`CALLS`].
fn probe(proc: &Proc, what: &str) -> bool {
    let (&kind, name) = what.as_bytes().split_first().unwrap_or((&b' ', b""));
    let result = match kind {
        b'n' => {
            let path = Path::of(&[b"self/ns/", name]);
            return sys::fd::exists_in(proc.as_fd(), path.as_c_str());
        }
        b'l' => return net::knows_kind(utf8(name)),
        b't' => return net::nat::is_there(),
        b'f' => return knows_file_system(proc, name),
        b'g' => return cgroup::host(proc).is_some(),
        b's' => return seccomp::is_there(),
        b'o' => sys::fd::open_resolved(CWD, c".", OFlags::PATH, ResolveFlags::empty()).map(drop),
        digit => match CALLS.get(usize::from(digit.wrapping_sub(b'0'))) {
            Some(call) => call_with_nonsense(*call),
            None => Ok(()),
        },
    };
    result != Err(Errno::NOSYS)
}

/// Whether `/proc/filesystems` lists it. A module that is not loaded yet is not listed.
fn knows_file_system(proc: &Proc, name: &[u8]) -> bool {
    let mut memory = [0; 4096];
    let lines = proc
        .open_file(c"filesystems", OFlags::RDONLY)
        .and_then(|file| sys::fd::read(file.as_fd(), &mut memory))
        .unwrap_or_default();
    // Before the name stand the word nodev, or nothing, and a tab.
    let mut lines = utf8(lines);
    while !lines.is_empty() {
        let mut line = cut(&mut lines, b'\n');
        cut(&mut line, b'\t');
        if line.as_bytes() == name {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole() {
        for row in Text::Check.get().lines() {
            let fields: std::vec::Vec<_> = row.splitn(5, ';').collect();
            assert_eq!(fields.len(), 5, "{row}");
            assert!(["+", "!"].contains(&fields[0]), "{row}");
        }
    }
}
