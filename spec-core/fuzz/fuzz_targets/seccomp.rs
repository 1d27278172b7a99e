//! Profiles: whatever compiles is a program that the kernel takes, and that ends for every call.

#![no_main]

use spec_core::Spec;
use spec_core::seccomp::{Filter, Machine, Scratch, compile};

#[path = "../../tests/seccomp/bpf.rs"]
#[allow(dead_code)]
mod bpf;

const MACHINES: [Machine; 5] = [Machine::X86_64, Machine::AARCH64, Machine::ARM, Machine::RISCV64, Machine::MIPSEL];

/// `AUDIT_ARCH_` of those, and of the other architectures that they run.
const TOKENS: [u32; 7] = [
    0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0xc000_00f3, 0x4000_0008, 0xe000_0008,
];

thread_local! {
    static MEMORY: std::cell::RefCell<(Box<Scratch>, Box<Filter>)> =
        std::cell::RefCell::new((Box::new(Scratch::new()), Box::new(Filter::new())));
}

// The profile comes first, as the part of a document that it is, and then the calls.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let split = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (profile, calls) = bytes.split_at(split);
    let mut json = br#"{"ociVersion":"1.0.2","root":{"path":"r"},"linux":{"seccomp":"#.to_vec();
    json.extend_from_slice(profile);
    json.extend_from_slice(b"}}");
    let mut arena = vec![0; 2 * json.len()];
    let mut spec = Box::new(Spec::new());
    if spec_core::parse_config(&json, &mut arena, &mut spec).is_err() {
        return;
    }
    let Some(seccomp) = &spec.linux.seccomp else { return };
    MEMORY.with_borrow_mut(|(scratch, filter)| {
        for machine in MACHINES {
            if compile(&spec, seccomp, machine, scratch, filter).is_err() {
                continue;
            }
            let program = filter.instructions();
            bpf::verify(program);
            for call in calls.chunks_exact(61) {
                let number = |at: usize, len: usize| {
                    call[at..at + len].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
                };
                let call = bpf::Call {
                    number: number(0, 4) as u32,
                    architecture: *TOKENS.get(usize::from(call[60])).unwrap_or(&(number(4, 4) as u32)),
                    arguments: core::array::from_fn(|index| number(12 + 8 * index, 8)),
                };
                let (_, steps) = bpf::run(program, &call);
                assert!(steps <= program.len());
            }
        }
    });
});
