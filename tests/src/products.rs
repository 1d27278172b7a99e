//! The executables: building them, and what they must and must not contain.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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

/// Adds a target to the toolchain, when it can be had.
pub fn have_target(target: &str) -> Result<(), String> {
    let sysroot =
        run(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(target).join("lib").exists() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", target])
        .stdin(Stdio::null())
        .output();
    match added {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!(
                "rustup target add: {}",
                text.lines().last().unwrap_or("failed")
            ))
        }
        Err(_) => Err("the target is not installed, and there is no rustup to install it".to_owned()),
    }
}

/// Builds the products, by a command of their own: cargo unifies the features of everything that one command builds.
pub fn build(target: Option<&str>) -> Result<PathBuf, String> {
    let mut args = vec!["build", "--release", "--quiet"];
    args.extend(target.iter().flat_map(|target| ["--target", target]));
    run(&mut cargo(&args))?;
    Ok(target_directory().join(target.unwrap_or_default()).join("release"))
}

/// What is wrong with an executable of ours; the limit is in bytes.
pub fn check_executable(path: &Path, limit: u64) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let elf = Elf::parse(&bytes).ok_or("not a 64-bit ELF file")?;
    let size = bytes.len() as u64;
    if size >= limit {
        return Err(format!("{size} bytes, the limit is {limit}"));
    }
    for (kind, name) in [(PT_INTERP, "PT_INTERP"), (PT_DYNAMIC, "PT_DYNAMIC")] {
        if elf.segments().any(|segment| segment == kind) {
            return Err(format!("has {name}: it is not linked statically"));
        }
    }
    if elf.symbols().next().is_some() {
        return Err("has a symbol table: it is not stripped".to_owned());
    }
    Ok(format!("{size} bytes"))
}

/// Symbols that show a libc, a heap or the formatter of `core`: one careless panic brings back its kilobytes. Only an
/// executable that was not stripped can be asked.
pub fn check_symbols(path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let elf = Elf::parse(&bytes).ok_or("not a 64-bit ELF file")?;
    let mut count = 0;
    for symbol in elf.symbols() {
        count += 1;
        if symbol.undefined && !symbol.name.is_empty() && !symbol.weak {
            return Err(format!("the symbol {} is undefined", symbol.name));
        }
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
        if let Some(found) = HEAP.iter().chain(&LIBC).find(|name| symbol.name == **name) {
            return Err(format!("contains {found}"));
        }
        if symbol.name.contains("5alloc") && symbol.name.contains("GlobalAlloc") {
            return Err(format!("contains the allocator {}", symbol.name));
        }
        if symbol.name.contains("fmt") && symbol.name.contains("9Formatter") {
            return Err(format!("contains the formatter: {}", symbol.name));
        }
    }
    if count == 0 {
        Err("has no symbols to look at".to_owned())
    } else {
        Ok(())
    }
}

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const SHT_SYMTAB: u32 = 2;

/// As much of a little-endian 64-bit ELF file as the checks need.
struct Elf<'a>(&'a [u8]);

struct Symbol<'a> {
    name: &'a str,
    undefined: bool,
    weak: bool,
}

impl<'a> Elf<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        (bytes.get(..6)? == b"\x7fELF\x02\x01").then_some(Self(bytes))
    }

    fn number(&self, offset: u64, size: usize) -> u64 {
        let offset = offset as usize;
        let bytes = self.0.get(offset..offset + size).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The types of the program headers.
    fn segments(&self) -> impl Iterator<Item = u32> {
        let (table, size, count) = (self.number(32, 8), self.number(54, 2), self.number(56, 2));
        (0..count).map(move |index| self.number(table + index * size, 4) as u32)
    }

    /// The symbols of the symbol table.
    fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> {
        let (table, size, count) = (self.number(40, 8), self.number(58, 2), self.number(60, 2));
        let headers = (0..count).map(move |index| table + index * size);
        let tables: Vec<u64> = headers
            .filter(|header| self.number(header + 4, 4) as u32 == SHT_SYMTAB)
            .collect();
        tables.into_iter().flat_map(move |header| {
            let (offset, size) = (self.number(header + 24, 8), self.number(header + 32, 8));
            let strings = self.number(table + self.number(header + 40, 4) * self.number(58, 2) + 24, 8);
            (1..size / 24).map(move |index| {
                let entry = offset + index * 24;
                let name = &self.0[(strings + self.number(entry, 4)) as usize..];
                let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(0)];
                Symbol {
                    name: std::str::from_utf8(name).unwrap_or_default(),
                    undefined: self.number(entry + 6, 2) == 0,
                    weak: self.number(entry + 4, 1) >> 4 == 2,
                }
            })
        })
    }
}
