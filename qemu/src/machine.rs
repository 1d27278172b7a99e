//! An emulated machine: starting it, showing its console, and learning how it ended.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::architecture::Architecture;
use crate::debian;
use crate::kernel::Flavour;

/// What a machine has its files from.
#[derive(Clone, Copy)]
pub enum Root<'a> {
    /// An archive that the kernel unpacks into memory.
    Initramfs(&'a Path),
    /// A disk with a squashfs.
    Disk(&'a Path),
}

/// What is started.
pub struct Machine<'a> {
    /// The processor.
    pub architecture: Architecture,
    /// Which kernel it is, because the board depends on it.
    pub flavour: Flavour,
    /// The kernel.
    pub kernel: &'a Path,
    /// The root file system.
    pub root: Root<'a>,
    /// In MiB.
    pub memory: u32,
    /// How long it may run.
    pub limit: Duration,
    /// What becomes of the console.
    pub console: Console,
    /// More words for the kernel's command line.
    pub words: String,
    /// More arguments of the emulator.
    pub devices: Vec<String>,
}

/// Words for a machine that shows what its containers print, and ends when each has ended once.
pub const ONCE: &str = "roci.log=console roci.restart=no";

/// Who reads the console.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// It is printed.
    Shown,
    /// It is printed with all that the kernel says.
    Verbose,
    /// It is this terminal, in both directions.
    Kept,
    /// Nobody.
    Hidden,
}

/// How a machine ended.
pub struct Outcome {
    /// The numbers that it left.
    pub numbers: BTreeMap<String, u64>,
    /// From the start of the emulator to its end.
    pub time: Duration,
    /// Whether it had to be stopped.
    pub late: bool,
    /// What it printed, unless the console was this terminal.
    pub text: String,
}

impl Outcome {
    /// The status of what ran in it; without one the machine did not get that far.
    pub fn status(&self) -> Option<u8> {
        self.numbers.get("status").map(|status| *status as u8)
    }

    /// One of the numbers that roci-boot leaves.
    pub fn number(&self, name: &str) -> Result<u64> {
        self.numbers
            .get(name)
            .copied()
            .with_context(|| format!("the machine did not leave {name}"))
    }
}

impl Machine<'_> {
    /// Runs it until it ends.
    pub fn run(&self) -> Result<Outcome> {
        debian::install(&[(self.architecture.emulator, self.architecture.package)])?;
        let level = if self.console == Console::Verbose {
            "loglevel=7"
        } else {
            "quiet loglevel=3"
        };
        // The machine writes its numbers to a disk of one sector: of all devices it takes the least of the machine's memory (a
        // port of virtio's serial bus takes 12 MiB). Which disk is which depends on how the board counts.
        let status = tempfile::NamedTempFile::new()?;
        status.as_file().set_len(512)?;
        let (root, status_name) = match self.root {
            Root::Initramfs(_) => ("", "vda"),
            Root::Disk(_) if self.architecture.counts_down => ("root=/dev/vdb rootfstype=squashfs ro", "vda"),
            Root::Disk(_) => ("root=/dev/vda rootfstype=squashfs ro", "vdb"),
        };
        let disk = self.architecture.disk(self.flavour);
        let mut command = Command::new(self.architecture.emulator);
        command
            .args(self.architecture.machine(self.flavour))
            .args(["-accel", "tcg", "-smp", "1", "-m", &self.memory.to_string()])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(self.kernel)
            .arg("-append")
            .arg(format!(
                "console={} panic=-1 {level} {root} ROCI_STATUS=/dev/{status_name} {} {}",
                self.architecture.console,
                self.architecture.words(self.flavour),
                self.words
            ))
            .args([
                "-serial",
                if self.console == Console::Kept {
                    "mon:stdio"
                } else {
                    "stdio"
                },
            ]);
        let add_disk = |command: &mut Command, path: &Path, name: &str, options: &str| {
            let drive = format!("file={},format=raw,if=none,id={name}{options}", path.display());
            command.args([
                "-drive",
                &drive,
                "-device",
                &format!("{disk},drive={name},queue-size=16"),
            ]);
        };
        match self.root {
            Root::Initramfs(path) => {
                command.arg("-initrd").arg(path);
            }
            Root::Disk(path) => add_disk(&mut command, path, "root", ",readonly=on"),
        }
        add_disk(&mut command, status.path(), "status", "");
        command.args(&self.devices);
        if self.console != Console::Kept {
            command.stdin(Stdio::null()).stdout(Stdio::piped());
        }
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| self.architecture.emulator.to_owned())?;
        let reader = child.stdout.take().map(|out| {
            let hidden = self.console == Console::Hidden;
            std::thread::spawn(move || show(BufReader::new(out), hidden))
        });
        let mut late = false;
        while child.try_wait()?.is_none() {
            if self.console != Console::Kept && start.elapsed() > self.limit {
                late = true;
                child.kill()?;
                child.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let time = start.elapsed();
        let text_bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        let report = std::fs::read_to_string(status.path())?;
        let numbers = report.lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse().ok()?))
        });
        Ok(Outcome {
            numbers: numbers.collect(),
            time,
            late,
            text: String::from_utf8_lossy(&text_bytes).into_owned(),
        })
    }
}

/// Prints the lines of a serial line, without the carriage returns that are in them; the value is all of them.
fn show(mut from: impl BufRead, hidden: bool) -> Vec<u8> {
    let (mut line, mut all) = (Vec::new(), Vec::new());
    while from.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        line.retain(|byte| *byte != b'\r');
        if !hidden {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
        all.append(&mut line);
    }
    all
}
