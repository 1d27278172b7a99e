//! `create`, and the part of `run` that is the same. The numbers are the steps of the lifecycle in runtime.md.

use core::ffi::CStr;
use core::fmt::Write;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, mknodat, open, openat};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, chdir, fchdir, umask, waitpid};
use spec_core::Spec;
use spec_core::limits::STATE_BYTES_MAX;
use spec_core::state::{StateView, Status, write_state};
use sys::process::{Child, SpawnOptions, Spawned, exit, spawn};
use sys::signal::SignalSet;

use crate::cgroup::resources::{self, apply};
use crate::cgroup::{Host, NewCgroup};
use crate::cli::{Invocation, Opt};
use crate::container::{Container, Document, FIFO_FILE, NewContainer, StateRoot, write_beside};
use crate::container_process::{Inheritance, run as run_container_process};
use crate::error::{Cause, During, Error, Result, keep};
use crate::mounts::{Trees, open_trees};
use crate::namespaces::Plan;
use crate::path::Path;
use crate::proc::Proc;
use crate::program::Handover;
use crate::report::Reporter;
use crate::seccomp::Profile;
use crate::sync::{Kind, MESSAGE_BYTES, Socket, pair, send_fd};
use crate::time::Rfc3339;
use crate::{config, console, credentials, hooks, idmap, init_program, sealed, state};

/// What of `create` and `run` differs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The program waits for `start`.
    Create,
    /// roci lets it go on, and stays or goes.
    Run {
        /// Whether roci goes.
        detach: bool,
    },
}

/// A container that was created.
pub struct Created {
    /// Its state directory, locked.
    pub container: Container,
    /// The configuration.
    pub spec: &'static Spec<'static>,
    /// The bundle's absolute path.
    pub bundle: Path,
    /// Its first process.
    pub child: Child,
    /// The line to it, which closes when it becomes the program.
    pub socket: Socket,
    /// The terminal's master, where roci relays.
    pub master: Option<OwnedFd>,
    /// Room for the state that hooks read.
    pub memory: &'static mut [u8; STATE_BYTES_MAX],
    /// The set of blocked signals at the start.
    pub blocked: SignalSet,
}

/// `create`
pub fn create(invocation: &Invocation, reporter: &Reporter) -> Result<()> {
    let created = make(invocation, reporter, Purpose::Create)?;
    created
        .socket
        .send(Kind::Go, &[])
        .during("tell the container process to wait for start")
}

/// Steps 1 to 5: everything but starting the program.
pub fn make(invocation: &Invocation, reporter: &Reporter, purpose: Purpose) -> Result<Created> {
    let (id, id_text) = Container::id_of(invocation)?;
    let handover_fds = crate::inherited_fds(invocation)?;
    let proc = Proc::open()?;
    sealed::ensure(&proc, invocation.arguments())?;

    // 1. The bundle and its configuration. Nothing has been changed when this fails.
    let bundle = config::absolute(
        invocation
            .value(Opt::Bundle)
            .or(invocation.positional(1))
            .unwrap_or(c"."),
    )?;
    let config = config::load(bundle.as_c_str())?;
    let spec: &'static Spec<'static> = config.spec;
    if let Some(name) = spec.process.as_ref().and_then(|process| process.unknown_capability) {
        reporter.warn(format_args!(
            "process.capabilities: unknown capability {name} is ignored"
        ));
    }
    crate::unsupported::refuse(spec)?;
    let rootfs_path = config::rootfs_path(spec, bundle.as_c_str())?;
    let rootfs = open(
        rootfs_path.as_c_str(),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .during_with(format_args!("root.path: open {}", rootfs_path.as_str()))?;
    let seccomp = Profile::compile(spec)?;
    let console_socket = open_console_socket(invocation, spec, purpose)?;
    let pidfd_socket = invocation
        .value(Opt::PidfdSocket)
        .map(console::connect_socket)
        .transpose()?;
    let init = if invocation.has(Opt::Init) {
        Some(init_program::open(&proc, invocation.arguments())?)
    } else {
        None
    };
    let namespaces = Plan::make(spec)?;
    let mut trees = open_trees(spec, bundle.as_c_str(), &proc, namespaces.new_user)?;

    // 2. The environment. Each thing that is made undoes itself unless everything succeeds.
    let Some(root) = StateRoot::open(invocation, true)? else {
        return Err(Error::said("no state root"));
    };
    let new = NewContainer::make(&root, id)?;
    config::write_copy(new.get(), config.document)?;
    let old_umask = umask(Mode::empty());
    let host = crate::cgroup_host(invocation, &proc)?;
    let cgroup = make_cgroup(host.as_ref(), spec, id, reporter)?;
    let fifo = match purpose {
        Purpose::Create => Some(make_fifo(new.get())?),
        Purpose::Run { .. } => None,
    };
    let (socket, other_end) = pair().during("make socket pair")?;
    let blocked = match purpose {
        // Signals are taken one by one from before there is a child to forward them to.
        Purpose::Run { detach: false } => sys::signal::set_blocked(SignalSet::ALL),
        _ => sys::signal::blocked(),
    };
    let inheritance = Inheritance {
        spec,
        id,
        bundle: bundle.as_c_str(),
        rootfs: rootfs_path.as_c_str(),
        proc: &proc,
        namespaces: &namespaces,
        cgroup: cgroup.as_ref(),
        seccomp: seccomp.as_ref(),
        console_socket,
        lock: new.get().directory.as_fd(),
        fifo,
        new_keyring: !invocation.has(Opt::NoNewKeyring),
        umask: old_umask,
        handover: Handover {
            preserve_fds: handover_fds.preserve,
            listen_fds: handover_fds.listen,
            blocked,
            init,
        },
        arguments: invocation.arguments(),
    };
    let memory = state::TEXT.take();
    let child = spawn_container_process(&inheritance, socket, other_end, &mut trees, memory, &rootfs)?;
    let (child, socket) = child;
    let mut child = KillOnDrop { child: Some(child) };
    drop(trees);
    reporter.step(format_args!("container process {} made", child.get().pid));
    let pid = child.get().pid;
    if namespaces.new_user {
        prepare_user_namespace(spec, &proc, pid, cgroup.as_ref())?;
    }
    if namespaces.new_user || namespaces.is_staged() {
        socket
            .send(Kind::Go, &[])
            .during("tell the container process to go on")?;
    }

    // 3 to 5. Hooks, while the process makes its mounts; createContainer hooks are its own.
    let arguments = invocation.arguments();
    let own = hooks::DefaultEnvironment::Own(arguments);
    let mut master = None;
    loop {
        let mut message_memory = [0; MESSAGE_BYTES];
        let message = socket
            .receive(&mut message_memory)
            .during("hear from the container process")?;
        match message {
            Some(message) if message.kind == Kind::Ready => break,
            Some(message) if message.kind == Kind::Master => master = message.fd,
            Some(message) if message.kind == Kind::Hooks => {
                let mut document = Document::new(memory);
                // "Created" is what follows step 2 of the lifecycle.
                state::write_for_hook(&mut document, spec, id, bundle.as_c_str(), pid, Status::Created)?;
                hooks::run(spec, "prestart", spec.hooks.prestart, document.as_bytes(), own)
                    .and_then(|()| {
                        hooks::run(
                            spec,
                            "createRuntime",
                            spec.hooks.create_runtime,
                            document.as_bytes(),
                            own,
                        )
                    })
                    .inspect_err(|_| hooks::run_poststop(spec, id, bundle.as_c_str(), memory, arguments, reporter))?;
                socket
                    .send(Kind::Go, &[])
                    .during("tell the container process to go on")?;
            }
            Some(message) if message.kind == Kind::Failed => {
                let error = message.error();
                if is_hook_failure(&error) {
                    hooks::run_poststop(spec, id, bundle.as_c_str(), memory, arguments, reporter);
                }
                return Err(error);
            }
            _ => return Err(died(child.take())),
        }
    }
    reporter.step(format_args!("container {id_text} made"));

    let start = proc
        .process_start(pid)
        .ok_or(Error::said("the container process has vanished"))?;
    let owner = owner();
    let created = Rfc3339::now();
    let mut created_text = heapless::String::<32>::new();
    let _ = write!(created_text, "{created}");
    let mut document = Document::new(memory);
    let view = StateView {
        oci_version: spec.oci_version.map_or(crate::SPEC_VERSION, |version| version.as_str()),
        id: id_text,
        pid,
        start_time: start.ticks,
        bundle: bundle.as_str(),
        rootfs: rootfs_path.as_str(),
        created: &created_text,
        owner,
        cgroup: cgroup.as_ref().map(|cgroup| cgroup.path().as_str()),
        annotations: spec.list(spec.annotations),
    };
    config::format_into(&mut document, |out| write_state(out, &view))?;
    new.get().write_state(document.as_bytes())?;
    if let Some(path) = invocation.value(Opt::PidFile) {
        write_pid_file(path, pid)?;
    }
    if let Some(socket) = &pidfd_socket {
        let Some(pidfd) = &child.get().pidfd else {
            return Err(Error::said("--pidfd-socket needs Linux 5.3"));
        };
        send_fd(socket.as_fd(), b"pidfd", pidfd.as_fd()).during("send pidfd")?;
    }
    if let Some(cgroup) = cgroup {
        cgroup.keep();
    }
    let (Some(container), Some(child)) = (new.keep(), child.take()) else {
        unreachable!("both are there until here")
    };
    reporter.step(format_args!("container {id_text} created"));
    Ok(Created {
        container,
        spec,
        bundle,
        child,
        socket,
        master,
        memory,
        blocked,
    })
}

fn open_console_socket(invocation: &Invocation, spec: &Spec<'static>, purpose: Purpose) -> Result<Option<OwnedFd>> {
    let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
    let relayed = purpose == Purpose::Run { detach: false };
    match invocation.value(Opt::ConsoleSocket) {
        Some(path) if terminal => console::connect_socket(path).map(Some),
        Some(_) => Err(Error::said(
            "--console-socket is given, but process.terminal is not set",
        )),
        None if terminal && !relayed => Err(Error::said(
            "process.terminal is set: --console-socket has to say where the terminal goes",
        )),
        None => Ok(None),
    }
}

fn make_cgroup<'a>(
    host: Option<&'a Host>,
    spec: &Spec<'static>,
    id: &'static CStr,
    reporter: &Reporter,
) -> Result<Option<NewCgroup<'a>>> {
    let Some(host) = host else { return Ok(None) };
    match NewCgroup::make(host, host.path_for(spec, id)?) {
        Ok(cgroup) => {
            // Before the process exists, so that it is limited from its first moment.
            apply(
                host,
                cgroup.path().as_c_str(),
                spec,
                &spec.linux.resources,
                resources::Purpose::Create,
            )?;
            Ok(Some(cgroup))
        }
        // Who is not the host's root may have no cgroup to give, and asked for none.
        Err(error)
            if spec.linux.cgroups_path.is_none()
                && matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
                && !resources::asks_for_limits(&spec.linux.resources) =>
        {
            reporter.step(format_args!("no cgroup: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The gate between create and start. Its mode lets the container's user write, who opens it through the descriptor and
/// could not reach it by name.
fn make_fifo(container: &Container) -> Result<OwnedFd> {
    let mode = Mode::from_raw_mode(0o622);
    mknodat(&container.directory, FIFO_FILE, FileType::Fifo, mode, 0).during("make exec.fifo")?;
    openat(
        &container.directory,
        FIFO_FILE,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .during("open exec.fifo")
}

/// Makes the process, directly or through a stage in between, and returns it with the socket to it.
fn spawn_container_process(
    inheritance: &Inheritance<'_>,
    socket: Socket,
    other_end: Socket,
    trees: &mut Trees,
    memory: &mut [u8; STATE_BYTES_MAX],
    rootfs: &OwnedFd,
) -> Result<(Child, Socket)> {
    let namespaces = inheritance.namespaces;
    // A root of a user namespace may not be allowed to walk to its file system; it inherits the place.
    let before = if namespaces.in_user_namespace {
        let before = open(c".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        fchdir(rootfs)
            .or_else(|_| chdir(inheritance.rootfs))
            .during("enter root")?;
        before.ok()
    } else {
        None
    };
    if !namespaces.is_staged() {
        let child = spawn_in_cgroup(inheritance, namespaces.clone_flags, false)?;
        let Spawned::Parent(child) = child else {
            drop(socket);
            run_container_process(inheritance, &other_end, trees, memory)
        };
        if let Some(before) = before {
            fchdir(&before).during("leave root")?;
        }
        return Ok((child, socket));
    }
    match spawn(&SpawnOptions::default()).during("clone")? {
        Spawned::Child => {
            drop(socket);
            let spawned = namespaces
                .enter_stage(inheritance.spec, inheritance.proc)
                .and_then(|()| spawn_in_cgroup(inheritance, namespaces.clone_flags, true));
            match spawned {
                Ok(Spawned::Child) => run_container_process(inheritance, &other_end, trees, memory),
                Ok(Spawned::Parent(child)) => {
                    let _ = other_end.send(Kind::Spawned, &child.pid.to_ne_bytes());
                    exit(0)
                }
                Err(error) => {
                    let _ = other_end.send(Kind::Failed, keep(format_args!("{error}")).as_bytes());
                    exit(1)
                }
            }
        }
        Spawned::Parent(stage) => {
            drop(other_end);
            if let Some(before) = before {
                fchdir(&before).during("leave root")?;
            }
            let mut message_memory = [0; MESSAGE_BYTES];
            let message = socket
                .receive(&mut message_memory)
                .during("hear from the stage in between");
            let _ = waitpid(Pid::from_raw(stage.pid), WaitOptions::empty());
            match message? {
                Some(message) if message.kind == Kind::Spawned => {
                    let pid = message.payload.try_into().map(i32::from_ne_bytes).unwrap_or(0);
                    let pidfd = Pid::from_raw(pid)
                        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
                    Ok((Child { pid, pidfd }, socket))
                }
                Some(message) if message.kind == Kind::Failed => Err(message.error()),
                _ => Err(died(None)),
            }
        }
    }
}

/// The clone, on cgroup version 2 straight into the cgroup: moving a process there afterwards waits for every processor.
fn spawn_in_cgroup(inheritance: &Inheritance<'_>, namespaces: u32, sibling: bool) -> Result<Spawned> {
    if let Some((cgroup, directory)) = inheritance
        .cgroup
        .and_then(|cgroup| Some((cgroup, cgroup.directory.as_ref()?)))
    {
        cgroup.set_entered(true);
        let options = SpawnOptions {
            namespaces,
            sibling,
            cgroup: Some(directory.as_fd()),
        };
        match spawn(&options) {
            // Older kernels know no such flag. The process joins by itself then, as on version 1.
            Err(Errno::TOOBIG | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => cgroup.set_entered(false),
            other => return other.during("clone"),
        }
    }
    spawn(&SpawnOptions {
        namespaces,
        sibling,
        cgroup: None,
    })
    .during("clone")
}

fn prepare_user_namespace(spec: &Spec<'static>, proc: &Proc, pid: i32, cgroup: Option<&NewCgroup<'_>>) -> Result<()> {
    idmap::write_maps(
        proc,
        pid,
        spec.list(spec.linux.uid_mappings),
        spec.list(spec.linux.gid_mappings),
    )?;
    if let Some(process) = &spec.process {
        credentials::set_oom_score(proc, process, Some(pid))?;
        credentials::set_rlimits(process, pid)?;
    }
    if let Some(cgroup) = cgroup {
        let mut text = heapless::String::<12>::new();
        let _ = write!(text, "{pid}");
        cgroup.join(text.as_bytes())?;
    }
    Ok(())
}

fn is_hook_failure(error: &Error) -> bool {
    matches!(error.cause(), Cause::Said(text) if text.starts_with("hooks."))
}

/// The process closed the socket without a word.
fn died(child: Option<Child>) -> Error {
    let status = child.and_then(|child| waitpid(Pid::from_raw(child.pid), WaitOptions::empty()).ok().flatten());
    match status.and_then(|(_, status)| status.terminating_signal()) {
        Some(9) => Error::said("the container process was killed before it was ready (out of memory?)"),
        Some(signal) => Error::says(format_args!(
            "the container process died of signal {signal} before it was ready"
        )),
        None => Error::said("the container process ended before it was ready"),
    }
}

fn owner() -> &'static str {
    let uid = rustix::process::getuid();
    if uid.is_root() {
        "root"
    } else {
        keep(format_args!("{}", uid.as_raw()))
    }
}

/// Decimal, without a newline, complete when it appears: conmon and containerd read it as soon as create has ended.
pub fn write_pid_file(path: &CStr, pid: i32) -> Result<()> {
    let mut text = heapless::String::<12>::new();
    let _ = write!(text, "{pid}");
    write_beside(path, text.as_bytes()).during_with(format_args!("write pid file {}", path.to_str().unwrap_or("?")))
}

/// A child that is killed unless it is taken.
struct KillOnDrop {
    child: Option<Child>,
}

impl KillOnDrop {
    fn get(&self) -> &Child {
        match &self.child {
            Some(child) => child,
            None => unreachable!("the child is only taken at the end"),
        }
    }

    fn take(&mut self) -> Option<Child> {
        self.child.take()
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(child) = &self.child {
            let _ = sys::signal::send(child.pid, sys::signal::SIGKILL);
            while matches!(
                waitpid(Pid::from_raw(child.pid), WaitOptions::empty()),
                Err(Errno::INTR)
            ) {}
        }
    }
}
