//! The vulnerabilities that other runtimes had, each as a test: a hostile image or caller, and the host unharmed.
//!
//! Those of unpacking images (CVE-2021-41190, CVE-2023-25153) are not roci's: it unpacks none.

use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tests::{ConsoleSocket, Container, Test, eventually};

pub mod paths;
pub mod processes;

tests::cases![
    cve_2019_5736_the_runtime_cannot_be_overwritten_through_proc,
    cve_2024_21626_a_working_directory_in_proc_self_fd_does_not_lead_out,
    cve_2024_21626_a_program_in_proc_self_fd_does_not_lead_out,
    cve_2024_21626_exec_with_such_a_working_directory_does_not_lead_out,
    cve_2019_19921_a_proc_that_is_a_symbolic_link_is_refused,
    cve_2019_16884_a_proc_that_is_no_procfs_is_not_trusted,
    cve_2021_30465_destinations_do_not_follow_links_out_of_the_root,
    cve_2019_18837_a_mount_point_behind_a_link_is_made_inside,
    cve_2026_41579_a_dev_that_is_a_symbolic_link_harms_nobody,
    cve_2025_31133_a_dev_null_of_the_image_is_not_used_for_masking,
    cve_2025_52565_a_console_of_the_image_is_not_written_to,
    a_working_directory_behind_a_link_is_inside,
    a_device_behind_a_link_is_made_inside,
    a_tmpcopyup_behind_a_link_copies_nothing_of_the_host,
    masked_and_read_only_paths_do_not_follow_links_out,
    the_state_directory_is_not_reachable,
    dot_dot_in_the_cgroup_path_does_not_lead_out,
    an_id_does_not_lead_out_of_the_state_directory,
];

/// A directory of the host that must not change, with a link in the image that leads to it, should it be followed.
pub struct Host(PathBuf);

impl Host {
    fn new(t: &Test) -> Self {
        let directory = t.path("host");
        fs::create_dir_all(directory.join("sub")).expect("mkdir");
        fs::write(directory.join("secret"), "secret of the host\n").expect("write");
        Self(directory)
    }

    /// A link that climbs as far as it takes, and then to the directory.
    fn climbing(&self) -> PathBuf {
        PathBuf::from("../".repeat(30)).join(self.0.strip_prefix("/").expect("absolute"))
    }

    #[track_caller]
    fn is_unharmed(&self) {
        let list = fs::read_dir(&self.0).expect("the directory").flatten();
        let mut names: Vec<_> = list
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["secret", "sub"], "something was made on the host");
        assert_eq!(
            fs::read_to_string(self.0.join("secret")).expect("secret"),
            "secret of the host\n"
        );
        assert_eq!(fs::read_dir(self.0.join("sub")).expect("sub").count(), 0);
        let mode = fs::metadata(self.0.join("secret"))
            .expect("secret")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
    }
}

/// All capabilities that matter to an attacker, so that it is not the kernel that refuses.
pub fn privileged(c: &mut Container) {
    let all = [
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_CHOWN",
        "CAP_SETUID",
        "CAP_SYS_ADMIN",
        "CAP_MKNOD",
        "CAP_SYS_PTRACE",
    ];
    c.capabilities(&[("bounding", &all), ("effective", &all), ("permitted", &all)]);
    c.config["process"]["noNewPrivileges"] = json!(false);
}

fn cve_2019_5736_the_runtime_cannot_be_overwritten_through_proc(t: &Test) {
    // A copy, so that a runtime that has the hole does not cost us the machine's.
    let mut runtime = t.runtime.clone();
    runtime.path = t.path(&t.runtime.name());
    fs::copy(&t.runtime.path, &runtime.path).expect("copy");
    let before = fs::read(&runtime.path).expect("read");
    // The attacker waits for a process whose executable is not busybox, that is the runtime's, and writes to it.
    let attack = "echo ready; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); for p in /proc/[0-9]*; do \
                  [ $p = /proc/1 ] && continue; \
                  case $(readlink $p/exe) in */busybox|'') ;; *) (echo evil > $p/exe) 2>/dev/null && echo hit >> /hit;; esac; \
                  done; done";
    let mut c = t.sh(attack);
    privileged(&mut c);
    // The image's program is the runtime itself: `#!/proc/self/exe` makes it run inside.
    let script = c.rootfs().join("bin/trap");
    fs::write(&script, "#!/proc/self/exe\n").expect("write");
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("chmod");
    let bundle = c.bundle.to_str().expect("path");
    c.write_config();
    let created = runtime.call(&["create", "--bundle", bundle, &c.id]).run().ok();
    runtime.call(&["start", &c.id]).run().ok();
    eventually("the attacker runs", || created.stdout_now().contains("ready"));
    for number in 0..40 {
        let program = if number % 2 == 0 { "/bin/trap" } else { "/bin/true" };
        let _ = runtime.call(&["exec", &c.id, program]).run();
    }
    runtime.call(&["delete", "--force", &c.id]).run().ok();
    assert_eq!(
        fs::read(&runtime.path).expect("read"),
        before,
        "the runtime's executable was changed"
    );
}

/// Directories of the host that the caller leaks, as the runtime's own descriptor of the cgroup directory once was.
fn cve_2024_21626_a_working_directory_in_proc_self_fd_does_not_lead_out(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 has this vulnerability when its caller leaks descriptors",
    );
    t.control();
    let host = Host::new(t);
    for number in (0..=15).chain([100]) {
        let mut c =
            t.sh("cat ../secret ../host/secret secret ../../../../../../../../etc/debian_version 2>/dev/null; pwd");
        c.config["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        let directory = fs::File::open(host.0.join("sub")).expect("open");
        let mut call = c.running(&[]);
        if number > 2 {
            call = call.fd(number, directory);
        }
        let outcome = call.run();
        assert!(!outcome.stdout.contains("secret"), "fd {number}: {outcome}");
        assert!(
            !outcome.stdout.contains(char::is_numeric) || outcome.stdout.contains("/proc/"),
            "fd {number}: {outcome}"
        );
    }
    host.is_unharmed();
}

fn cve_2024_21626_a_program_in_proc_self_fd_does_not_lead_out(t: &Test) {
    t.control();
    for number in [3, 5, 7, 9, 100] {
        let c = t.container(&[&format!("/proc/self/fd/{number}/bin/sh"), "-c", "echo out"]);
        let outcome = c.running(&[]).fd(number, fs::File::open("/").expect("/")).run();
        assert!(!outcome.stdout.contains("out"), "fd {number}: {outcome}");
        assert!(!outcome.status.success(), "fd {number}: {outcome}");
    }
}

fn cve_2024_21626_exec_with_such_a_working_directory_does_not_lead_out(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 has this vulnerability when its caller leaks descriptors",
    );
    t.control();
    let host = Host::new(t);
    let c = t.server();
    c.up_and_ready();
    for number in 3..=12 {
        let directory = fs::File::open(host.0.join("sub")).expect("open");
        let cwd = format!("/proc/self/fd/{number}");
        let outcome = c
            .executing(&["--cwd", &cwd], &["sh", "-c", "cat ../secret"])
            .fd(number, directory)
            .run();
        assert!(!outcome.stdout.contains("secret"), "fd {number}: {outcome}");
    }
}

fn cve_2019_19921_a_proc_that_is_a_symbolic_link_is_refused(t: &Test) {
    t.control();
    let host = Host::new(t);
    for (name, target) in [("proc", "/tmp"), ("proc", "../tmp"), ("sys", "/tmp")] {
        let mut c = t.sh("cat /proc/self/mountinfo");
        fs::remove_dir(c.rootfs().join(name)).expect("rmdir");
        symlink(target, c.rootfs().join(name)).expect("symlink");
        // crun 1.8 mounts on the directory inside that the link leads to, which is harmless, too.
        t.skip_on("crun", "follows the link inside the root");
        c.create().fails();
        fs::remove_file(c.rootfs().join(name)).expect("rm");
        symlink(host.climbing(), c.rootfs().join(name)).expect("symlink");
        c.config["process"]["args"] = json!(["/bin/true"]);
        c.create().fails();
    }
    host.is_unharmed();
}

fn cve_2019_16884_a_proc_that_is_no_procfs_is_not_trusted(t: &Test) {
    t.control();
    let mut c = t.server();
    let fake = t.path("fake");
    fs::create_dir_all(fake.join("self/attr")).expect("mkdir");
    fs::create_dir_all(fake.join("sys/net/ipv4")).expect("mkdir");
    fs::write(fake.join("self/attr/exec"), "").expect("write");
    fs::write(fake.join("sys/net/ipv4/ip_forward"), "untouched").expect("write");
    c.unmount("/proc").mount("/proc", "bind", &fake, &["rbind"]);
    c.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    for list in ["maskedPaths", "readonlyPaths"] {
        c.config["linux"][list] = json!([]);
    }
    t.skip_on("crun", "crun 1.8 writes sysctls below the container's /proc");
    // Refusing is right, and so is setting the real one.
    let _ = c.create();
    let text = fs::read_to_string(fake.join("sys/net/ipv4/ip_forward")).expect("read");
    assert_eq!(text, "untouched", "a sysctl was written to a file of the image");
}

fn cve_2021_30465_destinations_do_not_follow_links_out_of_the_root(t: &Test) {
    t.control();
    let host = Host::new(t);
    for target in [host.0.clone(), host.climbing()] {
        let mut c = t.sh("ls /volume /inside 2>/dev/null");
        symlink(&target, c.rootfs().join("volume")).expect("symlink");
        c.mount("/volume/sub", "tmpfs", "tmpfs", &[]);
        c.mount("/volume/new/deep", "tmpfs", "tmpfs", &[]);
        c.mount("/volume", "bind", t.path("state"), &["bind"]);
        let _ = c.run();
        host.is_unharmed();
    }
}

fn cve_2019_18837_a_mount_point_behind_a_link_is_made_inside(t: &Test) {
    let host = Host::new(t);
    let source = t.path("source");
    fs::create_dir(&source).expect("mkdir");
    fs::write(source.join("file"), "content\n").expect("write");
    let mut c = t.sh("cat /link/data/file");
    symlink("/var", c.rootfs().join("link")).expect("symlink");
    c.mount("/link/data", "bind", &source, &["bind"]);
    assert_eq!(c.output(), "content\n");
    assert!(
        c.rootfs().join("var/data").is_dir(),
        "an absolute link is taken from the container's root"
    );
    assert!(
        !std::path::Path::new("/var/data").exists(),
        "the link was followed on the host"
    );
    host.is_unharmed();
}

fn cve_2026_41579_a_dev_that_is_a_symbolic_link_harms_nobody(t: &Test) {
    t.control();
    t.skip_on("runc", "runc 1.1 has this vulnerability");
    t.skip_on("crun", "crun 1.8 has this vulnerability");
    let host = Host::new(t);
    fs::write(host.0.join("sub/ptmx"), "mine").expect("write");
    for mounts in [true, false] {
        let mut c = t.sh("true");
        fs::remove_dir(c.rootfs().join("dev")).expect("rmdir");
        symlink(host.climbing().join("sub"), c.rootfs().join("dev")).expect("symlink");
        if !mounts {
            for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
                c.unmount(path);
            }
        }
        let _ = c.run();
        let names: Vec<_> = fs::read_dir(host.0.join("sub"))
            .expect("sub")
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(names, ["ptmx"], "the host's directory was changed (mounts: {mounts})");
        assert_eq!(fs::read_to_string(host.0.join("sub/ptmx")).expect("ptmx"), "mine");
    }
    fs::remove_file(host.0.join("sub/ptmx")).expect("rm");
    host.is_unharmed();
}

fn cve_2025_31133_a_dev_null_of_the_image_is_not_used_for_masking(t: &Test) {
    t.skip_on(
        "crun",
        "crun 1.8 gives the image's /dev/null to the program as its output",
    );
    t.control();
    t.skip_on(
        "runc",
        "runc 1.1 takes the image's /dev/null for its own and gives it to the program as its output",
    );
    let host = Host::new(t);
    for target in ["/secret-of-the-image", "/proc/sys/kernel/domainname"] {
        let mut c = t.sh("cat /masked; echo end");
        fs::write(c.rootfs().join("secret-of-the-image"), "shown\n").expect("write");
        fs::write(c.rootfs().join("masked"), "masked\n").expect("write");
        for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
            c.unmount(path);
        }
        symlink(target, c.rootfs().join("dev/null")).expect("symlink");
        c.config["linux"]["maskedPaths"] = json!(["/masked"]);
        let outcome = c.run();
        if outcome.status.success() {
            assert_eq!(outcome.stdout, "end\n", "the mask shows what the image chose");
        }
        let shown = fs::read_to_string(c.rootfs().join("secret-of-the-image")).expect("read");
        assert_eq!(shown, "shown\n");
    }
    host.is_unharmed();
}

fn cve_2025_52565_a_console_of_the_image_is_not_written_to(t: &Test) {
    t.control();
    let host = Host::new(t);
    let mut c = t.sh("echo to the console > /dev/console; echo end");
    c.config["process"]["terminal"] = json!(true);
    for path in ["/dev", "/dev/shm", "/dev/mqueue"] {
        c.unmount(path);
    }
    fs::create_dir(c.rootfs().join("dev/pts")).expect("mkdir");
    symlink(host.climbing().join("secret"), c.rootfs().join("dev/console")).expect("symlink");
    let socket = ConsoleSocket::listen(&t.path("console"));
    if c.creation(&["--console-socket", socket.arg()]).run().status.success() {
        let (mut terminal, _) = socket.receive();
        c.start().ok();
        terminal.expect("end");
    }
    host.is_unharmed();
}

fn a_working_directory_behind_a_link_is_inside(t: &Test) {
    t.control();
    let host = Host::new(t);
    let mut c = t.sh("pwd; cat secret 2>/dev/null; true");
    symlink(host.climbing(), c.rootfs().join("link")).expect("symlink");
    c.config["process"]["cwd"] = json!("/link/new");
    let outcome = c.run();
    assert!(!outcome.stdout.contains("secret"), "{outcome}");
    host.is_unharmed();
}

fn a_device_behind_a_link_is_made_inside(t: &Test) {
    t.control();
    let host = Host::new(t);
    let mut c = t.sh("true");
    symlink(host.climbing(), c.rootfs().join("link")).expect("symlink");
    c.config["linux"]["devices"] = json!([
        {"path": "/link/sub/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
        {"path": "/link/secret", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
    ]);
    let _ = c.run();
    host.is_unharmed();
}

fn a_tmpcopyup_behind_a_link_copies_nothing_of_the_host(t: &Test) {
    t.control();
    let host = Host::new(t);
    let mut c = t.sh("cat /link/secret /data/secret 2>/dev/null; echo end");
    symlink(host.climbing(), c.rootfs().join("link")).expect("symlink");
    c.mount("/link", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let outcome = c.run();
    assert!(!outcome.stdout.contains("secret"), "{outcome}");
    host.is_unharmed();
}

fn masked_and_read_only_paths_do_not_follow_links_out(t: &Test) {
    t.control();
    let host = Host::new(t);
    let mut c = t.sh("true");
    symlink(host.climbing(), c.rootfs().join("link")).expect("symlink");
    c.config["linux"]["maskedPaths"] = json!(["/link/secret", "/link/sub"]);
    c.config["linux"]["readonlyPaths"] = json!(["/link"]);
    let _ = c.run();
    host.is_unharmed();
    fs::write(host.0.join("sub/file"), "").expect("the host's directory is still writable");
    fs::remove_file(host.0.join("sub/file")).expect("rm");
}

fn the_state_directory_is_not_reachable(t: &Test) {
    let c = t.sh("grep -c state /proc/self/mountinfo; ls -l /proc/1/fd /proc/1/cwd | grep -c state; true");
    assert_eq!(c.output(), "0\n0\n");
}

fn dot_dot_in_the_cgroup_path_does_not_lead_out(t: &Test) {
    t.skip_on("crun", "crun 1.8 makes directories outside of the cgroup hierarchies");
    t.control();
    let hierarchy = t.needs_v1_controller("pids");
    let mut c = t.sh("cat /proc/self/cgroup");
    c.config["linux"]["cgroupsPath"] = json!(format!("/{0}a/../../../../../../tmp/{0}out", t.runtime.token));
    let _ = c.run();
    assert!(!std::env::temp_dir().join(format!("{}out", t.runtime.token)).exists());
    assert!(!hierarchy.join(format!("../{}out", t.runtime.token)).exists());
    // runc cleans the path and makes what is left of it.
    for mount in tests::cgroup_mounts() {
        let _ = fs::remove_dir(mount.join("tmp"));
    }
}

/// What a runtime with this hole removes must be the test's own: the state directory lies as deep as the ids climb.
fn an_id_does_not_lead_out_of_the_state_directory(t: &Test) {
    t.skip_on("crun", "crun 1.8 removes whatever directory the id leads to");
    t.control();
    let mut runtime = t.runtime.clone();
    let parent = t.path("one/two/three");
    runtime.root = parent.join("state");
    let victim = parent.join("victim/file");
    fs::create_dir_all(&runtime.root).expect("mkdir");
    fs::create_dir(parent.join("victim")).expect("mkdir");
    fs::write(&victim, "").expect("write");
    for id in ["../victim", "..", ".", "a/../../victim"] {
        for args in [
            &["delete", "--force", id][..],
            &["delete", id],
            &["state", id],
            &["kill", id, "KILL"],
        ] {
            let _ = runtime.call(args).run();
        }
    }
    assert!(victim.exists());
    assert!(runtime.root.exists(), "the state directory itself is still there");
}
