"""Where a libvirt daemon on this machine keeps its files."""

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_SO_PEERCRED_FORMAT = "3i"  # struct ucred: pid, uid, gid (unix(7))


@dataclass(frozen=True, slots=True)
class DaemonPaths:
    """Folders of a daemon that runs on this machine: QEMU's logs, UEFI variables, our volumes, its own logs."""

    qemu_logs: Path
    nvram: Path
    volumes: Path
    daemon_logs: tuple[Path, ...]


def is_on_this_machine(uri: str) -> bool:
    """Whether the libvirt behind *uri* has the files that programs here have: whether paths mean the same to both."""
    parts = urlsplit(uri)
    driver, _, transport = parts.scheme.partition("+")
    return bool(driver) and not parts.netloc and transport in ("", "unix")


def is_users(uri: str) -> bool:
    """Whether *uri* is of a QEMU that runs as a user of this machine, who may open no device."""
    parts = urlsplit(uri)
    scheme, _, transport = parts.scheme.partition("+")
    return scheme == "qemu" and not parts.netloc and transport in ("", "unix") and parts.path == "/session"


def daemon_paths(uri: str) -> DaemonPaths | None:
    """Return the folders of the daemon behind *uri*, or None when it is not on this machine or is unknown. Blocks."""
    parts = urlsplit(uri)
    scheme, _, transport = parts.scheme.partition("+")
    if scheme != "qemu" or parts.netloc or transport not in ("", "unix"):
        return None
    if parts.path == "/system":
        return DaemonPaths(
            Path("/var/log/libvirt/qemu"),
            Path("/var/lib/libvirt/qemu/nvram"),
            Path("/var/lib/libvirt/images/qubes-manager"),
            (),
        )
    named = parse_qs(parts.query).get("socket")
    environment = _environment_behind(unquote(named[0])) if named else os.environ
    return _session_paths(environment) if environment is not None else None


def _session_paths(environment: Mapping[str, str]) -> DaemonPaths:
    # The folders of libvirt's virGetUserCacheDirectory and the XDG base directory specification.
    home = Path(environment.get("HOME") or "/")
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "libvirt"
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "libvirt"
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    logs = tuple(cache / f"{name}.log" for name in ("libvirtd", "virtqemud"))
    return DaemonPaths(cache / "qemu/log", config / "qemu/nvram", data / "qubes-manager/volumes", logs)


def _environment_behind(path: str) -> Mapping[str, str] | None:
    """The environment of the process that listens at *path*; None when it may not be read."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(path)
            peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_SO_PEERCRED_FORMAT))
        pid = struct.unpack(_SO_PEERCRED_FORMAT, peer)[0]
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    pairs = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in raw.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}
