#!/usr/bin/env python3
"""Writes what libseccomp makes of profiles, as runc and crun feed it: <name>-<machine>.bpf and random.txt beside this file.

    apt-get install libseccomp2
    python3 spec-core/tests/seccomp/reference.py

random.txt has one profile in each line: machine, config.json, the program in hexadecimal. It is the same for each run.
"""
import ctypes
import json
import os
import random
import signal
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = ctypes.CDLL("libseccomp.so.2")
LIBRARY.seccomp_init.restype = ctypes.c_void_p
TOKENS = {"X86_64": 0xC000003E, "X86": 0x40000003, "X32": 0x4000003E, "AARCH64": 0xC00000B7, "ARM": 0x40000028}
ALONE = {"X86": 0x40000003, "ARM": 0x40000028, "RISCV64": 0xC00000F3, "MIPSEL": 0x40000008}
RUNS = {"x86_64": ["X86_64", "X86", "X32"], "aarch64": ["AARCH64", "ARM"]}
RUNS |= {name.lower(): [name] for name in ALONE}
ACTIONS = {"ALLOW": 0x7FFF0000, "ERRNO": 0x00050000, "KILL": 0, "KILL_THREAD": 0, "KILL_PROCESS": 0x80000000,
           "LOG": 0x7FFC0000, "NOTIFY": 0x7FC00000, "TRACE": 0x7FF00000, "TRAP": 0x00030000}
OPERATORS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def action(name, errno):
    name = name.removeprefix("SCMP_ACT_")
    return ACTIONS[name] | ((1 if errno is None else errno) if name in ("ERRNO", "TRACE") else 0)


def check(result, what):
    if result < 0:
        raise ValueError(f"{what}: {result}")


def build(seccomp, machine):
    default = action(seccomp["defaultAction"], seccomp.get("defaultErrnoRet"))
    context = ctypes.c_void_p(LIBRARY.seccomp_init(ctypes.c_uint32(default)))
    native = (TOKENS | ALONE)[RUNS[machine][0]]
    if native != TOKENS["X86_64"]:
        # One filter is for one byte order, so what is there goes first.
        check(LIBRARY.seccomp_arch_remove(context, ctypes.c_uint32(TOKENS["X86_64"])), "remove")
        check(LIBRARY.seccomp_arch_add(context, ctypes.c_uint32(native)), "add")
    for architecture in seccomp.get("architectures") or []:
        architecture = architecture.removeprefix("SCMP_ARCH_")
        if architecture in RUNS[machine][1:]:
            check(LIBRARY.seccomp_arch_add(context, ctypes.c_uint32(TOKENS[architecture])), architecture)
    for rule in seccomp.get("syscalls") or []:
        chosen = action(rule["action"], rule.get("errnoRet"))
        if chosen == default:
            continue
        arguments = [Comparison(argument["index"], OPERATORS[argument["op"].removeprefix("SCMP_CMP_")],
                                argument["value"], argument.get("valueTwo", 0)) for argument in rule.get("args") or []]
        indices = [argument.arg for argument in arguments]
        lists = [arguments] if len(set(indices)) == len(indices) else [[argument] for argument in arguments]
        for name in rule["names"]:
            number = LIBRARY.seccomp_syscall_resolve_name(name.encode())
            if number == -1:
                print("unknown:", name)
                continue
            for conditions in lists:
                array = (Comparison * max(1, len(conditions)))(*conditions)
                check(LIBRARY.seccomp_rule_add_array(context, ctypes.c_uint32(chosen), number, len(conditions), array),
                      name)
    with tempfile.TemporaryFile() as file:
        check(LIBRARY.seccomp_export_bpf(context, file.fileno()), "export")
        file.seek(0)
        program = file.read()
    LIBRARY.seccomp_release(context)
    return program


def random_seccomp(chance, machine, mixed):
    """A profile about few system calls, so that rules meet.

    Where several rules of a system call look at the same argument and one does so by size, libseccomp 2.5.4 compares one
    half of it with what belongs to the other. The test finds that out where all rules have the same action; so those with
    different ones do not compare by size.
    """
    names = ["read", "write", "socket", "send", "socketcall", "ipc", "shmget", "semop", "ioctl", "openat", "_llseek", "clone"]
    names = chance.sample(names, 6)
    values = [0, 1, 5, 0xFFFFFFFF, 0x100000000, 0x100000001, 0xFFFFFFFF00000000, 0xFFFFFFFFFFFFFFFF, 0x7FFFFFFF80000000]
    actions = ["ALLOW", "ERRNO", "KILL_PROCESS", "LOG", "TRACE", "TRAP"]
    default, *actions = chance.sample(actions, len(actions))
    if not mixed:
        actions = actions[:1]
    rules = []
    for _ in range(chance.randrange(1, 9)):
        rule = {"names": chance.sample(names, chance.randrange(1, 3)), "action": "SCMP_ACT_" + chance.choice(actions)}
        if rule["action"] in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") and chance.random() < 0.7:
            rule["errnoRet"] = 38
        indices = [chance.randrange(3 if chance.random() < 0.8 else 6) for _ in range(chance.randrange(4))]
        rule["args"] = []
        for index in indices:
            operator = chance.choice(["EQ", "NE", "MASKED_EQ"] if mixed else list(OPERATORS))
            # A mask of nothing is a comparison for libseccomp, and none here.
            value = chance.choice([value for value in values if value & 0xFFFFFFFF or operator != "MASKED_EQ"])
            argument = {"index": index, "value": value, "op": "SCMP_CMP_" + operator}
            if operator == "MASKED_EQ":
                argument["valueTwo"] = chance.choice(values)
            rule["args"].append(argument)
        rules.append(rule)
    architectures = ["SCMP_ARCH_" + name for name in TOKENS if chance.random() < 0.7]
    return {"defaultAction": "SCMP_ACT_" + default, "architectures": architectures, "syscalls": rules}


def build_apart(seccomp, machine):
    """In another process, since libseccomp 2.5.4 makes some profiles without an end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(2)
        try:
            os.write(writer, build(seccomp, machine))
        except ValueError:
            pass
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as file:
        return file.read()


def main():
    LIBRARY.seccomp_api_set(6)
    for name in ["podman-default", "docker-default", "containerd-seccomp", "docker-seccomp-profile"]:
        with open(os.path.join(HERE, "..", "configs", name + ".json")) as file:
            seccomp = json.load(file)["linux"]["seccomp"]
        for machine in RUNS:
            with open(os.path.join(HERE, f"{name}-{machine}.bpf"), "wb") as file:
                if machine == "aarch64" and "architectures" in seccomp:
                    seccomp["architectures"] = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
                file.write(build(seccomp, machine))
    chance = random.Random(1)
    lines, refused = [], 0
    while len(lines) < int(os.environ.get("CASES", 120)):
        machine = "x86_64" if len(lines) % 3 else "aarch64"
        seccomp = random_seccomp(chance, machine, mixed=len(lines) % 2)
        config = {"ociVersion": "1.2.0", "root": {"path": "r"}, "linux": {"seccomp": seccomp}}
        program = build_apart(seccomp, machine)
        if program:
            lines.append(f"{machine}\t{json.dumps(config)}\t{program.hex()}\n")
        else:
            refused += 1
    with open(os.path.join(HERE, "random.txt"), "w") as file:
        file.writelines(lines)
    print(f"{refused} refused by libseccomp, or without an end")


main()
