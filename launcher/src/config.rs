//! config.json in memory: read, parsed, and copied for later.

use core::ffi::CStr;
use core::fmt::Write;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use spec_core::Spec;
use spec_core::limits::{CONFIG_BYTES_MAX, PATH_BYTES_MAX, TEXT_BYTES_MAX};
use sys::TakeOnce;

use crate::container::{CONFIG_FILE, Container, read_document, read_own};
use crate::error::{During, Error, Result};
use crate::path::Path;

static DOCUMENT: TakeOnce<[u8; CONFIG_BYTES_MAX]> = TakeOnce::new([0; CONFIG_BYTES_MAX]);
static TEXTS: TakeOnce<[u8; TEXT_BYTES_MAX]> = TakeOnce::new([0; TEXT_BYTES_MAX]);
static SPEC: TakeOnce<Spec<'static>> = TakeOnce::new(Spec::new());
static PROCESS_DOCUMENT: TakeOnce<[u8; CONFIG_BYTES_MAX]> = TakeOnce::new([0; CONFIG_BYTES_MAX]);
static PROCESS_TEXTS: TakeOnce<[u8; TEXT_BYTES_MAX]> = TakeOnce::new([0; TEXT_BYTES_MAX]);

/// A configuration and the bytes that it was read from.
pub struct Config {
    /// The configuration.
    pub spec: &'static mut Spec<'static>,
    /// The document.
    pub document: &'static [u8],
}

/// Reads and checks the config.json of the bundle. A program reads one.
pub fn load(bundle: &CStr) -> Result<Config> {
    let path = Path::of(&[bundle.to_bytes(), b"/config.json"]);
    let file = openat(CWD, path.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .during_with(format_args!("open {}", path.as_str()))?;
    parse(&file)
}

/// Reads the copy that create made. The bundle's own file may have changed since, which must have no effect.
pub fn load_copy(container: &Container) -> Result<Config> {
    let file = openat(
        &container.directory,
        CONFIG_FILE,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .during("open the copy of config.json")?;
    parse(&file)
}

/// The same for who can do without.
pub fn try_load_copy(container: &Container) -> Option<Config> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = openat(&container.directory, CONFIG_FILE, flags, Mode::empty()).ok()?;
    let document = read_own(file.as_fd(), DOCUMENT.take()).ok()??;
    try_parse(document).ok()
}

fn parse(file: &OwnedFd) -> Result<Config> {
    let document = read_own(file.as_fd(), DOCUMENT.take()).during("read config.json")?;
    let document = document.ok_or_else(|| {
        Error::says(format_args!(
            "config.json: more than {CONFIG_BYTES_MAX} bytes (CONFIG_BYTES_MAX)"
        ))
    })?;
    try_parse(document).map_err(|error| Error::says(format_args!("config.json:{error}")))
}

fn try_parse(document: &'static [u8]) -> core::result::Result<Config, spec_core::Error<'static>> {
    let spec = SPEC.take();
    spec_core::parse_config(document, TEXTS.take(), spec)?;
    Ok(Config { spec, document })
}

/// Reads the process object of `exec --process` in place of the configuration's own.
pub fn load_process(spec: &mut Spec<'static>, path: &CStr) -> Result<()> {
    let name = path.to_str().unwrap_or("?");
    let file =
        openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).during_with(format_args!("open {name}"))?;
    let document = read_document(file.as_fd(), PROCESS_DOCUMENT.take()).during_with(format_args!("read {name}"))?;
    let document = document.ok_or_else(|| {
        Error::says(format_args!(
            "{name}: more than {CONFIG_BYTES_MAX} bytes (CONFIG_BYTES_MAX)"
        ))
    })?;
    spec_core::parse_process(document, PROCESS_TEXTS.take(), spec)
        .map_err(|error| Error::says(format_args!("{name}:{error}")))
}

/// The configuration of a program that reads none.
pub fn new_spec() -> &'static mut Spec<'static> {
    SPEC.take()
}

/// Reads the resources object of `update --resources`.
pub fn parse_resources(file: BorrowedFd<'_>, spec: &mut Spec<'static>) -> Result<()> {
    let document = read_document(file, DOCUMENT.take()).during("read resources")?;
    let document = document.ok_or_else(|| {
        Error::says(format_args!(
            "resources: more than {CONFIG_BYTES_MAX} bytes (CONFIG_BYTES_MAX)"
        ))
    })?;
    spec_core::parse_resources(document, TEXTS.take(), spec)
        .map_err(|error| Error::says(format_args!("resources:{error}")))
}

/// `path`, absolute: one that is relative counts from the working directory.
pub fn absolute(path: &CStr) -> Result<Path> {
    if path.to_bytes().starts_with(b"/") {
        return Ok(Path::of(&[trim(path.to_bytes())]));
    }
    let mut memory = [0; PATH_BYTES_MAX];
    let cwd = crate::rootfs::current_directory(&mut memory)
        .during("find working directory")?
        .to_bytes();
    let path = path.to_bytes().strip_prefix(b"./").unwrap_or(path.to_bytes());
    let parts: &[&[u8]] = if path.is_empty() || path == b"." {
        &[cwd]
    } else {
        &[trim(cwd), b"/", trim(path)]
    };
    Ok(Path::of(parts))
}

/// The path without slashes at its end, unless it is all slash.
fn trim(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(1, |last| last + 1);
    &path[..end.min(path.len())]
}

/// The absolute path of the root file system.
pub fn rootfs_path(spec: &Spec<'static>, bundle: &CStr) -> Path {
    let path = spec.root.map_or("", |root| root.path.as_str());
    if path.starts_with('/') {
        return Path::of(&[path.as_bytes()]);
    }
    Path::of(&[trim(bundle.to_bytes()), b"/", path.as_bytes()])
}

/// Formats into a document; too much is an error.
pub fn format_into(out: &mut dyn Write, what: impl FnOnce(&mut dyn Write) -> core::fmt::Result) -> Result<()> {
    what(out).map_err(|_| Error::said("the state is larger than roci keeps (STATE_BYTES_MAX)"))
}
