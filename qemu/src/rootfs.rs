//! The root file system of a device, for flashing: `target/dist/TARGET/rootfs.tar` and `rootfs.squashfs`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tests::products;

use crate::debian;
use crate::image::{self, Containers};
use crate::tree::Tree;

/// Debian's architecture for the example's busybox, and a release that has it.
const TARGETS: [(&str, &str, &str); 8] = [
    ("aarch64-unknown-linux-musl", "arm64", "bookworm"),
    ("arm-unknown-linux-musleabi", "armel", "bookworm"),
    ("armv7-unknown-linux-musleabihf", "armhf", "bookworm"),
    ("i686-unknown-linux-musl", "i386", "bookworm"),
    ("mips-unknown-linux-musl", "", ""),
    ("mipsel-unknown-linux-musl", "mipsel", "bookworm"),
    ("riscv64gc-unknown-linux-musl", "riscv64", "trixie"),
    ("x86_64-unknown-linux-musl", "amd64", "bookworm"),
];

/// Makes both files; the values are their paths.
pub fn write(triple: &str, containers: &Containers) -> Result<[PathBuf; 2]> {
    let (_, architecture, release) = TARGETS
        .into_iter()
        .find(|(target, ..)| *target == triple)
        .with_context(|| format!("{triple} is none of the targets"))?;
    let mut tree = Tree::default();
    image::add_userland(&mut tree, &image::build(triple)?, containers, || {
        ensure!(
            !architecture.is_empty(),
            "Debian has no busybox for {triple}: name a bundle"
        );
        image::busybox(architecture, release)
    })?;
    // A root that cannot be written needs the places where roci-boot mounts.
    for directory in ["data", "dev", "proc", "run", "sys"] {
        tree.directory(directory, 0o755);
    }
    tree.directory("root", 0o700);
    tree.directory("tmp", 0o1777);
    tree.character("dev/console", 0o600, 5, 1);
    // Whatever name the kernel looks for.
    tree.link("init", "sbin/roci-boot");
    tree.link("sbin/init", "roci-boot");
    let directory = products::target_directory().join("dist").join(triple);
    std::fs::create_dir_all(&directory)?;
    let (archive, image) = (directory.join("rootfs.tar"), directory.join("rootfs.squashfs"));
    tree.write_tar(std::io::BufWriter::new(File::create(&archive)?))?;
    debian::install(&[("sqfstar", "squashfs-tools")])?;
    // From the archive, so that no root is needed for what belongs to root.
    let mut pack = Command::new("sqfstar");
    pack.args([
        "-quiet",
        "-no-progress",
        "-comp",
        "xz",
        "-all-time",
        "0",
        "-mkfs-time",
        "0",
    ]);
    // It does not write over a file.
    if image.exists() {
        std::fs::remove_file(&image)?;
    }
    let output = pack
        .arg(&image)
        .stdin(File::open(&archive)?)
        .stdout(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "sqfstar: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok([archive, image])
}
