//! `list`, `ps`, `features`, `spec` and `--version`: what is printed, and in which form clients parse it.

use serde_json::{Value, json};
use tests::{Test, eventually};

tests::cases![
    list_shows_every_container_in_a_table,
    list_as_json,
    list_quiet_prints_ids_only,
    list_of_an_empty_state_directory,
    ps_prints_the_pids_as_json,
    ps_prints_a_table,
    ps_of_an_unknown_container_says_that_it_does_not_exist,
    spec_writes_a_configuration_that_runs,
    spec_does_not_overwrite,
    features_is_valid,
    version_has_the_lines_that_clients_parse,
    help_names_every_command,
];

fn list_shows_every_container_in_a_table(t: &Test) {
    let containers = [t.server(), t.server(), t.container(&["/bin/true"])];
    containers[0].create().ok();
    containers[1].up_and_ready();
    containers[2].up();
    containers[2].wait_until_stopped();
    let outcome = t.call(&["list"]).run().ok();
    let mut lines = outcome.stdout.lines();
    let header: Vec<_> = lines.next().expect("a header").split_whitespace().collect();
    assert!(
        header.starts_with(&["ID", "PID", "STATUS", "BUNDLE"]) || t.is("crun"),
        "{outcome}"
    );
    assert!(
        !t.is_roci() || !outcome.stdout.contains(" \n"),
        "the last column has no end: {outcome}"
    );
    let rows: Vec<Vec<_>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 3, "{outcome}");
    for (container, status) in containers.iter().zip(["created", "running", "stopped"]) {
        let row = rows
            .iter()
            .find(|row| row[0] == container.id)
            .unwrap_or_else(|| panic!("{} in {outcome}", container.id));
        assert_eq!(row[2], status);
        assert_eq!(row[3], container.bundle.to_str().expect("path"));
        assert!(!t.is_roci() || row[5] == "root", "{outcome}");
        if status != "stopped" {
            assert_eq!(row[1], container.pid().to_string());
        }
    }
}

fn list_as_json(t: &Test) {
    let c = t.server();
    c.up_and_ready();
    for option in [&["--format", "json"][..], &["-f", "json"], &["--format=json"]] {
        let args: Vec<_> = ["list"].iter().chain(option).copied().collect();
        let list = t.call(&args).run().ok().json();
        let list = list.as_array().expect("an array");
        assert_eq!(list.len(), 1);
        assert_eq!(list[0]["id"], json!(c.id));
        assert_eq!(list[0]["status"], "running");
        assert_eq!(list[0]["pid"], json!(c.pid()));
        assert_eq!(list[0]["bundle"], json!(c.bundle));
        assert!(list[0]["created"].is_string());
    }
}

fn list_quiet_prints_ids_only(t: &Test) {
    let c = t.server();
    c.create().ok();
    for option in ["--quiet", "-q"] {
        assert_eq!(t.call(&["list", option]).run().ok().stdout, format!("{}\n", c.id));
    }
}

fn list_of_an_empty_state_directory(t: &Test) {
    let outcome = t.call(&["list", "-q"]).run().ok();
    assert_eq!(outcome.stdout, "");
    let outcome = t.call(&["list", "--format", "json"]).run().ok();
    let list = outcome.json();
    // runc prints null, as Go does for a list without elements.
    assert!(list.is_null() || list == json!([]), "{outcome}");
    let mut runtime = t.runtime.clone();
    runtime.root = t.path("no-such-directory");
    assert_eq!(runtime.call(&["list", "-q"]).run().ok().stdout, "");
}

fn ps_prints_the_pids_as_json(t: &Test) {
    let c = t.sh("sleep 1000 & echo ready; wait");
    c.up_and_ready();
    let mut pids = Vec::new();
    eventually("both processes are listed", || {
        pids = t
            .call(&["ps", "--format", "json", &c.id])
            .run()
            .ok()
            .json()
            .as_array()
            .expect("an array")
            .clone();
        pids.len() == 2
    });
    assert!(pids.contains(&json!(c.pid())), "host pids: {pids:?}");
}

fn ps_prints_a_table(t: &Test) {
    t.needs("ps", "procps");
    t.skip_on("crun", "crun 1.8 prints the pids alone");
    let c = t.server();
    c.up_and_ready();
    let outcome = t.call(&["ps", &c.id]).run().ok();
    assert!(
        outcome.stdout.lines().next().expect("a header").contains("PID"),
        "{outcome}"
    );
    assert!(outcome.stdout.contains(&c.pid().to_string()), "{outcome}");
}

fn ps_of_an_unknown_container_says_that_it_does_not_exist(t: &Test) {
    let id = t.server().id;
    t.call(&["ps", "--format", "json", &id])
        .run()
        .fails()
        .says("does not exist");
}

fn spec_writes_a_configuration_that_runs(t: &Test) {
    let mut c = t.server();
    let bundle = c.bundle.to_str().expect("path").to_owned();
    t.call(&["spec", "--bundle", &bundle]).run().ok();
    let text = std::fs::read_to_string(c.bundle.join("config.json")).expect("config.json");
    let config: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["process"]["terminal"], json!(true));
    assert_eq!(config["root"]["path"], "rootfs");
    let names = ["pid", "network", "ipc", "uts", "mount"];
    let namespaces = config["linux"]["namespaces"].as_array().expect("namespaces");
    for name in names {
        assert!(namespaces.iter().any(|namespace| namespace["type"] == name), "{text}");
    }
    c.config = config;
    c.config["process"]["terminal"] = json!(false);
    c.config["process"]["args"] = json!(["sh", "-c", "echo fine"]);
    let env = c.config["process"]["env"].as_array_mut().expect("env");
    env.push(json!(format!("ROCI_TEST_TOKEN={}", t.runtime.token)));
    assert_eq!(c.output(), "fine\n");
    let outcome = t.call(&["spec"]).cwd(&t.dir).run().ok();
    assert_eq!(outcome.stdout, "");
    assert!(t.path("config.json").exists());
}

fn spec_does_not_overwrite(t: &Test) {
    std::fs::write(t.path("config.json"), "mine").expect("write");
    t.call(&["spec"]).cwd(&t.dir).run().fails();
    assert_eq!(std::fs::read_to_string(t.path("config.json")).expect("read"), "mine");
}

fn features_is_valid(t: &Test) {
    t.skip_on("crun", "crun 1.8 has no features command");
    let outcome = t.call(&["features"]).run().ok();
    let features = outcome.json();
    for member in ["ociVersionMin", "ociVersionMax"] {
        assert!(
            features[member]
                .as_str()
                .is_some_and(|version| version.starts_with("1.")),
            "{outcome}"
        );
    }
    let has = |list: &Value, name: &str| list.as_array().is_some_and(|list| list.contains(&json!(name)));
    for hook in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        assert!(has(&features["hooks"], hook), "{hook}: {outcome}");
    }
    for option in [
        "bind",
        "rbind",
        "ro",
        "rprivate",
        "nosuid",
        "noexec",
        "tmpcopyup",
        "remount",
    ] {
        assert!(has(&features["mountOptions"], option), "{option}: {outcome}");
    }
    for namespace in ["pid", "network", "mount", "ipc", "uts", "user", "cgroup"] {
        assert!(
            has(&features["linux"]["namespaces"], namespace),
            "{namespace}: {outcome}"
        );
    }
    assert!(has(&features["linux"]["capabilities"], "CAP_SYS_ADMIN"), "{outcome}");
    assert_eq!(features["linux"]["cgroup"]["v1"], json!(true), "{outcome}");
    if features["linux"]["seccomp"]["enabled"] == json!(true) {
        assert!(
            has(&features["linux"]["seccomp"]["actions"], "SCMP_ACT_ERRNO"),
            "{outcome}"
        );
        assert!(
            has(&features["linux"]["seccomp"]["operators"], "SCMP_CMP_MASKED_EQ"),
            "{outcome}"
        );
    }
}

/// What dockerd takes apart: "NAME version X", "commit: Y", "spec: Z".
fn version_has_the_lines_that_clients_parse(t: &Test) {
    for option in ["--version", "-v"] {
        let outcome = t.call(&[option]).run().ok();
        let first: Vec<_> = outcome.stdout.lines().next().expect("a line").split(' ').collect();
        assert_eq!((first.len(), first[1]), (3, "version"), "{outcome}");
        assert_eq!(first[0], t.runtime.name(), "{outcome}");
        let spec = outcome.stdout.lines().find_map(|line| line.strip_prefix("spec: "));
        assert!(spec.is_some_and(|version| version.starts_with("1.")), "{outcome}");
    }
}

fn help_names_every_command(t: &Test) {
    let outcome = t.call(&["--help"]).run().ok();
    for command in [
        "create", "start", "state", "kill", "delete", "run", "exec", "list", "ps", "spec",
    ] {
        assert!(outcome.stdout.contains(command), "{command}: {outcome}");
    }
}
