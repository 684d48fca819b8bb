"""Attaching disks to domains and taking them away."""

import asyncio
from collections.abc import Callable

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.xml import parse
from qubes_manager.core.devices import DiskRequest, free_target
from qubes_manager.core.errors import HostUnreachable, NotFound, Refused, TimedOut
from qubes_manager.core.events import DomainEvent, DomainEventKind, Event, HostEvent, HostEventKind

DETACH_TIMEOUT = 20.0


def disk_xml(request: DiskRequest, target: str) -> str:
    """Return libvirt's element for a disk to attach."""
    disk = E.disk(
        E.driver(name="qemu", type=request.image_format),
        E.source({"dev" if request.is_device else "file": request.source}),
        E.target(dev=target, bus=request.bus),
        type="block" if request.is_device else "file",
        device="disk",
    )
    if request.serial:
        disk.append(E.serial(request.serial))
    if request.read_only:
        disk.append(E.readonly())
    return etree.tostring(disk, encoding="unicode")


async def attach_disk(connection: LibvirtConnection, uuid: str, name: str, request: DiskRequest) -> str:
    """Attach a disk, live when the domain runs, for later starts too when asked; returns its target name."""

    def attach(domain: Handle) -> str:
        active = bool(domain.isActive())
        if request.persistent and not domain.isPersistent():
            raise Refused(f"“{name}” is a transient domain: it has no later start to keep a disk for")
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if active else 0
        if request.persistent or not active:
            flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
        target = request.target or free_target(_targets(domain), request.bus)
        domain.attachDeviceFlags(disk_xml(request, target), flags)
        return target

    return await connection.on_domain(uuid, f"attach {request.source} to “{name}”", attach, timeout=60)


def _targets(domain: Handle) -> set[str]:
    texts = [domain.XMLDesc(0)]
    if domain.isPersistent():
        texts.append(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    return {target.get("dev", "") for text in texts for target in parse(text).iterfind("devices/disk/target")}


async def detach_disk(
    connection: LibvirtConnection, uuid: str, name: str, target: str, timeout: float = DETACH_TIMEOUT
) -> None:
    """Detach a disk and wait until the guest has let it go.

    Raises NotFound when the domain has no such disk, TimedOut or Refused when the guest does not release it
    (libvirt's device-removed and device-removal-failed events), HostUnreachable.
    """
    what = f"detach {target} from “{name}”"
    with connection.listen() as events:
        alias = await connection.on_domain(uuid, what, lambda domain: _detach_now(domain, name, target))
        if not alias:
            return
        try:
            async with asyncio.timeout(timeout):
                while not _is_released(await events.get(), uuid, alias, name, target):
                    pass
        except TimeoutError:
            if not await connection.on_domain(uuid, what, lambda domain: _find_disk(domain, 0, target) is not None):
                return
            raise TimedOut(
                f"“{name}” does not let go of {target}: something in it may still use the disk; "
                "close it there and detach again"
            ) from None


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


def _detach_now(domain: Handle, name: str, target: str) -> str:
    """Take the disk out of the configuration, and ask the guest to release it; returns the alias to wait for."""
    found = False
    if domain.isPersistent():
        stored = _find_disk(domain, libvirt.VIR_DOMAIN_XML_INACTIVE, target)
        if stored is not None:
            xml = etree.tostring(stored, encoding="unicode")
            domain.detachDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            found = True
    if domain.isActive():
        live = _find_disk(domain, 0, target)
        if live is not None:
            alias = live.find("alias")
            domain.detachDeviceFlags(etree.tostring(live, encoding="unicode"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
            return alias.get("name", "") if alias is not None else ""
    if not found:
        raise NotFound(f"“{name}” has no disk {target}")
    return ""


async def change_medium(
    connection: LibvirtConnection, uuid: str, name: str, target: str, source: str, is_device: bool
) -> None:
    """Put a disc into a CD-ROM drive of the domain, or with an empty *source* take it out.

    A tray that the guest has locked is forced open.
    """

    def change(domain: Handle) -> None:
        active = bool(domain.isActive())
        drive = _find_disk(domain, 0, target)
        if drive is None or drive.get("device") != "cdrom":
            raise NotFound(f"“{name}” has no CD-ROM drive {target}")
        for part in ("source", "backingStore", "alias", "address"):
            for child in drive.findall(part):
                drive.remove(child)
        drive.set("type", "block" if is_device else "file")
        if source:
            drive.append(E.source({"dev" if is_device else "file": source}))
        flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if active else libvirt.VIR_DOMAIN_AFFECT_CONFIG
        xml = etree.tostring(drive, encoding="unicode")
        _retry_forced(lambda extra: domain.updateDeviceFlags(xml, flags | extra), active)

    what = f"insert {source} into “{name}”" if source else f"eject {target} of “{name}”"
    await connection.on_domain(uuid, what, change)


def _retry_forced(update: Callable[[int], object], active: bool) -> None:
    try:
        update(0)
    except libvirt.libvirtError:
        if not active:
            raise
        update(libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE)
