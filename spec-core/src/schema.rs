//! What can stand where in the documents: one table for each kind of object, which [`crate::json`] walks a document with.
//!
//! The tables are written beside the types that they fill, as [`members!`] with a line for each member. While the compiler
//! runs they are packed into one string of names and one list of kinds: the specification has two hundred members, and
//! each costs some ten bytes that way and the store that puts its value into its field.

use static_assertions::const_assert;

use crate::error::Cause;
use crate::linux::Pair;
use crate::message::{Message, text};
use crate::mounts::MountPlan;
use crate::packed::place_of;
use crate::spec::List;
use crate::text::Text;
use crate::words::{Family, Words, words};
use crate::{hooks, limits, linux, mounts, process, resources, seccomp, spec, state};

/// What the value of a member, or an element of a list, has to be.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Anything, since it is ignored.
    Ignored,
    /// Nothing that anybody could have meant: this is a clock that has no offset.
    UnknownClock,
    /// `true` or `false`.
    Boolean,
    /// An integer.
    Integer(Range),
    /// A string.
    Text(Rule),
    /// One of some words; it becomes its place among them.
    Word(Vocabulary),
    /// The same, but the empty string says as much as its absence.
    OptionalWord(Vocabulary),
    /// `access` of a device rule: one bit for each letter of `rwm`.
    Access,
    /// An object with members of its own.
    Object(Object),
    /// A list of objects.
    List(Object),
    /// An object whose members are objects.
    Map(Object),
    /// A member of that.
    Entry(Object),
    /// An object whose members are strings; the rule is about their names.
    Pairs(Rule),
    /// A member of that.
    Pair(Rule),
    /// A list of strings.
    Texts(Rule),
    /// A list of ids.
    Ids,
    /// A list of words; it becomes one bit for the place of each.
    Words(Vocabulary),
    /// An element of that.
    Bit(Vocabulary),
    /// A list of capabilities; it becomes one bit for the number of each.
    Capabilities,
    /// An element of that.
    Capability,
    /// A list of mount options.
    Options,
    /// An element of that.
    Option,
    /// A list that has to be empty, since no flag is known.
    NoFlags,
    /// An element of that.
    NoFlag,
}

/// A member of an object.
#[derive(Clone, Copy)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
}

/// A value that has been read, in the field that fits. The others have what was read before.
pub(crate) struct Given<'a> {
    /// A string.
    pub(crate) text: Text<'a>,
    /// A string, unless an empty one says that there is none.
    pub(crate) optional_text: Option<Text<'a>>,
    /// A number, the place of a word, bits, or a list.
    pub(crate) number: u64,
}

impl Given<'_> {
    pub(crate) fn flag(&self) -> bool {
        self.number != 0
    }

    pub(crate) fn list<T>(&self) -> List<T> {
        List::new(self.number as u16, (self.number >> 16) as u16)
    }
}

/// What the values of a document go into.
pub(crate) trait Target<'a> {
    /// Makes room for an object, or for an element of a list, with `blank` for the strings that it needs. One that is full
    /// says of what; what is stored then takes the place of what was stored before, and nobody looks at it.
    ///
    /// A string that is known while the compiler runs would make it keep a copy of each object that has such a string.
    fn open(&mut self, object: Object, blank: Text<'a>) -> Result<(), Object>;
    /// Empties a list that is not in a pool, before it is read.
    fn clear(&mut self, object: Object);
    /// Where the next element of a list would go.
    fn start(&mut self, object: Object) -> usize;
    /// Takes the value of a member of what was opened last.
    fn store(&mut self, object: Object, member: usize, given: &Given<'a>);
    /// Takes a member of an object whose members have any name. Those of the same object go to `start` and behind it.
    fn store_pair(&mut self, start: usize, pair: Pair<'a>) -> Result<(), Object>;
    /// Says what is wrong with what was opened last, now that all of its members are known.
    fn close(&mut self, object: Object) -> Result<(), Wrong>;
    /// What the mount options of the last mount ask for.
    fn plan(&mut self) -> Option<&mut MountPlan<'a>>;
}

/// What can be wrong with an object as a whole.
macro_rules! wrongs {
    ($($name:ident: $member:literal, $rule:expr;)*) => {
        #[derive(Clone, Copy)]
        #[cfg_attr(not(feature = "seccomp"), expect(dead_code, reason = "some are about profiles alone"))]
        pub(crate) enum Wrong {
            $($name,)*
        }

        const MEMBERS: Words = words!(concat!($($member, " "),*));
        static RULES: &[Message] = &[$($rule),*];
    };
}

wrongs! {
    NoArguments: "args", text!("must name a program");
    SoftLimit: "soft", text!("higher than the hard limit: ");
    SameResource: "", text!("the same resource stands before");
    SameNamespace: "", text!("a namespace of the same type stands before");
    NoMajor: "major", text!("missing");
    NoMinor: "minor", text!("missing");
    NoNames: "names", text!("must name a system call");
    DefaultErrno: "defaultErrnoRet", text!("only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number");
    Errno: "errnoRet", text!("only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number");
}

impl Wrong {
    /// The member at fault, or nothing where it is the object, and why.
    pub(crate) fn member_and_rule(self) -> (&'static str, Message) {
        (MEMBERS.get(self as usize).unwrap_or_default(), RULES[self as usize])
    }
}

/// Adds to the pool of `object`.
pub(crate) fn push<T, const N: usize>(pool: &mut heapless::Vec<T, N>, item: T, object: Object) -> Result<(), Object> {
    pool.push(item).map_err(|_| object)
}

/// The members of an object, and the function that puts their values into their fields.
///
/// The actions become the arms of one jump.
macro_rules! members {
    (
        const $table:ident, fn $store:ident($place:ident: $type:ty, $given:ident) {
            $($name:literal: $kind:expr $(, $required:ident)? => $action:expr,)*
        }
    ) => {
        pub(crate) const $table: &[$crate::schema::Member] = {
            #[allow(unused_imports, reason = "not every object has all kinds of members")]
            use $crate::schema::{Kind::*, Object, Range, Rule, Vocabulary};
            &[$($crate::schema::Member {
                name: $name,
                kind: $kind,
                required: members!(@required $($required)?),
            }),*]
        };

        #[inline(never)]
        pub(crate) fn $store<'a>($place: &mut $type, member: usize, $given: &$crate::schema::Given<'a>) {
            let mut number = 0..;
            $(
                if number.next() == Some(member) {
                    $action;
                    return;
                }
            )*
        }
    };
    (@required) => { false };
    (@required required) => { true };
}
pub(crate) use members;

/// The kinds of objects, and of what lists have as elements: those come first, with their limits.
macro_rules! objects {
    ($($element:ident, $limit:ident, text!($name:literal) => $element_members:expr;)* -- $($object:ident => $members:expr;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(not(feature = "seccomp"), expect(dead_code, reason = "some are parts of profiles alone"))]
        pub(crate) enum Object {
            $($element,)*
            $($object,)*
        }

        /// In the order of the objects.
        const TABLES: &[&[Member]] = &[$($element_members,)* $($members),*];

        /// The name of a limit, and how many elements there can be.
        static LIMITS: &[(Message, u16)] = &[$({
            const_assert!(limits::$limit <= u16::MAX as usize);
            (text!($name), limits::$limit as u16)
        }),*];
        const _: u16 = 0 $(+ place_of(&[stringify!($limit)], $name))*;
    };
}

objects! {
    Rlimit, RLIMITS_MAX, text!("RLIMITS_MAX") => process::RLIMIT;
    Hook, HOOKS_MAX, text!("HOOKS_MAX") => hooks::HOOK;
    Mount, MOUNTS_MAX, text!("MOUNTS_MAX") => mounts::MOUNT;
    Namespace, NAMESPACES_MAX, text!("NAMESPACES_MAX") => linux::NAMESPACE;
    IdMapping, ID_MAPPINGS_MAX, text!("ID_MAPPINGS_MAX") => linux::ID_MAPPING;
    Device, DEVICES_MAX, text!("DEVICES_MAX") => linux::DEVICE;
    DeviceRule, DEVICE_RULES_MAX, text!("DEVICE_RULES_MAX") => resources::DEVICE_RULE;
    WeightDevice, BLOCK_DEVICES_MAX, text!("BLOCK_DEVICES_MAX") => resources::WEIGHT_DEVICE;
    ThrottleDevice, BLOCK_DEVICES_MAX, text!("BLOCK_DEVICES_MAX") => resources::THROTTLE_DEVICE;
    HugepageLimit, HUGEPAGE_LIMITS_MAX, text!("HUGEPAGE_LIMITS_MAX") => resources::HUGEPAGE_LIMIT;
    NetworkPriority, NETWORK_PRIORITIES_MAX, text!("NETWORK_PRIORITIES_MAX") => resources::NETWORK_PRIORITY;
    RdmaLimit, RDMA_LIMITS_MAX, text!("RDMA_LIMITS_MAX") => resources::RDMA_LIMIT;
    SeccompRule, SECCOMP_RULES_MAX, text!("SECCOMP_RULES_MAX") => seccomp::RULE;
    SeccompArgument, SECCOMP_ARGUMENTS_MAX, text!("SECCOMP_ARGUMENTS_MAX") => seccomp::ARGUMENT;
    Text, TEXTS_MAX, text!("TEXTS_MAX") => &[];
    Id, IDS_MAX, text!("IDS_MAX") => &[];
    Pair, PAIRS_MAX, text!("PAIRS_MAX") => &[];
    StatePair, STATE_ANNOTATIONS_MAX, text!("STATE_ANNOTATIONS_MAX") => &[];
    Option, MOUNT_OPTIONS_MAX, text!("MOUNT_OPTIONS_MAX") => &[];
    --
    Config => spec::CONFIG;
    Root => spec::ROOT;
    Process => process::PROCESS;
    ConsoleSize => process::CONSOLE_SIZE;
    User => process::USER;
    Capabilities => process::CAPABILITIES;
    Scheduler => process::SCHEDULER;
    IoPriority => process::IO_PRIORITY;
    ExecCpuAffinity => process::EXEC_CPU_AFFINITY;
    Hooks => hooks::HOOKS;
    Linux => linux::LINUX;
    TimeOffsets => linux::TIME_OFFSETS;
    Monotonic => linux::TIME_OFFSET;
    Boottime => linux::TIME_OFFSET;
    NetDevice => linux::NET_DEVICE;
    IntelRdt => linux::INTEL_RDT;
    MemoryPolicy => linux::MEMORY_POLICY;
    Personality => linux::PERSONALITY;
    Resources => resources::RESOURCES;
    Memory => resources::MEMORY;
    Cpu => resources::CPU;
    Pids => resources::PIDS;
    BlockIo => resources::BLOCK_IO;
    Network => resources::NETWORK;
    Seccomp => seccomp::SECCOMP;
    State => state::STATE;
}

/// The members of an object, packed.
#[derive(Clone, Copy)]
struct Packed {
    /// Where their names start in [`NAMES`], and where they end.
    names: (u16, u16),
    /// Where their kinds start in [`KINDS`].
    kinds: u8,
}

const NAMES_LEN: usize = pack().0;
const KINDS_LEN: usize = pack().1;
const_assert!(NAMES_LEN <= u16::MAX as usize && KINDS_LEN <= u8::MAX as usize);

/// The lengths of [`NAMES`] and [`KINDS`].
const fn pack() -> (usize, usize) {
    let (mut names, mut kinds, mut table) = (0, 0, 0);
    while table < TABLES.len() {
        let mut member = 0;
        while member < TABLES[table].len() {
            names += TABLES[table][member].name.len() + 1;
            kinds += 1;
            member += 1;
        }
        table += 1;
    }
    (names, kinds)
}

/// The names of all members, as [`Words`] has them.
static NAMES: Words = {
    const PACKED: [u8; NAMES_LEN] = {
        let (mut bytes, mut length, mut table) = ([0; NAMES_LEN], 0, 0);
        while table < TABLES.len() {
            let mut member = 0;
            while member < TABLES[table].len() {
                let name = TABLES[table][member].name.as_bytes();
                bytes[length] = name.len() as u8;
                let mut at = 0;
                while at < name.len() {
                    bytes[length + 1 + at] = name[at];
                    at += 1;
                }
                (length, member) = (length + 1 + name.len(), member + 1);
            }
            table += 1;
        }
        bytes
    };
    Words::new(&PACKED)
};

/// The kinds of all members, and whether each of them is required.
static KINDS: [(Kind, bool); KINDS_LEN] = {
    let (mut kinds, mut length, mut table) = ([(Kind::Ignored, false); KINDS_LEN], 0, 0);
    while table < TABLES.len() {
        let mut member = 0;
        while member < TABLES[table].len() {
            kinds[length] = (TABLES[table][member].kind, TABLES[table][member].required);
            (length, member) = (length + 1, member + 1);
        }
        table += 1;
    }
    kinds
};

/// In the order of the objects.
static PACKED: [Packed; TABLES.len()] = {
    let nothing = Packed {
        names: (0, 0),
        kinds: 0,
    };
    let (mut packed, mut names, mut kinds, mut table) = ([nothing; TABLES.len()], 0, 0, 0);
    while table < TABLES.len() {
        let (start, mut member) = (names, 0);
        while member < TABLES[table].len() {
            names += TABLES[table][member].name.len() as u16 + 1;
            member += 1;
        }
        packed[table] = Packed {
            names: (start, names),
            kinds,
        };
        (kinds, table) = (kinds + member as u8, table + 1);
    }
    packed
};

impl Object {
    fn packed(self) -> Packed {
        let none = Packed {
            names: (0, 0),
            kinds: 0,
        };
        PACKED.get(self as usize).copied().unwrap_or(none)
    }

    /// The names of the members.
    fn names(self) -> Words {
        let (start, end) = self.packed().names;
        NAMES.between(start.into(), end.into())
    }

    /// The number of the member `name`, and what it is.
    pub(crate) fn member(self, name: &str) -> Option<(u8, Kind)> {
        let number = self.names().position(name)?;
        Some((number as u8, KINDS.get(usize::from(self.packed().kinds) + number)?.0))
    }

    /// What is wrong with one more element.
    #[cold]
    pub(crate) fn too_many(self) -> Cause {
        let number = self as usize;
        let (name, max) = *LIMITS.get(number).unwrap_or(&LIMITS[0]);
        Cause::Limit(name, max.into())
    }

    /// The first member that is required and has no bit in `seen`.
    pub(crate) fn missing(self, seen: u32) -> Option<&'static str> {
        let kinds = KINDS.get(usize::from(self.packed().kinds)..).unwrap_or_default();
        let mut names = self.names().iter().zip(kinds).enumerate();
        names
            .find(|(number, (_, (_, required)))| *required && seen & 1 << number == 0)
            .map(|(_, (name, _))| name)
    }
}

/// Rules for single strings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// There is none.
    Any,
    /// There has to be a character.
    NotEmpty,
    /// A path from `/`.
    Absolute,
    /// `ociVersion`.
    Version,
    /// `pageSize`.
    PageSize,
    /// The id of a container.
    Id,
    /// A name among `annotations`.
    Annotation,
    /// A name among `unified`.
    UnifiedFile,
    /// A name among `netDevices`.
    Interface,
    /// Here and in what follows, the empty string says as much as its absence: no more than that.
    Optional,
    /// A path from `/`.
    OptionalAbsolute,
    /// `hostname` and `domainname`.
    Hostname,
    /// `cgroupsPath`.
    CgroupsPath,
    /// `closID`.
    ClosId,
    /// `name` among `netDevices`.
    NewInterface,
}

impl Rule {
    /// Whether the empty string says as much as its absence.
    pub(crate) fn is_optional(self) -> bool {
        self as u8 >= Self::Optional as u8
    }

    /// What is wrong with a string. A text that ends in a space is to be followed by it.
    pub(crate) fn broken_by(self, text: &str) -> Option<Message> {
        let (is_fine, rule) = match self {
            Self::Any | Self::Optional => return None,
            Self::NotEmpty => (!text.is_empty(), text!("must not be empty")),
            Self::Absolute | Self::OptionalAbsolute => {
                (text.as_bytes().first() == Some(&b'/'), text!("must be absolute: "))
            }
            Self::Version => return spec::check_version(text),
            Self::PageSize => (
                resources::is_page_size(text),
                text!("not a page size such as \"2MB\": "),
            ),
            Self::Id => (state::check_id(text).is_ok(), text!("not a container id: ")),
            Self::Annotation => return spec::check_annotation(text),
            Self::UnifiedFile => (linux::is_file_name(text), text!("must be a plain file name")),
            Self::Interface => (
                linux::is_interface_name(text),
                text!("not the name of a network interface"),
            ),
            Self::Hostname => (
                text.len() <= spec::HOSTNAME_BYTES_SHOWN,
                text!("longer than 64 bytes (HOSTNAME_BYTES_MAX)"),
            ),
            Self::CgroupsPath => (
                !text.as_bytes().split(|byte| *byte == b'/').any(|part| part == b".."),
                text!("must not have a \"..\" component: "),
            ),
            Self::ClosId => (linux::is_file_name(text), text!("must be a plain file name: ")),
            Self::NewInterface => (
                linux::is_interface_name(text),
                text!("not the name of a network interface: "),
            ),
        };
        if is_fine { None } else { Some(rule) }
    }
}

/// Ranges of integers.
macro_rules! ranges {
    ($($name:ident: $signed:literal, $min:expr, $max:expr;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[cfg_attr(not(feature = "seccomp"), expect(dead_code, reason = "some are about profiles alone"))]
        pub(crate) enum Range {
            /// Of 64 bits, without a sign.
            Unsigned64,
            /// Of 64 bits.
            Signed64,
            /// From -1 on.
            Bytes,
            $($name,)*
        }

        /// Whether there can be a sign, the smallest, and the largest, of those that have one.
        static RANGES: &[(bool, i16, u32)] = &[(false, 0, 0), (true, 0, 0), (true, -1, 0), $(($signed, $min, $max)),*];
    };
}

ranges! {
    Unsigned32: false, 0, u32::MAX;
    // A user or a group. The largest number is "leave it as it is" to the kernel, which would be root.
    Id: false, 0, u32::MAX - 1;
    Unsigned16: false, 0, u16::MAX as u32;
    // `hooks[].timeout`
    Seconds: false, 1, u32::MAX;
    Pid: true, 0, i32::MAX as u32;
    OomScore: true, -1000, 1000;
    Umask: true, 0, 0o7777;
    Nice: true, -20, 19;
    Priority: true, 0, 99;
    IoPriority: true, 0, 7;
    Nanoseconds: true, 0, 999_999_999;
    Major: true, 0, linux::MAJOR_MAX;
    Minor: true, 0, linux::MINOR_MAX;
    AnyMajor: true, -1, linux::MAJOR_MAX;
    AnyMinor: true, -1, linux::MINOR_MAX;
    // The -1 of old clients, which they write without its sign, stands for the default.
    Swappiness: false, -1, 100;
    Idle: true, 0, 1;
    Errno: true, 0, seccomp::ERRNO_MAX;
    Argument: true, 0, 5;
}

impl Range {
    fn bounds(self) -> (bool, i16, u32) {
        RANGES.get(self as usize).copied().unwrap_or_default()
    }

    /// Whether there can be a sign.
    pub(crate) fn is_signed(self) -> bool {
        self.bounds().0
    }

    /// What is wrong with a number. Those beyond 63 bits count as if they had a sign.
    pub(crate) fn broken_by(self, number: u64) -> Option<Message> {
        let (_, min, max) = self.bounds();
        let number = number as i64;
        let is_fine = match self {
            Self::Unsigned64 | Self::Signed64 => true,
            Self::Seconds if number == 0 => return Some(text!("must be more than 0")),
            _ => number >= min.into() && (number <= max.into() || self == Self::Bytes),
        };
        if is_fine { None } else { Some(text!("out of range: ")) }
    }
}

/// Closed vocabularies.
macro_rules! vocabularies {
    ($($name:ident: $words:expr, $unknown:expr;)*) => {
        #[derive(Clone, Copy)]
        #[cfg_attr(not(feature = "seccomp"), expect(dead_code, reason = "some are about profiles alone"))]
        pub(crate) enum Vocabulary {
            $($name,)*
        }

        static WORDS: &[Family] = &[$($words),*];
        static UNKNOWN: &[Message] = &[$($unknown),*];
    };
}

vocabularies! {
    Namespace: linux::NAMESPACE_NAMES, text!("unknown namespace type ");
    Resource: process::RLIMIT_NAMES, text!("unknown resource ");
    Policy: process::SCHEDULER_POLICIES, text!("unknown policy ");
    SchedulerFlag: process::SCHEDULER_FLAGS, text!("unknown flag ");
    IoClass: process::IO_PRIORITY_CLASSES, text!("unknown class ");
    Device: linux::DEVICE_KINDS, text!("unknown device type ");
    RuleDevice: resources::RULE_DEVICE_KINDS, text!("unknown device type ");
    Propagation: linux::PROPAGATIONS, text!("unknown propagation ");
    MemoryPolicy: linux::MEMORY_POLICY_MODES, text!("unknown memory policy ");
    MemoryPolicyFlag: linux::MEMORY_POLICY_FLAGS, text!("unknown flag ");
    Domain: linux::PERSONALITIES, text!("unknown domain ");
    Action: seccomp::ACTIONS, text!("unknown action ");
    Operator: seccomp::OPERATORS, text!("unknown operator ");
    Architecture: seccomp::ARCHITECTURE_NAMES, text!("unknown architecture ");
    FilterFlag: seccomp::FLAGS, text!("unknown flag ");
}

impl Vocabulary {
    /// The words, and what is wrong with any other.
    pub(crate) fn words(self) -> (Family, Message) {
        (WORDS[self as usize], UNKNOWN[self as usize])
    }
}
