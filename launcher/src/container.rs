//! The state directory of a container: `<root>/<id>` with `state.json`, `exec.fifo` and the copy of `config.json`.
//!
//! The directory's existence is the container's existence. A lock on the directory itself serialises commands on one id
//! and is released by the kernel when its holder dies, however it dies.

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, mkdirat, renameat, statat, unlinkat};
use rustix::io::Errno;
use spec_core::limits::{PATH_BYTES_MAX, STATE_BYTES_MAX};
use spec_core::state::{State, Status};
use sys::OwnedFd;
use sys::fd::{create_in, open, open_in, read};
use sys::file::leave_open;

use crate::cli::{Invocation, Opt, as_text};
use crate::error::{During, Error, Result, keep_shown};
use crate::msg;
use crate::path::{Path, components, split_last, without_slashes};
use crate::proc::Proc;
use crate::text::{Digits, Sink, utf8};
use crate::{net, overlay, undo};

/// The names in a state directory.
pub const STATE_FILE: &CStr = c"state.json";
/// Where the cgroup is, which systemd has made.
pub const SCOPE_FILE: &CStr = c"scope";
/// The gate between create and start.
pub const FIFO_FILE: &CStr = c"exec.fifo";
/// config.json as create read it.
pub const CONFIG_FILE: &CStr = c"config.json";
/// What the root file system is an overlay of, where it is one.
pub const OVERLAY_FILE: &CStr = c"overlay";
const STATE_FILE_NEW: &CStr = c"state.json.new";

/// The directory that holds the state directories.
pub struct StateRoot {
    fd: OwnedFd,
}

impl StateRoot {
    /// Opens the state root, making it where `make` says so; `None` where it does not exist.
    ///
    /// It is `--root`, or `$XDG_RUNTIME_DIR/roci` for who is not root, or `/run/roci`; and where `/run` is missing or
    /// read-only (a router before its mounts), `/tmp/roci-<uid>`, which must be ours alone.
    pub fn open(invocation: &Invocation, make: bool) -> Result<Option<Self>> {
        if let Some(path) = invocation.value(Opt::Root) {
            return Self::open_at(path, make).during_with(msg!("open state root #"), as_text(path)?);
        }
        let uid = rustix::process::geteuid();
        let runtime_directory = invocation
            .arguments()
            .variable("XDG_RUNTIME_DIR")
            .filter(|directory| !directory.is_empty());
        if let Some(directory) = runtime_directory
            && (!uid.is_root() || in_user_namespace())
        {
            let path = Path::of(&[directory.to_bytes(), b"/roci"]);
            return Self::open_at(path.as_c_str(), make).during_with(msg!("open state root #"), path.as_str());
        }
        match Self::open_at(c"/run/roci", make) {
            Ok(Some(root)) => return Ok(Some(root)),
            Ok(None) | Err(Errno::NOENT | Errno::ROFS | Errno::ACCESS | Errno::NOTDIR) => {}
            Err(errno) => return Err(Error::new(msg!("open state root /run/roci"), errno)),
        }
        let path = Path::numbered("/tmp/roci-", uid.as_raw());
        let Some(root) = Self::open_at(path.as_c_str(), make)
            .during_with(msg!("open state root # (/run is not usable)"), path.as_str())?
        else {
            return Ok(None);
        };
        // Anyone can make a directory in /tmp before us.
        let stat = fstat(&root.fd).during(msg!("stat state root"))?;
        if stat.st_uid != uid.as_raw() || stat.st_mode & 0o077 != 0 {
            return Err(Error::says(
                msg!("state root # belongs to somebody else"),
                path.as_str(),
            ));
        }
        Ok(Some(root))
    }

    fn open_at(path: &CStr, make: bool) -> core::result::Result<Option<Self>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        loop {
            match open(path, flags) {
                Ok(fd) => return Ok(Some(Self { fd })),
                Err(Errno::NOENT) if make => match sys::directory::make(CWD, path, Mode::RWXU) {
                    Ok(()) => {}
                    Err(Errno::NOENT) => make_parents(path)?,
                    Err(errno) => return Err(errno),
                },
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The directory.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Makes the directories above `path`, which the host's administrator named.
fn make_parents(path: &CStr) -> core::result::Result<(), Errno> {
    // A slash at the end does not make the last one of them.
    let bytes = without_slashes(path.to_bytes());
    let mut below = components(bytes);
    while below.next().is_some() && !below.rest.is_empty() {
        let until = bytes.get(..bytes.len() - below.rest.len()).unwrap_or_default();
        match sys::directory::make(CWD, Path::new(until).as_c_str(), Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::ROFS | Errno::ISDIR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether root here is not the host's root, as for podman without root.
pub fn in_user_namespace() -> bool {
    let mut memory = [0; 64];
    let Ok(file) = open(c"/proc/self/uid_map", OFlags::RDONLY) else {
        return false;
    };
    // The first namespace maps all ids to themselves in one line, and only from 0 on there are that many.
    let map = read(file.as_fd(), &mut memory).unwrap_or_default();
    !map.is_empty() && !map.ends_with(b" 4294967295\n")
}

/// A container's state directory, open.
pub struct Container {
    /// The directory.
    pub directory: OwnedFd,
    /// The id.
    pub id: &'static CStr,
}

impl Container {
    /// The id in the words of the command line, checked.
    pub fn id_of(invocation: &Invocation) -> Result<(&'static CStr, &'static str)> {
        let word = invocation.positional(0).unwrap_or_default();
        let text = as_text(word)?;
        spec_core::state::check_id(text).map_err(|error| Error::said(keep_shown(&error)))?;
        Ok((word, text))
    }

    /// Opens the directory of the container `id`, where there is one.
    pub fn look_for(root: &StateRoot, id: &'static CStr) -> Result<Option<Self>> {
        match open_in(root.as_fd(), id, DIRECTORY_FLAGS) {
            Ok(directory) => Ok(Some(Self { directory, id })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::new(msg!("open state directory"), errno)),
        }
    }

    /// The same, waiting for other commands on this container to end.
    pub fn look_for_locked(root: &StateRoot, id: &'static CStr) -> Result<Option<Self>> {
        let Some(container) = Self::look_for(root, id)? else {
            return Ok(None);
        };
        Ok(container.lock()?.then_some(container))
    }

    /// Waits for other commands on this container to end; `false` where one of them has deleted it.
    pub fn lock(&self) -> Result<bool> {
        flock(&self.directory, FlockOperation::LockExclusive).during(msg!("lock container"))?;
        is_there(self.directory.as_fd())
    }

    /// Whether it has the copy of config.json: from when create has it locked, until it is deleted.
    pub fn has_config(&self) -> bool {
        has(self.directory.as_fd(), CONFIG_FILE)
    }

    /// Whether another command holds the lock. Not to be asked by who holds it, and would lose it.
    pub fn is_busy(&self) -> bool {
        match flock(&self.directory, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let _ = flock(&self.directory, FlockOperation::Unlock);
                false
            }
            Err(_) => true,
        }
    }

    /// Opens state.json; `None` where create has not come that far.
    pub fn open_state(&self) -> Result<Option<OwnedFd>> {
        match open_in(self.directory.as_fd(), STATE_FILE, OFlags::RDONLY) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::new(msg!("open state.json"), errno)),
        }
    }

    /// Replaces state.json, so that a reader sees the old or the new one, whole.
    pub fn write_state(&self, text: &[u8]) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let file = create_in(self.directory.as_fd(), STATE_FILE_NEW, flags, Mode::RUSR | Mode::WUSR)
            .during(msg!("create state.json"))?;
        write_all(file.as_fd(), text).during(msg!("write state.json"))?;
        renameat(&self.directory, STATE_FILE_NEW, &self.directory, STATE_FILE).during(msg!("rename state.json"))
    }

    /// Whether start has not yet let the program run.
    pub fn has_fifo(&self) -> bool {
        has(self.directory.as_fd(), FIFO_FILE)
    }

    /// What the container is doing, from facts and not from what was last written.
    pub fn status(&self, state: &State<'_>, proc: &Proc) -> Status {
        match (proc.is_alive(state.pid, state.start_time), self.has_fifo()) {
            (false, _) => Status::Stopped,
            (true, true) => Status::Created,
            (true, false) => Status::Running,
        }
    }

    /// Removes the files and the directory.
    pub fn remove(self, root: &StateRoot) -> Result<()> {
        remove_open(root.as_fd(), self.directory.as_fd(), self.id).during(msg!("remove state directory"))?;
        leave_open(self.directory);
        Ok(())
    }
}

/// Reads state.json into `memory`; `false` where it is damaged and that does not matter.
pub fn read_state<'a>(
    file: &OwnedFd,
    memory: &'a mut StateMemory,
    state: &mut State<'a>,
    damage: Damage,
) -> Result<bool> {
    let json = read_own(file.as_fd(), &mut memory.document).during(msg!("read state.json"))?;
    let Some(json) = json else {
        return Err(Error::says(
            msg!("state.json: more than # bytes (STATE_BYTES_MAX)"),
            Digits::of(STATE_BYTES_MAX as u64).as_str(),
        ));
    };
    match spec_core::state::parse_state(json, &mut memory.texts, state) {
        Ok(()) => Ok(true),
        Err(_) if damage == Damage::IsNoState => {
            *state = State::new();
            Ok(false)
        }
        Err(error) => Err(Error::says(msg!("state.json:#"), keep_shown(&error))),
    }
}

/// Removes the state directory `id` with its files.
pub fn remove(root: BorrowedFd<'_>, id: &CStr) -> core::result::Result<(), Errno> {
    let directory = open_in(root, id, DIRECTORY_FLAGS)?;
    remove_open(root, directory.as_fd(), id)
}

fn remove_open(root: BorrowedFd<'_>, directory: BorrowedFd<'_>, id: &CStr) -> core::result::Result<(), Errno> {
    let gone = |result| match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    };
    // What is always there, and where that was not all, what create or a killed roci may have left, and what belongs to an
    // overlay.
    for files in [
        &[CONFIG_FILE, STATE_FILE][..],
        &[FIFO_FILE, STATE_FILE_NEW, SCOPE_FILE],
        &[],
    ] {
        for file in files {
            gone(unlinkat(directory, *file, AtFlags::empty()))?;
        }
        if files.is_empty() {
            overlay::remove_made(directory)?;
        }
        match gone(unlinkat(root, id, AtFlags::REMOVEDIR)) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
    }
    // What is left says that there is a network to be undone. Should that fail, it can be tried again.
    net::release(root, directory, id)?;
    gone(unlinkat(root, id, AtFlags::REMOVEDIR))
}

/// Clients look for these words.
pub const MISSING: &str = "container does not exist";

/// What a state.json that cannot be read is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// An error.
    IsError,
    /// As good as none: it must not keep a container for ever, nor hide the others.
    IsNoState,
}

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);

/// Makes the state directory `id`, locks it, and keeps `document`, config.json, there for exec, start and delete.
///
/// # Errors
/// `container with given ID already exists`.
pub fn make(root: &StateRoot, id: &'static CStr, document: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    loop {
        match mkdirat(root.as_fd(), id, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Error::said(msg!("container with given ID already exists"))),
            Err(errno) => return Err(Error::new(msg!("create state directory"), errno)),
        }
        undo::note_container(root.as_fd(), id);
        match open_in(root.as_fd(), id, DIRECTORY_FLAGS) {
            Ok(directory) => {
                // Nobody else can hold it for long: a reader that looks whether we are still at work asks without waiting.
                flock(&directory, FlockOperation::LockExclusive).during(msg!("lock container"))?;
                match create_in(directory.as_fd(), CONFIG_FILE, flags, Mode::RUSR | Mode::WUSR) {
                    Ok(file) => {
                        write_all(file.as_fd(), document).during(msg!("write the copy of config.json"))?;
                        return Ok(directory);
                    }
                    Err(Errno::NOENT) => {}
                    Err(errno) => return Err(Error::new(msg!("create the copy of config.json"), errno)),
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::new(msg!("open state directory"), errno)),
        }
        // A delete came before the lock. What has the name now, if anything, is somebody else's.
        undo::forget_all();
    }
}

/// Room for one state.json.
pub struct StateMemory {
    document: [u8; STATE_BYTES_MAX],
    texts: [u8; 2 * STATE_BYTES_MAX],
}

impl StateMemory {
    /// Room, all zero.
    pub const fn new() -> Self {
        Self {
            document: [0; STATE_BYTES_MAX],
            texts: [0; 2 * STATE_BYTES_MAX],
        }
    }
}

impl Default for StateMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether `name` is in `directory`. What only cannot be looked at must not pass for missing.
#[inline(never)]
pub fn has(directory: BorrowedFd<'_>, name: &CStr) -> bool {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => true,
        Err(Errno::NOENT) => false,
        Err(errno) => Error::new_with(msg!("look at #"), utf8(name.to_bytes()), errno).never(),
    }
}

/// Whether nobody has removed the directory.
#[inline(never)]
fn is_there(directory: BorrowedFd<'_>) -> Result<bool> {
    let stat = fstat(directory).during(msg!("look at state directory"))?;
    Ok(stat.st_nlink > 0)
}

/// Reads all of `file` into `memory`; `None` where it does not fit.
pub fn read_document<'a>(file: BorrowedFd<'_>, memory: &'a mut [u8]) -> core::result::Result<Option<&'a [u8]>, Errno> {
    let mut len = 0;
    loop {
        // Nothing is read either where there is no more room.
        let n = rustix::io::read(file, memory.get_mut(len..).unwrap_or_default())?;
        len += n;
        if n == 0 {
            return Ok(read_part(memory, len));
        }
    }
}

/// The same for a file in a state directory or a bundle, which is a regular one: it ends where a read gives less than was
/// asked for.
pub fn read_own<'a>(file: BorrowedFd<'_>, memory: &'a mut [u8]) -> core::result::Result<Option<&'a [u8]>, Errno> {
    let n = rustix::io::read(file, &mut *memory)?;
    Ok(read_part(memory, n))
}

/// The `len` bytes that were read, unless there may be more.
fn read_part(memory: &[u8], len: usize) -> Option<&[u8]> {
    memory.get(..len).filter(|part| part.len() < memory.len())
}

/// Writes all of `bytes`.
pub fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8]) -> core::result::Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Text that is being put together in fixed memory; too much is an error and not a cut.
pub struct Document<'a> {
    memory: &'a mut [u8],
    /// More than there is room for where the text is too long.
    len: usize,
}

impl<'a> Document<'a> {
    /// Writes into `memory`.
    pub fn new(memory: &'a mut [u8]) -> Self {
        Self { memory, len: 0 }
    }

    /// Whether there was room for everything.
    pub fn is_whole(&self) -> bool {
        self.len <= self.memory.len()
    }

    /// Whether there was room for the state that was written.
    #[inline(never)]
    pub fn check_state(&self) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        Err(Error::said(msg!(
            "the state is larger than roci keeps (STATE_BYTES_MAX)"
        )))
    }

    /// What was written, for as long as the memory lives; nothing where there was too little room.
    pub fn into_bytes(self) -> &'a [u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }

    /// What was written; nothing where there was too little room.
    #[inline(never)]
    pub fn as_bytes(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl Sink for Document<'_> {
    fn put(&mut self, text: &str) {
        let end = self.len.saturating_add(text.len());
        if let Some(place) = self.memory.get_mut(self.len..end) {
            sys::copy(place, text.as_bytes());
        }
        self.len = end;
    }
}

/// Makes `path` (a file of the caller's) hold `text`, by writing beside it and renaming.
pub fn write_beside(path: &CStr, text: &[u8]) -> core::result::Result<(), Errno> {
    let (directory, name) = split_last(path.to_bytes());
    let new = Path::of(&[directory, b".", name]);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = create_in(CWD, new.as_c_str(), flags, Mode::from_raw_mode(0o644))?;
    let written = write_all(file.as_fd(), text).and_then(|()| renameat(CWD, new.as_c_str(), CWD, path));
    if written.is_err() {
        let _ = unlinkat(CWD, new.as_c_str(), AtFlags::empty());
    }
    written
}

/// Decimal, without a newline, complete when it appears: conmon and containerd read it as soon as create has ended.
pub fn write_pid_file(path: &'static CStr, pid: i32) -> Result<()> {
    write_beside(path, Digits::signed(pid.into()).as_bytes())
        .during_with(msg!("write pid file #"), utf8(path.to_bytes()))?;
    undo::note_pid_file(path);
    Ok(())
}

static_assertions::const_assert!(STATE_BYTES_MAX > 4 * PATH_BYTES_MAX);

#[cfg(test)]
mod tests;
