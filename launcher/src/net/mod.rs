//! The network, by messages to the kernel: no other program is run for it.
//!
//! What has to be undone is written down before it is made: the network's name in the container's state directory
//! ([`NETWORK_FILE`]), then the lease (see [`lease`]), and only then devices, addresses and filters. The names of devices
//! are derived from the id. So whoever removes the state directory, be it much later, finds everything.

pub mod address;
pub mod command;
pub mod devices;
pub mod lease;
pub mod link;
pub mod names;
pub mod nat;
pub mod netlink;
pub mod request;
pub mod settings;

pub use link::knows_kind;

use core::ffi::CStr;

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, unlinkat};
use rustix::io::Errno;
use spec_core::Spec;
use sys::TakeOnce;
use sys::fd::{create_in, open_in, read};

use crate::container::{self, Container, write_all};
use crate::error::{During, Error, Result, keep, keep_shown};
use crate::msg;
use crate::path::Path;
use crate::policy::{self, Feature};
use crate::proc::Proc;
use crate::report;
use crate::root::Root;
use crate::text::{split_once, utf8};
use address::{Address, Subnet, default_subnets, hardware_address, hash};
use lease::{Carrier, Description, HOSTS_BYTES_MAX, Status, Table, set_locked};
use names::{Files, HOSTNAME_FILE};
use netlink::{ROUTE, Refused, Socket};
use settings::{Kind, Settings};

/// The file in the state directory that says which network the container is in: `KIND NAME`.
pub const NETWORK_FILE: &CStr = c"network";

/// Room for the hosts file of a network that a container joins.
static JOINED: TakeOnce<[u8; HOSTS_BYTES_MAX]> = TakeOnce::new([0; HOSTS_BYTES_MAX]);
/// The same for one that it leaves, which may be in the same call.
static LEFT: TakeOnce<[u8; HOSTS_BYTES_MAX]> = TakeOnce::new([0; HOSTS_BYTES_MAX]);

/// A network that a container is about to be in.
pub struct Network {
    settings: Settings,
    host: Socket,
    /// The number of the bridge, or of the parent.
    device: u32,
    /// The name of the container's device on the host.
    outer: heapless::String<15>,
    mtu: u32,
    has_nat: bool,
    subnets: [Option<Subnet>; 2],
    addresses: [Option<Address>; 2],
    mac: [u8; 6],
    /// What is mounted in its `/etc`.
    pub files: Files,
}

/// What `container` is in, and the name of it.
pub fn network_of(container: &Container) -> Option<(Kind, &'static str)> {
    read_network_file(container.directory.as_fd()).ok()
}

fn read_network_file(directory: BorrowedFd<'_>) -> core::result::Result<(Kind, &'static str), Errno> {
    let file = open_in(directory, NETWORK_FILE, OFlags::RDONLY)?;
    let mut memory = [0; 64];
    let text = utf8(read(file.as_fd(), &mut memory)?);
    let (kind, name) = split_once(text, b' ');
    let kind = match kind {
        "bridge" => Kind::Bridge,
        "macvlan" => Kind::Macvlan,
        _ => Kind::Other,
    };
    Ok((
        kind,
        utf8(Path::new(name.unwrap_or_default().as_bytes()).leak().to_bytes()),
    ))
}

/// Makes what a container's network needs before there is a process: the lease, and the network itself where this is the first
/// container in it.
pub fn prepare(
    settings: Settings,
    spec: &Spec<'static>,
    root: BorrowedFd<'_>,
    container: &Container,
    proc: &Proc,
) -> Result<Option<Network>> {
    if settings.name.is_empty() {
        return Ok(None);
    }
    let host = Socket::open(ROUTE).during(msg!("open netlink socket"))?;
    let id = utf8(container.id.to_bytes());
    let directory = container.directory.as_fd();
    let mut network = Network {
        host,
        device: 0,
        outer: link::host_device(root_number(root).during(msg!("stat state root"))?, id),
        mtu: 0,
        has_nat: false,
        subnets: [None; 2],
        addresses: [None; 2],
        mac: hardware_address(hash(id.as_bytes())),
        files: [None, None, None],
        settings,
    };
    let name = network.settings.name;
    write_network_file(directory, network.settings.kind, name).during(msg!("write network file"))?;
    if network.settings.kind != Kind::Other {
        set_locked(root, true).during(msg!("lock state root"))?;
        let has_files = network.join(spec, root, id, proc)?;
        set_locked(root, false).during(msg!("unlock state root"))?;
        if !has_files {
            return Ok(Some(network));
        }
    }
    network.files = names::open_files(root, directory, name, spec)?;
    Ok(Some(network))
}

fn write_network_file(directory: BorrowedFd<'_>, kind: Kind, name: &str) -> core::result::Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = create_in(directory, NETWORK_FILE, flags, Mode::RUSR | Mode::WUSR)?;
    let kind = match kind {
        Kind::Bridge => "bridge ",
        Kind::Macvlan => "macvlan ",
        Kind::Other => "other ",
    };
    write_all(file.as_fd(), Path::of(&[kind.as_bytes(), name.as_bytes()]).as_bytes())
}

/// What tells this state root from others.
fn root_number(root: BorrowedFd<'_>) -> core::result::Result<u64, Errno> {
    Ok(fstat(root)?.st_ino)
}

impl Network {
    /// Joins the network, under the lock; whether there are addresses, and so files.
    fn join(&mut self, spec: &Spec<'static>, root: BorrowedFd<'_>, id: &str, proc: &Proc) -> Result<bool> {
        let name = self.settings.name;
        let is_bridge = self.settings.kind == Kind::Bridge;
        let found = link::find(&self.host, name);
        if let (Err(Errno::NODEV), false) = (found, is_bridge) {
            return Err(Error::says(msg!("--network macvlan:#: there is no such device"), name));
        }
        if let Err(errno) = found
            && errno != Errno::NODEV
        {
            return Err(netlink::refused(msg!("find device #"), name, errno));
        }
        self.device = found.unwrap_or(0);
        let memory = JOINED.take();
        let is_plain = !is_bridge && self.settings.subnets == [None; 2];
        let flags = if is_plain { OFlags::empty() } else { OFlags::CREATE };
        let mut table = match Table::open(root, name, flags, memory) {
            // Whoever gives addresses to the parent's neighbours gives the container one.
            Err(Errno::NOENT) if is_plain => return Ok(false),
            opened => opened.during_with(msg!("open hosts file of network #"), name)?,
        };
        let description = match table.description() {
            Some(description) => {
                self.compare(&description)?;
                description
            }
            None => {
                let description = self.describe(found.is_ok(), proc)?;
                table.describe(&description);
                description
            }
        };
        self.subnets = description.subnets;
        self.mtu = description.mtu;
        self.has_nat = description.status == Status::Nat;
        if description.carrier != Carrier::Bridge && !self.settings.ports.is_empty() {
            return Err(Error::says(
                msg!("--publish: # is no bridge that was made for containers"),
                name,
            ));
        }
        self.take_addresses(&mut table, root, id)?;
        let hostname = spec.hostname.map_or("", |name| name.as_str());
        table.add(id, hostname, &self.addresses, &self.settings.ports);
        table.save().during_with(msg!("write hosts file of network #"), name)?;
        if description.status == Status::New {
            self.complete(&description, root)?;
            let status = if self.has_nat { Status::Nat } else { Status::Raw };
            table
                .set_status(status)
                .during_with(msg!("write hosts file of network #"), name)?;
        } else if description.carrier == Carrier::Bridge && self.device == 0 {
            // Somebody has removed it.
            self.make_bridge()?;
        }
        if self.settings.ip_forward || (description.status == Status::New && description.carrier == Carrier::Bridge) {
            forward(name, self.settings.ip_forward, proc)?;
        }
        Ok(true)
    }

    /// What a new network is to be.
    fn describe(&self, is_there: bool, proc: &Proc) -> Result<Description> {
        let Settings {
            kind, name, subnets, ..
        } = self.settings;
        let mut description = Description {
            status: Status::New,
            carrier: if kind == Kind::Macvlan {
                Carrier::Macvlan
            } else {
                Carrier::Foreign
            },
            mtu: link::uplink_mtu(&self.host),
            subnets,
        };
        if kind == Kind::Bridge && !is_there {
            description.carrier = Carrier::Bridge;
            if subnets == [None; 2] {
                description.subnets = default_subnets(name);
                if !has_ipv6(proc) {
                    description.subnets = [description.subnets[0], None];
                }
            }
        } else if subnets == [None; 2] {
            return Err(Error::says(
                msg!("--network bridge:#: the device was not made by roci: --subnet has to say which addresses it has"),
                name,
            ));
        }
        Ok(description)
    }

    /// A network has the subnets of its first container.
    fn compare(&self, description: &Description) -> Result<()> {
        for (wanted, has) in self.settings.subnets.iter().zip(&description.subnets) {
            if wanted.is_some() && wanted != has {
                return Err(Error::says(
                    msg!("--subnet: the network # has another one, until its last container is deleted"),
                    self.settings.name,
                ));
            }
        }
        Ok(())
    }

    fn take_addresses(&mut self, table: &mut Table<'_>, root: BorrowedFd<'_>, id: &str) -> Result<()> {
        let wanted = self.settings.addresses;
        for (address, subnet) in wanted.iter().zip(&self.subnets) {
            let Some(address) = address else { continue };
            let reserved = subnet.and_then(|subnet| Some(subnet.is_reserved(subnet.number_of(*address)?)));
            let text = keep_shown(address);
            if reserved != Some(false) {
                let pattern = match reserved {
                    None => msg!("--ip: # is not in the network's subnet"),
                    _ => msg!("--ip: # is the subnet's own address or the gateway's"),
                };
                return Err(Error::says(pattern, text));
            }
            if let Some(owner) = table.owner_of(*address) {
                if lives(root, owner) && owner != id {
                    return Err(Error::said(keep(msg!("--ip: # belongs to #"), &[text, owner])));
                }
                let owner = keep("#", &[owner]);
                self.take_back(table, root, owner)?;
            }
        }
        // Of a container of this name whose state directory was removed by somebody else.
        if table.find_owner(&|of| of == id).is_some() {
            self.take_back(table, root, id)?;
        }
        loop {
            if let Some(addresses) = table.choose(&self.subnets, &wanted, id) {
                self.addresses = addresses;
                return Ok(());
            }
            let Some(owner) = table.find_owner(&|owner| !lives(root, owner)) else {
                return Err(Error::says(
                    msg!("the network # has no address left"),
                    self.settings.name,
                ));
            };
            let owner = Path::new(owner.as_bytes());
            self.take_back(table, root, owner.as_str())?;
        }
    }

    fn take_back(&self, table: &mut Table<'_>, root: BorrowedFd<'_>, owner: &str) -> Result<()> {
        take_back(&self.host, table, root, owner).or_refused(msg!("take back what # had"), owner)
    }

    /// Makes the network itself.
    fn complete(&mut self, description: &Description, root: BorrowedFd<'_>) -> Result<()> {
        let name = self.settings.name;
        names::write_resolv(root, name, &self.subnets).during(msg!("write resolv.conf"))?;
        if description.carrier != Carrier::Bridge {
            return Ok(());
        }
        if !policy::is_off(Feature::Nat) {
            match nat::add_network(&self.subnets) {
                Ok(()) => self.has_nat = true,
                Err(Errno::EXIST) => {
                    return Err(Error::says(
                        msg!("--subnet: that of # overlaps with another network's"),
                        name,
                    ));
                }
                Err(errno) if !nat::is_lack(errno) => {
                    return Err(netlink::refused(msg!("make table roci#"), "", errno));
                }
                Err(errno) => report::warn(
                    msg!("no addresses are translated, so that containers do not reach other machines: nf_tables: #"),
                    crate::errno::words(errno),
                ),
            }
        }
        self.make_bridge()
    }

    fn make_bridge(&mut self) -> Result<()> {
        let name = self.settings.name;
        self.device =
            link::make_bridge(&self.host, name, self.mtu, &self.subnets).or_refused(msg!("make bridge #"), name)?;
        if self.has_nat {
            link::let_localhost_through(&self.host, self.device).or_refused(msg!("set route_localnet of #"), name)?;
        }
        Ok(())
    }

    /// Mounts the files that tell a container of its network.
    pub fn mount_files(&self, root: &Root) -> Result<()> {
        names::mount_files(root, &self.files)
    }

    /// Connects the process `pid`, in whose network namespace `inside` was made.
    pub fn connect(&self, pid: i32, inside: &Socket) -> Result<()> {
        let Self {
            host, settings, mac, ..
        } = self;
        if settings.kind == Kind::Other {
            return Ok(());
        }
        if settings.kind == Kind::Macvlan {
            link::make_macvlan(host, self.device, mac, pid).or_refused(msg!("make macvlan on #"), settings.name)?;
        } else {
            let pair = link::Pair {
                outer: &self.outer,
                bridge: self.device,
                mtu: self.mtu,
                turns: !settings.ports.is_empty(),
            };
            let make = || link::make_pair(host, &pair, mac, pid);
            let mut made = make();
            if made == Err(Errno::EXIST) {
                // That of a container of this name whose network namespace is not quite gone.
                link::remove(host, &self.outer).or_refused(msg!("remove device #"), &self.outer)?;
                made = make();
            }
            made.or_refused(msg!("make devices at #"), settings.name)?;
        }
        link::configure(inside, &self.subnets, &self.addresses).or_refused(msg!("configure #"), link::INSIDE)?;
        self.publish()
    }

    fn publish(&self) -> Result<()> {
        if self.settings.ports.is_empty() || policy::is_off(Feature::Nat) {
            return Ok(());
        }
        let list = || {
            self.settings
                .ports
                .iter()
                .fold("", |list, port| keep("# #", &[list, port]))
        };
        if !self.has_nat {
            if !policy::is_preferred(Feature::Nat) {
                return Err(Error::said(msg!(
                    "--publish: nf_tables is not there: the kernel needs CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ and CONFIG_NFT_FIB_INET (--policy nat=prefer does without)"
                )));
            }
            report::warn(msg!("nothing is published: nf_tables is not there"), "");
            return Ok(());
        }
        match nat::publish(&self.settings.ports, &self.addresses) {
            Err(Errno::EXIST | Errno::BUSY) => Err(Error::says(
                msg!("--publish: a port of the host is published already, one of:#"),
                list(),
            )),
            published => published.or_refused(msg!("--publish#"), list()),
        }
    }
}

/// Whether the kernel has IPv6 and the administrator lets devices have it.
fn has_ipv6(proc: &Proc) -> bool {
    read_sysctl(proc, c"sys/net/ipv6/conf/default/disable_ipv6") == Some(b'0')
}

fn read_sysctl(proc: &Proc, path: &CStr) -> Option<u8> {
    let mut memory = [0; 8];
    let value = proc
        .open_file(path, OFlags::RDONLY)
        .and_then(|file| read(file.as_fd(), &mut memory).map(|value| value.first().copied()));
    match value {
        Ok(value) => value,
        // The kernel has none of it.
        Err(Errno::NOENT) => None,
        Err(errno) => Error::new(msg!("read net sysctls"), errno).never(),
    }
}

/// Without forwarding, containers reach this host and each other only. It is turned on where that is asked for, and stays.
fn forward(name: &str, asked: bool, proc: &Proc) -> Result<()> {
    const PATH: &CStr = c"sys/net/ipv4/ip_forward";
    if read_sysctl(proc, PATH) != Some(b'0') {
        return Ok(());
    }
    if asked {
        proc.write(PATH, b"1")
            .during(msg!("--ip-forward: write net.ipv4.ip_forward"))?;
        report::warn(msg!("net.ipv4.ip_forward of this host is 1 from now on"), "");
    } else {
        report::warn(
            msg!("the containers of # reach no other machine: net.ipv4.ip_forward is 0 (--ip-forward changes that)"),
            name,
        );
    }
    Ok(())
}

/// Whether the container has a state directory.
fn lives(root: BorrowedFd<'_>, id: &str) -> bool {
    container::has(root, Path::new(id.as_bytes()).as_c_str())
}

/// Takes back what `owner` had in the network.
fn take_back(
    host: &Socket,
    table: &mut Table<'_>,
    root: BorrowedFd<'_>,
    owner: &str,
) -> core::result::Result<(), Errno> {
    link::remove(host, &link::host_device(root_number(root)?, owner))?;
    forget(table, owner)
}

/// The same where its devices are gone already.
fn forget(table: &mut Table<'_>, owner: &str) -> core::result::Result<(), Errno> {
    let had = table.remove(owner);
    nat::withdraw(&had.ports, &had.addresses)
}

/// Undoes what the container's network was made of, where it had one; the last one takes the network along. It can be
/// repeated.
pub fn release(root: BorrowedFd<'_>, directory: BorrowedFd<'_>, id: &CStr) -> core::result::Result<(), Errno> {
    let (kind, name) = match read_network_file(directory) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    if kind != Kind::Other {
        let host = Socket::open(ROUTE)?;
        let id = utf8(id.to_bytes());
        if kind == Kind::Bridge {
            // The kernel takes its time for it, so not under the lock.
            link::remove(&host, &link::host_device(root_number(root)?, id))?;
        }
        set_locked(root, true)?;
        let left = leave(&host, root, name, id, LEFT.take());
        set_locked(root, false)?;
        left?;
    }
    for file in [HOSTNAME_FILE, NETWORK_FILE] {
        match unlinkat(directory, file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn leave(
    host: &Socket,
    root: BorrowedFd<'_>,
    name: &str,
    id: &str,
    memory: &mut [u8],
) -> core::result::Result<(), Errno> {
    let mut table = match Table::open(root, name, OFlags::empty(), memory) {
        Err(Errno::NOENT) => return Ok(()),
        table => table?,
    };
    forget(&mut table, id)?;
    if table.count() > 0 {
        return table.save_shorter();
    }
    remove_network(host, root, name, table.description())
}

/// Removes a network that nobody is in.
fn remove_network(
    host: &Socket,
    root: BorrowedFd<'_>,
    name: &str,
    description: Option<Description>,
) -> core::result::Result<(), Errno> {
    if let Some(description) = description
        && description.carrier == Carrier::Bridge
    {
        link::remove(host, name)?;
        let removed = nat::remove_network(&description.subnets);
        // What could not be made may be there all the same, where only the answer was lost.
        if description.status != Status::Raw {
            removed?;
        }
    }
    names::remove_files(root, name)
}
