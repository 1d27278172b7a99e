//! The machines that are emulated.

use anyhow::{Result, bail};

use crate::kernel::Flavour;

/// A processor architecture, under its names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Architecture {
    /// Rust's and ours.
    pub name: &'static str,
    /// Rust's for the target.
    pub triple: &'static str,
    /// Debian's.
    pub debian: &'static str,
    /// How the names of Debian's kernels for virtual machines end, or for boards where there are no others.
    pub variant: &'static str,
    /// The kernel's.
    pub kernel: &'static str,
    /// The kernel's image in a build of the kernel, in the form that QEMU starts soonest.
    pub image: &'static str,
    /// What the names of the compiler's programs begin with.
    pub cross: &'static str,
    /// The emulator.
    pub emulator: &'static str,
    /// Its package.
    pub package: &'static str,
    /// The serial line.
    pub console: &'static str,
    /// Whether the kernel finds the devices of the board in the opposite of the order in which QEMU is told of them.
    pub counts_down: bool,
}

/// All of them.
pub const ALL: [Architecture; 4] = [
    Architecture {
        name: "aarch64",
        triple: "aarch64-unknown-linux-musl",
        debian: "arm64",
        variant: "cloud-arm64",
        kernel: "arm64",
        image: "arch/arm64/boot/Image",
        cross: "aarch64-linux-gnu-",
        emulator: "qemu-system-aarch64",
        package: "qemu-system-arm",
        console: "ttyAMA0",
        counts_down: true,
    },
    Architecture {
        name: "armv7",
        triple: "armv7-unknown-linux-musleabihf",
        debian: "armhf",
        variant: "armmp",
        kernel: "arm",
        image: "arch/arm/boot/zImage",
        cross: "arm-linux-gnueabihf-",
        emulator: "qemu-system-arm",
        package: "qemu-system-arm",
        console: "ttyAMA0",
        counts_down: true,
    },
    Architecture {
        name: "mipsel",
        triple: "mipsel-unknown-linux-musl",
        debian: "mipsel",
        variant: "4kc-malta",
        kernel: "mips",
        image: "vmlinux",
        cross: "mipsel-linux-gnu-",
        emulator: "qemu-system-mipsel",
        package: "qemu-system-mips",
        console: "ttyS0",
        counts_down: false,
    },
    Architecture {
        name: "x86_64",
        triple: "x86_64-unknown-linux-musl",
        debian: "amd64",
        variant: "cloud-amd64",
        kernel: "x86",
        image: "vmlinux",
        cross: "x86_64-linux-gnu-",
        emulator: "qemu-system-x86_64",
        package: "qemu-system-x86",
        console: "ttyS0",
        counts_down: false,
    },
];

impl Architecture {
    /// The one with this name, or whose target has it.
    pub fn named(name: &str) -> Result<Self> {
        match ALL.into_iter().find(|one| one.name == name || one.triple == name) {
            Some(one) => Ok(one),
            None => bail!("no machine {name} is emulated, only aarch64, armv7, mipsel and x86_64"),
        }
    }

    /// The board and the processor.
    pub fn machine(self, flavour: Flavour) -> &'static [&'static str] {
        match (self.name, flavour) {
            ("aarch64", _) => &["-M", "virt", "-cpu", "cortex-a72"],
            // Its registers of devices have to lie where 32 bits reach.
            ("armv7", _) => &["-M", "virt,highmem=off", "-cpu", "cortex-a15"],
            ("mipsel", _) => &["-M", "malta", "-cpu", "24Kf"],
            // The small kernel has neither PCI nor ACPI.
            (_, Flavour::Small) => &["-M", "microvm,acpi=off", "-cpu", "max"],
            _ => &["-M", "q35", "-cpu", "max"],
        }
    }

    /// The device that is a disk.
    pub fn disk(self, flavour: Flavour) -> &'static str {
        match (self.name, flavour) {
            ("mipsel", _) | ("x86_64", Flavour::Debian) => "virtio-blk-pci",
            _ => "virtio-blk-device",
        }
    }

    /// The kernel's module for the bus that device is on.
    pub fn bus_module(self) -> &'static str {
        match self.name {
            "mipsel" | "x86_64" => "virtio_pci",
            _ => "virtio_mmio",
        }
    }

    /// Words for the kernel's command line.
    pub fn words(self, flavour: Flavour) -> &'static str {
        match (self.name, flavour) {
            // Time in an emulated processor is not what the kernel expects of a real one, so it is not to check.
            ("x86_64", Flavour::Debian) => "reboot=t tsc=reliable no_timer_check",
            // Nothing can power this machine off, nor the next one; the emulator ends when it would restart.
            ("mipsel", _) => "ROCI_END=restart",
            ("x86_64", Flavour::Small) => "reboot=t tsc=reliable ROCI_END=restart",
            _ => "",
        }
    }
}
