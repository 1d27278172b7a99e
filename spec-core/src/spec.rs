//! The top level of config.json, and the pools that its lists share.

use core::marker::PhantomData;

use heapless::{Vec, VecView};
use static_assertions::const_assert;

use crate::hooks::{Hook, Hooks, read_hooks};
use crate::json::Read;
use crate::limits::*;
use crate::linux::{Device, IdMapping, Linux, Pair, read_linux};
use crate::mounts::{Mount, read_mounts};
use crate::process::{Process, read_process};
use crate::resources::{DeviceRule, HugepageLimit, NetworkPriority, RdmaLimit, ThrottleDevice, WeightDevice};
use crate::seccomp::{Argument, Rule};
use crate::text::Text;
use crate::value::{Value, members};
use crate::words::NO_WORDS;

/// A list of `T` inside one of the pools of [`Spec`]: where it starts and how long it is. All zero is the empty list.
pub struct List<T> {
    pub(crate) start: u16,
    pub(crate) len: u16,
    kind: PhantomData<fn() -> T>,
}

impl<T> List<T> {
    /// The empty list.
    pub const EMPTY: Self = Self::new(0, 0);

    pub(crate) const fn new(start: u16, len: u16) -> Self {
        Self {
            start,
            len,
            kind: PhantomData,
        }
    }

    /// How many elements there are.
    pub fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for List<T> {}
impl<T> core::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "List({}, {})", self.start, self.len)
    }
}
impl<T> Default for List<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A field that makes the absence of its struct all zero bytes.
///
/// `Option` marks absence in the field that has the most values to spare. Where that is a `bool` or an inner `Option`, the
/// mark is 2, and a static [`Spec`] becomes a third of a megabyte of data in the executable. This field has more values to
/// spare than any other, and 0 is the one that rustc takes.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Present {
    Yes = 1,
}

/// Something that is kept in a pool of [`Spec`], so that [`Spec::list`] can find the elements of a [`List`].
pub trait Pooled<'a>: Sized {
    /// The pool of this type.
    fn pool<'s>(spec: &'s Spec<'a>) -> &'s [Self]
    where
        'a: 's;
}

/// config.json. Every string borrows from the arena that [`crate::parse_config`] was given.
///
/// The value of all zero bytes is an empty configuration, so that a static one costs no space in the executable; the
/// pages of a pool that nothing is pushed into are never touched.
pub struct Spec<'a> {
    /// `ociVersion`.
    pub oci_version: Option<Text<'a>>,
    /// `root`.
    pub root: Option<Root<'a>>,
    /// `process`, which `start` needs and `create` may lack.
    pub process: Option<Process<'a>>,
    /// `hostname`.
    pub hostname: Option<Text<'a>>,
    /// `domainname`.
    pub domainname: Option<Text<'a>>,
    /// `mounts`, in the listed order.
    pub mounts: Vec<Mount<'a>, MOUNTS_MAX>,
    /// `hooks`.
    pub hooks: Hooks<'a>,
    /// `annotations`.
    pub annotations: List<Pair<'a>>,
    /// `linux`.
    pub linux: Linux<'a>,

    // The pools. A list that stands in config.json is a contiguous run in one of them.
    pub(crate) texts: Vec<Text<'a>, TEXTS_MAX>,
    pub(crate) pairs: Vec<Pair<'a>, PAIRS_MAX>,
    pub(crate) ids: Vec<u32, IDS_MAX>,
    pub(crate) id_mappings: Vec<IdMapping, ID_MAPPINGS_MAX>,
    pub(crate) hook_entries: Vec<Hook<'a>, HOOKS_MAX>,
    pub(crate) devices: Vec<Device<'a>, DEVICES_MAX>,
    pub(crate) device_rules: Vec<DeviceRule, DEVICE_RULES_MAX>,
    pub(crate) weight_devices: Vec<WeightDevice, BLOCK_DEVICES_MAX>,
    pub(crate) throttle_devices: Vec<ThrottleDevice, BLOCK_DEVICES_MAX>,
    pub(crate) hugepage_limits: Vec<HugepageLimit<'a>, HUGEPAGE_LIMITS_MAX>,
    pub(crate) rdma_limits: Vec<RdmaLimit<'a>, RDMA_LIMITS_MAX>,
    pub(crate) network_priorities: Vec<NetworkPriority<'a>, NETWORK_PRIORITIES_MAX>,
    pub(crate) seccomp_rules: Vec<Rule<'a>, SECCOMP_RULES_MAX>,
    pub(crate) seccomp_arguments: Vec<Argument, SECCOMP_ARGUMENTS_MAX>,
}

/// `root`.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// `path`: absolute, or relative to the bundle.
    pub path: Text<'a>,
    /// `readonly`.
    pub readonly: bool,
    _present: Present,
}

impl<'a> Spec<'a> {
    /// An empty configuration.
    pub const fn new() -> Self {
        Self {
            oci_version: None,
            root: None,
            process: None,
            hostname: None,
            domainname: None,
            mounts: Vec::new(),
            hooks: Hooks::NONE,
            annotations: List::EMPTY,
            linux: Linux::NONE,
            texts: Vec::new(),
            pairs: Vec::new(),
            ids: Vec::new(),
            id_mappings: Vec::new(),
            hook_entries: Vec::new(),
            devices: Vec::new(),
            device_rules: Vec::new(),
            weight_devices: Vec::new(),
            throttle_devices: Vec::new(),
            hugepage_limits: Vec::new(),
            rdma_limits: Vec::new(),
            network_priorities: Vec::new(),
            seccomp_rules: Vec::new(),
            seccomp_arguments: Vec::new(),
        }
    }

    /// The elements of `list`.
    pub fn list<T: Pooled<'a>>(&self, list: List<T>) -> &[T] {
        let start = usize::from(list.start);
        T::pool(self).get(start..start + list.len()).unwrap_or_default()
    }

    /// The value of the annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<Text<'a>> {
        self.list(self.annotations)
            .iter()
            .find(|pair| pair.key.as_str() == key)
            .map(|pair| pair.value)
    }
}

/// What `exec` changes in the container's process. Each fails, with nothing to add, where a pool is full.
#[allow(
    clippy::result_unit_err,
    reason = "there is one way to fail, and the caller knows the option that did"
)]
impl<'a> Spec<'a> {
    /// Replaces `process.args`. An item that is `None` is a string that cannot be one.
    pub fn set_arguments(&mut self, arguments: impl Iterator<Item = Option<Text<'a>>>) -> Result<(), ()> {
        let start = self.texts.len();
        for argument in arguments {
            self.texts.push(argument.ok_or(())?).map_err(drop)?;
        }
        if let Some(process) = &mut self.process {
            // The pool's capacity fits the index type, see limits.rs.
            process.args = List::new(start as u16, (self.texts.len() - start) as u16);
        }
        Ok(())
    }

    /// Adds to `process.env`, in place of a variable of the same name.
    pub fn add_variable(&mut self, variable: Text<'a>) -> Result<(), ()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let name = |text: &Text<'a>| text.as_str().split('=').next();
        let start = usize::from(process.env.start);
        let present = self.texts.get_mut(start..start + process.env.len()).unwrap_or_default();
        if let Some(old) = present.iter_mut().find(|old| name(old) == name(&variable)) {
            *old = variable;
            return Ok(());
        }
        process.env = append(&mut self.texts, process.env, variable)?;
        Ok(())
    }

    /// Appends to `process.user.additionalGids`.
    pub fn add_group(&mut self, gid: u32) -> Result<(), ()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        process.user.additional_gids = append(&mut self.ids, process.user.additional_gids, gid)?;
        Ok(())
    }
}

/// Makes `list` longer by `item`. Unless it is the last of its pool already, its elements are copied to the end.
fn append<T: Copy, const N: usize>(pool: &mut Vec<T, N>, list: List<T>, item: T) -> Result<List<T>, ()> {
    let (start, len) = (usize::from(list.start), list.len());
    let at = if start + len == pool.len() { start } else { pool.len() };
    if at != start {
        for index in start..start + len {
            let copy = *pool.get(index).ok_or(())?;
            pool.push(copy).map_err(drop)?;
        }
    }
    pool.push(item).map_err(drop)?;
    Ok(List::new(at as u16, len as u16 + 1))
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A pool that can be filled.
pub(crate) trait Pool<'a>: Pooled<'a> {
    /// The pool and the name of its limit.
    fn pool_mut<'s>(spec: &'s mut Spec<'a>) -> (&'s mut VecView<Self>, &'static str);

    /// Appends to the pool what one array element or object member says.
    fn push(self, value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
        let (pool, name) = Self::pool_mut(spec);
        pool.push(self)
            .map_err(|_| value.refuse_as_too_many(name, pool.capacity()))
    }

    /// The list from `start` to the end of the pool.
    fn list_from(start: usize, spec: &mut Spec<'a>) -> List<Self> {
        // No pool has more elements than a `u16` counts; see the assertions below.
        List::new(start as u16, (Self::pool(spec).len() - start) as u16)
    }
}

/// Reads an array into the pool of its elements.
pub(crate) fn read_list<'a, T: Pool<'a>>(
    value: &mut Value<'_, 'a>,
    spec: &mut Spec<'a>,
    read: fn(&mut Value<'_, 'a>, &mut Spec<'a>) -> Read<T>,
) -> Read<List<T>> {
    let start = T::pool(spec).len();
    value.array(|_, _, value| read(value, spec)?.push(value, spec))?;
    Ok(T::list_from(start, spec))
}

/// Reads an array of strings.
pub(crate) fn read_texts<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<List<Text<'a>>> {
    read_list(value, spec, |value, _| value.text())
}

/// Reads an array of paths from `/`.
pub(crate) fn read_absolute_paths<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<List<Text<'a>>> {
    read_list(value, spec, |value, _| value.absolute_path())
}

/// Reads an object whose members are all strings; `check` may find something wrong with a name.
pub(crate) fn read_pairs<'a>(
    value: &mut Value<'_, 'a>,
    spec: &mut Spec<'a>,
    check: fn(&str) -> Option<&'static str>,
) -> Read<List<Pair<'a>>> {
    let start = spec.pairs.len();
    value.object(NO_WORDS, |_, key, value| {
        if let Some(rule) = check(key) {
            return Err(value.refuse(rule));
        }
        let pair = Pair {
            key: value.keep(&[key])?,
            value: value.text()?,
        };
        push_pair(pair, start, value, spec)
    })?;
    Ok(Pair::list_from(start, spec))
}

/// Appends a member to the pairs from `start` on. A name that is there already takes the new value, as it does in Go.
pub(crate) fn push_pair<'a>(pair: Pair<'a>, start: usize, value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    let before = spec.pairs.get_mut(start..).unwrap_or_default();
    match before.iter_mut().find(|before| before.key == pair.key) {
        Some(before) => {
            *before = pair;
            Ok(())
        }
        None => pair.push(value, spec),
    }
}

/// Reads config.json.
pub(crate) fn read_config<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<()> {
    members!(value, {
        "ociVersion" => spec.oci_version = Some(read_version(value)?),
        "root" => spec.root = Some(read_root(value)?),
        "process" => spec.process = Some(read_process(value, spec)?),
        "hostname" => spec.hostname = read_hostname(value)?,
        "domainname" => spec.domainname = read_hostname(value)?,
        "mounts" => read_mounts(value, spec)?,
        "hooks" => spec.hooks = read_hooks(value, spec)?,
        "annotations" => spec.annotations = read_pairs(value, spec, check_annotation)?,
        "linux" => read_linux(value, spec)?,
    })?;
    value.require("ociVersion", spec.oci_version)?;
    value.require("root", spec.root.as_ref())?;
    Ok(())
}

/// The annotations below `io.roci.` that have a meaning.
pub const KNOWN_ANNOTATIONS: &[&str] = &["io.roci.init"];

fn check_annotation(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("the name must not be empty");
    }
    // Most likely a slip of the keyboard in something that was meant to take effect.
    (key.starts_with("io.roci.") && !KNOWN_ANNOTATIONS.contains(&key)).then_some("unknown annotation")
}

/// `ociVersion`: any version of the first generation. Newer ones add members that may be ignored.
fn read_version<'a>(value: &mut Value<'_, 'a>) -> Read<Text<'a>> {
    let version = value.text()?;
    match major_version(version.as_str()) {
        Some("1") => Ok(version),
        Some(_) => Err(value.refuse("only version 1 is supported: ")),
        None => Err(value.refuse("not a semantic version: ")),
    }
}

/// The first number of a semantic version.
fn major_version(version: &str) -> Option<&str> {
    let (core, suffix) = match version.find(['-', '+']) {
        Some(at) => (version.get(..at)?, version.get(at + 1..)?),
        None => (version, "0"),
    };
    let mut numbers = core.split('.');
    let major = numbers.next()?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = is_number(major) && numbers.next().is_some_and(is_number) && numbers.next().is_some_and(is_number);
    let is_suffix = |byte: u8| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte);
    let is_complete = numbers.next().is_none() && !suffix.is_empty() && suffix.bytes().all(is_suffix);
    (is_version && is_complete).then_some(major)
}

fn read_root<'a>(value: &mut Value<'_, 'a>) -> Read<Root<'a>> {
    let (mut path, mut readonly) = (None, false);
    members!(value, {
        "path" => path = Some(value.some_text()?),
        "readonly" => value.boolean_into(&mut readonly)?,
    })?;
    Ok(Root {
        path: value.require("path", path)?,
        readonly,
        _present: Present::Yes,
    })
}

fn read_hostname<'a>(value: &mut Value<'_, 'a>) -> Read<Option<Text<'a>>> {
    let name = value.optional_text()?;
    if name.is_some_and(|name| name.as_str().len() > HOSTNAME_BYTES_MAX) {
        return Err(value.refuse("longer than 64 bytes (HOSTNAME_BYTES_MAX)"));
    }
    Ok(name)
}
// The text of the error has the number in it.
const_assert!(HOSTNAME_BYTES_MAX == 64);

macro_rules! pooled {
    ($($type:ty => $pool:ident, $max:ident);* $(;)?) => {$(
        impl<'a> Pooled<'a> for $type {
            fn pool<'s>(spec: &'s Spec<'a>) -> &'s [Self] where 'a: 's {
                &spec.$pool
            }
        }
        impl<'a> Pool<'a> for $type {
            fn pool_mut<'s>(spec: &'s mut Spec<'a>) -> (&'s mut VecView<Self>, &'static str) {
                (spec.$pool.as_mut_view(), stringify!($max))
            }
        }
        // A list counts in `u16`.
        const_assert!($max <= u16::MAX as usize);
    )*};
}

pooled! {
    Text<'a> => texts, TEXTS_MAX;
    Pair<'a> => pairs, PAIRS_MAX;
    u32 => ids, IDS_MAX;
    IdMapping => id_mappings, ID_MAPPINGS_MAX;
    Hook<'a> => hook_entries, HOOKS_MAX;
    Device<'a> => devices, DEVICES_MAX;
    DeviceRule => device_rules, DEVICE_RULES_MAX;
    WeightDevice => weight_devices, BLOCK_DEVICES_MAX;
    ThrottleDevice => throttle_devices, BLOCK_DEVICES_MAX;
    HugepageLimit<'a> => hugepage_limits, HUGEPAGE_LIMITS_MAX;
    RdmaLimit<'a> => rdma_limits, RDMA_LIMITS_MAX;
    NetworkPriority<'a> => network_priorities, NETWORK_PRIORITIES_MAX;
    Rule<'a> => seccomp_rules, SECCOMP_RULES_MAX;
    Argument => seccomp_arguments, SECCOMP_ARGUMENTS_MAX;
}

// A document is small and the pools are sized for the worst of them, so this is address space and not memory.
const_assert!(size_of::<Spec<'_>>() <= 512 * 1024);

#[cfg(test)]
mod tests;
