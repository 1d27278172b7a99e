//! Devices, their addresses and routes: the messages of rtnetlink(7) that a network is made with.
//!
//! In the templates stand, of `linux/if_link.h`: IFLA_ADDRESS 1, IFLA_IFNAME 3, IFLA_MTU 4, IFLA_LINK 5, IFLA_MASTER 10,
//! IFLA_NET_NS_PID 19, IFLA_AF_SPEC 26, and IFLA_LINKINFO 18 with IFLA_INFO_KIND 1, IFLA_INFO_DATA 2, IFLA_INFO_SLAVE_KIND 4,
//! IFLA_INFO_SLAVE_DATA 5; of `linux/if_addr.h`: IFA_ADDRESS 1, IFA_LOCAL 2; of `linux/rtnetlink.h`: RTA_DST 1, RTA_OIF 4,
//! RTA_GATEWAY 5.

use rustix::io::Errno;

use super::address::{Address, Subnet, device_name, hardware_address, hash};
use super::netlink::{
    CREATE, NEW, ROUTE, RTM_DELLINK, RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, Request,
    Socket, Word, attribute, number_at,
};

type Result<T> = core::result::Result<T, Errno>;

/// The device's flag of being in use.
pub const IFF_UP: u32 = 1;
const IFLA_MTU: u16 = 4;
const RTA_OIF: u16 = 4;
const AF_INET: u8 = 2;
/// The address is used at once, without a second in which the kernel asks whether somebody has it.
const IFA_F_NODAD: u8 = 2;
/// Table `main`, by an administrator, everywhere, to one host.
const MAIN_ROUTE: Word = [254, 4, 0, 1];

/// The container's device. Templates name it too.
pub const INSIDE: &str = "eth0";

/// `struct ifinfomsg`: the number of the device, its flags, and which of them are meant.
#[inline(never)]
pub fn link(index: u32, flags: u32, change: u32) -> [Word; 4] {
    [0, index, flags, change].map(u32::to_ne_bytes)
}

/// A request about a link that is to be made.
fn new_link(flags: u32) -> Request {
    Request::new(RTM_NEWLINK, NEW, &link(0, flags, flags))
}

/// The number of the device with this name.
///
/// # Errors
/// `ENODEV` where there is none.
#[inline(never)]
pub fn find(socket: &Socket, name: &str) -> Result<u32> {
    let mut request = Request::new(RTM_GETLINK, 0, &link(0, 0, 0));
    request.fill("3%", &[name.as_bytes()]);
    let mut index = 0;
    socket.ask(&mut request, &mut |payload| index = number_at(payload, 4))?;
    if index == 0 { Err(Errno::NODEV) } else { Ok(index) }
}

/// Whether the kernel knows such devices: it is asked for one with an address that none can have.
pub fn knows_kind(kind: &str) -> bool {
    let mut request = new_link(0);
    request.fill("3@roci-check 1:0 18( 1% )", &[kind.as_bytes()]);
    let asked = Socket::open(ROUTE).and_then(|socket| socket.tell(&mut request));
    asked != Err(Errno::OPNOTSUPP)
}

/// Makes a bridge with the addresses of its subnets, or makes one whole that was begun.
pub fn make_bridge(socket: &Socket, name: &str, mtu: u32, subnets: &[Option<Subnet>; 2]) -> Result<u32> {
    let mut request = new_link(IFF_UP);
    // Without an address of its own it would have that of one of its devices, another one whenever they come and go.
    let mac = hardware_address(hash(name.as_bytes()));
    // IFLA_BR_MCAST_SNOOPING is off: IPv6 needs multicast before there is anybody who asks for it.
    request.fill(
        "3% 4$ 1$ 18( 1@bridge 2( 23:0 ) )",
        &[name.as_bytes(), &mtu.to_ne_bytes(), &mac],
    );
    match socket.tell(&mut request) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let index = find(socket, name)?;
    let mut request = Request::empty();
    for subnet in subnets.iter().flatten() {
        add_address(&mut request, index, &subnet.gateway, subnet.prefix);
    }
    socket.tell(&mut request)?;
    Ok(index)
}

/// Lets connections from 127.0.0.1 of the host go out to the bridge, and their answers come in. It is a property of the
/// device, and goes with it.
pub fn let_localhost_through(socket: &Socket, index: u32) -> Result<()> {
    let mut request = Request::new(RTM_NEWLINK, 0, &link(index, 0, 0));
    // In AF_INET the values, IFLA_INET_CONF, of which IPV4_DEVCONF_ROUTE_LOCALNET is the 26th.
    request.fill("26( 2( 1( 26!1 ) ) )", &[]);
    socket.tell(&mut request)
}

/// The name of the host's end for the container `id`. Another state root may have a container of that name too, so that its
/// inode is part of it.
pub fn host_device(root: u64, id: &str) -> heapless::String<15> {
    device_name(hash(id.as_bytes()) ^ root.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A pair of devices that is to be made.
pub struct Pair<'a> {
    /// The name of the one on the host.
    pub outer: &'a str,
    /// The number of the bridge that this one is put into.
    pub bridge: u32,
    /// The MTU of both.
    pub mtu: u32,
    /// Whether the container may reach itself by way of the host. Where bridges call the packet filter (`br_netfilter`), such
    /// a packet turns round in the bridge.
    pub turns: bool,
}

/// Makes a pair of devices, one of them in the network namespace of the process `pid`.
pub fn make_pair(socket: &Socket, pair: &Pair<'_>, mac: &[u8; 6], pid: i32) -> Result<()> {
    let outer = pair.outer.as_bytes();
    let [mtu, bridge, pid] = [pair.mtu, pair.bridge, pid as u32].map(u32::to_ne_bytes);
    let mut request = new_link(IFF_UP);
    // The other end is VETH_INFO_PEER, 1.
    request.fill(
        "3% 4$ 10$ 18( 1@veth 2( 1( ~ 3@eth0 4$ 1$ 19$ ) ) )",
        &[outer, &mtu, &bridge, &mtu, mac, &pid],
    );
    if pair.turns {
        let turning = request.message(RTM_NEWLINK, 0, &link(0, 0, 0));
        // IFLA_BRPORT_MODE, 4: packets may leave by the port that they came by.
        turning.fill("3% 18( 4@bridge 5( 4:1 ) )", &[outer]);
    }
    socket.tell(&mut request)
}

/// Makes a device of the container's own on top of `parent`, in the network namespace of the process `pid`.
pub fn make_macvlan(socket: &Socket, parent: u32, mac: &[u8; 6], pid: i32) -> Result<()> {
    let [parent, pid] = [parent, pid as u32].map(u32::to_ne_bytes);
    let mut request = new_link(0);
    // IFLA_MACVLAN_MODE, 1, is MACVLAN_MODE_BRIDGE, 4: containers on one parent reach each other.
    request.fill("3@eth0 1$ 19$ 5$ 18( 1@macvlan 2( 1!4 ) )", &[mac, &pid, &parent]);
    socket.tell(&mut request)
}

/// Brings the container's device up, with these addresses and routes to everywhere else by way of the gateways.
pub fn configure(inside: &Socket, subnets: &[Option<Subnet>; 2], addresses: &[Option<Address>; 2]) -> Result<()> {
    let index = find(inside, INSIDE)?;
    let mut request = Request::new(RTM_NEWLINK, 0, &link(index, IFF_UP, IFF_UP));
    for (subnet, address) in subnets.iter().zip(addresses) {
        let (Some(subnet), Some(address)) = (subnet, address) else {
            continue;
        };
        add_address(&mut request, index, address, subnet.prefix);
        let structure = [[subnet.gateway.family(), 0, 0, 0], MAIN_ROUTE, [0; 4]];
        request
            .message(RTM_NEWROUTE, CREATE, &structure)
            .fill("5$ 4$", &[subnet.gateway.as_bytes(), &index.to_ne_bytes()]);
    }
    inside.tell(&mut request)
}

fn add_address(request: &mut Request, index: u32, address: &Address, prefix: u8) {
    // `struct ifaddrmsg`: family, length of the prefix, flags, scope, device.
    let nodad = if address.is_v6() { IFA_F_NODAD } else { 0 };
    let structure = [[address.family(), prefix, nodad, 0], index.to_ne_bytes()];
    let bytes = address.as_bytes();
    request
        .message(RTM_NEWADDR, CREATE, &structure)
        .fill("2$ 1$", &[bytes, bytes]);
}

/// The MTU of the device that the host's default route leads to; where there is none, that of Ethernet.
pub fn uplink_mtu(socket: &Socket) -> u32 {
    const ETHERNET: u32 = 1500;
    // An address that nobody has: TEST-NET-3 of RFC 5737.
    let structure = [[AF_INET, 32, 0, 0], [0; 4], [0; 4]];
    let mut request = Request::new(RTM_GETROUTE, 0, &structure);
    request.fill("1$", &[&[203, 0, 113, 1]]);
    let Some(index) = number_in_answer(socket, &mut request, 12, RTA_OIF) else {
        return ETHERNET;
    };
    let mut request = Request::new(RTM_GETLINK, 0, &link(index, 0, 0));
    let mtu = number_in_answer(socket, &mut request, 16, IFLA_MTU);
    // That of the loopback device is larger than any card's.
    mtu.filter(|mtu| (68..=65535).contains(mtu)).unwrap_or(ETHERNET)
}

/// The attribute `kind` behind the structure of `skipped` bytes in the answer.
fn number_in_answer(socket: &Socket, request: &mut Request, skipped: usize, kind: u16) -> Option<u32> {
    let mut number = None;
    let asked = socket.ask(request, &mut |payload| {
        number = attribute(payload, skipped, kind).map(|value| number_at(value, 0));
    });
    asked.ok().and(number)
}

/// Removes the device with this name, where there is one.
#[inline(never)]
pub fn remove(socket: &Socket, name: &str) -> Result<()> {
    let mut request = Request::new(RTM_DELLINK, 0, &link(0, 0, 0));
    request.fill("3%", &[name.as_bytes()]);
    match socket.tell(&mut request) {
        Err(Errno::NODEV) => Ok(()),
        other => other,
    }
}
