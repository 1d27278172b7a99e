//! Networks. What is the host here is a network namespace made for the test, and what is the world is another one: nothing
//! is done to the machine's own network.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tests::{Container, Invocation, Outcome, Test, eventually};

pub mod errors;
pub mod host;
pub mod many;
pub mod others;

tests::cases![
    two_containers_talk_by_name,
    the_world_is_reached_through_the_host,
    a_published_port_is_reached_from_everywhere,
    a_port_is_published_on_one_address,
    a_port_is_published_once,
    services_of_the_hosts_loopback_device_are_not_in_reach,
    nothing_else_of_the_host_changes,
    forwarding_is_turned_on_where_that_is_asked_for,
    what_the_bundle_mounts_stays,
    the_devices_have_the_mtu_of_the_uplink,
    the_address_belongs_to_the_id,
];

const HOST: &str = "192.0.2.1";
const HOST6: &str = "2001:db8::1";
const WORLD: &str = "192.0.2.2";
/// Something in the world that is not the host's neighbour.
const FAR: &str = "198.51.100.7";

/// A host and the world, joined by a cable.
struct Place<'t> {
    t: &'t Test,
    host: String,
    world: String,
}

impl<'t> Place<'t> {
    fn new(t: &'t Test) -> Self {
        if !t.is_roci() {
            t.skip("only roci makes networks");
        }
        t.needs("ip", "iproute2");
        t.needs("nft", "nftables");
        t.needs("python3", "python3");
        let place = Self {
            t,
            host: format!("{}h", t.runtime.token),
            world: format!("{}w", t.runtime.token),
        };
        place.ip(&["netns", "add", &place.host]);
        place.ip(&["netns", "add", &place.world]);
        for (namespace, device, addresses) in [
            (&place.host, "wan", [HOST, HOST6]),
            (&place.world, "lan", [WORLD, "2001:db8::2"]),
        ] {
            place.ip(&["-n", namespace, "link", "set", "lo", "up"]);
            if device == "wan" {
                let peer = ["peer", "name", "lan", "netns", &place.world];
                place.ip(&[&["-n", namespace, "link", "add", "wan", "type", "veth"], &peer[..]].concat());
            }
            let (v4, v6) = (format!("{}/24", addresses[0]), format!("{}/64", addresses[1]));
            place.ip(&["-n", namespace, "link", "set", device, "up"]);
            place.ip(&["-n", namespace, "addr", "add", &v4, "dev", device]);
            place.ip(&["-n", namespace, "-6", "addr", "add", &v6, "dev", device, "nodad"]);
        }
        place.ip(&["-n", &place.host, "route", "add", "default", "via", WORLD]);
        place.ip(&["-n", &place.world, "addr", "add", &format!("{FAR}/32"), "dev", "lo"]);
        place.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        place
    }

    #[track_caller]
    fn ip(&self, args: &[&str]) -> String {
        let output = Command::new("ip").args(args).output().expect("ip");
        assert!(output.status.success(), "ip {}: {output:?}", args.join(" "));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A call of the runtime on the host.
    fn on_host(&self, call: Invocation) -> Invocation {
        call.under("nsenter", &[&format!("--net=/run/netns/{}", self.host)])
    }

    fn call(&self, args: &[&str]) -> Invocation {
        self.on_host(self.t.call(args))
    }

    fn run(&self, c: &Container<'_>, options: &[&str]) -> Outcome {
        self.on_host(c.running(options)).run()
    }

    /// What a script prints on the host.
    #[track_caller]
    fn sh(&self, script: &str) -> String {
        let net = format!("--net=/run/netns/{}", self.host);
        let output = Command::new("nsenter")
            .args([&net, "sh", "-c", script])
            .output()
            .expect("nsenter");
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A container that runs, in a network.
    #[track_caller]
    fn up(&self, options: &[&str]) -> Container<'t> {
        let c = self.t.server();
        self.up_again(&c, options);
        c
    }

    #[track_caller]
    fn up_again(&self, c: &Container<'_>, options: &[&str]) {
        let created = self.on_host(c.creation(options)).run().ok();
        c.start().ok();
        eventually("the program is ready", || created.stdout_now().contains("ready"));
    }

    #[track_caller]
    fn bridged(&self) -> Container<'t> {
        self.up(&["--network", "bridge"])
    }

    #[track_caller]
    fn delete(&self, c: &Container<'_>) {
        self.call(&["delete", "--force", &c.id]).run().ok();
    }

    /// The container ends, and its state directory and its cgroup are gone without roci.
    fn lose(&self, c: &Container<'_>) {
        let pid = c.pid();
        std::fs::remove_dir_all(self.t.runtime.root.join(&c.id)).expect("remove");
        let name = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
        rustix::process::kill_process(name, rustix::process::Signal::KILL).expect("kill");
        c.reap(pid);
        for mount in tests::cgroup_mounts() {
            let _ = std::fs::remove_dir(mount.join(&c.id));
        }
    }

    /// What the host has that networks leave: devices, rules, and files in the state root.
    fn traces(&self) -> String {
        let mut files: Vec<_> = tests::leaks::entries(&self.t.runtime.root);
        files.sort();
        format!(
            "{}{}{files:?}",
            self.sh("ls /sys/class/net > /dev/null; ip -o link | cut -d: -f 2 | cut -d@ -f 1"),
            self.sh("nft list ruleset")
        )
    }

    fn host_net(&self) -> String {
        format!("/run/netns/{}", self.host)
    }

    fn world_net(&self) -> String {
        format!("/run/netns/{}", self.world)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        for namespace in [&self.host, &self.world] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).output();
        }
    }
}

/// The network namespace of a container.
fn net(c: &Container<'_>) -> String {
    format!("/proc/{}/ns/net", c.pid())
}

/// The container's address of that kind, from its hosts file.
#[track_caller]
fn address(c: &Container<'_>, is_v6: bool) -> String {
    address_of(c, &c.id, is_v6)
}

/// What `c` knows `name` by.
#[track_caller]
fn address_of(c: &Container<'_>, name: &str, is_v6: bool) -> String {
    let hosts = std::fs::read_to_string(format!("/proc/{}/root/etc/hosts", c.pid())).expect("hosts");
    let found = hosts.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next()?;
        (!address.starts_with('#') && address.contains(':') == is_v6 && words.any(|word| word == name))
            .then_some(address)
    });
    found.unwrap_or_else(|| panic!("no {name} in: {hosts}")).to_owned()
}

fn peer(net: &str, args: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={net}")).arg("python3");
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtime/peer.py"))
        .args(args);
    command
}

/// A program that answers in a network namespace.
struct Server(Child);

impl Server {
    fn start(net: &str, name: &str, port: u16) -> Self {
        Self::start_at(net, name, port, "::")
    }

    fn start_at(net: &str, name: &str, port: u16, address: &str) -> Self {
        let mut command = peer(net, &["serve", name, &port.to_string(), address]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a server");
        let mut up = [0; 3];
        child
            .stdout
            .as_mut()
            .expect("stdout")
            .read_exact(&mut up)
            .expect("the server is up");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is answered, as the server's name and the address that it sees; nothing where there is no answer.
fn ask(net: &str, kind: &str, address: &str, port: u16) -> String {
    let output = peer(net, &["ask", kind, address, &port.to_string()])
        .output()
        .expect("a client");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn answers(net: &str, address: &str, port: u16, expected: &str) {
    for kind in ["tcp", "udp"] {
        let answer = ask(net, kind, address, port);
        assert!(
            answer.starts_with(expected),
            "{kind} to {address}: `{answer}`, not `{expected}`"
        );
    }
}

fn two_containers_talk_by_name(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let first = place.up(&["--network", "bridge"]);
    let mut second = t.server();
    second.config["annotations"] = serde_json::json!({"io.roci.network": "bridge"});
    place.up_again(&second, &[]);
    // The first one was there before the second one came.
    for (from, to) in [(&first, &second), (&second, &first)] {
        let _server = Server::start(&net(to), "peer", 7000);
        for is_v6 in [false, true] {
            let expected = format!("peer {}", address(from, is_v6));
            answers(&net(from), &address_of(from, &to.id, is_v6), 7000, &expected);
        }
    }
    // And with what an image has: its own resolver and its own programs.
    second
        .exec_sh("mkdir -p /srv; echo from the second > /srv/page; httpd -p 80 -h /srv")
        .ok();
    let page = first
        .exec(&["wget", "-q", "-O", "-", &format!("http://{}/page", second.id)])
        .run_ok();
    assert_eq!(page, "from the second\n");
    let own = first.exec(&["cat", "/etc/hostname"]).run_ok();
    assert_eq!(own, "roci\n");
    // Who goes is forgotten.
    let pid = second.pid();
    place.delete(&second);
    second.reap(pid);
    let hosts = first.exec(&["cat", "/etc/hosts"]).run_ok();
    assert!(hosts.contains(&first.id) && !hosts.contains(&second.id), "{hosts}");
    let refused = first.exec_sh("echo 1.2.3.4 evil >> /etc/hosts");
    assert!(refused.stderr.contains("Read-only file system"), "{refused}");
    place.delete(&first);
    assert_eq!(place.traces(), before);
}

trait RunOk {
    fn run_ok(self) -> String;
}

impl RunOk for Outcome {
    #[track_caller]
    fn run_ok(self) -> String {
        self.ok().stdout
    }
}

fn the_world_is_reached_through_the_host(t: &Test) {
    let place = Place::new(t);
    let c = place.bridged();
    for address in [FAR, WORLD] {
        let _server = Server::start_at(&place.world_net(), "far", 7000, address);
        answers(&net(&c), address, 7000, &format!("far {HOST}"));
    }
    // The host itself sees the container.
    let _host = Server::start_at(&place.host_net(), "host", 7001, HOST);
    answers(&net(&c), HOST, 7001, &format!("host {}", address(&c, false)));
}

fn a_published_port_is_reached_from_everywhere(t: &Test) {
    let place = Place::new(t);
    let options = [
        "--network",
        "bridge",
        "--publish",
        "8080:7000",
        "--publish",
        "8080:7000/udp",
    ];
    let c = place.up(&options);
    let other = place.bridged();
    let _server = Server::start(&net(&c), "web", 7000);
    answers(&place.world_net(), HOST, 8080, &format!("web {WORLD}"));
    answers(&place.host_net(), HOST, 8080, "web ");
    answers(&place.host_net(), "127.0.0.1", 8080, "web ");
    answers(&place.host_net(), HOST6, 8080, "web ");
    answers(&net(&other), HOST, 8080, "web ");
    answers(&net(&c), HOST, 8080, "web ");
    // What only passes through is left alone.
    let _far = Server::start_at(&place.world_net(), "far", 8080, FAR);
    answers(&net(&other), FAR, 8080, "far ");
    answers(&place.host_net(), FAR, 8080, "far ");
    let pid = c.pid();
    place.delete(&c);
    c.reap(pid);
    assert_eq!(ask(&place.host_net(), "tcp", HOST, 8080), "");
    let rules = place.sh("nft list ruleset");
    assert!(!rules.contains("8080"), "{rules}");
}

fn a_port_is_published_on_one_address(t: &Test) {
    let place = Place::new(t);
    let c = t.server();
    let mut one = c;
    one.config["annotations"] = serde_json::json!({
        "io.roci.network": "bridge", "io.roci.network.publish": format!("127.0.0.1:8080:7000,{HOST}:8081:7000,[{HOST6}]:8082:7000"),
    });
    place.up_again(&one, &[]);
    let _server = Server::start(&net(&one), "web", 7000);
    let tcp = |from: &str, address: &str, port| ask(from, "tcp", address, port);
    let (host, world) = (place.host_net(), place.world_net());
    assert!(tcp(&host, "127.0.0.1", 8080).starts_with("web "));
    assert_eq!(tcp(&host, HOST, 8080), "");
    assert!(tcp(&world, HOST, 8081).starts_with("web "));
    assert_eq!(tcp(&host, "127.0.0.1", 8081), "");
    assert!(tcp(&host, HOST6, 8082).starts_with("web "));
    assert_eq!(tcp(&host, HOST, 8082), "");
}

fn a_port_is_published_once(t: &Test) {
    let place = Place::new(t);
    let first = place.up(&["--network", "bridge", "--publish", "8080:7000"]);
    let second = t.server();
    place
        .on_host(second.creation(&["--network", "bridge", "--publish", "81:81", "--publish", "8080:80"]))
        .run()
        .fails()
        .says("--publish: a port of the host is published already, one of: 81:81 8080:80");
    let _server = Server::start(&net(&first), "web", 7000);
    assert!(
        ask(&place.host_net(), "tcp", HOST, 8080).starts_with("web "),
        "the first one keeps it"
    );
    let rules = place.sh("nft list ruleset");
    assert!(!rules.contains(" 81 "), "{rules}");
    // On another address it may be.
    place.up_again(&second, &["--network", "bridge", "--publish", "127.0.0.1:8080:7000"]);
    let _server = Server::start(&net(&second), "second", 7000);
    assert!(ask(&place.host_net(), "tcp", "127.0.0.1", 8080).starts_with("second "));
}

/// The bridge lets packets from 127.0.0.1 pass, for the sake of published ports; a container must not gain by that.
fn services_of_the_hosts_loopback_device_are_not_in_reach(t: &Test) {
    let place = Place::new(t);
    let c = place.bridged();
    let _service = Server::start_at(&place.host_net(), "private", 7000, "127.0.0.1");
    let inside = net(&c);
    let script = "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip addr del 127.0.0.1/8 dev lo; \
        ip route add 127.0.0.1 via $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')";
    let output = Command::new("nsenter")
        .args([&format!("--net={inside}"), "sh", "-c", script])
        .output()
        .expect("nsenter");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ask(&inside, "tcp", "127.0.0.1", 7000), "");
    assert_eq!(ask(&inside, "udp", "127.0.0.1", 7000), "");
    // So that the test fails for the right reason, the same without the rules.
    place.sh("nft flush chain inet roci guard");
    assert!(ask(&inside, "tcp", "127.0.0.1", 7000).starts_with("private "));
}

fn nothing_else_of_the_host_changes(t: &Test) {
    let place = Place::new(t);
    place.sh(
        "nft add table ip mine; nft add chain ip mine input '{ type filter hook input priority 0; policy accept; }'",
    );
    place.sh("nft add rule ip mine input tcp dport 22 counter accept");
    let everything = || {
        let settings = "cd /proc/sys/net; find . -type f | sort | grep -v conntrack_count | while read f; do echo $f; cat $f; done";
        (
            place.traces(),
            place.sh(settings),
            place.sh("ip -o addr | grep -v fe80; ip route; ip -6 route | grep -v fe80"),
        )
    };
    let before = everything();
    let c = place.up(&["--network", "bridge", "--publish", "8080:80"]);
    let other = place.up(&["--network", "bridge:second", "--publish", "8081:80"]);
    assert_ne!(everything().0, before.0);
    let rules = place.sh("nft list ruleset");
    assert_eq!(rules.matches("table ").count(), 2, "{rules}");
    place.delete(&c);
    place.delete(&other);
    let after = everything();
    assert_eq!(after.0, before.0);
    assert_eq!(after.1, before.1);
    assert_eq!(after.2, before.2);
}

fn forwarding_is_turned_on_where_that_is_asked_for(t: &Test) {
    let place = Place::new(t);
    place.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
    let c = t.server();
    let outcome = place.on_host(c.creation(&["--network", "bridge"])).run().ok();
    assert!(
        outcome
            .stderr
            .contains("warning: the containers of roci0 reach no other machine"),
        "{outcome}"
    );
    assert_eq!(place.sh("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
    let c = t.server();
    let outcome = place
        .on_host(c.creation(&["--network", "bridge", "--ip-forward"]))
        .run()
        .ok();
    assert!(
        outcome
            .stderr
            .contains("warning: net.ipv4.ip_forward of this host is 1 from now on"),
        "{outcome}"
    );
    assert_eq!(place.sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    let c = t.server();
    let outcome = place
        .on_host(c.creation(&["--network", "bridge", "--ip-forward"]))
        .run()
        .ok();
    assert_eq!(outcome.stderr, "");
}

fn what_the_bundle_mounts_stays(t: &Test) {
    let place = Place::new(t);
    let mut c = t.sh("cat /etc/hosts; wc -l < /etc/resolv.conf; cat /etc/hostname");
    let own = t.path("hosts");
    std::fs::write(&own, "of the bundle\n").expect("a file");
    c.mount("/etc/hosts", "bind", &own, &["bind"]);
    let output = place.run(&c, &["--network", "bridge"]).ok().stdout;
    assert!(output.starts_with("of the bundle\n"), "{output}");
    assert!(output.ends_with("\nroci\n"), "{output}");
    // An image that cannot be written and lacks the files goes without.
    let mut c = t.sh("ls /etc");
    c.config["root"]["readonly"] = true.into();
    let output = place.run(&c, &["--network", "bridge"]).ok().stdout;
    assert!(output.contains("resolv.conf"), "{output}");
}

fn the_devices_have_the_mtu_of_the_uplink(t: &Test) {
    let place = Place::new(t);
    place.ip(&["-n", &place.host, "link", "set", "wan", "mtu", "1400"]);
    let c = t.sh("cat /sys/class/net/eth0/mtu");
    assert_eq!(place.run(&c, &["--network", "bridge"]).ok().stdout, "1400\n");
}

fn the_address_belongs_to_the_id(t: &Test) {
    let place = Place::new(t);
    let look = "ip -o addr show eth0 | grep global; cat /sys/class/net/eth0/address";
    let c = t.sh(look);
    let first = place.run(&c, &["--network", "bridge"]).ok().stdout;
    let _other = place.bridged();
    let second = place.run(&c, &["--network", "bridge"]).ok().stdout;
    // Up to the scope: how long addresses are valid is the same too.
    assert_eq!(first, second);
    assert!(first.contains("10.220."), "{first}");
    let outcome = place
        .run(
            &c,
            &[
                "--network",
                "bridge",
                "--ip",
                "10.220.64.99",
                "--ip",
                "fd72:6f63:694c:da67::99",
            ],
        )
        .ok();
    assert!(
        outcome.stdout.contains("10.220.64.99/20") && outcome.stdout.contains("::99/64"),
        "{outcome}"
    );
}
