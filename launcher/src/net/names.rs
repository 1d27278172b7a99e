//! `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` of a container: files of its network and of its own, which are mounted
//! read-only over what the image has there.

use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags, unlinkat};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use spec_core::Spec;
use spec_core::limits::PATH_BYTES_MAX;
use spec_core::mounts::MS_BIND;
use sys::OwnedFd;
use sys::fd::{clone_tree, create_in, open, open_in, read};
use sys::file::{is_missing, leave_open, read_link};
use sys::mount::{attach, mount as mount_call};

use super::address::{Address, Subnet};
use super::lease::file_name;
use crate::container::{Document, write_all};
use crate::error::{During, Error, Result};
use crate::mounts::{READ_ONLY, fd_path, make_read_only};
use crate::msg;
use crate::path::{Path, without_slashes};
use crate::root::{Links, Root};
use crate::text::{Pieces, cut, utf8};

/// Where they are in the container: the network's two, and the container's own.
const PLACES: [&CStr; 3] = [c"/etc/hosts", c"/etc/resolv.conf", c"/etc/hostname"];

/// The container's own, in its state directory.
pub const HOSTNAME_FILE: &CStr = c"hostname";

/// The files as mounts that are nowhere yet, or, where the kernel cannot make those, the files. In the order of the places.
pub type Files = [Option<OwnedFd>; PLACES.len()];

/// Opens the files of the network `name`, but for those where the bundle mounts something itself.
pub fn open_files(root: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &str, spec: &Spec<'static>) -> Result<Files> {
    let mut files = [None, None, None];
    let hosts = file_name(name, "hosts");
    let resolv = file_name(name, "resolv");
    let hostname = spec.hostname.map_or("", |name| name.as_str());
    let sources = [
        (root, hosts.as_c_str(), true),
        (root, resolv.as_c_str(), true),
        (directory, HOSTNAME_FILE, !hostname.is_empty()),
    ];
    for ((file, place), (directory, source, is_there)) in files.iter_mut().zip(PLACES).zip(sources) {
        let is_taken = |destination: &str| {
            let destination = without_slashes(destination.as_bytes());
            destination == b"/etc" || destination == place.to_bytes()
        };
        if !is_there || spec.mounts.iter().any(|mount| is_taken(mount.destination.as_str())) {
            continue;
        }
        if source == HOSTNAME_FILE {
            write_hostname(directory, hostname).during(msg!("write hostname"))?;
        }
        *file = Some(open_one(directory, source).during_with(msg!("open file for #"), utf8(place.to_bytes()))?);
    }
    Ok(files)
}

fn write_hostname(directory: BorrowedFd<'_>, hostname: &str) -> core::result::Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = create_in(directory, HOSTNAME_FILE, flags, Mode::from_raw_mode(0o644))?;
    let line = Path::of(&[hostname.as_bytes(), b"\n"]);
    write_all(file.as_fd(), line.as_bytes())
}

fn open_one(directory: BorrowedFd<'_>, path: &CStr) -> core::result::Result<OwnedFd, Errno> {
    match clone_tree(directory, path, OpenTreeFlags::empty()) {
        Ok(tree) => match sys::mount::set_attributes(tree.as_fd(), false, &READ_ONLY) {
            Ok(()) => Ok(tree),
            // Between Linux 5.2 and 5.12 only a mount that is somewhere can be changed.
            Err(errno) if is_missing(errno) => open_in(directory, path, OFlags::PATH),
            Err(errno) => Err(errno),
        },
        Err(errno) if is_missing(errno) => open_in(directory, path, OFlags::PATH),
        Err(errno) => Err(errno),
    }
}

/// Mounts the files, in the container process.
pub fn mount_files(root: &Root, files: &Files) -> Result<()> {
    for (file, place) in files.iter().zip(PLACES) {
        let Some(file) = file else { continue };
        let target = match root.make_file(place, Links::Follow) {
            Ok(target) => target,
            // An image that cannot be written and has no such file does without.
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::OVERFLOW) => continue,
            Err(errno) => return Err(Error::new_with(msg!("open #"), utf8(place.to_bytes()), errno)),
        };
        match attach(file.as_fd(), target.as_fd()) {
            Ok(()) => {}
            // What was opened is no mount of its own.
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => mount_by_path(root, file, &target, place)?,
            Err(errno) => return Err(Error::new_with(msg!("mount #"), utf8(place.to_bytes()), errno)),
        }
        leave_open(target);
    }
    Ok(())
}

/// By the names that the file and its place have in this mount namespace.
fn mount_by_path(root: &Root, file: &OwnedFd, target: &OwnedFd, place: &CStr) -> Result<()> {
    let mut memory = [0; PATH_BYTES_MAX];
    let place_text = utf8(place.to_bytes());
    let link = fd_path(file.as_fd());
    let path = read_link(rustix::fs::CWD, link.as_c_str(), &mut memory).during_with(msg!("mount #"), place_text)?;
    let source = Path::new(path);
    let onto = fd_path(target.as_fd());
    mount_call(Some(source.as_c_str()), onto.as_c_str(), None, MS_BIND, None)
        .during_with(msg!("mount #"), place_text)?;
    let mounted = root
        .open(place, OFlags::PATH, Links::Follow)
        .during_with(msg!("open #"), place_text)?;
    make_read_only(mounted.as_fd(), false)
}

/// Where a host's own resolver keeps the addresses of the real ones.
const RESOLVERS: [&CStr; 2] = [c"/run/systemd/resolve/resolv.conf", c"/etc/resolv.conf"];
const RESOLV_BYTES_MAX: usize = 4096;

/// Makes the network's resolv.conf: the host's, without servers that only the host can reach. Where none is left, the gateway
/// is asked, where a router's resolver usually listens.
pub fn write_resolv(
    root: BorrowedFd<'_>,
    name: &str,
    subnets: &[Option<Subnet>; 2],
) -> core::result::Result<(), Errno> {
    let mut memory = [0; RESOLV_BYTES_MAX];
    let file = RESOLVERS.iter().find_map(|path| open(path, OFlags::RDONLY).ok());
    let host = match &file {
        Some(file) => read(file.as_fd(), &mut memory)?,
        None => &mut [],
    };
    let mut text = [0; RESOLV_BYTES_MAX + 64];
    let mut out = Document::new(&mut text);
    let mut has_server = false;
    let mut rest = utf8(host);
    while !rest.is_empty() {
        let line = cut(&mut rest, b'\n');
        if let Some(server) = line.strip_prefix("nameserver ") {
            let is_own = server.starts_with("127.") || Address::parse(server) == Address::parse("::1");
            if is_own {
                continue;
            }
            has_server = true;
        }
        out.str(line).str("\n");
    }
    if !has_server && let Some(subnet) = subnets.iter().flatten().next() {
        out.str("nameserver ");
        subnet.gateway.write(&mut out);
        out.str("\n");
    }
    let path = file_name(name, "resolv");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let file = create_in(root, path.as_c_str(), flags, Mode::from_raw_mode(0o644))?;
    write_all(file.as_fd(), out.as_bytes())
}

/// Removes the files of the network `name`.
pub fn remove_files(root: BorrowedFd<'_>, name: &str) -> core::result::Result<(), Errno> {
    for kind in ["resolv", "hosts"] {
        match unlinkat(root, file_name(name, kind).as_c_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
