//! Packs the texts of errors (`targets/pack.rs` says how) and the tables of system calls.
//!
//! In a table, the names come in their order, each followed by its numbers in bytes that no name has: two bytes of seven bits
//! for each architecture, but for those behind which all have the number of the first, and one for `socketcall` or `ipc`.
//!
//! The names are shortened to half their bytes (`targets/pairs.rs` says how). The order is that of the names, so that a
//! lookup can bisect.

use std::fmt::Write;

/// What a row has where an architecture does not have the system call.
const NONE: u16 = 0x3fff;
/// Where the numbers start that are private to ARM.
const PRIVATE: u16 = 1008;
/// How deep pairs may be in pairs.
const PAIRS_DEPTH: usize = 16;
/// How many numbers there are.
const SLOTS: u16 = 1024;

/// Name, the number on each architecture, and which of the calls behind `socketcall` (from 1) or `ipc` (from 32) it is.
type Row<const N: usize> = (&'static str, [u16; N], u8);

#[path = "src/seccomp/syscalls/arm.rs"]
mod arm;
#[path = "../targets/messages.rs"]
mod messages;
#[path = "src/seccomp/syscalls/mips.rs"]
mod mips;
#[path = "../targets/pack.rs"]
mod pack;
#[path = "../targets/pairs.rs"]
mod pairs;
#[path = "src/seccomp/syscalls/riscv.rs"]
mod riscv;
#[path = "src/seccomp/syscalls/x86.rs"]
mod x86;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../targets/messages.rs");
    println!("cargo::rerun-if-changed=../targets/pack.rs");
    println!("cargo::rerun-if-changed=../targets/pairs.rs");
    println!("cargo::rerun-if-changed=src/seccomp/syscalls");
    let has_seccomp = std::env::var_os("CARGO_FEATURE_SECCOMP").is_some();
    let messages = messages::messages("src", "text", |path| {
        path.ends_with("tests.rs") || !has_seccomp && path.starts_with("src/seccomp")
    });
    write("messages.rs", &pack::source(&messages.join("\0"), &messages));
    if !has_seccomp {
        return;
    }
    let source = format!("const PAIRS_DEPTH: usize = {PAIRS_DEPTH};\n")
        + &pack("X86", &x86::ROWS)
        + &pack("I386", &column(&x86::ROWS, 1))
        + &pack("ARM", &arm::ROWS)
        + &pack("ARM32", &column(&arm::ROWS, 1))
        + &pack("RISCV", &riscv::ROWS)
        + &pack("MIPS", &mips::ROWS);
    write("syscalls.rs", &source);
}

/// Writes what the crate includes.
fn write(name: &str, source: &str) {
    let directory = std::env::var("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(format!("{directory}/{name}"), source) {
        panic!("{name}: {error}");
    }
}

/// The rows of one architecture alone.
fn column<const N: usize>(rows: &[Row<N>], column: usize) -> Vec<Row<1>> {
    rows.iter()
        .map(|(name, numbers, multiplexed)| (*name, [numbers[column]], *multiplexed))
        .filter(|(_, [number], multiplexed)| *number != NONE || *multiplexed > 0)
        .collect()
}

/// How many second halves wait at once while a code is unpacked.
fn depth(pairs: &[[u8; 2]], code: u8) -> usize {
    match pairs[usize::from(code)] {
        [0, 0] => 0,
        [first, second] => (1 + depth(pairs, first)).max(depth(pairs, second)),
    }
}

/// The table of a machine as Rust.
fn pack<const N: usize>(machine: &str, rows: &[Row<N>]) -> String {
    assert!(rows.is_sorted_by_key(|row| row.0), "rows have to be sorted");
    let mut names: Vec<Vec<u8>> = rows.iter().map(|row| row.0.into()).collect();
    let free: Vec<u8> = (1..0x80)
        .filter(|code| !names.iter().any(|name| name.contains(code)))
        .collect();
    let pairs = pairs::pack(&mut names, free.into_iter());
    assert!(
        (0..0x80).all(|code| depth(&pairs, code) <= PAIRS_DEPTH),
        "pairs nest too deep"
    );
    // Bytes above are numbers.
    let pairs = &pairs[..0x80];
    let mut packed = Vec::new();
    for (name, (_, numbers, multiplexed)) in names.iter().zip(rows) {
        packed.extend(name);
        let last = numbers.iter().rposition(|number| *number != numbers[0]);
        for number in &numbers[..=last.unwrap_or(0)] {
            assert!(*number == NONE || *number < SLOTS, "numbers have to fit");
            packed.extend([0x80 | (number >> 7) as u8, 0x80 | (number & 0x7f) as u8]);
        }
        if *multiplexed > 0 {
            packed.push(0x80 | multiplexed);
        }
    }
    let mut source = String::new();
    let _ = write!(
        source,
        "static {machine}_TABLE: [u8; {}] = {packed:?};\nstatic {machine}_PAIRS: [[u8; 2]; 0x80] = {pairs:?};\n",
        packed.len(),
    );
    source
}
