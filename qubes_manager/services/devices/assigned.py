"""Giving domains what is assigned to them: at their start, and when a device comes."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.devices.assignment import Assignment, Mode, assignment_for, missing
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.served_devices import served_again
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore

if TYPE_CHECKING:
    from qubes_manager.services.devices.devices import Devices

# Those that come to a domain while it runs. A PCI device is in its configuration, and a microphone is switched on.
_LIVE = (DeviceClass.BLOCK, DeviceClass.USB)
_BY_ITSELF = (Mode.AUTO, Mode.REQUIRED)


class AssignedDevices:
    """Gives devices by domains' assignments; what a domain never gets (devices_denied) it does not get so either."""

    def __init__(self, hosts: Hosts, store: DomainStore, devices: "Callable[[], Devices]") -> None:
        self._hosts = hosts
        self._store = store
        # Most starts have no need of them.
        self._devices = devices

    async def require(self, domain: Domain) -> None:
        """Raise Refused where something is missing without which a domain is not to start, or somebody else has it.

        PCI devices, which are in its configuration, are to be what they were when they were given.
        """
        if any(one.klass is DeviceClass.PCI for one in domain.config.host_devices):
            await self._devices().require_at_start(domain, DeviceClass.PCI)
        if not requires_any(domain):
            return
        wanted = [one for one in domain.config.assignments if one.mode is Mode.REQUIRED and one.klass in _LIVE]
        offered = await self._devices().offered(domain.key.connection, {one.klass for one in wanted})
        if absent := missing(wanted, [one.device for one in offered]):
            raise _absent(domain, absent)
        for assignment in wanted:
            meant = [one for one in offered if assignment.fits(one.device)]
            users = [_user(one, domain) for one in meant]
            if all(users):
                raise Refused(
                    f"“{domain.name}” requires {meant[0].device.description}, which {users[0]} has: detach it there"
                )

    def going_on(self, domain: Domain) -> AbstractAsyncContextManager[None]:
        """Let a saved domain, which goes on in the block, find the devices that it had; raises Refused."""
        return served_again(self._hosts, domain)

    async def attach_at_start(self, key: DomainKey) -> list[str]:
        """Give a domain that has just started what comes by itself; returns what did not come, in sentences.

        Raises Refused where something did not come without which it is not to run.
        """
        domain = self._store.require(key)
        wanted = [one for one in domain.config.assignments if one.mode in _BY_ITSELF and one.klass in _LIVE]
        if not wanted:
            return []
        notes, had = [], []
        async with attaching(domain):
            offered = await self._devices().offered(key.connection, {one.klass for one in wanted})
            for one, assignment in fitting(domain, offered):
                is_required = _is_required(domain, one.device)
                if is_had(one, key):
                    had.append(one.device)
                    continue
                if assignment.mode is Mode.ASK and not is_required:
                    continue
                try:
                    await self.give(domain, one.device, assignment)
                    had.append(one.device)
                except QubesManagerError as error:
                    if is_required:
                        raise Refused(
                            f"“{domain.name}” requires {one.device.description}, and did not get it: {error}",
                            error.details,
                        ) from error
                    notes.append(f"“{domain.name}” did not get {one.device.description}: {error}")
        if absent := missing(wanted, had):
            # It was there a moment ago.
            raise _absent(domain, absent)
        return notes

    async def give(self, domain: Domain, device: Device, assignment: Assignment) -> str:
        """Give a device by its assignment and return its name in the domain; raises what attaching raises."""
        return await self._devices().attach(domain.key, device, dict(assignment.options))


def _user(offered: Offered, domain: Domain) -> str:
    """Who has a device so that *domain* cannot have it now, in words; empty where nobody does."""
    others = (holder.domain for holder in offered.holders if holder.domain.key != domain.key)
    return next((f"“{other.name}”" for other in others if other.state.is_active), "")


def _absent(domain: Domain, absent: Sequence[Assignment]) -> Refused:
    names = ", ".join(f"{one.klass} {one.name.text}" for one in absent)
    return Refused(
        f"“{domain.name}” requires a device that is not there: {names}. Plug it in and start it again, or take the "
        f"assignment away (qvm-device {absent[0].klass} unassign)"
    )


def requires_any(domain: Domain) -> bool:
    """Whether there is anything without which a domain is not to run."""
    return any(one.mode is Mode.REQUIRED and one.klass in _LIVE for one in domain.config.assignments)


def _is_required(domain: Domain, device: Device) -> bool:
    return any(one.mode is Mode.REQUIRED and one.fits(device) for one in domain.config.assignments)


def attaching(domain: Domain) -> AbstractAsyncContextManager[None]:
    """Let one program at a time give a domain what is assigned to it."""
    return domain_lock(f"assigned {domain.key.uuid}", domain.name)


def fitting(domain: Domain, offered: Iterable[Offered]) -> list[tuple[Offered, Assignment]]:
    """Return the devices that a domain is to have while it runs, each with the assignment that holds for it."""
    pairs = ((one, assignment_for(domain.config.assignments, one.device)) for one in offered)
    return [(one, found) for one, found in pairs if found and found.klass in _LIVE]


def is_had(offered: Offered, key: DomainKey) -> bool:
    """Whether a domain has a device already."""
    return any(holder.domain.key == key for holder in offered.holders)
