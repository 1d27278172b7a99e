//! Packs the texts of errors (`targets/pack.rs` says how) and the tables of system calls.
//!
//! A row of a table is one number, from the upper bits to the lower: 32 of the name's hash, by which rows are sorted, ten each
//! of the first and the second architecture's number, six that say how the third's differs from the first's, and six of the
//! call behind `socketcall` or `ipc`.
//!
//! The names themselves are left out. No two that any kernel has for any machine here have the same hash, which is checked
//! below; one that comes later is taken for another with a chance of one to nine millions.

use std::collections::BTreeSet;

use row::{NONE, OWN, PRIVATE, hash};

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
#[path = "src/seccomp/syscalls/riscv.rs"]
mod riscv;
#[path = "src/seccomp/syscalls/row.rs"]
mod row;
#[path = "src/seccomp/syscalls/x86.rs"]
mod x86;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../targets/messages.rs");
    println!("cargo::rerun-if-changed=../targets/pack.rs");
    println!("cargo::rerun-if-changed=src/seccomp/syscalls");
    let has_seccomp = std::env::var_os("CARGO_FEATURE_SECCOMP").is_some();
    let messages = messages::messages("src", "text", |path| {
        path.ends_with("tests.rs") || !has_seccomp && path.starts_with("src/seccomp")
    });
    write("messages.rs", &pack::source(&messages.join("\0"), &messages));
    if !has_seccomp {
        return;
    }
    let names = [
        names(&x86::ROWS),
        names(&arm::ROWS),
        names(&riscv::ROWS),
        names(&mips::ROWS),
    ];
    let names: BTreeSet<&str> = names.concat().into_iter().collect();
    let hashes: BTreeSet<u32> = names.iter().map(|name| hash(name.as_bytes())).collect();
    assert_eq!(names.len(), hashes.len(), "two names have the same hash");
    let source = pack("X86", &x86::ROWS)
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

fn names<const N: usize>(rows: &[Row<N>]) -> Vec<&'static str> {
    rows.iter().map(|row| row.0).collect()
}

/// The table of a machine as Rust.
fn pack<const N: usize>(machine: &str, rows: &[Row<N>]) -> String {
    let mut packed: Vec<u64> = rows
        .iter()
        .map(|(name, numbers, multiplexed)| {
            let [first, second, third] = [0, 1, 2].map(|column| *numbers.get(column).unwrap_or(&numbers[0]));
            let third = match third {
                third if third == first => 0,
                NONE => 1,
                third => third - OWN,
            };
            assert!(
                first <= NONE && second <= NONE && third < 64 && *multiplexed < 64,
                "{name} does not fit"
            );
            u64::from(hash(name.as_bytes())) << 32
                | u64::from(first) << 22
                | u64::from(second) << 12
                | u64::from(third) << 6
                | u64::from(*multiplexed)
        })
        .collect();
    packed.sort_unstable();
    format!("static {machine}_TABLE: [u64; {}] = {packed:?};\n", packed.len())
}
