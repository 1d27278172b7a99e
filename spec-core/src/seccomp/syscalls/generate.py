#!/usr/bin/env python3
"""Writes the tables of system calls, x86.rs, arm.rs, riscv.rs and mips.rs beside this file.

    apt-get install linux-libc-dev linux-libc-dev-arm64-cross linux-libc-dev-armhf-cross \
        linux-libc-dev-riscv64-cross linux-libc-dev-mipsel-cross libseccomp2 gcc
    python3 spec-core/src/seccomp/syscalls/generate.py && cargo fmt -p spec-core

The numbers come from the kernel's headers; what is newer than the installed ones stands in NEWER. Every number that
libseccomp knows is compared with its own.
"""
import ctypes
import os
import re
import subprocess

NEWER = {
    451: "cachestat", 452: "fchmodat2", 453: "map_shadow_stack", 454: "futex_wake", 455: "futex_wait",
    456: "futex_requeue", 457: "statmount", 458: "listmount", 459: "lsm_get_self_attr", 460: "lsm_set_self_attr",
    461: "lsm_list_modules", 462: "mseal", 463: "setxattrat", 464: "getxattrat", 465: "listxattrat",
    466: "removexattrat", 467: "open_tree_attr", 468: "file_getattr", 469: "file_setattr", 470: "listns",
}
X86_64_ONLY = {335: "uretprobe", 336: "uprobe"}
ONLY = {"x86_64": X86_64_ONLY, "x32": X86_64_ONLY, "riscv64": {258: "riscv_hwprobe"}}
SOCKETCALL = ("socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown "
              "setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg").split()
IPC = {"semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13, "msgctl": 14,
       "shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24}
TOKENS = {"x86_64": 0xC000003E, "x86": 0x40000003, "x32": 0x4000003E, "aarch64": 0xC00000B7, "arm": 0x40000028,
          "riscv64": 0xC00000F3, "mips": 0x40000008}
# What is added to every number of an architecture, and is not in its table.
BASES = {"mips": 4000}


def header(include, *flags):
    text = subprocess.run(["gcc", "-E", "-dM", *flags, "-nostdinc", *include, "-"], input="#include <asm/unistd.h>",
                          capture_output=True, text=True, check=True).stdout
    macros = dict(re.findall(r"^#define (\w+) (.+)$", text, re.M))

    def value(expression):
        expression = re.sub(r"\b[A-Z_a-z]\w*\b", lambda word: str(value(macros[word[0]])), expression)
        return eval(expression)

    found = {}
    for name in macros:
        match = re.fullmatch(r"__(?:ARM_)?NR_(\w+)", name)
        if match and name not in ("__NR_syscalls", "__NR_arch_specific_syscall", "__NR_SYSCALL_BASE", "__ARM_NR_BASE",
                                  "__NR_OABI_SYSCALL_BASE", "__NR_SYSCALL_MASK"):
            found[match[1]] = value(macros[name])
    return found


def tables():
    x86 = ["-I/usr/include/x86_64-linux-gnu", "-I/usr/include"]
    cross = lambda triple: [f"-I/usr/{triple}/include"]
    all_tables = {
        "x86_64": header(x86, "-m64"),
        "x86": header(x86, "-m32"),
        "x32": {name: number & 0xFFFF for name, number in header(x86, "-mx32").items()},
        "aarch64": header(cross("aarch64-linux-gnu"), "-U__x86_64__", "-U__i386__"),
        "arm": header(cross("arm-linux-gnueabihf"), "-D__ARM_EABI__", "-U__x86_64__", "-m32"),
        "riscv64": header(cross("riscv64-linux-gnu"), "-U__x86_64__", "-U__i386__", "-D__riscv", "-D__riscv_xlen=64"),
        "mips": {name: number - BASES["mips"] for name, number in
                 header(cross("mipsel-linux-gnu"), "-U__x86_64__", "-m32", "-D_MIPS_SIM=1", "-D_MIPS_SZLONG=32").items()
                 if number >= BASES["mips"] and not re.match("Linux|unused|reserved", name)},
    }
    for architecture, table in all_tables.items():
        newer = NEWER | ONLY.get(architecture, {})
        table.update({name: number for number, name in newer.items()})
    return all_tables


def compare(all_tables):
    library = ctypes.CDLL("libseccomp.so.2")
    every = {name for table in all_tables.values() for name in table}
    for architecture, table in all_tables.items():
        for name in sorted(every | set(SOCKETCALL) | set(IPC)):
            theirs = library.seccomp_syscall_resolve_name_arch(TOKENS[architecture], name.encode())
            theirs = (theirs & 0xFFFFF) - BASES.get(architecture, 0) if theirs >= 0 else None
            if theirs != table.get(name):
                print(architecture, name, "here", table.get(name), "libseccomp", theirs)


def write(machine, architectures, all_tables, multiplexed):
    names = sorted({name for architecture in architectures for name in all_tables[architecture]} | set(multiplexed))
    rows = []
    for name in names:
        numbers = []
        for architecture in architectures:
            number = all_tables[architecture].get(name)
            if number is not None and number >= 0xF0000:
                number = f"PRIVATE + {number - 0xF0000}"
            numbers.append("NONE" if number is None else str(number))
        rows.append(f'    ("{name}", [{", ".join(numbers)}], {multiplexed.get(name, 0)}),\n')
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{machine}.rs")
    with open(path, "w") as file:
        file.write(f"//! The system calls of {', '.join(architectures)}, in this order. Written by generate.py, which see.\n\n")
        used = [word for word in ("NONE", "PRIVATE") if any(word in row for row in rows)] + ["Row"]
        file.write("use super::%s;\n\n" % (used[0] if len(used) == 1 else "{" + ", ".join(used) + "}"))
        file.write("#[rustfmt::skip]\n")
        file.write(f"pub(super) const ROWS: [Row<{len(architectures)}>; {len(rows)}] = [\n{''.join(rows)}];\n")


def main():
    all_tables = tables()
    compare(all_tables)
    multiplexed = {name: number for number, name in enumerate(SOCKETCALL, 1)}
    multiplexed |= {name: 32 + number for name, number in IPC.items()}
    write("x86", ["x86_64", "x86", "x32"], all_tables, multiplexed)
    write("arm", ["aarch64", "arm"], all_tables, {})
    write("riscv", ["riscv64"], all_tables, {})
    write("mips", ["mips"], all_tables, multiplexed)


main()
