//! The executables: building them for this machine and for others, and what they must and must not contain.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use object::{Object, ObjectKind, ObjectSymbol};

/// What `roci` may weigh where nothing else is said. With the linker of the host it is a little larger.
pub const ROCI_BYTES_MAX: u64 = 223 * 1024;
/// What it may weigh without all that can be left out.
pub const ROCI_SMALLEST_BYTES_MAX: u64 = 126 * 1024;
/// What it may weigh on x86_64 with all that the specification has, and nothing beside it.
pub const ROCI_SPECIFICATION_BYTES_MAX: u64 = 160 * 1024;
/// What `roci-init` may weigh.
pub const INIT_BYTES_MAX: u64 = 8 * 1024;
/// What `roci-boot` may weigh.
pub const BOOT_BYTES_MAX: u64 = 64 * 1024;

/// The executables.
pub const EXECUTABLES: [&str; 3] = ["roci", "roci-init", "roci-boot"];

/// A machine that roci is built for; `targets/TRIPLE.toml` says how.
pub struct Target {
    /// Its name, as rustc has it.
    pub triple: &'static str,
    /// The program that runs its executables on another machine, and the Debian package that has it.
    pub emulator: &'static str,
    /// What seccomp calls its own system calls.
    pub seccomp: &'static str,
    /// Whether it may fail to build, and nobody is surprised.
    pub is_experimental: bool,
    /// What each executable may weigh there, in bytes.
    pub limits: [u64; 3],
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target::new("x86_64-unknown-linux-musl", "qemu-x86_64-static", "SCMP_ARCH_X86_64"),
    Target::new("aarch64-unknown-linux-musl", "qemu-aarch64-static", "SCMP_ARCH_AARCH64"),
    Target::new("armv7-unknown-linux-musleabihf", "qemu-arm-static", "SCMP_ARCH_ARM"),
    Target {
        // Every instruction has 32 bits there.
        limits: [256 * 1024, 10 * 1024, 72 * 1024],
        ..Target::new("arm-unknown-linux-musleabi", "qemu-arm-static", "SCMP_ARCH_ARM")
    },
    Target::new(
        "riscv64gc-unknown-linux-musl",
        "qemu-riscv64-static",
        "SCMP_ARCH_RISCV64",
    ),
    Target {
        // It has so few registers that much is kept on the stack.
        limits: [224 * 1024, 16 * 1024, 72 * 1024],
        ..Target::new("i686-unknown-linux-musl", "qemu-i386-static", "SCMP_ARCH_X86")
    },
    Target {
        is_experimental: true,
        limits: [334 * 1024, 14 * 1024, 108 * 1024],
        ..Target::new("mipsel-unknown-linux-musl", "qemu-mipsel-static", "SCMP_ARCH_MIPSEL")
    },
];

impl Target {
    const fn new(triple: &'static str, emulator: &'static str, seccomp: &'static str) -> Self {
        Self {
            triple,
            emulator,
            seccomp,
            is_experimental: false,
            limits: [ROCI_BYTES_MAX, INIT_BYTES_MAX, BOOT_BYTES_MAX],
        }
    }

    /// Whether this machine runs its executables without help.
    pub fn is_native(&self) -> bool {
        let host = std::env::consts::ARCH;
        self.triple.starts_with(host) || host == "x86_64" && self.triple.starts_with("i686")
    }
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// Where cargo builds to.
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// A call of cargo in the workspace, by the cargo that runs us.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(workspace()).stdin(Stdio::null());
    // What cargo told us about this crate is not meant for what we build.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command; the error is the end of what it said.
pub fn run(command: &mut Command) -> Result<Output, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<_> = text.lines().collect();
    Err(lines[lines.len().saturating_sub(60)..].join("\n"))
}

/// A call of cargo that builds for a machine, as its file in `targets/` says.
///
/// Where rustup has no precompiled `core` for it, `core` is compiled from its source, which is a component of the toolchain.
///
/// # Errors
/// One line that says what is missing, and how to get it.
pub fn cargo_for(triple: &str, args: &[&str]) -> Result<Command, String> {
    let mut command = cargo(args);
    let settings = workspace().join("targets").join(format!("{triple}.toml"));
    if !settings.exists() {
        let known: Vec<_> = TARGETS.iter().map(|target| target.triple).collect();
        return Err(format!("no target {triple}; there are {}", known.join(", ")));
    }
    command.args(["--target", triple, "--config"]).arg(settings);
    // What the environment has for every target is not meant for this one.
    command.env_remove("RUSTFLAGS");
    if !has_core(triple)? {
        // The switch is for what only nightly has otherwise.
        command.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
    }
    Ok(command)
}

/// Whether the toolchain has `core` for the machine, precompiled; else its source.
///
/// # Errors
/// One line that says how to get either.
pub fn has_core(triple: &str) -> Result<bool, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = run(Command::new(rustc).args(["--print", "sysroot"]))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim()).join("lib/rustlib");
    let precompiled = libraries.join(triple).join("lib");
    let source = libraries.join("src/rust/library/core");
    let rustup = |words: &[&str]| {
        let added = Command::new("rustup").args(words).stdin(Stdio::null()).output();
        added.is_ok_and(|output| output.status.success())
    };
    if precompiled.exists() || rustup(&["target", "add", triple]) && precompiled.exists() {
        return Ok(true);
    }
    if source.exists() || rustup(&["component", "add", "rust-src"]) && source.exists() {
        return Ok(false);
    }
    Err(format!(
        "the toolchain has no core for {triple}: `rustup target add {triple}` or `rustup component add rust-src` brings it"
    ))
}

/// A call of cargo that builds programs with std for a machine so that they need no library, with the C library and the linker
/// that come with Rust. It is in a directory of its own: these are not the settings of the products.
///
/// # Errors
/// One line that says how to get what is missing.
pub fn cargo_with_std(triple: &str, args: &[&str]) -> Result<Command, String> {
    if !has_core(triple)? {
        return Err(format!(
            "the toolchain has no std for {triple}: `rustup target add {triple}` brings it"
        ));
    }
    let mut command = cargo(args);
    command
        .args(["--target", triple])
        .env(variable_of(triple, "LINKER"), "rust-lld")
        .env("CARGO_TARGET_DIR", target_directory().join("with-std"))
        .env(
            "RUSTFLAGS",
            "-Clinker-flavor=ld.lld -Clink-self-contained=yes -Ctarget-feature=+crt-static -Cstrip=symbols",
        );
    Ok(command)
}

/// A call of Miri, the interpreter that comes with nightly.
///
/// # Errors
/// One line that says how to get what is missing.
pub fn cargo_miri(args: &[&str]) -> Result<Command, String> {
    let nightly = |words: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(["run", "nightly"]).args(words).current_dir(workspace());
        // This program was started by another toolchain, which is not to be used for the rest.
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        command
    };
    let sysroot = run(&mut nightly(&["rustc", "--print", "sysroot"])).map_err(|_| {
        "there is no nightly toolchain: `rustup toolchain install nightly --component miri,rust-src` brings it"
            .to_owned()
    })?;
    let source = Path::new(String::from_utf8_lossy(&sysroot.stdout).trim()).join("lib/rustlib/src/rust/library/core");
    if !source.exists() || run(&mut nightly(&["cargo", "miri", "--version"])).is_err() {
        return Err(
            "nightly has no Miri: `rustup component add --toolchain nightly miri rust-src` brings it".to_owned(),
        );
    }
    let mut command = nightly(&["cargo", "miri"]);
    command
        .args(args)
        .env_remove("RUSTFLAGS")
        .env("CARGO_TARGET_DIR", target_directory().join("miri"))
        // What lives as long as the program is not freed.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-ignore-leaks")
        .env("PROPTEST_CASES", "4");
    Ok(command)
}

/// The environment variable of cargo with something that is said of one target.
pub fn variable_of(triple: &str, what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", triple.replace('-', "_").to_uppercase())
}

/// Builds the products, by a command of their own: cargo unifies the features of everything that one command builds.
/// Returns the directory that holds them.
pub fn build(triple: Option<&str>) -> Result<PathBuf, String> {
    let args = ["build", "--release", "--quiet"];
    match triple {
        Some(triple) => run(&mut cargo_for(triple, &args)?)?,
        None => run(&mut cargo(&args))?,
    };
    Ok(target_directory().join(triple.unwrap_or_default()).join("release"))
}

/// What is wrong with an executable of ours; the limit is in bytes. Where nothing is, its size.
pub fn check_executable(path: &Path, limit: u64) -> Result<u64, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = object::File::parse(&*bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let size = bytes.len() as u64;
    if size >= limit {
        return Err(format!("{size} bytes, the limit is {limit}"));
    }
    if file.kind() != ObjectKind::Executable {
        return Err("is not linked to a fixed address".to_owned());
    }
    for section in [".interp", ".dynamic"] {
        if file.section_by_name(section).is_some() {
            return Err(format!("has {section}: it is not linked statically"));
        }
    }
    if file.symbols().next().is_some() {
        return Err("has a symbol table: it is not stripped".to_owned());
    }
    Ok(size)
}

/// Symbols that show a libc, a heap or the formatter of `core`: one careless panic brings back its kilobytes. Only an
/// executable that was not stripped can be asked.
pub fn check_symbols(path: &Path) -> Result<(), String> {
    const HEAP: [&str; 8] = [
        "malloc",
        "calloc",
        "realloc",
        "__rust_alloc",
        "__rustc_alloc",
        "__rg_alloc",
        "__rdl_alloc",
        "sbrk",
    ];
    const LIBC: [&str; 4] = ["__libc_start_main", "__errno_location", "printf", "pthread_create"];
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = object::File::parse(&*bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut count = 0;
    for symbol in file.symbols() {
        count += 1;
        let name = symbol.name().unwrap_or_default();
        if symbol.is_undefined() && !name.is_empty() && !symbol.is_weak() {
            return Err(format!("the symbol {name} is undefined"));
        }
        if HEAP.iter().chain(&LIBC).any(|other| name == *other) {
            return Err(format!("contains {name}"));
        }
        if name.contains("5alloc") && name.contains("GlobalAlloc") {
            return Err(format!("contains the allocator {name}"));
        }
        if name.contains("fmt") && name.contains("9Formatter") {
            return Err(format!("contains the formatter: {name}"));
        }
    }
    if count == 0 {
        Err("has no symbols to look at".to_owned())
    } else {
        Ok(())
    }
}
