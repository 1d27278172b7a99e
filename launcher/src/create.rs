//! `create`, and the part of `run` that is the same. The numbers are the steps of the lifecycle in runtime.md.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags, mknodat};
use rustix::io::Errno;
use rustix::process::{chdir, fchdir, umask};
use spec_core::Spec;
use spec_core::limits::STATE_BYTES_MAX;
use spec_core::linux::NamespaceKind;
use spec_core::mounts::{MS_RDONLY, Mount};
use spec_core::spec::INIT_ANNOTATION;
use spec_core::state::{StateView, Status, write_state};
use sys::OwnedFd;
use sys::fd::{open, open_in, open_process};
use sys::process::{SpawnOptions, Spawned, spawn, wait};
use sys::signal::{SIGKILL, SignalSet};

use crate::cgroup::resources::{self, apply};
use crate::cgroup::systemd::{self, Systemd, Unit};
use crate::cgroup::{Hierarchies, Host, NewCgroup};
use crate::cli::{Invocation, Opt};
use crate::container::{Container, Document, FIFO_FILE, StateRoot, write_pid_file};
use crate::container_process::Inheritance;
use crate::error::{During, Error, Result, keep};
use crate::mounts::{Trees, open_trees};
use crate::msg;
use crate::namespaces::Plan;
use crate::overlay::{self, Overlay};
use crate::proc::Proc;
use crate::program::Handover;
use crate::seccomp::{Profile, send_listener};
use crate::stage::spawn_staged;
use crate::sync::{Kind, MESSAGE_BYTES, Socket, pair, send_fd};
use crate::text::{Digits, utf8};
use crate::time::Rfc3339;
use crate::undo::Hooks;
use crate::{
    cgroup, config, console, container, container_process, credentials, errno, hooks, idmap, init_program, limits, net,
    notify_socket, policy, report, resctrl, sealed, state, undo,
};

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
    /// The directory that holds its state directory.
    pub root: StateRoot,
    /// Its cgroup.
    pub cgroup: Option<(&'static Host, &'static CStr, Hierarchies)>,
    /// Its state directory, locked.
    pub container: Container,
    /// The configuration.
    pub spec: &'static Spec<'static>,
    /// The bundle's absolute path.
    pub bundle: &'static CStr,
    /// Its first process.
    pub child: i32,
    /// The line to it, which closes when it becomes the program.
    pub socket: Socket,
    /// The terminal's master, where roci relays.
    pub master: Option<OwnedFd>,
    /// Room for the state that hooks read.
    pub memory: &'static mut [u8; STATE_BYTES_MAX],
}

/// `create`
pub fn create(invocation: &Invocation) -> Result<()> {
    let created = make(invocation, Purpose::Create)?;
    created
        .socket
        .send(Kind::Go, &[])
        .during(msg!("tell the container process to wait for start"))?;
    undo::forget_all();
    Ok(())
}

/// Steps 1 to 5: everything but starting the program. What it makes is noted to be undone until the caller forgets that.
pub fn make(invocation: &Invocation, purpose: Purpose) -> Result<Created> {
    let (id, id_text) = Container::id_of(invocation)?;
    let handover_fds = crate::inherited_fds(invocation)?;
    let arguments = invocation.arguments();
    sealed::ensure(arguments)?;
    let proc = Proc::open()?;

    // 1. The bundle and its configuration. Nothing has been changed when this fails.
    let bundle = config::absolute(
        invocation
            .value(Opt::Bundle)
            .or(invocation.positional(1))
            .unwrap_or(c"."),
    )?
    .leak();
    let config = config::load(bundle)?;
    let network = net::settings::read(invocation, config.spec)?;
    let spec: &'static Spec<'static> = config.spec;
    if let Some(name) = spec.process.as_ref().and_then(|process| process.unknown_capability) {
        report::warn(
            msg!("process.capabilities: unknown capability # is ignored"),
            name.as_str(),
        );
    }
    let rootfs_path = config::rootfs_path(spec, bundle);
    let overlay = overlay::read_options(invocation, spec, bundle)?;
    let rootfs = match open(rootfs_path.as_c_str(), OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOENT) if overlay.as_ref().is_some_and(Overlay::has_own_layers) => None,
        other => Some(other.during_with(msg!("root.path: open #"), rootfs_path.as_str())?),
    };
    policy::read(invocation, spec)?;
    let seccomp = Profile::compile(spec)?;
    let console_socket = open_console_socket(invocation, spec, purpose)?;
    let pidfd_socket = invocation
        .value(Opt::PidfdSocket)
        .map(console::connect_socket)
        .transpose()?;
    let wants_init = match invocation.value(Opt::Init) {
        Some(_) => invocation.has(Opt::Init),
        None => spec
            .annotation(INIT_ANNOTATION)
            .is_some_and(|value| value.as_str() == "true"),
    };
    let init = if wants_init {
        Some(init_program::open(&proc, arguments)?)
    } else {
        None
    };
    net::devices::check(spec)?;
    let namespaces = Plan::make(spec)?;
    let notify_socket = notify_socket::open(spec, arguments);
    let mut trees = open_trees(spec, bundle, &proc, namespaces.new_user)?;

    // 2. The environment. Each thing that is made is undone should anything fail from here on.
    let Some(root) = StateRoot::open(invocation, true)? else {
        return Err(Error::said(msg!("no state root")));
    };
    let container = Container {
        directory: container::make(&root, id, config.document)?,
        id,
    };
    undo::note_hooks(Hooks {
        spec,
        id,
        bundle,
        arguments,
    });
    let memory = state::TEXT.take();
    if let Some(overlay) = &overlay {
        overlay::prepare(overlay, &container, spec, memory)?;
    }
    let old_umask = umask(Mode::empty());
    let host = crate::cgroup_host(invocation, &proc)?;
    if host.is_none() && !crate::disables_cgroups(invocation)? {
        resources::refuse_to_lack(spec)?;
    }
    let unit = Unit::wanted(invocation, spec, id)?;
    let mut systemd = None;
    let cgroup = match &unit {
        None => make_cgroup(host, spec, id, None)?,
        Some(unit) => {
            let (own, awaited) = await_unit(unit, host, &container, arguments)?;
            systemd = Some(own);
            Some(awaited)
        }
    };
    let fifo = match purpose {
        Purpose::Create => Some(make_fifo(&container)?),
        Purpose::Run { .. } => None,
    };
    let network = match network {
        Some(settings) => net::prepare(settings, spec, root.as_fd(), &container, &proc)?,
        None => None,
    };
    let (socket, other_end) = pair().during(msg!("make socket pair"))?;
    let blocked = match purpose {
        // Signals are taken one by one from before there is a child to forward them to.
        Purpose::Run { detach: false } => sys::signal::set_blocked(SignalSet::ALL),
        _ => sys::signal::blocked(),
    };
    let inheritance = Inheritance {
        spec,
        id,
        bundle,
        rootfs: rootfs_path.as_c_str(),
        overlay: overlay.as_ref(),
        proc: &proc,
        namespaces: &namespaces,
        cgroup: cgroup.as_ref(),
        seccomp: seccomp.as_ref(),
        console_socket,
        network: network.as_ref(),
        lock: container.directory.as_fd(),
        fifo,
        new_keyring: !invocation.has(Opt::NoNewKeyring),
        umask: old_umask,
        handover: Handover {
            preserve_fds: handover_fds.preserve,
            listen_fds: handover_fds.listen,
            listen_names: arguments.variable("LISTEN_FDNAMES"),
            has_notify_socket: notify_socket.is_some(),
            blocked,
            init,
        },
        notify_socket,
        arguments,
    };
    // Without a directory of its own, an overlay covers the state directory, in the container's mount namespace alone.
    let place = rootfs.as_ref().unwrap_or(&container.directory);
    let (pid, socket) = spawn_container_process(&inheritance, socket, other_end, &mut trees, memory, place)?;
    undo::note_process(pid, true);
    while let Some((_, tree)) = trees.pop() {
        tree.close();
    }
    report::step(msg!("container process # made"), Digits::signed(pid.into()).as_str());
    let started;
    let mut cgroup = cgroup.as_ref();
    if let (Some(unit), Some(mut systemd), Some(awaited)) = (&unit, systemd, cgroup) {
        systemd.start(unit, spec, id_text, pid)?;
        systemd.limit(
            unit,
            &spec.linux.resources,
            awaited.host().is_v2,
            resources::Purpose::Create,
        )?;
        // systemd leaves some hierarchies of version 1 to others.
        started = make_cgroup(host, spec, id, Some(awaited.path()))?;
        cgroup = started.as_ref();
        if let Some(cgroup) = cgroup {
            cgroup.join(Digits::signed(pid.into()).as_bytes())?;
        }
    }
    if namespaces.new_user {
        prepare_user_namespace(spec, &proc, pid, cgroup)?;
    }
    resctrl::apply(spec, id, pid)?;
    if inheritance.is_held() {
        socket
            .send(Kind::Go, &[])
            .during(msg!("tell the container process to go on"))?;
    }

    // 3 to 5. Hooks, while the process makes its mounts; createContainer hooks are its own.
    let own = hooks::DefaultEnvironment::Own(arguments);
    let master = wait_until_ready(&socket, pid, &mut |request| {
        let mut document = Document::new(memory);
        // "Created" is what follows step 2 of the lifecycle.
        state::write_for_hook(&mut document, spec, id, bundle, pid, Status::Created)?;
        let state = document.as_bytes();
        match request {
            Request::Hooks => {}
            Request::Overlay(letter) => return overlay::note_fallback(&container, letter),
            Request::Network(inside) => return net::devices::serve(spec, network.as_ref(), pid, inside),
            Request::Listener(number) => return send_listener(spec, pid, number, state),
        }
        hooks::run(spec, msg!("hooks.prestart"), spec.hooks.prestart, state, own)?;
        hooks::run(spec, msg!("hooks.createRuntime"), spec.hooks.create_runtime, state, own)
    })?;
    report::step(msg!("container # made"), id_text);
    // Not before, since one of them may leave little room for the descriptors of mounts.
    if namespaces.new_user
        && let Some(process) = &spec.process
    {
        credentials::set_rlimits(process, pid)?;
    }

    let start = proc
        .process_start(pid)
        .ok_or_else(|| Error::said(msg!("the container process has vanished")))?;
    let created = Rfc3339::now().line();
    let mut document = Document::new(memory);
    let view = StateView {
        oci_version: spec.oci_version.map_or(crate::SPEC_VERSION, |version| version.as_str()),
        id: id_text,
        pid,
        start_time: start.ticks,
        bundle: utf8(bundle.to_bytes()),
        rootfs: rootfs_path.as_str(),
        created: created.text().unwrap_or_default(),
        owner: owner(),
        cgroup: cgroup.map(|cgroup| utf8(cgroup.path().to_bytes())),
        annotations: spec.list(spec.annotations),
    };
    write_state(&mut document, &view);
    document.check_state()?;
    container.write_state(document.as_bytes())?;
    if let Some(path) = invocation.value(Opt::PidFile) {
        write_pid_file(path, pid)?;
    }
    if let Some(socket) = &pidfd_socket {
        send_pidfd(socket, pid)?;
    }
    report::step(msg!("container # created"), id_text);
    // These wait for the end of the line that they hold; what else is open closes with this process, at no cost.
    inheritance
        .console_socket
        .into_iter()
        .chain(pidfd_socket)
        .chain(inheritance.notify_socket)
        .for_each(OwnedFd::close);
    let placed = cgroup.map(|cgroup| (cgroup.host(), cgroup.path(), cgroup.made().get()));
    Ok(Created {
        root,
        cgroup: placed,
        container,
        spec,
        bundle,
        child: pid,
        socket,
        master,
        memory,
    })
}

/// What the process waits for on its way.
pub enum Request {
    /// Hooks of the runtime's namespaces are due.
    Hooks,
    /// The network and network devices are to be made or moved where this netlink socket was made.
    Network(OwnedFd),
    /// The root file system is another one than was asked for.
    Overlay(u8),
    /// Its descriptor with this number is for the listener of its seccomp profile.
    Listener(i32),
}

/// Hears the process out until everything that can fail has been done; the terminal's master, where it has sent it.
pub fn wait_until_ready(
    socket: &Socket,
    pid: i32,
    serve: &mut dyn FnMut(Request) -> Result<()>,
) -> Result<Option<OwnedFd>> {
    let mut master = None;
    loop {
        let mut memory = [0; MESSAGE_BYTES];
        let message = socket.receive(&mut memory).during(msg!("hear from the process"))?;
        let Some(message) = message else { return Err(died(pid)) };
        match message.kind {
            Kind::Ready => return Ok(master),
            Kind::Failed => return Err(message.error()),
            Kind::Spawned | Kind::Go => return Err(died(pid)),
            Kind::Master => {
                master = message.fd;
                continue;
            }
            Kind::Hooks => serve(Request::Hooks)?,
            Kind::Overlay => serve(Request::Overlay(message.payload.first().copied().unwrap_or_default()))?,
            Kind::Network => match message.fd {
                Some(socket) => serve(Request::Network(socket))?,
                None => return Err(Error::said(msg!("linux.netDevices: no netlink socket arrived"))),
            },
            Kind::Listener => serve(Request::Listener(
                message.payload.try_into().map_or(-1, i32::from_ne_bytes),
            ))?,
        }
        socket.send(Kind::Go, &[]).during(msg!("tell the process to go on"))?;
    }
}

/// Sends a descriptor of the process to who waits for it at `socket`.
pub fn send_pidfd(socket: &OwnedFd, pid: i32) -> Result<()> {
    let pidfd = open_process(pid).during(msg!("--pidfd-socket needs Linux 5.3: open pidfd"))?;
    send_fd(socket.as_fd(), b"pidfd", pidfd.as_fd()).during(msg!("send pidfd"))
}

fn open_console_socket(invocation: &Invocation, spec: &Spec<'static>, purpose: Purpose) -> Result<Option<OwnedFd>> {
    let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
    let relayed = purpose == Purpose::Run { detach: false };
    match invocation.value(Opt::ConsoleSocket) {
        Some(path) if terminal => console::connect_socket(path).map(Some),
        Some(_) => Err(Error::said(msg!(
            "--console-socket is given, but process.terminal is not set"
        ))),
        None if terminal && !relayed => Err(Error::said(msg!(
            "process.terminal is set: --console-socket has to say where the terminal goes"
        ))),
        None => Ok(None),
    }
}

/// Looks for systemd, and where it will make the cgroup.
fn await_unit(
    unit: &Unit,
    host: Option<&'static Host>,
    container: &Container,
    arguments: sys::Arguments,
) -> Result<(Systemd, NewCgroup)> {
    let Some(host) = host else {
        return Err(Error::said(msg!("--systemd-cgroup: there are no cgroups to use")));
    };
    let mut systemd = Systemd::connect(arguments)?;
    let path = systemd.path_of(unit)?;
    systemd::note(container, &path)?;
    Ok((systemd, NewCgroup::awaited(host, path.leak())))
}

/// Makes the cgroup, or what is missing of it where systemd has made it at a `place`.
fn make_cgroup(
    host: Option<&'static Host>,
    spec: &Spec<'static>,
    id: &'static CStr,
    place: Option<&'static CStr>,
) -> Result<Option<NewCgroup>> {
    let Some(host) = host else { return Ok(None) };
    // Who names a path reads statistics there, in every hierarchy, and so does who looks into the container.
    let is_seen = |mount: &Mount<'static>| mount.kind.is_some_and(|kind| kind.as_str() == "cgroup");
    let everywhere = spec.linux.cgroups_path.is_some() || spec.mounts.iter().any(is_seen);
    let path = match place {
        Some(path) => path,
        None => host.path_for(spec, id)?.leak(),
    };
    undo::note_cgroup(Some(undo::Cgroup {
        host,
        path,
        is_systemds: place.is_some(),
    }));
    match NewCgroup::make(host, path, everywhere || place.is_some(), place.is_some())? {
        Ok(mut cgroup) => {
            // Before the process exists, so that it is limited from its first moment.
            apply(
                host,
                cgroup.path(),
                cgroup.made(),
                spec,
                &spec.linux.resources,
                resources::Purpose::Create,
            )?;
            if let Some(owner) = owner_of_cgroup(spec) {
                cgroup.give_to(owner)?;
            }
            cgroup.open_procs()?;
            Ok(Some(cgroup))
        }
        // Who is not the host's root may have no cgroup to give, and asked for none, or may do without.
        Err(errno) if spec.linux.cgroups_path.is_none() && !limits::asks_for_limits(spec) => {
            // Some hierarchies may have let it be made.
            let _ = host.try_remove(path, Hierarchies::ALL);
            undo::note_cgroup(None);
            report::step(msg!("no cgroup: #"), errno::words(errno));
            Ok(None)
        }
        Err(errno) => Err(cgroup::make_error(id, errno)),
    }
}

/// To whom the cgroup belongs, as an id of the host, where the container is to manage it: where it has a cgroup namespace of
/// its own and a view of it that can be written.
fn owner_of_cgroup(spec: &Spec<'static>) -> Option<u32> {
    let writable = |mount: &Mount<'static>| {
        mount.kind.is_some_and(|kind| kind.as_str().starts_with("cgroup")) && mount.plan.flags & MS_RDONLY == 0
    };
    if !spec.linux.has_new_namespace(NamespaceKind::Cgroup) || !spec.mounts.iter().any(writable) {
        return None;
    }
    let uid = spec.process.as_ref()?.user.uid;
    if !spec.linux.has_new_namespace(NamespaceKind::User) {
        return Some(uid);
    }
    let mappings = spec.list(spec.linux.uid_mappings);
    mappings.iter().find_map(|mapping| {
        let offset = uid.checked_sub(mapping.container_id)?;
        (offset < mapping.size).then(|| mapping.host_id + offset)
    })
}

/// The gate between create and start. Its mode lets the container's user write, who opens it through the descriptor and
/// could not reach it by name.
fn make_fifo(container: &Container) -> Result<OwnedFd> {
    let mode = Mode::from_raw_mode(0o622);
    mknodat(&container.directory, FIFO_FILE, FileType::Fifo, mode, 0).during(msg!("make exec.fifo"))?;
    open_in(container.directory.as_fd(), FIFO_FILE, OFlags::PATH | OFlags::NOFOLLOW).during(msg!("open exec.fifo"))
}

/// Makes the process, directly or through a stage in between, and returns it with the socket to it.
fn spawn_container_process(
    inheritance: &Inheritance<'_>,
    socket: Socket,
    other_end: Socket,
    trees: &mut Trees,
    memory: &mut [u8; STATE_BYTES_MAX],
    rootfs: &OwnedFd,
) -> Result<(i32, Socket)> {
    let namespaces = inheritance.namespaces;
    let before = if inheritance.inherits_place() {
        let before = open(c".", OFlags::PATH | OFlags::DIRECTORY);
        fchdir(rootfs)
            .or_else(|_| chdir(inheritance.rootfs))
            .during(msg!("enter root"))?;
        before.ok()
    } else {
        None
    };
    let is_staged = namespaces.is_staged();
    let mut make = || spawn_in_cgroup(inheritance, namespaces.clone_flags, is_staged);
    let made = if is_staged {
        spawn_staged(
            socket,
            other_end,
            &mut |_| namespaces.enter_stage(inheritance.spec, inheritance.proc),
            &mut make,
            &mut |socket| container_process::run(inheritance, socket, trees, memory),
        )?
    } else {
        match make()? {
            Spawned::Parent(child) => {
                other_end.close();
                (child.pid, socket)
            }
            Spawned::Child => {
                socket.close();
                match container_process::run(inheritance, &other_end, trees, memory)? {}
            }
        }
    };
    if let Some(before) = before {
        fchdir(&before).during(msg!("leave root"))?;
    }
    Ok(made)
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
            other => return other.during(msg!("clone")),
        }
    }
    spawn(&SpawnOptions {
        namespaces,
        sibling,
        cgroup: None,
    })
    .during(msg!("clone"))
}

fn prepare_user_namespace(spec: &Spec<'static>, proc: &Proc, pid: i32, cgroup: Option<&NewCgroup>) -> Result<()> {
    idmap::write_maps(
        proc,
        pid,
        spec.list(spec.linux.uid_mappings),
        spec.list(spec.linux.gid_mappings),
    )?;
    if let Some(process) = &spec.process {
        credentials::set_oom_score(proc, process, Some(pid))?;
    }
    if let Some(cgroup) = cgroup {
        cgroup.join(Digits::signed(pid.into()).as_bytes())?;
    }
    Ok(())
}

/// The process closed the socket without a word.
fn died(pid: i32) -> Error {
    // It has, or else it is as good as dead; what it died of stays.
    let _ = sys::signal::send(pid, SIGKILL);
    let status = wait(pid).ok();
    undo::note_process(0, false);
    match status.and_then(|status| status.terminating_signal()) {
        Some(9) => Error::said(msg!(
            "the container process was killed before it was ready (out of memory?)"
        )),
        Some(signal) => Error::says(
            msg!("the container process died of signal # before it was ready"),
            Digits::signed(signal.into()).as_str(),
        ),
        None => Error::said(msg!("the container process ended before it was ready")),
    }
}

fn owner() -> &'static str {
    let uid = rustix::process::getuid();
    if uid.is_root() {
        "root"
    } else {
        keep("#", &[Digits::of(uid.as_raw().into()).as_str()])
    }
}
