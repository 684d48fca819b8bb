"""What can be done to a domain: power, properties, definition. Each is one or two libvirt calls."""

import contextlib
from collections.abc import Callable, Mapping, Sequence

import libvirt

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains import metadata
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.metadata import MetadataEdit
from qubes_manager.core.domain import Domain, DomainClass, Job
from qubes_manager.core.volumes import OwnVolume, Role

# A start waits for QEMU, and on a busy machine for its turn.
START_TIMEOUT = 120.0
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


class DomainActions:
    """The actions on one domain."""

    def __init__(self, connection: LibvirtConnection, domain: Domain) -> None:
        self._connection = connection
        self._uuid = domain.key.uuid
        self._name = domain.name

    async def _do(self, what: str, func: Callable[[Handle], object], timeout: float = 30.0) -> None:
        await self._connection.on_domain(self._uuid, f"{what} “{self._name}”", func, timeout=timeout)

    async def start(self) -> None:
        """Start the domain; returns when QEMU runs."""
        await self._do("start", lambda domain: domain.create(), START_TIMEOUT)

    async def resume(self) -> None:
        """Let a paused or suspended domain go on."""

        def resume(domain: Handle) -> None:
            state = domain.state()[0]
            if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
                domain.pMWakeup()
            elif state != libvirt.VIR_DOMAIN_RUNNING:
                domain.resume()

        await self._do("resume", resume)

    async def pause(self) -> None:
        """Stop the domain's CPUs; its memory stays."""
        await self._do("pause", lambda domain: domain.suspend())

    async def suspend(self) -> None:
        """Ask the guest to suspend to RAM; needs its agent."""
        await self._do("suspend", lambda domain: domain.pMSuspendForDuration(libvirt.VIR_NODE_SUSPEND_TARGET_MEM, 0))

    async def request_shutdown(self) -> None:
        """Ask the guest to shut down; it may take its time, or refuse."""
        await self._do("shut down", lambda domain: domain.shutdown())

    async def kill(self) -> None:
        """End the domain's QEMU at once; one that has ended by itself meanwhile is no error."""

        def kill(domain: Handle) -> None:
            try:
                domain.destroy()
            except libvirt.libvirtError:
                if domain.isActive():
                    raise

        await self._do("kill", kill)

    async def undefine(self) -> None:
        """Make libvirt forget the domain, with its saved state and snapshots' records; disks stay."""
        await undefine(self._connection, self._uuid, self._name)

    async def rename(self, new_name: str) -> None:
        """Give a halted domain another name."""
        await self._do("rename", lambda domain: domain.rename(new_name, 0))

    async def set_autostart(self, enabled: bool) -> None:
        """Whether the domain starts with the host."""
        await self._do("set autostart of", lambda domain: domain.setAutostart(int(enabled)))

    async def edit_metadata(self, change: Callable[[MetadataEdit], None]) -> None:
        """Apply *change* to our metadata, now and for later starts."""

        def edit(domain: Handle) -> None:
            flags = _affected(domain)
            kind, namespace = libvirt.VIR_DOMAIN_METADATA_ELEMENT, metadata.NAMESPACE
            existing = None
            with contextlib.suppress(libvirt.libvirtError):
                existing = domain.metadata(kind, namespace, flags & libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            edited = MetadataEdit.of_text(existing)
            change(edited)
            edited.adopt()
            domain.setMetadata(kind, edited.xml(), metadata.PREFIX, namespace, flags)

        await self._do("change", edit)

    async def edit_config(self, change: Callable[[DomainEdit], None]) -> None:
        """Apply *change* to the XML that the domain's next start uses; libvirt is only told when it differs."""

        def edit(domain: Handle) -> None:
            flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
            try:
                xml = domain.XMLDesc(flags)
            except libvirt.libvirtError:
                # A read-only user, or a driver without secrets.
                xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            edited = DomainEdit(xml)
            before = edited.xml()
            change(edited)
            if edited.xml() != before:
                domain.connect().defineXML(edited.xml())

        await self._do("change", edit)

    async def define_copy(
        self,
        uuid: str,
        name: str,
        console_log: str,
        volumes: Sequence[OwnVolume],
        job: Job | None,
        paths: Mapping[Role, str],
    ) -> None:
        """Define a domain like this one under another UUID and name, with volumes of its own at *paths*."""

        formats = {volume.role: volume.format for volume in volumes}

        def copy(domain: Handle) -> Handle:
            edited = DomainEdit(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            edited.set_identity(uuid, name, console_log)
            for role in (Role.ROOT, Role.PRIVATE):
                disk = edited.config.disk(role)
                if disk and role in paths:
                    edited.set_disk_source(disk.target, paths[role], formats[role])
            if Role.KERNEL in paths:
                edited.set_boot_files(paths[Role.KERNEL], paths.get(Role.INITRD, ""))
            edit = edited.metadata()
            edit.set_volumes(volumes)
            edit.set_job(job)
            edit.set_number("trial", 0)
            edit.set_number("revision", 1 if edited.config.klass is DomainClass.TEMPLATE else 0)
            return domain.connect().defineXML(edited.xml())

        what = f"create “{name}” as a copy of “{self._name}”"
        self._connection.handles[uuid] = await self._connection.on_domain(self._uuid, what, copy)

    async def set_notes(self, text: str) -> None:
        """Set the description, now and for later starts."""
        kind = libvirt.VIR_DOMAIN_METADATA_DESCRIPTION
        await self._do(
            "change the notes of", lambda domain: domain.setMetadata(kind, text or None, None, None, _affected(domain))
        )


def _affected(domain: Handle) -> int:
    flags = 0
    if domain.isActive():
        flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
    if domain.isPersistent():
        flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
    return flags


async def define(connection: LibvirtConnection, name: str, xml: str) -> str:
    """Define a domain and return its UUID; raises HostCallFailed when libvirt rejects the XML or the name is taken."""

    handle = await connection.call(f"create “{name}”", lambda raw: raw.defineXML(xml))
    uuid: str = handle.UUIDString()
    connection.handles[uuid] = handle
    return uuid


async def undefine(connection: LibvirtConnection, uuid: str, name: str) -> None:
    """Make libvirt forget a domain, with its saved state and snapshots' records; disks stay."""

    def forget(domain: Handle) -> None:
        try:
            domain.undefineFlags(_UNDEFINE)
        except libvirt.libvirtError as error:
            # Drivers without those features refuse the flags.
            if error.get_error_code() not in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT):
                raise
            domain.undefine()

    await connection.on_domain(uuid, f"delete “{name}”", forget)
