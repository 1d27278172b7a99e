//! Linker arguments of the two executables, whose build script this is. They are here and not in a configuration file, so
//! that a plain `cargo build` on a plain host makes the real thing.

use std::env::var;

/// Prints the arguments.
pub fn main() {
    println!("cargo::rerun-if-changed=../targets/link.rs");
    println!("cargo::rerun-if-changed=../targets/program.ld");
    let script = format!(
        "{}/../targets/program.ld",
        var("CARGO_MANIFEST_DIR").unwrap_or_default()
    );
    // The musl targets are linked by rust-lld itself (.cargo/config.toml), a gnu host by way of its C compiler.
    let arguments = if var("TARGET").is_ok_and(|target| target.ends_with("-gnu")) {
        vec![
            // No C runtime: `_start` is ours.
            "-nostartfiles".into(),
            "-nostdlib".into(),
            "-static".into(),
            // At a fixed address: nothing to relocate at start, no dynamic section.
            "-no-pie".into(),
            "-Wl,--build-id=none".into(),
            "-Wl,--gc-sections,-O2".into(),
            format!("-Wl,-T,{script}"),
        ]
    } else {
        vec!["--gc-sections".into(), "-O2".into(), format!("-T{script}")]
    };
    for argument in arguments {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
