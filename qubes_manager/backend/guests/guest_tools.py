"""The guest tools: our programs for guests as the files that they are there.

The modules are those of this package, so that the host and its guests speak the same messages: all of ``guest``, and
what that imports. They lie in a folder that is named after their digest, and each command names that folder: while
tools are renewed, whatever starts finds all of the old ones or all of the new ones. Templates that we build have these
files from the start; into others they go as an archive.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from qubes_manager.backend.host.own_modules import modules_of

FOLDER = "usr/lib/qubes-manager"
# Its first line is the digest, which the service program tells the host; then come the places of all files.
LIST = f"{FOLDER}/tools"
_DAEMON = (f"{FOLDER}/crossing", "qubes_manager.guest.crossing.daemon")
# Files of ``guest`` that are no modules, and their places.
_FILES = {
    "debian/private-volume.sh": f"{FOLDER}/private-volume",
    "debian/qubes-manager-private.service": "etc/systemd/system/qubes-manager-private.service",
    "debian/agent.conf": "etc/systemd/system/qemu-guest-agent.service.d/qubes-manager.conf",
    # The session that shows windows.
    "debian/gui_session.sh": f"{FOLDER}/gui-session",
    "debian/in_session.sh": f"{FOLDER}/in-session",
    "debian/list_apps.py": f"{FOLDER}/list-apps",
    "debian/xpra.conf": f"{FOLDER}/xpra/xpra.conf",
    "debian/qubes-manager-gui.service": "etc/systemd/system/qubes-manager-gui.service",
    "debian/qubes-manager-bridge.service": "etc/systemd/system/qubes-manager-bridge.service",
    "debian/60-qubes-manager.rules": "etc/udev/rules.d/60-qubes-manager.rules",
    "debian/qubes-manager-crossing.service": "etc/systemd/system/qubes-manager-crossing.service",
    "debian/qubes-manager-clock.service": "etc/systemd/system/qubes-manager-clock.service",
    "debian/61-qubes-manager-crossing.rules": "etc/udev/rules.d/61-qubes-manager-crossing.rules",
    # A domain that is the network of others.
    "debian/provide-network.sh": f"{FOLDER}/provide-network",
    "debian/vpn.sh": f"{FOLDER}/vpn",
    "debian/qubes-manager-network.service": "etc/systemd/system/qubes-manager-network.service",
    "debian/qubes-manager-vpn.service": "etc/systemd/system/qubes-manager-vpn.service",
    "debian/62-qubes-manager-network.rules": "etc/udev/rules.d/62-qubes-manager-network.rules",
    "debian/70-qubes-manager-downstream.network": "etc/systemd/network/70-qubes-manager-downstream.network",
    # The session looks for settings there before it does in /etc/xdg, where this would be the file manager's own.
    "debian/uca.xml": "usr/lib/qubes-manager/xdg/Thunar/uca.xml",
    "debian/notifications.service": f"{FOLDER}/share/dbus-1/services/notifications.service",
    "debian/gui-xdg.conf": "etc/systemd/system/qubes-manager-gui.service.d/xdg.conf",
    "debian/file_manager_entries.sh": f"{FOLDER}/file-manager-entries",
    # Behind Debian's own, 00-disable-autospawn.conf, which it takes back.
    "debian/pulse-client.conf": "etc/pulse/client.conf.d/qubes-manager.conf",
    **{
        f"debian/nautilus/{name}": f"{FOLDER}/nautilus/{name}"
        for name in (
            "Copy to another domain",
            "Move to another domain",
            "Open in another domain",
            "View in disposable",
            "Edit in disposable",
            "Convert PDF in disposable",
            "Convert picture in disposable",
        )
    },
}
# What the session and file managers run, and what D-Bus starts.
_PROGRAMS = (
    (f"{FOLDER}/launcher", "qubes_manager.guest.session.launcher"),
    (f"{FOLDER}/gui-bridge", "qubes_manager.guest.session.gui_bridge"),
    (f"{FOLDER}/file-action", "qubes_manager.guest.commands.file_action"),
    (f"{FOLDER}/tunnel-file", "qubes_manager.guest.tunnel"),
    (f"{FOLDER}/notifications", "qubes_manager.guest.notifications"),
)
_LAUNCHER = """#!/usr/bin/python3
import sys

sys.path.insert(0, "/{folder}")
from {module} import main

sys.exit(main(sys.argv[1:]))
"""
# Characters of the digest.
_SHORT = 16


@dataclass(frozen=True, slots=True)
class ToolFile:
    """A file's content and permissions; it is root's."""

    data: bytes
    mode: int = 0o644


@lru_cache(1)
def tools_digest() -> str:
    """Return what tells these tools from those of another version; guests that have them say it."""
    return _digest(_modules(), _others())


def python_folder() -> str:
    """Return where the modules are in a guest."""
    return f"{FOLDER}/python-{tools_digest()}"


@lru_cache(1)
def tool_files() -> Mapping[str, ToolFile]:
    """Return the tools by their places, which are relative to the guest's root."""
    folder = python_folder()
    files = {f"{folder}/{place}": ToolFile(data) for place, data in _modules().items()}
    files |= {place: ToolFile(data, 0o755 if data.startswith(b"#!") else 0o644) for place, data in _others().items()}
    for place, module in (*_commands(), _DAEMON, *_PROGRAMS):
        files[place] = ToolFile(_LAUNCHER.format(folder=folder, module=module).encode(), 0o755)
    files[LIST] = ToolFile("".join(f"{line}\n" for line in (tools_digest(), *sorted(files), LIST)).encode())
    return files


@lru_cache(1)
def _modules() -> Mapping[str, bytes]:
    """The modules by their places below the folder of all; ``debian`` holds programs that are no modules."""
    return modules_of("guest", but=("debian",))


def _others() -> Mapping[str, bytes]:
    package = resources.files("qubes_manager.guest")
    return {place: (package / name).read_bytes() for name, place in _FILES.items()}


def _commands() -> Iterator[tuple[str, str]]:
    """Places of the commands, and their modules."""
    for entry in (resources.files("qubes_manager.guest") / "commands").iterdir():
        if entry.name.startswith(("qvm_", "qrexec_")) and entry.name.endswith(".py"):
            name = entry.name.removesuffix(".py")
            yield f"usr/bin/{name.replace('_', '-')}", f"qubes_manager.guest.commands.{name}"
    # Where programs that were written for Qubes look for it.
    yield "usr/lib/qubes/qrexec-client-vm", "qubes_manager.guest.commands.qrexec_client_vm"


def _digest(*parts: Mapping[str, bytes]) -> str:
    seen = hashlib.sha256(_LAUNCHER.encode())
    for files in parts:
        for place, data in sorted(files.items()):
            seen.update(f"{place} {len(data)}\n".encode() + data)
    return seen.hexdigest()[:_SHORT]
