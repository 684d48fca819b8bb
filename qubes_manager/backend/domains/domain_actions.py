"""What can be done to a domain: power, properties, definition. Each is one or two libvirt calls."""

import time
from collections.abc import Callable, Mapping, Sequence

import libvirt

from qubes_manager.backend.connection.agent_calls import PATIENCE, agent_may_take, patience_for
from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.subscriptions import Handle
from qubes_manager.backend.domains import edits
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_xml import DomainEdit
from qubes_manager.backend.domains.finishing import define_whole_now
from qubes_manager.backend.domains.metadata import MetadataEdit
from qubes_manager.backend.domains.nvram import undefine_flag
from qubes_manager.backend.host.processors import most_vcpus
from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, Job
from qubes_manager.core.errors import Refused, TimedOut
from qubes_manager.core.interfaces import filter_name
from qubes_manager.core.volume_use import image_name
from qubes_manager.core.volumes import DISC_ROLES, OwnVolume, Role

# A start waits for QEMU, and on a busy machine for its turn.
START_TIMEOUT = 120.0
_LIMITS_TIMEOUT = 5.0
# What is refused by a domain that has not ended within this time was refused by one that runs.
_ENDING_SECONDS = 0.5
_LOOK_SECONDS = 0.05
# Seconds that an agent may take to do what ends its guest's run.
_AGENT_ACTS = 10
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
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

    async def pauses_within(self, seconds: float) -> bool:
        """Watch a domain that was let go on; returns whether its CPUs stand still again."""

        def watch(domain: Handle) -> bool:
            end = time.monotonic() + seconds
            while domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED:
                if time.monotonic() > end:
                    return False
                time.sleep(_LOOK_SECONDS)
            return True

        return await self._connection.on_domain(self._uuid, f"watch “{self._name}”", watch)

    # What is to stop may end by itself at any moment; then it has stopped.

    async def pause(self) -> None:
        """Stop the domain's CPUs; its memory stays. Done as well when it has ended meanwhile."""
        await self._do("pause", _unless_ended(lambda domain: domain.suspend()))

    async def suspend(self) -> None:
        """Ask the guest to suspend to RAM; needs its agent. Done as well when it has ended meanwhile."""

        @_unless_ended
        def suspend(domain: Handle) -> None:
            with agent_may_take(domain, _AGENT_ACTS):
                domain.pMSuspendForDuration(libvirt.VIR_NODE_SUSPEND_TARGET_MEM, 0)

        await self._connection.on_agent(self._uuid, f"suspend “{self._name}”", suspend, patience_for(_AGENT_ACTS))

    async def request_shutdown(self) -> None:
        """Ask the guest to shut down, by its agent or else by the power button; it may take its time, or refuse.

        Done as well when it has ended meanwhile.
        """

        @_unless_ended
        def shut_down(domain: Handle) -> None:
            with agent_may_take(domain, PATIENCE):
                domain.shutdown()

        try:
            # For an agent that has greeted libvirt waits 60 s here, whatever it is told.
            await self._connection.on_agent(self._uuid, f"shut down “{self._name}”", shut_down, _AGENT_ACTS)
        except TimedOut:
            button = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
            await self._do("shut down", _unless_ended(lambda domain: domain.shutdownFlags(button)))

    async def kill(self) -> None:
        """End the domain's QEMU at once; done as well when it has ended meanwhile."""
        await self._do("kill", _unless_ended(lambda domain: domain.destroy()))

    async def discard_saved(self) -> None:
        """Delete the domain's saved state; one that has none any more is no error."""

        def discard(domain: Handle) -> None:
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove()

        await self._do("discard the saved state of", discard)

    async def undefine(self) -> None:
        """Make libvirt forget the domain, with its saved state and snapshots' records; disks stay."""
        await undefine(self._connection, self._uuid, self._name)

    async def rename(self, new_name: str) -> None:
        """Give a halted domain another name."""
        await self._do("rename", lambda domain: edits.rename(domain, self._name, new_name))

    async def set_autostart(self, enabled: bool) -> None:
        """Whether the domain starts with the host."""
        await self._do("set autostart of", lambda domain: domain.setAutostart(int(enabled)))

    async def stored_config(self) -> DomainConfig:
        """Return what the domain's next start uses."""
        flag = libvirt.VIR_DOMAIN_XML_INACTIVE
        what = f"read “{self._name}”"
        return parse_config(await self._connection.on_domain(self._uuid, what, lambda domain: domain.XMLDesc(flag)))

    async def most_vcpus(self) -> int | None:
        """Return how many processors its machine type takes; None where libvirt does not know. Raises TimedOut."""
        what = f"read the limits of “{self._name}”"
        # libvirt may have to start QEMU to find out; a form waits for the answer.
        return await self._connection.on_domain(self._uuid, what, most_vcpus, timeout=_LIMITS_TIMEOUT)

    async def edit_metadata(self, change: Callable[[MetadataEdit], None]) -> None:
        """Apply *change* to our metadata, now and for later starts."""
        await self._do("change", lambda domain: edits.edit_metadata(domain, self._name, change))

    async def edit_config(self, change: Callable[[DomainEdit], None]) -> None:
        """Apply *change* to the XML that the domain's next start uses; libvirt is only told when it differs."""
        await self._do("change", lambda domain: edits.edit_config(domain, self._name, change))

    async def define_copy(
        self,
        uuid: str,
        name: str,
        console_log: str,
        volumes: Sequence[OwnVolume],
        job: Job | None,
        paths: Mapping[Role, str],
        begun: str = "",
    ) -> None:
        """Define a domain like this one under another UUID and name, with volumes of its own at *paths*.

        It has no other disks that are written to: until its own are there, none.
        *begun* is what libvirt kept of it after a first definition: what others have set of it since stays.
        """

        formats = {volume.role: volume.format for volume in volumes}

        def copy(domain: Handle) -> Handle:
            edited = DomainEdit(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            edited.set_identity(uuid, name, console_log)
            edited.rename_filter(filter_name(self._uuid), filter_name(uuid))
            own = []
            for role in (Role.ROOT, Role.PRIVATE):
                disk = edited.config.disk(role)
                if disk and role in paths:
                    own.append(disk.target)
                    edited.set_disk_source(disk.target, paths[role], formats[role])
                    if role is Role.ROOT and edited.config.klass is DomainClass.TEMPLATE:
                        # As a template's always is at rest.
                        edited.set_disk_transient(disk.target, True)
            for volume in edited.config.volumes:
                for disk in edited.config.disks:
                    if volume.role in paths and volume.role in DISC_ROLES and image_name(disk.source) == volume.name:
                        edited.set_disk_source(disk.target, paths[volume.role], formats[volume.role])
            edited.drop_written_disks(own)
            if Role.KERNEL in paths:
                edited.set_boot_files(paths[Role.KERNEL], paths.get(Role.INITRD, ""))
            edit = edited.metadata()
            edit.set_volumes(volumes)
            # Two domains are not to want the same device, and nobody said that this one is to hear.
            edit.set_assignments(())
            edited.drop_host_devices()
            edit.set_job(job)
            edit.set_number("trial", 0)
            edit.set_number("revision", 1 if edited.config.klass is DomainClass.TEMPLATE else 0)
            if begun:
                return define_whole_now(domain.connect().lookupByUUIDString(uuid), name, begun, edited.xml())
            return domain.connect().defineXML(edited.xml())

        what = f"create “{name}” as a copy of “{self._name}”"
        self._connection.handles[uuid] = await self._connection.on_domain(self._uuid, what, copy)

    async def set_notes(self, text: str, check: Callable[[str], object] = lambda _present: None) -> None:
        """Set the description, now and for later starts; *check* raises for one that is not to be written over."""
        await self._do("change the notes of", lambda domain: edits.set_notes(domain, self._name, text, check))

    async def set_title(self, title: str) -> None:
        """Set the title, now and for later starts; empty takes it away."""
        await self._do("give a title to", lambda domain: edits.set_title(domain, self._name, title))


def _unless_ended(act: Callable[[Handle], object]) -> Callable[[Handle], None]:
    """What fails only where *act* fails on a domain that goes on running."""

    def attempt(domain: Handle) -> None:
        try:
            act(domain)
        except libvirt.libvirtError:
            # libvirt may lose QEMU's monitor a moment before it takes note of the end.
            end = time.monotonic() + _ENDING_SECONDS
            while _is_active(domain):
                if time.monotonic() > end:
                    raise
                time.sleep(_LOOK_SECONDS)

    return attempt


def _is_active(domain: Handle) -> bool:
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError as error:
        # A transient domain is gone when it ends.
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return False


async def define(connection: LibvirtConnection, name: str, xml: str) -> str:
    """Define a domain and return its UUID; raises HostCallFailed when libvirt rejects the XML or the name is taken."""

    handle = await connection.call(f"create “{name}”", lambda raw: raw.defineXML(xml))
    uuid: str = handle.UUIDString()
    connection.handles[uuid] = handle
    return uuid


async def start_transient(connection: LibvirtConnection, name: str, xml: str) -> str:
    """Start a domain that libvirt forgets when it stops, and return its UUID; raises HostCallFailed."""

    handle = await connection.call(f"start “{name}”", lambda raw: raw.createXML(xml, 0), timeout=START_TIMEOUT)
    uuid: str = handle.UUIDString()
    connection.handles[uuid] = handle
    return uuid


async def require_ended(connection: LibvirtConnection, uuid: str, name: str) -> None:
    """Raise Refused when a domain runs at this moment, whatever was known of it before."""

    def look(domain: Handle) -> None:
        if _is_active(domain):
            raise Refused(f"“{name}” is running: shut it down first")

    await connection.on_domain(uuid, f"look at “{name}”", look)


async def undefine(connection: LibvirtConnection, uuid: str, name: str) -> None:
    """Make libvirt forget a domain, with its saved state and snapshots' records; disks stay."""

    def forget(domain: Handle) -> None:
        # Drivers refuse the flags of features that they do not have.
        for flags in (_UNDEFINE | undefine_flag(domain), libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE):
            try:
                domain.undefineFlags(flags)
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT):
                    raise
            else:
                return
        domain.undefine()

    await connection.on_domain(uuid, f"delete “{name}”", forget)
