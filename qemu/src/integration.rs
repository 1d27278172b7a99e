//! The integration tests on an emulated machine: with control groups of version 2 alone, as root, on another architecture and
//! with other kernels than that of the machine at hand.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use tests::products;

use crate::architecture::Architecture;
use crate::debian::{Missing, Packages, run};
use crate::image;
use crate::kernel::Kernel;
use crate::tree::Tree;

/// Debian's programs that tests call with options which those of busybox lack, and the packages that have them.
const PROGRAMS: [&str; 9] = [
    "setsid",
    "setpriv",
    "umount",
    "unshare",
    "ip",
    "env",
    "dash",
    "mksquashfs",
    "mkfs.erofs",
];
const PACKAGES: [&str; 8] = [
    "coreutils",
    "dash",
    "erofs-utils",
    "iproute2",
    "libgcc-s1",
    "mount",
    "squashfs-tools",
    "util-linux",
];
/// What tests need of the kernel beyond what containers do.
const MODULES: [&str; 2] = ["dummy", "erofs"];

/// Writes the initramfs that runs the tests whose names contain one of the words.
pub fn write_initramfs(path: &Path, architecture: Architecture, kernel: &Kernel, words: &[String]) -> Result<()> {
    let mut tree = Tree::default();
    for directory in ["dev", "etc", "new", "proc", "root", "run", "sbin", "sys", "tmp"] {
        tree.directory(directory, 0o755);
    }
    tree.character("dev/console", 0o600, 5, 1);
    let release = image::build(architecture.triple)?;
    tree.copy("roci/roci", &release.join("roci"))?;
    tree.copy("roci/roci-init", &release.join("roci-init"))?;
    tree.copy("tests", &tests_executable(architecture)?)?;
    tree.file(
        "words",
        0o644,
        words.iter().map(|word| format!("{word}\n")).collect::<String>(),
    );
    tree.file("init", 0o755, include_str!("../guest/test-init"));
    tree.copy("bin/busybox", &image::busybox(architecture.debian, "bookworm")?)?;
    tree.file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    tree.file("etc/roci/modules", 0o644, "");
    image::add_modules(&mut tree, kernel, architecture, &MODULES)?;
    let packages = Packages::of(architecture.debian, "bookworm").unpacked_whole("test-programs", &PACKAGES)?;
    for program in PROGRAMS {
        let places = ["bin", "sbin", "usr/bin", "usr/sbin"].map(|place| packages.join(place).join(program));
        let found = places.iter().find(|place| place.exists());
        tree.copy(
            &format!("usr/bin/{program}"),
            found.with_context(|| format!("Debian has no {program}"))?,
        )?;
    }
    for directory in ["lib", "lib64", "usr/lib"] {
        if packages.join(directory).exists() {
            add_libraries(&mut tree, &packages, Path::new(directory))?;
        }
    }
    // Unpacking costs an emulated processor more than the machine saves by a smaller file.
    image::write_compressed(&tree, path, Compression::none())
}

/// Shared libraries and the links that name them; plugins and data stay behind.
fn add_libraries(tree: &mut Tree, from: &Path, directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from.join(directory))? {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            // One level below are the directories of the architecture.
            if name.ends_with("-linux-gnu") {
                add_libraries(tree, from, &path)?;
            }
        } else if name.contains(".so") {
            tree.copy(&path.to_string_lossy(), &from.join(&path))?;
        }
    }
    Ok(())
}

/// Builds the tests so that they need no library, with the C library and the linker that come with Rust.
fn tests_executable(architecture: Architecture) -> Result<PathBuf> {
    let mut cargo = products::cargo_with_std(
        architecture.triple,
        &[
            "test",
            "--quiet",
            "-p",
            "tests",
            "--test",
            "runtime",
            "--no-run",
            "--message-format=json",
        ],
    )
    .map_err(anyhow::Error::msg)
    .context(Missing)?;
    let messages = run(&mut cargo)?;
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "runtime").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    let executable = executables
        .next_back()
        .context("cargo names no executable of the tests")?;
    ensure!(executable.exists(), "{} is not there", executable.display());
    Ok(executable)
}
