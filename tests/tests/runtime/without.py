"""without.py ERRNO CALL[,CALL...] COMMAND [ARG...]: runs a command for which these system calls fail, as on an older kernel.

The call `nf_tables` is a netlink socket of the packet filter."""
import ctypes, os, platform, struct, sys

NUMBERS = {
    # On every architecture since 5.0 the numbers are the same.
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "faccessat2": 439,
    "mount_setattr": 442,
}
NUMBERS |= {
    "x86_64": {"memfd_create": 319, "seccomp": 317, "keyctl": 250, "bpf": 321, "socket": 41},
    "aarch64": {"memfd_create": 279, "seccomp": 277, "keyctl": 219, "bpf": 280, "socket": 198},
}[platform.machine()]

errno, calls, command = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ARGUMENTS = 16
program = []
if "nf_tables" in calls:
    calls.remove("nf_tables")
    # AF_NETLINK is 16 and NETLINK_NETFILTER is 12; what is not that goes on with what comes next.
    program += [struct.pack("HBBI", LOAD, 0, 0, 0), struct.pack("HBBI", JUMP_IF_EQUAL, 0, 5, NUMBERS["socket"])]
    program += [struct.pack("HBBI", LOAD, 0, 0, ARGUMENTS), struct.pack("HBBI", JUMP_IF_EQUAL, 0, 3, 16)]
    program += [struct.pack("HBBI", LOAD, 0, 0, ARGUMENTS + 16), struct.pack("HBBI", JUMP_IF_EQUAL, 0, 1, 12)]
    program += [struct.pack("HBBI", RETURN, 0, 0, 0x00050000 | errno)]
program.append(struct.pack("HBBI", LOAD, 0, 0, 0))
for left, call in zip(range(len(calls), 0, -1), calls):
    program.append(struct.pack("HBBI", JUMP_IF_EQUAL, left, 0, NUMBERS[call]))
program.append(struct.pack("HBBI", RETURN, 0, 0, 0x7FFF0000))
program.append(struct.pack("HBBI", RETURN, 0, 0, 0x00050000 | errno))
instructions = ctypes.create_string_buffer(b"".join(program))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(instructions)))
libc = ctypes.CDLL(None, use_errno=True)
# PR_SET_SECCOMP, SECCOMP_MODE_FILTER: root needs no no_new_privs for it.
if libc.prctl(22, 2, filter, 0, 0) != 0:
    sys.exit(f"without.py: no filter: {os.strerror(ctypes.get_errno())}")
os.execvp(command[0], command)
