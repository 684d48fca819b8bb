"""Runs a viewer that starts no other program: confined.py PROGRAM ARGUMENTS, where PROGRAM is a module of ``viewers``.

The sandbox has to let one program be started, which is this one. It gives that up at once, and before anything of a
guest is read it gives up to have any code but what it has loaded by then.
"""

import ctypes
import errno
import gc
import importlib
import os
import re
import resource
import struct
import sys

# seccomp(2): a filter for all threads, Qt's too.
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
# The machine as the kernel names it to filters; numbers of seccomp, of execve and execveat, of mmap and mprotect.
_MACHINES = {"x86_64": (0xC000003E, 317, (59, 322), (9, 10)), "aarch64": (0xC00000B7, 277, (221, 281), (222, 226))}
# Classic BPF: load a word of what the kernel tells of the call, compare, return (linux/filter.h, linux/seccomp.h).
_LOAD, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _MACHINE, _THIRD_ARGUMENT = 0, 4, 32
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000 | errno.EPERM, 0x7FFF0000
_PROT_EXEC = 4
_MOST_THREADS = 64

_Step = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def few_threads() -> None:
    """Have no more threads than a viewer needs: each takes memory of the kernel's, which no other limit counts.

    Older kernels than 5.14 would count all that the user runs (RLIMIT_NPROC in user_namespaces(7)). root has none.
    """
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release and (int(release[1]), int(release[2])) >= (5, 14):
        resource.setrlimit(resource.RLIMIT_NPROC, (_MOST_THREADS, _MOST_THREADS))


def start_nothing_else() -> None:
    """From now on this process starts no program; raises OSError."""
    _machine, _seccomp, starting, _mapping = _MACHINES[os.uname().machine]
    _refuse(starting, ())


def load_nothing_else() -> None:
    """From now on no memory of this process becomes code; raises OSError."""
    _machine, _seccomp, _starting, mapping = _MACHINES[os.uname().machine]
    _refuse(mapping, ((_LOAD, 0, 0, _THIRD_ARGUMENT), (_IF_ANY_BIT, 1, 0, _PROT_EXEC), (_RETURN, 0, 0, _ALLOW)))


def _refuse(calls: tuple[int, int], where: tuple[_Step, ...]) -> None:
    """Refuse either of two calls from now on, of those the ones that *where* lets pass on to its end."""
    machine, seccomp, _starting, _mapping = _MACHINES[os.uname().machine]
    first, second = calls
    steps: list[_Step] = [
        (_LOAD, 0, 0, _MACHINE),
        (_IF_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_EQUAL, 2, 0, first),
        (_IF_EQUAL, 1, 0, second),
        (_RETURN, 0, 0, _ALLOW),
        *where,
        (_RETURN, 0, 0, _REFUSE),
    ]
    program = _Program(len(steps), b"".join(struct.pack("HBBI", *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(seccomp), _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "the kernel does not take the filter")


def main() -> None:
    """Give up what only the start needs, and be the program."""
    few_threads()
    start_nothing_else()
    del sys.argv[0]
    # What a program is made of stays to its end: to look there for what nobody needs takes time, and never finds much.
    gc.disable()
    program = importlib.import_module(f"qubes_manager.viewers.{sys.argv[0]}")
    gc.freeze()
    gc.enable()
    code = program.main()
    # Qt's own end now and then waits for its Wayland thread for good (6.11).
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    main()
