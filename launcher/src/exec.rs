//! `exec`: another program in a running container.
//!
//! Two processes: one enters the container's namespaces and makes the second as its sibling, since a pid namespace is
//! entered only by children, and the second has to be roci's own child for its status to arrive here, or at who called
//! roci once roci has gone.

use core::convert::Infallible;
use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior, setsid, umask};
use spec_core::linux::NamespaceKind;
use spec_core::process::capability_number;
use spec_core::state::{State, Status, Style, write_oci_state};
use spec_core::{Spec, Text};
use sys::OwnedFd;
use sys::fd::{open_in, open_process};
use sys::process::{SpawnOptions, spawn};
use sys::signal::SignalSet;

use crate::cli::{Invocation, Opt, as_text, number};
use crate::console::{self, Console};
use crate::container::{Document, write_pid_file};
use crate::create::{Request, send_pidfd, wait_until_ready};
use crate::error::{During, Error, Result, keep};
use crate::msg;
use crate::path::Path;
use crate::proc::Proc;
use crate::program::{Handover, become_program, close_all_but, enter_working_directory, find};
use crate::seccomp::{Profile, send_listener};
use crate::stage::spawn_staged;
use crate::state::{self, Access, Found};
use crate::sync::{Kind, Socket, pair, tell_over};
use crate::text::{Digits, parse_number, split_once, utf8};
use crate::{config, credentials, labels, namespaces, placement, policy, report, run, sealed, undo};

/// `exec`; the exit status is the program's.
pub fn exec(invocation: &Invocation) -> Result<u8> {
    let handover_fds = crate::inherited_fds(invocation)?;
    sealed::ensure(invocation.arguments())?;
    let mut state = State::new();
    let Found {
        container,
        id: id_text,
        proc,
        status,
        ..
    } = state::find(invocation, Access::Shared, &mut state)?;
    if !matches!(status, Status::Running | Status::Created) {
        return Err(Error::says(msg!("cannot exec in a # container"), status.name()));
    }
    let config::Config { spec, .. } = config::load_copy(&container)?;
    describe_process(invocation, spec)?;
    let spec: &'static Spec<'static> = spec;
    let Some(process) = &spec.process else {
        return Err(Error::said(msg!("exec: nothing to run")));
    };
    let detach = invocation.has(Opt::Detach);
    let console_socket = match invocation.value(Opt::ConsoleSocket) {
        Some(path) if process.terminal => Some(console::connect_socket(path)?),
        Some(_) => {
            return Err(Error::said(msg!(
                "--console-socket is given, but there is no terminal: see --tty"
            )));
        }
        None if process.terminal && detach => {
            return Err(Error::said(msg!(
                "a terminal with --detach: --console-socket has to say where it goes"
            )));
        }
        None => None,
    };
    let pidfd_socket = invocation
        .value(Opt::PidfdSocket)
        .map(console::connect_socket)
        .transpose()?;
    policy::read(invocation, spec)?;
    let seccomp = Profile::compile(spec)?;

    // From here on the container's first process is named by a descriptor, and compared once more after that was opened.
    let pidfd = open_process(state.pid);
    if proc
        .process_start(state.pid)
        .is_none_or(|start| start.ticks != state.start_time)
    {
        return Err(Error::said(msg!("container not running")));
    }
    let target = Target {
        pid: state.pid,
        pidfd: pidfd.ok(),
        kinds: kinds_to_join(&proc, state.pid)?,
    };
    let (socket, other_end) = pair().during(msg!("make socket pair"))?;
    let blocked = if detach {
        sys::signal::blocked()
    } else {
        sys::signal::set_blocked(SignalSet::ALL)
    };
    let inheritance = Inheritance {
        spec,
        proc: &proc,
        seccomp,
        target,
        console_socket,
        handover: Handover {
            preserve_fds: handover_fds.preserve,
            listen_fds: handover_fds.listen,
            listen_names: invocation.arguments().variable("LISTEN_FDNAMES"),
            has_notify_socket: false,
            blocked,
            init: None,
        },
    };
    let (child, socket) = spawn_staged(
        socket,
        other_end,
        &mut |socket| enter_namespaces(&inheritance, socket),
        &mut || {
            let options = SpawnOptions {
                sibling: true,
                ..SpawnOptions::default()
            };
            spawn(&options).during(msg!("clone"))
        },
        &mut |socket| become_process(&inheritance, socket),
    )?;
    undo::note_process(child, true);
    let master = prepare(invocation, &state, &proc, spec, child, &socket, pidfd_socket.as_ref())?;
    run::let_go(socket, &master)?;
    undo::forget_all();
    let number = Digits::signed(child.into());
    report::step(keep("process # runs in container #", &[number.as_str(), id_text]), "");
    if detach {
        return Ok(0);
    }
    let status = match &master {
        Some(master) => run::relay(child, master)?,
        None => run::forward_signals(child)?,
    };
    Ok(crate::exit::of_wait_status(status))
}

/// The parent's part while the process waits: cgroup, limits that need rights outside, and the messages until it is ready.
fn prepare(
    invocation: &Invocation,
    state: &State<'_>,
    proc: &Proc,
    spec: &'static Spec<'static>,
    child: i32,
    socket: &Socket,
    pidfd_socket: Option<&OwnedFd>,
) -> Result<Option<OwnedFd>> {
    if let Some(process) = &spec.process {
        // It lasts while the process is put into its cgroup, whose processors may be others.
        let initial = process.exec_cpu_affinity_initial;
        placement::set_affinity(child, "process.execCPUAffinity.initial", initial)?;
    }
    if let Some((host, cgroup)) = crate::cgroup_of_container(invocation, proc, state)? {
        host.join(cgroup, child)?;
    }
    if let Some(process) = &spec.process {
        credentials::set_oom_score(proc, process, Some(child))?;
        credentials::set_rlimits(process, child)?;
    }
    socket.send(Kind::Go, &[]).during(msg!("tell the process to go on"))?;
    let master = wait_until_ready(socket, child, &mut |request| {
        let Request::Listener(number) = request else {
            return Ok(());
        };
        let mut document = Document::new(state::TEXT.take());
        let view = state.view();
        write_oci_state(&mut document, &view, Status::Running, Style::Compact);
        document.check_state()?;
        send_listener(spec, child, number, document.as_bytes())
    })?;
    if let Some(path) = invocation.value(Opt::PidFile) {
        write_pid_file(path, child)?;
    }
    if let Some(socket) = pidfd_socket {
        send_pidfd(socket, child)?;
    }
    Ok(master)
}

/// The container's first process, whose namespaces are joined.
struct Target {
    pid: i32,
    pidfd: Option<OwnedFd>,
    /// The kinds in which it differs from roci, as `CLONE_NEW*` bits.
    kinds: u32,
}

struct Inheritance<'a> {
    spec: &'static Spec<'static>,
    proc: &'a Proc,
    seccomp: Option<Profile>,
    target: Target,
    console_socket: Option<OwnedFd>,
    handover: Handover,
}

/// The kinds of namespaces that differ. Those that are the same are left alone: entering one's own user namespace is an
/// error, and entering others needs rights that are not needed otherwise.
fn kinds_to_join(proc: &Proc, pid: i32) -> Result<u32> {
    let mut kinds = 0;
    for kind in NamespaceKind::ALL {
        let name = utf8(kind.proc_name().to_bytes());
        let identity = |who: &str| -> core::result::Result<(u64, u64), Errno> {
            let path = Path::of(&[who.as_bytes(), b"/ns/", name.as_bytes()]);
            let stat = rustix::fs::statat(proc.as_fd(), path.as_c_str(), rustix::fs::AtFlags::empty())?;
            Ok((stat.st_dev, stat.st_ino))
        };
        match (identity("self"), identity(Digits::signed(pid.into()).as_str())) {
            (Ok(own), Ok(other)) if own == other => {}
            (Ok(_), Ok(_)) => kinds |= kind as u32,
            // The kernel has no such namespaces. One that only this process seems to lack would be one not joined.
            (Err(Errno::NOENT), Err(Errno::NOENT)) => {}
            (_, Err(errno)) | (Err(errno), _) => {
                return Err(Error::new_with(
                    msg!("look at the container's # namespace"),
                    name,
                    errno,
                ));
            }
        }
    }
    Ok(kinds)
}

fn enter_namespaces(inheritance: &Inheritance<'_>, socket: &Socket) -> Result<()> {
    let Target { pid, pidfd, kinds } = &inheritance.target;
    // Processes of the container must not look into this one while it still holds descriptors of the host
    // (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).during(msg!("set dumpable"))?;
    let shares_mounts = kinds & NamespaceKind::Mount as u32 == 0;
    let root = if shares_mounts {
        let path = Path::of_process(*pid, "root");
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        Some(open_in(inheritance.proc.as_fd(), path.as_c_str(), flags).during(msg!("open root"))?)
    } else {
        None
    };
    if *kinds != 0 {
        match pidfd.as_ref().map(|pidfd| sys::namespace::enter(pidfd.as_fd(), *kinds)) {
            Some(Ok(())) => {}
            // One by one before Linux 5.8.
            None | Some(Err(Errno::INVAL | Errno::NOSYS)) => enter_one_by_one(inheritance)?,
            Some(Err(errno)) => return Err(Error::new(msg!("join namespaces"), errno)),
        }
    }
    if let Some(root) = root {
        rustix::process::fchdir(&root).during(msg!("enter root"))?;
        rustix::process::chroot(c".").during(msg!("chroot"))?;
    }
    // The container sees the process that comes next from its first moment on, and may have the capability to look into it.
    let console = inheritance.console_socket.as_ref().map(AsFd::as_fd);
    let kept = [Some(socket.as_fd()), Some(inheritance.proc.as_fd()), console];
    close_all_but(&kept, 3 + inheritance.handover.preserve_fds, inheritance.proc)
}

fn enter_one_by_one(inheritance: &Inheritance<'_>) -> Result<()> {
    let Target { pid, kinds, .. } = &inheritance.target;
    let mut fds = heapless::Vec::<(NamespaceKind, OwnedFd), 8>::new();
    // All are opened before the first is entered.
    for kind in NamespaceKind::ALL.into_iter().filter(|kind| kinds & *kind as u32 != 0) {
        let name = utf8(kind.proc_name().to_bytes());
        let path = Path::of(&[Digits::signed((*pid).into()).as_bytes(), b"/ns/", name.as_bytes()]);
        let fd = open_in(inheritance.proc.as_fd(), path.as_c_str(), OFlags::RDONLY);
        let _ = fds.push((kind, fd.during(msg!("open namespace"))?));
    }
    namespaces::join(&fds)
}

fn become_process(inheritance: &Inheritance<'_>, socket: &Socket) -> Result<Infallible> {
    let Inheritance { spec, proc, target, .. } = inheritance;
    let Some(process) = &spec.process else {
        return Err(Error::said(msg!("nothing to run")));
    };
    tell_over(socket);
    socket.wait_for_go();
    setsid().during(msg!("setsid"))?;
    let in_user_namespace = target.kinds & NamespaceKind::User as u32 != 0;
    if in_user_namespace {
        credentials::become_namespace_root(proc)?;
    }
    if process.terminal {
        let console = Console::make_here(process.console_size)?;
        console.take(process.user.uid)?;
        console.hand_out(inheritance.console_socket.as_ref(), socket)?;
    }
    if let Some(bits) = process.user.umask {
        umask(Mode::from_raw_mode(bits as _));
    }
    enter_working_directory(process)?;
    credentials::set_scheduling(process)?;
    labels::set_for_exec(proc, process)?;
    placement::set_affinity(0, "process.execCPUAffinity.final", process.exec_cpu_affinity_final)?;
    let is_late = |profile: &&Profile| profile.is_late(process.no_new_privileges);
    if let Some(profile) = inheritance.seccomp.as_ref().filter(|profile| !is_late(profile)) {
        profile.load(socket)?;
    }
    credentials::take(spec, process, proc)?;
    let path = find(spec, process)?;
    close_all_but(
        &[Some(socket.as_fd()), Some(proc.as_fd())],
        3 + inheritance.handover.preserve_fds,
        proc,
    )?;
    socket.send(Kind::Ready, &[]).during(msg!("say ready"))?;
    socket.wait_for_go();
    if let Some(profile) = inheritance.seccomp.as_ref().filter(is_late) {
        profile.load(socket)?;
    }
    become_program(spec, process, path.leak(), &inheritance.handover)
}

/// What is to be run: the object of `--process`, or the container's own process with what the command line says.
fn describe_process(invocation: &Invocation, spec: &mut Spec<'static>) -> Result<()> {
    if let Some(path) = invocation.value(Opt::Process) {
        config::load_process(spec, path)?;
    } else {
        spec.set_arguments(invocation.program().map(text_of))
            .map_err(too_many)?;
        if let Some(process) = &mut spec.process {
            // The container's terminal is its first process's; this one gets its own on request.
            process.terminal = false;
            process.console_size = None;
        }
    }
    for variable in invocation.values(Opt::Env) {
        spec.add_variable(text_of(variable).ok_or_else(|| too_many(()))?)
            .map_err(too_many)?;
    }
    for gid in invocation.values(Opt::AdditionalGids) {
        spec.add_group(number(gid, "--additional-gids")?).map_err(too_many)?;
    }
    let Some(process) = &mut spec.process else {
        return Err(Error::said(msg!("exec: nothing to run")));
    };
    if let Some(cwd) = invocation.value(Opt::Cwd) {
        if !cwd.to_bytes().starts_with(b"/") {
            return Err(Error::usage(msg!("--cwd: not an absolute path: #"), as_text(cwd)?));
        }
        process.cwd = text_of(cwd).ok_or_else(|| too_many(()))?;
    }
    if let Some(user) = invocation.value(Opt::User) {
        let text = as_text(user)?;
        (process.user.uid, process.user.gid) =
            parse_user(text).ok_or_else(|| Error::usage(msg!("--user: not UID[:GID] in numbers: #"), text))?;
    }
    for cap in invocation.values(Opt::Cap) {
        let name = as_text(cap)?;
        let number = capability_number(name).ok_or_else(|| Error::usage(msg!("--cap: unknown capability: #"), name))?;
        // Not inheritable: that would survive the exec of any program with file capabilities (CVE-2022-29162).
        let caps = &mut process.capabilities;
        for set in [&mut caps.bounding, &mut caps.effective, &mut caps.permitted] {
            *set |= 1 << number;
        }
    }
    process.terminal |= invocation.has(Opt::Tty);
    process.no_new_privileges |= invocation.has(Opt::NoNewPrivs);
    Ok(())
}

fn too_many(_: ()) -> Error {
    Error::said(msg!(
        "more arguments, variables or groups than roci holds (TEXTS_MAX, IDS_MAX)"
    ))
}

fn text_of(word: &'static CStr) -> Option<Text<'static>> {
    Text::from_str_with_nul(core::str::from_utf8(word.to_bytes_with_nul()).ok()?)
}

/// `UID` or `UID:GID`, in numbers, the whole of it: a text that is understood in part must not end as root
/// (CVE-2016-3697, CVE-2026-30892).
fn parse_user(text: &str) -> Option<(u32, u32)> {
    let id = |text: &str| {
        // The largest number means "no id" to the kernel.
        u32::try_from(parse_number(text)?).ok().filter(|id| *id != u32::MAX)
    };
    let (uid, gid) = split_once(text, b':');
    Some((id(uid)?, gid.map_or(Some(0), id)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers_and_nothing_else() {
        assert_eq!(parse_user("0"), Some((0, 0)));
        assert_eq!(parse_user("1000"), Some((1000, 0)));
        assert_eq!(parse_user("1000:7"), Some((1000, 7)));
        for text in [
            "",
            ":",
            "1:",
            ":1",
            "root",
            "1000x",
            "+1",
            "-1",
            "1:2:3",
            " 1",
            "4294967295",
            "99999999999",
        ] {
            assert!(parse_user(text).is_none(), "{text}");
        }
    }
}
