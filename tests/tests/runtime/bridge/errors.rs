//! What is refused, in which words, and that it leaves nothing.

use super::*;

tests::cases![
    what_does_not_go_is_said,
    a_bundle_without_a_new_network_namespace_is_refused,
    a_subnet_that_is_full_is_said_and_the_dead_make_room,
    addresses_belong_to_one_container,
    a_network_keeps_its_subnet,
    words_of_the_kernel_are_passed_on,
];

fn what_does_not_go_is_said(t: &Test) {
    let place = Place::new(t);
    let c = t.server();
    let before = place.traces();
    let neither = "--network: neither bridge[:NAME], macvlan:PARENT, container:ID, host nor none: ";
    let cases: &[(&[&str], &str)] = &[
        (&["--network", "x"], &format!("{neither}x")),
        (&["--network", "host:x"], &format!("{neither}host:x")),
        (&["--network", "macvlan"], &format!("{neither}macvlan")),
        (&["--network", "bridge:a/b"], "--network: not the name of a device: a/b"),
        (&["--network", "bridge:"], "--network: not the name of a device: "),
        (
            &["--network", "bridge:a234567890123456"],
            "--network: not the name of a device: a234567890123456",
        ),
        (
            &["--network", "macvlan:none"],
            "--network macvlan:none: there is no such device",
        ),
        (&["--network", "container:none"], "container does not exist"),
        (&["--network", "container:../x"], "--network: not a container id: ../x"),
        (
            &["--subnet", "10.0.0.0/24"],
            "--subnet, --ip, --publish and --ip-forward need --network",
        ),
        (
            &["--network", "bridge", "--subnet", "10.0.0.0"],
            "--subnet: not a subnet: 10.0.0.0",
        ),
        (
            &["--network", "bridge", "--subnet", "10.0.0.0/31"],
            "--subnet: not a subnet: 10.0.0.0/31",
        ),
        (
            &[
                "--network",
                "bridge",
                "--subnet",
                "10.0.0.0/24",
                "--subnet",
                "10.1.0.0/24",
            ],
            "--subnet: a second one of its kind: 10.1.0.0/24",
        ),
        (
            &["--network", "bridge", "--ip", "10.0.0.256"],
            "--ip: not an address: 10.0.0.256",
        ),
        (
            &["--network", "bridge", "--ip", "10.0.0.2", "--ip", "10.0.0.3"],
            "--ip: a second one of its kind: 10.0.0.3",
        ),
        (
            &["--network", "bridge", "--ip", "10.0.0.2"],
            "--ip: 10.0.0.2 is not in the network's subnet",
        ),
        (
            &["--network", "bridge", "--subnet", "10.0.0.0/24", "--ip", "fd00::2"],
            "--ip: fd00::2 is not in the network's subnet",
        ),
        (
            &["--network", "bridge", "--subnet", "10.0.0.0/24", "--ip", "10.0.0.1"],
            "--ip: 10.0.0.1 is the subnet's own address or the gateway's",
        ),
        (
            &["--network", "bridge", "--subnet", "10.0.0.0/24", "--ip", "10.0.0.255"],
            "--ip: 10.0.0.255 is the subnet's own address or the gateway's",
        ),
        (
            &["--network", "bridge", "--publish", "80"],
            "--publish: not [HOSTIP:]HOSTPORT:PORT[/tcp|/udp]: 80",
        ),
        (
            &["--network", "none", "--publish", "80:80"],
            "--publish and --ip-forward do not go with --network none",
        ),
        (
            &["--network", "host", "--ip", "10.0.0.2"],
            "--subnet and --ip do not go with --network host",
        ),
    ];
    for (options, words) in cases {
        let outcome = place.on_host(c.creation(options)).run().fails();
        assert!(
            outcome.stderr.trim_end().ends_with(words.trim_end()),
            "{options:?}: {outcome}"
        );
        assert_eq!(place.traces(), before, "{options:?}");
    }
    let ports: Vec<_> = (1..40)
        .flat_map(|port| ["--publish".to_owned(), format!("{port}:80")])
        .collect();
    let options: Vec<_> = ["--network", "bridge"]
        .into_iter()
        .chain(ports.iter().map(String::as_str))
        .collect();
    place
        .on_host(c.creation(&options))
        .run()
        .fails()
        .says("--publish: more than 32: 33:80");
    let mut c = t.server();
    for (name, value, words) in [
        ("io.roci.network.subnets", "10.0.0.0/24", "unknown annotation"),
        ("io.roci.network.ip", "10.0.0.2", "need --network"),
    ] {
        c.config["annotations"] = serde_json::json!({name: value});
        place.on_host(c.creation(&[])).run().fails().says(words);
    }
    place
        .call(&["network", "x"])
        .run()
        .fails()
        .code(2)
        .says("network: neither ls, rm NAME nor prune");
    place.call(&["network", "rm"]).run().fails().code(2);
    place
        .call(&["network", "rm", "x"])
        .run()
        .fails()
        .says("network x: there is no such network");
}

fn a_bundle_without_a_new_network_namespace_is_refused(t: &Test) {
    let place = Place::new(t);
    let mut c = t.server();
    c.no_namespace("network").unmount("/sys");
    for mode in ["bridge", "macvlan:wan", "none"] {
        let word = mode.split(':').next().expect("a word");
        let words = format!("--network {word}: the bundle needs a new network namespace, without a path");
        place
            .on_host(c.creation(&["--network", mode]))
            .run()
            .fails()
            .says(&words);
    }
    c.namespace("network", Some("/proc/self/ns/net"));
    place
        .on_host(c.creation(&["--network", "bridge"]))
        .run()
        .fails()
        .says("needs a new network namespace");
}

fn a_subnet_that_is_full_is_said_and_the_dead_make_room(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    let options = ["--network", "bridge", "--subnet", "10.9.8.0/29", "--publish"];
    let create = |c: &Container<'_>, port: &str| place.on_host(c.creation(&[&options[..], &[port]].concat())).run();
    let ports = ["81:80", "82:80", "83:80", "84:80", "85:80"];
    let containers: Vec<_> = ports.iter().map(|_| t.server()).collect();
    for (c, port) in containers.iter().zip(ports) {
        create(c, port).ok();
    }
    let mut addresses: Vec<_> = containers.iter().map(|c| address(c, false)).collect();
    addresses.sort();
    assert_eq!(addresses, ["10.9.8.2", "10.9.8.3", "10.9.8.4", "10.9.8.5", "10.9.8.6"]);
    let late = t.server();
    create(&late, "86:80")
        .fails()
        .says("the network roci0 has no address left");
    assert!(
        !place.sh("nft list ruleset").contains("86"),
        "what failed leaves nothing"
    );
    // Somebody removes the state of one by hand; its process ends.
    let dead = &containers[2];
    let pid = dead.pid();
    let gone = address(dead, false);
    std::fs::remove_dir_all(t.runtime.root.join(&dead.id)).expect("remove");
    let name = rustix::process::Pid::from_raw(pid as i32).expect("a pid");
    rustix::process::kill_process(name, rustix::process::Signal::KILL).expect("kill");
    dead.reap(pid);
    create(&late, "83:80").ok();
    assert_eq!(address(&late, false), gone);
    for c in containers.iter().chain([&late]) {
        place.delete(c);
    }
    for mount in tests::cgroup_mounts() {
        let _ = std::fs::remove_dir(mount.join(&dead.id));
    }
    assert_eq!(place.traces(), before);
}

fn addresses_belong_to_one_container(t: &Test) {
    let place = Place::new(t);
    let first = place.up(&["--network", "bridge", "--ip", "10.220.64.9"]);
    assert_eq!(address(&first, false), "10.220.64.9");
    let second = t.server();
    let options = ["--network", "bridge", "--ip", "10.220.64.9"];
    let words = format!("--ip: 10.220.64.9 belongs to {}", first.id);
    place.on_host(second.creation(&options)).run().fails().says(&words);
    let v6 = address(&first, true);
    place
        .on_host(second.creation(&["--network", "bridge", "--ip", &v6]))
        .run()
        .fails()
        .says("belongs to");
    let pid = first.pid();
    place.delete(&first);
    first.reap(pid);
    place.on_host(second.creation(&options)).run().ok();
}

fn a_network_keeps_its_subnet(t: &Test) {
    let place = Place::new(t);
    let _first = place.up(&["--network", "bridge", "--subnet", "10.9.8.0/24"]);
    let c = t.server();
    place
        .on_host(c.creation(&["--network", "bridge", "--subnet", "10.9.9.0/24"]))
        .run()
        .fails()
        .says("--subnet: the network roci0 has another one, until its last container is deleted");
    place
        .on_host(c.creation(&["--network", "bridge:other", "--subnet", "10.9.0.0/16"]))
        .run()
        .fails()
        .says("--subnet: that of other overlaps with another network's");
    place
        .on_host(c.creation(&["--network", "bridge", "--subnet", "10.9.8.0/24"]))
        .run()
        .ok();
}

fn words_of_the_kernel_are_passed_on(t: &Test) {
    let place = Place::new(t);
    let c = t.server();
    // A device that is no bridge cannot be told apart from one, until the kernel is asked.
    let outcome = place
        .on_host(c.creation(&["--network", "bridge:wan", "--subnet", "10.9.8.0/24"]))
        .run()
        .fails();
    assert!(outcome.stderr.contains("make devices at wan: "), "{outcome}");
    place
        .on_host(c.creation(&["--network", "bridge:wan"]))
        .run()
        .fails()
        .says("the device was not made by roci: --subnet has to say which addresses it has");
}
