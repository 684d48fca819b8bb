"""What the filter of viewers decides, on the machines that it is made for: its program is run here step by step."""

import errno
import socket
import struct

import pytest

from qubes_manager.backend.viewers import seccomp
from qubes_manager.core.errors import NotFound

KILL, ALLOW, NO_SUCH_CALL = 0x80000000, 0x7FFF0000, 0x00050000 | errno.ENOSYS
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Numbers of calls: here, and on ARM.
CALLS = {
    "read": (0, 63),
    "openat": (257, 56),
    "mmap": (9, 222),
    "socket": (41, 198),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "prlimit64": (302, 261),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "process_vm_readv": (310, 270),
    "kill": (62, 129),
    "bind": (49, 200),
    "listen": (50, 201),
    "memfd_create": (319, 279),
    "renameat2": (316, 276),
    "ioctl": (16, 29),
    "seccomp": (317, 277),
    "fcntl": (72, 25),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "io_setup": (206, 0),
    "of_the_future": (1999, 1999),
}


def decide(program: bytes, machine: int, number: int, *arguments: int) -> int:
    """What a filter answers to one call (classic BPF over struct seccomp_data)."""
    data = struct.pack("<iIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("<HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x05:
                at += value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x25:
                at += if_true if accumulator > value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x54:
                accumulator &= value
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"a step that is not known: {code:#x}")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("read", (), ALLOW),
        ("openat", (), ALLOW),
        ("execve", (), ALLOW),
        ("mmap", (0, 4096, 1 | 2), ALLOW),
        ("mmap", (0, 4096, 1 | 4), ALLOW),
        ("mmap", (0, 4096, 1 | 2 | 4), NO_SUCH_CALL),
        ("socket", (socket.AF_UNIX, socket.SOCK_STREAM), ALLOW),
        ("socket", (socket.AF_INET, socket.SOCK_STREAM), KILL),
        ("socket", (socket.AF_NETLINK, socket.SOCK_RAW), KILL),
        ("socket", (1 << 32 | socket.AF_UNIX, socket.SOCK_STREAM), KILL),
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (17,), NO_SUCH_CALL),
        ("clone3", (), NO_SUCH_CALL),
        ("prlimit64", (0, 9, 0), ALLOW),
        ("prlimit64", (0, 9, 0x7FFF0000), NO_SUCH_CALL),
        # Of threads.
        ("prlimit64", (0, 6, 0x7FFF0000), ALLOW),
        ("fcntl", (0, 3), ALLOW),
        ("fcntl", (0, 1030), ALLOW),
        # Locks.
        ("fcntl", (0, 6), NO_SUCH_CALL),
        ("fcntl", (0, 37), NO_SUCH_CALL),
        # A filter for all threads, and none that another process answers for.
        ("seccomp", (1, 1), ALLOW),
        ("seccomp", (1, 8), NO_SUCH_CALL),
        ("ioctl", (0, 0x5401), ALLOW),
        # Typing into a terminal.
        ("ioctl", (0, 0x5412), NO_SUCH_CALL),
        ("ptrace", (), KILL),
        ("bpf", (), KILL),
        ("io_uring_setup", (), KILL),
        ("process_vm_readv", (), KILL),
        ("kill", (), NO_SUCH_CALL),
        ("bind", (), NO_SUCH_CALL),
        ("memfd_create", (), NO_SUCH_CALL),
        ("renameat2", (), NO_SUCH_CALL),
        ("of_the_future", (), NO_SUCH_CALL),
    ],
)
def test_a_call_is_allowed_unknown_or_the_end(machine: str, call: str, arguments: tuple[int, ...], answer: int) -> None:
    number = CALLS[call][list(MACHINES).index(machine)]
    assert decide(seccomp.compiled(machine), MACHINES[machine], number, *arguments) == answer


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "answer"),
    [
        ("read", (), ALLOW),
        ("execve", (), ALLOW),
        ("kill", (), ALLOW),
        ("mmap", (0, 4096, 1 | 2, 0x22), ALLOW),
        # Shared memory: of a file, and of nobody's.
        ("mmap", (0, 4096, 1 | 2, 0x01), ALLOW),
        ("mmap", (0, 4096, 1 | 2, 0x21), NO_SUCH_CALL),
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (17,), NO_SUCH_CALL),
        ("clone3", (), NO_SUCH_CALL),
        ("memfd_create", (), NO_SUCH_CALL),
        ("prlimit64", (0, 9, 0), ALLOW),
        ("prlimit64", (0, 9, 0x7FFF0000), NO_SUCH_CALL),
        ("prlimit64", (0, 6, 0x7FFF0000), ALLOW),
        ("fcntl", (0, 3), ALLOW),
        ("fcntl", (0, 6), NO_SUCH_CALL),
        ("fcntl", (0, 37), NO_SUCH_CALL),
        # The kernel looks at the lower half of the number.
        ("fcntl", (0, 1 << 32 | 6), NO_SUCH_CALL),
        ("fcntl", (0, 1 << 32 | 37), NO_SUCH_CALL),
        ("clone", (1 << 32 | 17,), NO_SUCH_CALL),
        ("mmap", (0, 4096, 1 | 2, 1 << 32 | 0x21), NO_SUCH_CALL),
        ("bind", (), NO_SUCH_CALL),
        ("listen", (), NO_SUCH_CALL),
        ("semget", (), NO_SUCH_CALL),
        ("msgget", (), NO_SUCH_CALL),
        ("mq_open", (), NO_SUCH_CALL),
        ("io_setup", (), NO_SUCH_CALL),
        ("socket", (socket.AF_UNIX, socket.SOCK_STREAM), ALLOW),
        ("socket", (socket.AF_INET, socket.SOCK_STREAM), NO_SUCH_CALL),
        ("ptrace", (), NO_SUCH_CALL),
        ("io_uring_setup", (), NO_SUCH_CALL),
    ],
)
def test_a_viewer_under_gtk_may_call_all_but_what_leads_out_of_its_limits(
    machine: str, call: str, arguments: tuple[int, ...], answer: int
) -> None:
    number = CALLS[call][list(MACHINES).index(machine)]
    assert decide(seccomp.compiled(machine, is_ours=False), MACHINES[machine], number, *arguments) == answer


def test_calls_in_another_machine_s_way_end_the_viewer() -> None:
    i386, x32 = 0x40000003, 0x40000000
    program = seccomp.compiled("x86_64")
    assert decide(program, i386, 3) == KILL
    assert decide(program, MACHINES["x86_64"], x32 | 59) in (KILL, NO_SUCH_CALL)


def test_without_libseccomp_or_on_another_machine_there_is_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFound, match="no viewers can be run on riscv64"):
        seccomp.compiled("riscv64")
    monkeypatch.setattr(seccomp, "_LIBRARY", "libnothing.so.2")
    with pytest.raises(NotFound, match="install libseccomp"):
        seccomp.compiled()
