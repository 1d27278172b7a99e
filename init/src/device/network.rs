//! The device's own address, from a word in the form of the kernel's `ip=`.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use sys::device::{set_address, set_gateway};
use sys::directory::Names;
use sys::fd::{create_in, open, socket};

use super::say::complain;
use crate::message::words;
use crate::text::{Text, number};

/// A name of a network device, with its NUL.
type Name = Text<16>;

/// What the word says.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Address<'a> {
    address: [u8; 4],
    mask: [u8; 4],
    gateway: Option<[u8; 4]>,
    /// Who the device is.
    pub hostname: &'a [u8],
    device: &'a [u8],
    servers: [Option<[u8; 4]>; 2],
}

/// Reads `ADDRESS:SERVER:GATEWAY:MASK:HOSTNAME:DEVICE:AUTOCONF:DNS:DNS`, of which only the first has to be there; the mask may
/// stand behind it, as in `10.0.0.2/24`.
pub fn parse(word: &[u8]) -> Result<Address<'_>, &'static str> {
    let mut fields = word.split(|byte| *byte == b':');
    let mut next = || fields.next().unwrap_or_default();
    let (address, _server, gateway, mask, hostname, device, how) =
        (next(), next(), next(), next(), next(), next(), next());
    let servers = [next(), next()];
    if !matches!(how, b"" | b"off" | b"none") || !address.contains(&b'.') {
        return Err("only addresses that are given are set, none are asked for");
    }
    let mut parts = address.splitn(2, |byte| *byte == b'/');
    let address = parts.next().and_then(parse_address).ok_or("not an address")?;
    let prefix = match parts.next() {
        Some(digits) => Some(number(digits, 32).ok_or("not the length of a prefix")?),
        None => None,
    };
    let mask = match prefix {
        Some(length) => u32::MAX.checked_shl(32 - length).unwrap_or(0).to_be_bytes(),
        None if mask.is_empty() => [255, 255, 255, 0],
        None => parse_address(mask).ok_or("the mask is no address")?,
    };
    let optional = |field: &[u8], what| match field {
        b"" => Ok(None),
        field => parse_address(field).map(Some).ok_or(what),
    };
    let name_server = "the name server is no address";
    Ok(Address {
        address,
        mask,
        gateway: optional(gateway, "the gateway is no address")?,
        hostname,
        device,
        servers: [optional(servers[0], name_server)?, optional(servers[1], name_server)?],
    })
}

fn parse_address(text: &[u8]) -> Option<[u8; 4]> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut address = [0; 4];
    for place in &mut address {
        *place = number(parts.next()?, 255)? as u8;
    }
    parts.next().is_none().then_some(address)
}

/// Sets the address, the way to other networks, and the name servers.
pub fn set(address: &Address<'_>) {
    if let Err(errno) = try_set(address) {
        complain(b"ip", words(errno));
    }
    if address.servers.iter().any(Option::is_some)
        && let Err(errno) = write_servers(address)
    {
        complain(b"/etc/resolv.conf", words(errno));
    }
}

fn try_set(address: &Address<'_>) -> Result<(), Errno> {
    let mut name = Name::new();
    if address.device.is_empty() {
        first_device(&mut name)?;
    } else {
        name.push(address.device);
    }
    let socket = socket(AddressFamily::INET, SocketType::DGRAM)?;
    let name = name.as_c_str().ok_or(Errno::NAMETOOLONG)?;
    let set = set_address(socket.as_fd(), name, address.address, address.mask);
    let set = set.and_then(|()| match address.gateway {
        Some(gateway) => match set_gateway(socket.as_fd(), gateway) {
            // The kernel has done it already.
            Err(Errno::EXIST) => Ok(()),
            result => result,
        },
        None => Ok(()),
    });
    socket.close();
    set
}

/// The first device by its name, of those that are no loopback.
fn first_device(name: &mut Name) -> Result<(), Errno> {
    let directory = open(c"/sys/class/net", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Names::of(directory.as_fd());
    while let Some(found) = names.next()? {
        let is_first = name.as_bytes().is_empty() || found.to_bytes() < name.as_bytes();
        if found != c"lo" && is_first {
            *name = Name::new();
            name.push(found.to_bytes());
        }
    }
    directory.close();
    if name.as_bytes().is_empty() {
        return Err(Errno::NODEV);
    }
    Ok(())
}

fn write_servers(address: &Address<'_>) -> Result<(), Errno> {
    const FILE: &CStr = c"/etc/resolv.conf";
    let mut text = Text::<64>::new();
    for server in address.servers.into_iter().flatten() {
        text.push(b"nameserver ");
        for (index, byte) in server.into_iter().enumerate() {
            text.push(if index == 0 { b"" } else { b"." });
            text.push(crate::text::digits(byte.into(), &mut [0; 10]));
        }
        text.push(b"\n");
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = create_in(CWD, FILE, flags, Mode::from_raw_mode(0o644))?;
    let written = rustix::io::write(&file, text.as_bytes()).map(drop);
    file.close();
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_is_understood() {
        let expected = Address {
            address: [10, 0, 2, 15],
            mask: [255, 255, 255, 0],
            gateway: Some([10, 0, 2, 2]),
            hostname: b"box",
            device: b"eth0",
            servers: [Some([10, 0, 2, 3]), None],
        };
        let word = b"10.0.2.15::10.0.2.2:255.255.255.0:box:eth0:off:10.0.2.3";
        assert_eq!(parse(word), Ok(expected));
        let short = Address {
            address: [10, 1, 2, 3],
            mask: [255, 255, 240, 0],
            ..Address::default()
        };
        assert_eq!(parse(b"10.1.2.3/20"), Ok(short));
        assert_eq!(parse(b"1.2.3.4").map(|address| address.mask), Ok([255, 255, 255, 0]));
        assert_eq!(parse(b"1.2.3.4/0").map(|address| address.mask), Ok([0; 4]));
        assert_eq!(parse(b"1.2.3.4/32").map(|address| address.mask), Ok([255; 4]));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (word, what) in [
            (
                &b"dhcp"[..],
                "only addresses that are given are set, none are asked for",
            ),
            (
                b":::::eth0:dhcp",
                "only addresses that are given are set, none are asked for",
            ),
            (b"", "only addresses that are given are set, none are asked for"),
            (b"10.0.0", "not an address"),
            (b"10.0.0.256", "not an address"),
            (b"10.0.0.1.2", "not an address"),
            (b"10.0.0.1/33", "not the length of a prefix"),
            (b"10.0.0.1::gw", "the gateway is no address"),
            (b"10.0.0.1:::255", "the mask is no address"),
            (b"10.0.0.1:::::::x", "the name server is no address"),
        ] {
            assert_eq!(parse(word), Err(what));
        }
    }
}
