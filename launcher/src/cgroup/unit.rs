//! The scope that a container is, by its name, its place and its properties.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use spec_core::Spec;
use sys::fd::{create_in, open_in, read};
use sys::signal::SIGKILL;

use super::dbus::{Calls, unquoted};
use super::systemd::{SAID, is_users};
use super::{Hierarchies, Host, REMOVE_ATTEMPTS, found};
use crate::cli::{Invocation, Opt};
use crate::container::{self, Container, Document, SCOPE_FILE, write_all};
use crate::error::{During, Error, Result, keep};
use crate::msg;
use crate::path::{Path, split_last};
use crate::text::{Pieces, cut, has, parse_number, parts, split_once, utf8};
use crate::time::pause;

/// The scope of a container.
#[derive(Clone, Copy)]
pub struct Unit {
    /// The slice that it is in.
    pub(super) slice: &'static str,
    /// `PREFIX-ID.scope`.
    pub name: &'static str,
}

/// Bytes of the longest path of a unit's cgroup: those of Kubernetes have 250.
const PATH_BYTES: usize = 1024;

/// Whether `path` is of the form `SLICE:PREFIX:NAME`.
fn is_unit(path: &str) -> bool {
    !path.starts_with('/') && path.bytes().filter(|byte| *byte == b':').count() == 2
}

impl Unit {
    /// The unit that create is asked for, if any.
    ///
    /// # Errors
    /// Where the path is of the other kind.
    #[inline(never)]
    pub fn wanted(invocation: &Invocation, spec: &Spec<'static>, id: &'static CStr) -> Result<Option<Self>> {
        let path = spec.linux.cgroups_path.map_or("", |path| path.as_str());
        let by_manager = invocation.text(Opt::CgroupManager)? == Some("systemd");
        if !invocation.has(Opt::SystemdCgroup) && !by_manager {
            return if is_unit(path) {
                Err(Error::says(
                    msg!("linux.cgroupsPath: # is a unit of systemd: --systemd-cgroup is missing"),
                    path,
                ))
            } else {
                Ok(None)
            };
        }
        if !path.is_empty() && !is_unit(path) {
            return Err(Error::says(
                msg!("linux.cgroupsPath: with --systemd-cgroup it is SLICE:PREFIX:NAME, not #"),
                path,
            ));
        }
        let mut rest = path;
        let (slice, prefix) = (cut(&mut rest, b':'), cut(&mut rest, b':'));
        let or = |text, default| if path.is_empty() { default } else { text };
        let (prefix, name) = (or(prefix, "roci"), or(rest, utf8(id.to_bytes())));
        let slice = match slice {
            "" if is_users() => "user.slice",
            "" => "system.slice",
            slice => slice,
        };
        let dash = if prefix.is_empty() { "" } else { "-" };
        let unit = Self {
            slice,
            name: keep("###.scope", &[prefix, dash, name]),
        };
        if has(slice, b'/') || !slice.ends_with(".slice") || has(unit.name, b'/') || name.is_empty() {
            return Err(Error::says(
                msg!("linux.cgroupsPath: no slice and name of systemd's: #"),
                path,
            ));
        }
        Ok(Some(unit))
    }

    /// The unit of a container whose cgroup is at `path`, if that is one of systemd's.
    pub fn of(container: &Container, path: &CStr) -> Option<Self> {
        let name = utf8(split_last(path.to_bytes()).1);
        if !name.ends_with(".scope") || !container::has(container.directory.as_fd(), SCOPE_FILE) {
            return None;
        }
        let name = keep("#", &[name]);
        Some(Self { slice: "", name })
    }

    /// The path of its cgroup below that of `manager`: `a-b.slice` is in `a.slice`.
    pub(super) fn path(&self, manager: &str) -> Path {
        let mut memory = [0; PATH_BYTES];
        let mut path = Document::new(&mut memory);
        path.str(manager.strip_suffix("/").unwrap_or(manager));
        let stem = self.slice.strip_suffix(".slice").unwrap_or_default();
        for (end, byte) in self.slice.bytes().enumerate() {
            // The slice without a name is the root.
            if stem != "-" && (byte == b'-' || end == stem.len()) {
                path.str("/")
                    .str(self.slice.get(..end).unwrap_or_default())
                    .str(".slice");
            }
        }
        path.str("/").str(self.name);
        Path::new(path.into_bytes())
    }

    /// The error of a call about it.
    #[cold]
    #[inline(never)]
    pub(super) fn refused(&self) -> Error {
        Error::said(keep(msg!("systemd: unit #: #"), &[self.name, SAID.get()]))
    }
}

/// Removes a container's cgroup from these hierarchies, unless it is systemd's there; the unit that it is then.
pub fn remove(host: &Host, container: &Container, path: &CStr, hierarchies: Hierarchies) -> Result<Option<Unit>> {
    let unit = Unit::of(container, path);
    let hierarchies = match unit {
        Some(_) => host.leave_to_systemd(path, hierarchies),
        None => hierarchies,
    };
    host.remove(path, hierarchies).map(|()| unit)
}

/// The path of the cgroup that a killed create may have left.
pub fn noted_path(container: &Container) -> Option<Path> {
    let mut memory = [0; PATH_BYTES];
    let file = found(open_in(container.directory.as_fd(), SCOPE_FILE, OFlags::RDONLY))?;
    let path = found(read(file.as_fd(), &mut memory))?;
    (path.len() > 1).then(|| Path::new(path))
}

impl Host {
    /// Ends what runs in the cgroup, and returns in which of the hierarchies it is not systemd's: what is, systemd removes
    /// when it is empty, and would not notice if somebody else did.
    pub fn leave_to_systemd(&self, path: &CStr, hierarchies: Hierarchies) -> Hierarchies {
        for attempt in 0..REMOVE_ATTEMPTS {
            let mut found = false;
            // Whom that leaves, systemd kills, or the removal tells of.
            let _ = self.for_each_process(path, &mut |pid| found |= sys::signal::send(pid, SIGKILL).is_ok());
            if !found {
                break;
            }
            pause(attempt.min(20));
        }
        let mut others = Hierarchies::NONE;
        for (place, (name, _)) in self.lines().enumerate() {
            if !self.is_systemds(name) && hierarchies.contains(place) {
                others = others.with(place);
            }
        }
        others
    }
}

/// Notes that the container has a unit, and where, before it has one.
pub fn note(container: &Container, path: &Path) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    create_in(container.directory.as_fd(), SCOPE_FILE, flags, Mode::RUSR | Mode::WUSR)
        .and_then(|file| write_all(file.as_fd(), path.as_bytes()))
        .during(msg!("write scope"))
}

/// The annotations that set properties of the unit, as runc has them.
const ANNOTATIONS: &str = "org.systemd.property.";

/// Appends a property with a value in the form of GVariant's text: `true`, `'text'`, `uint64 5`, `['a', 'b']`. `false` where
/// it is something else.
#[inline(never)]
fn annotated(calls: &mut Calls, name: &str, value: &str) -> bool {
    if let "true" | "false" = value {
        calls.property(name, b'b', (value == "true").into(), "");
        return true;
    }
    if let Some(text) = unquoted(value) {
        calls.property(name, b's', 0, text);
        return true;
    }
    if let Some(list) = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) {
        calls.property(name, b'S', 0, list);
        return parts(list, b',').all(|part| unquoted(part).is_some());
    }
    let (word, rest) = split_once(value, b' ');
    let (kind, digits) = match (word, rest) {
        ("uint64", Some(digits)) => (b't', digits),
        ("int64", Some(digits)) => (b'x', digits),
        ("uint32", Some(digits)) => (b'u', digits),
        ("int32", Some(digits)) => (b'i', digits),
        _ => (b'i', value),
    };
    let digits = digits.trim_ascii();
    let (is_negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits),
    };
    let Some(number) = parse_number(digits) else {
        return false;
    };
    let number = if is_negative { number.wrapping_neg() } else { number };
    calls.property(name, kind, number, "");
    true
}

/// Appends the properties that annotations ask for.
pub(super) fn annotate(calls: &mut Calls, spec: &Spec<'static>) -> Result<()> {
    for pair in spec.list(spec.annotations) {
        let (key, value) = (pair.key.as_str(), pair.value.as_str());
        if let Some(name) = key.strip_prefix(ANNOTATIONS)
            && !annotated(calls, name, value)
        {
            return Err(Error::said(keep(
                msg!("annotations: #: not understood: #"),
                &[key, value],
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::dbus::appended;
    use super::*;

    #[test]
    fn slices_are_in_slices() {
        let path = |slice, manager| {
            let unit = Unit {
                slice,
                name: "p-n.scope",
            };
            std::string::String::from(unit.path(manager).as_str())
        };
        assert_eq!(path("system.slice", ""), "/system.slice/p-n.scope");
        assert_eq!(path("a-b-c.slice", "/"), "/a.slice/a-b.slice/a-b-c.slice/p-n.scope");
        assert_eq!(path("-.slice", ""), "/p-n.scope");
        assert_eq!(path("user.slice", "/u/s"), "/u/s/user.slice/p-n.scope");
    }

    #[test]
    fn values_as_annotations_have_them() {
        for (value, kind, number, text) in [
            ("true", b'b', 1, ""),
            ("false", b'b', 0, ""),
            ("'a b'", b's', 0, "a b"),
            ("['a', \"b\"]", b'S', 0, "'a', \"b\""),
            ("uint64 5", b't', 5, ""),
            ("int64 -5", b'x', u64::MAX - 4, ""),
            ("uint32 7", b'u', 7, ""),
            ("int32 -1", b'i', u64::MAX, ""),
            ("7", b'i', 7, ""),
            ("-7", b'i', u64::MAX - 6, ""),
        ] {
            let found = appended(|calls| assert!(annotated(calls, "P", value), "{value}"));
            assert_eq!(
                found,
                appended(|calls| calls.property("P", kind, number, text)),
                "{value}"
            );
        }
        for value in [
            "", "x", "uint64", "uint64 x", "uint8 5", "['a', b]", "[1]", "'a", "--1", "- 1",
        ] {
            appended(|calls| assert!(!annotated(calls, "P", value), "{value}"));
        }
    }

    #[test]
    fn paths_that_are_units() {
        for (path, expected) in [
            ("a.slice:b:c", true),
            ("::", true),
            ("/a:b:c", false),
            ("a:b", false),
            ("a:b:c:d", false),
            ("", false),
        ] {
            assert_eq!(is_unit(path), expected, "{path}");
        }
    }
}
