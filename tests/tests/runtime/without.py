"""without.py ERRNO CALL[,CALL...] COMMAND [ARG...]: runs a command for which these system calls fail, as on an older kernel.
CALL:ARGUMENT=VALUE[:ARGUMENT=VALUE] fails where the arguments with these numbers have these values (their lower 32 bits)."""
import ctypes, os, platform, struct, sys

NUMBERS = {
    # On every architecture since 5.0 the numbers are the same.
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "faccessat2": 439,
    "mount_setattr": 442,
}
NUMBERS |= {
    "x86_64": {"memfd_create": 319, "seccomp": 317, "keyctl": 250, "bpf": 321, "mount": 165, "ioctl": 16, "socket": 41},
    "aarch64": {"memfd_create": 279, "seccomp": 277, "keyctl": 219, "bpf": 280, "mount": 40, "ioctl": 29, "socket": 198},
}[platform.machine()]

errno, calls, command = int(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
program = []
for call in calls:
    name, *conditions = call.split(":")
    block = [struct.pack("HBBI", RETURN, 0, 0, 0x00050000 | errno)]
    tests = [(0, NUMBERS[name])]
    for condition in conditions:
        argument, value = map(int, condition.split("="))
        tests.append((16 + 8 * argument, value))
    for offset, value in reversed(tests):
        # What does not equal jumps over the rest of the block.
        block.insert(0, struct.pack("HBBI", JUMP_IF_EQUAL, 0, len(block), value))
        block.insert(0, struct.pack("HBBI", LOAD, 0, 0, offset))
    program += block
program.append(struct.pack("HBBI", RETURN, 0, 0, 0x7FFF0000))
instructions = ctypes.create_string_buffer(b"".join(program))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(instructions)))
libc = ctypes.CDLL(None, use_errno=True)
# PR_SET_SECCOMP, SECCOMP_MODE_FILTER: root needs no no_new_privs for it.
if libc.prctl(22, 2, filter, 0, 0) != 0:
    sys.exit(f"without.py: no filter: {os.strerror(ctypes.get_errno())}")
os.execvp(command[0], command)
