//! state.json: what roci remembers of a container, and what it tells others of it.

use core::fmt;

use heapless::Vec;

use crate::error::Error;
use crate::json::read_document;
use crate::limits::{ID_BYTES_MAX, STATE_ANNOTATIONS_MAX};
use crate::linux::Pair;
use crate::message::text;
use crate::mounts::MountPlan;
use crate::schema::{Given, Object, Target, Wrong, members, push};
use crate::sink::{Show, Sink, put_number};
use crate::text::Text;

/// The contents of state.json. Every string borrows from the arena that [`parse_state`] was given.
pub struct State<'a> {
    /// The version of the specification that the container's config.json names.
    pub oci_version: Text<'a>,
    /// The container's id.
    pub id: Text<'a>,
    /// The container's first process in the pid namespace of the runtime; 0 where there is none.
    pub pid: i32,
    /// When that process started, in clock ticks after boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// The absolute path of the bundle.
    pub bundle: Text<'a>,
    /// The absolute path of the root file system.
    pub rootfs: Text<'a>,
    /// When the container was created (RFC 3339, nanoseconds, UTC).
    pub created: Text<'a>,
    /// The name of the user who created the container.
    pub owner: Text<'a>,
    /// The container's cgroup, relative to the mount point of each hierarchy; `None` where it has none of its own.
    pub cgroup: Option<Text<'a>>,
    /// The annotations of config.json.
    pub annotations: Vec<Pair<'a>, STATE_ANNOTATIONS_MAX>,
}

impl State<'_> {
    /// An empty state.
    ///
    /// It has twenty kilobytes, and inlined, each place that makes one would set each field.
    #[inline(never)]
    pub const fn new() -> Self {
        Self {
            oci_version: Text::EMPTY,
            id: Text::EMPTY,
            pid: 0,
            start_time: 0,
            bundle: Text::EMPTY,
            rootfs: Text::EMPTY,
            created: Text::EMPTY,
            owner: Text::EMPTY,
            cgroup: None,
            annotations: Vec::new(),
        }
    }

    /// The state as the functions that write it take it.
    pub fn view(&self) -> StateView<'_> {
        StateView {
            oci_version: self.oci_version.as_str(),
            id: self.id.as_str(),
            pid: self.pid,
            start_time: self.start_time,
            bundle: self.bundle.as_str(),
            rootfs: self.rootfs.as_str(),
            created: self.created.as_str(),
            owner: self.owner.as_str(),
            cgroup: self.cgroup.map(Text::as_str),
            annotations: &self.annotations,
        }
    }
}

impl Default for State<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A state that is to be written; the fields are those of [`State`].
#[derive(Clone, Copy)]
pub struct StateView<'v> {
    /// See [`State::oci_version`].
    pub oci_version: &'v str,
    /// See [`State::id`].
    pub id: &'v str,
    /// See [`State::pid`].
    pub pid: i32,
    /// See [`State::start_time`].
    pub start_time: u64,
    /// See [`State::bundle`].
    pub bundle: &'v str,
    /// See [`State::rootfs`].
    pub rootfs: &'v str,
    /// See [`State::created`].
    pub created: &'v str,
    /// See [`State::owner`].
    pub owner: &'v str,
    /// See [`State::cgroup`].
    pub cgroup: Option<&'v str>,
    /// See [`State::annotations`].
    pub annotations: &'v [Pair<'v>],
}

/// Where a container is in its life. The specification has no word for paused; every runtime and client says `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Being made.
    Creating,
    /// Made and waiting for `start`.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Its process is gone.
    Stopped,
}

impl Status {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// Reads state.json. `state` has to be fresh; after an error its content is of no use. `arena` takes the strings: twice
/// the length of `json` is always enough.
pub fn parse_state<'a>(json: &'a [u8], arena: &'a mut [u8], state: &mut State<'a>) -> Result<(), Error<'a>> {
    read_document(json, arena, Object::State, state)
}

members! {
    const STATE, fn store_state(state: State<'a>, given) {
        "ociVersion": Text(Rule::NotEmpty), required => state.oci_version = given.text,
        "id": Text(Rule::Id), required => state.id = given.text,
        "pid": Integer(Range::Pid) => state.pid = given.number as i32,
        "startTime": Integer(Range::Unsigned64) => state.start_time = given.number,
        "bundle": Text(Rule::Absolute), required => state.bundle = given.text,
        "rootfs": Text(Rule::Any) => state.rootfs = given.text,
        "created": Text(Rule::Any) => state.created = given.text,
        "owner": Text(Rule::Any) => state.owner = given.text,
        "cgroup": Text(Rule::Optional) => state.cgroup = given.optional_text,
        "annotations": Pairs(Rule::Any) => {},
    }
}

impl<'a> Target<'a> for State<'a> {
    fn open(&mut self, _: Object, _: Text<'a>) -> Result<(), Object> {
        Ok(())
    }

    fn start(&mut self, _: Object) -> usize {
        0
    }

    fn clear(&mut self, _: Object) {
        self.annotations.clear();
    }

    fn store(&mut self, _: Object, member: usize, given: &Given<'a>) {
        store_state(self, member, given);
    }

    fn store_pair(&mut self, _: usize, pair: Pair<'a>) -> Result<(), Object> {
        push(&mut self.annotations, pair, Object::StatePair)
    }

    fn close(&mut self, _: Object) -> Result<(), Wrong> {
        Ok(())
    }

    fn plan(&mut self) -> Option<&mut MountPlan<'a>> {
        None
    }
}

/// Writes state.json.
pub fn write_state(out: &mut dyn Sink, state: &StateView<'_>) {
    let mut object = ObjectWriter::open(out, Style::Compact, 0);
    object.string("ociVersion", state.oci_version);
    object.string("id", state.id);
    object.number("pid", state.pid.max(0) as u64);
    object.number("startTime", state.start_time);
    object.string("bundle", state.bundle);
    object.string("rootfs", state.rootfs);
    object.string("created", state.created);
    object.string("owner", state.owner);
    if let Some(cgroup) = state.cgroup {
        object.string("cgroup", cgroup);
    }
    object.pairs("annotations", state.annotations);
    object.close();
}

/// Writes the state as the specification and runc show it, without a line feed at its end. In [`Style::Pretty`] for
/// people, in [`Style::Compact`] for the standard input of hooks and the array that `list` prints.
///
/// The pid of a container that has stopped is 0.
pub fn write_oci_state(out: &mut dyn Sink, state: &StateView<'_>, status: Status, style: Style) {
    let pid = if status == Status::Stopped { 0 } else { state.pid.max(0) };
    let mut object = ObjectWriter::open(out, style, 0);
    object.string("ociVersion", state.oci_version);
    object.string("id", state.id);
    object.number("pid", pid as u64);
    object.string("status", status.name());
    object.string("bundle", state.bundle);
    // A hook runs before some of it is known.
    object.known_string("rootfs", state.rootfs);
    object.known_string("created", state.created);
    object.pairs("annotations", state.annotations);
    object.known_string("owner", state.owner);
    object.close();
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// On one line, without spaces.
    Compact,
    /// One member a line, two spaces deeper with each level.
    Pretty,
}

/// An object that is being written.
struct ObjectWriter<'o> {
    out: &'o mut dyn Sink,
    style: Style,
    depth: usize,
    is_empty: bool,
}

impl<'o> ObjectWriter<'o> {
    fn open(out: &'o mut dyn Sink, style: Style, depth: usize) -> Self {
        let mut object = Self {
            out,
            style,
            depth,
            is_empty: true,
        };
        object.put("{");
        object
    }

    fn put(&mut self, text: &str) {
        self.out.put(text);
    }

    fn line(&mut self, depth: usize) {
        if self.style == Style::Pretty {
            self.put("\n");
            for _ in 0..depth {
                self.put("  ");
            }
        }
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.put(",");
        }
        self.is_empty = false;
        self.line(self.depth + 1);
        self.quoted(name);
        self.put(if self.style == Style::Pretty { ": " } else { ":" });
    }

    fn quoted(&mut self, text: &str) {
        write_json_string(self.out, text);
    }

    #[inline(never)]
    fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    /// Nothing at all where the value is empty.
    #[inline(never)]
    fn known_string(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.string(name, value);
        }
    }

    #[inline(never)]
    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        put_number(self.out, value);
    }

    /// Nothing at all where there are none.
    #[inline(never)]
    fn pairs(&mut self, name: &str, pairs: &[Pair<'_>]) {
        if pairs.is_empty() {
            return;
        }
        self.name(name);
        let mut object = ObjectWriter::open(&mut *self.out, self.style, self.depth + 1);
        for pair in pairs {
            object.string(pair.key.as_str(), pair.value.as_str());
        }
        object.close();
    }

    fn close(mut self) {
        if !self.is_empty {
            self.line(self.depth);
        }
        self.put("}");
    }
}

/// Writes a string as JSON, with its quotes.
pub fn write_json_string(out: &mut dyn Sink, text: &str) {
    out.put("\"");
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let letter = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..b' ' | 0x7f => b'u',
            _ => continue,
        };
        out.put(text.get(plain..at).unwrap_or_default());
        let [high, low] = [byte >> 4, byte & 15].map(|digit| digit + if digit < 10 { b'0' } else { b'a' - 10 });
        let escape = [b'\\', letter, b'0', b'0', high, low];
        let length = if letter == b'u' { escape.len() } else { 2 };
        let escape = escape.get(..length).unwrap_or_default();
        out.put(core::str::from_utf8(escape).unwrap_or_default());
        plain = at + 1;
    }
    out.put(text.get(plain..).unwrap_or_default());
    out.put("\"");
}

/// Why a text is not a container id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// It has no characters.
    Empty,
    /// It has more than [`ID_BYTES_MAX`] bytes.
    TooLong,
    /// It has a character that is not allowed where it stands.
    Character,
}

impl Show for IdError {
    fn write_to(&self, out: &mut dyn Sink) {
        let message = match self {
            Self::Empty => text!("the container id is empty"),
            Self::TooLong => text!("the container id has more than 255 bytes (ID_BYTES_MAX)"),
            Self::Character => {
                text!("a container id has letters, digits, \"_\", \"+\", \"-\" and, not at its start, \".\"")
            }
        };
        message.write_to(out);
    }
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f);
        Ok(())
    }
}

/// Whether `id` can name a container: `[A-Za-z0-9_+-][A-Za-z0-9_+.-]*`, as runc and crun have it. It becomes the name of
/// a directory and of a cgroup.
pub fn check_id(id: &str) -> Result<(), IdError> {
    let is_allowed = |(at, byte): (usize, u8)| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-') || (byte == b'.' && at > 0)
    };
    match id.len() {
        0 => Err(IdError::Empty),
        1..=ID_BYTES_MAX if id.bytes().enumerate().all(is_allowed) => Ok(()),
        1..=ID_BYTES_MAX => Err(IdError::Character),
        _ => Err(IdError::TooLong),
    }
}

#[cfg(test)]
mod tests;
