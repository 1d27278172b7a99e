//! What is asked for of an overlay, and what is removed of it.

use std::boxed::Box;
use std::format;
use std::string::ToString;

use super::*;
use crate::cli::tests::understood;
use crate::harness::{Directory, refusal, spec};

const NEW: &str = r#", "linux": {"namespaces": [{"type": "mount"}]}"#;

fn overlay(upper: &'static str, work: &'static str) -> Overlay {
    Overlay {
        bundle: c"/bundle",
        layers: Box::leak(Box::new(Layers::new())),
        has_own_layers: false,
        upper,
        work,
        size: "",
        writable: "",
        user_attributes: false,
        opened: Cell::new([-1; 2]),
    }
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn the_work_directory_is_beside_the_upper_one() {
    for (upper, work, expected) in [
        ("up", "", "/bundle/up.work"),
        ("up//", "", "/bundle/up.work"),
        ("/data/up/", "", "/data/up.work"),
        ("up", "w", "/bundle/w"),
        ("up", "/w", "/w"),
    ] {
        let overlay = overlay(upper, work);
        assert!(overlay.upper_kind() == Upper::Directory);
        assert_eq!(overlay.work_path().as_str(), expected, "{upper} {work}");
    }
    assert!(overlay("", "").upper_kind() == Upper::Tmpfs);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_does_not_go_together_is_refused() {
    for (options, members, expected) in [
        ("--overlay ", "", "overlay: the container needs a new mount namespace"),
        (
            "--overlay-work w ",
            NEW,
            "overlay: a work directory without an upper one",
        ),
        (
            "--overlay-upper /tmp --overlay-size 1m ",
            NEW,
            "overlay: a directory has no size: that is for a tmpfs",
        ),
        ("--overlay-size 1,mode=777 ", NEW, "overlay: not a size: 1,mode=777"),
    ] {
        let invocation = understood(&format!("roci run {options}web"));
        let refused = refusal(|| read_options(&invocation, spec(members), c"/bundle").map_err(|error| error.never()));
        assert_eq!(refused, expected);
    }
}

/// In one test, since the room for layers is handed out once.
#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_is_asked_for() {
    let read = |options: &str, members: &str| {
        let invocation = understood(&format!("roci run {options}web"));
        read_options(&invocation, spec(members), c"/bundle").unwrap_or_else(|error| error.never())
    };
    assert!(read("", NEW).is_none());
    let annotations = |value: &str| {
        format!(
            r#"{NEW}, "annotations": {{"io.roci.overlay": "{value}", "io.roci.overlay.lower": "/usr:/etc",
            "io.roci.overlay.size": "10%", "io.roci.overlay.tmpfs": "/var"}}"#
        )
    };
    assert!(read("", &annotations("false")).is_none());
    // An option comes before its annotation, for itself.
    let found = read("--overlay-size 16m ", &annotations("true")).expect("an overlay");
    assert!(found.has_own_layers() && found.upper_kind() == Upper::Tmpfs);
    let layers: std::vec::Vec<_> = found.layers.iter().map(|layer| layer.path.to_string()).collect();
    assert_eq!(layers, ["/usr", "/etc"]);
    assert!(
        found
            .layers
            .iter()
            .all(|layer| layer.fd.get() == -1 && layer.kind.get() == Kind::Directory)
    );
    assert_eq!((found.size, found.writable), ("16m", "/var"));
    assert_eq!(found.user_attributes, in_user_namespace());
    assert_eq!(found.opened.get(), [-1; 2]);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_tree_is_removed_as_deep_as_the_kernel_makes_one() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new("overlay-tree");
    let remove = |name| remove_tree(directory.open().as_fd(), name, 0);
    assert_eq!(remove(c"none"), Ok(()));
    directory.write("work/work/#1/file", "");
    directory.write("work/index/file", "");
    std::os::unix::fs::symlink("/tmp", directory.0.join("work/link")).expect("a link");
    let closed = directory.0.join("work/work");
    std::fs::set_permissions(closed, std::fs::Permissions::from_mode(0o000)).expect("the mode");
    assert_eq!(remove(c"work"), Ok(()));
    assert!(!directory.0.join("work").exists() && std::path::Path::new("/tmp").exists());
    // Of directories in directories there may be sixteen below the first.
    let nest = |depth| {
        let path = format!("deep{}", "/d".repeat(depth));
        std::fs::create_dir_all(directory.0.join(path)).expect("directories");
    };
    nest(DEPTH_MAX.into());
    assert_eq!(remove(c"deep"), Ok(()));
    nest(usize::from(DEPTH_MAX) + 1);
    assert_eq!(remove(c"deep"), Err(Errno::NOTEMPTY));
    assert!(directory.0.join("deep").exists());
    // What is no directory is not removed by this, nor what a link leads to.
    std::os::unix::fs::symlink(directory.0.join("deep"), directory.0.join("link")).expect("a link");
    assert_eq!(remove(c"link"), Err(Errno::NOTDIR));
}
