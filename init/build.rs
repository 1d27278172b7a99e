//! Linker arguments of the executable. They are here and not in a configuration file, so that a plain `cargo build` on a
//! plain host makes the real thing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    // The musl targets are linked by rust-lld with the settings of .cargo/config.toml; a gnu host links by its C compiler.
    if target.ends_with("-linux-gnu") {
        for argument in [
            // No C runtime: `_start` is ours.
            "-nostartfiles",
            "-nostdlib",
            "-static",
            // At a fixed address: nothing to relocate at start, no dynamic section.
            "-no-pie",
            "-Wl,--build-id=none",
            // One segment less, and no page of padding before the code: a page is 3 % of the program.
            "-Wl,-z,noseparate-code",
            "-Wl,-z,norelro",
            "-Wl,--no-eh-frame-hdr",
            "-Wl,--gc-sections",
        ] {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}
