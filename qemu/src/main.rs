//! `cargo qemu`: an image of a machine that is a kernel, roci and containers, and an emulated machine that runs it.

mod architecture;
mod debian;
mod image;
mod integration;
mod kernel;
mod machine;
mod measure;
mod rootfs;
mod tree;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lexopt::prelude::*;

use architecture::Architecture;
use image::Containers;
use kernel::{Flavour, Kernel};
use machine::{Console, Machine, Outcome, Root};

const USAGE: &str = "\
cargo qemu [OPTION]...                run containers on an emulated machine, which is a kernel and roci
cargo qemu --test [OPTION]... WORD... run the integration tests there whose names contain one of the words
cargo qemu --smallest [OPTION]...     find the least memory with which the example runs
cargo qemu --rootfs TARGET            make target/dist/TARGET/rootfs.tar and rootfs.squashfs

  --arch aarch64|armv7|mipsel|x86_64  the machine [aarch64]; armv7 and mipsel have Debian's kernel alone, and no tests
  --kernel debian|small               Debian's, or a small one that is built once [debian]
  --release NAME                      the Debian release of that kernel [bookworm]
  --memory MIB                        [256; for tests 1024]
  --bundle DIR                        a bundle to run, in the order of their names; without one there is an example
  --command TEXT                      what the example's shell does
  --console                           the example is a shell on this terminal; ^A x ends the machine
  --verbose                           show what the kernel says
  --seconds N                         how long the machine may run [120; for tests 3600]
  --squashfs                          the root is the file of --rootfs as a disk, and no initramfs; with --kernel small
  --keep FILE                         leave the initramfs there
  --ramdisk                           the tests stay on the ramdisk, from which pivot_root cannot lead

The exit status is that of the first container that did not end with 0, or of the tests, or 0; 125 where the machine did not
get that far, 77 where a package cannot be had.
";

/// What is to be done.
enum Task {
    Boot,
    Test { words: Vec<String>, ramdisk: bool },
    Smallest,
    Rootfs(String),
}

/// What the command line says.
struct Order {
    task: Task,
    architecture: Architecture,
    flavour: Flavour,
    release: String,
    memory: Option<u32>,
    containers: Containers,
    console: Console,
    limit: Option<u64>,
    keep: Option<PathBuf>,
    squashfs: bool,
}

fn main() -> ExitCode {
    let done = match parse(std::env::args_os().skip(1).collect()) {
        Ok(Some(order)) => carry_out(&order),
        Ok(None) => Ok(0),
        Err(error) => {
            eprintln!("cargo qemu: {error:#}; --help lists the options");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("cargo qemu: {error:#}");
            let is_missing = error.downcast_ref::<debian::Missing>().is_some();
            ExitCode::from(if is_missing { NOT_HAD } else { NOT_THAT_FAR })
        }
    }
}

/// The status where there is none of a container.
const NOT_THAT_FAR: u8 = 125;
/// The status where a package cannot be had.
const NOT_HAD: u8 = 77;

fn parse(words: Vec<OsString>) -> Result<Option<Order>> {
    let mut order = Order {
        task: Task::Boot,
        architecture: Architecture::named("aarch64")?,
        flavour: Flavour::Debian,
        release: "bookworm".to_owned(),
        memory: None,
        containers: Containers::default(),
        console: Console::Shown,
        limit: None,
        keep: None,
        squashfs: false,
    };
    let (mut tests, mut ramdisk, mut filters) = (false, false, Vec::new());
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(word) = parser.next()? {
        match word {
            Long("arch") => order.architecture = Architecture::named(&parser.value()?.string()?)?,
            Long("kernel") => order.flavour = Flavour::named(&parser.value()?.string()?)?,
            Long("release") => order.release = parser.value()?.string()?,
            Long("memory") => order.memory = Some(parser.value()?.parse()?),
            Long("bundle") => order.containers.bundles.push(parser.value()?.into()),
            Long("command") => order.containers.command = Some(parser.value()?.string()?),
            Long("console") => {
                order.console = Console::Kept;
                order.containers.shell = true;
            }
            Long("verbose") => order.console = Console::Verbose,
            Long("seconds") => order.limit = Some(parser.value()?.parse()?),
            Long("keep") => order.keep = Some(parser.value()?.into()),
            Long("squashfs") => order.squashfs = true,
            Long("test") => tests = true,
            Long("ramdisk") => ramdisk = true,
            Long("smallest") => order.task = Task::Smallest,
            Long("rootfs") => order.task = Task::Rootfs(parser.value()?.string()?),
            Value(word) if tests => filters.push(word.string()?),
            Short('h') | Long("help") => {
                print!("{USAGE}");
                return Ok(None);
            }
            _ => return Err(word.unexpected().into()),
        }
    }
    if tests {
        order.task = Task::Test {
            words: filters,
            ramdisk,
        };
    }
    Ok(Some(order))
}

fn carry_out(order: &Order) -> Result<u8> {
    if let Task::Rootfs(triple) = &order.task {
        for path in rootfs::write(triple, &order.containers)? {
            println!("{}", path.display());
        }
        return Ok(0);
    }
    let kernel = Kernel::of(order.architecture, order.flavour, &order.release)?;
    match &order.task {
        Task::Test { words, ramdisk } => test(order, &kernel, words, *ramdisk),
        Task::Smallest => {
            let directory = tempfile::tempdir()?;
            let path = order.make_root(&kernel, directory.path())?;
            let root = order.root(&path);
            let megabytes = measure::smallest(order.architecture, order.flavour, &kernel, root)?;
            println!("{} {}: {megabytes} MiB", order.architecture.name, order.flavour.name());
            Ok(0)
        }
        _ => boot(order, &kernel),
    }
}

impl Order {
    /// Makes the image, in `directory` unless it is to be kept; the value is its path.
    fn make_root(&self, kernel: &Kernel, directory: &Path) -> Result<PathBuf> {
        if self.squashfs {
            ensure!(
                self.flavour == Flavour::Small,
                "only the small kernel has built in what a disk needs"
            );
            let [_, image] = rootfs::write(self.architecture.triple, &self.containers)?;
            return Ok(image);
        }
        let path = self.keep.clone().unwrap_or_else(|| directory.join("initramfs"));
        image::write_initramfs(&path, self.architecture, self.flavour, kernel, &self.containers)?;
        Ok(path)
    }

    fn root<'a>(&self, path: &'a Path) -> Root<'a> {
        if self.squashfs {
            Root::Disk(path)
        } else {
            Root::Initramfs(path)
        }
    }

    fn machine<'a>(&self, kernel: &'a Kernel, root: Root<'a>, memory: u32, seconds: u64) -> Machine<'a> {
        Machine {
            architecture: self.architecture,
            flavour: self.flavour,
            kernel: &kernel.image,
            root,
            memory: self.memory.unwrap_or(memory),
            limit: Duration::from_secs(self.limit.unwrap_or(seconds)),
            console: self.console,
            words: String::new(),
        }
    }
}

/// The status that a machine left.
fn status(outcome: &Outcome) -> Result<u8> {
    match outcome.status() {
        Some(status) => Ok(status),
        None if outcome.late => bail!("the machine was stopped after {} s", outcome.time.as_secs()),
        None => bail!("the machine ended without a status; --verbose shows what the kernel says"),
    }
}

/// Makes the image and runs it; the value is the exit status.
fn boot(order: &Order, kernel: &Kernel) -> Result<u8> {
    let directory = tempfile::tempdir()?;
    let path = order.make_root(kernel, directory.path())?;
    let machine = order.machine(kernel, order.root(&path), 256, 120);
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len() / 1024);
    eprintln!(
        "{}, {} MiB: kernel {} KiB, root {} KiB",
        order.architecture.name,
        machine.memory,
        size(machine.kernel),
        size(&path)
    );
    let outcome = machine.run()?;
    let status = status(&outcome)?;
    eprintln!(
        "status {status}; the first container was started {:.2} s after the kernel, with {} MiB free; {:.1} s in all",
        outcome.number("milliseconds_to_container")? as f64 / 1000.0,
        outcome.number("free_kib_at_container")? / 1024,
        outcome.time.as_secs_f32()
    );
    Ok(status)
}

/// Says how fast and how small a machine with one container is, and runs the tests in a larger one.
fn test(order: &Order, kernel: &Kernel, words: &[String], ramdisk: bool) -> Result<u8> {
    println!(
        "{}",
        measure::first_container(order.architecture, order.flavour, kernel)?
    );
    let directory = tempfile::tempdir()?;
    let initramfs = directory.path().join("initramfs");
    integration::write_initramfs(&initramfs, order.architecture, kernel, words)?;
    let mut machine = order.machine(kernel, Root::Initramfs(&initramfs), 1024, 3600);
    if ramdisk {
        machine.words.push_str("RAMDISK=1");
    }
    status(&machine.run()?)
}
