//! `cargo qemu`: an image of a machine that is a kernel, roci and containers, and an emulated machine that runs it.

mod architecture;
mod debian;
mod image;
mod kernel;
mod machine;
mod tree;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use architecture::Architecture;
use image::Containers;
use kernel::{Flavour, Kernel};
use machine::{Console, Machine};

const USAGE: &str = "\
cargo qemu [OPTION]...                run containers on an emulated machine, which is a kernel and roci

  --arch aarch64|x86_64               the machine [aarch64]
  --kernel debian|small               Debian's, or a small one that is built once [debian]
  --release NAME                      the Debian release of that kernel [bookworm]
  --memory MIB                        [256]
  --bundle DIR                        a bundle to run, in the order of their names; without one there is an example
  --command TEXT                      what the example's shell does
  --console                           the example is a shell on this terminal; ^A x ends the machine
  --verbose                           show what the kernel says
  --seconds N                         how long the machine may run [120]
  --keep FILE                         leave the initramfs there

The exit status is that of the first container that did not end with 0, or 0; 125 where the machine did not get that far.
";

/// What the command line says.
struct Order {
    architecture: Architecture,
    flavour: Flavour,
    release: String,
    memory: Option<u32>,
    containers: Containers,
    console: Console,
    limit: Duration,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1).collect()).and_then(|order| order.map_or(Ok(0), |order| boot(&order))) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("cargo qemu: {error:#}");
            ExitCode::from(125)
        }
    }
}

fn parse(words: Vec<OsString>) -> Result<Option<Order>> {
    let mut order = Order {
        architecture: Architecture::named("aarch64")?,
        flavour: Flavour::Debian,
        release: "bookworm".to_owned(),
        memory: None,
        containers: Containers::default(),
        console: Console::Shown,
        limit: Duration::from_secs(120),
        keep: None,
    };
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
            Long("seconds") => order.limit = Duration::from_secs(parser.value()?.parse()?),
            Long("keep") => order.keep = Some(parser.value()?.into()),
            Short('h') | Long("help") => {
                print!("{USAGE}");
                return Ok(None);
            }
            _ => return Err(word.unexpected().into()),
        }
    }
    Ok(Some(order))
}

/// Makes the image and runs it; the value is the exit status.
fn boot(order: &Order) -> Result<u8> {
    let kernel = Kernel::of(order.architecture, order.flavour, &order.release)?;
    let directory = tempfile::tempdir()?;
    let initramfs = order.keep.clone().unwrap_or_else(|| directory.path().join("initramfs"));
    image::write_initramfs(
        &initramfs,
        order.architecture,
        order.flavour,
        &kernel,
        &order.containers,
    )?;
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len() / 1024);
    let memory = order.memory.unwrap_or(256);
    eprintln!(
        "{}, {memory} MiB: kernel {} KiB, initramfs {} KiB",
        order.architecture.name,
        size(&kernel.image),
        size(&initramfs)
    );
    let outcome = Machine {
        architecture: order.architecture,
        flavour: order.flavour,
        kernel: &kernel.image,
        initramfs: &initramfs,
        memory,
        limit: order.limit,
        console: order.console,
        words: String::new(),
    }
    .run()?;
    let Some(status) = outcome.status() else {
        match outcome.late {
            true => bail!("the machine was stopped after {} s", outcome.time.as_secs()),
            false => bail!("the machine ended without a status; --verbose shows what the kernel says"),
        }
    };
    let number = |name: &str| {
        outcome
            .numbers
            .get(name)
            .copied()
            .context("the machine's numbers are not complete")
    };
    eprintln!(
        "status {status}; the first container was started {:.2} s after the kernel, with {} of {memory} MiB free; {:.1} s in all",
        number("milliseconds_to_container")? as f64 / 1000.0,
        number("free_kib_at_container")? / 1024,
        outcome.time.as_secs_f32()
    );
    Ok(status)
}
