//! Who has which address of a network. It is the network's hosts file, in which containers also find each other by name: what
//! has to be written anyway is also what is remembered.
//!
//! The file is `.NAME.hosts` in the state root. Its first line, a comment, describes the network:
//! `# roci STATUS KIND MTU SUBNET [SUBNET]`. Behind it stands what every machine has, and then a line for each address:
//! `ADDRESS ID [HOSTNAME] [#PORT,PORT...]`. Running containers have the file mounted, so it is changed in place. Who changes
//! it has the lock of the state root, which no container can reach.

use core::ffi::CStr;

use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, ftruncate};
use rustix::io::{Errno, pwrite};
use sys::OwnedFd;
use sys::fd::create_in;

use super::address::{Address, LEASES_MAX, Port, Subnet, hash};
use super::settings::PORTS_MAX;
use crate::container::read_own;
use crate::path::Path;
use crate::text::{Digits, Sink, cut, parse_number, parts, split_once, utf8};

type Result<T> = core::result::Result<T, Errno>;

/// Bytes of the longest hosts file: a thousand containers with an address of each kind.
pub const HOSTS_BYTES_MAX: usize = 128 * 1024;

/// What is behind the words of the first line that are always the same.
const STATUS_AT: usize = "# roci ".len();

/// How far a network has come. The words are of one length, so that one can replace the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Its bridge is being made.
    New,
    /// It is complete, and the packet filter translates addresses for it.
    Nat,
    /// It is complete without that.
    Raw,
}

const STATUSES: [(&str, Status); 3] = [("new", Status::New), ("nat", Status::Nat), ("raw", Status::Raw)];

/// What the containers of a network are connected by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// A bridge that was made for them.
    Bridge,
    /// A bridge that was there before.
    Foreign,
    /// A device that each has one of its own on top of.
    Macvlan,
}

/// The words for them.
pub const CARRIERS: [(&str, Carrier); 3] = [
    ("bridge", Carrier::Bridge),
    ("foreign", Carrier::Foreign),
    ("macvlan", Carrier::Macvlan),
];

/// The first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Description {
    /// How far it has come.
    pub status: Status,
    /// What it is.
    pub carrier: Carrier,
    /// The MTU of its devices.
    pub mtu: u32,
    /// Its subnets.
    pub subnets: [Option<Subnet>; 2],
}

/// What a container had.
pub struct Had {
    /// Its addresses.
    pub addresses: [Option<Address>; 2],
    /// The ports that were published for it.
    pub ports: Vec<Port, PORTS_MAX>,
}

/// The hosts file of a network, in memory.
pub struct Table<'m> {
    file: OwnedFd,
    memory: &'m mut [u8],
    len: usize,
    /// From where on the file is not what is in memory.
    saved: usize,
}

/// `.NAME.KIND`, which no container's directory is called.
pub fn file_name(name: &str, kind: &str) -> Path {
    Path::of(&[b".", name.as_bytes(), b".", kind.as_bytes()])
}

/// Takes the lock of the state root, under which networks are made, changed and removed, or gives it back.
pub fn set_locked(root: BorrowedFd<'_>, locked: bool) -> Result<()> {
    let operation = if locked {
        FlockOperation::LockExclusive
    } else {
        FlockOperation::Unlock
    };
    loop {
        match flock(root, operation) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

impl<'m> Table<'m> {
    /// Opens the hosts file of the network `name` and reads it; an empty one where `flags` say that it is to be made.
    pub fn open(root: BorrowedFd<'_>, name: &str, flags: OFlags, memory: &'m mut [u8]) -> Result<Self> {
        let path = file_name(name, "hosts");
        let mode = Mode::from_raw_mode(0o644);
        let file = create_in(root, path.as_c_str(), OFlags::RDWR | OFlags::NOFOLLOW | flags, mode)?;
        let len = read_own(file.as_fd(), memory)?.ok_or(Errno::FBIG)?.len();
        Ok(Self {
            file,
            memory,
            len,
            saved: len,
        })
    }

    fn text(&self) -> &str {
        utf8(self.memory.get(..self.len).unwrap_or_default())
    }

    /// What the first line says; `None` where there is none, since nobody has come to writing it.
    pub fn description(&self) -> Option<Description> {
        let mut rest = self.text();
        let mut line = cut(&mut rest, b'\n');
        if cut(&mut line, b' ') != "#" || cut(&mut line, b' ') != "roci" {
            return None;
        }
        let status = cut(&mut line, b' ');
        let carrier = cut(&mut line, b' ');
        let mtu = parse_number(cut(&mut line, b' '))?;
        let mut subnets = [None; 2];
        for subnet in parts(line, b' ').filter_map(Subnet::parse) {
            *subnets.get_mut(subnet.gateway.version())? = Some(subnet);
        }
        Some(Description {
            status: STATUSES.iter().find(|(word, _)| *word == status)?.1,
            carrier: CARRIERS.iter().find(|(word, _)| *word == carrier)?.1,
            mtu: mtu as u32,
            subnets,
        })
    }

    /// Writes the first line and what every machine has.
    pub fn describe(&mut self, description: &Description) {
        let status = STATUSES.iter().find(|(_, status)| *status == description.status);
        let carrier = CARRIERS.iter().find(|(_, carrier)| *carrier == description.carrier);
        self.put_words(&["# roci ", status.map_or("", |(word, _)| word), " "]);
        let mtu = Digits::of(description.mtu.into());
        self.put_words(&[carrier.map_or("", |(word, _)| word), " ", mtu.as_str()]);
        for subnet in description.subnets.iter().flatten() {
            self.put(" ");
            subnet.write(self);
        }
        // Their tabs tell them from leases.
        self.put("\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    }

    fn put_words(&mut self, words: &[&str]) {
        words.iter().for_each(|word| self.put(word));
    }

    /// The network is complete.
    pub fn set_status(&mut self, status: Status) -> Result<()> {
        let word = STATUSES
            .iter()
            .find(|(_, of)| *of == status)
            .map_or("", |(word, _)| word);
        pwrite(&self.file, word.as_bytes(), STATUS_AT as u64).map(drop)
    }

    fn leases(&self) -> Leases<'_> {
        let text = self.text();
        Leases { text, rest: text }
    }

    /// Who has the address.
    pub fn owner_of(&self, address: Address) -> Option<&str> {
        self.leases()
            .find(|lease| lease.address == address)
            .map(|lease| lease.id)
    }

    /// The first owner for whom `is_wanted` holds.
    pub fn find_owner(&self, is_wanted: &dyn Fn(&str) -> bool) -> Option<&str> {
        self.leases().map(|lease| lease.id).find(|id| is_wanted(id))
    }

    /// How many containers there are.
    pub fn count(&self) -> usize {
        let mut last = "";
        let mut count = 0;
        for lease in self.leases() {
            count += usize::from(lease.id != last);
            last = lease.id;
        }
        count
    }

    /// Whether a container is called `name`.
    fn knows(&self, name: &str) -> bool {
        self.leases()
            .any(|lease| lease.id == name || split_once(lease.rest, b' ').0 == name)
    }

    /// Addresses for the container `id` that nobody has: those in `wanted`, and where there is none, one that the id
    /// suggests, so that a container that comes back usually has the one that others remember. `None` where there is no more.
    pub fn choose(
        &self,
        subnets: &[Option<Subnet>; 2],
        wanted: &[Option<Address>; 2],
        id: &str,
    ) -> Option<[Option<Address>; 2]> {
        let mut taken = [0_u8; LEASES_MAX as usize / 8];
        for lease in self.leases() {
            for subnet in subnets.iter().flatten() {
                let number = subnet.number_of(lease.address).unwrap_or(u32::MAX);
                if let Some(byte) = taken.get_mut(number as usize / 8) {
                    *byte |= 1 << (number % 8);
                }
            }
        }
        // One number for both is simpler to remember. The first is the network's own, and the second the gateway's.
        let end = subnets.iter().flatten().map(Subnet::end).min().unwrap_or(0);
        let mut number = (hash(id.as_bytes()) >> 32) as u32 & (LEASES_MAX - 1);
        while number >= end.max(1) {
            number -= end.max(1);
        }
        let mut left = end;
        let is_taken = |number: u32| {
            let byte = taken.get(number as usize / 8).copied().unwrap_or(u8::MAX);
            number < 2 || byte >> (number % 8) & 1 != 0
        };
        while left > 0 && is_taken(number) {
            number = if number + 1 < end { number + 1 } else { 0 };
            left -= 1;
        }
        let mut chosen = *wanted;
        for (place, subnet) in chosen.iter_mut().zip(subnets) {
            if let (None, Some(subnet)) = (&place, subnet) {
                if left == 0 {
                    return None;
                }
                *place = Some(subnet.host(number));
            }
        }
        Some(chosen)
    }

    /// Writes down that the container `id` has these addresses and ports. A name that somebody has already is left to them.
    pub fn add(&mut self, id: &str, hostname: &str, addresses: &[Option<Address>; 2], ports: &[&str]) {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name = !hostname.is_empty() && hostname.bytes().all(is_letter);
        let has_name = is_name && hostname != id && !self.knows(hostname);
        let mut ports = ports;
        for address in addresses.iter().flatten() {
            address.write(self);
            self.put_words(&[" ", id]);
            if has_name {
                self.put_words(&[" ", hostname]);
            }
            for (index, port) in core::mem::take(&mut ports).iter().enumerate() {
                self.put_words(&[if index == 0 { " #" } else { "," }, port]);
            }
            self.put("\n");
        }
    }

    /// Takes away what the container `id` has.
    pub fn remove(&mut self, id: &str) -> Had {
        let mut had = Had {
            addresses: [None; 2],
            ports: Vec::new(),
        };
        loop {
            let Some(Lease {
                start, address, rest, ..
            }) = self.leases().find(|lease| lease.id == id)
            else {
                return had;
            };
            let ports = split_once(rest, b'#').1.unwrap_or_default();
            for port in parts(ports, b',').filter_map(Port::parse) {
                let _ = had.ports.push(port);
            }
            if let Some(place) = had.addresses.get_mut(address.version()) {
                *place = Some(address);
            }
            let rest = self.memory.get_mut(start..self.len).unwrap_or_default();
            let end = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), |end| end + 1);
            for at in end..rest.len() {
                let byte = rest.get(at).copied().unwrap_or_default();
                if let Some(place) = rest.get_mut(at - end) {
                    *place = byte;
                }
            }
            self.len -= end;
            self.saved = self.saved.min(start);
        }
    }

    /// Writes what has changed into the file.
    ///
    /// # Errors
    /// The kernel's; `EFBIG` for more than the file may hold.
    pub fn save(&mut self) -> Result<()> {
        let changed = self.memory.get(self.saved..self.len).ok_or(Errno::FBIG)?;
        if self.len >= self.memory.len() {
            return Err(Errno::FBIG);
        }
        if !changed.is_empty() {
            pwrite(&self.file, changed, self.saved as u64)?;
        }
        Ok(())
    }

    /// The same after something was taken away.
    pub fn save_shorter(&mut self) -> Result<()> {
        self.save()?;
        ftruncate(&self.file, self.len as u64)
    }
}

/// The leases in a hosts file.
struct Leases<'t> {
    text: &'t str,
    rest: &'t str,
}

/// An address that somebody has.
struct Lease<'t> {
    /// Where its line begins.
    start: usize,
    address: Address,
    /// Whose it is.
    id: &'t str,
    /// What follows: the hostname, the ports.
    rest: &'t str,
}

impl<'t> Iterator for Leases<'t> {
    type Item = Lease<'t>;

    #[inline(never)]
    fn next(&mut self) -> Option<Lease<'t>> {
        while !self.rest.is_empty() {
            let start = self.text.len() - self.rest.len();
            let mut rest = cut(&mut self.rest, b'\n');
            if let Some(address) = Address::parse(cut(&mut rest, b' ')) {
                let id = cut(&mut rest, b' ');
                return Some(Lease {
                    start,
                    address,
                    id,
                    rest,
                });
            }
        }
        None
    }
}

/// What is put goes behind the rest. What there is no room for is counted, and `save` says so.
impl Sink for Table<'_> {
    #[inline(never)]
    fn put(&mut self, text: &str) {
        let end = self.len.saturating_add(text.len());
        if let Some(place) = self.memory.get_mut(self.len..end) {
            sys::copy(place, text.as_bytes());
        }
        self.len = end;
    }
}

/// The name of the network that the file `.NAME.hosts` is of.
pub fn network_of_file(name: &CStr) -> Option<&str> {
    let name = name.to_bytes().strip_prefix(b".")?.strip_suffix(b".hosts")?;
    core::str::from_utf8(name).ok()
}

#[cfg(test)]
mod tests;
