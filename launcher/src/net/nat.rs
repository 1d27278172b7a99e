//! Translation of addresses and published ports: nftables, by messages of `linux/netfilter/nf_tables.h`.
//!
//! There is one table, `inet roci`, with rules that are made once and never change. A network is an interval in the set
//! `subnets`, and a published port an element of the maps `ports4` and `ports6`, which lead from address, protocol and port
//! on the host to address and port of a container. Every change is one batch, which the kernel makes whole or not at all.
//! With the last network the table goes.
//!
//! Addresses of IPv6 are not translated but for ports.
//!
//! What the table is made of stands in [`Text::Nat`], a line for each set, chain and rule (`S`, `C`, `R`), as a template of
//! [`Request::fill`]. All its numbers are the kernel's.
//!
//! A set has flags, type and length of its key and of its data from attribute 3 on. `subnets` has intervals (4), the maps (8)
//! have keys and data of several parts; a type is six bits for each part: 7 and 8 an address, 12 a protocol, 13 a port. A
//! chain has a hook and a priority there, which are 300 and 100 below nothing; `publish` is called by others.
//!
//! What rules have in common: `[meta 2=15 1=1 ] [cmp 1=1 2=0 3( 1:2 ) ]` is IPv4, with 10 IPv6; `[payload 1=R 2=1 3=12 4=4 ]`
//! loads the source of IPv4 into register R, with 16 its destination; `[fib 1=1 2=3 3=2 ] [cmp 1=1 2=0 3( 1!2 ) ]` is a
//! destination that is this host; `[lookup 1@SET 2=R ]` asks whether the set has what is in R, with `5=1` whether it has not,
//! and with `3=R` loads what the map has for it; `[immediate 1=0 2( 2( 1=CODE 2@CHAIN ) ) ]` is a verdict, to jump to a chain
//! or to drop the packet (0).
//!
//! The rules in their order: what claims to come from 127.0.0.0/8 or to go there, and does not come from the loopback device
//! (number 1), is nothing of this host's, though the bridges let it through; a port is looked up for the very address and
//! then for 0, which is every address; this goes for packets from elsewhere and for those of this host; the containers' packets
//! to elsewhere get an address of the host's, and so do those that came to a published port from another container or from
//! 127.0.0.1, since the answer would not come back this way.

use rustix::io::Errno;

use super::address::{Address, Port, Subnet};
use super::netlink::{ALL, APPEND, CREATE, NETFILTER, NEW, Request, Socket, Word};
use crate::text::cut;
use crate::texts::Text;

type Result<T> = core::result::Result<T, Errno>;

const NFNL_MSG_BATCH_BEGIN: u16 = 16;
const NFNL_MSG_BATCH_END: u16 = 17;
/// `NFNL_SUBSYS_NFTABLES`, which is the upper byte of the types of messages below.
const NFTABLES: u16 = 10 << 8;
const NEWTABLE: u16 = NFTABLES;
const DELTABLE: u16 = NFTABLES | 2;
const NEWCHAIN: u16 = NFTABLES | 3;
const NEWRULE: u16 = NFTABLES | 6;
const NEWSET: u16 = NFTABLES | 9;
const NEWSETELEM: u16 = NFTABLES | 12;
const GETSETELEM: u16 = NFTABLES | 13;
const DELSETELEM: u16 = NFTABLES | 14;
/// `struct nfgenmsg`: the family, here `NFPROTO_INET`, a version, and a number in the order of the network.
const INET: [Word; 1] = [[1, 0, 0, 0]];
/// The same for the ends of a batch, which have the number of the subsystem.
const BATCH: [Word; 1] = [[0, 0, 0, 10]];

// In every message attribute 1 is the name of the table and, in most, 2 that of what the message is about. Elements of sets are
// a list (3) of items (1), each of which has a key (1), data (2) and flags (3); these two are values (1).
const TABLE: &str = "1@roci";
const NFTA_ELEMENTS: u16 = 3;
const ITEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const VALUE: u16 = 1;

/// Where connections of the host itself come from.
const LOOPBACK: Option<Subnet> = Subnet::of_loopback();

/// Whether the kernel has all that the table needs: it is asked for it in a batch that cannot be done, since it makes the table
/// twice.
pub fn is_there() -> bool {
    let mut request = begin();
    request.message(NEWTABLE, NEW, &INET).fill(TABLE, &[]);
    add_table(&mut request);
    request.message(NEWTABLE, NEW, &INET).fill(TABLE, &[]);
    let asked = Socket::open(NETFILTER).and_then(|socket| commit(&socket, &mut request));
    matches!(asked, Err(Errno::EXIST | Errno::PERM))
}

/// Makes the table where it is not there, with the set of what is translated for this network.
///
/// # Errors
/// The kernel's; `EEXIST` where the subnet overlaps with another one.
pub fn add_network(subnets: &[Option<Subnet>; 2]) -> Result<()> {
    let mut request = begin();
    request.message(NEWTABLE, NEW, &INET).fill(TABLE, &[]);
    add_table(&mut request);
    add_subnet(&mut request, NEWSETELEM, &LOOPBACK);
    add_subnet(&mut request, NEWSETELEM, &subnets[0]);
    let socket = Socket::open(NETFILTER)?;
    match commit(&socket, &mut request) {
        // A table that is there is whole, since its batch was.
        Err(Errno::EXIST) => {}
        other => return other,
    }
    let mut request = begin();
    add_subnet(&mut request, NEWSETELEM, &subnets[0]);
    commit(&socket, &mut request)
}

/// Whether the error is that of a kernel that has no filters of this kind, or of somebody who may not make any.
pub fn is_lack(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::PROTONOSUPPORT
            | Errno::AFNOSUPPORT
            | Errno::OPNOTSUPP
            | Errno::NOENT
            | Errno::INVAL
            | Errno::PERM
            | Errno::NOSYS
    )
}

/// A line to the packet filter; `None` where the kernel has none, which has nothing that could be taken out of it.
fn open_if_there() -> Result<Option<Socket>> {
    match Socket::open(NETFILTER) {
        Err(Errno::PROTONOSUPPORT) => Ok(None),
        socket => socket.map(Some),
    }
}

/// Takes the network out of the table, and the table away where that was the last one.
pub fn remove_network(subnets: &[Option<Subnet>; 2]) -> Result<()> {
    let Some(socket) = open_if_there()? else {
        return Ok(());
    };
    let mut request = begin();
    // Added once more, so that it is there to be removed wherever making it was broken off.
    add_subnet(&mut request, NEWSETELEM, &subnets[0]);
    add_subnet(&mut request, DELSETELEM, &subnets[0]);
    match commit(&socket, &mut request) {
        // There is no table, or the network was refused for the sake of another one.
        Err(Errno::NOENT | Errno::EXIST) => return Ok(()),
        other => other?,
    }
    let mut request = Request::new(GETSETELEM, ALL, &INET);
    request.fill("1@roci 2@subnets", &[]);
    let mut is_empty = true;
    let loopback = LOOPBACK.map(|subnet| subnet.ends());
    socket.ask_all(&mut request, &mut |payload| {
        is_empty &= holds_nothing_but(payload, loopback)
    })?;
    if !is_empty {
        return Ok(());
    }
    let mut request = begin();
    request.message(DELTABLE, 0, &INET).fill(TABLE, &[]);
    commit(&socket, &mut request)
}

/// Whether the elements in this part of an answer are these ends of an interval.
fn holds_nothing_but(payload: &[u8], ends: Option<[Address; 2]>) -> bool {
    use super::netlink::attribute;
    let mut rest = attribute(payload, size_of_val(&INET), NFTA_ELEMENTS).unwrap_or_default();
    while let Some(element) = attribute(rest, 0, ITEM) {
        let key = attribute(element, 0, NFTA_SET_ELEM_KEY).and_then(|key| attribute(key, 0, VALUE));
        if !ends.iter().flatten().any(|end| key == Some(end.as_bytes())) {
            return false;
        }
        rest = rest.get(4 + element.len().next_multiple_of(4)..).unwrap_or_default();
    }
    true
}

/// Publishes ports.
///
/// # Errors
/// The kernel's; `EEXIST` where one of them is published already.
pub fn publish(ports: &[&str], addresses: &[Option<Address>; 2]) -> Result<()> {
    let mut request = begin();
    for port in ports.iter().filter_map(|port| Port::parse(port)) {
        for address in addresses.iter().flatten() {
            add_port(&mut request, NEWSETELEM, NEW, &port, address);
        }
    }
    commit(&Socket::open(NETFILTER)?, &mut request)
}

/// Takes back what of these ports is published for these addresses.
pub fn withdraw(ports: &[Port], addresses: &[Option<Address>; 2]) -> Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let Some(socket) = open_if_there()? else {
        return Ok(());
    };
    // One by one, since those that are somebody else's fail, and only they.
    for port in ports {
        for address in addresses.iter().flatten() {
            let mut request = begin();
            // As with subnets: what is there with other data is refused, and so is its removal.
            add_port(&mut request, NEWSETELEM, CREATE, port, address);
            add_port(&mut request, DELSETELEM, 0, port, address);
            match commit(&socket, &mut request) {
                Ok(()) | Err(Errno::NOENT | Errno::EXIST | Errno::BUSY) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    Ok(())
}

/// The beginning of a batch.
fn begin() -> Request {
    Request::new(NFNL_MSG_BATCH_BEGIN, 0, &BATCH)
}

/// Sends a batch, whose last message the kernel acknowledges when it has done all of it. One of nothing is not sent.
fn commit(socket: &Socket, request: &mut Request) -> Result<()> {
    if request.is_single() {
        return Ok(());
    }
    request.acknowledge();
    request.message(NFNL_MSG_BATCH_END, 0, &BATCH);
    socket.ask(request, &mut |_| {})
}

/// Appends the sets, chains and rules.
fn add_table(request: &mut Request) {
    let mut rest = Text::Nat.get();
    while !rest.is_empty() {
        let mut line = cut(&mut rest, b'\n');
        let (kind, flags) = match cut(&mut line, b' ') {
            "S" => (NEWSET, CREATE),
            "C" => (NEWCHAIN, CREATE),
            _ => (NEWRULE, APPEND),
        };
        request.message(kind, flags, &INET).fill(TABLE, &[]).fill(line, &[]);
    }
}

/// Appends the ends of the subnet of IPv4, the second of which is flagged as one.
#[inline(never)]
fn add_subnet(request: &mut Request, kind: u16, subnet: &Option<Subnet>) {
    if let Some(subnet) = subnet {
        let [first, behind] = subnet.ends();
        request.message(kind, CREATE, &INET).fill(
            "1@roci 2@subnets 3( 1( 1( 1$ ) ) 1( 1( 1$ ) 3=1 ) )",
            &[first.as_bytes(), behind.as_bytes()],
        );
    }
}

/// Appends what leads from a port of the host to that of the container, where both have addresses of one kind.
#[inline(never)]
fn add_port(request: &mut Request, kind: u16, flags: u16, port: &Port, address: &Address) {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let host = port.host.unwrap_or(Address::unspecified(address.is_v6()));
    if host.is_v6() != address.is_v6() {
        return;
    }
    let (set, len) = if address.is_v6() {
        (&b"ports6"[..], 16)
    } else {
        (&b"ports4"[..], 4)
    };
    // Each part of a key, and of what it leads to, fills whole registers.
    let (mut key, mut data) = ([0; 24], [0; 20]);
    let [high, low] = port.outer.to_be_bytes();
    sys::copy(&mut key, host.as_bytes());
    let protocol = if port.is_udp { UDP } else { TCP };
    sys::copy(key.get_mut(len..).unwrap_or_default(), &[protocol, 0, 0, 0, high, low]);
    sys::copy(&mut data, address.as_bytes());
    sys::copy(data.get_mut(len..).unwrap_or_default(), &port.inner.to_be_bytes());
    let key = key.get(..len + 8).unwrap_or_default();
    let data = data.get(..len + 4).unwrap_or_default();
    let template = if kind == NEWSETELEM {
        "1@roci 2% 3( 1( 1( 1$ ) 2( 1$ ) ) )"
    } else {
        "1@roci 2% 3( 1( 1( 1$ ) ) )"
    };
    request.message(kind, flags, &INET).fill(template, &[set, key, data]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse_number;

    /// The kernel says only that something is wrong, so what can be seen here is looked for here.
    #[test]
    fn the_rules_are_well_formed() {
        for line in Text::Nat.get().lines() {
            let (mut depth, mut names) = (0, 0);
            for word in line.split(' ').skip(1) {
                let value = word.trim_start_matches(|c: char| c.is_ascii_digit());
                let (sign, value) = value.split_at(1);
                match sign {
                    "(" | "[" => depth += 1,
                    ")" | "]" => depth -= 1,
                    "@" => names += usize::from(!value.is_empty()),
                    "=" | ":" | "!" | "*" => assert!(parse_number(value).is_some(), "{word}"),
                    _ => panic!("{word}"),
                }
                assert!((0..5).contains(&depth), "{line}");
            }
            assert!(
                depth == 0 && names > 0 && ["S ", "C ", "R "].contains(&&line[..2]),
                "{line}"
            );
        }
    }

    #[test]
    fn everything_that_makes_the_table_fits_into_one_request() {
        let mut request = begin();
        add_table(&mut request);
        assert!(request.fits(1024));
    }

    #[test]
    fn sets_and_chains_are_made_and_rules_appended() {
        let mut request = begin();
        add_table(&mut request);
        let mut bytes = request.finish();
        let half = |bytes: &[u8], at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let mut messages = std::vec![];
        while !bytes.is_empty() {
            messages.push((half(bytes, 4), half(bytes, 6) & !1));
            bytes = &bytes[usize::from(half(bytes, 0))..];
        }
        let lines = Text::Nat.get().lines();
        let expected = lines.map(|line| match &line[..2] {
            "S " => (NEWSET, CREATE),
            "C " => (NEWCHAIN, CREATE),
            _ => (NEWRULE, APPEND),
        });
        assert_eq!(messages[1..], expected.collect::<std::vec::Vec<_>>());
    }
}
