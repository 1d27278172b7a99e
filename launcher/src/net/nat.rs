//! Translation of addresses and published ports: nftables, by messages of `linux/netfilter/nf_tables.h`.
//!
//! There is one table, `inet roci`, with rules that are made once and never change. A network is an interval in the set
//! `subnets`, and a published port an element of the maps `ports4` and `ports6`, which lead from address, protocol and port
//! on the host to address and port of a container. Every change is one batch, which the kernel makes whole or not at all.
//! With the last network the table goes.
//!
//! Addresses of IPv6 are not translated but for ports.
//!
//! What the table is made of stands in [`Text::Nat`], a line for each set, chain and rule. All its numbers are the kernel's.
//!
//! - `S NAME FLAGS KEY LENGTH [DATA LENGTH]`: attributes 3 to 7 of a set. `subnets` has intervals (4), the maps (8) have keys
//!   and data of several parts; a type is six bits for each part: 7 and 8 an address, 12 a protocol, 13 a port.
//! - `C NAME [HOOK PRIORITY TYPE]`: a chain, where the kernel calls it and when. `publish` is called by others.
//! - `R CHAIN EXPRESSION;...`: a rule. An expression is a name and its attributes: a number in the order of the network (`=`),
//!   data of one byte (`:`), of a number in the order of this machine (`!`), or of so many zeros (`*`), a name (`@`), or a
//!   verdict (`>`), which is to jump to that chain or, without one, to drop the packet.
//!
//! What rules have in common: `meta 2=15 1=1;cmp 1=1 2=0 3:2` is IPv4, with 10 IPv6; `payload 1=R 2=1 3=12 4=4` loads the
//! source of IPv4 into register R, with 16 its destination; `fib 1=1 2=3 3=2;cmp 1=1 2=0 3!2` is a destination that is this
//! host; `lookup 1@SET 2=R` asks whether the set has what is in R, with `5=1` whether it has not, and with `3=R` loads what
//! the map has for it.
//!
//! The rules in their order: what claims to come from 127.0.0.0/8 or to go there, and does not come from the loopback device
//! (number 1), is nothing of this host's, though the bridges let it through; a port is looked up for the very address and
//! then for 0, which is every address; this goes for packets from elsewhere and for those of this host; the containers' packets
//! to elsewhere get an address of the host's, and so do those that came to a published port from another container or from
//! 127.0.0.1, since the answer would not come back this way.

use rustix::io::Errno;

use super::address::{Address, Port, Subnet};
use super::netlink::{ALL, APPEND, CREATE, NETFILTER, NEW, Request, Socket, Word};
use crate::text::{cut, parse_number, parts};
use crate::texts::Text;

type Result<T> = core::result::Result<T, Errno>;

const TABLE: &str = "roci";
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

// In nearly every message attribute 1 is the name of the table and 2 that of what the message is about.
const TABLE_NAME: u16 = 1;
const NAME: u16 = 2;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_ID: u16 = 10;
const NFTA_ELEMENTS: u16 = 3;
/// `NFTA_LIST_ELEM`.
const ITEM: u16 = 1;
/// `NFTA_DATA_VALUE`, `NFTA_DATA_VERDICT`.
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;

const NFT_JUMP: i32 = -3;
const NF_DROP: i32 = 0;

/// Where connections of the host itself come from.
const LOOPBACK: Option<Subnet> = Subnet::of_loopback();

/// Whether the kernel has all that the table needs: it is asked for it in a batch that cannot be done, since it makes the table
/// twice.
pub fn is_there() -> bool {
    let mut request = begin();
    request.message(NEWTABLE, NEW, &INET).text(TABLE_NAME, TABLE);
    add_table(&mut request);
    request.message(NEWTABLE, NEW, &INET).text(TABLE_NAME, TABLE);
    let asked = Socket::open(NETFILTER).and_then(|socket| commit(&socket, &mut request));
    matches!(asked, Err(Errno::EXIST | Errno::PERM))
}

/// Makes the table where it is not there, with the set of what is translated for this network.
///
/// # Errors
/// The kernel's; `EEXIST` where the subnet overlaps with another one.
pub fn add_network(subnets: &[Option<Subnet>; 2]) -> Result<()> {
    let mut request = begin();
    request.message(NEWTABLE, NEW, &INET).text(TABLE_NAME, TABLE);
    add_table(&mut request);
    add_subnet(&mut request, NEWSETELEM, LOOPBACK);
    add_subnet(&mut request, NEWSETELEM, subnets[0]);
    let socket = Socket::open(NETFILTER)?;
    match commit(&socket, &mut request) {
        // A table that is there is whole, since its batch was.
        Err(Errno::EXIST) => {}
        other => return other,
    }
    let mut request = begin();
    add_subnet(&mut request, NEWSETELEM, subnets[0]);
    commit(&socket, &mut request)
}

/// Takes the network out of the table, and the table away where that was the last one.
pub fn remove_network(subnets: &[Option<Subnet>; 2]) -> Result<()> {
    let Ok(socket) = Socket::open(NETFILTER) else {
        return Ok(());
    };
    let mut request = begin();
    // Added once more, so that it is there to be removed wherever making it was broken off.
    add_subnet(&mut request, NEWSETELEM, subnets[0]);
    add_subnet(&mut request, DELSETELEM, subnets[0]);
    match commit(&socket, &mut request) {
        // There is no table, or the network was refused for the sake of another one.
        Err(Errno::NOENT | Errno::EXIST) => return Ok(()),
        other => other?,
    }
    let mut request = Request::new(GETSETELEM, ALL, &INET);
    request.text(TABLE_NAME, TABLE).text(NAME, "subnets");
    let mut is_empty = true;
    let loopback = LOOPBACK.map(|subnet| subnet.ends());
    socket.ask_all(&mut request, &mut |payload| {
        is_empty &= holds_nothing_but(payload, loopback)
    })?;
    if !is_empty {
        return Ok(());
    }
    let mut request = begin();
    request.message(DELTABLE, 0, &INET).text(TABLE_NAME, TABLE);
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
    let Ok(socket) = Socket::open(NETFILTER) else {
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
    let mut number = 0;
    while !rest.is_empty() {
        let mut line = cut(&mut rest, b'\n');
        let (kind, flags, name_kind) = match cut(&mut line, b' ') {
            "S" => (NEWSET, CREATE, NAME),
            "C" => (NEWCHAIN, CREATE, NFTA_CHAIN_NAME),
            _ => (NEWRULE, APPEND, NAME),
        };
        request.message(kind, flags, &INET).text(TABLE_NAME, TABLE);
        request.text(name_kind, cut(&mut line, b' '));
        match kind {
            NEWSET => {
                number += 1;
                request.big_number(NFTA_SET_ID, number);
                for (value, kind) in parts(line, b' ').zip(3..) {
                    request.big_number(kind, number_of(value));
                }
            }
            NEWCHAIN if line.is_empty() => {}
            NEWCHAIN => {
                let hook = request.open(NFTA_CHAIN_HOOK);
                request.big_number(1, number_of(cut(&mut line, b' ')));
                request.big_number(2, number_of(cut(&mut line, b' ')));
                request.close(hook);
                request.text(NFTA_CHAIN_TYPE, line);
            }
            _ => {
                let expressions = request.open(NFTA_RULE_EXPRESSIONS);
                while !line.is_empty() {
                    add_expression(request, cut(&mut line, b';'));
                }
                request.close(expressions);
            }
        }
    }
}

fn number_of(text: &str) -> u32 {
    parse_number(text).unwrap_or(0) as u32
}

fn add_expression(request: &mut Request, mut expression: &str) {
    let item = request.open(ITEM);
    request.text(1, cut(&mut expression, b' '));
    let attributes = request.open(2);
    while !expression.is_empty() {
        let attribute = cut(&mut expression, b' ');
        let (kind, rest) = attribute.split_at_checked(1).unwrap_or_default();
        let (sign, value) = rest.split_at_checked(1).unwrap_or_default();
        let (kind, number) = (number_of(kind) as u16, number_of(value));
        match sign {
            "=" => _ = request.big_number(kind, number),
            "@" => _ = request.text(kind, value),
            ":" => add_data(request, kind, &[&[number as u8]]),
            "!" => add_data(request, kind, &[&number.to_ne_bytes()]),
            "*" => add_data(request, kind, &[[0; 16].get(..number as usize).unwrap_or_default()]),
            _ => {
                let data = request.open(kind);
                let verdict = request.open(VERDICT);
                let code = if value.is_empty() { NF_DROP } else { NFT_JUMP };
                request.big_number(1, code as u32);
                if !value.is_empty() {
                    request.text(2, value);
                }
                request.close(verdict);
                request.close(data);
            }
        }
    }
    request.close(attributes);
    request.close(item);
}

/// Appends an attribute that is data: its parts, each of which fills whole registers.
fn add_data(request: &mut Request, kind: u16, parts: &[&[u8]]) {
    let data = request.open(kind);
    let value = request.open(VALUE);
    for part in parts {
        request.padded(part);
    }
    // The last part's length counts, as that of a single one does, where a comparison is of some bytes only.
    let [.., last] = parts else { return };
    let surplus = if parts.len() == 1 {
        last.len().next_multiple_of(4) - last.len()
    } else {
        0
    };
    request.close_short(value, surplus);
    request.close(data);
}

/// Begins a message about elements of a set.
fn open_elements(request: &mut Request, kind: u16, flags: u16, set: &str) -> usize {
    request
        .message(kind, flags, &INET)
        .text(TABLE_NAME, TABLE)
        .text(NAME, set);
    request.open(NFTA_ELEMENTS)
}

fn add_subnet(request: &mut Request, kind: u16, subnet: Option<Subnet>) {
    let Some(subnet) = subnet else { return };
    let elements = open_elements(request, kind, CREATE, "subnets");
    let [first, behind] = subnet.ends();
    for (end, flags) in [(first, 0), (behind, NFT_SET_ELEM_INTERVAL_END)] {
        let item = request.open(ITEM);
        add_data(request, NFTA_SET_ELEM_KEY, &[end.as_bytes()]);
        if flags != 0 {
            request.big_number(NFTA_SET_ELEM_FLAGS, flags);
        }
        request.close(item);
    }
    request.close(elements);
}

/// Appends what leads from a port of the host to that of the container, where both have addresses of one kind.
fn add_port(request: &mut Request, kind: u16, flags: u16, port: &Port, address: &Address) {
    const TCP: u8 = 6;
    const UDP: u8 = 17;
    let host = port.host.unwrap_or(Address::unspecified(address.is_v6()));
    if host.is_v6() != address.is_v6() {
        return;
    }
    let elements = open_elements(request, kind, flags, if address.is_v6() { "ports6" } else { "ports4" });
    let item = request.open(ITEM);
    let protocol = [if port.is_udp { UDP } else { TCP }];
    let (outer, inner) = (port.outer.to_be_bytes(), port.inner.to_be_bytes());
    add_data(request, NFTA_SET_ELEM_KEY, &[host.as_bytes(), &protocol, &outer]);
    if kind == NEWSETELEM {
        add_data(request, NFTA_SET_ELEM_DATA, &[address.as_bytes(), &inner]);
    }
    request.close(item);
    request.close(elements);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::split_once;

    /// Whatever stands in the tables, the kernel must be able to read it: the parts that are numbers are numbers.
    #[test]
    fn the_rules_are_well_formed() {
        let lines = |kind| Text::Nat.get().lines().filter_map(move |line| line.strip_prefix(kind));
        let first = |line: &'static str| split_once(line, b' ').0;
        for rule in lines("R ") {
            let (chain, expressions) = split_once(rule, b' ');
            assert!(lines("C ").any(|line| first(line) == chain), "{rule}");
            for expression in expressions.expect("expressions").split(';') {
                for attribute in expression.split(' ').skip(1) {
                    let (kind, rest) = attribute.split_at(1);
                    assert!(parse_number(kind).is_some(), "{attribute}");
                    let (sign, value) = rest.split_at(1);
                    match sign {
                        "=" | "!" | ":" | "*" => assert!(parse_number(value).is_some(), "{attribute}"),
                        "@" => assert!(lines("S ").any(|line| first(line) == value), "{attribute}"),
                        _ => assert_eq!(sign, ">", "{attribute}"),
                    }
                }
            }
        }
    }

    #[test]
    fn everything_that_makes_the_table_fits_into_one_request() {
        let mut request = begin();
        add_table(&mut request);
        assert!(request.fits(1024));
    }
}
