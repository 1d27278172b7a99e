//! The compiler of seccomp profiles, by what its programs return.
#![allow(clippy::unwrap_used, missing_docs)]

mod bpf;
mod properties;
mod reference;
mod rules;

use bpf::{Call, run, verify};
use spec_core::seccomp::{Error, Filter, Instruction, Machine, Scratch, compile};
use spec_core::{Spec, parse_config};

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const ARM: u32 = 0x4000_0028;
const RISCV64: u32 = 0xc000_00f3;
const MIPSEL: u32 = 0x4000_0008;
const MIPS: u32 = 0x0000_0008;
/// The bit that makes a number one of x32.
const X32: u32 = 0x4000_0000;
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;

/// Compiles `linux.seccomp` of a config.json.
fn compile_config(json: &str, machine: Machine) -> Result<Vec<Instruction>, Error> {
    let mut arena = vec![0; 2 * json.len()];
    let mut spec = Box::new(Spec::new());
    parse_config(json.as_bytes(), &mut arena, &mut spec).unwrap();
    let seccomp = spec.linux.seccomp.unwrap();
    let (mut scratch, mut filter) = (Box::new(Scratch::new()), Box::new(Filter::new()));
    compile(&spec, &seccomp, machine, &mut scratch, &mut filter)?;
    verify(filter.instructions());
    let first = filter.instructions().to_vec();
    // Neither has to be fresh.
    compile(&spec, &seccomp, machine, &mut scratch, &mut filter)?;
    assert_eq!(filter.instructions(), first);
    Ok(first)
}

/// A config.json with a default action and rules, for every architecture.
fn profile(default: &str, rules: &str) -> String {
    let architectures = ["X86_64", "X86", "X32", "AARCH64", "ARM"].map(|name| format!("\"SCMP_ARCH_{name}\""));
    let architectures = architectures.join(",");
    let seccomp = format!(
        "{{\"defaultAction\": \"SCMP_ACT_{default}\", \"architectures\": [{architectures}], \"syscalls\": [{rules}]}}"
    );
    format!("{{\"ociVersion\": \"1.3.0\", \"root\": {{\"path\": \"r\"}}, \"linux\": {{\"seccomp\": {seccomp}}}}}")
}

/// Compiles such a profile.
fn compile_rules(default: &str, rules: &str, machine: Machine) -> Vec<Instruction> {
    compile_config(&profile(default, rules), machine).unwrap()
}

fn call(architecture: u32, number: u32, arguments: [u64; 6]) -> Call {
    Call {
        number,
        architecture,
        arguments,
    }
}

/// What `program` returns.
fn returned(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    run(program, &call(architecture, number, arguments)).0
}
