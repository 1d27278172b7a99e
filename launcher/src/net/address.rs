//! Addresses, subnets and published ports as people write them. What is here is computed from text alone.

use spec_core::sink::Show;

use crate::text::{Digits, Sink, has, parse_number, parts, split_once};

/// An address of IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// In the order of the network. Of IPv4 there are four, and then zeros.
    bytes: [u8; 16],
    is_v6: bool,
}

impl Address {
    /// What stands for every address of the host in the maps of ports.
    pub const fn unspecified(is_v6: bool) -> Self {
        Self { bytes: [0; 16], is_v6 }
    }

    /// Reads an address, all of `text`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let is_v6 = has(text, b':');
        if is_v6 {
            parse_v6(text, &mut bytes)?;
        } else {
            let mut places = bytes.iter_mut().take(4);
            for part in parts(text, b'.') {
                // A zero in front means an octal number to some and nothing to others.
                if part.len() > 1 && part.starts_with('0') {
                    return None;
                }
                *places.next()? = parse_number(part)?.try_into().ok()?;
            }
            if places.next().is_some() {
                return None;
            }
        }
        Some(Self { bytes, is_v6 })
    }

    /// Whether it is one of IPv6.
    pub fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// 0 for IPv4 and 1 for IPv6: the place in lists that have one of each.
    pub fn version(&self) -> usize {
        usize::from(self.is_v6)
    }

    /// `AF_INET` or `AF_INET6`.
    pub fn family(&self) -> u8 {
        if self.is_v6 { 10 } else { 2 }
    }

    /// As the kernel takes it.
    pub fn as_bytes(&self) -> &[u8] {
        let len = if self.is_v6 { 16 } else { 4 };
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Writes it, that of IPv6 with its longest row of zeros cut out.
    #[inline(never)]
    pub fn write(&self, out: &mut dyn Sink) {
        if !self.is_v6 {
            for (index, byte) in self.as_bytes().iter().enumerate() {
                out.put(if index > 0 { "." } else { "" });
                out.put(Digits::of((*byte).into()).as_str());
            }
            return;
        }
        let group = |index: usize| {
            let pair = self.bytes.get(2 * index..).and_then(<[u8]>::first_chunk);
            pair.map_or(1, |pair| u16::from_be_bytes(*pair))
        };
        let (mut from, mut longest) = (8, 1);
        for start in 0..8 {
            let zeros = (start..8).take_while(|index| group(*index) == 0).count();
            if zeros > longest {
                (from, longest) = (start, zeros);
            }
        }
        let mut index = 0;
        while index < 8 {
            if index == from {
                out.put("::");
                index += longest;
                continue;
            }
            out.put(if index > 0 && index != from + longest { ":" } else { "" });
            write_hex(out, group(index));
            index += 1;
        }
    }

    /// The last four bytes, and where they stand.
    fn tail(&self) -> (usize, u32) {
        let at = self.as_bytes().len() - 4;
        let four = self.bytes.get(at..).and_then(<[u8]>::first_chunk);
        (at, four.map_or(0, |four| u32::from_be_bytes(*four)))
    }

    /// This address with other bytes at its end.
    fn with_tail(mut self, tail: u32) -> Self {
        let (at, _) = self.tail();
        sys::copy(self.bytes.get_mut(at..).unwrap_or_default(), &tail.to_be_bytes());
        self
    }
}

fn write_hex(out: &mut dyn Sink, number: u16) {
    let mut begun = false;
    for shift in [12, 8, 4, 0] {
        let digit = usize::from(number >> shift & 15);
        begun |= digit != 0 || shift == 0;
        if begun {
            out.put("0123456789abcdef".get(digit..=digit).unwrap_or_default());
        }
    }
}

fn parse_v6(text: &str, bytes: &mut [u8; 16]) -> Option<()> {
    // One colon at an end is none of the two that stand for zeros.
    if (text.starts_with(':') && !text.starts_with("::")) || (text.ends_with(':') && !text.ends_with("::")) {
        return None;
    }
    let last = parts(text, b':').count() - 1;
    let (mut len, mut gap) = (0, None);
    for (index, part) in parts(text, b':').enumerate() {
        match (part.len(), gap) {
            // What is before or behind the two colons of an end.
            (0, _) if index == 0 => {}
            (0, None) => gap = Some(len),
            (0, Some(_)) if index == last => {}
            (1..=4, _) => {
                let mut number = 0;
                for byte in part.bytes() {
                    number = number << 4 | char::from(byte).to_digit(16)? as u16;
                }
                let place = bytes.get_mut(len..len + 2)?;
                sys::copy(place, &number.to_be_bytes());
                len += 2;
            }
            _ => return None,
        }
    }
    match gap {
        None => (len == 16).then_some(()),
        Some(gap) if len < 16 => {
            // What was read behind the gap belongs at the end.
            let read = *bytes;
            let moved = read.get(gap..len)?;
            bytes.get_mut(gap..)?.fill(0);
            sys::copy(bytes.get_mut(16 - moved.len()..)?, moved);
            Some(())
        }
        Some(_) => None,
    }
}

impl Show for Address {
    fn write_to(&self, out: &mut dyn Sink) {
        self.write(out);
    }
}

/// A subnet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subnet {
    /// Its first address, which is the gateway's.
    pub gateway: Address,
    /// How many bits of it are common to all its addresses.
    pub prefix: u8,
}

/// How many addresses of a subnet are handed out at most; what is behind them can be asked for by `--ip`.
pub const LEASES_MAX: u32 = 4096;

impl Subnet {
    /// Reads `ADDRESS/PREFIX`. There has to be room for the gateway and a container.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = split_once(text, b'/');
        let address = Address::parse(address)?;
        let prefix = parse_number(prefix?)?.try_into().ok()?;
        Self::of(address, prefix)
    }

    /// 127.0.0.0/8.
    pub const fn of_loopback() -> Option<Self> {
        let mut gateway = Address::unspecified(false);
        [gateway.bytes[0], gateway.bytes[3]] = [127, 1];
        Some(Self { gateway, prefix: 8 })
    }

    /// The subnet that `address` is in.
    pub fn of(address: Address, prefix: u8) -> Option<Self> {
        let bits = 8 * address.as_bytes().len() as u8;
        if !(8..=bits - 2).contains(&prefix) {
            return None;
        }
        let mut network = address;
        for (index, byte) in network.bytes.iter_mut().enumerate() {
            let common = u32::from(prefix).saturating_sub(8 * index as u32).min(8);
            *byte &= (0xff00_u32 >> common) as u8;
        }
        let (_, tail) = network.tail();
        Some(Self {
            gateway: network.with_tail(tail + 1),
            prefix,
        })
    }

    /// How many bits of its last four bytes tell its addresses apart.
    fn host_bits(&self) -> u32 {
        (8 * self.gateway.as_bytes().len() as u32 - u32::from(self.prefix)).min(32)
    }

    /// The address with this number; the gateway has 1.
    pub fn host(&self, number: u32) -> Address {
        let (_, tail) = self.gateway.tail();
        self.gateway.with_tail((tail - 1).wrapping_add(number))
    }

    /// The number of `address`, if it is one of its addresses.
    pub fn number_of(&self, address: Address) -> Option<u32> {
        let same = address.is_v6 == self.gateway.is_v6 && Self::of(address, self.prefix) == Some(*self);
        let mask = u32::MAX.checked_shr(32 - self.host_bits()).unwrap_or(0);
        same.then(|| address.tail().1 & mask)
    }

    /// Whether the address with this number is no container's: the network's own, the gateway's, or the broadcast address.
    pub fn is_reserved(&self, number: u32) -> bool {
        let last = u32::MAX.checked_shr(32 - self.host_bits()).unwrap_or(0);
        number < 2 || (number == last && !self.gateway.is_v6)
    }

    /// The first number that no container gets on its own: behind those that are handed out, or the broadcast address.
    pub fn end(&self) -> u32 {
        let all = 1_u32.checked_shl(self.host_bits()).unwrap_or(u32::MAX);
        LEASES_MAX.min(if self.gateway.is_v6 { all } else { all - 1 })
    }

    /// Its first address and the first one behind it.
    pub fn ends(&self) -> [Address; 2] {
        let size = 1_u32.checked_shl(self.host_bits()).unwrap_or(0);
        [self.host(0), self.host(size)]
    }

    /// Writes the gateway's address and the prefix.
    pub fn write(&self, out: &mut dyn Sink) {
        self.gateway.write(out);
        out.put("/");
        out.put(Digits::of(self.prefix.into()).as_str());
    }
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// The host's address; without one, all of them.
    pub host: Option<Address>,
    /// The host's port.
    pub outer: u16,
    /// The container's port.
    pub inner: u16,
    /// Whether it is one of UDP and not of TCP.
    pub is_udp: bool,
}

impl Port {
    /// Reads `[HOSTIP:]HOSTPORT:PORT[/tcp|/udp]`, where an address of IPv6 stands in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let (ports, protocol) = split_once(text, b'/');
        let is_udp = match protocol {
            None | Some("tcp") => false,
            Some("udp") => true,
            Some(_) => return None,
        };
        let (host, ports) = match ports.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = split_once(rest, b']');
                let address = Address::parse(address).filter(Address::is_v6)?;
                (Some(address), rest?.strip_prefix(':')?)
            }
            None if parts(ports, b':').count() == 3 => {
                let (address, rest) = split_once(ports, b':');
                (Some(Address::parse(address)?), rest?)
            }
            None => (None, ports),
        };
        let (outer, inner) = split_once(ports, b':');
        let number = |text| u16::try_from(parse_number(text)?).ok().filter(|port| *port != 0);
        Some(Self {
            // What is written as nothing but zeros means every address.
            host: host.filter(|host| *host != Address::unspecified(host.is_v6)),
            outer: number(outer)?,
            inner: number(inner?)?,
            is_udp,
        })
    }
}

/// A number that is made of `bytes` (FNV-1a).
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // The last bytes have hardly reached the upper bits.
    hash ^ hash >> 29
}

/// The address of a network card, which is nobody else's: one that is administered locally.
pub fn hardware_address(hash: u64) -> [u8; 6] {
    let [_, _, first, rest @ ..] = hash.to_be_bytes();
    let [b, c, d, e, f] = rest;
    [first & 0xfc | 2, b, c, d, e, f]
}

/// What a network has where nobody says otherwise: one of 256 subnets of 10.208.0.0/12, each with 4096 addresses, and one
/// of fd72:6f63:6900::/40. Its name says which.
pub fn default_subnets(name: &str) -> [Option<Subnet>; 2] {
    let [low, middle, high, ..] = hash(name.as_bytes()).to_le_bytes();
    let mut v4 = Address::unspecified(false);
    sys::copy(&mut v4.bytes, &[10, 208 | low & 15, low & 0xf0]);
    let mut v6 = Address::unspecified(true);
    sys::copy(&mut v6.bytes, &[0xfd, 0x72, 0x6f, 0x63, 0x69, low, middle, high]);
    [Subnet::of(v4, 20), Subnet::of(v6, 64)]
}

/// The name of the host's end of a container's pair of devices: letters and digits of a number.
pub fn device_name(hash: u64) -> heapless::String<15> {
    let mut name = heapless::String::new();
    let _ = name.push_str("roci");
    for shift in 0..11 {
        let digit = (hash >> (5 * shift)) as usize & 31;
        let _ = name.push_str(
            "abcdefghijklmnopqrstuvwxyz234567"
                .get(digit..=digit)
                .unwrap_or_default(),
        );
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv6Addr};
    use std::string::{String, ToString};

    fn shown(address: Address) -> String {
        let mut text = String::new();
        address.write(&mut text);
        text
    }

    #[test]
    fn addresses_are_those_that_std_reads() {
        let texts = [
            "10.0.0.1",
            "255.255.255.255",
            "0.0.0.0",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "1.2.3.",
            "",
            ".",
            "::",
            "::1",
            "1::",
            "fd72:6f63::1:2",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1::2::3",
            ":::",
            "1:::2",
            ":1",
            "1:",
            "::1:",
            ":1::",
            "12345::",
            "g::",
            "1::2:3:4:5:6:7:8",
            "1:0:0:2:0:0:0:3",
            "a:0:b:0:c:0:d:0",
        ];
        for text in texts {
            let expected: Option<IpAddr> = text.parse().ok();
            let read = Address::parse(text);
            assert_eq!(read.is_some(), expected.is_some(), "{text}");
            if let (Some(read), Some(expected)) = (read, expected) {
                assert_eq!(shown(read), expected.to_string(), "{text}");
            }
        }
    }

    #[test]
    fn every_address_is_written_as_it_is_read() {
        let mut seed = 7_u64;
        for _ in 0..if cfg!(miri) { 50 } else { 2000 } {
            seed = hash(&seed.to_le_bytes());
            let mut groups = [0_u16; 8];
            for (index, group) in groups.iter_mut().enumerate() {
                *group = if seed >> index & 1 == 0 {
                    0
                } else {
                    (seed >> (4 * index)) as u16
                };
            }
            let expected = Ipv6Addr::from(groups).to_string();
            // std writes these with an address of IPv4 at their end.
            if expected.contains('.') {
                continue;
            }
            assert_eq!(Address::parse(&expected).map(shown), Some(expected));
        }
    }

    #[test]
    fn subnets_have_their_addresses() {
        let subnet = Subnet::parse("10.1.2.77/29").expect("a subnet");
        assert_eq!((shown(subnet.gateway), subnet.end()), ("10.1.2.73".into(), 7));
        assert_eq!(shown(subnet.host(6)), "10.1.2.78");
        assert_eq!(subnet.ends().map(shown), ["10.1.2.72", "10.1.2.80"]);
        let number = |text| subnet.number_of(Address::parse(text).expect("an address"));
        assert_eq!(
            (number("10.1.2.78"), number("10.1.2.80"), number("::1")),
            (Some(6), None, None)
        );
        let subnet = Subnet::parse("fd00::/64").expect("a subnet");
        assert_eq!((shown(subnet.gateway), subnet.end()), ("fd00::1".into(), LEASES_MAX));
        assert_eq!(Subnet::parse("10.0.0.0/8").map(|subnet| subnet.end()), Some(LEASES_MAX));
        for text in [
            "10.0.0.0",
            "10.0.0.0/31",
            "10.0.0.0/7",
            "fd00::/127",
            "10.0.0.0/",
            "x/24",
            "10.0.0.0/-1",
        ] {
            assert_eq!(Subnet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_kernel_is_told_of_an_address() {
        let told = |text| {
            let address = Address::parse(text).expect("an address");
            (address.version(), address.family(), address.as_bytes().to_vec())
        };
        // AF_INET and AF_INET6 of linux/socket.h.
        assert_eq!(told("10.1.2.3"), (0, 2, [10, 1, 2, 3].to_vec()));
        let mut bytes = [0; 16];
        bytes[15] = 1;
        assert_eq!(told("::1"), (1, 10, bytes.to_vec()));
        assert_eq!(
            [false, true].map(|is_v6| shown(Address::unspecified(is_v6))),
            ["0.0.0.0", "::"]
        );
        let loopback = Subnet::of_loopback().map(|subnet| subnet.ends().map(shown));
        assert_eq!(loopback, Some(["127.0.0.0".into(), "128.0.0.0".into()]));
        let mut text = String::new();
        Subnet::parse("10.1.2.0/24").expect("a subnet").write(&mut text);
        assert_eq!(text, "10.1.2.1/24");
    }

    /// The network's own address, the gateway's, and the one that reaches all, which IPv6 does not have.
    #[test]
    fn addresses_that_are_no_containers() {
        let reserved = |subnet, text| {
            let subnet = Subnet::parse(subnet).expect("a subnet");
            let number = subnet.number_of(Address::parse(text).expect("an address"));
            number.map(|number| subnet.is_reserved(number))
        };
        for (subnet, address, expected) in [
            ("10.1.2.64/29", "10.1.2.64", Some(true)),
            ("10.1.2.64/29", "10.1.2.65", Some(true)),
            ("10.1.2.64/29", "10.1.2.66", Some(false)),
            ("10.1.2.64/29", "10.1.2.70", Some(false)),
            ("10.1.2.64/29", "10.1.2.71", Some(true)),
            ("10.1.2.64/29", "10.1.2.72", None),
            ("10.0.0.0/8", "10.255.255.255", Some(true)),
            ("10.0.0.0/8", "10.0.0.255", Some(false)),
            ("fd00::/64", "fd00::", Some(true)),
            ("fd00::/64", "fd00::1", Some(true)),
            ("fd00::/64", "fd00::2", Some(false)),
            ("fd00::/64", "fd00::ffff:ffff", Some(false)),
            ("fd00::/120", "fd00::ff", Some(false)),
            ("fd00::/120", "fd00::100", None),
        ] {
            assert_eq!(reserved(subnet, address), expected, "{subnet} {address}");
        }
    }

    #[test]
    fn ports_are_read_in_every_form() {
        let port = |host: Option<&str>, outer, inner, is_udp| {
            Some(Port {
                host: host.and_then(Address::parse),
                outer,
                inner,
                is_udp,
            })
        };
        assert_eq!(Port::parse("80:8080"), port(None, 80, 8080, false));
        assert_eq!(Port::parse("53:5353/udp"), port(None, 53, 5353, true));
        assert_eq!(Port::parse("1.2.3.4:80:81/tcp"), port(Some("1.2.3.4"), 80, 81, false));
        assert_eq!(Port::parse("[::1]:80:81"), port(Some("::1"), 80, 81, false));
        assert_eq!(Port::parse("0.0.0.0:80:81"), port(None, 80, 81, false));
        for text in [
            "80",
            "80:",
            ":80",
            "0:80",
            "80:0",
            "65536:1",
            "80:80/sctp",
            "[1.2.3.4]:80:80",
            "::1:80:80",
            "[::1]80:80",
            "a:80:80",
            "80:80:80",
            "80:80/",
            "+80:80",
            " 80:80",
        ] {
            assert_eq!(Port::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_and_defaults_are_derived() {
        assert_eq!(device_name(hash(b"web")).len(), 15);
        assert_eq!(device_name(1 | 2 << 5 | 31 << 50), "rocibcaaaaaaaa7");
        assert_ne!(device_name(hash(b"web")), device_name(hash(b"wea")));
        assert_eq!(hardware_address(hash(b"web"))[0] & 3, 2);
        let [v4, v6] = default_subnets("roci0");
        let texts = [v4, v6].map(|subnet| subnet.map(|subnet| shown(subnet.gateway)));
        assert_eq!(
            texts,
            [Some("10.220.64.1".into()), Some("fd72:6f63:694c:da67::1".into())]
        );
    }
}
