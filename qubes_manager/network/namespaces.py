"""Making namespaces and the domain's end of its network, by the kernel's own calls (namespaces(7), tuntap).

Who makes a user namespace has every capability in it and keeps them over an exec as its root; the user's own identity
is that root where things are to be set up, and stays itself where QEMU is to have no rights at all.
"""

import ctypes
import fcntl
import os
import struct

# From linux/sched.h, linux/if_tun.h and linux/nsfs.h.
NEW_USER, NEW_NET = 0x10000000, 0x40000000
_SET_INTERFACE = 0x400454CA
_TAP, _NO_PACKET_INFORMATION, _OFFLOAD_HEADER = 0x0002, 0x1000, 0x4000
_PARENT = 0xB702


def enter_new(*, as_root: bool) -> None:
    """Move this process, which has one thread, to a user and a network namespace of its own; raises OSError."""
    _make(NEW_USER | NEW_NET, as_root=as_root)


def enter_new_users() -> None:
    """Move this process to a user namespace of its own, as its root; raises OSError."""
    _make(NEW_USER, as_root=True)


def enter_new_network() -> None:
    """Move this process, which is root of its user namespace, to a network namespace of its own; raises OSError."""
    _call("unshare", NEW_NET)


def enter(namespace: int, kind: int) -> None:
    """Move this process to the namespace behind a descriptor; raises OSError."""
    _call("setns", namespace, kind)


def open_parent(users: int) -> int:
    """Return a descriptor of the user namespace in which another one was made; raises OSError."""
    return fcntl.ioctl(users, _PARENT)


def open_tap(name: str) -> int:
    """Make a network interface of this namespace, and return the descriptor of its other end; raises OSError."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(
        tap, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _TAP | _NO_PACKET_INFORMATION | _OFFLOAD_HEADER)
    )
    return tap


def _make(kinds: int, *, as_root: bool) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", kinds)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{0 if as_root else uid} {uid} 1"),
        ("gid_map", f"{0 if as_root else gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib takes 5 ms of a start to load
            file.write(text)


def _call(name: str, *words: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*words):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
