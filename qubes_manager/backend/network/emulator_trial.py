"""Whether the program in QEMU's place works here: by itself, and for libvirt."""

import os
import subprocess
from pathlib import Path

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.core.text import one_line

# The word that the program takes for a question, and what it says when all is well.
CHECK, GOOD = "--check-isolation", "isolated"
_SECONDS = 20
_MAX_WORDS = 300


def trouble_of(emulator: Path) -> str:
    """Return why networks cannot be kept apart here, as the program itself finds; empty when they can. Blocks."""
    owner = emulator.stat()
    is_root = os.geteuid() == 0
    try:
        answer = subprocess.run(
            [str(emulator), CHECK],
            capture_output=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            cwd="/",
            user=owner.st_uid if is_root else None,
            group=owner.st_gid if is_root else None,
            extra_groups=[] if is_root else None,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the program in QEMU’s place cannot be run: {one_line(str(error), _MAX_WORDS)}"
    said = (answer.stdout or answer.stderr).decode("utf-8", "replace").strip()
    return "" if said == GOOD else one_line(said, _MAX_WORDS) or f"it ended with code {answer.returncode}"


async def libvirt_takes(connection: LibvirtConnection, emulator: Path) -> str:
    """Return why libvirt does not start the program; empty when it does, and knows by then what that can do."""

    def ask(raw: libvirt.virConnect) -> str:
        try:
            raw.getDomainCapabilities(str(emulator), "x86_64", "q35", None)
        except libvirt.libvirtError as error:
            said = one_line(error.get_error_message() or "", _MAX_WORDS)
            return (
                f"libvirt does not start {emulator}: {said}; where AppArmor or SELinux keeps it from that, let an "
                "administrator allow it"
            )
        return ""

    return await connection.call("try the program in QEMU’s place", ask)
