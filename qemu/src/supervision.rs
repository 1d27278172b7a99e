//! A machine whose containers are supervised: a container of its own looks, from inside, whether all is as it should be, and
//! switches the machine off; this side looks at what was printed, and asks the web server from outside.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use serde_json::{Value, json};

use crate::architecture::Architecture;
use crate::image;
use crate::kernel::{Flavour, Kernel};
use crate::machine::{Console, Machine, Outcome, Root};
use crate::tree::Tree;

/// The names of busybox that the containers use.
const APPLETS: [&str; 13] = [
    "sh", "cat", "cut", "echo", "grep", "httpd", "sed", "seq", "sleep", "test", "touch", "wc", "wget",
];

/// What is set for the device.
const SETTINGS: &str = "# What the machine is.
hostname=box
ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3
sysctl.net.ipv4.ip_forward=1
watchdog=8s
log=console
data=/dev/null:tmpfs
";

/// What looks from inside, when everything has been started. Each line waits for something that has to come.
const OPERATOR: &str = r#"
await() { until roci "$1" $3 | grep -q "$2"; do sleep 0.3; done; echo "seen: $1 $3 $2"; }
await list '^crash .* [2-9]  *exit 3'
await list '^oom .* failed  *1  *oom'
await list '^sick .* [1-9]  *health'
await list '^setup .* done  *0  *exit 0'
await logs '10\.0\.2\.2' web
roci logs -f base | sed 3q
roci restart sick && echo "restarted"
roci start sick || echo "refused"
roci stop crash && roci list
echo "a seed of $(wc -c </data/roci/seed) bytes on $(cat /proc/sys/kernel/hostname)"
until [ "$(cut -d. -f1 /proc/uptime)" -ge 14 ]; do sleep 0.3; done
roci poweroff
sleep 100
"#;

/// A container: its name, what its shell does, and its annotations without what they begin with.
type Container<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn add(tree: &mut Tree, (name, script, annotations): Container<'_>, change: impl FnOnce(&mut Value)) -> Result<()> {
    let mut config = tests::default_config(&["/bin/sh", "-c", script]);
    config["root"] = json!({"path": "/srv/root", "readonly": true});
    config["hostname"] = name.into();
    let mounts = config["mounts"].as_array_mut().context("mounts")?;
    mounts.push(json!({"destination": "/tmp", "type": "tmpfs", "source": "tmp"}));
    for (key, value) in annotations {
        config["annotations"][format!("io.roci.{key}")] = (*value).into();
    }
    change(&mut config);
    let text = serde_json::to_string_pretty(&config)?;
    tree.file(&format!("etc/roci/containers/{name}/config.json"), 0o644, text);
    Ok(())
}

/// What every machine here has.
fn base(architecture: Architecture, kernel: &Kernel, settings: &str) -> Result<Tree> {
    let mut tree = Tree::default();
    let executables = image::build(architecture.triple)?;
    for path in ["bin/roci", "bin/roci-init", "sbin/roci-boot"] {
        let name = Path::new(path).file_name().context("a name")?;
        tree.copy(path, &executables.join(name))?;
    }
    tree.link("init", "sbin/roci-boot");
    tree.character("dev/console", 0o600, 5, 1);
    tree.file("etc/roci/device", 0o644, settings);
    let root = "srv/root";
    for directory in ["data", "dev", "proc", "run", "sys", "tmp"] {
        tree.directory(&format!("{root}/{directory}"), 0o755);
    }
    for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf", "bin/roci"] {
        tree.file(&format!("{root}/{file}"), 0o755, "");
    }
    tree.file(&format!("{root}/srv/index.html"), 0o644, "it works\n");
    tree.copy(
        &format!("{root}/bin/busybox"),
        &image::busybox(architecture.debian, "bookworm")?,
    )?;
    for applet in APPLETS {
        tree.link(&format!("{root}/bin/{applet}"), "busybox");
    }
    image::add_modules(&mut tree, kernel, architecture, &["softdog"])?;
    Ok(tree)
}

/// The machine with everything: `outside` is the port of a web server of this side.
fn whole(architecture: Architecture, kernel: &Kernel, outside: u16) -> Result<Tree> {
    let mut tree = base(architecture, kernel, SETTINGS)?;
    let tick = "trap 'echo good bye; exit 0' TERM; for i in $(seq 1000); do echo tick $i; sleep 0.3; done";
    let ask = format!("echo outside: $(wget -qO- http://10.0.2.2:{outside}/); echo inside: $(wget -qO- http://web/)");
    let serve = "exec httpd -f -vv -p 80 -h /srv";
    let containers: [Container<'_>; 8] = [
        ("base", tick, &[("stop.grace", "5s")]),
        (
            "setup",
            "sleep 1; echo all is set up",
            &[("kind", "oneshot"), ("after", "base")],
        ),
        (
            "web",
            serve,
            &[
                ("after", "setup"),
                ("critical", "true"),
                ("ready", "health"),
                ("health", "/bin/wget -q -O /dev/null http://127.0.0.1/"),
                ("health.start-period", "200ms"),
                ("health.interval", "500ms"),
                ("init", "true"),
                ("network", "bridge"),
                ("network.publish", "8080:80"),
            ],
        ),
        (
            "client",
            &ask,
            &[("kind", "oneshot"), ("after", "web"), ("network", "bridge")],
        ),
        (
            "crash",
            "echo about to crash; exit 3",
            &[("after", "setup"), ("restart.delay", "300ms")],
        ),
        (
            "oom",
            "x=x; while :; do x=$x$x; done",
            &[("after", "setup"), ("restart.max", "1"), ("restart.delay", "200ms")],
        ),
        (
            "sick",
            "sleep 1; touch /tmp/sick; sleep 1000",
            &[
                ("after", "setup"),
                ("restart.delay", "200ms"),
                ("health", "/bin/test ! -e /tmp/sick"),
                ("health.start-period", "300ms"),
                ("health.interval", "300ms"),
                ("health.retries", "2"),
                ("init", "true"),
            ],
        ),
        (
            "operator",
            OPERATOR,
            &[("kind", "oneshot"), ("after", "client"), ("stop.grace", "1s")],
        ),
    ];
    for container in containers {
        add(&mut tree, container, |config| match container.0 {
            "oom" => config["linux"]["resources"]["memory"] = json!({"limit": 6 << 20, "swap": 6 << 20}),
            // It sees what the device sees.
            "operator" => {
                for path in ["/run", "/data", "/bin/roci"] {
                    let mount = json!({"destination": path, "type": "bind", "source": path, "options": ["rbind"]});
                    if let Some(mounts) = config["mounts"].as_array_mut() {
                        mounts.push(mount);
                    }
                }
                if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
                    namespaces.retain(|namespace| namespace["type"] == "mount" || namespace["type"] == "uts");
                }
            }
            _ => {}
        })?;
    }
    Ok(tree)
}

/// A web server of this side, for one answer at a time.
fn serve_outside(listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    }
}

/// Asks the machine's web server until it has answered, or `end`.
fn ask_from_outside(port: u16, end: &AtomicBool) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while !end.load(Ordering::Relaxed) {
        let answer = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        if answer().is_ok_and(|text| text.contains("it works")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}

/// The lines have to come in this order; others may stand between them.
fn check_order(text: &str, lines: &[&str]) -> Result<()> {
    let mut rest = text.lines();
    for line in lines {
        ensure!(
            rest.by_ref().any(|printed| printed.contains(line)),
            "\"{line}\" is missing, or not where it should be, in\n{text}"
        );
    }
    Ok(())
}

fn run(machine: &Machine<'_>) -> Result<Outcome> {
    let outcome = machine.run()?;
    ensure!(!outcome.late, "the machine did not end by itself:\n{}", outcome.text);
    Ok(outcome)
}

/// Runs both machines; the value is a sentence about them.
pub fn check(architecture: Architecture, kernel: &Kernel, console: Console) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let outside = TcpListener::bind("127.0.0.1:0")?;
    let tree = whole(architecture, kernel, outside.local_addr()?.port())?;
    std::thread::spawn(move || serve_outside(&outside));
    // Nobody else takes it in the moment until the emulator does.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let end = Arc::new(AtomicBool::new(false));
    let asking = std::thread::spawn({
        let end = end.clone();
        move || ask_from_outside(port, &end)
    });
    let initramfs = directory.path().join("initramfs");
    image::write_compressed(&tree, &initramfs, Compression::fast())?;
    let machine = Machine {
        architecture,
        flavour: Flavour::Debian,
        kernel: &kernel.image,
        root: Root::Initramfs(&initramfs),
        memory: 256,
        limit: Duration::from_secs(120),
        console,
        words: String::new(),
        devices: [
            "-netdev",
            &format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:8080"),
            "-device",
            architecture.network(),
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let outcome = run(&machine);
    end.store(true, Ordering::Relaxed);
    let was_reached = asking.join().unwrap_or(false);
    let outcome = outcome?;
    let text = &outcome.text;
    // The first status of a container that was given up: SIGKILL for want of memory.
    ensure!(outcome.status() == Some(137), "another status than 137 in\n{text}");
    ensure!(was_reached, "the web server was not reached from outside:\n{text}");
    for lines in [
        &[
            "roci-boot: base: started",
            "setup: all is set up",
            "setup: done",
            "web: ready",
            "client: outside: yes",
        ][..],
        &[
            "setup: done",
            "crash: started",
            "crash: ended with 3",
            "crash: started again in",
        ],
        &[
            "client: inside: it works",
            "operator: seen: logs web",
            "operator: tick",
            "operator: tick",
        ],
        &[
            "oom: ended for want of memory",
            "oom: started again",
            "oom: failed, and left",
        ],
        &[
            "sick: its health checks fail",
            "sick: started again",
            "operator: restarted",
            "operator: refused",
        ],
        &[
            "power off: stopping",
            "web: stopped",
            "base: good bye",
            "base: stopped",
            "Power down",
        ],
    ] {
        check_order(text, lines)?;
    }
    ensure!(text.contains("operator: a seed of 256 bytes"), "no seed in\n{text}");
    ensure!(text.contains("/dev/watchdog: waits for 8 s"), "no watchdog in\n{text}");
    let starved = starve(&machine, kernel, directory.path())?;
    Ok(format!(
        "{} supervised containers and an orderly end after {:.1} s; a watchdog that was not fed ended the next machine after \
         {:.1} s",
        8,
        outcome.time.as_secs_f32(),
        starved.time.as_secs_f32()
    ))
}

/// A machine that has lost what it cannot be without, and cannot even stop: the watchdog ends it.
fn starve(machine: &Machine<'_>, kernel: &Kernel, directory: &Path) -> Result<Outcome> {
    let settings = "watchdog=3s\nshutdown=100s\n";
    let mut tree = base(machine.architecture, kernel, settings)?;
    let stubborn = "trap '' TERM; while :; do sleep 1; done";
    let vital = &[
        ("critical", "true"),
        ("critical.deadline", "1s"),
        ("restart.delay", "1h"),
        ("restart.delay-max", "1h"),
    ];
    add(&mut tree, ("stubborn", stubborn, &[("stop.grace", "100s")]), |_| {})?;
    add(&mut tree, ("vital", "exit 1", vital), |_| {})?;
    let initramfs = directory.join("starving");
    image::write_compressed(&tree, &initramfs, Compression::fast())?;
    let outcome = run(&Machine {
        root: Root::Initramfs(&initramfs),
        limit: Duration::from_secs(60),
        words: String::new(),
        // Its clock has stood still for long.
        devices: ["-rtc", "base=2001-01-01"].map(str::to_owned).to_vec(),
        ..*machine
    })?;
    check_order(
        &outcome.text,
        &[
            "vital: critical, and away for too long",
            "reboot: stopping",
            "Initiating system reboot",
        ],
    )?;
    Ok(outcome)
}
