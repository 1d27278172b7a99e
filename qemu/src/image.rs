//! What is in an image: the two executables that start a machine, modules, and containers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tests::products;

use crate::architecture::Architecture;
use crate::debian::{Missing, Packages};
use crate::kernel::{Flavour, Kernel};
use crate::tree::Tree;

/// Where bundles lie in an image.
const CONTAINERS: &str = "etc/roci/containers";
/// What containers may need of the kernel: layers, images, cables, address translation.
pub const MODULES: [&str; 13] = [
    "virtio_blk",
    "overlay",
    "loop",
    "squashfs",
    "veth",
    "bridge",
    "nf_tables",
    "nft_chain_nat",
    "nft_masq",
    "nft_nat",
    "nft_fib_inet",
    "nft_ct",
    "virtio_net",
];
/// The names under which the example's busybox is there.
const APPLETS: [&str; 34] = [
    "sh", "ash", "cat", "chmod", "cp", "cut", "date", "dd", "df", "dmesg", "echo", "env", "false", "free", "grep",
    "head", "hostname", "id", "ip", "kill", "ls", "mkdir", "mount", "ps", "rm", "sed", "sleep", "tail", "top", "touch",
    "true", "uname", "vi", "wc",
];
/// What the example does.
const EXAMPLE: &str = "echo \"hello from process $$ on $(hostname): $(uname -m), Linux $(uname -r)\"
echo \"$(cut -d' ' -f1 /proc/uptime) seconds after the kernel's start\"
ps
head -n 1 /proc/self/cgroup
mount | cut -d' ' -f 3,5 | head -n 3
ls /sys/class/net";

/// What to run.
#[derive(Default)]
pub struct Containers {
    /// Bundles; without one there is the example.
    pub bundles: Vec<PathBuf>,
    /// What the example's shell does in place of its own text.
    pub command: Option<String>,
    /// Whether the example is a shell on the console.
    pub shell: bool,
}

/// Adds the executables, `/etc/roci` and the containers. The example is made of the static `busybox`.
pub fn add_userland(
    tree: &mut Tree,
    executables: &Path,
    containers: &Containers,
    busybox: impl FnOnce() -> Result<PathBuf>,
) -> Result<()> {
    for (path, name) in [
        ("bin/roci", "roci"),
        ("bin/roci-init", "roci-init"),
        ("sbin/roci-boot", "roci-boot"),
    ] {
        tree.copy(path, &executables.join(name))?;
    }
    tree.directory(CONTAINERS, 0o755);
    for bundle in &containers.bundles {
        ensure!(
            bundle.join("config.json").exists(),
            "{} is no bundle: it has no config.json",
            bundle.display()
        );
        let path = bundle.canonicalize()?;
        let name = path.file_name().with_context(|| bundle.display().to_string())?;
        tree.copy(&format!("{CONTAINERS}/{}", name.to_string_lossy()), &path)?;
    }
    if containers.bundles.is_empty() {
        add_example(tree, &busybox()?, containers)?;
    }
    Ok(())
}

/// Builds the executables for the target, which rustup may have to add; the value is the directory that has them.
pub fn build(triple: &str) -> Result<PathBuf> {
    products::has_core(triple)
        .map_err(anyhow::Error::msg)
        .context(Missing)?;
    products::build(Some(triple)).map_err(anyhow::Error::msg)
}

/// The static busybox of a Debian release for one of its architectures.
pub fn busybox(architecture: &'static str, release: &str) -> Result<PathBuf> {
    let tree = Packages::of(architecture, release).unpacked("busybox", "^busybox-static$")?;
    // It has moved in later releases.
    let found = ["bin/busybox", "usr/bin/busybox"]
        .map(|path| tree.join(path))
        .into_iter()
        .find(|path| path.exists());
    found.with_context(|| format!("no busybox in {}", tree.display()))
}

fn add_example(tree: &mut Tree, busybox: &Path, containers: &Containers) -> Result<()> {
    let bundle = format!("{CONTAINERS}/example");
    let root = format!("{bundle}/rootfs");
    for directory in ["dev", "etc", "proc", "root", "sys", "tmp"] {
        tree.directory(
            &format!("{root}/{directory}"),
            if directory == "tmp" { 0o1777 } else { 0o755 },
        );
    }
    tree.copy(&format!("{root}/bin/busybox"), busybox)?;
    for applet in APPLETS {
        tree.link(&format!("{root}/bin/{applet}"), "busybox");
    }
    tree.file(&format!("{root}/etc/passwd"), 0o644, "root:x:0:0:root:/root:/bin/sh\n");
    let command = containers.command.as_deref().unwrap_or(EXAMPLE);
    let mut config = match containers.shell && containers.command.is_none() {
        true => tests::default_config(&["/bin/sh"]),
        false => tests::default_config(&["/bin/sh", "-c", command]),
    };
    config["hostname"] = "example".into();
    config["process"]["terminal"] = Value::from(containers.shell);
    tree.file(
        &format!("{bundle}/config.json"),
        0o644,
        serde_json::to_string_pretty(&config)?,
    );
    Ok(())
}

/// Adds the kernel's modules with the list that `roci-boot` loads them by; the value is how many they are.
pub fn add_modules(tree: &mut Tree, kernel: &Kernel, architecture: Architecture, more: &[&str]) -> Result<usize> {
    let mut list = String::new();
    let wanted: Vec<&str> = [architecture.bus_module()]
        .into_iter()
        .chain(MODULES)
        .chain(more.iter().copied())
        .collect();
    let modules = kernel.modules(&wanted)?;
    let count = modules.len();
    for (name, bytes) in modules {
        tree.file(&format!("lib/modules/{name}.ko"), 0o644, bytes);
        list.push_str(&format!("{name}.ko\n"));
    }
    if count > 0 {
        tree.file("etc/roci/modules", 0o644, list);
    }
    Ok(count)
}

/// Writes the initramfs that starts a machine with these containers.
pub fn write_initramfs(
    path: &Path,
    architecture: Architecture,
    flavour: Flavour,
    kernel: &Kernel,
    containers: &Containers,
) -> Result<()> {
    let mut tree = Tree::default();
    add_userland(&mut tree, &build(architecture.triple)?, containers, || {
        busybox(architecture.debian, "bookworm")
    })?;
    tree.link("init", "sbin/roci-boot");
    // The kernel opens it for the first process, which makes the rest of /dev.
    tree.character("dev/console", 0o600, 5, 1);
    tree.directory("root", 0o700);
    if flavour == Flavour::Debian {
        add_modules(&mut tree, kernel, architecture, &[])?;
    }
    write_compressed(&tree, path, Compression::best())
}

/// Packs a tree for the kernel.
pub fn write_compressed(tree: &Tree, path: &Path, level: Compression) -> Result<()> {
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut packed = GzEncoder::new(file, level);
    tree.write_cpio(&mut packed)?;
    packed.finish()?.into_inner().map_err(|error| error.into_error())?;
    Ok(())
}
