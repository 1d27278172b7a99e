//! Devices, their addresses and routes: the messages of rtnetlink(7) that a network is made with.

use rustix::io::Errno;

use super::address::{Address, Subnet, device_name, hardware_address, hash};
use super::netlink::{
    CREATE, NEW, ROUTE, RTM_DELLINK, RTM_GETLINK, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, Request,
    Socket, Word, attribute, number_at,
};

type Result<T> = core::result::Result<T, Errno>;

/// Attributes of `linux/if_link.h`.
pub const IFLA_IFNAME: u16 = 3;
/// The number of a process, in whose network namespace the device is to be.
pub const IFLA_NET_NS_PID: u16 = 19;
const IFLA_ADDRESS: u16 = 1;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
/// Packets may leave by the port of the bridge that they came by.
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const VETH_INFO_PEER: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
/// Containers on one parent reach each other.
const MACVLAN_MODE_BRIDGE: u32 = 4;
const IFLA_INET_CONF: u16 = 1;
/// `IPV4_DEVCONF_ROUTE_LOCALNET` of `linux/ip.h`.
const ROUTE_LOCALNET: u16 = 26;
const AF_INET: u16 = 2;
/// The device's flag of being in use.
pub const IFF_UP: u32 = 1;

/// Attributes of `linux/if_addr.h`.
pub const IFA_ADDRESS: u16 = 1;
/// The address where that is another than the one at the other end of the line.
pub const IFA_LOCAL: u16 = 2;
/// The address is used at once, without a second in which the kernel asks whether somebody has it.
const IFA_F_NODAD: u8 = 2;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
/// Table `main`, by an administrator, everywhere, to one host.
const MAIN_ROUTE: Word = [254, 4, 0, 1];

/// The container's device.
pub const INSIDE: &str = "eth0";

/// `struct ifinfomsg`: the number of the device, its flags, and which of them are meant.
pub fn link(index: u32, flags: u32, change: u32) -> [Word; 4] {
    [0, index, flags, change].map(u32::to_ne_bytes)
}

/// The number of the device with this name.
///
/// # Errors
/// `ENODEV` where there is none.
#[inline(never)]
pub fn find(socket: &Socket, name: &str) -> Result<u32> {
    let mut request = Request::new(RTM_GETLINK, 0, &link(0, 0, 0));
    request.text(IFLA_IFNAME, name);
    let mut index = 0;
    socket.ask(&mut request, &mut |payload| index = number_at(payload, 4))?;
    if index == 0 { Err(Errno::NODEV) } else { Ok(index) }
}

/// Begins what says of which kind the device is.
fn open_kind(request: &mut Request, kind: &str) -> [usize; 2] {
    let info = request.open(IFLA_LINKINFO);
    request.text(IFLA_INFO_KIND, kind);
    [info, request.open(IFLA_INFO_DATA)]
}

fn close_kind(request: &mut Request, [info, data]: [usize; 2]) {
    request.close(data);
    request.close(info);
}

/// Whether the kernel knows such devices: it is asked for one with an address that none can have.
pub fn knows_kind(kind: &str) -> bool {
    let mut request = Request::new(RTM_NEWLINK, NEW, &link(0, 0, 0));
    request.text(IFLA_IFNAME, "roci-check").attribute(IFLA_ADDRESS, &[0]);
    let nests = open_kind(&mut request, kind);
    close_kind(&mut request, nests);
    let asked = Socket::open(ROUTE).and_then(|socket| socket.tell(&mut request));
    asked != Err(Errno::OPNOTSUPP)
}

/// Makes a bridge with the addresses of its subnets, or makes one whole that was begun.
pub fn make_bridge(socket: &Socket, name: &str, mtu: u32, subnets: &[Option<Subnet>; 2]) -> Result<u32> {
    let mut request = Request::new(RTM_NEWLINK, NEW, &link(0, IFF_UP, IFF_UP));
    request.text(IFLA_IFNAME, name).number(IFLA_MTU, mtu);
    // Without an address of its own it would have that of one of its devices, another one whenever they come and go.
    request.attribute(IFLA_ADDRESS, &hardware_address(hash(name.as_bytes())));
    let nests = open_kind(&mut request, "bridge");
    // IPv6 needs multicast before there is anybody who asks for it.
    request.attribute(IFLA_BR_MCAST_SNOOPING, &[0]);
    close_kind(&mut request, nests);
    match socket.tell(&mut request) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let index = find(socket, name)?;
    let mut request = Request::empty();
    for subnet in subnets.iter().flatten() {
        add_address(&mut request, index, subnet.gateway, subnet.prefix, CREATE);
    }
    socket.tell(&mut request)?;
    Ok(index)
}

/// Lets connections from 127.0.0.1 of the host go out to the bridge, and their answers come in. It is a property of the
/// device, and goes with it.
pub fn let_localhost_through(socket: &Socket, index: u32) -> Result<()> {
    let mut request = Request::new(RTM_NEWLINK, 0, &link(index, 0, 0));
    let families = request.open(IFLA_AF_SPEC);
    let family = request.open(AF_INET);
    let values = request.open(IFLA_INET_CONF);
    request.number(ROUTE_LOCALNET, 1);
    request.close(values);
    request.close(family);
    request.close(families);
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
    let Pair {
        outer,
        bridge,
        mtu,
        turns,
    } = *pair;
    let mut request = Request::new(RTM_NEWLINK, NEW, &link(0, IFF_UP, IFF_UP));
    request
        .text(IFLA_IFNAME, outer)
        .number(IFLA_MTU, mtu)
        .number(IFLA_MASTER, bridge);
    let nests = open_kind(&mut request, "veth");
    let peer = request.open(VETH_INFO_PEER);
    request.structure(&link(0, 0, 0));
    describe_inside(&mut request, mac, pid);
    request.number(IFLA_MTU, mtu);
    request.close(peer);
    close_kind(&mut request, nests);
    if turns {
        request.message(RTM_NEWLINK, 0, &link(0, 0, 0)).text(IFLA_IFNAME, outer);
        let info = request.open(IFLA_LINKINFO);
        request.text(IFLA_INFO_SLAVE_KIND, "bridge");
        let data = request.open(IFLA_INFO_SLAVE_DATA);
        request.attribute(IFLA_BRPORT_MODE, &[1]);
        request.close(data);
        request.close(info);
    }
    socket.tell(&mut request)
}

/// Makes a device of the container's own on top of `parent`, in the network namespace of the process `pid`.
pub fn make_macvlan(socket: &Socket, parent: u32, mac: &[u8; 6], pid: i32) -> Result<()> {
    let mut request = Request::new(RTM_NEWLINK, NEW, &link(0, 0, 0));
    describe_inside(&mut request, mac, pid);
    request.number(IFLA_LINK, parent);
    let nests = open_kind(&mut request, "macvlan");
    request.number(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
    close_kind(&mut request, nests);
    socket.tell(&mut request)
}

fn describe_inside(request: &mut Request, mac: &[u8; 6], pid: i32) {
    request
        .text(IFLA_IFNAME, INSIDE)
        .attribute(IFLA_ADDRESS, mac)
        .number(IFLA_NET_NS_PID, pid as u32);
}

/// Brings the container's device up, with these addresses and routes to everywhere else by way of the gateways.
pub fn configure(inside: &Socket, subnets: &[Option<Subnet>; 2], addresses: &[Option<Address>; 2]) -> Result<()> {
    let index = find(inside, INSIDE)?;
    let mut request = Request::new(RTM_NEWLINK, 0, &link(index, IFF_UP, IFF_UP));
    let both = || {
        let pairs = subnets.iter().zip(addresses);
        pairs.filter_map(|(subnet, address)| (*subnet).zip(*address))
    };
    for (subnet, address) in both() {
        add_address(&mut request, index, address, subnet.prefix, 0);
    }
    for (subnet, _) in both() {
        let structure = [[subnet.gateway.family(), 0, 0, 0], MAIN_ROUTE, [0; 4]];
        request
            .message(RTM_NEWROUTE, CREATE, &structure)
            .attribute(RTA_GATEWAY, subnet.gateway.as_bytes())
            .number(RTA_OIF, index);
    }
    inside.tell(&mut request)
}

fn add_address(request: &mut Request, index: u32, address: Address, prefix: u8, flags: u16) {
    // `struct ifaddrmsg`: family, length of the prefix, flags, scope, device.
    let nodad = if address.is_v6() { IFA_F_NODAD } else { 0 };
    let structure = [[address.family(), prefix, nodad, 0], index.to_ne_bytes()];
    request
        .message(RTM_NEWADDR, flags | CREATE, &structure)
        .attribute(IFA_LOCAL, address.as_bytes())
        .attribute(IFA_ADDRESS, address.as_bytes());
}

/// The MTU of the device that the host's default route leads to; where there is none, that of Ethernet.
pub fn uplink_mtu(socket: &Socket) -> u32 {
    const ETHERNET: u32 = 1500;
    // An address that nobody has: TEST-NET-3 of RFC 5737.
    let structure = [[AF_INET as u8, 32, 0, 0], [0; 4], [0; 4]];
    let mut request = Request::new(RTM_GETROUTE, 0, &structure);
    request.attribute(RTA_DST, &[203, 0, 113, 1]);
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
pub fn remove(socket: &Socket, name: &str) -> Result<()> {
    let mut request = Request::new(RTM_DELLINK, 0, &link(0, 0, 0));
    request.text(IFLA_IFNAME, name);
    match socket.tell(&mut request) {
        Err(Errno::NODEV) => Ok(()),
        other => other,
    }
}
