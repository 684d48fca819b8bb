"""Which program serves what, and what it finds around it, as in Qubes."""

import logging
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qubes_manager.core.crossing.guest_messages import Start
from qubes_manager.core.crossing.listing import FETCH_SERVICE, LIST_SERVICE
from qubes_manager.core.crossing.services import (
    CLIPBOARD_COPY,
    CLIPBOARD_PASTE,
    CONNECT_TCP,
    FILECOPY,
    GET_IMAGE,
    OPEN_IN_VM,
    OPEN_URL,
    PDF_CONVERT,
    START_APP,
    VM_EXEC,
    VM_EXEC_GUI,
    VM_SHELL,
)
from qubes_manager.guest.crossing.service_settings import FOLDERS as SETTINGS_FOLDERS
from qubes_manager.guest.crossing.service_settings import BadSettings, read_settings
from qubes_manager.guest.session import scale

log = logging.getLogger(__name__)

# Where a guest's user and its template put services: SERVICE+ARGUMENT first, then SERVICE.
FOLDERS = (Path("/usr/local/etc/qubes-rpc"), Path("/etc/qubes-rpc"))
# What these programs serve themselves: modules in guest/services.
OWN = {
    CLIPBOARD_COPY: "clipboard_copy",
    CLIPBOARD_PASTE: "clipboard_paste",
    CONNECT_TCP: "connect_tcp",
    FILECOPY: "filecopy",
    GET_IMAGE: "pdf_convert",
    OPEN_IN_VM: "open_in_vm",
    OPEN_URL: "open_url",
    PDF_CONVERT: "pdf_convert",
    START_APP: "start_app",
    VM_EXEC: "vm_exec",
    VM_EXEC_GUI: "vm_exec",
    VM_SHELL: "vm_shell",
    FETCH_SERVICE: "file_fetch",
    LIST_SERVICE: "list_files",
}
# Those that are of no use before the user's session is there.
OF_SESSION = frozenset(
    {
        CLIPBOARD_COPY,
        CLIPBOARD_PASTE,
        OPEN_IN_VM,
        OPEN_URL,
        START_APP,
        VM_EXEC_GUI,
    }
)
# Modules that take and give the bytes of a call themselves, past the service program (``serve`` beside ``main``): for
# much data, and over soon. What waits for a user must not keep the port from the next call when it outlives us.
DIRECT = frozenset({"file_fetch", "filecopy", "pdf_convert"})
# The session that shows windows (gui_session.sh), and the port through which it does.
SESSION = Path("/run/qubes-manager-gui")
_GUI_PORT = Path("/dev/virtio-ports/org.qubes_manager.gui.0")
_LOCALE = Path("/etc/default/locale")
_QUOTES = "'\""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", re.ASCII)
# Of our own environment; the rest is the service program's.
_KEPT = ("PATH", "LANG", "TZ")


class NoHandler(Exception):
    """Nothing in this guest serves what was asked for; says what."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A program by its words, or a *module* of ours, which gets *argument*.

    *waits_for_session*: it is of no use before the user's session is there. *user* is who it runs as in any case.
    """

    words: tuple[str, ...] = ()
    module: str = ""
    argument: str = ""
    waits_for_session: bool = False
    user: str = ""

    @property
    def is_direct(self) -> bool:
        """Whether it reads from and writes to the data port itself."""
        return self.module in DIRECT


def find_handler(
    service: str,
    argument: str,
    folders: Sequence[Path] = FOLDERS,
    settings_folders: Sequence[Path] = SETTINGS_FOLDERS,
) -> Handler:
    """Return what serves *service*, as the guest's settings have it; raises NoHandler."""
    if not _NAME.fullmatch(service) or "+" in service:
        raise NoHandler(f"{service!r} is no name of a service")
    handler = _find_program(service, argument, folders)
    if path := _find_file(service, argument, settings_folders):
        try:
            settings = read_settings(path)
        except BadSettings as error:
            log.warning("%s", error)
            raise NoHandler(f"the settings of {service} in this domain are broken; its journal says where") from error
        waits = handler.waits_for_session if settings.waits_for_session is None else settings.waits_for_session
        handler = replace(handler, waits_for_session=waits, user=settings.user)
    return handler


def _find_program(service: str, argument: str, folders: Sequence[Path]) -> Handler:
    if path := _find_file(service, argument, folders):
        # A file that nobody may execute is a shell's, as in Qubes.
        shell = () if os.access(path, os.X_OK) else ("/bin/sh",)
        return Handler((*shell, str(path), *([argument] if argument else [])))
    if module := OWN.get(service):
        return Handler(module=module, argument=argument, waits_for_session=service in OF_SESSION)
    raise NoHandler(f"there is no service {service} in this domain")


def _find_file(service: str, argument: str, folders: Sequence[Path]) -> Path | None:
    # What is no name of a file has no file of its own.
    names = ([f"{service}+{argument}"] if _NAME.fullmatch(f"{service}+{argument}") else []) + [service]
    paths = (folder / name for name in names for folder in folders)
    return next((path for path in paths if path.is_file()), None)


def handler_environment(start: Start, user: pwd.struct_passwd) -> dict[str, str]:
    """What a handler of *user*'s finds in its environment: who calls it, and the user's session where there is one."""
    is_keyword = start.target.startswith("@")
    return {
        **{key: os.environ[key] for key in _KEPT if key in os.environ},
        **_locale(),
        "HOME": user.pw_dir,
        "SHELL": user.pw_shell,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "QREXEC_REMOTE_DOMAIN": start.source,
        "QREXEC_SERVICE_FULL_NAME": f"{start.service}+{start.argument}" if start.argument else start.service,
        "QREXEC_SERVICE_ARGUMENT": start.argument,
        "QREXEC_REQUESTED_TARGET_TYPE": "keyword" if is_keyword else "name",
        f"QREXEC_REQUESTED_TARGET{'_KEYWORD' if is_keyword else ''}": start.target.removeprefix("@"),
        **session_environment(),
    }


def session_environment(folder: Path = SESSION) -> dict[str, str]:
    """What makes a program part of the user's session; empty where there is none."""
    if not (folder / "xpra.sock").exists():
        return {}
    try:
        bus = (folder / "bus-address").read_text("utf-8").strip()
    except OSError:
        return {}
    return {
        "DISPLAY": ":10",
        "XAUTHORITY": str(Path.home() / ".Xauthority"),
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_SESSION_TYPE": "x11",
        "XDG_CONFIG_DIRS": "/usr/lib/qubes-manager/xdg:/etc/xdg",
        "DBUS_SESSION_BUS_ADDRESS": bus,
        **scale.read(folder),
    }


def is_session_to_come(folder: Path = SESSION) -> bool:
    """Whether the user's session is about to start: the host offers to show windows, and there are none yet."""
    return _GUI_PORT.exists() and not (folder / "xpra.sock").exists()


def _locale() -> Mapping[str, str]:
    try:
        lines = _LOCALE.read_text("utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {name: value.strip(_QUOTES) for name, _, value in pairs if name == "LANG"}
