"""Attaching disks to domains and taking them away."""

import asyncio
import contextlib
import copy
from dataclasses import dataclass

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains.config_xml import read_disk
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices.block import DiskRequest, free_target
from qubes_manager.core.errors import HostCallFailed, HostUnreachable, NotFound, Refused, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind
from qubes_manager.core.hardware import Disk
from qubes_manager.core.names import HOST_NAME

DETACH_TIMEOUT = 20.0
_LIVE, _STORED = 0, libvirt.VIR_DOMAIN_XML_INACTIVE
# What <source> says beside where a disk's bytes are; libvirt counts the layers of a running domain's.
_NO_PLACE = ("index", "startupPolicy", "mode")


def disk_xml(request: DiskRequest, target: str) -> str:
    """Return libvirt's element for a disk to attach."""
    kind, source = _source(request.source, request.is_device, request.socket)
    # A stick that is pulled out, or lies about its size, is an error for who writes to it, and no reason to stop a
    # domain; what is needed no more it may be told.
    of_device = {"error_policy": "report", "rerror_policy": "report", "discard": "unmap"} if request.is_device else {}
    disk = E.disk(
        E.driver(name="qemu", type=request.image_format, **of_device),
        source,
        # Nothing stands below it, so that nobody looks for that in the image.
        E.backingStore(),
        E.target(dev=target, bus=request.bus),
        type=kind,
        device="lun" if request.is_lun else "disk",
    )
    if not request.is_lun:
        # By it the guest is told which disk is meant; a drive that takes commands itself says its own.
        disk.append(E.serial(request.serial or f"{HOST_NAME}-{target}"))
    if request.read_only:
        disk.append(E.readonly())
    return etree.tostring(disk, encoding="unicode")


def _source(source: str, is_device: bool, socket: str) -> tuple[str, etree._Element]:
    """The type of a disk and the element that says where its bytes are; one that is served keeps its name."""
    if socket:
        return "network", E.source(E.host(transport="unix", socket=socket), protocol="nbd", name=source)
    return ("block", E.source(dev=source)) if is_device else ("file", E.source(file=source))


async def attach_disk(connection: LibvirtConnection, uuid: str, name: str, request: DiskRequest) -> str:
    """Attach a disk, live when the domain runs, for later starts too when asked; returns its target name."""

    def attach(domain: Handle) -> str:
        active = bool(domain.isActive())
        if request.persistent and not domain.isPersistent():
            raise Refused(f"“{name}” is a transient domain: it has no later start to keep a disk for")
        if request.socket and not active:
            raise Refused(f"“{name}” does not run any more")
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if active else 0
        if request.persistent or not active:
            flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
        target = request.target or free_target(_targets(domain), request.bus)
        xml = disk_xml(request, target)
        try:
            domain.attachDeviceFlags(xml, flags)
        except libvirt.libvirtError:
            if active and (live := _find_disk(domain, _LIVE, target)) is not None and _same_source(live, parse(xml)):
                # libvirt saves the configuration last: where that fails, the guest has the disk by then.
                _let_go(domain, live)
            raise
        return target

    return await connection.on_domain(uuid, f"attach {request.source} to “{name}”", attach, timeout=60)


def _targets(domain: Handle) -> set[str]:
    texts = [domain.XMLDesc(0)]
    if domain.isPersistent():
        texts.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    return {target.get("dev", "") for text in texts for target in parse(text).iterfind("devices/disk/target")}


async def detach_disk(
    connection: LibvirtConnection,
    uuid: str,
    name: str,
    target: str,
    timeout: float = DETACH_TIMEOUT,
    *,
    expected: Disk | None = None,
) -> None:
    """Detach a disk: from the running guest first, and once that has let it go from what later starts use.

    Where the guest keeps it nothing has changed. *expected* is the disk that is meant. Raises NotFound when the domain
    has no such disk, Refused when it is another one, TimedOut or Refused
    when the guest does not release it (libvirt's device-removed and device-removal-failed events), HostUnreachable,
    HostCallFailed.
    """
    what = f"detach {target} from “{name}”"
    with connection.listen() as events:
        detaching = await connection.on_domain(
            uuid, what, lambda domain: _begin_detaching(domain, name, target, expected)
        )
        if detaching.alias:
            try:
                async with asyncio.timeout(timeout):
                    while not _is_released(await events.get(), uuid, detaching.alias, name, target):
                        pass
            except TimeoutError:
                live = await connection.on_domain(uuid, what, lambda domain: _find_disk(domain, _LIVE, target))
                if live is not None:
                    later = ", and later starts have it" if detaching.is_stored else ""
                    raise TimedOut(
                        f"“{name}” does not let go of {target}: something in it may still use the disk; "
                        f"close it there and detach again. Until then it stays attached{later}"
                    ) from None
    if detaching.is_stored:
        await connection.on_domain(uuid, what, lambda domain: _forget(domain, name, target, detaching.live))


@dataclass(frozen=True, slots=True)
class _Detaching:
    """A disk on its way out: what the guest was asked for (None: nothing runs), its alias, whether later starts have
    it too."""

    live: etree._Element | None
    alias: str
    is_stored: bool


def _is_released(event: Event, uuid: str, alias: str, name: str, target: str) -> bool:
    match event:
        case DomainEvent(uuid=which, kind=DomainEventKind.DEVICE_REMOVED, detail=what) if which == uuid:
            return what == alias
        case DomainEvent(uuid=which, kind=DomainEventKind.STOPPED) if which == uuid:
            return True
        case DomainEvent(uuid=which, kind=DomainEventKind.DEVICE_REMOVAL_FAILED, detail=what) if which == uuid:
            if what == alias:
                raise Refused(f"“{name}” refuses to let go of {target}: its system reported that it is in use")
        case HostEvent(kind=HostEventKind.CLOSED):
            raise HostUnreachable(f"the connection was lost while {target} was being detached")
    return False


def _find_disk(domain: Handle, flags: int, target: str) -> etree._Element | None:
    for disk in parse(domain.XMLDesc(flags)).iterfind("devices/disk"):
        found = disk.find("target")
        if found is not None and found.get("dev") == target:
            return disk
    return None


def _text(element: etree._Element) -> str:
    return etree.tostring(element, encoding="unicode")


def _same_source(one: etree._Element, other: etree._Element) -> bool:
    """Whether two disks have their bytes from the same place."""

    def place(disk: etree._Element) -> tuple[str | None, list[dict[str | bytes, str | bytes]]]:
        parts = (*disk.iterfind("source"), *disk.iterfind("source/address"), *disk.iterfind("source/host"))
        return disk.get("type"), [{k: v for k, v in part.items() if k not in _NO_PLACE} for part in parts]

    return place(one) == place(other)


def _begin_detaching(domain: Handle, name: str, target: str, expected: Disk | None) -> _Detaching:
    """Ask the guest to release the disk."""
    live = _find_disk(domain, _LIVE, target) if domain.isActive() else None
    stored = _find_disk(domain, _STORED, target) if domain.isPersistent() else None
    if live is None:
        if stored is None:
            raise NotFound(f"“{name}” has no disk {target}")
        return _Detaching(None, "", True)
    found = read_disk(live)
    if expected and (found.source, found.pool, found.socket) != (expected.source, expected.pool, expected.socket):
        raise Refused(f"{target} of “{name}” is another disk by now, {found.source or 'an empty one'}: look again")
    domain.detachDeviceFlags(_text(live), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    alias = live.find("alias")
    # Later starts may have another disk in that place.
    is_stored = stored is not None and _same_source(live, stored)
    return _Detaching(live, alias.get("name", "") if alias is not None else "", is_stored)


def _forget(domain: Handle, name: str, target: str, live: etree._Element | None) -> None:
    """Take a disk out of what later starts use; where that fails, the guest gets it back."""
    stored = _find_disk(domain, _STORED, target) if domain.isPersistent() else None
    if stored is None or (live is not None and not _same_source(live, stored)):
        return
    try:
        domain.detachDeviceFlags(_text(stored), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    except libvirt.libvirtError as error:
        if live is not None and domain.isActive():
            try:
                domain.attachDeviceFlags(_text(live), libvirt.VIR_DOMAIN_AFFECT_LIVE)
            except libvirt.libvirtError:
                raise HostCallFailed(
                    f"“{name}” has let go of {target}, but later starts have it still: {error.get_error_message()}"
                ) from error
        raise


def _let_go(domain: Handle, live: etree._Element) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        domain.detachDeviceFlags(_text(live), libvirt.VIR_DOMAIN_AFFECT_LIVE)


async def change_medium(
    connection: LibvirtConnection,
    uuid: str,
    name: str,
    target: str,
    source: str,
    is_device: bool,
    socket: str = "",
    *,
    live_only: bool = False,
) -> None:
    """Put a disc into a CD-ROM drive of the domain, or with an empty *source* take it out, now and for later starts.

    One that is served at *socket* is gone with the domain's end. The disc is what the file holds, byte by byte,
    whatever format that may look like. A tray that the guest has locked is forced open.
    """

    def change(domain: Handle) -> None:
        live = _find_drive(domain, _LIVE, target) if domain.isActive() else None
        stored = _find_drive(domain, _STORED, target) if domain.isPersistent() else None
        if live is None and stored is None:
            raise NotFound(f"“{name}” has no CD-ROM drive {target}")
        if live is not None:
            _change_live(domain, _with_disc(live, source, is_device, socket))
        if stored is None or socket or live_only:
            return
        try:
            domain.updateDeviceFlags(_with_disc(stored, source, is_device), libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        except libvirt.libvirtError:
            if live is not None:
                _change_live(domain, _text(live))
            raise

    what = f"insert {source} into “{name}”" if source else f"eject {target} of “{name}”"
    await connection.on_domain(uuid, what, change)


def _find_drive(domain: Handle, flags: int, target: str) -> etree._Element | None:
    drive = _find_disk(domain, flags, target)
    return drive if drive is not None and drive.get("device") == "cdrom" else None


def _with_disc(drive: etree._Element, source: str, is_device: bool, socket: str = "") -> str:
    changed = copy.deepcopy(drive)
    for part in ("source", "backingStore"):
        for child in changed.findall(part):
            changed.remove(child)
    kind, disc = _source(source, is_device, socket)
    changed.set("type", kind)
    driver = changed.find("driver")
    if driver is None:
        driver = etree.SubElement(changed, "driver")
        driver.set("name", "qemu")
    driver.set("type", "raw")
    if source:
        changed.append(disc)
    return _text(changed)


def _change_live(domain: Handle, xml: str) -> None:
    try:
        domain.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError:
        domain.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE)
