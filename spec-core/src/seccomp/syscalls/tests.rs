use std::collections::HashSet;
use std::string::ToString;
use std::vec::Vec;

use super::*;

fn check<const N: usize>(machine: Machine, rows: &[Row<N>]) {
    for (name, numbers, multiplexed) in rows {
        let found = machine.find(name).unwrap_or_else(|| panic!("{name}"));
        for (column, number) in numbers.iter().enumerate() {
            assert_eq!(found.slot(column), (*number != NONE).then_some(*number), "{name}");
        }
        assert_eq!(found.multiplexed().is_some(), *multiplexed > 0, "{name}");
        for other in [&name[1..], &name[..name.len() - 1], &(name.to_string() + "_")] {
            let known = rows.iter().any(|row| row.0 == other);
            assert_eq!(machine.find(other).is_some(), known, "{other}");
        }
    }
    for column in 0..N {
        let mut seen = HashSet::new();
        for (name, numbers, _) in rows.iter().filter(|row| row.1[column] != NONE) {
            // A name of old for the same system call.
            assert!(
                seen.insert(numbers[column]) || name.contains("sync_file_range"),
                "{name}"
            );
        }
    }
}

fn check_alone(machine: Machine, name: &str, number: u16) {
    let found = machine.find(name).and_then(|numbers| numbers.slot(0));
    assert_eq!(found, (number != NONE).then_some(number), "{name}");
}

#[test]
fn every_name_is_found() {
    check(Machine::X86_64, &x86::ROWS);
    check(Machine::AARCH64, &arm::ROWS);
    check(Machine::RISCV64, &riscv::ROWS);
    check(Machine::MIPS, &mips::ROWS);
    check(Machine::MIPSEL, &mips::ROWS);
    for (name, numbers, _) in x86::ROWS {
        check_alone(Machine::X86, name, numbers[1]);
    }
    for (name, numbers, _) in arm::ROWS {
        check_alone(Machine::ARM, name, numbers[1]);
    }
    for name in ["", "0", "\u{e9}", "zzz", "_", "open\u{80}", "accept4x"] {
        assert!(Machine::X86_64.find(name).is_none(), "{name}");
        assert!(Machine::UNKNOWN.find(name).is_none());
    }
}

/// Names are told by their hashes alone.
#[test]
fn no_name_is_taken_for_that_of_another_machine() {
    let known: HashSet<&str> = x86::ROWS.iter().map(|row| row.0).collect();
    let others = arm::ROWS.iter().map(|row| row.0);
    let others = others
        .chain(riscv::ROWS.iter().map(|row| row.0))
        .chain(mips::ROWS.iter().map(|row| row.0));
    let (mut asked, mut found) = (0, 0);
    for name in others.filter(|name| !known.contains(name)) {
        asked += 1;
        found += usize::from(Machine::X86_64.find(name).is_some());
    }
    assert!(asked > 0);
    assert_eq!(found, 0);
}

#[test]
fn numbers_are_the_kernels() {
    let slots = |name| {
        let numbers = Machine::X86_64.find(name).unwrap();
        ([0, 1, 2].map(|column| numbers.slot(column)), numbers.multiplexed())
    };
    assert_eq!(slots("read"), ([Some(0), Some(3), Some(0)], None));
    assert_eq!(slots("ioctl"), ([Some(16), Some(54), Some(514)], None));
    assert_eq!(slots("socket"), ([Some(41), Some(359), Some(41)], Some((102, 1))));
    assert_eq!(slots("send"), ([None, None, None], Some((102, 9))));
    assert_eq!(slots("shmctl"), ([Some(31), Some(396), Some(31)], Some((117, 24))));
    let set_tls = Machine::AARCH64.find("set_tls").unwrap();
    let arm = &Machine::AARCH64.architectures[1];
    assert_eq!(
        (set_tls.slot(0), set_tls.slot(1).map(|slot| arm.system_call(slot))),
        (None, Some(0xf0005))
    );
    assert_eq!(Machine::X86_64.architectures[2].system_call(512), 0x4000_0200);
}

#[test]
fn architectures_are_the_kernels() {
    let x86 = (0, 0x4000_0003, 0, false, true);
    let machines = [
        (
            Machine::X86_64,
            &[
                (1, 0xc000_003e, 0, true, false),
                x86,
                (2, 0xc000_003e, 0x4000_0000, false, false),
            ][..],
            false,
        ),
        (
            Machine::AARCH64,
            &[(4, 0xc000_00b7, 0, true, false), (3, 0x4000_0028, 0, false, false)],
            false,
        ),
        (Machine::X86, &[x86], false),
        (Machine::ARM, &[(3, 0x4000_0028, 0, false, false)], false),
        (Machine::RISCV64, &[(18, 0xc000_00f3, 0, true, false)], false),
        (Machine::MIPSEL, &[(8, 0x4000_0008, 4000, false, true)], false),
        (Machine::MIPS, &[(5, 0x0000_0008, 4000, false, true)], true),
        (Machine::UNKNOWN, &[], cfg!(target_endian = "big")),
    ];
    for (machine, expected, big_endian) in machines {
        let found = machine.architectures.iter();
        let found = found.map(|one| (one.number, one.token, one.base, one.wide, one.multiplexes));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert_eq!(machine.big_endian, big_endian);
        let numbers = machine.architecture_numbers();
        assert_eq!(
            numbers.collect::<Vec<_>>(),
            expected.iter().map(|one| one.0 as usize).collect::<Vec<_>>()
        );
    }
}
