"""From the name that a disk has for its image to the file that it is, and on to those that it stands on."""

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import libvirt
from lxml import etree

from qubes_manager.backend.host.daemon_paths import is_on_this_machine
from qubes_manager.backend.storage.image_header import read_references
from qubes_manager.backend.storage.volume_store import absence_allowed, look_up
from qubes_manager.backend.xml import parse
from qubes_manager.core.hardware import Layer
from qubes_manager.core.image_use import ImageFile
from qubes_manager.core.volumes import OwnVolume

# Longer chains are cut; QEMU gives up on them too.
MAX_DEPTH = 200
# Formats that have no room for a reference, so that what a guest wrote into them is none.
_WITHOUT_REFERENCES = ("raw", "iso")


class ImageChains:
    """Reads chains on one connection, each file once. Blocks: it belongs into a thread.

    On this machine device and inode say which file is which, and headers what stands on what. Of other hosts that is
    known which libvirt says: paths, and of files in active pools the volume and its backing store.
    """

    def __init__(self, raw: libvirt.virConnect, uri: str) -> None:
        self._raw = raw
        self._is_local = is_on_this_machine(uri)
        self._files: dict[Layer, ImageFile] = {}
        self._below: dict[Layer, list[Layer]] = {}
        self._is_refreshed = False

    def of_disk(self, layers: Sequence[Layer], *, ends: bool = False) -> tuple[ImageFile, ...]:
        """The files of a disk whose XML names *layers*, topmost first; with *ends* there are no others.

        Where this machine has the files, their headers are asked all the same: QEMU may have been told otherwise.
        """
        found: dict[Layer, None] = {}
        waiting = list(layers)
        while waiting and len(found) < MAX_DEPTH:
            layer = waiting.pop(0)
            if layer not in found:
                found[layer] = None
                waiting += self._stands_on(layer) if self._is_local or not ends else []
        return tuple(self.file(layer) for layer in found)

    def of_volumes(self, volumes: Iterable[OwnVolume]) -> dict[str, ImageFile]:
        """The files of volumes by their names; those that are gone are left out.

        Raises NotFound and HostCallFailed for a pool that cannot be looked into, libvirtError.
        """
        found = {}
        for volume in volumes:
            with absence_allowed():
                found[volume.name] = self._of_volume(look_up(self._raw, volume.pool, volume.name))
        return found

    def file(self, layer: Layer) -> ImageFile:
        """The file of one layer, by all its names."""
        if layer not in self._files:
            self._files[layer] = self._identified(layer)
        return self._files[layer]

    def _identified(self, layer: Layer) -> ImageFile:
        if layer.pool:
            with contextlib.suppress(libvirt.libvirtError):
                place = self._raw.storagePoolLookupByName(layer.pool)
                return self._of_volume(place.storageVolLookupByName(layer.source))
            return ImageFile(layer.source, frozenset((_volume_name(layer.pool, layer.source),)))
        return ImageFile(layer.source, self._names(layer.source))

    def _of_volume(self, volume: libvirt.virStorageVol) -> ImageFile:
        path = volume.path()
        name = _volume_name(volume.storagePoolLookupByVolume().name(), volume.name())
        return ImageFile(path, self._names(path) | {name, volume.key()})

    def _names(self, path: str) -> frozenset[str]:
        names = {path}
        if path.startswith("/"):
            names.add(os.path.normpath(path))
            if self._is_local:
                names |= local_names(path)
        return frozenset(names)

    def _stands_on(self, layer: Layer) -> list[Layer]:
        if layer not in self._below:
            self._below[layer] = self._references(layer)
        return self._below[layer]

    def _references(self, layer: Layer) -> list[Layer]:
        path = self.file(layer).path
        if not path.startswith("/"):
            return []
        found = _devices_below(path) if self._is_local else []
        if layer.format in _WITHOUT_REFERENCES:
            return found
        if self._is_local:
            try:
                return found + [Layer(name) for name in read_references(path)]
            except FileNotFoundError:
                return found
            except OSError:
                # Another user's file: his libvirt may say.
                pass
        return found + self._backing_of_volume(path)

    def _backing_of_volume(self, path: str) -> list[Layer]:
        try:
            try:
                volume = self._raw.storageVolLookupByPath(path)
            except libvirt.libvirtError:
                self._refresh_pools()
                volume = self._raw.storageVolLookupByPath(path)
            name = parse(volume.XMLDesc()).findtext("backingStore/path")
        except (libvirt.libvirtError, etree.XMLSyntaxError):
            return []
        return [Layer(name)] if name else []

    def _refresh_pools(self) -> None:
        """Let libvirt see, once, what other programs have put into its pools."""
        if not self._is_refreshed:
            self._is_refreshed = True
            for pool in self._raw.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
                with contextlib.suppress(libvirt.libvirtError):
                    pool.refresh(0)


def _volume_name(pool: str, name: str) -> str:
    return f"volume:{pool}/{name}"


def local_names(path: str) -> set[str]:
    """What tells a file of this machine from all others, whatever its path; nothing where it is not there. Blocks."""
    try:
        status = os.stat(path)  # noqa: PTH116 - links are to be followed, and nothing else done
        names = {os.path.realpath(path)}
    except (OSError, ValueError):
        return set()
    if stat.S_ISBLK(status.st_mode):
        return names | {_device_name(status.st_rdev)}
    return names | {f"inode:{status.st_dev}:{status.st_ino}"}


def _device_name(number: int) -> str:
    return f"device:{os.major(number)}:{os.minor(number)}"


def _devices_below(path: str) -> list[Layer]:
    try:
        status = os.stat(path)  # noqa: PTH116
        if not stat.S_ISBLK(status.st_mode):
            return []
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        names = made_of(Path("/sys/dev/block", number).resolve(strict=True))
    except (OSError, ValueError):
        return []
    return [Layer(name, format="raw") for name in names]


def made_of(device: Path) -> list[str]:
    """What a block device, by its folder in sysfs, is made of: a loop's file, a partition's disk, a mapping's parts."""
    found = [f"/dev/{slave.name}" for slave in (device / "slaves").glob("*")]
    if (device / "partition").exists():
        found.append(f"/dev/{device.parent.name}")
    if (loop := device / "loop/backing_file").exists():
        found.append(os.fsdecode(loop.read_bytes().removesuffix(b"\n")))
    return found
