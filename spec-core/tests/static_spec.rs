//! A `Spec` in a static costs no space in the executable.
#![allow(clippy::unwrap_used, missing_docs)]
#![cfg(target_os = "linux")]

use std::hint::black_box;
use std::sync::Mutex;
use std::{fs, ptr};

use spec_core::Spec;

// One that can be changed: the others lie between the constants of the executable, whatever they are.
static SPEC: Mutex<Spec<'static>> = Mutex::new(Spec::new());

/// What is all zero lies in `.bss`, and that is anonymous memory but for the rest of the page that `.data` ends in. What
/// is not is a part of the file.
#[test]
fn an_empty_spec_is_all_zero() {
    let middle = ptr::from_ref(black_box(&*SPEC.lock().unwrap())).addr() + size_of::<Spec<'_>>() / 2;
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapping = maps.lines().find(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        (usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()).contains(&middle)
    });
    let fields: Vec<&str> = mapping.unwrap().split_whitespace().collect();
    assert_eq!(fields.len(), 5, "{fields:?} is a part of the executable");
}

#[test]
fn an_empty_spec_is_empty() {
    let guard = SPEC.lock().unwrap();
    let spec = black_box(&*guard);
    assert!(spec.oci_version.is_none() && spec.root.is_none() && spec.process.is_none() && spec.hostname.is_none());
    assert!(spec.linux.seccomp.is_none() && spec.linux.intel_rdt.is_none() && spec.linux.memory_policy.is_none());
    assert!(spec.linux.personality.is_none() && spec.linux.rootfs_propagation.is_none());
    assert!(spec.linux.time_offsets.monotonic.is_none() && !spec.linux.resources.present);
    assert!(spec.mounts.is_empty() && spec.list(spec.annotations).is_empty());
}
