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
_LOCAL_DISPLAY = re.compile(r"(?:unix)?:(\d+)(?:\.\d+)?")


def is_available() -> bool:
    """Whether programs can be run apart here."""
    return shutil.which("bwrap") is not None


def viewer_command(
    program: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] = os.environ,
) -> list[str]:
    """Return the command line that runs a viewer (a module's name in ``viewers``) in its sandbox.

    It sees the X server of *environment* and the descriptors that it is started with: no network, no home folder, no
    session bus, no other processes. Raises Refused without an X display on this machine, NotFound
    without bubblewrap.
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
    x_socket = f"/tmp/.X11-unix/X{local[1]}"  # noqa: S108 - where X servers listen
    binds: list[tuple[str, str, str]] = [("--ro-bind", "/usr", "/usr"), ("--bind", x_socket, x_socket)]
    binds += [("--ro-bind-try", f"/etc/{name}", f"/etc/{name}") for name in _SETTINGS]
    package = Path(qubes_manager.__file__).parent
    binds += [("--ro-bind", str(package / part), f"{_PACKAGE}/{part}") for part in _PARTS]
    authority = environment.get("XAUTHORITY") or str(Path(environment.get("HOME") or "/") / ".Xauthority")
    binds.append(("--ro-bind-try", authority, "/run/xauthority"))
    links = [("usr/lib", "/lib"), ("usr/lib64", "/lib64"), ("usr/bin", "/bin"), ("usr/sbin", "/sbin")]
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/run/home",
        "XDG_RUNTIME_DIR": "/run/user",
        "PYTHONPATH": "/app",
        "PYTHONDONTWRITEBYTECODE": "1",
        # There is no bus in there to tell anybody about controls.
        "NO_AT_BRIDGE": "1",
        "DISPLAY": display,
        "XAUTHORITY": "/run/xauthority",
        "LANG": environment.get("LANG", "C.UTF-8"),
    }
    return [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/tmp",  # noqa: S108 - the sandbox's own
        "--perms",
        "0700",
        "--dir",
        "/run/user",
        "--dir",
        "/run/home",
        *(word for words in binds for word in words),
        *(word for target, link in links for word in ("--symlink", target, link)),
        *(word for name, value in variables.items() for word in ("--setenv", name, value)),
        "--chdir",
        "/run/home",
        SYSTEM_PYTHON,
        "-m",
        f"qubes_manager.viewers.{program}",
        *arguments,
    ]
