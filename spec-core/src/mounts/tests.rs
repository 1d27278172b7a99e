use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::harness::{STEP, accept, check, config};

/// Reads the options, separated by spaces, of one mount and hands on what they became.
fn plan<R>(options: &str, see: impl FnOnce(&MountPlan<'_>) -> R) -> R {
    let options: Vec<String> = options.split(' ').map(|option| format!("\"{option}\"")).collect();
    let mount = format!("{{\"destination\": \"/a\", \"options\": [{}]}}", options.join(","));
    // A user namespace lets an id-mapped mount be.
    let linux = r#""linux": {"namespaces": [{"type": "user", "path": "/x"}]}"#;
    accept(&config(&format!("{linux}, \"mounts\": [{mount}]")), |spec| {
        see(&spec.mounts[0].plan)
    })
}

#[test]
fn a_mount_is_read() {
    let json = config(
        r#""mounts": [{"destination": "proc", "source": "s", "type": "proc"},
        {"destination": "/b", "type": "bind", "source": "", "options": null},
        {"destination": "/c", "uidMappings": [{"containerID": 1, "hostID": 2, "size": 3}],
         "gidMappings": [{"containerID": 4, "hostID": 5, "size": 6}]}]"#,
    );
    accept(&json, |spec| {
        let mounts = &spec.mounts;
        assert_eq!(
            (mounts[0].destination.as_str(), mounts[0].source.unwrap().as_str()),
            ("proc", "s")
        );
        assert_eq!(mounts[0].kind.unwrap().as_str(), "proc");
        // The type says nothing about being a bind mount.
        assert!(!mounts[1].is_bind() && mounts[1].source.is_none());
        assert_eq!(
            spec.list(mounts[2].gid_mappings),
            [IdMapping {
                container_id: 4,
                host_id: 5,
                size: 6
            }]
        );
        assert_eq!(mounts[2].plan.idmap, Some(Idmap::Single));
    });
    for (mount, expected) in [
        ("@{}", "destination: missing"),
        (r#"{"destination": @""}"#, "destination: must not be empty"),
        (
            r#"{"destination": "/a", "options": @"ro"}"#,
            "options: expected an array, not \"ro\"",
        ),
        (
            r#"{"destination": "/a", "options": [@1]}"#,
            "options[0]: expected a string, not 1",
        ),
        (
            r#"{"destination": "/a", "options": ["private", "rslave", @"shared"]}"#,
            "options[2]: one propagation too many",
        ),
    ] {
        check(
            &config(&format!("\"mounts\": [{mount}]")),
            &format!("mounts[0].{expected}"),
        );
    }
}

/// Every option of the specification, and what it means.
#[test]
fn options_that_set_and_clear_flags() {
    for (set, clear, flag) in [
        ("ro", "rw", MS_RDONLY),
        ("nosuid", "suid", MS_NOSUID),
        ("nodev", "dev", MS_NODEV),
        ("noexec", "exec", MS_NOEXEC),
        ("sync", "async", MS_SYNCHRONOUS),
        ("mand", "nomand", MS_MANDLOCK),
        ("nosymfollow", "symfollow", MS_NOSYMFOLLOW),
        ("noatime", "atime", MS_NOATIME),
        ("nodiratime", "diratime", MS_NODIRATIME),
        ("relatime", "norelatime", MS_RELATIME),
        ("strictatime", "nostrictatime", MS_STRICTATIME),
        ("iversion", "noiversion", MS_I_VERSION),
        ("lazytime", "nolazytime", MS_LAZYTIME),
        ("silent", "loud", MS_SILENT),
    ]
    .into_iter()
    .step_by(STEP)
    {
        plan(set, |plan| assert_eq!((plan.flags, plan.cleared), (flag, 0), "{set}"));
        plan(clear, |plan| {
            assert_eq!((plan.flags, plan.cleared), (0, flag), "{clear}")
        });
        plan(&format!("{set} {clear}"), |plan| {
            assert_eq!((plan.flags, plan.cleared), (0, flag))
        });
        plan(&format!("{clear} {set}"), |plan| {
            assert_eq!((plan.flags, plan.cleared), (flag, 0))
        });
    }
    for (set, flag) in [
        ("bind", MS_BIND),
        ("rbind", MS_BIND | MS_REC),
        ("remount", MS_REMOUNT),
        ("dirsync", MS_DIRSYNC),
    ] {
        plan(set, |plan| assert_eq!((plan.flags, plan.cleared), (flag, 0), "{set}"));
    }
    plan("defaults", |plan| assert!(*plan == MountPlan::default()));
}

#[test]
fn propagation() {
    for (word, flag) in [
        ("private", MS_PRIVATE),
        ("shared", MS_SHARED),
        ("slave", MS_SLAVE),
        ("unbindable", MS_UNBINDABLE),
    ] {
        plan(word, |plan| assert_eq!((plan.propagation, plan.flags), ([flag, 0], 0)));
        plan(&format!("rbind r{word}"), |plan| {
            assert_eq!(plan.propagation, [flag | MS_REC, 0])
        });
    }
    plan("slave shared slave", |plan| {
        assert_eq!(plan.propagation, [MS_SLAVE, MS_SHARED])
    });
}

#[test]
fn recursive_options() {
    for (set, clear, bit) in [
        ("rro", "rrw", MOUNT_ATTR_RDONLY),
        ("rnosuid", "rsuid", MOUNT_ATTR_NOSUID),
        ("rnodev", "rdev", MOUNT_ATTR_NODEV),
        ("rnoexec", "rexec", MOUNT_ATTR_NOEXEC),
        ("rnodiratime", "rdiratime", MOUNT_ATTR_NODIRATIME),
        ("rnosymfollow", "rsymfollow", MOUNT_ATTR_NOSYMFOLLOW),
    ] {
        let bit = u64::from(bit);
        plan(set, |plan| {
            assert_eq!(
                (plan.recursive_set, plan.recursive_clear, plan.flags),
                (bit, 0, 0),
                "{set}"
            )
        });
        plan(clear, |plan| {
            assert_eq!((plan.recursive_set, plan.recursive_clear), (0, bit), "{clear}")
        });
        plan(&format!("{set} {clear}"), |plan| {
            assert_eq!((plan.recursive_set, plan.recursive_clear), (0, bit))
        });
        plan(&format!("{clear} {set}"), |plan| {
            assert_eq!((plan.recursive_set, plan.recursive_clear), (bit, 0))
        });
    }
}

#[test]
fn recursive_access_times_are_one_choice() {
    for (options, mode) in [
        ("rnoatime", MOUNT_ATTR_NOATIME),
        ("rstrictatime", MOUNT_ATTR_STRICTATIME),
        ("rrelatime", MOUNT_ATTR_RELATIME),
        ("ratime", MOUNT_ATTR_RELATIME),
        ("rnorelatime", MOUNT_ATTR_RELATIME),
        ("rnostrictatime", MOUNT_ATTR_RELATIME),
        ("rnoatime rstrictatime", MOUNT_ATTR_STRICTATIME),
        ("rnoatime ratime", MOUNT_ATTR_RELATIME),
        ("rnoatime rnostrictatime", MOUNT_ATTR_NOATIME),
        ("rstrictatime rnostrictatime rnoatime", MOUNT_ATTR_NOATIME),
    ] {
        plan(options, |plan| {
            assert_eq!(
                (plan.recursive_set, plan.recursive_clear),
                (mode.into(), ATIME_MASK),
                "{options}"
            );
        });
    }
    plan("rro rnoatime", |plan| {
        assert_eq!((plan.recursive_set, plan.recursive_clear), (0x11, 0x70));
    });
}

#[test]
fn other_options_are_data() {
    plan("ro mode=755 nosuid size=64k x", |plan| {
        assert_eq!(plan.data.unwrap().as_str(), "mode=755,size=64k,x");
        assert_eq!(plan.data.unwrap().as_c_str(), c"mode=755,size=64k,x");
        assert_eq!(plan.flags, MS_RDONLY | MS_NOSUID);
    });
    plan("RO", |plan| assert_eq!(plan.data.unwrap().as_str(), "RO"));
    plan("", |plan| assert!(plan.data.is_none()));
    plan(r"a=\u00e9\u002c b", |plan| {
        assert_eq!(plan.data.unwrap().as_str(), "a=é,,b")
    });
    plan("idmap", |plan| assert_eq!(plan.idmap, Some(Idmap::Single)));
    plan("ridmap tmpcopyup", |plan| {
        assert_eq!((plan.idmap, plan.tmpcopyup), (Some(Idmap::Recursive), true))
    });
}

#[test]
fn the_options_are_those_of_the_specification_in_order() {
    let words: Vec<String> = MOUNT_OPTIONS.whole();
    assert!(words.is_sorted());
    assert_eq!((words.len(), EFFECTS.len()), (62, 62));
}

#[test]
fn an_option_may_stand_twice() {
    for (twice, once) in [("ro ro", "ro"), ("rw rw", "rw"), ("rro rro", "rro"), ("rrw rrw", "rrw")] {
        let bits = |plan: &MountPlan<'_>| (plan.flags, plan.cleared, plan.recursive_set, plan.recursive_clear);
        assert_eq!(plan(twice, bits), plan(once, bits));
    }
    let mounts = r#""mounts": [{"destination": "/a", "options": ["rbind"], "source": "/b"}]"#;
    accept(&config(mounts), |spec| assert!(spec.mounts[0].is_bind()));
}
