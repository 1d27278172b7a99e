//! Overlay root file systems: what is asked for, by options or annotations, and what of it outlives the call.
//!
//! The overlay is mounted by the container process, see [`mount`], in its own mount namespace, and so are the images below
//! it and the tmpfs that holds the changes: they end with the container, however that ends. What has to be remembered is
//! where the changes are, for `diff`, and a directory for the overlay's own use, which `delete` removes. Both stand in the
//! state directory before anything is made.

use core::cell::Cell;
use core::ffi::CStr;

use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chmodat, chownat, statat, unlinkat};
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::limits::{LAYERS_MAX, PATH_BYTES_MAX};
use spec_core::linux::{IdMapping, NamespaceKind};
use spec_core::spec::{List, OVERLAY_ANNOTATIONS};
use sys::TakeOnce;
use sys::directory::Names;
use sys::fd::{create_in, open_in, read};

use crate::cli::{Invocation, Opt, as_text};
use crate::container::{self, Container, Document, OVERLAY_FILE, in_user_namespace, write_all};
use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::{Path, without_slashes};
use crate::report;
use crate::text::{Digits, Sink, parts, utf8};

pub mod diff;
mod image;
pub mod mount;

/// Where the changes are, as the first letter in [`OVERLAY_FILE`] says it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Upper {
    /// In a directory of the user's.
    Directory = b'd' as isize,
    /// In a tmpfs, which is mounted below the root.
    Tmpfs = b't' as isize,
    /// Nowhere: the kernel has no overlay, and the root is read-only.
    Nowhere = b'r' as isize,
}

/// A directory, or an image, that lies below.
struct Layer {
    /// As it was given: absolute, or relative to the bundle.
    path: &'static str,
    /// What it is, once it is open; else -1.
    fd: Cell<i32>,
    kind: Cell<Kind>,
}

/// What is known of a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is a directory.
    Directory,
    /// It is an image, whose mount is nowhere yet.
    Mount,
    /// It is an image, whose device is not mounted yet.
    Device,
}

type Layers = Vec<Layer, LAYERS_MAX>;

static LAYERS: TakeOnce<Layers> = TakeOnce::new(Vec::new());

/// What is asked for.
pub struct Overlay {
    bundle: &'static CStr,
    /// Topmost first.
    layers: &'static Layers,
    /// Whether the layers are others than the bundle's root, which may then be missing.
    has_own_layers: bool,
    /// A directory, or nothing for a tmpfs.
    upper: &'static str,
    /// A directory, or nothing for one that is made beside the upper.
    work: &'static str,
    /// Of the tmpfs; empty for the kernel's own idea of it.
    size: &'static str,
    /// What can be written where the kernel has no overlay.
    writable: &'static str,
    /// Whether the overlay's marks are attributes that a user namespace may set.
    user_attributes: bool,
    /// The upper and the work directory, once they are open.
    opened: Cell<[i32; 2]>,
}

impl Overlay {
    /// Whether the result needs another place than the bundle's root, where there is none.
    pub fn has_own_layers(&self) -> bool {
        self.has_own_layers
    }

    fn upper_kind(&self) -> Upper {
        if self.upper.is_empty() {
            Upper::Tmpfs
        } else {
            Upper::Directory
        }
    }

    fn work_path(&self) -> Path {
        if self.work.is_empty() {
            let upper = utf8(without_slashes(self.upper.as_bytes()));
            return absolute(self.bundle, upper, ".work");
        }
        absolute(self.bundle, self.work, "")
    }
}

/// `path` from the bundle on, with `end` behind it.
fn absolute(bundle: &CStr, path: &str, end: &str) -> Path {
    let (bundle, slash): (&[u8], &[u8]) = if path.starts_with('/') {
        (b"", b"")
    } else {
        (bundle.to_bytes(), b"/")
    };
    Path::of(&[bundle, slash, path.as_bytes(), end.as_bytes()])
}

/// Reads what is asked for, and opens images. Nothing is made yet that has to be undone: an image is mounted nowhere, and
/// goes with its descriptor.
pub fn read_options(invocation: &Invocation, spec: &Spec<'static>, bundle: &'static CStr) -> Result<Option<Overlay>> {
    let mut settings = [""; OVERLAY_ANNOTATIONS.len()];
    let mut is_asked = false;
    for ((setting, name), option) in settings
        .iter_mut()
        .zip(OVERLAY_ANNOTATIONS.iter())
        .zip(Opt::Overlay as u8..)
    {
        let value = match invocation.value_at(option) {
            Some(word) => Some(as_text(word)?),
            None => spec.annotation(name).map(|text| text.as_str()),
        };
        is_asked |= value.is_some();
        *setting = value.unwrap_or_default();
    }
    let [switch, lower, upper, work, size, writable] = settings;
    if !is_asked || switch == "false" {
        return Ok(None);
    }
    if !spec.linux.has_new_namespace(NamespaceKind::Mount) {
        return Err(Error::said(msg!("overlay: the container needs a new mount namespace")));
    }
    if upper.is_empty() && !work.is_empty() {
        return Err(Error::said(msg!("overlay: a work directory without an upper one")));
    }
    if !upper.is_empty() && !size.is_empty() {
        return Err(Error::said(msg!(
            "overlay: a directory has no size: that is for a tmpfs"
        )));
    }
    if !size.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%') {
        return Err(Error::says(msg!("overlay: not a size: #"), size));
    }
    let layers = LAYERS.take();
    if invocation.value(Opt::OverlayLower).is_some() {
        for word in invocation.values(Opt::OverlayLower) {
            add_layers(layers, as_text(word)?)?;
        }
    } else {
        add_layers(layers, lower)?;
    }
    let has_own_layers = !layers.is_empty();
    if has_own_layers {
        for layer in &*layers {
            open_image(bundle, layer)?;
        }
    } else {
        add_layer(layers, spec.root.map_or("", |root| root.path.as_str()))?;
    }
    for path in [upper, work].into_iter().filter(|path| !path.is_empty()) {
        let path = absolute(bundle, path, "");
        let stat = statat(CWD, path.as_c_str(), AtFlags::empty());
        let errno = match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Directory) => continue,
            Ok(_) => Errno::NOTDIR,
            Err(errno) => errno,
        };
        return Err(Error::new_with(msg!("overlay: open #"), path.as_str(), errno));
    }
    let has_user_namespace = spec.linux.namespace(NamespaceKind::User).is_some();
    Ok(Some(Overlay {
        bundle,
        layers,
        has_own_layers,
        upper,
        work,
        size,
        writable,
        user_attributes: has_user_namespace || in_user_namespace(),
        opened: Cell::new([-1; 2]),
    }))
}

fn add_layers(layers: &mut Layers, paths: &'static str) -> Result<()> {
    parts(paths, b':')
        .filter(|path| !path.is_empty())
        .try_for_each(|path| add_layer(layers, path))
}

#[inline(never)]
fn add_layer(layers: &mut Layers, path: &'static str) -> Result<()> {
    let layer = Layer {
        path,
        fd: Cell::new(-1),
        kind: Cell::new(Kind::Directory),
    };
    layers.push(layer).map_err(|_| {
        Error::says(
            msg!("overlay: more than # lower layers (LAYERS_MAX)"),
            Digits::of(LAYERS_MAX as u64).as_str(),
        )
    })
}

fn open_image(bundle: &CStr, layer: &Layer) -> Result<()> {
    let path = absolute(bundle, layer.path, "");
    let stat = statat(CWD, path.as_c_str(), AtFlags::empty()).during_with(msg!("overlay: open lower #"), layer.path)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(());
    }
    let (fd, kind) = image::open(path.as_c_str(), layer.path)?;
    layer.fd.set(fd);
    layer.kind.set(kind);
    Ok(())
}

/// Notes in the state directory what is about to be used and made, and makes the work directory where the caller names none.
pub fn prepare(overlay: &Overlay, container: &Container, spec: &Spec<'static>, memory: &mut [u8]) -> Result<()> {
    let work = overlay.work_path();
    let is_made =
        overlay.upper_kind() == Upper::Directory && overlay.work.is_empty() && !container::has(CWD, work.as_c_str());
    let mut note = Document::new(memory);
    let attributes = if overlay.user_attributes { "u" } else { "t" };
    note.put(if overlay.upper.is_empty() { "t" } else { "d" });
    note.put(attributes);
    if !overlay.upper.is_empty() {
        note.put(absolute(overlay.bundle, overlay.upper, "").as_str());
    }
    note.put("\0");
    note.put(if is_made { work.as_str() } else { "" });
    note.put("\0");
    for layer in overlay.layers {
        note.put(absolute(overlay.bundle, layer.path, "").as_str());
        note.put("\0");
    }
    note.check_state()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = create_in(
        container.directory.as_fd(),
        OVERLAY_FILE,
        flags,
        Mode::RUSR | Mode::WUSR,
    )
    .and_then(|file| write_all(file.as_fd(), note.as_bytes()));
    file.during(msg!("write overlay"))?;
    if is_made {
        sys::directory::make(CWD, work.as_c_str(), Mode::RWXU)
            .during_with(msg!("overlay: make work directory #"), work.as_str())?;
        let root = |list: List<IdMapping>| spec.list(list).iter().find(|mapping| mapping.container_id == 0);
        if let (Some(uid), Some(gid)) = (root(spec.linux.uid_mappings), root(spec.linux.gid_mappings)) {
            let (uid, gid) = (Uid::from_raw(uid.host_id), Gid::from_raw(gid.host_id));
            // The root of the user namespace works in it. A plain user is that root already.
            let _ = chownat(CWD, work.as_c_str(), Some(uid), Some(gid), AtFlags::empty());
        }
    }
    Ok(())
}

/// The container process could not do what was asked for, and may do without: `letter` is what it did. Who asks where the
/// changes are is to know.
pub fn note_fallback(container: &Container, letter: u8) -> Result<()> {
    open_in(container.directory.as_fd(), OVERLAY_FILE, OFlags::WRONLY)
        .and_then(|file| write_all(file.as_fd(), &[letter]))
        .during(msg!("write overlay"))?;
    if letter == Upper::Tmpfs as u8 {
        report::warn(
            msg!(
                "overlay: the kernel refuses the upper directory: a tmpfs holds the changes, which end with the container"
            ),
            "",
        );
    } else {
        report::warn(
            msg!("overlay: the kernel has none to give (CONFIG_OVERLAY_FS): the root file system is read-only"),
            "",
        );
    }
    Ok(())
}

/// Removes what [`prepare`] made, and the note of it, where there is one.
pub fn remove_made(directory: BorrowedFd<'_>) -> core::result::Result<(), Errno> {
    let mut memory = [0; 2 * PATH_BYTES_MAX + 2];
    let file = match open_in(directory, OVERLAY_FILE, OFlags::RDONLY) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let note = read(file.as_fd(), &mut memory)?;
    if let Some(work) = note.split(|byte| *byte == 0).nth(1)
        && !work.is_empty()
    {
        remove_tree(CWD, Path::new(work).as_c_str(), 0)?;
    }
    unlinkat(directory, OVERLAY_FILE, AtFlags::empty())
}

/// How deep the kernel's own directories in a work directory may nest.
const DEPTH_MAX: u8 = 16;

fn remove_tree(directory: BorrowedFd<'_>, name: &CStr, depth: u8) -> core::result::Result<(), Errno> {
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) if depth < DEPTH_MAX => {}
        other => return other,
    }
    // The overlay makes directories that nobody may enter.
    let _ = chmodat(directory, name, Mode::RWXU, AtFlags::empty());
    let below = open_in(directory, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
    let mut names = Names::of(below.as_fd());
    while let Some(entry) = names.next()? {
        match unlinkat(&below, entry, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(below.as_fd(), entry, depth + 1)?,
            Err(errno) => return Err(errno),
        }
    }
    below.close();
    unlinkat(directory, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests;
