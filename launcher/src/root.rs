//! Paths inside the container's root: the one module that resolves them.
//!
//! Everything below the root may be hostile: an image's symbolic links, and processes of other containers that share a
//! volume and swap links while we look. So a path is resolved once, as if the root were `/`, to a descriptor, and all that
//! follows is done to the descriptor. No absolute path system call is made on a container's path
//! (CVE-2019-19921, CVE-2021-30465, CVE-2024-45310, CVE-2025-54867 and their relatives).

use core::ffi::CStr;

use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, statat};
use rustix::io::Errno;
use spec_core::limits::PATH_BYTES_MAX;
use sys::OwnedFd;
use sys::fd::{create_in, open_in, open_resolved};
use sys::file::{leave_open, read_link};

use crate::path::{Path, components, split_last, without_slashes};

type Result<T> = core::result::Result<T, Errno>;

/// The root directory of a container.
pub struct Root {
    fd: OwnedFd,
}

/// Whether symbolic links on the way are followed (inside the root) or are an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// They are followed, and cannot lead out of the root.
    Follow,
    /// `ELOOP`. For file systems that must lie where they seem to lie (`/proc`, `/sys`, `/dev`).
    Refuse,
}

/// The mode of directories that a mount or a device needs and that are not there.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// How many links one path may go through: the kernel's own limit (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;

/// How deep a path may lead for the walker that stands in for `openat2`.
const DEPTH_MAX: usize = 128;

impl Root {
    /// Takes an `O_PATH` descriptor of a directory.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Lets go of the directory (see [`leave_open`]).
    pub fn leave_open(self) {
        leave_open(self.fd);
    }

    /// The directory itself.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens `path` as if the root were `/`. With `O_PATH` a final link is followed unless `O_NOFOLLOW` is given.
    pub fn open(&self, path: &CStr, flags: OFlags, links: Links) -> Result<OwnedFd> {
        let resolve = match links {
            Links::Follow => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            Links::Refuse => ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
        };
        loop {
            match open_resolved(self.as_fd(), path, flags, resolve) {
                // A rename somewhere on the host made the kernel unsure whether `..` was safe (openat2(2), EAGAIN).
                Err(Errno::AGAIN) => {}
                Err(errno) if sys::file::is_missing(errno) => return self.walk(path, flags, links),
                other => return other,
            }
        }
    }

    /// Opens the directory `path`, making what is missing of it.
    pub fn make_directories(&self, path: &CStr, links: Links) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags, links) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        // Usually just the last one is missing, as in a fresh /dev.
        let whole = path.to_bytes();
        let (above, name) = split_last(without_slashes(whole));
        if above.len() > 1
            && name != b".."
            && let Ok(parent) = self.open(Path::new(above).as_c_str(), flags, links)
        {
            let name = Path::new(name);
            let made = sys::directory::make(parent.as_fd(), name.as_c_str(), DIRECTORY_MODE)
                .and_then(|()| open_in(parent.as_fd(), name.as_c_str(), flags | OFlags::NOFOLLOW));
            leave_open(parent);
            return made;
        }
        // From the first missing component on, each is made in the directory that was just opened and opened without
        // following, so that a link that appears in between is an error and not a way out.
        let mut current = open_in(self.fd.as_fd(), c".", flags)?;
        let mut made = false;
        let mut below = components(whole);
        while let Some(component) = below.next() {
            if !made {
                // The path up to and with this component.
                let until = whole.get(..whole.len() - below.rest.len()).unwrap_or_default();
                match self.open(Path::new(until).as_c_str(), flags, links) {
                    Ok(next) => {
                        core::mem::replace(&mut current, next).close();
                        continue;
                    }
                    Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
            if component == b".." {
                return Err(Errno::NOENT);
            }
            let name = Path::new(component);
            sys::directory::make(current.as_fd(), name.as_c_str(), DIRECTORY_MODE)?;
            let next = open_in(current.as_fd(), name.as_c_str(), flags | OFlags::NOFOLLOW)?;
            core::mem::replace(&mut current, next).close();
            made = true;
        }
        Ok(current)
    }

    /// Opens `path` with `O_PATH`, making an empty file there, and the directories above it, where nothing is.
    pub fn make_file(&self, path: &CStr, links: Links) -> Result<OwnedFd> {
        match self.open(path, OFlags::PATH, links) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (parent, name) = self.make_parent(path, links)?;
        let target = make_target(parent.as_fd(), name.as_c_str());
        leave_open(parent);
        target
    }

    /// The directory that holds the last component of `path`, made where it is missing, and that component.
    pub fn make_parent(&self, path: &CStr, links: Links) -> Result<(OwnedFd, Path)> {
        let (above, name) = split_last(without_slashes(path.to_bytes()));
        if name.is_empty() || name == b"." || name == b".." {
            return Err(Errno::INVAL);
        }
        let parent = if above.len() <= 1 {
            open_in(self.fd.as_fd(), c".", OFlags::PATH | OFlags::DIRECTORY)?
        } else {
            self.make_directories(Path::new(above).as_c_str(), links)?
        };
        Ok((parent, Path::new(name)))
    }

    /// What `openat2` with `RESOLVE_IN_ROOT` does, for kernels before 5.6: one component at a time, links read and
    /// resolved by ourselves, `..` taken from a stack and never from the kernel.
    #[inline(never)]
    fn walk(&self, path: &CStr, flags: OFlags, links: Links) -> Result<OwnedFd> {
        // The directories on the way, the one that was reached last at the end.
        let mut way: Vec<OwnedFd, DEPTH_MAX> = Vec::new();
        let opened = self.walk_along(&mut way, path, flags, links);
        while let Some(directory) = way.pop() {
            directory.close();
        }
        opened
    }

    fn walk_along(
        &self,
        way: &mut Vec<OwnedFd, DEPTH_MAX>,
        path: &CStr,
        flags: OFlags,
        links: Links,
    ) -> Result<OwnedFd> {
        let mut rest = Path::new(path.to_bytes());
        let mut at = 0;
        let mut links_seen = 0;
        loop {
            let current = way.last().unwrap_or(&self.fd);
            let mut below = components(rest.as_bytes().get(at..).unwrap_or_default());
            let Some(component) = below.next() else {
                return open_in(current.as_fd(), c".", flags);
            };
            let last = without_slashes(below.rest).is_empty();
            at = rest.as_bytes().len() - below.rest.len();
            if component == b".." {
                if let Some(left) = way.pop() {
                    left.close();
                }
                continue;
            }
            let component = Path::new(component);
            let name = component.as_c_str();
            let kind = FileType::from_raw_mode(statat(current, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
            if kind == FileType::Symlink && !(last && flags.contains(OFlags::NOFOLLOW)) {
                links_seen += 1;
                if links == Links::Refuse || links_seen > LINKS_MAX {
                    return Err(Errno::LOOP);
                }
                let mut memory = [0; PATH_BYTES_MAX];
                let target = read_link(current.as_fd(), name, &mut memory)?;
                if target.starts_with(b"/") {
                    while let Some(left) = way.pop() {
                        left.close();
                    }
                }
                component.free();
                rest = Path::of(&[target, below.rest]);
                at = 0;
                continue;
            }
            if last {
                // The file may have become a link since; NOFOLLOW makes that an error (or, with O_PATH, the link).
                return open_in(current.as_fd(), name, flags | OFlags::NOFOLLOW);
            }
            let next = open_in(
                current.as_fd(),
                name,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW,
            )?;
            component.free();
            way.push(next).map_err(|next| {
                next.close();
                Errno::NAMETOOLONG
            })?;
        }
    }
}

/// An empty file in `directory` to mount on, made where there is nothing.
#[inline(never)]
pub fn make_target(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY;
    match create_in(directory, name, create, Mode::from_raw_mode(0o644)) {
        // A file that is open for writing keeps its file system from becoming read-only.
        Ok(file) => file.close(),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    open_in(directory, name, OFlags::PATH | OFlags::NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::symlinkat;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    fn root_with(links: &[(&CStr, &CStr)], name: &str) -> (Root, CString) {
        let directory = std::env::temp_dir().join(std::format!("roci-root-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("a/b")).unwrap();
        std::fs::write(directory.join("a/file"), "inside").unwrap();
        let path = CString::new(directory.as_os_str().as_bytes()).unwrap();
        let fd = sys::fd::open(path.as_c_str(), OFlags::PATH | OFlags::DIRECTORY).unwrap();
        for (target, link) in links {
            symlinkat(*target, &fd, *link).unwrap();
        }
        (Root::new(fd), path)
    }

    fn same(a: &OwnedFd, b: &OwnedFd) -> bool {
        let (a, b) = (rustix::fs::fstat(a).unwrap(), rustix::fs::fstat(b).unwrap());
        (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    }

    /// The walker and the kernel must agree on every path.
    #[test]
    fn the_walker_resolves_as_openat2_does() {
        let links = [
            (c"/a", c"absolute"),
            (c"../../../../a", c"climbing"),
            (c"a/b/../file", c"file"),
            (c"loop", c"loop"),
            (c"nowhere", c"dangling"),
            (c"/proc/self/root", c"magic"),
        ];
        let (root, path) = root_with(&links, "walk");
        let paths = [
            c"/",
            c"",
            c".",
            c"..",
            c"a",
            c"/a/",
            c"/a//b/./",
            c"absolute/b",
            c"climbing/file",
            c"file",
            c"../a/../../a/b",
            c"loop",
            c"dangling",
            c"magic",
            c"missing",
            c"a/file/x",
            c"a/missing/../b",
            c"absolute/../a",
        ];
        for path in paths {
            for links in [Links::Follow, Links::Refuse] {
                for flags in [
                    OFlags::PATH,
                    OFlags::PATH | OFlags::NOFOLLOW,
                    OFlags::PATH | OFlags::DIRECTORY,
                ] {
                    if path.is_empty() {
                        continue;
                    }
                    let by_kernel = root.open(path, flags, links);
                    let by_walk = root.walk(path, flags | OFlags::CLOEXEC, links);
                    match (&by_kernel, &by_walk) {
                        (Ok(a), Ok(b)) => assert!(same(a, b), "{path:?}"),
                        (Err(a), Err(b)) => assert_eq!(a, b, "{path:?}"),
                        _ => panic!("{path:?} {flags:?}: {by_kernel:?} {by_walk:?}"),
                    }
                }
            }
        }
        std::fs::remove_dir_all(path.to_str().unwrap()).unwrap();
    }

    #[test]
    fn directories_are_made_inside_and_never_through_a_dangling_link() {
        let (root, path) = root_with(&[(c"/tmp/roci-must-not-exist", c"out")], "make");
        assert!(root.make_directories(c"/x/y/z", Links::Follow).is_ok());
        assert!(std::path::Path::new(path.to_str().unwrap()).join("x/y/z").is_dir());
        assert!(root.make_directories(c"/out/below", Links::Follow).is_err());
        assert!(!std::path::Path::new("/tmp/roci-must-not-exist").exists());
        assert!(root.make_file(c"/x/new/file", Links::Follow).is_ok());
        assert!(
            std::path::Path::new(path.to_str().unwrap())
                .join("x/new/file")
                .is_file()
        );
        std::fs::remove_dir_all(path.to_str().unwrap()).unwrap();
    }

    /// MAXSYMLINKS of the kernel: path_resolution(7).
    #[test]
    fn as_many_links_are_followed_as_by_the_kernel() {
        let (root, path) = root_with(&[(c"a", c"l1")], "chain");
        for number in 2..=42 {
            let [target, link] = [number - 1, number].map(|number| Path::numbered("l", number));
            symlinkat(target.as_c_str(), &root.fd, link.as_c_str()).unwrap();
        }
        for (number, expected) in [(39, None), (40, None), (41, Some(Errno::LOOP)), (42, Some(Errno::LOOP))] {
            let link = Path::numbered("l", number);
            let by_kernel = root.open(link.as_c_str(), OFlags::PATH, Links::Follow);
            let by_walk = root.walk(link.as_c_str(), OFlags::PATH, Links::Follow);
            assert_eq!((by_kernel.err(), by_walk.err()), (expected, expected), "{number}");
        }
        std::fs::remove_dir_all(path.to_str().unwrap()).unwrap();
    }

    #[test]
    fn directories_are_made_behind_links_that_are_there() {
        let (root, path) = root_with(&[(c"/a", c"to-a"), (c"b", c"a/to-b")], "behind");
        let inside = |name: &str| std::path::Path::new(path.to_str().unwrap()).join(name);
        let made = root.make_directories(c"/to-a/to-b/p/q", Links::Follow).unwrap();
        assert!(same(
            &made,
            &root.open(c"a/b/p/q", OFlags::PATH, Links::Refuse).unwrap()
        ));
        assert!(root.make_directories(c"/to-a/r/s", Links::Refuse).is_err());
        assert!(!inside("a/r").exists());
        // Just the last one is missing; and what is above a directory that is not there is not there.
        assert!(root.make_directories(c"/a/last", Links::Follow).is_ok() && inside("a/last").is_dir());
        assert_eq!(
            root.make_directories(c"/a/none/..", Links::Follow).err(),
            Some(Errno::NOENT)
        );
        for nothing in [c"/", c".", c"/a/..", c"/a/."] {
            assert_eq!(
                root.make_parent(nothing, Links::Follow).err(),
                Some(Errno::INVAL),
                "{nothing:?}"
            );
        }
        std::fs::remove_dir_all(path.to_str().unwrap()).unwrap();
    }

    /// What somebody puts in the place of a file that is about to be made is neither followed nor emptied.
    #[test]
    fn a_file_is_made_only_where_nothing_is() {
        let outside = c"/tmp/roci-must-not-be-made";
        let (root, path) = root_with(&[(outside, c"out"), (c"a/file", c"in")], "target");
        for link in [c"out", c"in"] {
            let target = make_target(root.as_fd(), link).unwrap();
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&target).unwrap().st_mode);
            assert_eq!(kind, FileType::Symlink, "{link:?}");
        }
        assert!(!std::path::Path::new(outside.to_str().unwrap()).exists());
        let below = root.open(c"a", OFlags::PATH, Links::Refuse).unwrap();
        let target = make_target(below.as_fd(), c"file").unwrap();
        assert!(same(&target, &root.open(c"in", OFlags::PATH, Links::Follow).unwrap()));
        // A descriptor that stands for a place and reads nothing.
        assert_eq!(rustix::io::read(&target, &mut [0; 1]).err(), Some(Errno::BADF));
        let text = std::fs::read_to_string(std::path::Path::new(path.to_str().unwrap()).join("a/file"));
        assert_eq!(text.unwrap(), "inside");
        std::fs::remove_dir_all(path.to_str().unwrap()).unwrap();
    }
}
