//! `process`: what is run, and as whom.

use heapless::Vec;

use crate::limits::RLIMITS_MAX;
use crate::schema::{Given, Object, Wrong, members, push};
use crate::spec::{List, Present};
use crate::text::Text;
use crate::words::{Family, family};

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
    /// `rlimits`, no type twice. There is room for one that is.
    pub rlimits: Vec<Rlimit, { RLIMITS_MAX + 1 }>,
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

impl<'a> Process<'a> {
    /// Nothing to run.
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            terminal: false,
            console_size: None,
            cwd: blank,
            args: List::EMPTY,
            env: List::EMPTY,
            user: User::NONE,
            capabilities: Capabilities::NONE,
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
        }
    }
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

impl User {
    /// Root, as who does not say anything gets it.
    const NONE: Self = Self {
        uid: 0,
        gid: 0,
        umask: None,
        additional_gids: List::EMPTY,
    };
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

impl Capabilities {
    /// Empty sets.
    const NONE: Self = Self {
        bounding: 0,
        effective: 0,
        permitted: 0,
        inheritable: 0,
        ambient: 0,
    };
}

/// The capabilities by number, as `linux/capability.h` numbers them.
pub const CAPABILITY_NAMES: Family = family!(
    "CAP_",
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE ",
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT ",
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE ",
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ ",
    "PERFMON BPF CHECKPOINT_RESTORE ",
);

/// The number of the capability `name`, with or without `CAP_`, in any case of letters; `None` where nobody knows it.
pub fn capability_number(name: &str) -> Option<u8> {
    let is_it = |known: &str, name: &str| name.bytes().map(|byte| byte.to_ascii_uppercase()).eq(known.bytes());
    let (prefix, names) = CAPABILITY_NAMES.split();
    let bare = match name.split_at_checked(prefix.len()) {
        Some((first, bare)) if is_it(prefix, first) => bare,
        _ => name,
    };
    let number = names.iter().position(|known| is_it(known, bare))?;
    Some(number as u8)
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

impl Rlimit {
    const EMPTY: Self = Self {
        resource: 0,
        soft: 0,
        hard: 0,
    };
}

/// The resources by number of `asm-generic/resource.h`.
pub const RLIMIT_NAMES: Family = family!(
    "RLIMIT_",
    "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME "
);

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
pub const SCHEDULER_POLICIES: Family = family!("SCHED_", "OTHER FIFO RR BATCH ISO IDLE DEADLINE ");

/// The place of `SCHED_FIFO` among them.
pub(crate) const SCHED_FIFO: u32 = 1;
/// The place of `SCHED_RR` among them.
pub(crate) const SCHED_RR: u32 = 2;
/// The place of `SCHED_DEADLINE` among them.
pub(crate) const SCHED_DEADLINE: u32 = 6;

/// The flags of `scheduler`, from the lowest of the kernel's bits on.
pub const SCHEDULER_FLAGS: Family = family!(
    "SCHED_FLAG_",
    "RESET_ON_FORK RECLAIM DL_OVERRUN KEEP_POLICY KEEP_PARAMS UTIL_CLAMP_MIN UTIL_CLAMP_MAX "
);

/// The classes of `ioPriority`, in the order in which `linux/ioprio.h` numbers them, from 1.
pub const IO_PRIORITY_CLASSES: Family = family!("IOPRIO_CLASS_", "RT BE IDLE ");

members! {
    const PROCESS, fn store_process(process: Process<'a>, given) {
        "terminal": Boolean => process.terminal = given.flag(),
        "consoleSize": Object(Object::ConsoleSize) => {},
        "cwd": Text(Rule::Absolute), required => process.cwd = given.text,
        "args": Texts(Rule::Any) => process.args = given.list(),
        "env": Texts(Rule::Any) => process.env = given.list(),
        "user": Object(Object::User) => {},
        "capabilities": Object(Object::Capabilities) => {},
        "rlimits": List(Object::Rlimit) => {},
        "noNewPrivileges": Boolean => process.no_new_privileges = given.flag(),
        "oomScoreAdj": Integer(Range::OomScore) => process.oom_score_adj = Some(given.number as i32),
        "apparmorProfile": Text(Rule::Optional) => process.apparmor_profile = given.optional_text,
        "selinuxLabel": Text(Rule::Optional) => process.selinux_label = given.optional_text,
        "scheduler": Object(Object::Scheduler) => {},
        "ioPriority": Object(Object::IoPriority) => {},
        "execCPUAffinity": Object(Object::ExecCpuAffinity) => {},
    }
}

members! {
    const CONSOLE_SIZE, fn store_console_size(size: ConsoleSize, given) {
        "height": Integer(Range::Unsigned16) => size.height = given.number as u16,
        "width": Integer(Range::Unsigned16) => size.width = given.number as u16,
    }
}

members! {
    const USER, fn store_user(user: User, given) {
        "uid": Integer(Range::Id) => user.uid = given.number as u32,
        "gid": Integer(Range::Id) => user.gid = given.number as u32,
        "umask": Integer(Range::Umask) => user.umask = Some(given.number as u32),
        "additionalGids": Ids => user.additional_gids = given.list(),
    }
}

members! {
    const CAPABILITIES, fn store_capabilities(capabilities: Capabilities, given) {
        "bounding": Capabilities => capabilities.bounding = given.number,
        "effective": Capabilities => capabilities.effective = given.number,
        "permitted": Capabilities => capabilities.permitted = given.number,
        "inheritable": Capabilities => capabilities.inheritable = given.number,
        "ambient": Capabilities => capabilities.ambient = given.number,
    }
}
/// The number of no member: an unknown name in one of the sets.
pub(crate) const UNKNOWN_CAPABILITY: usize = CAPABILITIES.len();

members! {
    const RLIMIT, fn store_rlimit(rlimit: Rlimit, given) {
        "type": Word(Vocabulary::Resource), required => rlimit.resource = given.number as u8,
        "soft": Integer(Range::Unsigned64), required => rlimit.soft = given.number,
        "hard": Integer(Range::Unsigned64), required => rlimit.hard = given.number,
    }
}

members! {
    const SCHEDULER, fn store_scheduler(scheduler: Scheduler, given) {
        "policy": Word(Vocabulary::Policy), required => scheduler.policy = given.number as u32,
        "nice": Integer(Range::Nice) => scheduler.nice = given.number as i32,
        "priority": Integer(Range::Priority) => scheduler.priority = given.number as u32,
        "flags": Words(Vocabulary::SchedulerFlag) => scheduler.flags = given.number,
        "runtime": Integer(Range::Unsigned64) => scheduler.runtime = given.number,
        "deadline": Integer(Range::Unsigned64) => scheduler.deadline = given.number,
        "period": Integer(Range::Unsigned64) => scheduler.period = given.number,
    }
}

members! {
    const IO_PRIORITY, fn store_io_priority(io: IoPriority, given) {
        "class": Word(Vocabulary::IoClass), required => io.class = given.number as u8 + 1,
        "priority": Integer(Range::IoPriority) => io.priority = given.number as u8,
    }
}

members! {
    const EXEC_CPU_AFFINITY, fn store_exec_cpu_affinity(process: Process<'a>, given) {
        "initial": Text(Rule::Optional) => process.exec_cpu_affinity_initial = given.optional_text,
        "final": Text(Rule::Optional) => process.exec_cpu_affinity_final = given.optional_text,
    }
}

/// The parts of [`crate::schema::Target`] that are about the objects in `process`.
impl<'a> Process<'a> {
    pub(crate) fn open(&mut self, object: Object) -> Result<(), Object> {
        match object {
            Object::ConsoleSize => self.console_size = Some(ConsoleSize { height: 0, width: 0 }),
            Object::User => self.user = User::NONE,
            Object::Capabilities => {
                self.capabilities = Capabilities::NONE;
                self.unknown_capability = None;
            }
            Object::Scheduler => self.scheduler = Some(Scheduler::default()),
            Object::IoPriority => self.io_priority = Some(IoPriority { class: 0, priority: 0 }),
            Object::Rlimit => return push(&mut self.rlimits, Rlimit::EMPTY, object),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn store(&mut self, object: Object, member: usize, given: &Given<'a>) {
        match object {
            Object::Process => store_process(self, member, given),
            Object::ConsoleSize => {
                if let Some(size) = &mut self.console_size {
                    store_console_size(size, member, given);
                }
            }
            Object::User => store_user(&mut self.user, member, given),
            Object::Capabilities if member == UNKNOWN_CAPABILITY => {
                self.unknown_capability = self.unknown_capability.or(Some(given.text));
            }
            Object::Capabilities => store_capabilities(&mut self.capabilities, member, given),
            Object::Rlimit => {
                if let Some(last) = self.rlimits.last_mut() {
                    store_rlimit(last, member, given);
                }
            }
            Object::Scheduler => {
                if let Some(scheduler) = &mut self.scheduler {
                    store_scheduler(scheduler, member, given);
                }
            }
            Object::IoPriority => {
                if let Some(io) = &mut self.io_priority {
                    store_io_priority(io, member, given);
                }
            }
            Object::ExecCpuAffinity => store_exec_cpu_affinity(self, member, given),
            _ => {}
        }
    }

    pub(crate) fn close(&self) -> Result<(), Wrong> {
        if self.args.is_empty() {
            return Err(Wrong::NoArguments);
        }
        Ok(())
    }

    pub(crate) fn close_rlimit(&self) -> Result<(), Wrong> {
        let Some((rlimit, before)) = self.rlimits.split_last() else {
            return Ok(());
        };
        if rlimit.soft > rlimit.hard {
            return Err(Wrong::SoftLimit);
        }
        if before.iter().any(|before| before.resource == rlimit.resource) {
            return Err(Wrong::SameResource);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
