//! The container process: from the clone to the user's program, one step after the other.

use core::convert::Infallible;
use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{chdir, fchdir, setsid, umask};
use spec_core::Spec;
use spec_core::limits::STATE_BYTES_MAX;
use spec_core::linux::NamespaceKind;
use spec_core::state::Status;
use sys::OwnedFd;
use sys::file::{close_one, leave_open, read_link};

use crate::cgroup::NewCgroup;
use crate::console::Console;
use crate::container::{Document, write_all};
use crate::error::{During, Error, NO_INDEX, Result, within};
use crate::mounts::{Surroundings, Trees, mount_all};
use crate::msg;
use crate::overlay::mount::Mounted;
use crate::overlay::{self, Overlay};
use crate::path::Path;
use crate::proc::Proc;
use crate::program::{Handover, become_program, close_all_but, enter_working_directory, find};
use crate::seccomp::Profile;
use crate::sync::{Kind, Socket, tell_over, tell_through};
use crate::text::{has, parse_number, utf8};
use crate::{credentials, devices, hooks, labels, namespaces, net, notify_socket, placement, rootfs, state};

/// Everything that the process inherits from `create` or `run`.
pub struct Inheritance<'a> {
    /// The configuration.
    pub spec: &'static Spec<'static>,
    /// The container's id.
    pub id: &'static CStr,
    /// The bundle's absolute path.
    pub bundle: &'static CStr,
    /// The root file system's absolute path.
    pub rootfs: &'a CStr,
    /// What it is an overlay of.
    pub overlay: Option<&'a Overlay>,
    /// The host's procfs.
    pub proc: &'a Proc,
    /// Which namespaces.
    pub namespaces: &'a namespaces::Plan,
    /// The cgroup to join.
    pub cgroup: Option<&'a NewCgroup>,
    /// The seccomp filter.
    pub seccomp: Option<&'a Profile>,
    /// Where the terminal's master goes; without it, to roci.
    pub console_socket: Option<OwnedFd>,
    /// The network.
    pub network: Option<&'a net::Network>,
    /// The state directory with its lock, which is roci's alone.
    pub lock: BorrowedFd<'a>,
    /// The service manager's socket.
    pub notify_socket: Option<OwnedFd>,
    /// The gate that `start` opens; without one, roci says when to go on.
    pub fifo: Option<OwnedFd>,
    /// Whether it gets a session keyring of its own.
    pub new_keyring: bool,
    /// The umask that roci was started with.
    pub umask: Mode,
    /// What the program gets.
    pub handover: Handover,
    /// roci's arguments and environment.
    pub arguments: sys::Arguments,
}

impl Inheritance<'_> {
    /// Whether the process is made in the directory where the root is to be, and need not walk there: a root of a user
    /// namespace may not be allowed to, and the root of an overlay may have no path.
    pub fn inherits_place(&self) -> bool {
        self.namespaces.in_user_namespace || self.overlay.is_some()
    }

    /// Whether roci has to do something with the process before it may go on: its maps, what needs rights outside, or its
    /// cgroup. And where somebody else announces it, nothing of its own must arrive before that.
    pub fn is_held(&self) -> bool {
        self.namespaces.new_user || self.namespaces.is_staged() || self.cgroup.is_some_and(|cgroup| cgroup.is_awaited)
    }
}

/// Becomes the container's program. On the way it talks to roci over `socket` (see [`crate::sync`]); an error is sent there,
/// or, once `start` listens, through the fifo.
pub fn run(
    inherited: &Inheritance<'_>,
    socket: &Socket,
    trees: &mut Trees,
    memory: &mut [u8; STATE_BYTES_MAX],
) -> Result<Infallible> {
    tell_over(socket);
    let Inheritance { spec, proc, .. } = *inherited;
    // A copy of the descriptor holds the lock as well: were roci killed now, delete would have to wait for this process.
    let _ = close_one(inherited.lock.as_raw_fd() as u32);
    if let Some(overlay) = inherited.overlay {
        overlay::mount::open_directories(overlay, spec)?;
    }
    enter_namespaces(inherited, socket)?;
    set_names(spec)?;
    if spec.linux.has_new_namespace(NamespaceKind::Network) {
        bring_loopback_up()?;
    }
    net::devices::ask(spec, inherited.network, socket)?;

    // Where the parent is already, since this root may not be allowed to walk there by name.
    if !inherited.inherits_place() {
        chdir(inherited.rootfs).during(msg!("enter root"))?;
    }
    let here = rootfs::part(spec)?;
    let Mounted { root, below } = match inherited.overlay {
        Some(overlay) => overlay::mount::mount(overlay, here, proc, socket, memory)?,
        None => Mounted {
            root: rootfs::prepare(spec, here)?,
            below: None,
        },
    };
    let around = Surroundings {
        spec,
        root: &root,
        bundle: inherited.bundle,
        proc,
        in_user_namespace: inherited.namespaces.in_user_namespace,
        cgroup: inherited.cgroup.map(NewCgroup::path),
    };
    mount_all(&around, trees)?;
    if let Some(network) = inherited.network {
        network.mount_files(&root)?;
    }
    if let Some(socket) = &inherited.notify_socket {
        notify_socket::mount(&root, socket.as_fd())?;
    }
    let process = spec.process.as_ref();
    let mut console = None;
    if spec.linux.namespace(NamespaceKind::Mount).is_some() {
        devices::make_all(spec, &root, inherited.namespaces.in_user_namespace)?;
    }
    if let Some(process) = process.filter(|process| process.terminal) {
        // The terminal comes from the container's own devpts, which has just been mounted.
        let terminal = Console::make(&root, process.console_size)?;
        terminal.mount(&root)?;
        console = Some(terminal);
    }

    // runtime.md, lifecycle steps 3 to 5: the environment stands, pivot_root has not happened.
    let hooks = &spec.hooks;
    if !hooks.prestart.is_empty() || !hooks.create_runtime.is_empty() {
        if inherited.overlay.is_some() {
            // On the host there is no other way to it than this process's working directory.
            fchdir(root.as_fd()).during(msg!("enter root"))?;
        }
        socket.send(Kind::Hooks, &[]).during(msg!("ask for hooks"))?;
        socket.wait_for_go();
    }
    if !hooks.create_container.is_empty() {
        let state = hook_state(inherited, Status::Created, memory)?;
        let own = hooks::DefaultEnvironment::Own(inherited.arguments);
        hooks::run(spec, msg!("hooks.createContainer"), hooks.create_container, state, own)?;
    }

    // Masks need the host's /dev/null and are put on by descriptor, so they come before the root is left. Hooks may have
    // mounted things that they have to cover.
    rootfs::protect(spec, &root)?;
    rootfs::enter(spec, &root, below.as_ref(), proc)?;
    root.leave_open();
    write_sysctls(spec, proc)?;

    // A session of its own: the container is not in the job control of who called roci, and cannot push characters into
    // its terminal.
    setsid().during(msg!("setsid"))?;
    if let Some(console) = console {
        console.take(process.map_or(0, |process| process.user.uid))?;
        console.hand_out(inherited.console_socket.as_ref(), socket)?;
    }
    if !process.is_some_and(|process| process.terminal) {
        devices::reopen_null_streams()?;
    }
    if inherited.new_keyring {
        join_keyring(inherited.id)?;
    }
    let Some(process) = process else {
        // create without a process is allowed; there will be nothing to start.
        socket.send(Kind::Ready, &[]).during(msg!("say ready"))?;
        socket.wait_for_go();
        open_gate(inherited)?;
        return Err(Error::said(msg!("the configuration has no process")));
    };
    if let Some(personality) = spec.linux.personality {
        sys::process::set_personality(personality.domain).during(msg!("set personality"))?;
    }
    umask(
        process
            .user
            .umask
            .map_or(inherited.umask, |bits| Mode::from_raw_mode(bits as _)),
    );
    enter_working_directory(process)?;
    credentials::set_scheduling(process)?;
    if let Some(policy) = &spec.linux.memory_policy {
        placement::set_memory_policy(policy)?;
    }
    labels::set_for_exec(proc, process)?;
    // CAP_SYS_ADMIN may go with the next step. What comes after this must be allowed by the profile: the peers ask no less of
    // it.
    let is_late = |profile: &&Profile| profile.is_late(process.no_new_privileges);
    if let Some(profile) = inherited.seccomp.filter(|profile| !is_late(profile)) {
        profile.load(socket)?;
    }
    // With a new user namespace roci has set them, who has the right to raise them.
    if !inherited.namespaces.new_user {
        credentials::set_rlimits(process, 0)?;
    }
    credentials::take(spec, process, proc)?;
    // Looked for as the user that will run it.
    let path = find(spec, process)?;

    // Everything that can fail without running anything of the container's has been done. What is left is what the wait
    // and the exec need: another process of the container may look into this one while it waits.
    let handover = &inherited.handover;
    let kept = [
        Some(socket.as_fd()),
        Some(proc.as_fd()),
        inherited.fifo.as_ref().map(AsFd::as_fd),
        handover.init.as_ref().map(AsFd::as_fd),
    ];
    close_all_but(&kept, 3 + handover.preserve_fds, proc)?;
    socket.send(Kind::Ready, &[]).during(msg!("say ready"))?;
    socket.wait_for_go();
    open_gate(inherited)?;
    if !hooks.start_container.is_empty() {
        let state = hook_state(inherited, Status::Created, memory)?;
        let environment = hooks::DefaultEnvironment::Process;
        hooks::run(
            spec,
            msg!("hooks.startContainer"),
            hooks.start_container,
            state,
            environment,
        )?;
    }
    if let Some(profile) = inherited.seccomp.filter(is_late) {
        profile.load(socket)?;
    }
    // The socket or the fifo closes in the exec, which tells the other side that it worked.
    become_program(spec, process, path.leak(), handover)
}

fn enter_namespaces(inherited: &Inheritance<'_>, socket: &Socket) -> Result<()> {
    let Inheritance {
        spec, proc, namespaces, ..
    } = *inherited;
    if inherited.is_held() {
        socket.wait_for_go();
    }
    if namespaces.new_user {
        credentials::become_namespace_root(proc)?;
    } else {
        if let Some(process) = &spec.process {
            credentials::set_oom_score(proc, process, None)?;
        }
        if let Some(cgroup) = inherited.cgroup {
            // By itself, so that nobody has to wait for somebody else; 0 is the writer.
            cgroup.join(b"0")?;
        }
    }
    if !namespaces.is_staged() {
        namespaces.join()?;
    }
    if namespaces.new_cgroup {
        sys::namespace::unshare(NamespaceKind::Cgroup as u32).during(msg!("unshare cgroup (needs CONFIG_CGROUPS)"))?;
    }
    if namespaces.in_user_namespace && !namespaces.new_user {
        credentials::become_namespace_root(proc)?;
    }
    Ok(())
}

fn set_names(spec: &Spec<'static>) -> Result<()> {
    if let Some(name) = spec.hostname {
        rustix::system::sethostname(name.as_str().as_bytes()).during(msg!("set hostname"))?;
    }
    if let Some(name) = spec.domainname {
        rustix::system::setdomainname(name.as_str().as_bytes()).during(msg!("set domainname"))?;
    }
    Ok(())
}

fn bring_loopback_up() -> Result<()> {
    match sys::fd::socket(AddressFamily::INET, SocketType::DGRAM) {
        // A kernel without IPv4 has no loopback to bring up.
        Err(Errno::AFNOSUPPORT) => Ok(()),
        socket => {
            let socket = socket.during(msg!("open a socket for lo"))?;
            sys::file::bring_loopback_up(socket.as_fd()).during(msg!("bring lo up"))?;
            leave_open(socket);
            Ok(())
        }
    }
}

fn write_sysctls(spec: &Spec<'static>, proc: &Proc) -> Result<()> {
    for sysctl in spec.list(spec.linux.sysctl) {
        let name = sysctl.key.as_str();
        // Dots separate, as in sysctl(8), unless there are slashes: then dots are part of names (interfaces).
        let mut path = Path::of(&[b"sys/", name.as_bytes()]);
        if !has(name, b'/') {
            path.replace(b'.', b'/');
        }
        within(msg!("linux.sysctl"), NO_INDEX, name, || {
            proc.write(path.as_c_str(), sysctl.value.as_str().as_bytes())
                .during(msg!("write"))
        })?;
    }
    Ok(())
}

fn join_keyring(id: &CStr) -> Result<()> {
    let name = Path::of(&[b"_ses.", id.to_bytes()]);
    match sys::process::join_new_session_keyring(name.as_c_str()) {
        // No CONFIG_KEYS, a filter around roci, or the quota of keys: there is then nothing to share either, or nothing to
        // be done about it, and runc goes on as well.
        Ok(()) | Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS | Errno::DQUOT) => Ok(()),
        Err(errno) => Err(Error::new(msg!("join session keyring"), errno)),
    }
}

/// Opens the fifo for writing, which lasts until `start` reads it, and writes the byte that tells it that we are there.
fn open_gate(inherited: &Inheritance<'_>) -> Result<()> {
    let Some(fifo) = &inherited.fifo else { return Ok(()) };
    let open = inherited
        .proc
        .reopen(fifo.as_fd(), OFlags::WRONLY)
        .during(msg!("open exec.fifo"))?;
    write_all(open.as_fd(), b"0").during(msg!("write exec.fifo"))?;
    // It closes in the exec.
    tell_through(open.as_fd());
    Ok(())
}

/// The state for hooks that run in the container's namespaces.
fn hook_state<'m>(
    inherited: &Inheritance<'_>,
    status: Status,
    memory: &'m mut [u8; STATE_BYTES_MAX],
) -> Result<&'m [u8]> {
    // The host's procfs knows what the host calls this process.
    let mut link = [0; 16];
    let name = read_link(inherited.proc.as_fd(), c"self", &mut link).during(msg!("read /proc/self"))?;
    let pid = parse_number(utf8(name)).unwrap_or(0) as i32;
    let mut document = Document::new(memory);
    state::write_for_hook(
        &mut document,
        inherited.spec,
        inherited.id,
        inherited.bundle,
        pid,
        status,
    )?;
    Ok(document.into_bytes())
}
