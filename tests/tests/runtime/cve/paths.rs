//! The vulnerabilities of paths, one by one: images in which something is not what its name says, and files that change while
//! they are looked at.

use serde_json::json;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use super::Host;
use tests::{ConsoleSocket, Container, Test, eventually};

tests::cases![
    cve_2023_27561_a_proc_behind_a_link_of_a_volume_is_refused,
    cve_2023_28642_a_proc_that_is_a_link_does_not_hide_labels,
    cve_2025_54867_a_sys_that_is_a_link_is_refused,
    cve_2025_24965_nothing_is_written_into_the_image,
    cve_2025_52881_writes_to_proc_are_not_redirected,
    cve_2025_62596_a_link_in_proc_does_not_redirect_writes,
    cve_2026_47766_a_ptmx_behind_a_link_is_left_alone,
    cve_2026_88264_a_console_is_not_made_through_a_link,
    cve_2026_88265_a_null_device_is_not_opened_through_a_link,
    cve_2021_29136_a_layer_that_is_a_link_shows_nothing_of_the_host,
    nothing_is_mounted_over_what_proc_has,
    a_device_that_is_bound_is_the_one_that_was_named,
    cve_2021_30465_destinations_that_change_lead_nowhere,
    cve_2024_45310_directories_that_change_are_not_made_on_the_host,
    cve_2025_62161_masks_on_paths_that_change_hold,
    cve_2025_52565_a_console_that_changes_leads_nowhere,
    exec_on_paths_that_change_stays_inside,
];

/// Removes the mounts below `/dev`, and that itself.
fn without_dev(c: &mut Container) {
    for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        c.unmount(path);
    }
}

fn cve_2023_27561_a_proc_behind_a_link_of_a_volume_is_refused(t: &Test) {
    t.control();
    t.skip_on("crun", "crun 1.8 follows the link inside the root, which is harmless");
    let mut c = t.sh("cat /proc/self/status");
    let volume = t.path("volume");
    fs::create_dir_all(volume.join("self/attr")).expect("mkdir");
    fs::remove_dir(c.rootfs().join("proc")).expect("rmdir");
    symlink("volume", c.rootfs().join("proc")).expect("symlink");
    let mounts = c.config["mounts"].as_array_mut().expect("mounts");
    mounts.insert(
        0,
        json!({"destination": "/volume", "type": "bind", "source": volume, "options": ["rbind"]}),
    );
    c.create().fails();
}

fn cve_2023_28642_a_proc_that_is_a_link_does_not_hide_labels(t: &Test) {
    t.control();
    let mut c = t.sh("true");
    c.unmount("/proc");
    fs::remove_dir(c.rootfs().join("proc")).expect("rmdir");
    fs::create_dir_all(c.rootfs().join("fake/self/attr/apparmor")).expect("mkdir");
    for file in ["attr/exec", "attr/apparmor/exec"] {
        fs::write(c.rootfs().join("fake/self").join(file), "").expect("write");
    }
    symlink("fake", c.rootfs().join("proc")).expect("symlink");
    c.config["process"]["apparmorProfile"] = json!("a-profile");
    for list in ["maskedPaths", "readonlyPaths"] {
        c.config["linux"][list] = json!([]);
    }
    let outcome = c.run();
    assert!(
        !outcome.status.success() || !t.is_roci(),
        "the label went to a file of the image: {outcome}"
    );
    for file in ["attr/exec", "attr/apparmor/exec"] {
        let text = fs::read_to_string(c.rootfs().join("fake/self").join(file)).expect("read");
        assert_eq!(text, "", "the label was written to a file of the image");
    }
}

fn cve_2025_54867_a_sys_that_is_a_link_is_refused(t: &Test) {
    t.control();
    let host = Host::new(t);
    for name in ["proc", "sys"] {
        let mut c = t.sh("true");
        fs::remove_dir(c.rootfs().join(name)).expect("rmdir");
        symlink(host.climbing(), c.rootfs().join(name)).expect("symlink");
        c.config["process"]["args"] = json!(["/bin/true"]);
        let outcome = c.run();
        assert!(!outcome.status.success() || !t.is_roci(), "{outcome}");
    }
    host.is_unharmed();
}

/// A runtime file below the root is a file that the image has in its hands.
fn cve_2025_24965_nothing_is_written_into_the_image(t: &Test) {
    let host = Host::new(t);
    let c = t.sh("true");
    for name in [
        ".krun_config.json",
        "config.json",
        ".roci",
        ".oci",
        "run/.containerenv",
        ".dockerenv",
    ] {
        symlink(host.climbing().join("sub/made"), c.rootfs().join(name)).expect("symlink");
    }
    let list = |c: &Container| {
        let mut names: Vec<_> = fs::read_dir(c.rootfs())
            .expect("root")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        names.sort();
        names
    };
    let before = list(&c);
    c.output();
    assert_eq!(list(&c), before, "something was made in the image");
    host.is_unharmed();
}

fn cve_2025_52881_writes_to_proc_are_not_redirected(t: &Test) {
    t.control();
    t.skip_on("crun", "crun 1.8 writes sysctls below the container's /proc");
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    // What the sysctl is written to is covered with what the host must not be told.
    let domain = fs::read_to_string("/proc/sys/kernel/domainname").expect("read");
    for (covered, with) in [
        ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/domainname"),
        ("/proc/self/attr", "/proc/sys/kernel"),
        ("/proc/sys/net", "/proc/sys/kernel"),
    ] {
        let mut c = t.sh("true");
        c.mount(covered, "bind", with, &["rbind"]);
        c.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        c.config["process"]["apparmorProfile"] = json!("a-profile");
        c.namespace("uts", None);
        let _ = c.run();
        c.config["process"]
            .as_object_mut()
            .expect("process")
            .remove("apparmorProfile");
        let _ = c.run();
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/domainname").expect("read"), domain);
}

fn cve_2025_62596_a_link_in_proc_does_not_redirect_writes(t: &Test) {
    t.control();
    t.skip_on("crun", "crun 1.8 writes sysctls below the container's /proc");
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    let host = Host::new(t);
    let fake = t.path("fake");
    fs::create_dir_all(fake.join("net/ipv4")).expect("mkdir");
    symlink(host.0.join("secret"), fake.join("net/ipv4/ip_forward")).expect("symlink");
    let mut c = t.sh("true");
    c.mount("/proc/sys", "bind", &fake, &["rbind"]);
    c.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    for list in ["maskedPaths", "readonlyPaths"] {
        c.config["linux"][list] = json!([]);
    }
    let _ = c.run();
    host.is_unharmed();
}

fn cve_2026_47766_a_ptmx_behind_a_link_is_left_alone(t: &Test) {
    t.control();
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    t.skip_on("crun", "crun 1.8 has this vulnerability");
    let host = Host::new(t);
    for name in ["ptmx", "console", "fd", "stdin", "null", "zero", "tty"] {
        fs::write(host.0.join("sub").join(name), "mine").expect("write");
    }
    let mut c = t.sh("true");
    without_dev(&mut c);
    fs::remove_dir(c.rootfs().join("dev")).expect("rmdir");
    symlink(host.climbing().join("sub"), c.rootfs().join("dev")).expect("symlink");
    c.config["process"]["terminal"] = json!(true);
    let socket = ConsoleSocket::listen(&t.path("console"));
    let _ = c.creation(&["--console-socket", socket.arg()]).run();
    for name in ["ptmx", "console", "fd", "stdin", "null", "zero", "tty"] {
        let path = host.0.join("sub").join(name);
        assert_eq!(fs::read_to_string(&path).expect(name), "mine");
        fs::remove_file(path).expect("rm");
    }
    host.is_unharmed();
}

fn cve_2026_88264_a_console_is_not_made_through_a_link(t: &Test) {
    t.control();
    t.skip_on("crun", "crun 1.8 has this vulnerability");
    let host = Host::new(t);
    for target in [host.climbing().join("sub/made"), host.climbing().join("secret")] {
        let mut c = t.sh("true");
        without_dev(&mut c);
        c.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
        fs::create_dir_all(c.rootfs().join("dev/pts")).expect("mkdir");
        symlink(&target, c.rootfs().join("dev/console")).expect("symlink");
        c.config["process"]["terminal"] = json!(true);
        let socket = ConsoleSocket::listen(&t.path(&format!("console-{}", c.id)));
        let _ = c.creation(&["--console-socket", socket.arg()]).run();
        host.is_unharmed();
    }
}

fn cve_2026_88265_a_null_device_is_not_opened_through_a_link(t: &Test) {
    t.control();
    t.skip_on("crun", "crun 1.8 has this vulnerability");
    t.skip_on("runc", "runc 1.1 opens what the image calls /dev/null");
    let host = Host::new(t);
    let mut c = t.sh("echo written; cat; readlink /proc/self/fd/0; ls -lL /proc/self/fd/0");
    without_dev(&mut c);
    fs::write(c.rootfs().join("mine"), "of the image\n").expect("write");
    symlink("/mine", c.rootfs().join("dev/null")).expect("symlink");
    let outcome = c.run();
    assert!(
        !outcome.stdout.contains("of the image"),
        "the image's file became a stream: {outcome}"
    );
    assert_eq!(
        fs::read_to_string(c.rootfs().join("mine")).expect("read"),
        "of the image\n"
    );
    host.is_unharmed();
}

/// Of image unpacking, which roci does not do: the part that is a lower layer.
fn cve_2021_29136_a_layer_that_is_a_link_shows_nothing_of_the_host(t: &Test) {
    if !t.is_roci() {
        t.skip("overlays are roci's own");
    }
    let host = Host::new(t);
    let c = t.sh(
        "echo x > /etc/secret; echo x > /escape/secret; cat /escape/secret /etc/secret; ls -a / | grep -c wh; true",
    );
    let layer = t.path("layer");
    fs::create_dir(&layer).expect("mkdir");
    symlink(host.climbing(), layer.join("escape")).expect("symlink");
    symlink("..", layer.join("up")).expect("symlink");
    let lower = format!("{}:rootfs", layer.display());
    let outcome = c.running(&["--overlay-lower", &lower]).run();
    assert!(!outcome.stdout.contains("secret of the host"), "{outcome}");
    host.is_unharmed();
}

/// ujail allowed it: what a container shows in its `/proc` decides what its own tools see, and the kernel's must be the same
/// process's. roci mounts there what it is told, and trusts none of it: its own reads and writes go to the host's.
fn nothing_is_mounted_over_what_proc_has(t: &Test) {
    t.skip_on("crun", "crun 1.8 mounts anything there, and reads it");
    let mut c = t.server();
    let fake = t.path("fake");
    fs::write(&fake, "Seccomp: 0\n").expect("write");
    c.mount("/proc/1/status", "bind", &fake, &["bind"]);
    let outcome = c.create();
    if outcome.status.success() {
        c.start().ok();
        let ps = t.call(&["ps", &c.id]).run().ok();
        assert!(ps.stdout.contains("sh"), "{ps}");
    }
}

fn a_device_that_is_bound_is_the_one_that_was_named(t: &Test) {
    t.control();
    let mut c = t.sh("true");
    // A user namespace cannot make nodes: the host's are bound.
    c.namespace("user", None);
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    c.config["linux"]["uidMappings"] = mapping.clone();
    c.config["linux"]["gidMappings"] = mapping;
    c.config["linux"]["devices"] = json!([{"path": "/dev/mem", "type": "c", "major": 1, "minor": 3}]);
    let outcome = c.run();
    // The host's /dev/mem is 1:1 and not 1:3: a runtime that binds by name hands the memory over.
    assert!(!outcome.status.success() || !t.is_roci(), "{outcome}");
}

/// Exchanges two names in a directory of the host that containers share, as a process in another container would, for as long
/// as it lives.
struct Racer {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Racer {
    fn exchange(directory: &Path, one: &str, other: &str) -> Self {
        use std::sync::atomic::Ordering;
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (seen, directory) = (stop.clone(), fs::File::open(directory).expect("open"));
        let (one, other) = (one.to_owned(), other.to_owned());
        let thread = std::thread::spawn(move || {
            let mut rounds = 0;
            while !seen.load(Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let _ = rustix::fs::renameat_with(&directory, &one, &directory, &other, flags);
                rounds += 1;
                std::thread::yield_now();
            }
            rounds
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn rounds(mut self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().map_or(0, |thread| thread.join().expect("the racer"))
    }
}

/// How many containers are made while the racer runs; the exchanges are many thousands.
fn attempts() -> u32 {
    std::env::var("ROCI_TEST_RACES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60)
}

/// A volume with a directory and a link that leads to the host, under names that are exchanged.
fn volume_with_a_link(t: &Test, host: &Host) -> std::path::PathBuf {
    let volume = t.path("volume");
    fs::create_dir_all(volume.join("a/deep")).expect("mkdir");
    symlink(host.climbing(), volume.join("b")).expect("symlink");
    volume
}

fn cve_2021_30465_destinations_that_change_lead_nowhere(t: &Test) {
    t.control();
    t.skip_on("runc", "runc 1.1 mounts by names that it has looked at");
    t.skip_on("crun", "crun 1.8 loses some of these races harmlessly, and some not");
    let host = Host::new(t);
    let volume = volume_with_a_link(t, &host);
    let racer = Racer::exchange(&volume, "a", "b");
    for _ in 0..attempts() {
        let mut c = t.sh("cat /volume/a/secret /volume/b/secret /volume/a/sub/secret 2>/dev/null; true");
        c.mount("/volume", "bind", &volume, &["rbind"]);
        c.mount("/volume/a/deep", "tmpfs", "tmpfs", &[]);
        c.mount("/volume/a/new/er", "bind", t.path("state"), &["rbind"]);
        c.mount("/volume/b/sub", "tmpfs", "tmpfs", &[]);
        let outcome = c.run();
        assert!(!outcome.stdout.contains("secret of the host"), "{outcome}");
        let _ = fs::remove_dir_all(&c.bundle);
        host.is_unharmed();
    }
    assert!(racer.rounds() > 100);
}

fn cve_2024_45310_directories_that_change_are_not_made_on_the_host(t: &Test) {
    t.control();
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    let host = Host::new(t);
    let volume = volume_with_a_link(t, &host);
    let racer = Racer::exchange(&volume, "a", "b");
    for round in 0..attempts() {
        let mut c = t.sh("true");
        c.mount("/volume", "bind", &volume, &["rbind"]);
        c.mount(&format!("/volume/a/new{round}/one/two"), "tmpfs", "tmpfs", &[]);
        fs::write(t.path("file"), "").expect("write");
        c.mount(&format!("/volume/b/file{round}"), "bind", t.path("file"), &["bind"]);
        c.config["process"]["cwd"] = json!(format!("/volume/a/cwd{round}/one"));
        let _ = c.run();
        let _ = fs::remove_dir_all(&c.bundle);
        host.is_unharmed();
    }
    assert!(racer.rounds() > 100);
}

fn cve_2025_62161_masks_on_paths_that_change_hold(t: &Test) {
    t.control();
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    t.skip_on("crun", "crun 1.8 has this vulnerability");
    let host = Host::new(t);
    let volume = t.path("volume");
    fs::create_dir(&volume).expect("mkdir");
    // The image's /dev/null is now a device and now a link to what the mask would then show.
    let device = rustix::fs::makedev(1, 3);
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        volume.join("null"),
        rustix::fs::FileType::CharacterDevice,
        mode,
        device,
    )
    .expect("mknod");
    symlink("/proc/sys/kernel/domainname", volume.join("other")).expect("symlink");
    let racer = Racer::exchange(&volume, "null", "other");
    for _ in 0..attempts() {
        let mut c = t.sh("ls -l /masked; cat /masked");
        without_dev(&mut c);
        c.mount("/dev", "bind", &volume, &["rbind"]);
        fs::write(c.rootfs().join("masked"), "masked\n").expect("write");
        c.config["linux"]["maskedPaths"] = json!(["/masked"]);
        let outcome = c.run();
        if outcome.status.success() {
            assert!(
                outcome.stdout.starts_with('c'),
                "the mask is the null device: {outcome}"
            );
            assert_eq!(outcome.stdout.matches('\n').count(), 1, "and shows nothing: {outcome}");
        }
        let _ = fs::remove_dir_all(&c.bundle);
    }
    assert!(racer.rounds() > 100);
    host.is_unharmed();
    let null = fs::metadata("/dev/null").expect("the host's");
    assert!(null.file_type().is_char_device() && null.rdev() == device);
    eventually("nothing is mounted on the volume", || {
        !fs::read_to_string("/proc/self/mountinfo")
            .expect("mounts")
            .contains(&*volume.to_string_lossy())
    });
}

fn cve_2025_52565_a_console_that_changes_leads_nowhere(t: &Test) {
    t.control();
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    t.skip_on("crun", "crun 1.8 has this vulnerability");
    let host = Host::new(t);
    let volume = t.path("volume");
    fs::create_dir_all(volume.join("pts")).expect("mkdir");
    fs::write(volume.join("console"), "").expect("write");
    symlink(host.climbing().join("secret"), volume.join("other")).expect("symlink");
    let racer = Racer::exchange(&volume, "console", "other");
    for round in 0..attempts() {
        let mut c = t.sh("echo to the console > /dev/console");
        without_dev(&mut c);
        c.mount("/dev", "bind", &volume, &["rbind"]);
        c.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666"]);
        c.config["process"]["terminal"] = json!(true);
        let socket = ConsoleSocket::listen(&t.path(&format!("socket{round}")));
        if c.creation(&["--console-socket", socket.arg()]).run().status.success() {
            let _ = c.start();
        }
        let _ = c.delete_force();
        let _ = fs::remove_dir_all(&c.bundle);
        host.is_unharmed();
    }
    assert!(racer.rounds() > 100);
}

fn exec_on_paths_that_change_stays_inside(t: &Test) {
    let host = Host::new(t);
    let c = t.server();
    fs::create_dir(c.rootfs().join("a")).expect("mkdir");
    symlink(host.climbing(), c.rootfs().join("b")).expect("symlink");
    c.up_and_ready();
    let racer = Racer::exchange(&c.rootfs(), "a", "b");
    for round in 0..attempts() {
        let cwd = format!("/a/new{round}");
        let outcome = c
            .executing(
                &["--cwd", &cwd],
                &["/bin/sh", "-c", "cat ../secret secret 2>/dev/null; pwd"],
            )
            .run();
        assert!(!outcome.stdout.contains("secret of the host"), "{outcome}");
        let _ = c.executing(&[], &["/a/../a/sub/../secret"]).run();
    }
    assert!(racer.rounds() > 100);
    host.is_unharmed();
}
