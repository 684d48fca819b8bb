"""All devices of all connections, whatever they are: who has them, giving, taking, and what domains are to have."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qubes_manager.core.devices.assignment import (
    Assignment,
    Mode,
    with_assignment,
    without_assignments,
)
from qubes_manager.core.devices.device import Device, is_called
from qubes_manager.core.devices.identity import ANY, DeviceClass, DeviceName
from qubes_manager.core.devices.interfaces import denied_by
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import NotFound, QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.services.devices.kind import DeviceKind, Held, Offered
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.backend.domains.metadata import MetadataEdit

log = logging.getLogger(__name__)


class Devices:
    """The devices of all connections. What a domain has now, and what it is to have, do not change each other."""

    def __init__(self, hosts: Hosts, store: DomainStore, kinds: Sequence[DeviceKind]) -> None:
        self._hosts = hosts
        self._store = store
        self._kinds = {kind.klass: kind for kind in kinds}

    @property
    def classes(self) -> tuple[DeviceClass, ...]:
        """The classes that there are."""
        return tuple(self._kinds)

    async def offered(self, uri: str, classes: Collection[DeviceClass] = ()) -> list[Offered]:
        """Return the devices of a connection's host, of *classes* or of all, each whole one before its parts.

        Raises what keeps one of the classes from being listed.
        """
        offered, troubles = await self.listed(uri, classes)
        for trouble in troubles.values():
            raise trouble
        return offered

    async def listed(
        self, uri: str, classes: Collection[DeviceClass] = ()
    ) -> tuple[list[Offered], dict[DeviceClass, Exception]]:
        """Return the devices of those classes that can be listed, and what is wrong with the others."""
        wanted = classes or self._kinds
        kinds = [kind for klass, kind in self._kinds.items() if klass in wanted]
        found = await asyncio.gather(*(kind.offered(uri) for kind in kinds), return_exceptions=True)
        offered: list[Offered] = []
        troubles: dict[DeviceClass, Exception] = {}
        for kind, part in zip(kinds, found, strict=True):
            if isinstance(part, Exception):
                troubles[kind.klass] = part
                if not isinstance(part, QubesManagerError):
                    log.error("%s devices cannot be listed", kind.klass, exc_info=part)
            elif isinstance(part, BaseException):
                raise part
            else:
                offered += part
        return offered, troubles

    async def find(self, uri: str, klass: DeviceClass, name: DeviceName) -> Device:
        """Return the device that *name* means; raises NotFound, and Refused where it means several or another one."""
        return await self._kinds[klass].find(uri, name)

    def warnings(self, device: Device) -> list[str]:
        """Return what a user is to know before the device is given away, in sentences."""
        return self._kinds[device.klass].warnings(device)

    def check(self, key: DomainKey, klass: DeviceClass, options: Mapping[str, str]) -> None:
        """Raise BadInput and Refused where a domain cannot have any device of a class with such options."""
        self._changeable(key)
        self._kinds[klass].check_options(options)

    # What domains have now.

    async def attach(self, key: DomainKey, device: Device, options: Mapping[str, str]) -> str:
        """Give a device to a domain and return its name there.

        Raises BadInput, and Refused where the domain never gets its kind, or somebody uses it, saying who.
        """
        domain = self._changeable(key)
        refuse_denied(domain, device)
        return await self._kinds[device.klass].give(key, device, options)

    async def held(self, key: DomainKey, klass: DeviceClass, name: DeviceName | None = None) -> list[Held]:
        """Return what a domain has of a class, or of that what *name* means: a device, or a name that it has there.

        Raises NotFound where it does not have what is named.
        """
        domain = self._changeable(key)
        found = [Held(device, holder) for device, holder in await self._kinds[klass].held(domain)]
        if name is None:
            return found
        meant = [one for one in found if is_called(one.device, name)]
        if not meant and not await self._is_there(key.connection, klass, name):
            # No device of this machine is called so: it may be the domain's own name for one.
            meant = [one for one in found if name.port == one.holder.place]
        if len(meant) != 1:
            raise NotFound(f"“{domain.name}” does not have {name.text}")
        return meant

    async def _is_there(self, uri: str, klass: DeviceClass, name: DeviceName) -> bool:
        try:
            await self.find(uri, klass, name)
        except QubesManagerError:
            return False
        return True

    async def detach(self, held: Held, *, force: bool = False, progress: Progress = SILENT) -> str:
        """Take a device back from a domain and return in a sentence what is so now.

        Raises Refused for one that the domain does not run without, or still uses; TimedOut where it keeps it.
        """
        domain = self._changeable(held.holder.domain.key)
        if domain.state.is_active and not force:
            refuse_required(domain, held.device)
        return await self._kinds[held.device.klass].take(held.holder, held.device, force=force, progress=progress)

    async def move(self, held: Held, key: DomainKey, options: Mapping[str, str], *, progress: Progress = SILENT) -> str:
        """Take a device from the domain that has it, and give it to another one; returns its name there.

        What keeps the other one from having it is found out before, as far as it can be.
        """
        domain, device = self._changeable(key), held.device
        self.check(key, device.klass, options)
        refuse_denied(domain, device)
        if (device.klass is DeviceClass.PCI) is domain.state.is_active:
            state = "runs" if domain.state.is_active else "does not run"
            raise Refused(f"“{domain.name}” {state}: {device.name} stays where it is")
        await self.detach(held, progress=progress)
        try:
            return await self.attach(key, device, options)
        except QubesManagerError as error:
            raise Refused(
                f"“{held.holder.domain.name}” does not have {device.name} any more, and “{domain.name}” did not get "
                f"it: {error}",
                error.details,
            ) from error

    async def require_at_start(self, domain: Domain, klass: DeviceClass) -> None:
        """Raise Refused where what a domain's configuration has of a class cannot be given to it as it starts."""
        await self._kinds[klass].require(domain)

    # What they are to have.

    async def assign(self, key: DomainKey, assignment: Assignment) -> None:
        """Let a domain have a device whenever it can; one for the same device is replaced.

        Raises BadInput, Refused.
        """
        self.check(key, assignment.klass, dict(assignment.options))
        assignment.check()
        domain = self._changeable(key)
        if assignment.klass is DeviceClass.PCI:
            # It is in the configuration of the domain's starts, as libvirt has it, and here by what it is.
            device = await self.find(key.connection, assignment.klass, assignment.name)
            if not await self._has(domain, device):
                await self.attach(key, device, dict(assignment.options))
            assignment = replace(assignment, port=device.location, ident=device.ident or ANY)
        await self._change(key, lambda present: with_assignment(present, assignment))

    async def unassign(self, key: DomainKey, unwanted: Callable[[Assignment], bool]) -> list[Assignment]:
        """Let a domain not have those devices any more; returns which. Raises NotFound where there are none."""
        domain = self._changeable(key)
        gone = [one for one in self.assignments(domain) if unwanted(one)]
        if not gone:
            raise NotFound(f"nothing like that is assigned to “{domain.name}”")
        for one in gone:
            # With the first of its IOMMU group the others go too.
            if one.klass is DeviceClass.PCI:
                had = [held for held in await self.held(key, one.klass) if _is_of(one, held)]
                for held in had:
                    await self.detach(held)
        if any(one in domain.config.assignments for one in gone):
            await self._change(key, lambda present: without_assignments(present, [o for o in gone if o in present]))
        return gone

    def assignments(self, domain: Domain) -> list[Assignment]:
        """Return what a domain is to have, with what others put into its configuration."""
        recorded = domain.config.assignments
        if any(one.klass is DeviceClass.PCI for one in recorded):
            return list(recorded)
        starts = [one for one in domain.config.host_devices if one.klass is DeviceClass.PCI]
        return [*recorded, *(Assignment(one.klass, one.address, ANY, Mode.REQUIRED) for one in starts)]

    async def _has(self, domain: Domain, device: Device) -> bool:
        return any(held.port == device.port for held, _holder in await self._kinds[device.klass].held(domain))

    async def _change(self, key: DomainKey, change: Callable[[tuple[Assignment, ...]], tuple[Assignment, ...]]) -> None:
        def edit(document: "MetadataEdit") -> None:
            document.set_assignments(change(document.config.assignments))

        await actions_on(self._hosts, self._store.require(key)).edit_metadata(edit)
        await self._hosts.refresh(key)

    def _changeable(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine; its devices are its own")
        return domain


def _is_of(assignment: Assignment, held: Held) -> bool:
    return assignment.fits(held.device) or assignment.port == held.device.port


def refuse_denied(domain: Domain, device: Device) -> None:
    """Raise Refused where a domain never gets devices of that kind, whoever asks (its property “devices_denied”)."""
    if pattern := denied_by(domain.config.devices_denied, device.interfaces):
        raise Refused(
            f"“{domain.name}” is never to get {device.description}: its devices_denied has {pattern} (qvm-prefs)"
        )


def refuse_required(domain: Domain, device: Device) -> None:
    """Raise Refused where a domain does not run without a device."""
    if any(one.mode is Mode.REQUIRED and one.fits(device) for one in domain.config.assignments):
        raise Refused(
            f"“{domain.name}” requires {device.description} and runs: shut it down first, or take the device by force"
        )


def assignment_of(
    device: Device | None,
    klass: DeviceClass,
    name: DeviceName,
    mode: Mode,
    options: Iterable[tuple[str, str]],
    *,
    port: bool,
    ident: bool,
) -> Assignment:
    """Return the assignment that a user means: by its *port*, by its *ident* or by both.

    *device* is what is there now under *name*; without it the name itself is to say enough. Raises BadInput, Refused.
    """
    place = device.location if device else name.port
    what = device.ident if device else name.ident
    if ident and not what:
        raise Refused(
            f"{name.text} does not say what it is, so that it can be known by its port alone (--port)"
            if device
            else f"{name.text} is not there: write its ident too, as {name.text}:IDENT, or assign its port (--port)"
        )
    found = Assignment(klass, place if port else ANY, what if ident else ANY, mode, tuple(sorted(options)))
    found.check()
    return found
