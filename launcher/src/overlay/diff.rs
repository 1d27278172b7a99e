//! `diff`: what a container changed of its overlay, found by walking the upper directory.
//!
//! What is changed meanwhile may be listed or not. Names in the upper directory are the container's: no link is followed there.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd, IntoRawFd};
use rustix::fs::{AtFlags, CWD, FileType, OFlags, Stat, fgetxattr, statat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use spec_core::limits::{LAYERS_MAX, PATH_BYTES_MAX};
use spec_core::linux::NamespaceKind;
use spec_core::mounts::{MS_PRIVATE, MS_REC};
use spec_core::state::{State, Status, write_json_string};
use sys::directory::Names;
use sys::fd::{exists_in, open, open_in};
use sys::namespace::{enter, unshare};
use sys::process::inherited_fd;
use sys::{OwnedFd, TakeOnce, copy};

use super::{Upper, image};
use crate::cli::Invocation;
use crate::container::{OVERLAY_FILE, read_own};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::output::Output;
use crate::path::Path;
use crate::proc::Proc;
use crate::rootfs::enter_topmost;
use crate::state::{self, Access, Format, Found};
use crate::text::{Pieces, utf8};

const READABLE: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// How deep directories may nest; each level holds a descriptor and some stack.
const DEPTH_MAX: u16 = 256;

type Layers = heapless::Vec<i32, LAYERS_MAX>;

static LAYERS: TakeOnce<Layers> = TakeOnce::new(Layers::new());

/// `diff`
pub fn diff(invocation: &Invocation) -> Result<()> {
    let is_json = Format::of(invocation)? == Format::Json;
    let mut state = State::new();
    let Found {
        container,
        proc,
        status,
        ..
    } = state::find(invocation, Access::Shared, &mut state)?;
    let file = match open_in(container.directory.as_fd(), OVERLAY_FILE, OFlags::RDONLY) {
        Err(Errno::NOENT) => return Err(Error::said(msg!("the container has no overlay"))),
        other => other.during(msg!("open overlay"))?,
    };
    let note = read_own(file.as_fd(), state::TEXT.take()).during(msg!("read overlay"))?;
    let mut fields = note.unwrap_or_default().split(|byte| *byte == 0);
    let Some(&[kind, attributes, ref upper @ ..]) = fields.next() else {
        return Err(Error::said(msg!("the container has no overlay")));
    };
    // The second is the directory that `delete` removes, and behind the last there is nothing.
    let layers = LAYERS.take();
    for path in fields.skip(1).filter(|path| !path.is_empty()) {
        // As many as there can be.
        let _ = layers.push(open_layer(&Path::new(path))?);
    }
    let prefix: &[u8] = if attributes == b'u' { b"user." } else { b"trusted." };
    let mut walk = Walk {
        out: Output::new(),
        is_json,
        is_empty: true,
        layers,
        opaque: Path::of(&[prefix, b"overlay.opaque"]),
        whiteout: Path::of(&[prefix, b"overlay.whiteout"]),
        path: [0; PATH_BYTES_MAX],
        len: 0,
    };
    let all = walk.layers.len();
    if kind == Upper::Directory as u8 {
        let path = Path::new(upper);
        let upper = path.open(CWD, READABLE).during_with(msg!("open #"), path.as_str())?;
        walk.directory(upper.as_fd(), all, false, 0)?;
    } else if kind == Upper::Tmpfs as u8 {
        if matches!(status, Status::Stopped | Status::Creating) {
            return Err(Error::said(msg!(
                "the changes were in a tmpfs, which ended with the container's process"
            )));
        }
        let upper = uncover(&state, &proc)?;
        walk.directory(upper.as_fd(), all, false, 0)?;
    }
    if is_json {
        walk.out.str(if walk.is_empty { "[]\n" } else { "\n]\n" });
    }
    walk.out.finish()
}

fn open_layer(path: &Path) -> Result<i32> {
    let directory = match path.open(CWD, OFlags::PATH | OFlags::DIRECTORY) {
        Err(Errno::NOTDIR) => return Ok(image::open(path.as_c_str(), path.as_str())?.0),
        other => other,
    };
    Ok(directory
        .during_with(msg!("overlay: open lower #"), path.as_str())?
        .into_raw_fd())
}

/// Opens the upper directory in the tmpfs that the root lies on: in a copy of the container's mount namespace, which ends
/// with this process, the root can be taken away.
fn uncover(state: &State<'_>, proc: &Proc) -> Result<OwnedFd> {
    let namespace = |name| {
        Path::of_process(state.pid, name)
            .open(proc.as_fd(), OFlags::RDONLY)
            .during(msg!("open namespace"))
    };
    let (user, mount) = (namespace("ns/user")?, namespace("ns/mnt")?);
    if !proc.is_alive(state.pid, state.start_time) {
        return Err(Error::said(msg!("container not running")));
    }
    // The user namespace that one is in cannot be joined, and need not. In another one's mounts, or a copy of them that is not
    // its own, nothing can be taken away.
    match enter(user.as_fd(), NamespaceKind::User as u32) {
        Err(Errno::INVAL) => {}
        other => other.during(msg!("join user namespace"))?,
    }
    enter(mount.as_fd(), NamespaceKind::Mount as u32)
        .and_then(|()| unshare(NamespaceKind::Mount as u32))
        .and_then(|()| sys::mount::mount(None, c"/", None, MS_PRIVATE | MS_REC, None))
        .and_then(|()| unmount(c"/", UnmountFlags::DETACH))
        .during(msg!("uncover the changes"))?;
    enter_topmost(proc)?;
    open(c"/upper", READABLE).during(msg!("uncover the changes"))
}

/// What the layers have at a path.
struct Below {
    exists: bool,
    /// How many layers, from the topmost on, make up the directory that is there.
    layers: usize,
}

struct Walk {
    out: Output,
    is_json: bool,
    is_empty: bool,
    layers: &'static Layers,
    /// The names of the overlay's marks.
    opaque: Path,
    whiteout: Path,
    /// Where the walk is, without a slash at its start.
    path: [u8; PATH_BYTES_MAX],
    len: usize,
}

impl Walk {
    /// Lists what is in this upper directory, which covers the directories of the first `layers` layers, or, where it is
    /// opaque, has taken their place.
    fn directory(&mut self, upper: BorrowedFd<'_>, layers: usize, is_opaque: bool, depth: u16) -> Result<()> {
        let mut names = Names::of(upper);
        while let Some(name) = names.next().map_err(|errno| self.failed(errno))? {
            let stat = match statat(upper, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(|errno| self.failed(errno))?,
            };
            let before = self.enter(name)?;
            if self.is_whiteout(upper, name, &stat) {
                self.tell("D");
            } else {
                let below = self.look_below(layers)?;
                self.tell(if below.exists { "C" } else { "A" });
                if is_directory(&stat)
                    && let Ok(directory) = open_in(upper, name, READABLE)
                {
                    if depth == DEPTH_MAX {
                        return Err(self.failed(Errno::NAMETOOLONG));
                    }
                    let is_opaque = is_opaque || has(directory.as_fd(), &self.opaque, b"y");
                    if is_opaque {
                        self.tell_hidden(directory.as_fd(), below.layers)?;
                    }
                    self.directory(directory.as_fd(), below.layers, is_opaque, depth + 1)?;
                    directory.close();
                }
            }
            self.len = before;
        }
        Ok(())
    }

    /// What the first `layers` layers have at the path, as the overlay shows it.
    fn look_below(&self, layers: usize) -> Result<Below> {
        let mut below = Below {
            exists: false,
            layers: 0,
        };
        let path = self.path();
        for (index, layer) in self.layers.iter().enumerate().take(layers) {
            let layer = inherited_fd(*layer);
            let stat = match statat(layer, path.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                other => other.map_err(|errno| self.failed(errno))?,
            };
            if self.is_whiteout(layer, path.as_c_str(), &stat) {
                break;
            }
            below.exists = true;
            if !is_directory(&stat) {
                break;
            }
            below.layers = index + 1;
            if below.layers < layers && has_at(layer, path.as_c_str(), READABLE, &self.opaque, b"y") {
                break;
            }
        }
        path.free();
        Ok(below)
    }

    /// Lists what an opaque directory hides of the first `layers` layers.
    fn tell_hidden(&mut self, upper: BorrowedFd<'_>, layers: usize) -> Result<()> {
        let here = self.path();
        for (index, layer) in self.layers.iter().enumerate().take(layers) {
            let Ok(directory) = here.open(inherited_fd(*layer), READABLE) else {
                continue;
            };
            let mut names = Names::of(directory.as_fd());
            while let Some(name) = names.next().map_err(|errno| self.failed(errno))? {
                let before = self.enter(name)?;
                let path = self.path();
                let mut above = self.layers.iter().take(index);
                let is_told = exists_in(upper, name)
                    || above.any(|layer| exists_in(inherited_fd(*layer), path.as_c_str()))
                    || statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                        .is_ok_and(|stat| self.is_whiteout(directory.as_fd(), name, &stat));
                path.free();
                if !is_told {
                    self.tell("D");
                }
                self.len = before;
            }
            directory.close();
        }
        here.free();
        Ok(())
    }

    /// Whether it stands for nothing: a device that cannot be, or an empty file with a mark.
    fn is_whiteout(&self, directory: BorrowedFd<'_>, path: &CStr, stat: &Stat) -> bool {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => stat.st_rdev == 0,
            FileType::RegularFile if stat.st_size == 0 => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                has_at(directory, path, flags, &self.whiteout, b"")
            }
            _ => false,
        }
    }

    /// Goes on to `name`; the way back is the length.
    fn enter(&mut self, name: &CStr) -> Result<usize> {
        let before = self.len;
        let slash: &[u8] = if before == 0 { b"" } else { b"/" };
        let name = name.to_bytes();
        let end = before + slash.len() + name.len();
        match self.path.get_mut(before..end) {
            Some(place) => {
                copy(place, slash);
                copy(place.get_mut(slash.len()..).unwrap_or_default(), name);
            }
            None => return Err(self.failed(Errno::NAMETOOLONG)),
        }
        self.len = end;
        Ok(before)
    }

    fn path(&self) -> Path {
        Path::new(self.path.get(..self.len).unwrap_or_default())
    }

    #[cold]
    #[inline(never)]
    fn failed(&self, errno: Errno) -> Error {
        Error::new_with(msg!("diff: read /#"), self.path().as_str(), errno)
    }

    fn tell(&mut self, letter: &str) {
        // The names are the container's: nothing in them may pass for a line of ours, or mean something to a terminal.
        let mut memory = self.path;
        let bytes = memory.get_mut(..self.len).unwrap_or_default();
        let is_text = core::str::from_utf8(bytes).is_ok();
        for byte in bytes.iter_mut() {
            if (!is_text && *byte > 0x7e) || (!self.is_json && matches!(*byte, ..b' ' | 0x7f)) {
                *byte = b'?';
            }
        }
        let path = utf8(bytes);
        if self.is_json {
            self.out.str(if self.is_empty { "[\n" } else { ",\n" });
            self.out.str("  {\"kind\":\"").str(letter).str("\",\"path\":");
            let path = Path::of(&[b"/", path.as_bytes()]);
            write_json_string(&mut self.out, path.as_str());
            path.free();
            self.out.str("}");
        } else {
            self.out.str(letter).str(" /").str(path).str("\n");
        }
        self.is_empty = false;
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Whether the file has the mark `name` with this value, or, where that is empty, with any.
fn has(file: BorrowedFd<'_>, name: &Path, value: &[u8]) -> bool {
    let mut memory = [0; 1];
    match fgetxattr(file, name.as_c_str(), &mut memory) {
        Ok(n) => value.is_empty() || memory.get(..n) == Some(value),
        Err(errno) => errno == Errno::RANGE && value.is_empty(),
    }
}

fn has_at(directory: BorrowedFd<'_>, path: &CStr, flags: OFlags, name: &Path, value: &[u8]) -> bool {
    let Ok(file) = open_in(directory, path, flags) else {
        return false;
    };
    let has = has(file.as_fd(), name, value);
    file.close();
    has
}
