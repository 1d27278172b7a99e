//! roci: OCI containers for machines where nothing else fits.
//!
//! The modules in the order of a container's life; then what they stand on.

#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(test)]
mod harness;

// The command line and the commands.
pub mod cli;
pub mod create;

pub mod container_process;
pub mod delete;
#[cfg(feature = "cgroups")]
pub mod events;
pub mod exec;
pub mod kill;
#[cfg(feature = "cgroups")]
pub mod pause;
pub mod run;
pub mod stage;
pub mod start;
pub mod state;
#[cfg(feature = "supervisor")]
pub mod supervisor;
#[cfg(not(feature = "supervisor"))]
#[path = "no_supervisor.rs"]
pub mod supervisor;
pub mod sync;
pub mod undo;
#[cfg(feature = "cgroups")]
pub mod update;

pub mod check;
pub mod features;
pub mod spec_template;

// What a container is made of.
#[cfg(feature = "cgroups")]
pub mod cgroup;
#[cfg(not(feature = "cgroups"))]
#[path = "no_cgroup.rs"]
pub mod cgroup;
pub mod config;
pub mod console;
pub mod container;
pub mod credentials;
pub mod devices;
pub mod hooks;
pub mod idmap;
pub mod init_program;
pub mod labels;
pub mod limits;
pub mod mounts;
pub mod namespaces;
#[cfg(feature = "network")]
pub mod net;
#[cfg(not(feature = "network"))]
#[path = "no_network.rs"]
pub mod net;
pub mod notify_socket;
#[cfg(feature = "overlay")]
pub mod overlay;
#[cfg(not(feature = "overlay"))]
#[path = "no_overlay.rs"]
pub mod overlay;
pub mod placement;
pub mod policy;
pub mod program;
pub mod resctrl;
pub mod root;
pub mod rootfs;
pub mod sealed;
#[cfg(feature = "seccomp")]
pub mod seccomp;
#[cfg(not(feature = "seccomp"))]
#[path = "no_seccomp.rs"]
pub mod seccomp;
pub mod tmpcopyup;

// What all of it stands on.
pub mod descendants;
pub mod errno;
pub mod error;
pub mod exit;
pub mod output;
pub mod path;
pub mod proc;
pub mod report;
pub mod text;
pub mod texts;
pub mod time;

use core::ffi::CStr;

#[cfg(not(feature = "cgroups"))]
use cgroup::{events, pause, update};
use cli::{Command, Invocation, Opt};
use error::{During, Error, Failure, Result};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::AsFd;
use rustix::fs::OFlags;
use spec_core::state::State;
use sys::Register;
use text::Pieces;

/// The version of the specification that is implemented.
pub const SPEC_VERSION: &str = "1.3.0";

/// What the failure's line begins with.
#[derive(Clone, Copy)]
struct Called {
    command: Option<Command>,
    id: &'static str,
}

static CALLED: Register<Called> = Register::new(Called { command: None, id: "" });

/// The program: one command, and its exit status.
pub fn main(arguments: sys::Arguments) -> u8 {
    error::set_ending(end);
    run_command(arguments).unwrap_or_else(|error| error.never())
}

fn run_command(arguments: sys::Arguments) -> Result<u8> {
    open_standard_streams()?;
    // Where the caller ignores it, as it was handed on, the end of a child would be told to nobody.
    sys::signal::set_disposition(sys::signal::SIGCHLD, sys::signal::Disposition::Default);
    let invocation = cli::parse(arguments)?;
    let id = match invocation.command {
        Command::Help => "",
        _ => invocation.positional(0).map_or("", |word| text::utf8(word.to_bytes())),
    };
    CALLED.set(Called {
        command: Some(invocation.command),
        id,
    });
    dispatch(&invocation)
}

/// The end of a failed call: what was half done is undone, and one line is told.
fn end(failure: Failure<'_>) -> ! {
    /// The first failure counts; a second one can only come up while that is being undone.
    static FIRST: Register<Option<&'static str>> = Register::new(None);
    let (text, failed) = match failure {
        Failure::Operation(text) => (text, exit::FAILED),
        Failure::Usage(text) => (text, exit::USAGE),
    };
    let text = match FIRST.get() {
        Some(first) => first,
        None => {
            let text = error::keep(text, &[]);
            FIRST.set(Some(text));
            undo::undo_all(text);
            text
        }
    };
    let Called { command, id } = CALLED.get();
    report::error(command.map_or("", cli::command_name), id, text);
    sys::process::exit(match command {
        _ if failed != exit::FAILED => failed,
        Some(Command::Run) => exit::of_failed_run(text),
        Some(Command::Exec) => exit::EXEC_FAILED,
        _ => failed,
    })
}

/// Opens `/dev/null` for each standard stream that the caller has closed: the next descriptor that is opened would take its
/// number, and with it its place in the container.
fn open_standard_streams() -> Result<()> {
    let streams = [0, 1, 2].map(sys::process::inherited_fd);
    let mut fds = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    // One call tells of all three. It fails only for want of memory.
    rustix::event::poll(&mut fds, Some(&now)).during(msg!("look at the standard streams"))?;
    let closed = fds.iter().filter(|fd| fd.revents().contains(PollFlags::NVAL)).count();
    for _ in 0..closed {
        // The lowest number that is free is the next of them.
        let null = sys::fd::open(c"/dev/null", OFlags::RDWR).during(msg!("open /dev/null"))?;
        sys::file::keep_on_exec(null.as_fd()).during(msg!("keep /dev/null"))?;
    }
    Ok(())
}

fn open_log(invocation: &Invocation) -> Result<()> {
    let json = match invocation.text(Opt::LogFormat)? {
        None | Some("text") => false,
        Some("json") => true,
        Some(other) => {
            return Err(Error::usage(msg!("--log-format: neither text nor json: #"), other));
        }
    };
    report::set_places(invocation.value(Opt::Log), json, invocation.has(Opt::Verbose))
}

fn dispatch(invocation: &Invocation) -> Result<u8> {
    match invocation.command {
        Command::Create => create::create(invocation)?,
        Command::Start if supervisor::start(invocation)? => {}
        Command::Start => start::start(invocation)?,
        Command::Run => return run::run(invocation),
        Command::Exec => return exec::exec(invocation),
        Command::State => state::state(invocation)?,
        Command::List => state::list(invocation)?,
        Command::Ps => state::ps(invocation)?,
        Command::Kill => kill::kill(invocation)?,
        Command::Pause => pause::set(invocation, true)?,
        Command::Resume => pause::set(invocation, false)?,
        Command::Update => update::update(invocation)?,
        Command::Events => events::events(invocation)?,
        Command::Delete => delete::delete(invocation)?,
        Command::Spec => spec_template::spec(invocation)?,
        Command::Features => features::features()?,
        Command::Check => return check::check(invocation),
        Command::Diff => overlay::diff::diff(invocation)?,
        Command::Network => net::command::network(invocation)?,
        Command::Stop | Command::Restart | Command::Logs | Command::Poweroff | Command::Reboot => {
            supervisor::ask(invocation)?;
        }
        Command::Help => {
            let mut out = output::Output::new();
            cli::write_help(&mut out, invocation);
            out.finish()?;
        }
        Command::Version => {
            let mut out = output::Output::new();
            let version = env!("CARGO_PKG_VERSION");
            // containerd and Docker read these three lines by their first words.
            for piece in [
                "roci version ",
                version,
                "\ncommit: ",
                version,
                "\nspec: ",
                SPEC_VERSION,
                "\n",
            ] {
                out.str(piece);
            }
            out.finish()?;
        }
    }
    Ok(0)
}

/// The host's cgroups, unless the caller does not want them to be used.
fn cgroup_host(invocation: &Invocation, proc: &proc::Proc) -> Result<Option<&'static cgroup::Host>> {
    match invocation.text(Opt::CgroupManager)? {
        None | Some("cgroupfs" | "systemd") => Ok(cgroup::host(proc)),
        Some("disabled") => Ok(None),
        Some(other) => Err(Error::usage(
            msg!("--cgroup-manager: neither cgroupfs, systemd nor disabled: #"),
            other,
        )),
    }
}

/// Whether the caller does not want cgroups to be used.
fn disables_cgroups(invocation: &Invocation) -> Result<bool> {
    Ok(invocation.text(Opt::CgroupManager)? == Some("disabled"))
}

/// The host's cgroups and the path of the container's in them, where it has one and the caller wants it to be used.
fn cgroup_of_container<'a>(
    invocation: &Invocation,
    proc: &proc::Proc,
    state: &State<'a>,
) -> Result<Option<(&'static cgroup::Host, &'a CStr)>> {
    let host = cgroup_host(invocation, proc)?;
    if host.is_none() && state.cgroup.is_some() && !disables_cgroups(invocation)? {
        return Err(cgroup::resources::gone());
    }
    Ok(host.zip(state.cgroup).map(|(host, path)| (host, path.as_c_str())))
}

/// The same, for what cannot be done without.
#[cfg(feature = "cgroups")]
fn cgroup_of<'a>(
    invocation: &Invocation,
    proc: &proc::Proc,
    state: &State<'a>,
) -> Result<(&'static cgroup::Host, &'a CStr)> {
    match cgroup_of_container(invocation, proc, state)? {
        Some(found) => Ok(found),
        None => Err(Error::said(msg!("the container has no cgroup"))),
    }
}

/// How many descriptors from 3 up go to the program.
struct InheritedFds {
    /// All of them.
    preserve: u32,
    /// The first of them, which are a service manager's sockets.
    listen: u32,
}

/// Reads `--preserve-fds` and `LISTEN_FDS`, and makes sure that these descriptors are open: one of roci's own could
/// otherwise take the number and end up in the container.
fn inherited_fds(invocation: &Invocation) -> Result<InheritedFds> {
    let variable = |name: &str| {
        invocation
            .arguments()
            .variable(name)
            .and_then(|value| u32::try_from(text::parse_number(text::utf8(value.to_bytes()))?).ok())
    };
    let mine = variable("LISTEN_PID").is_some_and(|pid| pid == rustix::process::getpid().as_raw_nonzero().get() as u32);
    let listen = if mine { variable("LISTEN_FDS").unwrap_or(0) } else { 0 };
    let asked: u32 = invocation
        .value(Opt::PreserveFds)
        .map_or(Ok(0), |word| cli::number(word, "--preserve-fds"))?;
    let preserve = listen.saturating_add(asked).min(1 << 20);
    for fd in 3..3 + preserve as i32 {
        if rustix::io::fcntl_getfd(sys::process::inherited_fd(fd)).is_err() {
            return Err(Error::usage(
                msg!("--preserve-fds: descriptor # is not open"),
                text::Digits::signed(fd.into()).as_str(),
            ));
        }
    }
    Ok(InheritedFds { preserve, listen })
}
