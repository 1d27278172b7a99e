//! The same answers as libseccomp's programs, which reference.py has written down.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn machine(name: &str) -> Machine {
    match name {
        "x86_64" => Machine::X86_64,
        "aarch64" => Machine::AARCH64,
        "x86" => Machine::X86,
        "arm" => Machine::ARM,
        "riscv64" => Machine::RISCV64,
        "mipsel" => Machine::MIPSEL,
        _ => Machine::UNKNOWN,
    }
}

/// Every number of every architecture, and some that are none.
fn numbers() -> Vec<(u32, u32)> {
    let odd = [0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX];
    let private = 0xf_0000..0xf_0010;
    let bases = (0..1100).chain(3990..4500).chain(private).chain(odd);
    let numbers: Vec<u32> = bases.flat_map(|number| [number, number | X32]).collect();
    let architectures = [X86_64, X86, AARCH64, ARM, RISCV64, MIPSEL, MIPS, 0, 0x8000_0016];
    let of = |architecture| numbers.iter().map(move |number| (architecture, *number));
    architectures.into_iter().flat_map(of).collect()
}

/// Around every constant of both programs, in each half: argument values that comparisons can tell apart.
fn values(programs: [&[Instruction]; 2]) -> Vec<u64> {
    let mut halves = BTreeSet::from([0, 1, u32::MAX]);
    for instruction in programs.into_iter().flatten() {
        if matches!(instruction.code, 0x15 | 0x25 | 0x35 | 0x54) && ![X86, ARM, MIPSEL].contains(&instruction.constant)
        {
            let constant = instruction.constant;
            halves.extend([constant.wrapping_sub(1), constant, constant.wrapping_add(1)]);
        }
    }
    let halves: Vec<u32> = halves.into_iter().collect();
    let pair = |high: &u32| {
        halves
            .iter()
            .map(|low| u64::from(*high) << 32 | u64::from(*low))
            .collect::<Vec<_>>()
    };
    halves.iter().flat_map(pair).collect()
}

/// A generator of numbers that is good enough to choose values.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Whether the answer to a call depends on its arguments: whether any argument is loaded.
fn looks_at_arguments(program: &[Instruction], call: &Call) -> bool {
    let mut at = 0;
    let mut accumulator = 0;
    loop {
        let instruction = program[at];
        at += 1;
        let holds = match instruction.code {
            0x20 if instruction.constant >= 16 => return true,
            0x20 => {
                accumulator = if instruction.constant == 0 {
                    call.number
                } else {
                    call.architecture
                };
                continue;
            }
            0x06 => return false,
            0x05 => {
                at += instruction.constant as usize;
                continue;
            }
            0x15 => accumulator == instruction.constant,
            0x25 => accumulator > instruction.constant,
            _ => accumulator >= instruction.constant,
        };
        at += usize::from(if holds {
            instruction.jump_true
        } else {
            instruction.jump_false
        });
    }
}

/// Compares the answers to many calls. Where a call is answered as no rule says, by what `allowed` knows of the rules,
/// that is a mistake: those of theirs are counted, and from a program that has some nothing can be learnt about which of
/// several rules comes first.
fn compare(
    what: &str,
    programs: [&[Instruction]; 2],
    tries: usize,
    allowed: impl Fn(&Call) -> Option<Vec<u32>>,
) -> usize {
    let [ours, theirs] = programs;
    let values: Vec<u64> = values(programs);
    let (mut chance, mut mistakes, mut difference) = (Chance(1), 0, None);
    for (architecture, number) in numbers() {
        let plain = call(architecture, number, [0; 6]);
        let conditional = looks_at_arguments(ours, &plain) || looks_at_arguments(theirs, &plain);
        for _ in 0..if conditional { tries } else { 1 } {
            let arguments = std::array::from_fn(|_| values[chance.below(values.len())]);
            let call = call(architecture, number, arguments);
            let (found, expected) = (run(ours, &call).0, run(theirs, &call).0);
            let allowed = allowed(&call);
            let is_allowed = |value| allowed.as_ref().is_none_or(|allowed| allowed.contains(&value));
            assert!(is_allowed(found), "{what}\n{call:#x?}: {found:#x}, of {allowed:x?}");
            mistakes += usize::from(!is_allowed(expected));
            if found != expected && difference.is_none() {
                difference = Some(format!("{call:#x?}: {found:#x} and not {expected:#x}, of {allowed:x?}"));
            }
        }
    }
    if let (0, Some(difference)) = (mistakes, difference) {
        panic!("{what}\n{difference}");
    }
    mistakes
}

#[test]
fn recorded_profiles() {
    for name in [
        "podman-default",
        "docker-default",
        "containerd-seccomp",
        "docker-seccomp-profile",
    ] {
        for (machine_name, natives, tries) in [
            ("x86_64", [X86_64, X86], 3000),
            ("aarch64", [AARCH64, ARM], 3000),
            ("x86", [X86; 2], 300),
            ("arm", [ARM; 2], 300),
            ("riscv64", [RISCV64; 2], 300),
            ("mipsel", [MIPSEL; 2], 300),
        ] {
            let json = fs::read_to_string(directory().join(format!("configs/{name}.json"))).unwrap();
            let json = match machine_name {
                "aarch64" => json
                    .replace("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
                    .replace("SCMP_ARCH_X86\"", "SCMP_ARCH_ARM\""),
                _ => json,
            };
            let theirs = fs::read(directory().join(format!("seccomp/{name}-{machine_name}.bpf"))).unwrap();
            let theirs = bpf::from_bytes(&theirs);
            let ours = compile_config(&json, machine(machine_name)).unwrap();
            let deepest = natives.map(|native| {
                let plain = (0..600).chain(4000..4500).map(|number| call(native, number, [0; 6]));
                let plain = plain.filter(|call| !looks_at_arguments(&ours, call));
                plain.map(|call| run(&ours, &call).1).max().unwrap()
            });
            println!(
                "{name} {machine_name}: {} and not {}, {deepest:?} deep",
                ours.len(),
                theirs.len()
            );
            assert!(ours.len() < 480 && deepest[0] < 16, "{name}");
            assert_eq!(compare(name, [&ours, &theirs], tries, |_| None), 0);
        }
    }
}

/// libseccomp on a machine with the other byte order leaves some of what it returns in its own (2.5.4). The program for
/// MIPS with the upper byte first has to do what the one with the lower byte first does, when the halves change places.
#[test]
fn the_byte_order_changes_nothing_but_places() {
    for name in ["podman-default", "containerd-seccomp"] {
        let json = fs::read_to_string(directory().join(format!("configs/{name}.json"))).unwrap();
        let [upper, lower] = [Machine::MIPS, Machine::MIPSEL].map(|machine| compile_config(&json, machine).unwrap());
        let mut chance = Chance(1);
        let values = values([&upper, &lower]);
        let mut denied = 0;
        for number in 3990..4500 {
            for _ in 0..200 {
                let arguments: [u64; 6] = std::array::from_fn(|_| values[chance.below(values.len())]);
                let swapped = arguments.map(|argument| argument.rotate_left(32));
                let (found, _) = run(&upper, &call(MIPS, number, swapped));
                assert_eq!(
                    found,
                    run(&lower, &call(MIPSEL, number, arguments)).0,
                    "{number} {arguments:x?}"
                );
                denied += u32::from(found != ALLOW);
            }
        }
        assert!(denied > 1000, "{denied}");
    }
}

#[test]
fn random_profiles() {
    let mut mistakes = 0;
    let cases = fs::read_to_string(directory().join("seccomp/random.txt")).unwrap();
    for (number, case) in cases.lines().enumerate() {
        let [machine_name, json, theirs] = case.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let bytes: Vec<u8> = (0..theirs.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&theirs[at..at + 2], 16).unwrap())
            .collect();
        let ours = compile_config(json, machine(machine_name)).unwrap();
        let mut arena = vec![0; 2 * json.len()];
        let mut spec = Box::new(Spec::new());
        parse_config(json.as_bytes(), &mut arena, &mut spec).unwrap();
        let allowed = |call: &Call| Some(rules::answers(&spec, machine_name, call));
        let what = format!("case {number}: {json}");
        mistakes += usize::from(compare(&what, [&ours, &bpf::from_bytes(&bytes)], 400, allowed) > 0);
    }
    // libseccomp 2.5.4 compares one half of an argument with what belongs to the other where several rules look at the
    // same argument and one does so by size.
    println!("{mistakes} programs of libseccomp have mistakes");
}
