"""Who holds an image file that QEMU could not lock."""

from collections.abc import Collection

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.xml import parse


def is_lock_failure(text: str) -> bool:
    """Whether libvirt's *text* says that somebody else holds a file; which one, it says for some ways to open it only.

    The words are QEMU's (block/file-posix.c): ``Failed to get shared "write" lock``.
    """
    return any("Failed to get " in line and line.endswith('" lock') for line in map(str.strip, text.splitlines()))


async def find_holders(connection: LibvirtConnection, files: Collection[str], asking: str) -> dict[str, str]:
    """Return which running domains have one of *files* open, as a disk or below one: the domains' names, and the file.

    *asking*, a UUID, is left out. Where some write to a file, only they are told: who only reads leaves others to read.
    """

    def find(raw: libvirt.virConnect) -> dict[str, str]:
        running = raw.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        texts = {domain.name(): domain.XMLDesc() for domain in running if domain.UUIDString() != asking}
        for look in (_written, _opened):
            if found := {name: file for name, text in texts.items() for file in look(text) if file in files}:
                return found
        return {}

    return await connection.call("find who uses its disks", find)


def _written(xml: str) -> list[str]:
    disks = (disk for disk in parse(xml).iterfind("devices/disk") if disk.find("readonly") is None)
    # Where a copy goes on, its target is written to as well.
    return [s.get("file", "") for disk in disks for place in ("source", "mirror/source") for s in disk.iterfind(place)]


def _opened(xml: str) -> list[str]:
    return [s.get("file", "") for disk in parse(xml).iterfind("devices/disk") for s in disk.iter("source")]
