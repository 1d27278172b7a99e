//! `process`: what is run, and as whom.

use heapless::Vec;

use crate::json::Read;
use crate::limits::RLIMITS_MAX;
use crate::spec::{List, Present, Spec, read_list, read_texts};
use crate::text::Text;
use crate::value::{Value, members};
use crate::words::Words;

/// `process`. Also the document that `exec --process` reads.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    /// `terminal`.
    pub terminal: bool,
    /// `consoleSize`: height and width in characters.
    pub console_size: Option<ConsoleSize>,
    /// `cwd`, absolute.
    pub cwd: Text<'a>,
    /// `args`, at least one.
    pub args: List<Text<'a>>,
    /// `env`.
    pub env: List<Text<'a>>,
    /// `user`.
    pub user: User,
    /// `capabilities`; a set that is missing is empty.
    pub capabilities: Capabilities,
    /// The first capability in `capabilities` whose name nobody knows, which is worth a warning and no more.
    pub unknown_capability: Option<Text<'a>>,
    /// `rlimits`, no type twice.
    pub rlimits: Vec<Rlimit, RLIMITS_MAX>,
    /// `noNewPrivileges`.
    pub no_new_privileges: bool,
    /// `oomScoreAdj`.
    pub oom_score_adj: Option<i32>,
    /// `apparmorProfile`.
    pub apparmor_profile: Option<Text<'a>>,
    /// `selinuxLabel`.
    pub selinux_label: Option<Text<'a>>,
    /// `scheduler`.
    pub scheduler: Option<Scheduler>,
    /// `ioPriority`.
    pub io_priority: Option<IoPriority>,
    /// `execCPUAffinity.initial`.
    pub exec_cpu_affinity_initial: Option<Text<'a>>,
    /// `execCPUAffinity.final`.
    pub exec_cpu_affinity_final: Option<Text<'a>>,
    _present: Present,
}

impl Process<'_> {
    /// Nothing to run.
    pub(crate) const EMPTY: Self = Self {
        terminal: false,
        console_size: None,
        cwd: Text::EMPTY,
        args: List::EMPTY,
        env: List::EMPTY,
        user: User {
            uid: 0,
            gid: 0,
            umask: None,
            additional_gids: List::EMPTY,
        },
        capabilities: Capabilities {
            bounding: 0,
            effective: 0,
            permitted: 0,
            inheritable: 0,
            ambient: 0,
        },
        unknown_capability: None,
        rlimits: Vec::new(),
        no_new_privileges: false,
        oom_score_adj: None,
        apparmor_profile: None,
        selinux_label: None,
        scheduler: None,
        io_priority: None,
        exec_cpu_affinity_initial: None,
        exec_cpu_affinity_final: None,
        _present: Present::Yes,
    };
}

/// `consoleSize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// `user`, in ids of the container's user namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct User {
    /// `uid`.
    pub uid: u32,
    /// `gid`.
    pub gid: u32,
    /// `umask`; `None` leaves the inherited one.
    pub umask: Option<u32>,
    /// `additionalGids`.
    pub additional_gids: List<u32>,
}

/// `capabilities`: bit n of a set is the capability with number n of `linux/capability.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `bounding`.
    pub bounding: u64,
    /// `effective`.
    pub effective: u64,
    /// `permitted`.
    pub permitted: u64,
    /// `inheritable`.
    pub inheritable: u64,
    /// `ambient`.
    pub ambient: u64,
}

/// The capabilities by number: name without `CAP_`, as `linux/capability.h` numbers them.
pub const CAPABILITY_NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The number of the capability `name`, with or without `CAP_`, in any case of letters; `None` where nobody knows it.
pub fn capability_number(name: &str) -> Option<u8> {
    let bare = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("CAP_") => &name[4..],
        _ => name,
    };
    CAPABILITY_NAMES
        .iter()
        .position(|known| known.eq_ignore_ascii_case(bare))
        .map(|number| number as u8)
}

/// One element of `rlimits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    /// `type`, as the kernel numbers resources (`asm-generic/resource.h`; MIPS has numbers of its own for a few, which
    /// the launcher translates).
    pub resource: u8,
    /// `soft`; the largest number is "unlimited".
    pub soft: u64,
    /// `hard`; the largest number is "unlimited".
    pub hard: u64,
}

/// The resources by number of `asm-generic/resource.h`.
pub const RLIMIT_NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// `scheduler`, for `sched_setattr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `policy`, as the kernel numbers it (`linux/sched.h`).
    pub policy: u32,
    /// `nice`.
    pub nice: i32,
    /// `priority`.
    pub priority: u32,
    /// `flags`, as the kernel's bits.
    pub flags: u64,
    /// `runtime`, nanoseconds.
    pub runtime: u64,
    /// `deadline`, nanoseconds.
    pub deadline: u64,
    /// `period`, nanoseconds.
    pub period: u64,
}

/// `ioPriority`, for `ioprio_set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoPriority {
    /// `class`: 1 real time, 2 best effort, 3 idle.
    pub class: u8,
    /// `priority`, 0 to 7.
    pub priority: u8,
}

/// The policies of `scheduler`, in the order in which `linux/sched.h` numbers them, from 0.
pub const SCHEDULER_POLICIES: Words =
    Words::new("SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_ISO SCHED_IDLE SCHED_DEADLINE ");

/// The flags of `scheduler`, from the lowest of the kernel's bits on.
pub const SCHEDULER_FLAGS: Words = Words::new(concat!(
    "SCHED_FLAG_RESET_ON_FORK SCHED_FLAG_RECLAIM SCHED_FLAG_DL_OVERRUN SCHED_FLAG_KEEP_POLICY ",
    "SCHED_FLAG_KEEP_PARAMS SCHED_FLAG_UTIL_CLAMP_MIN SCHED_FLAG_UTIL_CLAMP_MAX ",
));

/// The classes of `ioPriority`, in the order in which `linux/ioprio.h` numbers them, from 1.
pub const IO_PRIORITY_CLASSES: Words = Words::new("IOPRIO_CLASS_RT IOPRIO_CLASS_BE IOPRIO_CLASS_IDLE ");

/// Reads `process`.
pub(crate) fn read_process<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<Process<'a>> {
    let mut read = Process::EMPTY;
    let process = &mut read;
    members!(value, process, {
        "terminal" => value.boolean_into(&mut process.terminal)?,
        "consoleSize" => process.console_size = Some(read_console_size(value)?),
        "cwd" => process.cwd = value.absolute_path()?,
        "args" => process.args = read_texts(value, spec)?,
        "env" => process.env = read_texts(value, spec)?,
        "user" => process.user = read_user(value, spec)?,
        "capabilities" => {
            process.unknown_capability = None;
            process.capabilities = read_capabilities(value, &mut process.unknown_capability)?;
        },
        "rlimits" => read_rlimits(value, process)?,
        "noNewPrivileges" => value.boolean_into(&mut process.no_new_privileges)?,
        "oomScoreAdj" => process.oom_score_adj = Some(value.between(-1000, 1000)? as i32),
        "apparmorProfile" => value.text_into(&mut process.apparmor_profile)?,
        "selinuxLabel" => value.text_into(&mut process.selinux_label)?,
        "scheduler" => process.scheduler = Some(read_scheduler(value)?),
        "ioPriority" => process.io_priority = Some(read_io_priority(value)?),
        "execCPUAffinity" => read_exec_cpu_affinity(value, process)?,
    })?;
    value.require("cwd", (!process.cwd.is_empty()).then_some(()))?;
    if process.args.is_empty() {
        return Err(value.refuse_member("args", "must name a program"));
    }
    Ok(read)
}

fn read_console_size<'a>(value: &mut Value<'_, 'a>) -> Read<ConsoleSize> {
    let mut size = ConsoleSize { height: 0, width: 0 };
    members!(value, {
        "height" => size.height = value.unsigned_16()?,
        "width" => size.width = value.unsigned_16()?,
    })?;
    Ok(size)
}

fn read_user<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<User> {
    let user = &mut User::default();
    members!(value, user, {
        "uid" => user.uid = value.unsigned_32()?,
        "gid" => user.gid = value.unsigned_32()?,
        "umask" => user.umask = Some(value.between(0, 0o7777)? as u32),
        "additionalGids" => user.additional_gids = read_list(value, spec, |value, _| value.unsigned_32())?,
    })?;
    Ok(*user)
}

fn read_capabilities<'a>(value: &mut Value<'_, 'a>, unknown: &mut Option<Text<'a>>) -> Read<Capabilities> {
    let capabilities = &mut Capabilities::default();
    members!(value, capabilities, {
        "bounding" => capabilities.bounding = read_capability_set(value, unknown)?,
        "effective" => capabilities.effective = read_capability_set(value, unknown)?,
        "permitted" => capabilities.permitted = read_capability_set(value, unknown)?,
        "inheritable" => capabilities.inheritable = read_capability_set(value, unknown)?,
        "ambient" => capabilities.ambient = read_capability_set(value, unknown)?,
    })?;
    Ok(*capabilities)
}

fn read_capability_set<'a>(value: &mut Value<'_, 'a>, unknown: &mut Option<Text<'a>>) -> Read<u64> {
    let mut set = 0;
    value.array(|_, _, value| {
        let name = value.word()?;
        match capability_number(name) {
            Some(number) => set |= 1 << number,
            None if unknown.is_none() => *unknown = Some(value.keep(&[name])?),
            None => {}
        }
        Ok(())
    })?;
    Ok(set)
}

fn read_rlimits<'a>(value: &mut Value<'_, 'a>, process: &mut Process<'a>) -> Read<()> {
    process.rlimits.clear();
    value.array(|_, _, value| {
        let rlimit = read_rlimit(value)?;
        if process.rlimits.iter().any(|before| before.resource == rlimit.resource) {
            return Err(value.refuse("the same resource stands before"));
        }
        process
            .rlimits
            .push(rlimit)
            .map_err(|_| value.refuse_as_too_many("RLIMITS_MAX", RLIMITS_MAX))
    })
}

fn read_rlimit<'a>(value: &mut Value<'_, 'a>) -> Read<Rlimit> {
    let (mut resource, mut soft, mut hard) = (None, None, None);
    members!(value, {
        "type" => {
            let word = value.word()?;
            let number = RLIMIT_NAMES.iter().position(|known| *known == word);
            resource = Some(number.ok_or_else(|| value.refuse("unknown resource "))? as u8);
        },
        "soft" => value.unsigned_into(&mut soft)?,
        "hard" => value.unsigned_into(&mut hard)?,
    })?;
    let rlimit = Rlimit {
        resource: value.require("type", resource)?,
        soft: value.require("soft", soft)?,
        hard: value.require("hard", hard)?,
    };
    if rlimit.soft > rlimit.hard {
        return Err(value.refuse_member("soft", "higher than the hard limit: "));
    }
    Ok(rlimit)
}

fn read_scheduler<'a>(value: &mut Value<'_, 'a>) -> Read<Scheduler> {
    let scheduler = &mut Scheduler::default();
    let mut policy = None;
    members!(value, scheduler, {
        "policy" => policy = Some(value.one_of(SCHEDULER_POLICIES, "unknown policy ")? as u32),
        "nice" => scheduler.nice = value.between(-20, 19)? as i32,
        "priority" => scheduler.priority = value.between(0, 99)? as u32,
        "flags" => scheduler.flags = value.any_of(SCHEDULER_FLAGS, "unknown flag ")?.into(),
        "runtime" => scheduler.runtime = value.unsigned()?,
        "deadline" => scheduler.deadline = value.unsigned()?,
        "period" => scheduler.period = value.unsigned()?,
    })?;
    scheduler.policy = value.require("policy", policy)?;
    Ok(*scheduler)
}

fn read_io_priority<'a>(value: &mut Value<'_, 'a>) -> Read<IoPriority> {
    let (mut class, mut priority) = (None, 0);
    members!(value, {
        "class" => class = Some(value.one_of(IO_PRIORITY_CLASSES, "unknown class ")? as u8 + 1),
        "priority" => priority = value.between(0, 7)? as u8,
    })?;
    Ok(IoPriority {
        class: value.require("class", class)?,
        priority,
    })
}

fn read_exec_cpu_affinity<'a>(value: &mut Value<'_, 'a>, process: &mut Process<'a>) -> Read<()> {
    members!(value, process, {
        "initial" => value.text_into(&mut process.exec_cpu_affinity_initial)?,
        "final" => value.text_into(&mut process.exec_cpu_affinity_final)?,
    })
}

#[cfg(test)]
mod tests;
