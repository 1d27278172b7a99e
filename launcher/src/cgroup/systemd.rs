//! `--systemd-cgroup`: a scope of systemd's in place of a cgroup that roci makes.
//!
//! systemd makes the cgroup and moves the process there, and has to know the limits, since it writes those that it knows
//! again whenever it likes; roci writes all of them into the files as it does elsewhere. A scope ends with its last process.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketType, send};
use spec_core::Spec;
use spec_core::resources::Resources;
use sys::{OwnedFd, Register, TakeOnce};

use super::dbus::{ANSWER, Calls, List, MESSAGE_BYTES, Message, REFUSAL, SIGNAL, Target, receive};
use super::resources::{Purpose, meant, shares_or_weight};
use super::unit::annotate;
pub use super::unit::{Unit, note, noted_path, remove};
use crate::container::in_user_namespace;
use crate::error::{Error, Result, keep};
use crate::msg;
use crate::path::Path;
use crate::text::{cut, parts, utf8};
use crate::time::{milliseconds, pause};

const MANAGER: Target = [
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
    "org.freedesktop.systemd1",
];
const PROPERTIES: Target = [
    "/org/freedesktop/systemd1",
    "org.freedesktop.DBus.Properties",
    "org.freedesktop.systemd1",
];
const BUS: Target = ["/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus"];

/// How long systemd may be silent.
const PATIENCE_MS: u32 = 15_000;
/// How many messages it may send meanwhile that are about something else.
const MESSAGES_MAX: u32 = 100_000;

/// Whether it is the systemd of a user, and not the host's.
pub(super) fn is_users() -> bool {
    !rustix::process::geteuid().is_root() || in_user_namespace()
}

/// A line to systemd.
pub struct Systemd {
    socket: OwnedFd,
    calls: Calls,
    memory: &'static mut [u8; MESSAGE_BYTES],
    /// How much of the memory is the last message.
    len: usize,
}

static MEMORY: TakeOnce<[u8; MESSAGE_BYTES]> = TakeOnce::new([0; MESSAGE_BYTES]);

/// What failed is in [`SAID`].
#[derive(Clone, Copy)]
pub struct Failed;

/// What a call ends with.
type Asked<T> = core::result::Result<T, Failed>;

/// Why the last call has failed.
pub(super) static SAID: Register<&str> = Register::new("");

#[inline(never)]
fn failed(text: &'static str) -> Failed {
    SAID.set(text);
    Failed
}

#[cold]
#[inline(never)]
fn failed_with(errno: Errno) -> Failed {
    failed(match errno {
        Errno::PIPE => msg!("it has hung up").get(),
        Errno::PROTO => msg!("it says something that is not D-Bus").get(),
        Errno::TIMEDOUT => msg!("it does not answer").get(),
        errno => crate::errno::text(errno),
    })
}

/// The kernel's part of a call.
fn known<T>(result: core::result::Result<T, Errno>) -> Asked<T> {
    result.map_err(failed_with)
}

impl Systemd {
    /// Connects to the systemd that is responsible.
    pub fn connect(arguments: sys::Arguments) -> Result<Self> {
        match Self::try_connect(arguments) {
            Ok(systemd) => Ok(systemd),
            Err(Failed) => Err(Error::says(
                msg!("--systemd-cgroup: there is no systemd to talk to: #"),
                SAID.get(),
            )),
        }
    }

    /// The same, for who can do without: over its own socket, or over the bus.
    pub fn try_connect(arguments: sys::Arguments) -> Asked<Self> {
        let is_users = is_users();
        let variable = |name| arguments.variable(name).map_or("", |value| utf8(value.to_bytes()));
        let (address, directory, bus) = match is_users {
            true => ("DBUS_SESSION_BUS_ADDRESS", variable("XDG_RUNTIME_DIR"), "/bus"),
            false => ("DBUS_SYSTEM_BUS_ADDRESS", "/run", "/dbus/system_bus_socket"),
        };
        let mut named = variable(address).strip_prefix("unix:path=").unwrap_or_default();
        // Other addresses may follow, and more about this one.
        let named = cut(&mut cut(&mut named, b';'), b',');
        let socket = known(sys::fd::socket(AddressFamily::UNIX, SocketType::STREAM))?;
        let connect = |parts: &[&str; 2]| {
            let path = keep("##", parts);
            let result = sys::socket::connect(socket.as_fd(), Path::new(path.as_bytes()).as_c_str());
            result.map_err(|errno| SAID.set(keep("connect to #: #", &[path, crate::errno::text(errno)])))
        };
        // Who names a bus means that one.
        let is_own = named.is_empty() && connect(&[directory, "/systemd/private"]).is_ok();
        if !is_own {
            let place = if named.is_empty() {
                [directory, bus]
            } else {
                [named, ""]
            };
            connect(&place).map_err(|()| Failed)?;
        }
        let mut systemd = Self {
            socket,
            calls: Calls::new(),
            memory: MEMORY.take(),
            len: 0,
        };
        systemd.greet(is_own).map(|()| systemd)
    }

    /// Says who we are, which the kernel tells the other side, and with a bus asks it to be let in.
    #[inline(never)]
    fn greet(&mut self, is_own: bool) -> Asked<()> {
        send_all(&self.socket, b"\0AUTH EXTERNAL\r\nDATA\r\n")?;
        let mut line = [0; 128];
        let mut len = 0;
        loop {
            let n = known(read_patiently(&self.socket, line.get_mut(len..).unwrap_or_default()))?;
            if n == 0 {
                return Err(failed_with(Errno::PIPE));
            }
            len += n;
            // It asks for a name that it can do without, and says nothing more until it has heard the end of this.
            let said = utf8(line.get(..len).unwrap_or_default());
            let said = said.strip_prefix("DATA\r\n").unwrap_or(said);
            let Some(said) = said.strip_suffix("\r\n") else {
                continue;
            };
            if said.starts_with("OK ") {
                break;
            }
            return Err(failed(keep(msg!("it does not let us in: #"), &[said])));
        }
        send_all(&self.socket, b"BEGIN\r\n")?;
        if is_own {
            return Ok(());
        }
        self.calls.call(&BUS, "Hello", "");
        self.ask()?;
        self.calls.call(&BUS, "AddMatch", "s");
        self.calls
            .text("type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'");
        self.ask()
    }

    /// Waits for a message for which `fits` holds.
    fn wait(&mut self, fits: &mut dyn FnMut(&Message<'_>) -> bool) -> Asked<()> {
        for _ in 0..MESSAGES_MAX {
            let socket = &self.socket;
            self.len = known(receive(self.memory, &mut |part| read_patiently(socket, part)))?;
            match self.message() {
                Some(message) if fits(&message) => return Ok(()),
                Some(_) => {}
                None => return Err(failed_with(Errno::PROTO)),
            }
        }
        Err(failed_with(Errno::TIMEDOUT))
    }

    /// The last message.
    fn message(&self) -> Option<Message<'_>> {
        Message::parse(self.memory.get(..self.len)?)
    }

    /// Sends what was put together and waits for the answer to its last call.
    fn ask(&mut self) -> Asked<()> {
        let serial = self.calls.serial;
        send_all(&self.socket, known(self.calls.finish())?)?;
        self.wait(&mut |message| matches!(message.kind, ANSWER | REFUSAL) && message.answers == serial)?;
        let Some(mut message) = self.message() else {
            return Ok(());
        };
        if message.kind == REFUSAL {
            let said = message.body.text().unwrap_or_default();
            return Err(failed(keep("# (#)", &[said, message.error])));
        }
        Ok(())
    }

    /// Waits until the job that the last call has begun for the unit is over.
    fn wait_for_job(&mut self, unit: &Unit) -> Asked<()> {
        let mut result = "";
        self.wait(&mut |message| {
            let mut body = message.body;
            let is_ours = message.kind == SIGNAL
                && message.member == "JobRemoved"
                && body.word().is_some()
                && body.text().is_some()
                && body.text() == Some(unit.name);
            if is_ours {
                result = keep("#", &[body.text().unwrap_or_default()]);
            }
            is_ours
        })?;
        if result == "done" {
            Ok(())
        } else {
            Err(failed(keep(msg!("its job ended as #"), &[result])))
        }
    }

    /// Where the unit's cgroup will be: the cgroup of a user's systemd is somewhere below the root.
    #[inline(never)]
    pub fn path_of(&mut self, unit: &Unit) -> Result<Path> {
        let path = if is_users() {
            self.ask_for_root(unit)?
        } else {
            unit.path("")
        };
        if path.as_bytes().is_empty() {
            return Err(Error::says(
                msg!("linux.cgroupsPath: no slice and name of systemd's: #"),
                unit.slice,
            ));
        }
        Ok(path)
    }

    /// The path below the cgroup that a user's systemd has.
    fn ask_for_root(&mut self, unit: &Unit) -> Result<Path> {
        self.calls.call(&PROPERTIES, "Get", "ss");
        self.calls.text("org.freedesktop.systemd1.Manager");
        self.calls.text("ControlGroup");
        self.ask().map_err(|Failed| unit.refused())?;
        let manager = self.message().and_then(|mut message| {
            message.body.signature()?;
            message.body.text()
        });
        Ok(unit.path(manager.unwrap_or_default()))
    }

    /// Makes the unit with `pid` in it, and waits until it is there.
    #[inline(never)]
    pub fn start(&mut self, unit: &Unit, spec: &Spec<'static>, id: &str, pid: i32) -> Result<()> {
        /// For systemd to clear away one of that name that has just ended, which it does when it finds the time.
        const ATTEMPTS: u32 = 25;
        let mut started = self.try_start(unit, spec, id, pid)?;
        for attempt in 1..ATTEMPTS {
            if started.is_ok() || !(SAID.get().ends_with("systemd1.UnitExists)")) {
                break;
            }
            // One that has failed lies around until somebody takes note.
            let _ = self.reset(unit);
            pause(2 * attempt);
            started = self.try_start(unit, spec, id, pid)?;
        }
        started
            .and_then(|()| self.wait_for_job(unit))
            .map_err(|Failed| unit.refused())
    }

    #[inline(never)]
    fn try_start(&mut self, unit: &Unit, spec: &Spec<'static>, id: &str, pid: i32) -> Result<Asked<()>> {
        let calls = &mut self.calls;
        calls.call(&MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))");
        calls.text(unit.name);
        calls.text("replace");
        let properties = calls.open(8);
        calls.property("Description", b's', 0, keep("OCI container #", &[id]));
        calls.property("Slice", b's', 0, unit.slice);
        calls.property("PIDs", b'U', pid as u64, "");
        // A failed one is forgotten as well.
        calls.property("CollectMode", b's', 0, "inactive-or-failed");
        for word in parts(SWITCHES, b' ') {
            calls.property(word, b'b', u64::from(word != "DefaultDependencies"), "");
        }
        annotate(calls, spec)?;
        calls.close(properties);
        // No further units.
        let further = calls.open(8);
        calls.close(further);
        Ok(self.ask())
    }

    /// Tells the unit's limits.
    #[inline(never)]
    pub fn limit(&mut self, unit: &Unit, resources: &Resources<'_>, is_v2: bool, purpose: Purpose) -> Result<()> {
        let memory = &resources.memory;
        let cpu = &resources.cpu;
        let (limit, quota) = (meant(memory.limit), meant(cpu.quota));
        let period = cpu.period.filter(|period| *period != 0);
        let swap = meant(memory.swap).map(|swap| if swap > 0 { swap - limit.unwrap_or(0) } else { swap });
        let shares = cpu.shares.filter(|shares| *shares != 0);
        let pids = resources
            .pids_limit
            .filter(|pids| *pids != 0 || purpose == Purpose::Create);
        let list = self.begin_limits(unit);
        let calls = &mut self.calls;
        let mut rows = parts(LIMITS, b' ');
        let mut known = false;
        let mut set = |value: Option<i64>| {
            let mut rest = rows.next().unwrap_or_default();
            let two = cut(&mut rest, b'/');
            let name = if is_v2 { two } else { rest };
            if let Some(value) = value.filter(|_| !name.is_empty()) {
                calls.property(name, b't', value.cast_unsigned(), "");
                known = true;
            }
        };
        set(limit);
        set(meant(memory.reservation));
        set(swap);
        set(shares.map(|shares| shares_or_weight(shares, is_v2).cast_signed()));
        set(quota.map(|quota| processor_time(quota, period).cast_signed()));
        // -1 is the largest number, which is none.
        set(pids.map(|pids| if pids > 0 { pids } else { -1 }));
        set(meant(resources.block_io.weight.map(i64::from)));
        self.calls.close(list);
        if known {
            self.ask().map_err(|Failed| unit.refused())?;
        }
        // Older ones do not know these (before 244), and the files count as well.
        if period.is_none() && cpu.cpus.is_none() && cpu.mems.is_none() {
            return Ok(());
        }
        let list = self.begin_limits(unit);
        if let Some(period) = period {
            self.calls.property("CPUQuotaPeriodUSec", b't', period, "");
        }
        for (name, bits) in [("AllowedCPUs", cpu.cpus), ("AllowedMemoryNodes", cpu.mems)] {
            if let Some(bits) = bits {
                self.calls.property(name, b'Y', 0, bits.as_str());
            }
        }
        self.calls.close(list);
        let _ = self.ask();
        Ok(())
    }

    /// Begins the call that sets properties, until the next start of the machine at most.
    fn begin_limits(&mut self, unit: &Unit) -> List {
        let _ = self.calls.finish();
        self.calls.call(&MANAGER, "SetUnitProperties", "sba(sv)");
        self.calls.text(unit.name);
        self.calls.word(1);
        self.calls.open(8)
    }

    /// Ends the unit, and forgets that it has failed if it has.
    pub fn stop(&mut self, unit: &Unit) {
        self.calls.call(&MANAGER, "StopUnit", "ss");
        self.calls.text(unit.name);
        self.calls.text("replace");
        // Mostly it is gone, with its last process.
        if self.ask().is_ok() {
            let _ = self.wait_for_job(unit);
        }
        let _ = self.reset(unit);
    }

    fn reset(&mut self, unit: &Unit) -> Asked<()> {
        self.calls.call(&MANAGER, "ResetFailedUnit", "s");
        self.calls.text(unit.name);
        self.ask()
    }
}

fn send_all(socket: &OwnedFd, mut bytes: &[u8]) -> Asked<()> {
    while !bytes.is_empty() {
        let n = known(send(socket, bytes, SendFlags::NOSIGNAL))?;
        bytes = bytes.get(n..).unwrap_or_default();
    }
    Ok(())
}

/// Reads what there is, or is to come soon.
fn read_patiently(socket: &OwnedFd, part: &mut [u8]) -> core::result::Result<usize, Errno> {
    if poll(
        &mut [PollFd::new(socket, PollFlags::IN)],
        Some(&milliseconds(PATIENCE_MS)),
    )? == 0
    {
        return Err(Errno::TIMEDOUT);
    }
    rustix::io::read(socket, part)
}

/// Properties of every unit that are switched on, but for the one that is switched off.
const SWITCHES: &str = "Delegate MemoryAccounting CPUAccounting IOAccounting TasksAccounting DefaultDependencies";

/// Properties of limits, in version 2 of cgroups and in version 1.
const LIMITS: &str = "MemoryMax/MemoryLimit MemoryLow/ MemorySwapMax/ CPUWeight/CPUShares \
    CPUQuotaPerSecUSec/CPUQuotaPerSecUSec TasksMax/TasksMax /BlockIOWeight";

/// The microseconds of processors in a second, in whole percents of a processor, as systemd counts.
fn processor_time(quota: i64, period: Option<u64>) -> u64 {
    if quota < 0 {
        return u64::MAX;
    }
    let time = quota.cast_unsigned().saturating_mul(1_000_000) / period.unwrap_or(100_000);
    time.next_multiple_of(10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_rounded_up_to_percents() {
        assert_eq!(processor_time(50_000, None), 500_000);
        assert_eq!(processor_time(12_345, Some(100_000)), 130_000);
        assert_eq!(processor_time(200_000, Some(100_000)), 2_000_000);
        assert_eq!(processor_time(0, None), 0);
        assert_eq!(processor_time(-1, Some(100_000)), u64::MAX);
    }
}
