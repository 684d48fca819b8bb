"""Runs the programs that show what guests draw apart from everything of the user's (bubblewrap)."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import qubes_manager
from qubes_manager.core.errors import NotFound, Refused

SYSTEM_PYTHON = "/usr/bin/python3"
# What GTK and xpra read of the system's settings.
_SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "fonts", "gtk-3.0", "alternatives", "localtime", "X11")
_PACKAGE = "/app/qubes_manager"
# Of our own package the viewers need these parts only.
_PARTS = ("__init__.py", "core", "viewers")
_LINKS = (("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin"), ("usr/sbin", "/sbin"))
_VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/run/home",
    "XDG_RUNTIME_DIR": "/run/user",
    "XAUTHORITY": "/run/xauthority",
    "PYTHONPATH": "/app",
    "PYTHONDONTWRITEBYTECODE": "1",
    # There is no bus in there to tell anybody about controls.
    "NO_AT_BRIDGE": "1",
}
_LOCAL_DISPLAY = re.compile(r"(?:unix)?:(\d+)(?:\.\d+)?")


def is_available() -> bool:
    """Whether programs can be run apart here."""
    return shutil.which("bwrap") is not None


def viewer_command(
    program: str, arguments: Sequence[str] = (), *, environment: Mapping[str, str] = os.environ
) -> list[str]:
    """Return the command line that runs a viewer (a module's name in ``viewers``) in its sandbox.

    It sees the X server of *environment* and the descriptors that it is started with: no network, no home folder, no
    session bus, no other processes. Raises Refused without an X display on this machine, NotFound without bubblewrap.
    """
    if not is_available():
        raise NotFound("bubblewrap is not installed: without it what guests draw would not be kept apart")
    display = environment.get("DISPLAY", "")
    local = _LOCAL_DISPLAY.fullmatch(display)
    if local is None:
        raise Refused(
            f"the display {display!r} is not on this machine"
            if display
            else "there is no X display: log in to a desktop with X or XWayland"
        )
    authority = environment.get("XAUTHORITY") or str(Path(environment.get("HOME") or "/") / ".Xauthority")
    variables = {**_VARIABLES, "DISPLAY": display, "LANG": environment.get("LANG", "C.UTF-8")}
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108 - the sandbox's own
        *("--perms", "0700", "--dir", "/run/user", "--dir", "/run/home"),
        *(word for bind in _binds(f"/tmp/.X11-unix/X{local[1]}", authority) for word in bind),  # noqa: S108
        *(word for link in _LINKS for word in ("--symlink", *link)),
        *(word for variable in variables.items() for word in ("--setenv", *variable)),
        *("--chdir", "/run/home", SYSTEM_PYTHON, "-m", f"qubes_manager.viewers.{program}", *arguments),
    ]


def _binds(x_socket: str, authority: str) -> list[tuple[str, str, str]]:
    """What of the host's files is seen inside, as bubblewrap's options."""
    package = Path(qubes_manager.__file__).parent
    return [
        ("--ro-bind", "/usr", "/usr"),
        ("--bind", x_socket, x_socket),
        ("--ro-bind-try", authority, _VARIABLES["XAUTHORITY"]),
        *(("--ro-bind-try", f"/etc/{name}", f"/etc/{name}") for name in _SETTINGS),
        *(("--ro-bind", str(package / part), f"{_PACKAGE}/{part}") for part in _PARTS),
    ]
