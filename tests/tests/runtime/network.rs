//! Network devices that move into the container.

use serde_json::json;
use std::process::Command;
use tests::Test;

tests::cases![
    a_network_device_moves_with_its_addresses,
    a_network_device_gets_a_name_from_a_template,
    a_network_device_that_is_not_there_is_an_error,
    network_devices_need_a_network_namespace,
    addresses_that_are_leased_or_anothers_stay_behind,
];

/// A pair of devices in the host's network namespace; both are gone at the end, as one takes the other along.
struct Pair(String);

impl Pair {
    fn make(t: &Test) -> Self {
        t.skip_on("runc", "runc 1.1 does not know netDevices");
        t.skip_on("crun", "crun 1.8 does not know netDevices");
        t.needs("ip", "iproute2");
        let short: String = t.runtime.token.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("n{}", &short[short.len().saturating_sub(10)..]);
        let peer = format!("{name}p");
        let pair = Self(peer.clone());
        if !ip(&["link", "add", &name, "type", "veth", "peer", "name", &peer]) {
            t.skip("the kernel has no veth devices");
        }
        assert!(ip(&["addr", "add", "192.0.2.7/24", "dev", &name]));
        assert!(ip(&["-6", "addr", "add", "2001:db8::7/64", "dev", &name, "nodad"]));
        pair
    }

    fn moving(&self) -> &str {
        self.0.trim_end_matches('p')
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        ip(&["link", "del", &self.0]);
    }
}

fn ip(args: &[&str]) -> bool {
    Command::new("ip")
        .args(args)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn a_network_device_moves_with_its_addresses(t: &Test) {
    let pair = Pair::make(t);
    let mut c = t.sh("ip addr show wan; ls /sys/class/net");
    c.config["linux"]["netDevices"] = json!({pair.moving(): {"name": "wan"}});
    let output = c.output();
    assert!(output.contains("inet 192.0.2.7/24 scope global"), "{output}");
    assert!(output.contains("inet6 2001:db8::7/64 scope global"), "{output}");
    assert!(output.contains("UP"), "{output}");
    assert!(output.ends_with("lo\nwan\n"), "{output}");
}

fn a_network_device_gets_a_name_from_a_template(t: &Test) {
    let pair = Pair::make(t);
    let mut c = t.sh("ls /sys/class/net");
    c.config["linux"]["netDevices"] = json!({pair.moving(): {"name": "eth%d"}});
    assert_eq!(c.output(), "eth0\nlo\n");
}

fn a_network_device_that_is_not_there_is_an_error(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know netDevices");
    t.skip_on("crun", "crun 1.8 does not know netDevices");
    let mut c = t.sh("true");
    c.config["linux"]["netDevices"] = json!({"no-such-device": {}});
    c.run()
        .fails()
        .says("linux.netDevices[0] no-such-device: find device: no such device (ENODEV)");
    c.state_call().fails();
}

fn network_devices_need_a_network_namespace(t: &Test) {
    let pair = Pair::make(t);
    let mut c = t.sh("true");
    c.no_namespace("network");
    c.unmount("/sys");
    c.config["linux"]["netDevices"] = json!({pair.moving(): {}});
    c.run().fails().says("linux.netDevices: needs a network namespace");
    assert!(ip(&["link", "show", pair.moving()]), "it stays where it is");
}

/// Whoever renews a lease does so on the host; and an address of another device is that device's.
fn addresses_that_are_leased_or_anothers_stay_behind(t: &Test) {
    let pair = Pair::make(t);
    let leased = ["valid_lft", "1000", "preferred_lft", "1000"];
    let device = pair.moving();
    assert!(ip(
        &[&["addr", "add", "198.51.100.9/24", "dev", device], &leased[..]].concat()
    ));
    assert!(ip(&["addr", "add", "203.0.113.5/24", "dev", &pair.0]));
    assert!(ip(&["link", "set", device, "up"]) && ip(&["link", "set", &pair.0, "up"]));
    let mut c = t.sh("ip -o addr show");
    c.config["linux"]["netDevices"] = json!({device: {}});
    let output = c.output();
    assert!(
        output.contains(" 192.0.2.7/24 ") && output.contains(" 2001:db8::7/64 "),
        "{output}"
    );
    assert!(
        !output.contains("198.51.100.9") && !output.contains("203.0.113.5"),
        "{output}"
    );
    // The one of the link is made anew, by the kernel.
    assert_eq!(output.matches("inet6 fe80").count(), 1, "{output}");
}
