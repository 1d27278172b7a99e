//! What the host has, and what somebody else does to it.

use std::fs::File;

use super::*;
use tests::Runtime;

tests::cases![
    the_hosts_resolvers_are_asked_where_they_can_be_reached,
    a_network_stays_while_another_one_goes,
    a_host_without_ipv6_has_networks,
    two_state_roots_have_devices_of_their_own,
    a_container_whose_state_was_lost_comes_again,
    a_bridge_that_somebody_removed_is_made_again,
];

fn the_hosts_resolvers_are_asked_where_they_can_be_reached(t: &Test) {
    let place = Place::new(t);
    t.needs("unshare", "util-linux");
    if !std::path::Path::new("/etc/resolv.conf").exists() {
        t.skip("the host has no resolv.conf that another one could be put over");
    }
    let script = r#"for place in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
        [ ! -e $place ] || mount --bind "$0" $place || exit 98; done; exec "$@""#;
    let own = t.path("resolv.conf");
    let cases = [
        (
            "nameserver 127.0.0.53\nsearch example.org\n",
            "search example.org\nnameserver 10.9.1.1\n",
        ),
        (
            "nameserver ::1\nnameserver 192.0.2.53\noptions ndots:2",
            "nameserver 192.0.2.53\noptions ndots:2\n",
        ),
        ("nameserver 2001:db8::53\n", "nameserver 2001:db8::53\n"),
        ("", "nameserver 10.9.4.1\n"),
    ];
    for (number, (host, expected)) in (1..).zip(cases) {
        std::fs::write(&own, host).expect("a file");
        let c = t.sh("cat /etc/resolv.conf");
        let (name, subnet) = (format!("bridge:net{number}"), format!("10.9.{number}.0/24"));
        let call = c.running(&["--network", &name, "--subnet", &subnet]);
        let own = own.to_str().expect("UTF-8");
        let outcome = place.on_host(call.with_own_mounts(script, own)).run().ok();
        assert_eq!(outcome.stdout, expected, "{host:?}");
    }
}

fn a_network_stays_while_another_one_goes(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let first = place.bridged();
    let second = place.up(&["--network", "bridge:second", "--subnet", "10.9.8.0/24"]);
    place.delete(&first);
    let rules = place.sh("nft list ruleset");
    assert!(rules.contains("10.9.8") && !rules.contains("10.220.64"), "{rules}");
    assert!(!place.traces().contains("roci0"));
    let _server = Server::start_at(&place.world_net(), "far", 7000, FAR);
    answers(&net(&second), FAR, 7000, &format!("far {HOST}"));
    place.delete(&second);
    assert_eq!(place.traces(), before);
}

fn a_host_without_ipv6_has_networks(t: &Test) {
    let place = Place::new(t);
    place.sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    let c = t.sh("ip -o addr; cat /etc/hosts");
    let output = place.run(&c, &["--network", "bridge"]).ok().stdout;
    assert!(output.contains("10.220."), "{output}");
    assert!(!output.contains("fd72:"), "{output}");
}

/// Though their containers have the same name.
fn two_state_roots_have_devices_of_their_own(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let other = Runtime {
        root: t.path("other-state"),
        ..t.runtime.clone()
    };
    let call = |args: &[&str]| place.on_host(other.call(args)).run();
    let c = place.bridged();
    let mut config = c.config.clone();
    config["linux"]["cgroupsPath"] = format!("/{}-other", c.id).into();
    let bundle = t.path("other-bundle");
    std::fs::create_dir(&bundle).expect("a directory");
    config["root"]["path"] = c.rootfs().to_str().expect("UTF-8").into();
    std::fs::write(bundle.join("config.json"), config.to_string()).expect("config.json");
    let bundle = bundle.to_str().expect("UTF-8");
    let network = ["--network", "bridge:other", "--subnet", "10.9.7.0/24"];
    call(&[&["create", "--bundle", bundle], &network[..], &[c.id.as_str()]].concat()).ok();
    let devices = place.sh("ip -o link");
    let count = |name: &str| devices.matches(&format!("master {name}")).count();
    assert_eq!([count("roci0"), count("other")], [1, 1], "{devices}");
    call(&["delete", "--force", &c.id]).ok();
    place.delete(&c);
    assert_eq!(place.traces(), before);
}

/// Its network namespace, and with it the device, may outlive it for a moment.
fn a_container_whose_state_was_lost_comes_again(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let c = place.bridged();
    let held = File::open(net(&c)).expect("the namespace");
    let had = address(&c, false);
    place.lose(&c);
    place.up_again(&c, &["--network", "bridge"]);
    drop(held);
    assert_eq!(address(&c, false), had);
    let hosts = std::fs::read_to_string(format!("/proc/{}/root/etc/hosts", c.pid())).expect("hosts");
    let of_it = hosts.lines().filter(|line| line.contains(&c.id)).count();
    assert_eq!(of_it, 2, "one of each kind: {hosts}");
    place.delete(&c);
    assert_eq!(place.traces(), before);
}

fn a_bridge_that_somebody_removed_is_made_again(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let lost = place.bridged();
    place.ip(&["-n", &place.host, "link", "del", "roci0"]);
    let c = place.bridged();
    let _server = Server::start(&net(&c), "again", 7000);
    answers(&place.host_net(), &address(&c, false), 7000, "again 10.220.64.1");
    place.delete(&c);
    place.delete(&lost);
    assert_eq!(place.traces(), before);
}
