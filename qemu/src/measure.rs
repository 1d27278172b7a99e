//! How soon and in how little memory a machine runs a container.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::architecture::Architecture;
use crate::image::{self, Containers};
use crate::kernel::{Flavour, Kernel};
use crate::machine::{Console, Machine, ONCE, Outcome, Root};

/// The container's program says what memory nobody uses while it runs.
const PROGRAM: &str = "sed -n 's/^MemFree: */free while it runs: /p' /proc/meminfo; cut -d' ' -f1 /proc/uptime";

/// With less, not even the smallest kernel unpacks its initramfs; with the most, all do.
const MIB: (u32, u32) = (8, 256);

fn run(architecture: Architecture, flavour: Flavour, kernel: &Kernel, root: Root<'_>, memory: u32) -> Result<Outcome> {
    Machine {
        architecture,
        flavour,
        kernel: &kernel.image,
        root,
        memory,
        limit: Duration::from_secs(120),
        console: Console::Hidden,
        words: ONCE.to_owned(),
        devices: Vec::new(),
    }
    .run()
}

/// A sentence about the time from the kernel's start to the first container's program, and about the memory that userland
/// takes: what is free when the first process begins less what is free while the container's program runs. So it is
/// roci-boot, the modules that it loads, the container with its shell, and what the kernel keeps for all of them.
pub fn first_container(architecture: Architecture, flavour: Flavour, kernel: &Kernel) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let initramfs = directory.path().join("initramfs");
    let containers = Containers {
        command: Some(PROGRAM.to_owned()),
        ..Containers::default()
    };
    image::write_initramfs(&initramfs, architecture, flavour, kernel, &containers)?;
    let outcome = run(architecture, flavour, kernel, Root::Initramfs(&initramfs), MIB.1)?;
    let mut lines = outcome.text.lines().filter_map(|line| line.strip_prefix("example: "));
    let mut lines = lines.by_ref().skip_while(|line| !line.starts_with("free while"));
    let free: u64 = lines
        .next()
        .and_then(|line| line.split(' ').find_map(|word| word.parse().ok()))
        .context("the container did not run")?;
    let seconds = lines.next().unwrap_or_default();
    let (start, loaded) = (
        outcome.number("free_kib_at_start")?,
        outcome.number("free_kib_at_container")?,
    );
    Ok(format!(
        "{} {}: the first container's program ran {seconds} s after the kernel's start; userland takes {} KiB, of which {} KiB \
         were taken before the container was made",
        architecture.name,
        flavour.name(),
        start.saturating_sub(free),
        start.saturating_sub(loaded),
    ))
}

/// The least memory, in MiB, with which the example runs to its end.
pub fn smallest(architecture: Architecture, flavour: Flavour, kernel: &Kernel, root: Root<'_>) -> Result<u32> {
    let directory = tempfile::tempdir()?;
    let initramfs = directory.path().join("initramfs");
    image::write_initramfs(&initramfs, architecture, flavour, kernel, &Containers::default())?;
    let runs = |memory: u32| -> Result<bool> {
        let outcome = run(architecture, flavour, kernel, root, memory)?;
        let runs = outcome.status() == Some(0) && outcome.text.contains("hello from process 1");
        eprintln!(
            "{memory} MiB: {} after {:.1} s",
            if runs { "runs" } else { "does not" },
            outcome.time.as_secs_f32()
        );
        Ok(runs)
    };
    let (mut too_small, mut enough) = MIB;
    if !runs(enough)? {
        bail!("the example does not even run with {enough} MiB");
    }
    while enough - too_small > 1 {
        let middle = (too_small + enough) / 2;
        if runs(middle)? {
            enough = middle;
        } else {
            too_small = middle;
        }
    }
    Ok(enough)
}
