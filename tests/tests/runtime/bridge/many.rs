//! Many at once, and calls that are killed.

use super::*;

tests::cases![
    two_hundred_containers_leave_nothing,
    two_hundred_containers_leave_nothing_though_calls_are_killed,
    whatever_create_was_killed_at_delete_undoes_the_network,
];

const CONTAINERS: u32 = 200;

/// Creates containers eight at a time, and then deletes them. Of a tenth, `create` is killed, and `delete`.
fn come_and_go(t: &Test, kills: bool) {
    let place = Place::new(t);
    let before = place.traces();
    let c = t.server();
    c.write_config();
    let bundle = c.bundle.to_str().expect("a path").to_owned();
    let (runtime, host) = (t.runtime.clone(), place.host.clone());
    let id = |number: u32| format!("{}n{number}", runtime.token);
    let at_once = |act: &(dyn Fn(u32) + Sync)| {
        let next = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= CONTAINERS {
                            return;
                        }
                        act(number);
                    }
                });
            }
        });
    };
    let call = |args: &[&str]| {
        runtime
            .call(args)
            .under("nsenter", &[&format!("--net=/run/netns/{host}")])
    };
    let is_killed = |number: u32| kills && number % 10 == 3;
    let run = |number: u32, args: &[&str]| {
        let call = call(args).limit(tests::patience(60));
        if !is_killed(number) {
            call.run().ok();
            return;
        }
        let mut running = call.spawn();
        std::thread::sleep(Duration::from_micros(u64::from(number) * 150));
        running.kill();
        let _ = running.wait();
    };
    at_once(&|number| {
        let port = format!("{}:80", 10000 + number);
        let id = id(number);
        run(
            number,
            &[
                "create",
                "--network",
                "bridge",
                "--publish",
                &port,
                "--bundle",
                &bundle,
                &id,
            ],
        );
    });
    let hosts = std::fs::read_to_string(t.runtime.root.join(".roci0.hosts")).expect("hosts");
    let mut addresses: Vec<_> = hosts
        .lines()
        .filter(|line| line.starts_with("10."))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let leases = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), leases, "nobody shares an address");
    assert!(kills || leases == CONTAINERS as usize, "{leases}");
    at_once(&|number| run(number, &["delete", "--force", &id(number)]));
    if kills {
        at_once(&|number| {
            call(&["delete", "--force", &id(number)])
                .limit(tests::patience(60))
                .run()
                .ok();
        });
    }
    assert_eq!(place.traces(), before);
}

fn two_hundred_containers_leave_nothing(t: &Test) {
    come_and_go(t, false);
}

fn two_hundred_containers_leave_nothing_though_calls_are_killed(t: &Test) {
    come_and_go(t, true);
}

fn whatever_create_was_killed_at_delete_undoes_the_network(t: &Test) {
    let place = Place::new(t);
    let before = place.traces();
    for step in 0..40 {
        let c = t.server();
        let mut creation = place
            .on_host(c.creation(&["--network", "bridge", "--publish", "8080:80"]))
            .spawn();
        std::thread::sleep(Duration::from_micros(500 * step));
        creation.kill();
        let _ = creation.wait();
        place.delete(&c);
        assert_eq!(place.traces(), before, "create was killed after {} µs", 500 * step);
    }
}
