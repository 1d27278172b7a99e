//! `linux.netDevices`: network devices of the host that move into the container, with their addresses.

use heapless::Vec;
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::linux::{NamespaceKind, Pair};
use sys::OwnedFd;

use super::Network;
use super::link::{IFF_UP, find, link};
use super::netlink::{
    ALL, NEW, ROUTE, RTM_GETADDR, RTM_NEWADDR, RTM_NEWLINK, Request, Socket, Word, attribute, number_at,
};
use crate::error::{During, Error, Result, within};
use crate::msg;
use crate::sync::{self, Kind};
use crate::text::has;

/// Addresses of one device that are taken along.
const ADDRESSES_MAX: usize = 32;

/// Attributes of `linux/if_link.h` and `linux/if_addr.h`.
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_PID: u16 = 19;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;

/// Bytes of `struct ifaddrmsg`.
const ADDRESS: usize = 8;

/// Refuses what cannot work before anything is made.
pub fn check(spec: &Spec<'static>) -> Result<()> {
    if !spec.linux.net_devices.is_empty() && spec.linux.namespace(NamespaceKind::Network).is_none() {
        return Err(Error::said(msg!("linux.netDevices: needs a network namespace")));
    }
    Ok(())
}

/// Asks roci for the devices and for the network, in a process that is in the network namespace already.
pub fn ask(spec: &Spec<'static>, network: Option<&Network>, socket: &sync::Socket) -> Result<()> {
    if spec.linux.net_devices.is_empty() && network.is_none() {
        return Ok(());
    }
    let inside = Socket::open(ROUTE).during(msg!("open netlink socket"))?;
    socket
        .send_fd(Kind::Network, inside.as_fd())
        .during(msg!("ask for network devices"))?;
    socket.wait_for_go();
    Ok(())
}

/// Gives them to the process `pid`, in whose network namespace `inside` was made.
pub fn serve(spec: &Spec<'static>, network: Option<&Network>, pid: i32, inside: OwnedFd) -> Result<()> {
    let inside = Socket::from_fd(inside);
    if let Some(network) = network {
        network.connect(pid, &inside)?;
    }
    move_all(spec, pid, &inside)
}

fn move_all(spec: &Spec<'static>, pid: i32, inside: &Socket) -> Result<()> {
    if spec.linux.net_devices.is_empty() {
        return Ok(());
    }
    let host = Socket::open(ROUTE).during(msg!("linux.netDevices: open netlink socket"))?;
    for (index, pair) in spec.list(spec.linux.net_devices).iter().enumerate() {
        within(msg!("linux.netDevices"), index, pair.key.as_str(), || {
            move_one(pair, pid, &host, inside)
        })?;
    }
    Ok(())
}

/// An address that the kernel forgets when the device goes to another namespace.
struct Address {
    /// The first word of its `struct ifaddrmsg`.
    header: Word,
    local: Vec<u8, 16>,
    address: Vec<u8, 16>,
    broadcast: Vec<u8, 4>,
}

fn move_one(pair: &Pair<'static>, pid: i32, host: &Socket, inside: &Socket) -> Result<()> {
    let (name, wanted) = (pair.key.as_str(), pair.value.as_str());
    let wanted = if wanted.is_empty() { name } else { wanted };
    let index = find(host, name).during(msg!("find device"))?;
    let addresses = addresses_of(host, index).during(msg!("list addresses"))?;
    // A template is filled in by the kernel, so the device keeps its name until its number is known there.
    let is_template = has(wanted, b'%');
    let on_the_way = if is_template { name } else { wanted };
    let mut request = Request::new(RTM_NEWLINK, 0, &link(index, 0, 0));
    request.attribute(IFLA_NET_NS_PID, &pid.to_ne_bytes());
    if !is_template {
        request.text(IFLA_IFNAME, wanted);
    }
    host.tell(&mut request).during(msg!("move device"))?;
    let index = find(inside, on_the_way).during(msg!("find device in the container"))?;
    if is_template {
        let mut request = Request::new(RTM_NEWLINK, 0, &link(index, 0, 0));
        request.text(IFLA_IFNAME, wanted);
        inside.tell(&mut request).during(msg!("rename device"))?;
    }
    for address in &addresses {
        let mut request = Request::new(RTM_NEWADDR, NEW, &[address.header, index.to_ne_bytes()]);
        for (kind, value) in [
            (IFA_LOCAL, &address.local[..]),
            (IFA_ADDRESS, &address.address),
            (IFA_BROADCAST, &address.broadcast),
        ] {
            if !value.is_empty() {
                request.attribute(kind, value);
            }
        }
        inside.tell(&mut request).during(msg!("set address"))?;
    }
    let mut request = Request::new(RTM_NEWLINK, 0, &link(index, IFF_UP, IFF_UP));
    inside.tell(&mut request).during(msg!("bring device up"))
}

/// The permanent addresses of global scope: the others the kernel makes anew.
fn addresses_of(socket: &Socket, index: u32) -> core::result::Result<Vec<Address, ADDRESSES_MAX>, Errno> {
    let mut addresses = Vec::new();
    let mut fits = true;
    let mut request = Request::new(RTM_GETADDR, ALL, &[Word::default(); ADDRESS / 4]);
    socket.ask_all(&mut request, &mut |payload| {
        let Some(&header) = payload.first_chunk() else {
            return;
        };
        // `struct ifaddrmsg`: family, length of the prefix, flags, scope, device. Flags have outgrown their byte.
        let [_, _, flags, scope] = header;
        let flags = attribute(payload, ADDRESS, IFA_FLAGS).map_or(flags.into(), |bytes| number_at(bytes, 0));
        if number_at(payload, 4) != index || scope != 0 || flags & IFA_F_PERMANENT == 0 {
            return;
        }
        let value = |kind| attribute(payload, ADDRESS, kind).unwrap_or_default();
        let address = Address {
            header,
            local: Vec::from_slice(value(IFA_LOCAL)).unwrap_or_default(),
            address: Vec::from_slice(value(IFA_ADDRESS)).unwrap_or_default(),
            broadcast: Vec::from_slice(value(IFA_BROADCAST)).unwrap_or_default(),
        };
        fits &= addresses.push(address).is_ok();
    })?;
    if fits { Ok(addresses) } else { Err(Errno::NOBUFS) }
}
