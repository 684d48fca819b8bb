"""Which calls of the kernel a viewer may make, compiled by libseccomp, which every host has: QEMU stands on it.

What is not named here does not exist for a viewer: the kernel answers ENOSYS, as an older one would, so that libraries
take the way that they have for that. Only a viewer that was taken over makes the calls that end it at once.

What calls GTK makes is its own affair, and differs by version: for a viewer under it all exist but those, and
those by which it would have memory that its limit does not count.
"""

import contextlib
import ctypes
import errno
import os
import socket
from collections.abc import Iterator
from typing import NamedTuple

from qubes_manager.core.errors import NotFound, QubesManagerError

_LIBRARY = "libseccomp.so.2"

_READING = (
    "read pread64 readv lseek close close_range open openat access faccessat faccessat2 stat fstat lstat newfstatat"
    " fstatat64 statx readlink readlinkat getdents getdents64 getcwd statfs fstatfs fadvise64 dup dup2 dup3"
)
# Files are written where the sandbox has a folder for pictures that the screen reads. Files in memory (memfd_create),
# which libraries would rather use, are out of reach of every limit; they take the folder then.
_WRITING = "write writev ftruncate fallocate mkdir mkdirat unlink unlinkat pipe pipe2 eventfd2"
_MEMORY = "munmap mremap madvise brk membarrier"
_WAITING = (
    "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait timerfd_create timerfd_settime futex"
    " clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time restart_syscall wait4"
)
_TALKING = "connect sendmsg recvmsg sendto recvfrom getsockopt setsockopt getsockname getpeername shutdown"
_ITSELF = (
    "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack tgkill exit exit_group set_robust_list rseq set_tid_address"
    " arch_prctl getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid uname sysinfo getrandom"
    " getrusage sched_yield sched_getaffinity"
)
# The viewer itself is started after this holds; from then on it starts nothing (``viewers/confined.py``).
_STARTING = "execve execveat"
_ALLOWED = (_READING, _WRITING, _MEMORY, _WAITING, _TALKING, _ITSELF, _STARTING)
# Memory that is held without being mapped, and processes, each of which would have the limits for itself. What was sent
# to a socket that listens stays with it, though who sent it has closed.
_BEYOND_THE_LIMIT = "memfd_create memfd_secret shmget semget msgget mq_open io_setup bind listen fork vfork clone3"
# None of these is ever tried by a library that draws.
_DEADLY = (
    "ptrace process_vm_readv process_vm_writev process_madvise pidfd_open pidfd_getfd kcmp"
    " mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr"
    " unshare setns bpf perf_event_open userfaultfd keyctl add_key request_key"
    " io_uring_setup io_uring_enter io_uring_register name_to_handle_at open_by_handle_at"
    " init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff"
    " iopl ioperm modify_ldt acct quotactl syslog setuid setgid setresuid setresgid mknod mknodat"
)

# libseccomp's actions, comparisons and attributes (seccomp.h).
_KILL, _ALLOW, _NO_SUCH_CALL = 0x80000000, 0x7FFF0000, 0x00050000 | errno.ENOSYS
_NOT_EQUAL, _EQUAL, _MASKED_EQUAL = 1, 4, 7
_BAD_ARCHITECTURE, _OPTIMIZE = 2, 8
_UNKNOWN_CALL = -1
# The kernel's numbers, which are the same on all machines that this program runs on.
_CLONE_THREAD = 0x10000
_PROT_WRITE, _PROT_EXEC = 2, 4
_MAP_SHARED_ANONYMOUS = 0x21
_IOCTLS = {"TCGETS": 0x5401, "FIONREAD": 0x541B, "FIONBIO": 0x5421, "FIOCLEX": 0x5451}
# Locks, of which a file may have any number, are none of these.
_FCNTLS = {"DUPFD": 0, "GETFD": 1, "SETFD": 2, "GETFL": 3, "SETFL": 4, "DUPFD_CLOEXEC": 1030}
_FCNTL_LOCKS = {"SETLK": 6, "SETLKW": 7, "OFD_SETLK": 37, "OFD_SETLKW": 38}
# As much of a command as the kernel looks at.
_INT = 0xFFFFFFFF
_NUMBER_OF_THREADS = 6
_PRCTLS = {"SET_NAME": 15, "GET_NAME": 16, "SET_VMA": 0x53564D41}
_FILTER_ALL_THREADS = 1

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


class _Comparison(ctypes.Structure):
    """One condition on an argument of a call (``struct scmp_arg_cmp``)."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


# Calls that are allowed, or end the viewer, by what their arguments are: the call, and of each argument its number,
# what is asked of it, and two numbers (a mask and what is left under it where it is masked).
_Condition = tuple[int, int, int, int]
_ByArgument = tuple[int, str, *tuple[_Condition, ...]]
_BY_ARGUMENT: tuple[_ByArgument, ...] = (
    (_KILL, "socket", (0, _NOT_EQUAL, socket.AF_UNIX, 0)),
    (_ALLOW, "socket", (0, _EQUAL, socket.AF_UNIX, 0)),
    (_ALLOW, "socketpair", (0, _EQUAL, socket.AF_UNIX, 0)),
    # Threads, and no processes. clone3, whose flags no filter can see, is not there, and glibc takes clone then.
    (_ALLOW, "clone", (0, _MASKED_EQUAL, _CLONE_THREAD, _CLONE_THREAD)),
    # Memory is written or run, not both; from the first word of the guest on none becomes code (viewers/confined.py).
    *(
        (_ALLOW, call, (2, _MASKED_EQUAL, mask, left))
        for call in ("mmap", "mprotect")
        for mask, left in ((_PROT_EXEC, 0), (_PROT_EXEC | _PROT_WRITE, _PROT_EXEC))
    ),
    # Limits are read, and never set, but for that of threads, which it sets itself (viewers/confined.py).
    (_ALLOW, "prlimit64", (2, _EQUAL, 0, 0)),
    (_ALLOW, "prlimit64", (1, _EQUAL, _NUMBER_OF_THREADS, 0)),
    *((_ALLOW, "fcntl", (1, _EQUAL, command, 0)) for command in _FCNTLS.values()),
    *((_ALLOW, "ioctl", (1, _EQUAL, request, 0)) for request in _IOCTLS.values()),
    # It may give up more.
    (_ALLOW, "seccomp", (1, _EQUAL, _FILTER_ALL_THREADS, 0)),
    *((_ALLOW, "prctl", (0, _EQUAL, number, 0)) for number in _PRCTLS.values()),
)


class _Filter(NamedTuple):
    """What becomes of calls that are not named, of those that are, and of those that an argument decides about."""

    default: int
    by_name: tuple[tuple[int, str], ...]
    by_argument: tuple[_ByArgument, ...]


_OURS = _Filter(_NO_SUCH_CALL, ((_ALLOW, " ".join(_ALLOWED)), (_KILL, _DEADLY)), _BY_ARGUMENT)
_GTK = _Filter(
    _ALLOW,
    ((_NO_SUCH_CALL, f"{_DEADLY} {_BEYOND_THE_LIMIT}"),),
    (
        (_NO_SUCH_CALL, "socket", (0, _NOT_EQUAL, socket.AF_UNIX, 0)),
        (_NO_SUCH_CALL, "clone", (0, _MASKED_EQUAL, _CLONE_THREAD, 0)),
        # The limit of data counts what is private.
        (_NO_SUCH_CALL, "mmap", (3, _MASKED_EQUAL, _MAP_SHARED_ANONYMOUS, _MAP_SHARED_ANONYMOUS)),
        (_NO_SUCH_CALL, "prlimit64", (2, _NOT_EQUAL, 0, 0), (1, _NOT_EQUAL, _NUMBER_OF_THREADS, 0)),
        *((_NO_SUCH_CALL, "fcntl", (1, _MASKED_EQUAL, _INT, command)) for command in _FCNTL_LOCKS.values()),
    ),
)


# What gives a domain its address has the rights over its namespace that it does not start without. It is kept from the
# packet filter there, which they would open (socket(AF_NETLINK, …, NETLINK_NETFILTER)), and from what sees all packets.
_NETFILTER = 12
_SOCKET_TYPE, _SOCK_PACKET = 0xF, 10
_DHCP = _Filter(
    _ALLOW,
    ((_NO_SUCH_CALL, _DEADLY),),
    (
        (_NO_SUCH_CALL, "socket", (0, _MASKED_EQUAL, _INT, socket.AF_NETLINK), (2, _MASKED_EQUAL, _INT, _NETFILTER)),
        (_NO_SUCH_CALL, "socket", (0, _MASKED_EQUAL, _INT, socket.AF_PACKET)),
        # The older way to the same, in whatever family.
        (_NO_SUCH_CALL, "socket", (1, _MASKED_EQUAL, _SOCKET_TYPE, _SOCK_PACKET)),
    ),
)


@contextlib.contextmanager
def filter_file(*, is_ours: bool = True) -> Iterator[int]:
    """A descriptor that bubblewrap reads a viewer's filter from; raises NotFound, QubesManagerError."""
    with _new_file(compiled(is_ours=is_ours)) as file:
        yield file


def compiled(machine: str | None = None, *, is_ours: bool = True) -> bytes:
    """Return the filter for a *machine* as uname says it, this one by default; raises NotFound, QubesManagerError.

    *is_ours* says whether it is for a viewer of our own.
    """
    return _compiled(_OURS if is_ours else _GTK, machine)


def compiled_for_dhcp(machine: str | None = None) -> bytes:
    """Return the filter for what gives domains their addresses; raises as ``compiled``."""
    return _compiled(_DHCP, machine)


def _compiled(wanted: _Filter, machine: str | None) -> bytes:
    machine = machine or os.uname().machine
    if machine not in _ARCHITECTURES:
        raise NotFound(f"no viewers can be run on {machine}: which calls of its kernel they need is not known")
    library = _library()
    context = library.seccomp_init(wanted.default)
    if not context:
        raise QubesManagerError("libseccomp makes no filter")
    try:
        _choose_architecture(library, context, _ARCHITECTURES[machine])
        _set(library.seccomp_attr_set(context, _BAD_ARCHITECTURE, _KILL), "what other machines' calls do")
        # A tree instead of a list: a call takes a few comparisons instead of a hundred. Older libraries have none.
        library.seccomp_attr_set(context, _OPTIMIZE, 2)
        for action, calls in wanted.by_name:
            for call in calls.split():
                _add(library, context, action, call)
        for action, call, *conditions in wanted.by_argument:
            _add(library, context, action, call, *(_Comparison(*condition) for condition in conditions))
        with _new_file(b"") as file:
            _set(library.seccomp_export_bpf(context, file), "the whole")
            return os.pread(file, 1 << 20, 0)
    finally:
        library.seccomp_release(context)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise NotFound(f"{_LIBRARY} is not there: without it a viewer would not be held; install libseccomp") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_release.restype = None
    library.seccomp_arch_native.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = library.seccomp_arch_remove.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def _choose_architecture(library: ctypes.CDLL, context: int, wanted: int) -> None:
    native = library.seccomp_arch_native()
    if native != wanted:
        _set(library.seccomp_arch_add(context, wanted), "the machine")
        _set(library.seccomp_arch_remove(context, native), "the machine")


def _add(library: ctypes.CDLL, context: int, action: int, call: str, *conditions: _Comparison) -> None:
    number = library.seccomp_syscall_resolve_name(call.encode())
    if number == _UNKNOWN_CALL:
        # Younger than the library: then it is as all that is not named.
        return
    array = (_Comparison * len(conditions))(*conditions)
    _set(library.seccomp_rule_add_array(context, action, number, len(conditions), array), call)


def _set(result: int, what: str) -> None:
    if result:
        raise QubesManagerError(f"libseccomp does not take {what}: {os.strerror(-result)}")


@contextlib.contextmanager
def _new_file(content: bytes) -> Iterator[int]:
    file = os.memfd_create("viewer's filter")
    try:
        os.write(file, content)
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
