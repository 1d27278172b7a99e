//! `tmpcopyup`: a tmpfs that begins with what the directory below it holds.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawMode, Timespec, Timestamps, Uid, chmodat, chownat, makedev, mkdirat,
    mknodat, sendfile, statat, symlinkat, utimensat,
};
use rustix::io::{Errno, Result};
use spec_core::limits::PATH_BYTES_MAX;
use sys::directory::Names;
use sys::fd::{create_in, open_in};
use sys::file::read_link;

use crate::path::Path;

/// How deep directories may nest; each level holds two descriptors and some stack.
const DEPTH_MAX: usize = 64;

/// Copies everything in `from` (open for reading) into `to`, and the directory's own mode and owner.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    copy_directory(from, to, 0)?;
    let stat = rustix::fs::fstat(from)?;
    let to = open_in(to, c".", OFlags::RDONLY | OFlags::DIRECTORY)?;
    rustix::fs::fchown(&to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    let result = rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode as RawMode & 0o7777));
    to.close();
    result
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> Result<()> {
    if depth == DEPTH_MAX {
        return Err(Errno::NAMETOOLONG);
    }
    let mut names = Names::of(from);
    while let Some(name) = names.next()? {
        copy_entry(from, to, name, depth)?;
    }
    Ok(())
}

fn copy_entry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode as RawMode & 0o7777);
    let kind = FileType::from_raw_mode(stat.st_mode);
    let open = OFlags::NOFOLLOW;
    match kind {
        FileType::Directory => {
            mkdirat(to, name, Mode::RWXU)?;
            let source = open_in(from, name, open | OFlags::RDONLY | OFlags::DIRECTORY)?;
            let copy = open_in(to, name, open | OFlags::RDONLY | OFlags::DIRECTORY)?;
            copy_directory(source.as_fd(), copy.as_fd(), depth + 1)?;
            source.close();
            copy.close();
        }
        FileType::RegularFile => {
            let source = open_in(from, name, open | OFlags::RDONLY)?;
            let copy = create_in(
                to,
                name,
                open | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
                Mode::RUSR | Mode::WUSR,
            )?;
            while sendfile(&copy, &source, None, 1 << 20)? > 0 {}
            source.close();
            copy.close();
        }
        FileType::Symlink => {
            let mut memory = [0; PATH_BYTES_MAX];
            let target = read_link(from, name, &mut memory)?;
            let target = Path::new(target);
            let made = symlinkat(target.as_c_str(), to, name);
            target.free();
            made?;
        }
        _ => mknodat(
            to,
            name,
            kind,
            mode,
            makedev(rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        )?,
    }
    chownat(
        to,
        name,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    if kind != FileType::Symlink {
        // After the owner, since changing that clears the set-id bits.
        chmodat(to, name, mode, AtFlags::empty())?;
    }
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    };
    let times = Timestamps {
        last_access: time(stat.st_atime as i64, stat.st_atime_nsec as u64),
        last_modification: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
    };
    utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
