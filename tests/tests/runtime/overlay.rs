//! Overlay root file systems.

use crate::fallbacks::{ENOSYS, without};
use crate::rootless::{as_user, give_away, owned};
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::{Container, Test, eventually};

tests::cases![
    changes_go_to_a_tmpfs_and_end_with_the_container,
    annotations_ask_for_the_same,
    an_option_counts_before_an_annotation,
    a_tmpfs_has_the_size_that_was_asked_for,
    changes_stay_in_an_upper_directory,
    a_work_directory_of_the_users_stays,
    a_work_directory_that_was_left_behind_is_used_again,
    layers_cover_each_other,
    paths_of_layers_may_hold_anything_but_colons,
    sixty_four_layers_do_and_five_hundred_too,
    the_bundles_root_may_be_missing_where_layers_are_named,
    images_are_layers,
    containers_share_layers_and_images,
    the_root_may_be_read_only,
    propagation_of_the_root_works_with_an_overlay,
    exec_and_hooks_see_the_overlay,
    diff_lists_what_was_added_changed_and_deleted,
    diff_of_a_tmpfs_works_while_the_container_lives,
    diff_knows_what_lower_layers_hide,
    diff_looks_no_further_than_a_file,
    diff_knows_marks_that_hide,
    diff_prints_no_names_that_mislead,
    diff_needs_an_overlay,
    a_user_namespace_has_its_overlay_inside,
    images_work_in_a_user_namespace,
    a_plain_user_has_overlays,
    a_place_where_the_user_may_not_walk_is_no_obstacle,
    a_refused_upper_is_an_error_or_a_tmpfs,
    without_overlay_in_the_kernel,
    without_the_mount_calls_overlays_work,
    what_cannot_be_is_refused,
    whatever_create_was_killed_at_delete_force_leaves_nothing_of_overlays,
];

fn only_roci(t: &Test) {
    if !t.is_roci() {
        t.skip("overlays are roci's own");
    }
}

/// The tests that need one are skipped where the kernel has no overlay.
fn needs_overlay(t: &Test) {
    only_roci(t);
    if !has_file_system("overlay") {
        t.skip("the kernel has no overlay");
    }
}

fn has_file_system(name: &str) -> bool {
    let systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    systems.lines().any(|line| line.ends_with(&format!("\t{name}")))
}

fn make(t: &Test, name: &str) -> String {
    let path = t.path(name);
    fs::create_dir_all(&path).expect("a directory");
    path.to_str().expect("a UTF-8 path").to_owned()
}

fn write(path: impl AsRef<Path>, text: &str) {
    fs::create_dir_all(path.as_ref().parent().expect("a parent")).expect("a directory");
    fs::write(path, text).expect("a file");
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn exists(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Nothing of the container may be seen on the host.
fn no_mount_of(t: &Test) {
    assert!(!text("/proc/self/mountinfo").contains(&t.runtime.token));
}

const CHANGE: &str = "echo new >/new; rm /etc/group; echo more >>/etc/passwd; cat /new; ls /etc/group 2>&1 | wc -l";

fn is_untouched(c: &Container<'_>) {
    assert!(!c.rootfs().join("new").exists());
    assert!(c.rootfs().join("etc/group").exists());
}

fn changes_go_to_a_tmpfs_and_end_with_the_container(t: &Test) {
    needs_overlay(t);
    let c = t.sh(&format!("{CHANGE}; grep ' / ' /proc/mounts; stat -f -c %T /"));
    let outcome = c.running(&["--overlay"]).run().ok();
    assert!(outcome.stdout.starts_with("new\n1\noverlay / overlay rw"), "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
    // The host's paths are nobody's business.
    assert!(!outcome.stdout.contains(&t.runtime.token), "{outcome}");
    is_untouched(&c);
    let c = t.server();
    c.creation(&["--overlay"]).run().ok();
    c.start().ok();
    no_mount_of(t);
    c.exec_sh("echo x >/x").ok();
    c.kill("KILL").ok();
    c.wait_until_stopped();
    c.delete().ok();
    assert!(!c.rootfs().join("x").exists());
}

fn annotations_ask_for_the_same(t: &Test) {
    needs_overlay(t);
    let mut c = t.sh(CHANGE);
    c.config["annotations"] = json!({"io.roci.overlay": "true"});
    assert_eq!(c.output(), "new\n1\n");
    is_untouched(&c);
    c.config["annotations"] = json!({"io.roci.overlay": "true", "io.roci.overlay.size": "1m"});
    assert_eq!(c.output(), "new\n1\n");
    let (upper, work) = (make(t, "up"), make(t, "work"));
    c.config["annotations"] = json!({"io.roci.overlay.upper": upper, "io.roci.overlay.work": work});
    assert_eq!(c.output(), "new\n1\n");
    assert_eq!(text(&format!("{upper}/new")), "new\n");
    is_untouched(&c);
    write(c.bundle.join("top/etc/which"), "top\n");
    write(c.bundle.join("low/etc/which"), "low\n");
    // Relative paths begin at the bundle.
    c.config["annotations"] = json!({"io.roci.overlay.lower": "top:low:rootfs"});
    c.config["process"]["args"] = json!(["cat", "/etc/which"]);
    assert_eq!(c.output(), "top\n");
    c.config["annotations"] = json!({"io.roci.overlay": "false", "io.roci.overlay.lower": "top:low:rootfs"});
    c.run().code(1).prints("");
}

fn an_option_counts_before_an_annotation(t: &Test) {
    needs_overlay(t);
    let mut c = t.sh("cat /etc/which; echo x >/x");
    let (one, other) = (make(t, "one"), make(t, "other"));
    write(c.bundle.join("top/etc/which"), "top\n");
    write(c.bundle.join("low/etc/which"), "low\n");
    c.config["annotations"] = json!({"io.roci.overlay.upper": one, "io.roci.overlay.lower": "top:rootfs"});
    let options = [
        "--overlay-upper",
        &other,
        "--overlay-lower",
        "low",
        "--overlay-lower",
        "rootfs",
    ];
    c.running(&options).run().ok().prints("low");
    assert!(!exists(&format!("{one}/x")));
    assert!(exists(&format!("{other}/x")));
}

fn a_tmpfs_has_the_size_that_was_asked_for(t: &Test) {
    needs_overlay(t);
    let script = "dd if=/dev/zero of=/big bs=64k count=64 2>&1 | grep -o 'No space left'; rm /big; \
        dd if=/dev/zero of=/small bs=64k count=4 2>/dev/null && echo fits; df -k / | tail -n 1 | awk '{print $2}'";
    let c = t.sh(script);
    for options in [&["--overlay-size", "1m"][..], &["--overlay", "--overlay-size=1024k"]] {
        c.running(options).run().ok().prints("No space left\nfits\n1024");
    }
    c.running(&["--overlay-size", "1t1"]).run().fails();
    c.running(&["--overlay-size", "1m,mode=0777"])
        .run()
        .fails()
        .says("overlay: not a size: 1m,mode=0777");
}

fn changes_stay_in_an_upper_directory(t: &Test) {
    needs_overlay(t);
    let c = t.sh("cat /count; echo x >>/count");
    let upper = make(t, "up");
    let work = format!("{upper}.work");
    for times in 0..3 {
        let outcome = c.running(&["--overlay-upper", &upper]).run().ok();
        assert_eq!(outcome.stdout, "x\n".repeat(times), "{outcome}");
        assert!(!exists(&work), "what create made is removed");
    }
    assert_eq!(text(&format!("{upper}/count")), "x\n".repeat(3));
    let c = t.server();
    // Slashes at the end, and a path from the bundle on.
    let relative = "../up//";
    c.creation(&["--overlay-upper", relative]).run().ok();
    assert!(exists(&work));
    c.delete_force().ok();
    assert!(!exists(&work));
    assert_eq!(text(&format!("{upper}/count")), "x\n".repeat(3));
    // A failed create leaves nothing, too.
    let mut c = t.sh("true");
    c.config["process"]["args"] = json!(["/nope"]);
    c.running(&["--overlay-upper", &upper]).run().fails();
    assert!(!exists(&work));
    c.config["mounts"][0]["type"] = json!("nonsense");
    c.creation(&["--overlay-upper", &upper]).run().fails();
    assert!(!exists(&work));
}

fn a_work_directory_of_the_users_stays(t: &Test) {
    needs_overlay(t);
    let c = t.sh(CHANGE);
    let (upper, work) = (make(t, "up"), make(t, "work"));
    c.running(&["--overlay-upper", &upper, "--overlay-work", &work])
        .run()
        .ok();
    assert!(exists(&work));
    assert!(!exists(&format!("{upper}.work")));
}

/// The state is in memory and the directories are not: after a power failure nobody knows any more who made what.
fn a_work_directory_that_was_left_behind_is_used_again(t: &Test) {
    needs_overlay(t);
    let c = t.sh("echo x >>/count");
    let upper = make(t, "up");
    make(t, "up.work/work");
    for _ in 0..2 {
        c.running(&["--overlay-upper", &upper]).run().ok();
        assert!(exists(&format!("{upper}.work")), "it may be the user's");
    }
    assert_eq!(text(&format!("{upper}/count")), "x\nx\n");
}

fn whiteout(path: &Path) {
    let device = rustix::fs::makedev(0, 0);
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::CharacterDevice,
        mode,
        device,
    )
    .expect("a whiteout");
}

fn make_opaque(path: &Path) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, "trusted.overlay.opaque", b"y", flags).expect("an opaque directory");
}

/// Three layers over the root file system, with whiteouts and an opaque directory.
fn three_layers<'t>(t: &'t Test, script: &str) -> (Container<'t>, [String; 4]) {
    let c = t.sh(script);
    let layers = ["top", "middle", "bottom"].map(|name| make(t, name));
    let [top, middle, bottom] = layers.clone();
    write(format!("{bottom}/d/from-bottom"), "");
    write(format!("{bottom}/d/both"), "bottom\n");
    write(format!("{bottom}/o/hidden"), "");
    write(format!("{bottom}/gone"), "");
    write(format!("{middle}/d/both"), "middle\n");
    write(format!("{middle}/o/shown"), "");
    make_opaque(Path::new(&format!("{middle}/o")));
    whiteout(Path::new(&format!("{middle}/gone")));
    write(format!("{top}/d/from-top"), "");
    whiteout(Path::new(&format!("{top}/etc-was-here")));
    let rootfs = c.rootfs().to_str().expect("a UTF-8 path").to_owned();
    (c, [top, middle, bottom, rootfs])
}

fn layers_cover_each_other(t: &Test) {
    needs_overlay(t);
    let (c, layers) = three_layers(t, "ls /d; cat /d/both; ls /o; ls /gone 2>/dev/null || echo gone");
    let expected = "both\nfrom-bottom\nfrom-top\nmiddle\nshown\ngone\n";
    let outcome = c.running(&["--overlay-lower", &layers.join(":")]).run().ok();
    assert_eq!(outcome.stdout, expected, "{outcome}");
    let options: Vec<_> = layers.iter().flat_map(|layer| ["--overlay-lower", layer]).collect();
    let outcome = c.running(&options).run().ok();
    assert_eq!(outcome.stdout, expected, "{outcome}");
}

fn paths_of_layers_may_hold_anything_but_colons(t: &Test) {
    needs_overlay(t);
    let c = t.sh("cat /which; echo x >/x");
    let lower = make(t, "a, b\\c\"=%\u{e4}");
    write(format!("{lower}/which"), "odd\n");
    let upper = make(t, "u p,:\\'");
    let options = [
        "--overlay-lower",
        &lower,
        "--overlay-lower",
        "rootfs",
        "--overlay-upper",
        &upper,
    ];
    c.running(&options).run().ok().prints("odd");
    assert!(exists(&format!("{upper}/x")));
    assert!(!exists(&format!("{upper}.work")));
    // The bundle's root is no list.
    let mut c = t.sh("echo ran");
    fs::rename(c.rootfs(), c.bundle.join("root:fs")).expect("rename");
    c.config["root"]["path"] = json!("root:fs");
    c.running(&["--overlay"]).run().ok().prints("ran");
}

fn sixty_four_layers_do_and_five_hundred_too(t: &Test) {
    needs_overlay(t);
    let mut c = t.sh("ls / | grep -c '^layer'; cat /common");
    // The longest of names would never fit into a page.
    let long = make(t, &"x".repeat(60));
    for count in [64, 499, 500] {
        for number in 0..count {
            write(format!("{long}/{number}/layer{number}"), "");
            write(format!("{long}/{number}/common"), &format!("{number}\n"));
        }
        let layers: Vec<_> = (0..count)
            .map(|number| format!("../{}/{number}", "x".repeat(60)))
            .collect();
        let layers = format!("{}:rootfs", layers.join(":"));
        c.config["annotations"] = json!({"io.roci.overlay.lower": layers});
        if count == 500 {
            // The root file system is one more.
            c.creation(&[])
                .run()
                .fails()
                .says("overlay: more than 500 lower layers (LAYERS_MAX)");
        } else {
            c.run().ok().prints(&format!("{count}\n0"));
        }
    }
}

fn the_bundles_root_may_be_missing_where_layers_are_named(t: &Test) {
    needs_overlay(t);
    let mut c = t.sh("echo ran; touch /made");
    let lower = t.path("elsewhere");
    fs::rename(c.rootfs(), &lower).expect("rename");
    let lower = lower.to_str().expect("a UTF-8 path");
    c.running(&["--overlay-lower", lower]).run().ok().prints("ran");
    assert!(!c.rootfs().exists(), "nothing is made for it");
    c.running(&["--overlay"]).run().fails().says("root.path: open");
    fs::create_dir(c.rootfs()).expect("a directory");
    c.running(&["--overlay-lower", lower]).run().ok().prints("ran");
    assert_eq!(fs::read_dir(c.rootfs()).expect("it").count(), 0);
    fs::remove_dir(c.rootfs()).expect("remove");
    // Sources of mounts still begin at the bundle, and the place has no meaning for the container.
    write(c.bundle.join("data/file"), "of the bundle\n");
    c.mount("/data", "bind", "data", &["bind"]);
    c.config["process"]["args"] = json!(["cat", "/data/file"]);
    c.running(&["--overlay-lower", lower])
        .run()
        .ok()
        .prints("of the bundle");
}

/// Makes an image of a directory.
fn image(t: &Test, directory: &Path, kind: &str) -> String {
    if !has_file_system(kind) {
        t.skip(&format!("the kernel has no {kind}"));
    }
    let image = t.path(&format!(
        "{}.{kind}",
        directory.file_name().expect("a name").to_string_lossy()
    ));
    let mut command = if kind == "squashfs" {
        t.needs("mksquashfs", "squashfs-tools");
        let mut command = Command::new("mksquashfs");
        command
            .arg(directory)
            .arg(&image)
            .args(["-noappend", "-quiet", "-no-progress"]);
        command
    } else {
        t.needs("mkfs.erofs", "erofs-utils");
        let mut command = Command::new("mkfs.erofs");
        command.arg(&image).arg(directory);
        command
    };
    let output = command.output().expect("the program");
    assert!(output.status.success(), "{output:?}");
    image.to_str().expect("a UTF-8 path").to_owned()
}

fn loop_devices(t: &Test) -> usize {
    tests::leaks::loop_devices(&t.runtime.token).len()
}

fn images_are_layers(t: &Test) {
    needs_overlay(t);
    for kind in ["squashfs", "erofs"].into_iter().filter(|kind| has_file_system(kind)) {
        let c = t.sh("cat /etc/top; rm /etc/group; echo ready; sleep 1000");
        let rootfs = image(t, &c.rootfs(), kind);
        let top = make(t, "top");
        write(format!("{top}/etc/top"), "top\n");
        let top = image(t, Path::new(&top), "squashfs");
        fs::remove_dir_all(c.rootfs()).expect("remove");
        let upper = make(t, &format!("up-{kind}"));
        let options = [
            "--overlay-lower",
            &top,
            "--overlay-lower",
            &rootfs,
            "--overlay-upper",
            &upper,
        ];
        let created = c.creation(&options).run().ok();
        assert_eq!(loop_devices(t), 2);
        c.start().ok();
        eventually("it runs", || created.stdout_now() == "top\nready\n");
        no_mount_of(t);
        t.call(&["diff", &c.id]).run().ok().prints("C /etc\nD /etc/group");
        assert_eq!(loop_devices(t), 2, "diff's own are gone");
        c.kill("KILL").ok();
        c.wait_until_stopped();
        eventually("devices go with the container", || loop_devices(t) == 0);
        t.call(&["diff", &c.id]).run().ok().prints("C /etc\nD /etc/group");
        c.delete().ok();
    }
}

fn containers_share_layers_and_images(t: &Test) {
    needs_overlay(t);
    let base = t.sh("true");
    let rootfs = image(t, &base.rootfs(), "squashfs");
    let top = make(t, "top");
    write(format!("{top}/shared"), "shared\n");
    let containers: Vec<_> = (0..8)
        .map(|_| {
            let c = t.sh("cat /shared; echo ready; sleep 1000");
            fs::remove_dir_all(c.rootfs()).expect("remove");
            c
        })
        .collect();
    let options = ["--overlay-lower", &top, "--overlay-lower", &rootfs];
    let running: Vec<_> = containers.iter().map(|c| c.creation(&options).spawn()).collect();
    let created: Vec<_> = running.into_iter().map(|call| call.wait().ok()).collect();
    containers.iter().for_each(|c| _ = c.start().ok());
    for (number, c) in containers.iter().enumerate() {
        eventually("it runs", || created[number].stdout_now() == "shared\nready\n");
        c.exec_sh(&format!("echo {number} >>/mine")).ok();
    }
    for (number, c) in containers.iter().enumerate() {
        c.exec(&["cat", "/mine"]).ok().prints(&number.to_string());
        t.call(&["diff", &c.id]).run().ok().prints("A /mine");
    }
    let deletions: Vec<_> = containers
        .iter()
        .map(|c| t.call(&["delete", "--force", &c.id]).spawn())
        .collect();
    deletions.into_iter().for_each(|call| _ = call.wait().ok());
    eventually("no device is left", || loop_devices(t) == 0);
}

fn the_root_may_be_read_only(t: &Test) {
    needs_overlay(t);
    let mut c = t.sh("touch /x 2>/dev/null || echo read-only; touch /dev/x && echo writable");
    c.config["root"]["readonly"] = json!(true);
    c.running(&["--overlay"]).run().ok().prints("read-only\nwritable");
}

fn propagation_of_the_root_works_with_an_overlay(t: &Test) {
    needs_overlay(t);
    for propagation in ["shared", "rslave", "private", "unbindable"] {
        let mut c = t.sh(CHANGE);
        c.config["linux"]["rootfsPropagation"] = json!(propagation);
        c.running(&["--overlay"]).run().ok().prints("new\n1");
        let upper = make(t, propagation);
        c.running(&["--overlay-upper", &upper]).run().ok().prints("new\n1");
        is_untouched(&c);
        no_mount_of(t);
    }
}

fn exec_and_hooks_see_the_overlay(t: &Test) {
    needs_overlay(t);
    let mut c = t.server();
    let seen = t.path("seen");
    let script = format!(
        "pid=$(grep -o '\"pid\": *[0-9]*' | tr -dc 0-9); cat /proc/$pid/cwd/etc/hostname-of-layer >{}",
        seen.display()
    );
    write(c.bundle.join("top/etc/hostname-of-layer"), "top\n");
    c.config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    c.creation(&["--overlay-lower", "top:rootfs"]).run().ok();
    // The working directory of the process is there before its root is.
    assert_eq!(fs::read_to_string(&seen).expect("it"), "top\n");
    c.start().ok();
    c.exec(&["cat", "/etc/hostname-of-layer"]).ok().prints("top");
    c.exec_sh("echo x >/x; cat /x; mount | head -n 1 | cut -d' ' -f 1,3")
        .ok()
        .prints("x\noverlay /");
    let inside = format!("/proc/{}/root/x", c.pid());
    assert_eq!(text(&inside), "x\n", "as clients copy files out");
    assert!(c.state()["rootfs"].is_null() || c.state()["rootfs"].is_string());
    // The root is what is uppermost also for who makes a user namespace in it.
    c.exec_sh("chroot / /bin/true").ok_or_refused();
}

trait OkOrRefused {
    fn ok_or_refused(self);
}

impl OkOrRefused for tests::Outcome {
    fn ok_or_refused(self) {
        assert!(self.status.code().is_some_and(|code| code < 100), "{self}");
    }
}

fn diff_lists_what_was_added_changed_and_deleted(t: &Test) {
    needs_overlay(t);
    let c = t.sh(
        "mkdir -p /a/b; touch /a/b/c; rm /etc/group; echo x >>/etc/passwd; rm -r /var; mkdir /var; touch /var/new; \
        rm -r /home; ln -s /etc /link; mkfifo /tmp/fifo; touch /empty; echo ready; sleep 1000",
    );
    write(c.rootfs().join("var/old"), "");
    write(c.rootfs().join("var/older/below"), "");
    let upper = make(t, "up");
    let created = c.creation(&["--overlay-upper", &upper]).run().ok();
    let diff = || t.call(&["diff", &c.id]);
    diff().run().ok().prints("");
    diff_json(t, &c, json!([]));
    c.start().ok();
    eventually("it runs", || created.stdout_now() == "ready\n");
    let mut expected = [
        "A /a",
        "A /a/b",
        "A /a/b/c",
        "C /etc",
        "D /etc/group",
        "C /etc/passwd",
        "C /var",
        "A /var/new",
        "D /var/old",
        "D /var/older",
        "D /home",
        "A /link",
        "C /tmp",
        "A /tmp/fifo",
        "A /empty",
    ];
    expected.sort_unstable();
    let sorted = || {
        let outcome = diff().run().ok();
        let mut lines: Vec<_> = outcome.stdout.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(), expected);
    c.kill("KILL").ok();
    c.wait_until_stopped();
    assert_eq!(sorted(), expected);
    let outcome = t.call(&["diff", "--format", "json", &c.id]).run().ok();
    let list = outcome.json();
    let mut lines: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|change| {
            format!(
                "{} {}",
                change["kind"].as_str().expect("a kind"),
                change["path"].as_str().expect("a path")
            )
        })
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, expected);
    t.call(&["diff", "--format", "xml", &c.id]).run().code(2);
}

#[track_caller]
fn diff_json(t: &Test, c: &Container<'_>, expected: serde_json::Value) {
    let outcome = t.call(&["diff", "-f", "json", &c.id]).run().ok();
    assert_eq!(outcome.json(), expected);
}

fn diff_of_a_tmpfs_works_while_the_container_lives(t: &Test) {
    needs_overlay(t);
    let c = t.server();
    c.creation(&["--overlay"]).run().ok();
    t.call(&["diff", &c.id]).run().ok().prints("");
    c.start().ok();
    c.exec_sh("rm /etc/group; echo x >/new").ok();
    let outcome = t.call(&["diff", &c.id]).run().ok();
    let mut lines: Vec<_> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A /new", "C /etc", "D /etc/group"]);
    // The container has noticed nothing.
    c.exec_sh("cat /new; grep -c ' / ' /proc/mounts").ok().prints("x\n1");
    c.kill("KILL").ok();
    c.wait_until_stopped();
    t.call(&["diff", &c.id])
        .run()
        .fails()
        .says("ended with the container's process");
}

/// What `diff` lists, in order, of a container over these layers, once it has printed `shown`.
#[track_caller]
fn changes(t: &Test, c: &Container<'_>, lower: &str, shown: &str) -> Vec<String> {
    let upper = make(t, "up");
    let options = ["--overlay-lower", lower, "--overlay-upper", &upper];
    let created = c.creation(&options).run().ok();
    c.start().ok();
    eventually("it runs", || created.stdout_now() == shown);
    let outcome = t.call(&["diff", &c.id]).run().ok();
    let mut lines: Vec<_> = outcome.stdout.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn diff_knows_what_lower_layers_hide(t: &Test) {
    needs_overlay(t);
    let script =
        "touch /gone /o/hidden /o/shown; rm -r /d; mkdir /d; touch /d/from-bottom /d/new; echo ready; sleep 1000";
    let (c, layers) = three_layers(t, script);
    let lines = changes(t, &c, &layers.join(":"), "ready\n");
    assert_eq!(
        lines,
        [
            "A /d/new",
            "A /gone",
            "A /o/hidden",
            "C /d",
            "C /d/from-bottom",
            "C /o",
            "C /o/shown",
            "D /d/both",
            "D /d/from-top"
        ]
    );
}

/// What a file covers is not there, whatever layers further down have.
fn diff_looks_no_further_than_a_file(t: &Test) {
    needs_overlay(t);
    let (top, bottom) = (make(t, "top"), make(t, "bottom"));
    write(format!("{bottom}/place/deep"), "");
    write(format!("{bottom}/place/other"), "");
    write(format!("{top}/place"), "a file\n");
    let c = t.sh("rm /place; mkdir /place; touch /place/deep; echo ready; sleep 1000");
    let lower = format!("{top}:{bottom}:{}", c.rootfs().to_str().expect("UTF-8"));
    let lines = changes(t, &c, &lower, "ready\n");
    assert_eq!(lines, ["A /place/deep", "C /place"]);
}

/// Since Linux 6.7 an empty file with a mark may stand for nothing, in a directory that says so.
fn diff_knows_marks_that_hide(t: &Test) {
    needs_overlay(t);
    if tests::kernel_version() < (6, 7) {
        t.skip("overlays of this kernel know no such marks");
    }
    let (top, bottom) = (make(t, "top"), make(t, "bottom"));
    for directory in ["x", "y"] {
        for layer in [&top, &bottom] {
            let directory = std::path::Path::new(layer).join(directory);
            std::fs::create_dir(&directory).expect("a directory");
            for name in ["marked", "empty", "full"] {
                let is_empty = *layer == top && name != "full";
                std::fs::write(directory.join(name), if is_empty { "" } else { "text\n" }).expect("a file");
            }
        }
        let mark = |path: String, name: &str, value: &[u8]| {
            let name = format!("trusted.overlay.{name}");
            rustix::fs::setxattr(&path, &name, value, rustix::fs::XattrFlags::empty()).expect("a mark");
        };
        mark(format!("{top}/{directory}"), "opaque", b"x");
        mark(format!("{top}/{directory}/marked"), "whiteout", b"");
        // It stands for something, and a mark of another kind says nothing.
        mark(format!("{top}/{directory}/full"), "whiteout", b"");
        mark(format!("{top}/{directory}/empty"), "other", b"");
    }
    let script = "ls /x; touch /x/marked /x/empty; echo >>/x/full; rm -r /y; mkdir /y; echo ready; sleep 1000";
    let c = t.sh(script);
    let root = c.rootfs();
    let lower = format!("{top}:{bottom}:{}", root.to_str().expect("UTF-8"));
    let lines = changes(t, &c, &lower, "empty\nfull\nready\n");
    let expected = [
        "A /x/marked",
        "C /x",
        "C /x/empty",
        "C /x/full",
        "C /y",
        "D /y/empty",
        "D /y/full",
    ];
    assert_eq!(lines, expected);
}

fn diff_prints_no_names_that_mislead(t: &Test) {
    needs_overlay(t);
    let script = "cd /tmp; : >\"$(printf 'a\\nD etc')\"; : >\"$(printf 'b\\033[2J')\"; : >\"$(printf 'c~\\377')\"; \
        : >\"$(printf 'd\\303\\244')\"; ln -s /proc /tmp/link; \
        i=0; while [ $i -lt 100 ]; do i=$((i + 1)); mkdir deep; cd deep; done; echo ready; sleep 1000";
    let c = t.sh(script);
    let upper = make(t, "up");
    let created = c.creation(&["--overlay-upper", &upper]).run().ok();
    c.start().ok();
    eventually("it runs", || created.stdout_now() == "ready\n");
    let outcome = t.call(&["diff", &c.id]).run().ok();
    let mut lines: Vec<_> = outcome.stdout.lines().filter(|line| !line.contains("deep")).collect();
    lines.sort_unstable();
    let expected = [
        "A /tmp/a?D etc",
        "A /tmp/b?[2J",
        "A /tmp/c~?",
        "A /tmp/d\u{e4}",
        "A /tmp/link",
        "C /tmp",
    ];
    assert_eq!(lines, expected);
    assert_eq!(outcome.stdout.lines().filter(|line| line.contains("deep")).count(), 100);
    let outcome = t.call(&["diff", "-f", "json", &c.id]).run().ok();
    let list = outcome.json();
    let paths: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|change| &change["path"])
        .collect();
    assert!(paths.contains(&&json!("/tmp/a\nD etc")), "{outcome}");
}

fn diff_needs_an_overlay(t: &Test) {
    only_roci(t);
    let c = t.server();
    c.create().ok();
    t.call(&["diff", &c.id])
        .run()
        .fails()
        .says("the container has no overlay");
    c.delete_force().ok();
    t.call(&["diff", &c.id]).run().fails().says("container does not exist");
}

/// Root of the container is another user of the host.
fn with_user_namespace<'t>(t: &'t Test, script: &str) -> Container<'t> {
    if !tests::user_namespaces() {
        t.skip("no user namespaces");
    }
    if tests::kernel_version() < (5, 11) {
        t.skip("overlays in user namespaces need Linux 5.11");
    }
    let mut c = t.sh(script);
    c.namespace("user", None);
    c.config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    c.config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
    c
}

fn a_user_namespace_has_its_overlay_inside(t: &Test) {
    needs_overlay(t);
    // What belongs to nobody in the namespace cannot be copied up with its owner.
    let script = "echo x >/new; rm -r /home; mkdir /mine; rmdir /mine; ls -ln /new | awk '{print $3, $4}'; echo ready; \
        sleep 1000";
    let c = with_user_namespace(t, script);
    let chown = |path: &str| {
        let status = Command::new("chown").args(["-R", "100000:200000", path]).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    chown(c.rootfs().to_str().expect("a UTF-8 path"));
    let upper = make(t, "up");
    chown(&upper);
    for options in [&["--overlay"][..], &["--overlay-upper", &upper]] {
        let created = c.creation(options).run().ok();
        c.start().ok();
        eventually("it runs", || created.stdout_now() == "0 0\nready\n");
        let outcome = t.call(&["diff", &c.id]).run().ok();
        let mut lines: Vec<_> = outcome.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["A /new", "D /home"]);
        c.delete_force().ok();
    }
    let owner = fs::metadata(format!("{upper}/new")).expect("it");
    assert_eq!((owner.uid(), owner.gid()), (100_000, 200_000));
    assert!(!exists(&format!("{upper}.work")));
    // An opaque directory is marked by an attribute that the namespace may set.
    let c = with_user_namespace(t, "rm -r /etc; mkdir /etc; touch /etc/new; sleep 1000");
    chown(c.rootfs().to_str().expect("a UTF-8 path"));
    let upper = make(t, "up2");
    chown(&upper);
    c.creation(&["--overlay-upper", &upper]).run().ok();
    c.start().ok();
    eventually("it has run", || exists(&format!("{upper}/etc/new")));
    let outcome = t.call(&["diff", &c.id]).run().ok();
    let mut lines: Vec<_> = outcome.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A /etc/new", "C /etc", "D /etc/group", "D /etc/passwd"]);
}

fn images_work_in_a_user_namespace(t: &Test) {
    needs_overlay(t);
    let c = with_user_namespace(
        t,
        "echo x >/new; cat /new /etc/group | head -n 1; echo ready; sleep 1000",
    );
    let rootfs = image(t, &c.rootfs(), "squashfs");
    let created = c.creation(&["--overlay-lower", &rootfs]).run().ok();
    c.start().ok();
    eventually("it runs", || created.stdout_now() == "x\nready\n");
    t.call(&["diff", &c.id]).run().ok().prints("A /new");
}

fn a_plain_user_has_overlays(t: &Test) {
    needs_overlay(t);
    let c = owned(t, "echo x >/new; rm /etc/group; cat /new; sleep 1000");
    if tests::kernel_version() < (5, 11) {
        t.skip("overlays in user namespaces need Linux 5.11");
    }
    let upper = make(t, "up");
    give_away(t);
    for options in [&["--overlay"][..], &["--overlay-upper", &upper]] {
        let created = as_user(c.creation(options)).run().ok();
        as_user(t.call(&["start", &c.id])).run().ok();
        eventually("it runs", || created.stdout_now() == "x\n");
        let outcome = as_user(t.call(&["diff", &c.id])).run().ok();
        let mut lines: Vec<_> = outcome.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["A /new", "C /etc", "D /etc/group"]);
        as_user(t.call(&["delete", "--force", &c.id])).run().ok();
    }
    is_untouched(&c);
    assert!(!exists(&format!("{upper}.work")));
}

fn a_place_where_the_user_may_not_walk_is_no_obstacle(t: &Test) {
    use std::os::unix::fs::PermissionsExt;
    needs_overlay(t);
    let c = with_user_namespace(t, "cat /etc/which; echo x >/x; cat /x");
    write(c.bundle.join("top/etc/which"), "top\n");
    fs::set_permissions(&t.dir, fs::Permissions::from_mode(0o700)).expect("chmod");
    let outcome = c.running(&["--overlay-lower", "top:rootfs"]).run().ok();
    assert_eq!(outcome.stdout, "top\nx\n");
}

/// The call in a mount namespace where the test's directory `on` lies on an overlay.
fn on_overlay(t: &Test, call: tests::Invocation) -> tests::Invocation {
    for name in ["on", "on-lower", "on-upper", "on-work"] {
        make(t, name);
    }
    let dir = t.dir.to_str().expect("a UTF-8 path");
    let script = format!(
        "mount -t overlay -o lowerdir={dir}/on-lower,upperdir={dir}/on-upper,workdir={dir}/on-work none {dir}/on && \
        mkdir -p {dir}/on/up && exec \"$@\""
    );
    call.with_own_mounts(&script, "sh")
}

fn a_refused_upper_is_an_error_or_a_tmpfs(t: &Test) {
    needs_overlay(t);
    make(t, "on/up");
    let upper = make(t, "on/up");
    let c = t.sh("echo x >/x; cat /x");
    on_overlay(t, c.running(&["--overlay-upper", &upper]))
        .run()
        .fails()
        .says("mount overlay: invalid argument (EINVAL)")
        .says("cannot hold one (another overlay, f2fs, nfs)");
    let options = ["--overlay-upper", &upper, "--policy", "overlay=prefer"];
    let outcome = on_overlay(t, c.running(&options)).run().ok();
    assert_eq!(outcome.stdout, "x\n", "{outcome}");
    let warning = "roci: warning: overlay: the kernel refuses the upper directory: a tmpfs holds the changes";
    assert!(outcome.stderr.starts_with(warning), "{outcome}");
    is_untouched(&c);
    // What was not used is not listed.
    let c = t.server();
    on_overlay(t, c.creation(&options)).run().ok();
    c.start().ok();
    c.exec_sh("echo x >/x").ok();
    t.call(&["diff", &c.id]).run().ok().prints("A /x");
    c.kill("KILL").ok();
    c.wait_until_stopped();
    t.call(&["diff", &c.id])
        .run()
        .fails()
        .says("ended with the container's process");
}

const ENODEV: u32 = 19;

/// The only mount without flags of the test's container is the overlay's.
const NO_OVERLAY: &str = "mount:3=0";

fn without_overlay_in_the_kernel(t: &Test) {
    only_roci(t);
    let script =
        "touch /x 2>/dev/null || echo read-only; touch /tmp/x && ls /tmp; touch /var/x && echo var; ls -d /etc";
    let mut c = t.sh(script);
    for mount in c.config["mounts"].as_array_mut().expect("mounts") {
        match mount["options"].as_array_mut() {
            Some(options) => options.push("nosuid".into()),
            None => mount["options"] = json!(["nosuid"]),
        }
    }
    write(c.rootfs().join("tmp/below"), "");
    let run = |options: &[&str]| without(t, NO_OVERLAY, ENODEV, c.running(options)).run();
    run(&["--overlay"])
        .fails()
        .says("mount overlay: no such device (ENODEV) (the kernel needs CONFIG_OVERLAY_FS)");
    let options = [
        "--overlay",
        "--policy",
        "overlay=prefer",
        "--overlay-tmpfs",
        "/tmp:/var",
    ];
    let outcome = run(&options).ok();
    assert_eq!(outcome.stdout, "read-only\nx\nvar\n/etc\n", "{outcome}");
    let warning =
        "roci: warning: overlay: the kernel has none to give (CONFIG_OVERLAY_FS): the root file system is read-only\n";
    assert!(outcome.stderr.starts_with(warning), "{outcome}");
    assert!(!c.rootfs().join("x").exists());
    assert!(!c.rootfs().join("tmp/x").exists());
    let upper = make(t, "up");
    run(&[
        "--overlay-upper",
        &upper,
        "--policy",
        "overlay=prefer",
        "--overlay-tmpfs=/tmp:/var",
    ])
    .ok();
    assert!(!exists(&format!("{upper}.work")));
    // One layer can stand for the whole; more cannot.
    let top = make(t, "top");
    run(&[
        "--overlay-lower",
        &top,
        "--overlay-lower",
        "rootfs",
        "--policy",
        "overlay=prefer",
    ])
    .fails()
    .says("CONFIG_OVERLAY_FS");
    run(&["--overlay", "--policy", "overlay=prefer", "--overlay-tmpfs", "/nowhere"])
        .code(1)
        .says("overlay: open /nowhere");
    let c2 = t.server();
    let mut c2 = c2;
    c2.config = c.config.clone();
    c2.config["process"]["args"] = json!(["sleep", "1000"]);
    without(t, NO_OVERLAY, ENODEV, c2.creation(&options)).run().ok();
    t.call(&["diff", &c2.id]).run().ok().prints("");
    // As on an old kernel that has none either.
    let calls = format!("{OLD},{NO_OVERLAY}");
    let outcome = without(t, &calls, ENOSYS, c.running(&options)).run();
    outcome.fails();
}

const OLD: &str = "clone3,openat2,open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr,pidfd_open,pidfd_send_signal,\
    pidfd_getfd,close_range,faccessat2";

fn without_the_mount_calls_overlays_work(t: &Test) {
    needs_overlay(t);
    for calls in [
        "fsopen",
        "open_tree,move_mount,fsopen,fsconfig,fsmount,mount_setattr",
        OLD,
    ] {
        let c = t.sh("echo x >/new; cat /new; df -k / | tail -n 1 | awk '{print $2}'; sleep 1000");
        let call = |call| without(t, calls, ENOSYS, call);
        let rootfs = image(t, &c.rootfs(), "squashfs");
        let upper = make(t, "up");
        for options in [
            &["--overlay-size", "1m"][..],
            &["--overlay-upper", &upper],
            &["--overlay-lower", &rootfs],
            &["--overlay-lower", &rootfs, "--overlay-upper", &upper],
        ] {
            let created = call(c.creation(options)).run().ok();
            call(t.call(&["start", &c.id])).run().ok();
            eventually("it runs", || created.stdout_now().starts_with("x\n"));
            if options.contains(&"1m") {
                eventually("it runs", || created.stdout_now() == "x\n1024\n");
            }
            if !options.contains(&rootfs.as_str()) {
                call(t.call(&["diff", &c.id])).run().ok().prints("A /new");
            }
            call(t.call(&["delete", "--force", &c.id])).run().ok();
        }
        is_untouched(&c);
        fs::remove_file(rootfs).expect("remove");
        eventually("no device is left", || loop_devices(t) == 0);
    }
}

fn what_cannot_be_is_refused(t: &Test) {
    only_roci(t);
    let c = t.sh("true");
    let refuse = |options: &[&str], words: &str| _ = c.creation(options).run().fails().says(words);
    write(t.path("file"), "no image\n");
    let file = t.path("file");
    let file = file.to_str().expect("a UTF-8 path");
    let upper = make(t, "up");
    refuse(
        &["--overlay-lower", "nowhere"],
        "overlay: open lower nowhere: no such file or directory",
    );
    refuse(
        &["--overlay-lower", "nowhere:rootfs"],
        "overlay: open lower nowhere: no such file or directory",
    );
    refuse(
        &["--overlay-lower", file],
        "neither a directory nor a squashfs or erofs image",
    );
    refuse(
        &["--overlay-lower", "/dev/null"],
        "neither a directory nor a squashfs or erofs image",
    );
    refuse(
        &["--overlay-upper", "/nowhere"],
        "overlay: open /nowhere: no such file or directory",
    );
    refuse(&["--overlay-upper", file], "not a directory");
    refuse(&["--overlay-upper", &upper, "--overlay-work", file], "not a directory");
    refuse(
        &["--overlay-work", &upper],
        "overlay: a work directory without an upper one",
    );
    refuse(
        &["--overlay-upper", &upper, "--overlay-size", "1m"],
        "overlay: a directory has no size",
    );
    // Another file system than the upper's.
    refuse(
        &["--overlay-upper", &upper, "--overlay-work", "/dev/shm"],
        "mount overlay: invalid argument",
    );
    assert!(!exists(&format!("{upper}.work")));
    if has_file_system("squashfs") {
        let mut broken = fs::read(file).expect("it");
        broken.splice(..0, *b"hsqs");
        broken.resize(8192, 0);
        fs::write(file, broken).expect("write");
        refuse(&["--overlay-lower", file], "mount image");
        assert_eq!(loop_devices(t), 0);
    }
    let mut c = t.sh("true");
    c.no_namespace("mount");
    c.config["linux"].as_object_mut().expect("linux").remove("maskedPaths");
    c.config["linux"]
        .as_object_mut()
        .expect("linux")
        .remove("readonlyPaths");
    c.config["mounts"] = json!([]);
    c.creation(&["--overlay"])
        .run()
        .fails()
        .says("overlay: the container needs a new mount namespace");
    c.state_call().fails();
}

fn whatever_create_was_killed_at_delete_force_leaves_nothing_of_overlays(t: &Test) {
    needs_overlay(t);
    let base = t.sh("true");
    let rootfs = image(t, &base.rootfs(), "squashfs");
    let upper = make(t, "up");
    for step in 0..60 {
        let c = t.server();
        fs::remove_dir_all(c.rootfs()).expect("remove");
        let options = ["--overlay-lower", &rootfs, "--overlay-upper", &upper];
        let mut creation = c.creation(if step % 3 == 0 { &options[..2] } else { &options }).spawn();
        std::thread::sleep(Duration::from_micros(150 * step));
        creation.kill();
        let _ = creation.wait();
        c.delete_force().ok();
        let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
        assert!(left.is_empty(), "killed after {} µs, left behind:\n{left}", 150 * step);
        assert!(!exists(&format!("{upper}.work")), "killed after {} µs", 150 * step);
        assert!(exists(&upper));
        c.creation(&options).run().ok();
        c.delete_force().ok();
        assert!(!exists(&format!("{upper}.work")));
    }
}
