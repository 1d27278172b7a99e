//! The file system of a container: mounts and their options, devices, masked and read-only paths, the root.

use serde_json::json;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use tests::{Container, Test, field};

tests::cases![
    a_bind_mount_shows_the_source,
    a_bind_mount_is_told_by_its_options_and_not_by_its_type,
    a_file_can_be_bound,
    a_missing_mount_point_is_made,
    a_relative_source_is_relative_to_the_bundle,
    rbind_takes_the_mounts_below_and_bind_does_not,
    a_bind_mount_can_be_read_only,
    read_only_recursively_reaches_the_mounts_below,
    flags_of_a_bind_mount_are_applied,
    atime_options_are_applied,
    nosymfollow_is_applied,
    data_options_reach_the_file_system,
    mounts_are_made_in_the_listed_order,
    a_tmpfs_can_be_filled_from_the_image,
    a_mount_with_idmap_shifts_the_owners,
    an_idmap_that_the_kernel_refuses_leaves_nothing,
    the_default_propagation_does_not_leak_to_the_host,
    propagation_options_are_applied,
    mounts_of_a_host_that_shares_them_stay,
    the_propagation_of_the_root_is_applied,
    a_read_only_root_refuses_writes,
    masked_files_are_empty_and_masked_directories_too,
    read_only_paths_refuse_writes,
    paths_that_do_not_exist_are_neither_masked_nor_an_error,
    the_default_devices_are_there,
    the_default_links_are_there,
    a_device_of_the_configuration_is_made,
    a_device_with_parents_is_made,
    what_is_in_the_place_of_a_device_has_to_be_it,
    devices_that_the_cgroup_forbids_cannot_be_opened,
    the_old_root_is_out_of_reach,
    no_mount_of_the_host_is_visible,
    a_relative_destination_is_taken_from_the_root,
    dev_may_be_a_bind_of_the_hosts,
    a_cgroup_mount_shows_the_containers_cgroup,
    locked_flags_of_a_mount_survive_in_a_user_namespace,
    tmpcopyup_copies_files_of_every_kind,
    the_flags_of_a_copy_are_its_own,
    options_of_terminals_are_not_guessed,
    propagation_reaches_as_far_as_asked,
    file_systems_have_propagation_too,
    a_pipe_in_a_user_namespace_is_made,
];

/// The mount options, and the file system's, that /proc/self/mountinfo has for `path`.
fn options(mountinfo: &str, path: &str) -> String {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(path));
    let line = line.unwrap_or_else(|| panic!("no mount on {path} in: {mountinfo}"));
    let fields: Vec<_> = line.split(' ').collect();
    format!("{},{}", fields[5], fields.last().expect("options"))
}

#[track_caller]
fn has(options: &str, option: &str) {
    assert!(
        options.split(',').any(|found| found == option),
        "{option} is missing in {options}"
    );
}

/// A directory with a file in it, to be mounted.
fn source(t: &Test) -> PathBuf {
    let directory = t.path("source");
    std::fs::create_dir_all(&directory).expect("mkdir");
    std::fs::write(directory.join("file"), "content\n").expect("write");
    directory
}

/// A directory that is a mount of its own with another one below it, for the recursive options; unmounted on drop.
struct Tree(PathBuf);

impl Tree {
    fn new(t: &Test, propagation: &str) -> Self {
        let top = t.path("tree");
        std::fs::create_dir_all(&top).expect("mkdir");
        let tree = Self(top.clone());
        tree.mount(&["-t", "tmpfs", "top"], &top);
        tree.mount(&[propagation], &top);
        std::fs::create_dir(top.join("below")).expect("mkdir");
        tree.mount(&["-t", "tmpfs", "below"], &top.join("below"));
        std::fs::write(top.join("below/deep"), "deep\n").expect("write");
        tree
    }

    fn mount(&self, args: &[&str], target: &std::path::Path) {
        let status = std::process::Command::new("mount")
            .args(args)
            .arg(target)
            .status()
            .expect("mount");
        assert!(status.success(), "mount {args:?} {}", target.display());
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .args(["-R", "-l"])
            .arg(&self.0)
            .status();
    }
}

fn a_bind_mount_shows_the_source(t: &Test) {
    let mut c = t.sh("cat /data/file; echo new > /data/made");
    c.mount("/data", "bind", source(t), &["bind"]);
    assert_eq!(c.output(), "content\n");
    assert_eq!(std::fs::read_to_string(t.path("source/made")).expect("made"), "new\n");
}

fn a_bind_mount_is_told_by_its_options_and_not_by_its_type(t: &Test) {
    for kind in ["bind", "none", "", "ext4"] {
        let mut c = t.sh("cat /data/file");
        c.mount("/data", kind, source(t), &["rbind", "ro"]);
        assert_eq!(c.output(), "content\n", "type {kind:?}");
    }
    let mut c = t.sh("cat /data/file");
    c.mount("/data", "", source(t), &["rbind"]);
    let mounts = c.config["mounts"].as_array_mut().expect("mounts");
    mounts
        .last_mut()
        .expect("a mount")
        .as_object_mut()
        .expect("object")
        .remove("type");
    assert_eq!(c.output(), "content\n");
}

fn a_file_can_be_bound(t: &Test) {
    let mut c = t.sh("cat /etc/passwd /new/deep/file");
    c.mount("/etc/passwd", "bind", source(t).join("file"), &["bind", "ro"]);
    c.mount("/new/deep/file", "bind", t.path("source/file"), &["bind", "ro"]);
    assert_eq!(c.output(), "content\ncontent\n");
}

fn a_missing_mount_point_is_made(t: &Test) {
    let mut c = t.sh("cat /very/deep/data/file; ls -ld /very/deep/data");
    c.mount("/very/deep/data", "bind", source(t), &["bind"]);
    assert!(c.output().starts_with("content\n"));
    let mode = std::fs::metadata(c.rootfs().join("very/deep"))
        .expect("made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o755, "whatever the umask of the caller is");
}

fn a_relative_source_is_relative_to_the_bundle(t: &Test) {
    let mut c = t.sh("cat /data/file");
    std::fs::rename(source(t), c.bundle.join("volume")).expect("rename");
    c.mount("/data", "bind", "volume", &["bind"]);
    assert_eq!(
        c.running(&[]).cwd(std::path::Path::new("/")).run().ok().stdout,
        "content\n"
    );
}

fn rbind_takes_the_mounts_below_and_bind_does_not(t: &Test) {
    let tree = Tree::new(t, "--make-private");
    for (option, expected) in [("rbind", "deep\n"), ("bind", "")] {
        let mut c = t.sh("cat /data/below/deep 2>/dev/null; true");
        c.mount("/data", "bind", &tree.0, &[option]);
        assert_eq!(c.output(), expected, "{option}");
    }
}

fn a_bind_mount_can_be_read_only(t: &Test) {
    let mut c = t.sh("echo x > /data/file; echo y > /data/new; cat /data/file; cat /proc/self/mountinfo");
    c.mount("/data", "bind", source(t), &["bind", "ro"]);
    let output = c.output();
    assert!(output.starts_with("content\n"), "{output}");
    assert!(!t.path("source/new").exists());
    has(&options(&output, "/data"), "ro");
}

fn read_only_recursively_reaches_the_mounts_below(t: &Test) {
    let tree = Tree::new(t, "--make-private");
    let mut c = t.sh("cat /proc/self/mountinfo");
    c.mount("/data", "bind", &tree.0, &["rbind", "rro"]);
    let output = c.output();
    has(&options(&output, "/data"), "ro");
    has(&options(&output, "/data/below"), "ro");
    let mut c = t.sh("cat /proc/self/mountinfo");
    c.mount("/data", "bind", &tree.0, &["rbind", "ro", "rnoexec", "rnosuid"]);
    let output = c.output();
    has(&options(&output, "/data"), "ro");
    has(&options(&output, "/data/below"), "rw");
    has(&options(&output, "/data/below"), "noexec");
    has(&options(&output, "/data/below"), "nosuid");
    // The other way round: what the mounts below have is taken from them.
    let below = tree.0.join("below");
    tree.mount(&["-o", "remount,bind,ro,noexec,nosuid,noatime"], &below);
    let mut c = t.sh("cat /proc/self/mountinfo");
    c.mount("/data", "bind", &tree.0, &["rbind", "rrw", "rexec", "rrelatime"]);
    let output = c.output();
    let found = options(&output, "/data/below");
    for (option, expected) in [
        ("rw", true),
        ("noexec", false),
        ("nosuid", true),
        ("relatime", true),
        ("noatime", false),
    ] {
        assert_eq!(found.split(',').any(|of| of == option), expected, "{option}: {found:?}");
    }
}

fn flags_of_a_bind_mount_are_applied(t: &Test) {
    let mut c = t.sh("cat /proc/self/mountinfo; /data/program 2>/dev/null || echo cannot-run");
    std::fs::copy(c.rootfs().join("bin/busybox"), source(t).join("program")).expect("copy");
    c.mount(
        "/data",
        "bind",
        source(t),
        &["bind", "nosuid", "nodev", "noexec", "nodiratime"],
    );
    let output = c.output();
    for option in ["nosuid", "nodev", "noexec", "nodiratime"] {
        has(&options(&output, "/data"), option);
    }
    assert!(output.contains("cannot-run"));
}

fn atime_options_are_applied(t: &Test) {
    for (option, expected) in [
        ("noatime", Some("noatime")),
        ("strictatime", None),
        ("relatime", Some("relatime")),
    ] {
        let mut c = t.sh("cat /proc/self/mountinfo");
        c.mount("/data", "tmpfs", "tmpfs", &[option]);
        c.mount("/bound", "bind", source(t), &["bind", option]);
        let output = c.output();
        for path in ["/data", "/bound"] {
            let found = options(&output, path);
            match expected {
                Some(expected) => has(&found, expected),
                None => assert!(!found.contains("atime"), "{option} on {path}: {found}"),
            }
        }
    }
}

fn nosymfollow_is_applied(t: &Test) {
    t.skip_on("runc", "runc 1.1 does not know nosymfollow");
    t.skip_on("crun", "crun 1.8 does not know nosymfollow");
    let mut c = t.sh("cat /data/link 2>/dev/null || echo not-followed; cat /data/file");
    symlink("file", source(t).join("link")).expect("symlink");
    c.mount("/data", "bind", source(t), &["bind", "nosymfollow"]);
    assert_eq!(c.output(), "not-followed\ncontent\n");
}

fn data_options_reach_the_file_system(t: &Test) {
    let mut c = t.sh("stat -c 'mode %a %u:%g' /data; cat /proc/self/mountinfo; df -k /data | tail -1");
    c.mount(
        "/data",
        "tmpfs",
        "tmpfs",
        &["nosuid", "mode=1750", "size=100k", "uid=5", "gid=6", "nr_inodes=50"],
    );
    let output = c.output();
    assert_eq!(field(&output, "mode"), "1750 5:6");
    let found = options(&output, "/data");
    for option in ["size=100k", "nr_inodes=50", "nosuid"] {
        has(&found, option);
    }
}

fn mounts_are_made_in_the_listed_order(t: &Test) {
    let mut c = t.sh("cat /a/file 2>/dev/null || echo covered; cat /b/sub/file");
    // The later mount covers the earlier one below it, and one that is below an earlier one is visible.
    c.mount("/a/file", "bind", source(t).join("file"), &["bind"])
        .mount("/a", "tmpfs", "tmpfs", &[]);
    c.mount("/b", "tmpfs", "tmpfs", &[])
        .mount("/b/sub", "bind", t.path("source"), &["bind"]);
    assert_eq!(c.output(), "covered\ncontent\n");
}

fn a_tmpfs_can_be_filled_from_the_image(t: &Test) {
    let mut c = t.sh(
        "cat /etc/passwd | head -1; stat -c 'mode %a' /etc/dir /etc/dir/file; readlink /etc/link; \
                      echo x > /etc/new; cat /etc/dir/file; cmp /etc/large /large && echo same",
    );
    // More than is copied in one call.
    let large: Vec<u8> = (0..2_500_000_u32).map(|number| (number / 7) as u8).collect();
    for name in ["etc/large", "large"] {
        std::fs::write(c.rootfs().join(name), &large).expect("write");
    }
    std::fs::create_dir(c.rootfs().join("etc/dir")).expect("mkdir");
    std::fs::write(c.rootfs().join("etc/dir/file"), "inner\n").expect("write");
    std::fs::set_permissions(c.rootfs().join("etc/dir"), PermissionsExt::from_mode(0o711)).expect("chmod");
    std::fs::set_permissions(c.rootfs().join("etc/dir/file"), PermissionsExt::from_mode(0o640)).expect("chmod");
    symlink("dir/file", c.rootfs().join("etc/link")).expect("symlink");
    c.mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup", "mode=755"]);
    let output = c.output();
    assert!(output.starts_with("root:x:0:0"), "{output}");
    assert!(
        output.contains("mode 711\nmode 640\ndir/file\ninner\nsame\n"),
        "{output}"
    );
    assert!(!c.rootfs().join("etc/new").exists(), "the tmpfs is a copy");
}

fn a_mount_with_idmap_shifts_the_owners(t: &Test) {
    t.skip_on("runc", "runc 1.1 has no idmapped mounts");
    t.skip_on("crun", "crun 1.8 wants the mapping in the option");
    // tmpfs can be idmapped since Linux 6.3.
    let on_tmpfs = rustix::fs::statfs(&t.dir).is_ok_and(|statfs| statfs.f_type == 0x0102_1994);
    if on_tmpfs && tests::kernel_version() < (6, 3) {
        t.skip("the test's files are on a tmpfs, which this kernel cannot idmap");
    }
    let mut c = t.sh("stat -c 'owner %u:%g' /data/file");
    let mapping = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 65536}]);
    c.mount("/data", "bind", source(t), &["bind", "idmap"]);
    let mounts = c.config["mounts"].as_array_mut().expect("mounts");
    let mount = mounts.last_mut().expect("a mount");
    mount["uidMappings"] = mapping(1000);
    mount["gidMappings"] = mapping(2000);
    assert_eq!(field(&c.output(), "owner"), "1000:2000");
}

fn an_idmap_that_the_kernel_refuses_leaves_nothing(t: &Test) {
    t.skip_on("runc", "runc 1.1 has no idmapped mounts");
    t.skip_on("crun", "crun 1.8 wants the mapping in the option");
    let mut c = t.sh("true");
    c.mount("/data", "bind", source(t), &["bind", "idmap"]);
    let mounts = c.config["mounts"].as_array_mut().expect("mounts");
    let mount = mounts.last_mut().expect("a mount");
    let twice = |from: u32| json!({"containerID": from, "hostID": 1000 * (from + 1), "size": 10});
    mount["uidMappings"] = json!([twice(0), twice(5)]);
    mount["gidMappings"] = json!([twice(0)]);
    // The process that held the namespace is among what the check after each test looks for.
    c.create().fails().roci_says("/data: set id mapping uid_map");
    assert!(!t.runtime.root.join(&c.id).exists());
}

fn the_default_propagation_does_not_leak_to_the_host(t: &Test) {
    let tree = Tree::new(t, "--make-shared");
    let mut c = t.sh("mount -t tmpfs inner /data/below && ls /data/below && echo mounted");
    c.mount("/data", "bind", &tree.0, &["rbind"]);
    let all = ["CAP_SYS_ADMIN"];
    c.capabilities(&[("bounding", &all), ("effective", &all), ("permitted", &all)]);
    assert!(c.output().contains("mounted"));
    assert!(
        tree.0.join("below/deep").exists(),
        "the container's mount reached the host"
    );
}

/// On most hosts every mount is shared, which is the work of systemd.
fn mounts_of_a_host_that_shares_them_stay(t: &Test) {
    // The mounts of other tests go when those remove what they are on, in copies of the namespace too.
    let script = "look() { grep -vF -e /roci-test- -e /netns /proc/self/mountinfo; grep -F \"$0\" /proc/self/mountinfo; }; \
        mount --make-rshared / && mount -t tmpfs host \"$0/mounted\" && look >\"$0/before\" || exit 98; \
        \"$@\"; status=$?; look | cmp \"$0/before\" - || exit 99; exit $status";
    std::fs::create_dir(t.path("mounted")).expect("a directory");
    let directory = t.dir.to_str().expect("a UTF-8 path");
    for propagation in ["", "shared", "rshared", "slave", "rslave", "private"] {
        let mut c = t.sh("echo inside");
        if !propagation.is_empty() {
            c.config["linux"]["rootfsPropagation"] = json!(propagation);
        }
        c.mount("/data", "bind", source(t), &["rbind"]);
        let outcome = c.running(&[]).with_own_mounts(script, directory).run().ok();
        assert_eq!(outcome.stdout, "inside\n", "{propagation}: {outcome}");
    }
}

fn propagation_options_are_applied(t: &Test) {
    let tree = Tree::new(t, "--make-shared");
    for (option, expected) in [("rshared", "shared:"), ("rslave", "master:"), ("rprivate", "")] {
        let mut c = t.sh("cat /proc/self/mountinfo");
        c.mount("/data", "bind", &tree.0, &["rbind", option]);
        // A mount can be a peer or a slave of the host's only where the root does not cut the tie first; Docker and
        // podman set both, too.
        if option != "rprivate" {
            c.config["linux"]["rootfsPropagation"] = json!(option);
        }
        let output = c.output();
        let line = output.lines().find(|line| line.contains(" /data ")).expect("the mount");
        let optional = line.split(" - ").next().expect("fields");
        match expected {
            "" => assert!(
                !optional.contains("shared:") && !optional.contains("master:"),
                "{option}: {line}"
            ),
            expected => assert!(optional.contains(expected), "{option}: {line}"),
        }
    }
}

fn the_propagation_of_the_root_is_applied(t: &Test) {
    for (propagation, expected) in [
        ("shared", "shared:"),
        ("slave", ""),
        ("private", ""),
        ("unbindable", "unbindable"),
    ] {
        // Differs from runc because runc applies it before the root is bound, which leaves the root private; the
        // specification: "sets the rootfs's mount propagation".
        // On a root that is unbindable by then runc's own bind mount fails, too.
        if t.is("runc") && ["shared", "unbindable"].contains(&propagation) {
            continue;
        }
        let mut c = t.sh("cat /proc/self/mountinfo");
        c.config["linux"]["rootfsPropagation"] = json!(propagation);
        let output = c.output();
        let line = output
            .lines()
            .find(|line| line.split(' ').nth(4) == Some("/"))
            .expect("the root");
        let optional = line.split(" - ").next().expect("fields");
        assert!(optional.contains(expected), "{propagation}: {line}");
        if propagation == "private" {
            assert!(!optional.contains("shared:"), "{line}");
        }
    }
}

fn a_read_only_root_refuses_writes(t: &Test) {
    let mut c =
        t.sh("echo x > /file || echo refused; echo x > /dev/shm/file && echo shm-works; cat /proc/self/mountinfo");
    c.config["root"]["readonly"] = json!(true);
    let output = c.output();
    assert!(output.contains("refused") && output.contains("shm-works"), "{output}");
    has(&options(&output, "/"), "ro");
    assert!(!c.rootfs().join("file").exists());
}

fn masked_files_are_empty_and_masked_directories_too(t: &Test) {
    let mut c = t.sh(
        "wc -c < /secret; ls -A /hidden | wc -l; cat /proc/kcore /proc/timer_list 2>/dev/null | head -c 9 | wc -c; ls -A /sys/firmware | wc -l; \
                      touch /hidden/x 2>/dev/null || echo read-only; cat /link",
    );
    std::fs::write(c.rootfs().join("secret"), "secret").expect("write");
    std::fs::create_dir(c.rootfs().join("hidden")).expect("mkdir");
    std::fs::write(c.rootfs().join("hidden/file"), "secret").expect("write");
    symlink("secret", c.rootfs().join("link")).expect("symlink");
    for path in ["/secret", "/hidden"] {
        c.config["linux"]["maskedPaths"]
            .as_array_mut()
            .expect("array")
            .push(json!(path));
    }
    assert_eq!(c.output(), "0\n0\n0\n0\nread-only\n");
}

fn read_only_paths_refuse_writes(t: &Test) {
    let mut c = t.sh("echo x > /fixed/file || echo refused; cat /fixed/file; \
                      echo h > /proc/sys/kernel/hostname || echo refused; cat /proc/self/mountinfo");
    let all = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"];
    c.capabilities(&[("bounding", &all), ("effective", &all), ("permitted", &all)]);
    std::fs::create_dir(c.rootfs().join("fixed")).expect("mkdir");
    std::fs::write(c.rootfs().join("fixed/file"), "old\n").expect("write");
    c.config["linux"]["readonlyPaths"]
        .as_array_mut()
        .expect("array")
        .push(json!("/fixed"));
    let output = c.output();
    assert!(output.starts_with("refused\nold\nrefused\n"), "{output}");
    has(&options(&output, "/proc/sys"), "ro");
    // A read-only bind must not lose what the mount below it had.
    has(&options(&output, "/proc/sys"), "relatime");
}

fn paths_that_do_not_exist_are_neither_masked_nor_an_error(t: &Test) {
    let mut c = t.sh("ls /no 2>/dev/null || echo absent");
    for list in ["maskedPaths", "readonlyPaths"] {
        c.config["linux"][list]
            .as_array_mut()
            .expect("array")
            .push(json!("/no/such/path"));
    }
    assert_eq!(c.output(), "absent\n");
}

fn the_default_devices_are_there(t: &Test) {
    let c = t.sh(
        "cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty; \
                  head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo x > /dev/full; \
                  echo x > /dev/null && echo fine",
    );
    let output = c.output();
    for (name, numbers) in [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ] {
        let expected = format!("character special file {numbers} 666 0:");
        assert!(field(&output, name).starts_with(&expected), "{name}: {output}");
    }
    assert!(output.contains("4\n4\nfine"), "{output}");
}

fn the_default_links_are_there(t: &Test) {
    let c = t.sh(
        "cd /dev; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done; ls -l /dev/fd/ >/dev/null",
    );
    let output = c.output();
    assert_eq!(field(&output, "fd"), "/proc/self/fd");
    assert_eq!(field(&output, "stdin"), "/proc/self/fd/0");
    assert_eq!(field(&output, "stdout"), "/proc/self/fd/1");
    assert_eq!(field(&output, "stderr"), "/proc/self/fd/2");
    assert!(field(&output, "ptmx").ends_with("pts/ptmx"), "{output}");
}

fn a_device_of_the_configuration_is_made(t: &Test) {
    let mut c = t.sh("stat -c '%n %F %t:%T %a %u:%g' /dev/mine /dev/pipe; echo x > /dev/mine && echo opened");
    c.config["linux"]["devices"] = json!([
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o646, "uid": 3, "gid": 4},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
    ]);
    // File modes are exact, whatever the umask of the caller is.
    let output = c
        .running(&[])
        .under("sh", &["-c", r#"umask 077; exec "$0" "$@""#])
        .run()
        .ok()
        .stdout;
    assert_eq!(field(&output, "/dev/mine"), "character special file 1:3 646 3:4");
    assert!(field(&output, "/dev/pipe").starts_with("fifo 0:0 600"), "{output}");
}

fn a_device_with_parents_is_made(t: &Test) {
    let mut c = t.sh("stat -c '%t:%T' /dev/snd/deep/null");
    c.config["linux"]["devices"] =
        json!([{"path": "/dev/snd/deep/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]);
    assert_eq!(c.output(), "1:3\n");
}

/// config-linux.md: where the path has something else already, that is an error.
fn what_is_in_the_place_of_a_device_has_to_be_it(t: &Test) {
    t.skip_on("runc", "runc looks at what is there only by its number");
    t.skip_on("crun", "crun takes what is there");
    for (make, works) in [
        ("mknod $0 c 1 5", true),
        ("mknod $0 c 1 3", false),
        ("mknod $0 b 1 5", false),
        ("touch $0", false),
        ("mkdir $0", false),
    ] {
        let mut c = t.sh("stat -c '%F %t:%T' /mine");
        c.config["linux"]["devices"] = json!([{"path": "/mine", "type": "c", "major": 1, "minor": 5}]);
        let place = c.rootfs().join("mine");
        let status = std::process::Command::new("sh").args(["-c", make]).arg(&place).status();
        assert!(status.is_ok_and(|status| status.success()), "{make}");
        let outcome = c.run();
        match works {
            true => drop(outcome.ok().prints("character special file 1:5")),
            false => drop(outcome.fails().roci_says("/mine: something else is there already")),
        }
    }
}

fn devices_that_the_cgroup_forbids_cannot_be_opened(t: &Test) {
    t.needs_v1_controller("devices");
    let script = "mknod /dev/kmsg2 c 1 11 && (head -c 0 /dev/kmsg2 && echo opened || echo forbidden); cat /dev/null && echo null";
    for (allow, expected) in [(false, "forbidden\nnull\n"), (true, "opened\nnull\n")] {
        let mut c = t.sh(script);
        let all = ["CAP_MKNOD", "CAP_SYSLOG", "CAP_SYS_ADMIN"];
        c.capabilities(&[("bounding", &all), ("effective", &all), ("permitted", &all)]);
        if allow {
            let rule = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm"});
            c.config["linux"]["resources"]["devices"]
                .as_array_mut()
                .expect("array")
                .push(rule);
        }
        assert_eq!(c.output(), expected, "allow: {allow}");
    }
}

fn the_old_root_is_out_of_reach(t: &Test) {
    let c = t.sh("ls /; cd /..; pwd; ls -d ../../../../work ../../../../../lib64 2>/dev/null; ls /proc/1/root/");
    let output = c.output();
    assert!(!output.contains("lib64") && !output.contains("boot"), "{output}");
    for line in ["bin", "etc", "proc"] {
        assert!(output.lines().any(|found| found == line), "{output}");
    }
}

fn no_mount_of_the_host_is_visible(t: &Test) {
    let c = t.sh("cat /proc/self/mountinfo");
    let output = c.output();
    let mut paths: Vec<_> = output.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    paths.retain(|path| {
        !["/proc/", "/sys/", "/dev/"]
            .iter()
            .any(|prefix| path.starts_with(prefix))
    });
    paths.sort();
    assert_eq!(paths, ["/", "/dev", "/proc", "/sys"]);
}

fn a_relative_destination_is_taken_from_the_root(t: &Test) {
    let mut c = t.sh("cat /data/file");
    c.mount("data", "bind", source(t), &["bind"]);
    c.config["process"]["cwd"] = json!("/tmp");
    assert_eq!(c.output(), "content\n");
}

fn dev_may_be_a_bind_of_the_hosts(t: &Test) {
    let mut c = t.sh("echo x > /dev/null && echo fine; stat -c '%t:%T' /dev/null /dev/zero");
    for path in ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"] {
        c.unmount(path);
    }
    c.mount("/dev", "bind", "/dev", &["rbind", "nosuid", "noexec"]);
    let before = std::fs::symlink_metadata("/dev/null").expect("null").permissions();
    let links = || ["fd", "stdin", "ptmx"].map(|name| std::fs::read_link(format!("/dev/{name}")).ok());
    let links_before = links();
    assert_eq!(c.output(), "fine\n1:3\n1:5\n");
    assert_eq!(
        std::fs::symlink_metadata("/dev/null").expect("null").permissions(),
        before,
        "the host's /dev/null"
    );
    assert_eq!(links(), links_before, "the links in the host's /dev");
}

fn a_cgroup_mount_shows_the_containers_cgroup(t: &Test) {
    t.needs_v1_controller("pids");
    let mut c = t.sh(
        "cat /proc/self/mountinfo; cat /sys/fs/cgroup/pids/cgroup.procs; mkdir /sys/fs/cgroup/pids/x || echo read-only",
    );
    c.mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    );
    let output = c.output();
    has(&options(&output, "/sys/fs/cgroup/pids"), "ro");
    let members: Vec<_> = output.lines().filter(|line| line.parse::<u32>().is_ok()).collect();
    assert!(
        members.contains(&"1"),
        "the cgroup directory shows the container's own processes: {output}"
    );
    assert!(members.len() <= 3, "{output}");
    assert!(output.contains("read-only"), "{output}");
}

/// In a user namespace the kernel locks the flags of mounts that come from outside: a remount that drops nosuid fails.
fn locked_flags_of_a_mount_survive_in_a_user_namespace(t: &Test) {
    t.skip_on(
        "runc",
        "runc 1.1 drops the locked flags, which the kernel refuses (1.2 keeps them)",
    );
    t.skip_on("crun", "crun 1.8 drops the flags before they are locked");
    let tree = Tree::new(t, "--make-private");
    tree.mount(&["-o", "remount,bind,nosuid,nodev,noexec"], &tree.0);
    let mut c: Container = t.sh("cat /proc/self/mountinfo");
    c.namespace("user", None);
    c.config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    c.config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let chown = std::process::Command::new("chown")
        .args(["-hR", "100000:100000"])
        .arg(c.rootfs())
        .status();
    assert!(chown.expect("chown").success());
    c.mount("/data", "bind", &tree.0, &["rbind", "ro"]);
    let output = c.output();
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        has(&options(&output, "/data"), option);
    }
}

fn tmpcopyup_copies_files_of_every_kind(t: &Test) {
    t.skip_on("crun", "crun 1.8 copies neither devices nor times");
    t.skip_on("runc", "runc 1.1 copies no times");
    let look = "cd /data; for name in . big deep deep/er link dangling special pipe null; do \
        stat -c '%n %F %a %u:%g %t:%T %Y' $name; done; stat -c '%s' big; tail -c 5 big; md5sum <big; readlink link; readlink dangling";
    let mut c = t.sh(look);
    let data = c.rootfs().join("data");
    std::fs::create_dir(&data).expect("a directory");
    // More than is copied at once.
    let mut big: Vec<u8> = (0..3 << 20).map(|n: u32| (n / 1000) as u8).collect();
    big.extend(b"\nend\n");
    std::fs::write(data.join("big"), big).expect("a file");
    let script = "mkdir -p deep/er; ln -s big link; ln -s /no/such dangling; touch special; mkfifo pipe; mknod null c 1 3; \
        chown 1000:1001 special deep .; chown -h 7:8 link; chmod 6751 special; chmod 1777 deep; chmod 2715 .; chmod 600 null; \
        touch -h -d @1000000000 link dangling special deep/er null pipe big; touch -d @1234567890 deep .";
    let made = std::process::Command::new("sh")
        .args(["-ec", script])
        .current_dir(&data)
        .status();
    assert!(made.is_ok_and(|status| status.success()));
    let before = t.sh(look);
    let copied = std::process::Command::new("cp")
        .args(["-a", "-T"])
        .args([&data, &before.rootfs().join("data")])
        .status();
    assert!(copied.is_ok_and(|status| status.success()));
    c.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let (before, after) = (before.output(), c.output());
    // The time of the topmost directory is that of the mount.
    let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&after), lines(&before));
    assert!(after.starts_with(". directory 2715 1000:1001 "), "{after}");
    assert!(
        after.contains("special regular empty file 6751 1000:1001 0:0 1000000000\n"),
        "{after}"
    );
}

/// It is read-only once it is filled, and not before.
fn the_flags_of_a_copy_are_its_own(t: &Test) {
    for (option, expected) in [("ro", "no\n"), ("rw", "yes\n")] {
        let mut c = t.sh(
            "cat /etc/passwd >/dev/null && { touch /etc/new 2>/dev/null && echo yes || echo no; }; \
            grep ' /etc ' /proc/self/mountinfo",
        );
        c.mount("/etc", "tmpfs", "tmpfs", &["tmpcopyup", "nosuid", "noexec", option]);
        let output = c.output();
        assert!(output.starts_with(expected), "{option}: {output}");
        let flags: Vec<_> = output
            .lines()
            .last()
            .expect("a mount")
            .split(' ')
            .nth(5)
            .expect("flags")
            .split(',')
            .collect();
        assert_eq!(flags[0], option);
        assert!(
            flags.contains(&"nosuid") && flags.contains(&"noexec") && !flags.contains(&"nodev"),
            "{output}"
        );
    }
}

/// A group that means nothing is left out for a user namespace, and for nobody else.
fn options_of_terminals_are_not_guessed(t: &Test) {
    let mut c = t.sh("true");
    c.mount("/terminals", "devpts", "devpts", &["newinstance", "gid=nobody"]);
    c.create().fails().roci_says("mount devpts: invalid argument");
}

fn propagation_reaches_as_far_as_asked(t: &Test) {
    t.skip_on("runc", "runc 1.1 applies the words in its own order");
    t.skip_on("crun", "crun 1.8 applies the words in its own order");
    let tree = Tree::new(t, "--make-rshared");
    let kind_of = |text: &str, place: &str| {
        let line = text.lines().find(|line| line.contains(place)).expect("the mount");
        let optional = line.split(" - ").next().expect("fields");
        let kinds = ["shared:", "master:", "unbindable"].into_iter();
        kinds.filter(|kind| optional.contains(kind)).collect::<String>()
    };
    // A ramdisk is no mount that could be left by itself: who leaves it is nobody's peer any more.
    let root = rustix::fs::statfs("/").expect("statfs").f_type;
    let is_ramdisk = matches!(root, 0x0102_1994 | 0x8584_58f6);
    // What is mounted on a shared mount is shared itself; what is below it is what it was, or what was asked for.
    for (root, options, top, below) in [
        ("rshared", &["rbind", "rslave"][..], "shared:master:", "shared:master:"),
        ("rshared", &["rbind", "slave"], "shared:master:", "shared:"),
        ("rshared", &["rbind", "slave", "rshared"], "shared:master:", "shared:"),
        ("rslave", &["rbind", "private"], "", "master:"),
        ("rslave", &["rbind", "rprivate"], "", ""),
        ("rslave", &["rbind", "rslave", "private"], "", "master:"),
        ("rslave", &["rbind", "private", "rslave"], "", "master:"),
    ] {
        if is_ramdisk && below == "shared:" {
            continue;
        }
        let mut c = t.sh("cat /proc/self/mountinfo");
        c.mount("/data", "bind", &tree.0, options);
        c.config["linux"]["rootfsPropagation"] = json!(root);
        let output = c.output();
        let found = (kind_of(&output, " /data "), kind_of(&output, " /data/below "));
        assert_eq!(found, (top.to_owned(), below.to_owned()), "{options:?}: {output}");
    }
}

fn file_systems_have_propagation_too(t: &Test) {
    let mut c = t.sh("cat /proc/self/mountinfo");
    t.skip_on("crun", "crun 1.8 makes the root private after that");
    c.mount("/mine", "tmpfs", "tmpfs", &["shared"]);
    c.mount("/other", "tmpfs", "tmpfs", &["rw"]);
    let output = c.output();
    let optional = |place: &str| {
        let line = output.lines().find(|line| line.contains(place)).expect("the mount");
        line.split(" - ").next().expect("fields").to_owned()
    };
    assert!(optional(" /mine ").contains("shared:"), "{output}");
    assert!(!optional(" /other ").contains("shared:"), "{output}");
}

/// Devices are the host's there, as nobody may make them; a pipe is none.
fn a_pipe_in_a_user_namespace_is_made(t: &Test) {
    t.skip_on("runc", "runc 1.1 looks for a pipe of the host");
    let mut c = t.sh("stat -c '%F %a' /dev/channel");
    c.namespace("user", None);
    let mapping = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    c.config["linux"]["uidMappings"] = mapping.clone();
    c.config["linux"]["gidMappings"] = mapping;
    c.config["linux"]["devices"] = json!([{"type": "p", "path": "/dev/channel", "fileMode": 0o640}]);
    assert_eq!(c.output(), "fifo 640\n");
}
