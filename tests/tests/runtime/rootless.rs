//! Containers of a plain user, who has no right on the host but to make a user namespace.

use serde_json::json;
use std::process::Command;
use tests::{Container, Test, field};

tests::cases![
    a_plain_user_runs_a_container,
    a_plain_user_creates_and_enters_a_container,
    the_state_of_a_plain_user_is_in_the_runtime_directory,
    the_configuration_for_a_plain_user_works,
    more_ids_than_ones_own_need_the_programs_for_it,
    ids_that_are_not_the_users_are_refused,
    more_ids_of_either_kind_need_the_programs,
    groups_that_cannot_be_set_are_refused,
    limits_and_cgroups_that_are_not_the_users_are_refused,
    root_of_a_user_namespace_needs_no_rules_for_devices,
];

/// `nobody`, which has nothing.
const ID: u32 = 65534;

/// A container that belongs to the user, whose id is root's inside.
pub fn owned<'t>(t: &'t Test, script: &str) -> Container<'t> {
    t.needs("setpriv", "util-linux");
    let mut c = t.sh(script);
    c.namespace("user", None);
    c.no_namespace("network");
    c.no_namespace("cgroup");
    c.unmount("/sys");
    let mapping = json!([{"containerID": 0, "hostID": ID, "size": 1}]);
    c.config["linux"]["uidMappings"] = mapping.clone();
    c.config["linux"]["gidMappings"] = mapping;
    c.config["linux"].as_object_mut().expect("linux").remove("resources");
    std::fs::create_dir_all(&t.runtime.root).expect("the state root");
    give_away(t);
    c
}

/// Everything in the test's directory to the user.
pub fn give_away(t: &Test) {
    let mut chown = Command::new("chown");
    let done = chown.arg("-R").arg(format!("{ID}:{ID}")).arg(&t.dir).status();
    assert!(done.is_ok_and(|status| status.success()));
}

const AS_USER: [&str; 4] = ["--reuid", "65534", "--regid", "65534"];

pub fn as_user(call: tests::Invocation) -> tests::Invocation {
    let mut args = AS_USER.to_vec();
    args.extend(["--clear-groups", "--inh-caps=-all"]);
    call.under("setpriv", &args)
}

fn a_plain_user_runs_a_container(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    let c = owned(
        t,
        "id -u; id -g; cat /proc/self/uid_map; hostname; ls /dev; echo x >/written",
    );
    let outcome = as_user(c.running(&[])).run().ok();
    let lines: Vec<_> = outcome.stdout.lines().collect();
    assert_eq!(lines[..2], ["0", "0"], "{outcome}");
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>(),
        ["0", "65534", "1"],
        "{outcome}"
    );
    assert_eq!(Some(lines[3]), c.config["hostname"].as_str());
    assert!(lines.contains(&"null") && lines.contains(&"urandom"), "{outcome}");
    let written = std::fs::metadata(c.rootfs().join("written")).expect("the file");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&written), ID);
}

fn a_plain_user_creates_and_enters_a_container(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    let c = owned(t, "sleep 1000");
    as_user(c.creation(&[])).run().ok();
    as_user(t.call(&["start", &c.id])).run().ok();
    let state = as_user(t.call(&["state", &c.id])).run().ok().json();
    assert_eq!(state["status"], json!("running"));
    let inside = as_user(c.executing(&[], &["cat", "/proc/self/status"])).run().ok();
    assert_eq!(field(&inside.stdout, "Uid"), "0\t0\t0\t0");
    as_user(t.call(&["kill", &c.id, "KILL"])).run().ok();
    as_user(t.call(&["delete", "--force", &c.id])).run().ok();
    assert!(!t.runtime.root.join(&c.id).exists());
}

fn the_state_of_a_plain_user_is_in_the_runtime_directory(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers keep it elsewhere");
    }
    let c = owned(t, "sleep 1000");
    c.write_config();
    let directory = t.path("runtime");
    std::fs::create_dir(&directory).expect("a directory");
    give_away(t);
    let call = |args: &[&str]| {
        as_user(
            t.runtime
                .bare(args)
                .env("XDG_RUNTIME_DIR", directory.to_str().expect("UTF-8")),
        )
        .run()
    };
    let bundle = c.bundle.to_str().expect("UTF-8");
    call(&["create", "--bundle", bundle, &c.id]).ok();
    assert!(directory.join("roci").join(&c.id).join("state.json").exists());
    let listed = call(&["list", "--quiet"]).ok();
    call(&["delete", "--force", &c.id]).ok();
    assert!(!directory.join("roci").join(&c.id).exists());
    listed.prints(&c.id);
    // Who is root has a place that is the machine's.
    let outcome = t
        .runtime
        .bare(&["list", "--quiet"])
        .env("XDG_RUNTIME_DIR", "/proc/version")
        .run();
    outcome.ok();
}

fn the_configuration_for_a_plain_user_works(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    let c = owned(t, "true");
    std::fs::remove_file(c.bundle.join("config.json")).unwrap_or_default();
    let bundle = c.bundle.to_str().expect("UTF-8");
    as_user(t.call(&["spec", "--rootless", "--bundle", bundle])).run().ok();
    let text = std::fs::read_to_string(c.bundle.join("config.json")).expect("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(config["linux"]["uidMappings"][0]["hostID"], json!(ID));
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/sh", "-c", "id -u; ls /sys/class >/dev/null && echo sys"]);
    let env = config["process"]["env"].as_array_mut().expect("env");
    env.push(format!("ROCI_TEST_TOKEN={}", t.runtime.token).into());
    std::fs::write(c.bundle.join("config.json"), config.to_string()).expect("write");
    let outcome = as_user(t.call(&["run", "--bundle", bundle, &c.id])).run().ok();
    assert_eq!(outcome.stdout, "0\nsys\n");
}

/// Lets the user have ids 300000 to 365535, for the runtime that is started under it and for nobody else.
const WITH_IDS: &str = "echo 65534:300000:65536 >$1/ids; mount --bind $1/ids /etc/subuid; mount --bind $1/ids /etc/subgid; \
    shift; exec \"$@\"";

/// Maps so many ids beside the user's own, from `host` on.
fn map_more(c: &mut Container, host: u32) {
    for kind in ["uidMappings", "gidMappings"] {
        let mappings = c.config["linux"][kind].as_array_mut().expect("mappings");
        mappings.push(json!({"containerID": 1, "hostID": host, "size": 65_536}));
    }
}

fn with_ids(t: &Test, c: &Container) -> tests::Outcome {
    let dir = t.dir.to_str().expect("UTF-8");
    let mut args = vec!["--mount", "sh", "-c", WITH_IDS, "sh", dir, "setpriv"];
    args.extend(AS_USER);
    args.extend(["--clear-groups", "--inh-caps=-all"]);
    c.running(&[]).under("unshare", &args).run()
}

fn more_ids_than_ones_own_need_the_programs_for_it(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    t.needs("newuidmap", "uidmap");
    let mut c = owned(t, "id -u; id -g; cat /proc/self/gid_map");
    map_more(&mut c, 300_000);
    c.config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [7]});
    let outcome = with_ids(t, &c).ok();
    let words: Vec<_> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words, ["1000", "1001", "0", "65534", "1", "1", "300000", "65536"]);
}

fn ids_that_are_not_the_users_are_refused(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    t.needs("newuidmap", "uidmap");
    let mut c = owned(t, "true");
    map_more(&mut c, 500_000);
    with_ids(t, &c)
        .fails()
        .roci_says("set id mapping: newgidmap: gid range");
    assert!(!t.runtime.root.join(&c.id).exists());
}

/// One program writes one map, and one's own id alone would need none.
fn more_ids_of_either_kind_need_the_programs(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have other words");
    }
    t.needs("newuidmap", "uidmap");
    for (kind, words) in [
        ("uidMappings", "set id mapping: newuidmap: uid range"),
        ("gidMappings", "set id mapping: newgidmap: gid range"),
    ] {
        let mut c = owned(t, "true");
        let mappings = c.config["linux"][kind].as_array_mut().expect("mappings");
        mappings.push(json!({"containerID": 1, "hostID": 300_000, "size": 1}));
        as_user(c.running(&[])).run().fails().says(words);
    }
}

/// Whose map was written without privileges may not change its groups.
fn groups_that_cannot_be_set_are_refused(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    t.skip_on("runc", "runc leaves them out");
    let mut c = owned(t, "true");
    c.config["process"]["user"]["additionalGids"] = json!([0]);
    as_user(c.running(&[]))
        .run()
        .fails()
        .says("setgroups: operation not permitted");
}

fn limits_and_cgroups_that_are_not_the_users_are_refused(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers have other words, or warn");
    }
    let mut c = owned(t, "true");
    c.config["linux"]["resources"] = json!({"pids": {"limit": 10}});
    as_user(c.running(&[])).run().fails().says("make cgroup");
    as_user(c.running(&["--policy", "limits=prefer"])).run().ok();
    let mut c = owned(t, "true");
    c.config["linux"]["cgroupsPath"] = json!(format!("/{}", c.id));
    as_user(c.running(&[])).run().fails().says("make cgroup");
}

/// As for podman without root: nobody in there can make nodes of devices, whatever its capabilities are called.
fn root_of_a_user_namespace_needs_no_rules_for_devices(t: &Test) {
    t.skip_on("crun", "crun 1.8 refuses hybrid cgroups");
    t.needs("unshare", "util-linux");
    let mut c = owned(t, "id -u; ls /dev/null");
    c.namespace("network", None);
    // Its group has no number here, and whoever writes the configuration knows that.
    c.unmount("/dev/pts");
    let linux = c.config["linux"].as_object_mut().expect("linux");
    linux.remove("uidMappings");
    linux.remove("gidMappings");
    linux.insert(
        "resources".into(),
        json!({"devices": [{"allow": false, "access": "rwm"}]}),
    );
    c.no_namespace("user");
    let sets = ["bounding", "effective", "permitted"].map(|set| (set, &["CAP_MKNOD"][..]));
    c.capabilities(&sets);
    let call = c
        .running(&[])
        .under("unshare", &["--user", "--map-root-user", "--mount"]);
    let outcome = as_user(call).run().ok();
    assert_eq!(outcome.stdout, "0\n/dev/null\n", "{outcome}");
}
