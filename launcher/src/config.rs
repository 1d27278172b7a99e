//! config.json in memory: read, parsed, and copied for later.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::OFlags;
use spec_core::Spec;
use spec_core::limits::{CONFIG_BYTES_MAX, PATH_BYTES_MAX, TEXT_BYTES_MAX};
use sys::fd::{open, open_in};
use sys::{OwnedFd, TakeOnce};

use crate::container::{CONFIG_FILE, Container, read_document, read_own};
use crate::error::{During, Error, Result, keep, keep_shown};
use crate::msg;
use crate::path::{Path, without_slashes};
use crate::text::{Digits, utf8};

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
    let file = open(path.as_c_str(), OFlags::RDONLY).during_with(msg!("open #"), path.as_str())?;
    parse(&file)
}

/// Reads the copy that create made. The bundle's own file may have changed since, which must have no effect.
pub fn load_copy(container: &Container) -> Result<Config> {
    let file = open_in(container.directory.as_fd(), CONFIG_FILE, OFlags::RDONLY)
        .during(msg!("open the copy of config.json"))?;
    parse(&file)
}

/// The same for who can do without.
pub fn try_load_copy(container: &Container) -> Option<Config> {
    let flags = OFlags::RDONLY;
    let file = open_in(container.directory.as_fd(), CONFIG_FILE, flags).ok()?;
    let document = read_own(file.as_fd(), DOCUMENT.take()).ok()??;
    try_parse(document).ok()
}

fn parse(file: &OwnedFd) -> Result<Config> {
    let document = read_own(file.as_fd(), DOCUMENT.take()).during(msg!("read config.json"))?;
    let document = document.ok_or_else(|| too_long("config.json"))?;
    try_parse(document).map_err(|error| Error::says(msg!("config.json:#"), keep_shown(&error)))
}

fn try_parse(document: &'static [u8]) -> core::result::Result<Config, spec_core::Error<'static>> {
    let spec = SPEC.take();
    spec_core::parse_config(document, TEXTS.take(), spec)?;
    Ok(Config { spec, document })
}

/// Reads the process object of `exec --process` in place of the configuration's own.
pub fn load_process(spec: &mut Spec<'static>, path: &CStr) -> Result<()> {
    let name = utf8(path.to_bytes());
    let file = open(path, OFlags::RDONLY).during_with(msg!("open #"), name)?;
    let document = read_document(file.as_fd(), PROCESS_DOCUMENT.take()).during_with(msg!("read #"), name)?;
    let document = document.ok_or_else(|| too_long(name))?;
    spec_core::parse_process(document, PROCESS_TEXTS.take(), spec)
        .map_err(|error| Error::said(keep(msg!("#:#"), &[name, keep_shown(&error)])))
}

fn too_long(name: &str) -> Error {
    let max = Digits::of(CONFIG_BYTES_MAX as u64);
    Error::said(keep(
        msg!("#: more than # bytes (CONFIG_BYTES_MAX)"),
        &[name, max.as_str()],
    ))
}

/// The configuration of a program that reads none.
pub fn new_spec() -> &'static mut Spec<'static> {
    SPEC.take()
}

/// Reads the resources object of `update --resources`.
pub fn parse_resources(file: BorrowedFd<'_>, spec: &mut Spec<'static>) -> Result<()> {
    let document = read_document(file, DOCUMENT.take()).during(msg!("read resources"))?;
    let document = document.ok_or_else(|| too_long("resources"))?;
    spec_core::parse_resources(document, TEXTS.take(), spec)
        .map_err(|error| Error::says(msg!("resources:#"), keep_shown(&error)))
}

/// `path`, absolute: one that is relative counts from the working directory.
pub fn absolute(path: &CStr) -> Result<Path> {
    if path.to_bytes().starts_with(b"/") {
        return Ok(Path::new(trim(path.to_bytes())));
    }
    let mut memory = [0; PATH_BYTES_MAX];
    let cwd = sys::file::current_directory(&mut memory)
        .during(msg!("find working directory"))?
        .to_bytes();
    let path = match path.to_bytes() {
        [b'.', b'/', rest @ ..] => rest,
        path => path,
    };
    let parts: &[&[u8]] = if path.is_empty() || path == b"." {
        &[cwd]
    } else {
        &[trim(cwd), b"/", trim(path)]
    };
    Ok(Path::of(parts))
}

/// The path without slashes at its end, unless it is all slash.
fn trim(path: &[u8]) -> &[u8] {
    match without_slashes(path) {
        b"" => path.get(..1).unwrap_or_default(),
        path => path,
    }
}

/// The absolute path of the root file system.
pub fn rootfs_path(spec: &Spec<'static>, bundle: &CStr) -> Path {
    let path = spec.root.map_or("", |root| root.path.as_str());
    if path.starts_with('/') {
        return Path::new(path.as_bytes());
    }
    Path::of(&[trim(bundle.to_bytes()), b"/", path.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn paths_count_from_the_working_directory() {
        let of = |path: &CStr| {
            absolute(path)
                .unwrap_or_else(|error| error.never())
                .as_str()
                .to_string()
        };
        let here = std::env::current_dir().expect("a directory");
        let here = here.to_str().expect("UTF-8");
        assert_eq!([of(c""), of(c".")], [here, here]);
        for path in [c"a/b", c"./a/b", c"a/b/"] {
            assert_eq!(of(path), format!("{here}/a/b"));
        }
        assert_eq!([of(c"..a"), of(c".a")], [format!("{here}/..a"), format!("{here}/.a")]);
        assert_eq!([of(c"/a/b//"), of(c"/"), of(c"//")], ["/a/b", "/", "/"]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn a_root_is_in_its_bundle() {
        let spec = crate::harness::spec("");
        assert_eq!(rootfs_path(spec, c"/bundle").as_str(), "/bundle/rootfs");
        assert_eq!(rootfs_path(spec, c"/").as_str(), "//rootfs");
    }
}
