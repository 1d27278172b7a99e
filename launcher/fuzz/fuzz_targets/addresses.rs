//! Addresses, subnets and ports: what is read is written as it means, and is what the standard library reads.

#![no_main]

use std::net::IpAddr;

use launcher::net::address::{Address, Port, Subnet};

fn shown(address: Address) -> String {
    let mut text = String::new();
    address.write(&mut text);
    text
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    // The standard library reads addresses of IPv4 at the end of those of IPv6, too.
    if !(text.contains(':') && text.contains('.')) {
        let expected: Option<IpAddr> = text.parse().ok();
        assert_eq!(Address::parse(text).map(shown).and_then(|text| text.parse().ok()), expected);
    }
    if let Some(address) = Address::parse(text) {
        assert_eq!(Address::parse(&shown(address)), Some(address));
    }
    if let Some(subnet) = Subnet::parse(text) {
        let mut again = String::new();
        subnet.write(&mut again);
        assert_eq!(Subnet::parse(&again), Some(subnet));
        assert_eq!(subnet.number_of(subnet.gateway), Some(1));
        let last = subnet.end() - 1;
        assert!(!subnet.is_reserved(last), "{again}");
        assert_eq!(subnet.number_of(subnet.host(last)), Some(last));
    }
    if let Some(port) = Port::parse(text) {
        assert!(port.inner != 0 && port.outer != 0 && text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
});
