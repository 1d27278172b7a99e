//! Hierarchies, and the directories of cgroups in them.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::super::members::DEPTH_MAX;
use super::*;

/// A hierarchy of version 1 is joined where a limit needs it, and that is noted; in version 2 there is nothing to join.
#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_hierarchy_is_made_where_a_limit_needs_it() {
    let spec = spec(&resources(r#"{"pids": {"limit": 5}}"#));
    let refused_in = |world: &World, made: &Cell<Hierarchies>| {
        let path = c"/d/e";
        refusal(|| {
            apply(&world.host, path, made, spec, &spec.linux.resources, Purpose::Create).map_err(|error| error.never())
        })
    };
    let world = World::new(false);
    let made = Cell::new(Hierarchies::NONE);
    // The cgroup is made, and has no such file, as no directory of ours.
    let refused = refused_in(&world, &made);
    assert!(refused.contains("pids with pids.max"), "{refused}");
    assert!(world.directory.0.join("pids/d/e").is_dir());
    assert!(!world.directory.0.join("memory/d").exists());
    // In the fifth line.
    assert!(made.get() == Hierarchies(1 << 4));
    let world = World::new(true);
    let made = Cell::new(Hierarchies::NONE);
    refused_in(&world, &made);
    assert!(!world.directory.0.join("d").exists() && made.get() == Hierarchies::NONE);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn lines_are_hierarchies() {
    let world = World::new(false);
    let lines: Vec<_> = world.host.lines().collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[1], ("cpu,cpuacct", "/user"));
    assert_eq!(lines[10], ("systemd", "/user/session"));
    assert_eq!(
        World::new(true).host.lines().collect::<Vec<_>>(),
        [("", "/user/session")]
    );
    let place = |controller| world.host.hierarchy_of(controller).map(|(place, _)| place);
    assert_eq!(
        [
            place("cpuset"),
            place("cpu"),
            place("cpuacct"),
            place("systemd"),
            place("c"),
            place("misc")
        ],
        [Some(0), Some(1), Some(1), Some(10), None, None]
    );
    assert_eq!(World::new(true).host.hierarchy_of("cpu"), Some((0, "")));
    let main = |text| {
        let mut world = World::new(false);
        world.host.text = text;
        let (place, name) = world.host.main_hierarchy();
        (place, name.to_string())
    };
    assert_eq!(main(VERSION_1), (9, "freezer".to_string()));
    assert_eq!(main("2:cpu:/\n1:pids:/\n"), (1, "pids".to_string()));
    assert_eq!(main("2:cpu:/\n1:memory:/\n"), (0, "cpu".to_string()));
    let systemds = |is_v2, name| World::new(is_v2).host.is_systemds(name);
    assert!(systemds(true, "") && systemds(false, "systemd") && !systemds(false, "cpu"));
}

/// A path that begins with a slash counts from the top, any other one from the cgroup of who calls.
#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn the_path_of_a_container() {
    let path = |is_v2, text: &'static str, wanted: &str| {
        let mut world = World::new(is_v2);
        world.host.text = text;
        let members = match wanted {
            "" => String::new(),
            path => format!(r#", "linux": {{"cgroupsPath": "{path}"}}"#),
        };
        let path = world.host.path_for(spec(&members), c"web");
        path.unwrap_or_else(|error| error.never()).as_str().to_string()
    };
    for (is_v2, text, wanted, expected) in [
        (false, "1:cpu:/\n", "/a/b", "/a/b"),
        (false, "1:cpu:/\n", "a/b//", "/a/b"),
        (false, "1:cpu:/\n", "", "/web"),
        (false, "1:cpu:/user\n", "/a", "/a"),
        (false, "1:cpu:/user\n", "a", "/user/a"),
        (false, "1:cpu:/user\n", "", "/user/web"),
        // Next to who calls: a cgroup with processes hands no controllers on.
        (true, "0::/\n", "", "/web"),
        (true, "0::/user\n", "", "/web"),
        (true, "0::/user/session\n", "a", "/user/a"),
        (true, "0::/user/session\n", "/a", "/a"),
    ] {
        assert_eq!(path(is_v2, text, wanted), expected, "{text} {wanted}");
    }
    for root in ["/", "//", ".", "/./"] {
        let refused = refusal(|| path(true, VERSION_2, root));
        assert!(
            refused.contains("the root cgroup cannot be a container's"),
            "{root}: {refused}"
        );
    }
}

#[test]
fn hierarchies_are_bits() {
    let some = Hierarchies::NONE.with(0).with(19);
    let found: Vec<_> = (0..64).filter(|place| some.contains(*place)).collect();
    assert_eq!(found, [0, 19]);
    assert!(some.with(19) == some);
    // One that has no bit is in none, and in all there are not more than bits.
    assert!(some.with(40) == some);
    assert!(Hierarchies::ALL.contains(31) && !Hierarchies::ALL.contains(32));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn directories_are_made_below_a_hierarchy_and_not_in_its_place() {
    let directory = Directory::new("cgroup-make");
    let top = directory.open();
    let make = |path, hierarchy| make_directory(top.as_fd(), path, hierarchy);
    assert_eq!(make(c"cpu/a/b", 3), Err(Errno::NOENT));
    assert!(!directory.0.join("cpu").exists());
    std::fs::create_dir(directory.0.join("cpu")).expect("the hierarchy");
    assert_eq!(make(c"cpu/a/b/c", 3), Ok(()));
    assert_eq!(make(c"cpu/a/b/c", 3), Ok(()));
    assert!(directory.0.join("cpu/a/b/c").is_dir());
    // In version 2 there is no name before the path.
    assert_eq!(make(c"x/y", 0), Ok(()));
    assert!(directory.0.join("x/y").is_dir());
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn processes_are_those_of_all_cgroups_below() {
    let world = World::new(true);
    let mut long = String::new();
    // More than is read at once, so that a number is cut.
    for number in 10_000..12_000 {
        long.push_str(&format!("{number}\n"));
    }
    world.directory.write("c/cgroup.procs", "0\n12\n7\n");
    world.directory.write("c/below/cgroup.procs", &long);
    world.directory.write("c/below/deeper/cgroup.procs", "2147483647\n");
    let mut found = Vec::new();
    assert_eq!(world.host.for_each_process(c"/c", &mut |pid| found.push(pid)), Ok(true));
    assert_eq!(found.len(), 2 + 2000 + 1);
    found.sort_unstable();
    assert_eq!(found[..3], [7, 12, 10_000]);
    assert_eq!(found[2001..], [11_999, i32::MAX]);
    assert_eq!(
        world.host.for_each_process(c"/d", &mut |_| panic!("nobody is there")),
        Ok(false)
    );
    // In version 1 in the hierarchy that every container is in, or another one.
    let world = World::new(false);
    world.directory.write("freezer/c/cgroup.procs", "5\n");
    world.directory.write("pids/c/cgroup.procs", "6\n");
    world.directory.write("pids/d/cgroup.procs", "8\n");
    for (path, expected) in [(c"/c", 5), (c"/d", 8)] {
        let mut found = Vec::new();
        assert_eq!(world.host.for_each_process(path, &mut |pid| found.push(pid)), Ok(true));
        assert_eq!(found, [expected]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn processes_that_cannot_be_listed_are_told_after_the_others() {
    let world = World::new(true);
    let list = |path| {
        let mut found = Vec::new();
        let outcome = world.host.for_each_process(path, &mut |pid| found.push(pid));
        found.sort_unstable();
        (outcome, found)
    };
    world.directory.write("c/cgroup.procs", "5\n");
    world.directory.write("c/last/cgroup.procs", "7\n");
    // One that has just gone, from which the kernel takes its files first.
    std::fs::create_dir(world.directory.0.join("c/gone")).expect("a directory");
    assert_eq!(list(c"/c"), (Ok(true), std::vec![5, 7]));
    // A file in whose place a directory is can be opened, and not read.
    std::fs::create_dir_all(world.directory.0.join("c/first/cgroup.procs")).expect("a directory");
    world.directory.write("c/first/below/cgroup.procs", "6\n");
    assert_eq!(list(c"/c"), (Err(Errno::ISDIR), std::vec![5, 6, 7]));
    assert_eq!(list(c"/c/first"), (Err(Errno::ISDIR), std::vec![6]));
    // A file is no cgroup.
    assert_eq!(list(c"/c/cgroup.procs"), (Err(Errno::NOTDIR), std::vec![]));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_cgroup_is_followed_to_a_depth_and_no_deeper() {
    let world = World::new(true);
    let mut path = "c".to_string();
    for depth in 0..=DEPTH_MAX + 1 {
        world
            .directory
            .write(&format!("{path}/cgroup.procs"), &format!("{}\n", depth + 1));
        path.push_str("/d");
    }
    let mut deepest = 0;
    assert_eq!(
        world
            .host
            .for_each_process(c"/c", &mut |pid| deepest = deepest.max(pid)),
        Ok(true)
    );
    assert_eq!(deepest as usize, DEPTH_MAX + 1);
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn numbers_are_read_from_files_and_members_of_files() {
    let world = World::new(true);
    world.directory.write("c/cgroup.type", " domain \n");
    let cgroup = Cgroup::of(&world.host, c"/c");
    let mut memory = [0; 64];
    assert_eq!(cgroup.read("", "cgroup.type", &mut memory), "domain");
    assert_eq!(cgroup.read("", "no.such", &mut memory), "");
    let opened = cgroup.open("", "no.such", OFlags::RDONLY);
    assert_eq!(opened.err(), Some(Errno::NOENT));
    let world = World::new(false);
    let opened = Cgroup::of(&world.host, c"/c").open("misc", "misc.max", OFlags::RDONLY);
    assert_eq!(opened.err(), Some(Errno::NODEV));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_a_container_made_below_goes_too() {
    let directory = Directory::new("cgroup-remove");
    std::fs::create_dir_all(directory.0.join("a/b/c")).expect("directories");
    std::fs::create_dir_all(directory.0.join("d")).expect("directories");
    remove_below(directory.open().as_fd());
    assert_eq!(std::fs::read_dir(&directory.0).expect("the directory").count(), 0);
    let host = Host {
        top: directory.open(),
        is_v2: false,
        text: "2:cpu:/\n1:memory:/\n",
    };
    for path in ["cpu/c", "memory/c"] {
        std::fs::create_dir_all(directory.0.join(path)).expect("directories");
    }
    assert_eq!(host.try_remove(c"/c", Hierarchies::NONE.with(1)), Ok(()));
    assert!(directory.0.join("cpu/c").exists() && !directory.0.join("memory/c").exists());
    assert_eq!(host.try_remove(c"/c", Hierarchies::ALL), Ok(()));
    assert!(!directory.0.join("cpu/c").exists());
    host.unmake("memory", c"/none");
    std::fs::create_dir(directory.0.join("memory/c")).expect("a directory");
    host.unmake("memory", c"/c");
    assert!(!directory.0.join("memory/c").exists());
    // What is nested deeper than is followed stays, with what is above it.
    let deep = format!("deep{}", "/d".repeat(DEPTH_MAX));
    std::fs::create_dir_all(directory.0.join(&deep)).expect("directories");
    remove_below(directory.open().as_fd());
    assert!(directory.0.join(&deep).exists());
    std::fs::remove_dir(directory.0.join(&deep)).expect("the deepest");
    remove_below(directory.open().as_fd());
    assert!(!directory.0.join("deep").exists());
    directory.write("cpu/file", "");
    assert_eq!(host.try_remove(c"/file", Hierarchies::ALL), Err(Errno::NOTDIR));
}
