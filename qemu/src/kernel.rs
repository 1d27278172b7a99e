//! Kernels: Debian's, with its modules, and a small one that is built from Debian's source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use tests::products::workspace;

use crate::architecture::Architecture;
use crate::debian::{self, Packages, cache, run};

/// Which kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavour {
    /// Debian's for machines in clouds: nearly everything is a module.
    Debian,
    /// Built from `qemu/kernel/*.config`: what containers need, and no modules.
    Small,
}

impl Flavour {
    /// The one with this name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "debian" => Ok(Self::Debian),
            "small" => Ok(Self::Small),
            _ => bail!("there is no kernel {name}, only debian and small"),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Small => "small",
        }
    }
}

/// A kernel that can be started.
pub struct Kernel {
    /// The file that QEMU loads.
    pub image: PathBuf,
    /// The modules by their names, with `-` as `_`.
    modules: BTreeMap<String, PathBuf>,
}

impl Kernel {
    /// Fetches or builds it.
    pub fn of(architecture: Architecture, flavour: Flavour, release: &str) -> Result<Self> {
        match flavour {
            Flavour::Debian => debian_kernel(architecture, release),
            Flavour::Small => small_kernel(architecture),
        }
    }

    /// The modules and what they need, each after what it needs, with their contents. What is not there is built in, or this
    /// kernel does not have it.
    pub fn modules(&self, wanted: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            self.add_module(name, &mut seen, &mut order)?;
        }
        Ok(order)
    }

    fn add_module(&self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
        let mut name = name.replace('-', "_");
        if !self.modules.contains_key(&name) {
            // An algorithm is asked for by its name, which its portable implementation has as another one.
            name.push_str("_generic");
        }
        let Some(path) = self.modules.get(&name).filter(|_| seen.insert(name.clone())) else {
            return Ok(());
        };
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => products_bytes(Command::new("xz").arg("-dc").arg(path))?,
            _ => std::fs::read(path)?,
        };
        for needed in needs(&bytes) {
            self.add_module(&needed, seen, order)?;
        }
        order.push((name, bytes));
        Ok(())
    }
}

fn products_bytes(command: &mut Command) -> Result<Vec<u8>> {
    Ok(tests::products::run(command).map_err(anyhow::Error::msg)?.stdout)
}

/// The names after `depends=` and `softdep=pre:` among the strings that a module says of itself.
fn needs(module: &[u8]) -> Vec<String> {
    let strings = module
        .split(|&byte| byte == 0)
        .filter_map(|text| std::str::from_utf8(text).ok());
    strings
        .filter_map(|text| {
            text.strip_prefix("depends=")
                .or_else(|| text.strip_prefix("softdep=pre:"))
        })
        .flat_map(|names| names.split([',', ' ']))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn debian_kernel(architecture: Architecture, release: &str) -> Result<Kernel> {
    // The release's own line: newer ones, which it also has, are other releases' here.
    let line = match release {
        "bullseye" => "5\\.10\\.0",
        "bookworm" => "6\\.1\\.0",
        "trixie" => "6\\.12",
        _ => "[0-9]",
    };
    let matches = format!("^linux-image-{line}[-+.0-9deb]*-{}$", architecture.variant);
    let tree = Packages::of(architecture.debian, release).unpacked("kernel", &matches)?;
    let mut modules = BTreeMap::new();
    find_modules(&tree, &mut modules)?;
    ensure!(!modules.is_empty(), "no modules in {}", tree.display());
    let image = std::fs::read_dir(tree.join("boot"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinu"))
        });
    Ok(Kernel {
        image: image.with_context(|| format!("no kernel in {}", tree.display()))?,
        modules,
    })
}

fn find_modules(directory: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            find_modules(&path, found)?;
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            found.insert(name.replace('-', "_"), path);
        }
    }
    Ok(())
}

/// Builds the small kernel, or brings an older build up to date: an option that was changed costs what depends on it.
fn small_kernel(architecture: Architecture) -> Result<Kernel> {
    let configurations =
        ["common", architecture.name].map(|name| workspace().join(format!("qemu/kernel/{name}.config")));
    ensure!(
        configurations.iter().all(|path| path.exists()),
        "nobody has written a small kernel for {}",
        architecture.name
    );
    let foreign = architecture.name != std::env::consts::ARCH;
    let compiler = format!("{}gcc", if foreign { architecture.cross } else { "" });
    debian::install(&[
        (&compiler, if foreign { "gcc-aarch64-linux-gnu" } else { "gcc" }),
        ("make", "make"),
        ("flex", "flex"),
        ("bison", "bison"),
        ("bc", "bc"),
        ("xz", "xz-utils"),
        ("/usr/include/libelf.h", "libelf-dev"),
    ])?;
    let source = source()?;
    let build = cache().join(format!("small-{}", architecture.name));
    std::fs::create_dir_all(&build)?;
    let mut fragment = String::new();
    for path in configurations {
        fragment.push_str(&std::fs::read_to_string(&path).with_context(|| path.display().to_string())?);
    }
    let image = build.join(architecture.image);
    let fragment_file = build.join("fragment");
    if image.exists() && std::fs::read_to_string(&fragment_file).is_ok_and(|built| built == fragment) {
        return Ok(Kernel {
            image,
            modules: BTreeMap::new(),
        });
    }
    eprintln!("building a small kernel for {}, which takes minutes", architecture.name);
    let new = build.join("fragment.new");
    std::fs::write(&new, &fragment)?;
    let make = |target: &str| {
        let mut command = Command::new("nice");
        command.args([
            "make",
            "-s",
            &format!("-j{}", std::thread::available_parallelism().map_or(2, usize::from)),
            "-C",
        ]);
        command.arg(&source).arg(format!("O={}", build.display()));
        command.arg(format!("ARCH={}", architecture.kernel));
        if foreign {
            command.arg(format!("CROSS_COMPILE={}", architecture.cross));
        }
        // The same source gives the same kernel.
        command.args([
            "KBUILD_BUILD_TIMESTAMP=1970-01-01",
            "KBUILD_BUILD_USER=roci",
            "KBUILD_BUILD_HOST=roci",
        ]);
        command.arg(target).env("KCONFIG_ALLCONFIG", &new);
        run(&mut command).with_context(|| format!("make {target} of the kernel"))
    };
    make("allnoconfig")?;
    check_config(&fragment, &build.join(".config"))?;
    make(architecture.image.rsplit('/').next().unwrap_or_default())?;
    std::fs::rename(new, fragment_file)?;
    Ok(Kernel {
        image,
        modules: BTreeMap::new(),
    })
}

/// The kernel drops what it cannot have, without a word.
fn check_config(fragment: &str, config: &Path) -> Result<()> {
    let text = std::fs::read_to_string(config)?;
    let dropped: Vec<&str> = fragment
        .lines()
        .filter(|line| line.starts_with("CONFIG_") && !text.lines().any(|have| have == *line))
        .collect();
    ensure!(dropped.is_empty(), "this kernel does not take {}", dropped.join(", "));
    Ok(())
}

/// The source of Debian's kernel, unpacked.
fn source() -> Result<PathBuf> {
    const PACKAGE: &str = "linux-source-6.1";
    let tree = cache().join(PACKAGE);
    if tree.exists() {
        return Ok(tree);
    }
    let package = Packages::of("amd64", "bookworm").unpacked("kernel-source", &format!("^{PACKAGE}$"))?;
    let new = tempfile::Builder::new().prefix("new-").tempdir_in(cache())?;
    let archive = package.join(format!("usr/src/{PACKAGE}.tar.xz"));
    run(Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .arg("--strip-components=1")
        .arg("-C")
        .arg(new.path()))?;
    std::fs::rename(new.keep(), &tree)?;
    Ok(tree)
}
