//! The program of a container: found, and become.

use core::convert::Infallible;
use core::ffi::CStr;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{Access, AtFlags, CWD, FileType, OFlags, accessat, statat};
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::process::Process;
use sys::OwnedFd;
use sys::directory::Names;
use sys::exec::{execve, execve_fd};
use sys::fd::{open, open_in};
use sys::file::{close_one, close_range};
use sys::signal::{SignalSet, set_blocked};

use crate::errno;
use crate::error::{During, Error, Result, keep};
use crate::hooks::{ARGUMENTS, ENVIRONMENT, Strings};
use crate::msg;
use crate::notify_socket;
use crate::path::Path;
use crate::proc::Proc;
use crate::text::{has, parse_number, parts, utf8};

/// What is searched when the environment has no PATH, as `execvp` has it.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Finds the program as `execvp` would, with the container's PATH, inside the container and as its user.
///
/// It is looked for before `create` says that the container is created, so that a missing program is an error of
/// `create`. The wording is Go's: clients compare it.
pub fn find(spec: &Spec<'static>, process: &Process<'static>) -> Result<Path> {
    let name = spec.list(process.args).first().map_or("", |text| text.as_str());
    if has(name, b'/') {
        let path = Path::new(name.as_bytes());
        return match check(path.as_c_str()) {
            Ok(()) => Ok(path),
            Err(Errno::NOENT) => Err(Error::said(keep(
                msg!("exec: \"#\": stat #: no such file or directory"),
                &[name, name],
            ))),
            Err(errno) => Err(Error::said(keep(msg!("exec: \"#\": #"), &[name, errno::text(errno)]))),
        };
    }
    let mut refused = None;
    let path = spec
        .list(process.env)
        .iter()
        .rev()
        .find_map(|variable| variable.as_str().strip_prefix("PATH="));
    for directory in parts(path.unwrap_or(DEFAULT_PATH), b':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let path = Path::of(&[directory.as_bytes(), b"/", name.as_bytes()]);
        match check(path.as_c_str()) {
            Ok(()) => return Ok(path),
            Err(errno @ Errno::ACCESS) => refused = Some(errno),
            Err(_) => {}
        }
    }
    match refused {
        Some(errno) => Err(Error::said(keep(msg!("exec: \"#\": #"), &[name, errno::text(errno)]))),
        None => Err(Error::says(
            msg!("exec: \"#\": executable file not found in $PATH"),
            name,
        )),
    }
}

fn check(path: &CStr) -> core::result::Result<(), Errno> {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::empty())?;
    // A directory is "executable" too.
    let kind = FileType::from_raw_mode(statat(CWD, path, AtFlags::empty())?.st_mode);
    if kind == FileType::RegularFile {
        Ok(())
    } else {
        Err(Errno::ACCESS)
    }
}

/// What the program gets beside its arguments.
pub struct Handover {
    /// How many descriptors from 3 up it inherits.
    pub preserve_fds: u32,
    /// How many of these are sockets of the service manager's (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// What the service manager calls them (`LISTEN_FDNAMES`).
    pub listen_names: Option<&'static CStr>,
    /// Whether the service manager's socket is in the container.
    pub has_notify_socket: bool,
    /// The set of blocked signals that roci was started with.
    pub blocked: SignalSet,
    /// `roci-init`, to be the program in the program's place and start it.
    pub init: Option<OwnedFd>,
}

/// Becomes the program at `path`. Returns only with the reason why that failed.
pub fn become_program(
    spec: &Spec<'static>,
    process: &Process<'static>,
    path: &'static CStr,
    handover: &Handover,
) -> Result<Infallible> {
    let arguments = ARGUMENTS.take();
    if handover.init.is_some() {
        // The path was found already, and argv[0] may be another name.
        for word in [c"roci-init", c"--exec", path, c"--"] {
            push(arguments, word)?;
        }
    }
    for argument in spec.list(process.args) {
        push(arguments, argument.as_c_str())?;
    }
    let environment = ENVIRONMENT.take();
    let mut has_home = false;
    for variable in spec.list(process.env) {
        if handover.has_notify_socket && variable.as_str().starts_with("NOTIFY_SOCKET=") {
            continue;
        }
        has_home |= variable.as_str().starts_with("HOME=");
        push(environment, variable.as_c_str())?;
    }
    let home;
    if !has_home {
        home = home_of(process.user.uid);
        push(environment, home)?;
    }
    if handover.listen_fds > 0 {
        push(environment, Path::numbered("LISTEN_FDS=", handover.listen_fds).leak())?;
        push(environment, c"LISTEN_PID=1")?;
        if let Some(names) = handover.listen_names {
            push(environment, Path::of(&[b"LISTEN_FDNAMES=", names.to_bytes()]).leak())?;
        }
    }
    // What the configuration says of one was passed over: that would be another socket.
    if handover.has_notify_socket {
        push(environment, notify_socket::VARIABLE)?;
    }
    set_blocked(handover.blocked);
    let errno = match &handover.init {
        Some(init) => execve_fd(init.as_fd(), arguments, environment),
        None => execve(path, arguments, environment),
    };
    let name = utf8(path.to_bytes());
    Err(Error::said(keep(msg!("exec: \"#\": #"), &[name, errno::text(errno)])))
}

fn push(list: &mut Strings, string: &'static CStr) -> Result<()> {
    list.push(string)
        .map_err(|_| Error::said(msg!("more than 8192 arguments or variables (TEXTS_MAX)")))
}

/// Closes every descriptor from `first` up but those in `kept`.
///
/// Descriptors that the caller of roci leaked, and roci's own of the host, must not reach the container's program
/// (CVE-2016-9962, CVE-2024-21626), nor be there to be looked at while this process waits for `start`.
pub fn close_all_but(kept: &[Option<BorrowedFd<'_>>], first: u32, proc: &Proc) -> Result<()> {
    let mut from = first;
    loop {
        // The next kept one from `from` on.
        let next = kept
            .iter()
            .flatten()
            .map(|fd| fd.as_raw_fd() as u32)
            .filter(|&fd| fd >= from)
            .min();
        let closed = match next {
            Some(fd) if fd == from => Ok(()),
            Some(fd) => close_range(from, fd - 1),
            None => close_range(from, u32::MAX),
        };
        match closed {
            Ok(()) => {}
            Err(Errno::NOSYS | Errno::PERM) => return close_each_but(kept, first, proc.as_fd()),
            Err(errno) => return Err(Error::new(msg!("close descriptors"), errno)),
        }
        match next {
            Some(fd) => from = fd + 1,
            None => return Ok(()),
        }
    }
}

/// The same for kernels before 5.9: each descriptor that `/proc` lists.
fn close_each_but(kept: &[Option<BorrowedFd<'_>>], first: u32, proc: BorrowedFd<'_>) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = open_in(proc, c"self/fd", flags).during(msg!("list descriptors"))?;
    let mut names = Names::of(directory.as_fd());
    while let Some(name) = names.next().during(msg!("list descriptors"))? {
        let Some(fd) = parse_number(utf8(name.to_bytes())).and_then(|fd| u32::try_from(fd).ok()) else {
            continue;
        };
        let is_kept = kept.iter().flatten().any(|kept| kept.as_raw_fd() as u32 == fd);
        if fd >= first && !is_kept && fd != directory.as_raw_fd() as u32 {
            let _ = close_one(fd);
        }
    }
    Ok(())
}

/// `HOME=` of the user with `uid` in the container's /etc/passwd, or `/`: what runc and crun add where the configuration
/// has none.
fn home_of(uid: u32) -> &'static CStr {
    let fallback = c"HOME=/";
    let Ok(file) = open(c"/etc/passwd", OFlags::RDONLY | OFlags::NONBLOCK) else {
        return fallback;
    };
    let mut memory = [0; 8192];
    let mut len = 0;
    // Nothing is read either where there is no more room.
    while let Ok(n @ 1..) = rustix::io::read(&file, memory.get_mut(len..).unwrap_or_default()) {
        len += n;
    }
    match home_in(memory.get(..len).unwrap_or_default(), uid) {
        Some(home) => Path::of(&[b"HOME=", home.as_bytes()]).leak(),
        None => fallback,
    }
}

/// The sixth field of the line whose third is `uid` (passwd(5)).
fn home_in(passwd: &[u8], uid: u32) -> Option<&str> {
    passwd.split(|&byte| byte == b'\n').find_map(|line| {
        let mut fields = parts(utf8(line), b':').skip(2);
        let found = parse_number(fields.next()?)? == u64::from(uid);
        fields.nth(2).filter(|home| found && !home.is_empty())
    })
}

/// Enters the working directory, which must lie inside the container (CVE-2024-21626: `/proc/self/fd/N` may lead outside).
/// It is made where it is missing, as runc and crun do.
pub fn enter_working_directory(process: &Process<'static>) -> Result<()> {
    let cwd = process.cwd;
    match rustix::process::chdir(cwd.as_c_str()) {
        Ok(()) => {}
        Err(Errno::NOENT) => {
            let slash = open(c"/", OFlags::PATH | OFlags::DIRECTORY);
            let root = crate::root::Root::new(slash.during(msg!("open /"))?);
            let made = root.make_directories(cwd.as_c_str(), crate::root::Links::Follow);
            let made = made.during_with(msg!("make working directory #"), cwd.as_str())?;
            rustix::process::fchdir(&made).during_with(msg!("chdir to cwd #"), cwd.as_str())?;
        }
        Err(errno) => return Err(Error::new_with(msg!("chdir to cwd #"), cwd.as_str(), errno)),
    }
    let mut memory = [0; spec_core::limits::PATH_BYTES_MAX];
    let path = sys::file::current_directory(&mut memory).during(msg!("find working directory"))?;
    // Outside of the root the kernel writes "(unreachable)" before the path.
    if path.to_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(Error::says(
        msg!("current working directory is outside of container mount namespace root: #"),
        cwd.as_str(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_of_a_user() {
        let passwd = b"# comment\nroot:x:0:0:root:/root:/bin/sh\nempty:x:5:5:::\nweb:x:1000:1000::/srv/web:/bin/sh\n";
        assert_eq!(home_in(passwd, 0), Some("/root"));
        assert_eq!(home_in(passwd, 1000), Some("/srv/web"));
        assert_eq!(home_in(passwd, 5), None);
        assert_eq!(home_in(passwd, 7), None);
        assert_eq!(home_in(b"\xff:\n:::", 0), None);
    }
}
