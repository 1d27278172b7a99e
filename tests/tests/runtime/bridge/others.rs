//! Other networks than bridges of roci's own, and kernels that lack something.

use super::*;
use crate::fallbacks::{rows, without};

tests::cases![
    the_network_of_another_container_is_shared,
    the_hosts_network_is_shared,
    no_network_is_a_loopback_device,
    a_macvlan_has_an_address_of_its_own,
    a_bridge_of_the_hosts_is_used_and_stays,
    a_user_namespace_has_a_network,
    without_nf_tables_there_is_a_network_all_the_same,
    check_finds_what_networks_need,
    without_the_mount_calls_there_are_names_all_the_same,
    networks_are_listed_and_removed,
];

fn the_network_of_another_container_is_shared(t: &Test) {
    let place = Place::new(t);
    let first = place.bridged();
    let c = t.sh("ip -o addr show eth0; cat /etc/hosts");
    let output = place
        .run(&c, &["--network", &format!("container:{}", first.id)])
        .ok()
        .stdout;
    assert!(
        output.contains(&format!("inet {}/20", address(&first, false))),
        "{output}"
    );
    assert!(output.contains(&first.id), "{output}");
    // The first one keeps its own.
    assert!(first.exec(&["ip", "addr", "show", "eth0"]).run_ok().contains("inet "));
    let pid = first.pid();
    first.kill("KILL").ok();
    first.reap(pid);
    let words = format!("--network container:{}: it is not running", first.id);
    place
        .on_host(c.creation(&["--network", &format!("container:{}", first.id)]))
        .run()
        .fails()
        .says(&words);
}

fn the_hosts_network_is_shared(t: &Test) {
    let place = Place::new(t);
    let mut c = t.sh("ip -o link show wan");
    c.unmount("/sys");
    let output = place.run(&c, &["--network", "host"]).ok().stdout;
    assert!(output.contains("wan"), "{output}");
    let c = place.up(&["--network", "host"]);
    assert!(c.exec(&["ip", "link", "show", "wan"]).run_ok().contains("wan"));
}

fn no_network_is_a_loopback_device(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let c = t.sh("ls /sys/class/net; ip -o addr show lo");
    let output = place.run(&c, &["--network", "none"]).ok().stdout;
    assert!(output.starts_with("lo\n") && output.contains("127.0.0.1/8"), "{output}");
    assert_eq!(place.traces(), before);
}

fn a_macvlan_has_an_address_of_its_own(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let options = [
        "--network",
        "macvlan:wan",
        "--subnet",
        "192.0.2.0/24",
        "--ip",
        "192.0.2.50",
    ];
    let c = place.up(&options);
    let _server = Server::start(&net(&c), "mac", 7000);
    answers(&place.world_net(), "192.0.2.50", 7000, &format!("mac {WORLD}"));
    let hosts = c.exec(&["cat", "/etc/hosts"]).run_ok();
    assert!(hosts.contains(&format!("192.0.2.50 {}", c.id)), "{hosts}");
    let pid = c.pid();
    place.delete(&c);
    c.reap(pid);
    assert_eq!(place.traces(), before);
    // Without a subnet, somebody out there gives addresses.
    let c = t.sh("ip -o link show eth0; ip -4 -o addr show eth0 | wc -l");
    let output = place.run(&c, &["--network", "macvlan:wan"]).ok().stdout;
    assert!(output.contains("UP") && output.ends_with("\n0\n"), "{output}");
    assert_eq!(place.traces(), before);
}

fn a_bridge_of_the_hosts_is_used_and_stays(t: &Test) {
    let place = Place::new(t);
    place.ip(&["-n", &place.host, "link", "add", "br-lan", "type", "bridge"]);
    place.ip(&["-n", &place.host, "link", "set", "br-lan", "up"]);
    place.ip(&["-n", &place.host, "addr", "add", "10.9.8.1/24", "dev", "br-lan"]);
    let before = place.traces();
    let options = ["--network", "bridge:br-lan", "--subnet", "10.9.8.0/24"];
    let c = place.up(&options);
    let _server = Server::start(&net(&c), "lan", 7000);
    answers(&place.host_net(), &address(&c, false), 7000, "lan 10.9.8.1");
    assert!(
        !place.sh("nft list ruleset").contains("roci"),
        "the bridge's owner decides about its packets"
    );
    let other = t.server();
    place
        .on_host(other.creation(&[&options[..], &["--publish", "80:80"]].concat()))
        .run()
        .fails()
        .says("--publish: br-lan is no bridge that was made for containers");
    let pid = c.pid();
    place.delete(&c);
    c.reap(pid);
    assert_eq!(place.traces(), before);
}

fn a_user_namespace_has_a_network(t: &Test) {
    let place = Place::new(t);
    if !tests::user_namespaces() {
        t.skip("no user namespaces here");
    }
    let before = place.traces();
    let mut c = t.server();
    c.namespace("user", None);
    let mapping = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    c.config["linux"]["uidMappings"] = mapping.clone();
    c.config["linux"]["gidMappings"] = mapping;
    // Its root cannot make them.
    for file in ["hosts", "resolv.conf"] {
        std::fs::write(c.rootfs().join("etc").join(file), "").expect("a file");
    }
    place.up_again(&c, &["--network", "bridge", "--publish", "8080:7000"]);
    let _server = Server::start(&net(&c), "user", 7000);
    assert!(ask(&place.world_net(), "tcp", HOST, 8080).starts_with("user "));
    assert!(c.exec(&["cat", "/etc/hosts"]).run_ok().contains(&c.id));
    let pid = c.pid();
    place.delete(&c);
    c.reap(pid);
    assert_eq!(place.traces(), before);
}

/// A netlink socket (`AF_NETLINK`) of the packet filter (`NETLINK_NETFILTER`), for [`without`].
const NF_TABLES: &str = "socket:0=16:2=12";

fn without_nf_tables_there_is_a_network_all_the_same(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    const EPROTONOSUPPORT: u32 = 93;
    let filtered = |call| place.on_host(without(t, NF_TABLES, EPROTONOSUPPORT, call));
    let c = t.server();
    let said = "warning: no addresses are translated, so that containers do not reach other machines: nf_tables: ";
    let created = filtered(c.creation(&["--network", "bridge"])).run().ok();
    assert!(created.stderr.contains(said), "{created}");
    let other = t.server();
    let created = filtered(other.creation(&["--network", "bridge"])).run().ok();
    assert_eq!(created.stderr, "", "it is said once");
    {
        let _server = Server::start(&net(&c), "plain", 7000);
        answers(&net(&other), &address(&c, false), 7000, "plain ");
    }
    let third = t.server();
    let options = ["--network", "bridge", "--publish", "80:80"];
    filtered(third.creation(&options))
        .run()
        .fails()
        .says("--publish: nf_tables is not there: the kernel needs CONFIG_NF_TABLES");
    let options = [&options[..], &["--policy", "nat=prefer"]].concat();
    let created = filtered(third.creation(&options)).run().ok();
    assert!(
        created
            .stderr
            .contains("warning: nothing is published: nf_tables is not there"),
        "{created}"
    );
    for c in [&c, &other, &third] {
        filtered(t.call(&["delete", "--force", &c.id])).run().ok();
    }
    assert_eq!(place.traces(), before);
    // Who does not want it does not get it, and hears nothing.
    let quiet = t.server();
    let options = ["--network", "bridge", "--publish", "80:80", "--policy", "nat=off"];
    assert_eq!(place.on_host(quiet.creation(&options)).run().ok().stderr, "");
    assert_eq!(place.sh("nft list ruleset"), "");
    place.delete(&quiet);
    assert_eq!(place.traces(), before);
}

/// The test has networks of all kinds, so the kernel has what they need.
fn check_finds_what_networks_need(t: &Test) {
    let place = Place::new(t);
    let here = rows(place.call(&["check", "--json"]), 0);
    for name in ["bridge", "veth", "macvlan", "nf_tables"] {
        assert!(here.contains(&(name.to_owned(), true)), "{name}: {here:?}");
    }
    const EPROTONOSUPPORT: u32 = 93;
    let check = without(t, NF_TABLES, EPROTONOSUPPORT, t.call(&["check", "--json"]));
    let there = rows(place.on_host(check), 0);
    assert!(there.contains(&("nf_tables".to_owned(), false)), "{there:?}");
    // It has asked, and made nothing.
    assert_eq!(place.sh("nft list ruleset"), "");
    assert!(!place.sh("ip -o link").contains("roci"));
}

fn without_the_mount_calls_there_are_names_all_the_same(t: &Test) {
    let place = Place::new(t);
    const ENOSYS: u32 = 38;
    for calls in [
        "open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr",
        "mount_setattr",
    ] {
        let c = t.sh("cat /etc/hosts /etc/hostname; wc -c < /etc/resolv.conf; touch /etc/hosts || echo refused");
        let call = without(t, calls, ENOSYS, c.running(&["--network", "bridge"]));
        let outcome = place.on_host(call).run().ok();
        assert!(
            outcome.stdout.contains(&c.id) && outcome.stdout.ends_with("refused\n"),
            "{outcome}"
        );
        assert!(outcome.stderr.contains("Read-only file system"), "{outcome}");
    }
}

fn networks_are_listed_and_removed(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    place
        .call(&["network", "ls"])
        .run()
        .ok()
        .prints("NAME            KIND     CONTAINERS SUBNETS");
    let c = place.bridged();
    let other = place.up(&["--network", "bridge:second", "--subnet", "10.9.8.0/24"]);
    let list = place.call(&["network", "ls"]).run().ok().stdout;
    assert!(
        list.contains("roci0           bridge   1          10.220.64.1/20 fd72:6f63:694c:da67::1/64\n"),
        "{list}"
    );
    assert!(
        list.contains("second          bridge   1          10.9.8.1/24\n"),
        "{list}"
    );
    // They are no containers.
    let containers = place.call(&["list", "--quiet"]).run().ok().stdout;
    assert_eq!(containers.lines().count(), 2, "{containers}");
    place
        .call(&["network", "rm", "roci0"])
        .run()
        .fails()
        .says("network roci0: there are containers in it");
    place.call(&["network", "prune"]).run().ok();
    assert!(place.traces().contains("roci0"));
    // The state of both is lost.
    place.lose(&c);
    place.lose(&other);
    place.call(&["network", "rm", "second"]).run().ok();
    place.call(&["network", "prune"]).run().ok();
    assert_eq!(place.traces(), before);
}
