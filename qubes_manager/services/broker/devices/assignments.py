"""Gives devices that are plugged in to the domains that they are assigned to, and asks where that is wanted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from qubes_manager.core.background import Background
from qubes_manager.core.crossing.question import Answer, Choice, Question
from qubes_manager.core.crossing.service_words import ATTACH_DEVICE
from qubes_manager.core.devices.assignment import Mode
from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.interfaces import denied_by
from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.text import one_line
from qubes_manager.services.broker.desktop.notices import Notices, Topic
from qubes_manager.services.devices.assigned import AssignedDevices, attaching, fitting
from qubes_manager.services.devices.devices import Devices
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.watch import DeviceNews, DeviceWatch, Identity, identity
from qubes_manager.services.hosts.store import DomainStore

log = logging.getLogger(__name__)
# Characters of a device's description in a question.
_MOST = 160
Ask = Callable[[Question], Awaitable[Answer]]


class AssignmentKeeper:
    """Works while the broker runs, which stays for it while a domain runs that is to have a device."""

    def __init__(
        self,
        store: DomainStore,
        devices: Devices,
        assigned: AssignedDevices,
        watch: DeviceWatch,
        ask: Ask,
        notices: Notices,
    ) -> None:
        self._store = store
        self._devices = devices
        self._assigned = assigned
        self._watch = watch
        self._ask = ask
        self._notices = notices
        self._ran: set[DomainKey] | None = None
        self._asked: dict[Identity, asyncio.Task[None]] = {}
        self._attaching: set[Identity] = set()
        self._held: set[Identity] = set()
        self._giving = Background()

    @property
    def is_idle(self) -> bool:
        """Whether no domain runs that is to have anything."""
        return not any(domain.config.assignments for domain in self._running())

    async def run(self) -> None:
        """Work until cancelled."""
        disconnect = self._watch.changed.connect(self._on_news)
        try:
            await self._watch.run()
        finally:
            disconnect()
            await self._giving.close()

    def _running(self) -> list[Domain]:
        domains = self._store.of_host(self._watch.uri)
        return [d for d in domains if d.state is DomainState.RUNNING and not d.is_host and not d.stale]

    def _on_news(self, news: DeviceNews) -> None:
        running = self._running()
        before, self._ran = self._ran, {domain.key for domain in running}
        started = [domain for domain in running if before is not None and domain.key not in before]
        for device in news.went:
            self._held.discard(identity(device))
            # What is being attached is left to its end: it may be back before that.
            if identity(device) not in self._attaching and (asking := self._asked.pop(identity(device), None)):
                asking.cancel()
        came = {identity(device) for device in (*news.came, *news.again)}
        for one in news.offered:
            which = identity(one.device)
            if one.holders or one.device.in_use:
                # One that is back before its domain has let go of what it was: it has come when that is done.
                self._held |= {which} & came
                continue
            is_here = which in came or which in self._held
            self._held.discard(which)
            # At first the domains run already: who started them has given them what comes by itself.
            domains = running if is_here or before is None else started
            wanting = self._wanting(one, domains, may_ask_only=before is None and not is_here)
            if wanting and which not in self._asked:
                self._begin(one, wanting)

    def _begin(self, one: Offered, wanting: list[tuple[Domain, Mode]]) -> None:
        which = identity(one.device)
        task = self._asked[which] = self._giving.spawn(self._give(one, wanting))

        def forget(_task: object) -> None:
            # It may have gone and come again since.
            if self._asked.get(which) is task:
                del self._asked[which]

        task.add_done_callback(forget)

    def _wanting(self, one: Offered, domains: Iterable[Domain], *, may_ask_only: bool) -> list[tuple[Domain, Mode]]:
        """The domains that are to have a device, each with how."""
        found = []
        for domain in domains:
            if denied_by(domain.config.devices_denied, one.device.interfaces):
                continue
            for _one, assignment in fitting(domain, [one]):
                if assignment.mode is Mode.ASK or not may_ask_only:
                    found.append((domain, assignment.mode))
        return found

    async def _give(self, one: Offered, wanting: list[tuple[Domain, Mode]]) -> None:
        """Give a device to the one domain that is to have it, or to the one that the user chooses."""
        is_clear = len(wanting) == 1 and wanting[0][1] is not Mode.ASK
        domain = wanting[0][0] if is_clear else await self._choose(one.device, [domain for domain, _mode in wanting])
        if domain is None:
            return
        self._attaching.add(identity(one.device))
        try:
            async with attaching(domain):
                now = await self._devices.offered(self._watch.uri, (one.device.klass,))
                same = next((other for other in now if identity(other.device) == identity(one.device)), None)
                if same is None or same.holders:
                    # It is gone, or who started the domain was sooner.
                    return
                assignment = next((found for _one, found in fitting(domain, [same])), None)
                if assignment is None:
                    return
                await self._assigned.give(domain, same.device, assignment)
        except QubesManagerError as error:
            log.warning("%s was not given to “%s”: %s", one.device.port, domain.name, error)
            await self._tell(f"“{domain.name}” did not get a device", f"{one.device.description}: {error}", domain)
        else:
            await self._tell(f"“{domain.name}” has a device", f"{one.device.description}, as it is assigned", domain)
        finally:
            self._attaching.discard(identity(one.device))

    async def _choose(self, device: Device, domains: list[Domain]) -> Domain | None:
        """Ask the user which of the domains is to have a device; None for none of them."""
        names = {domain.name: domain for domain in domains}
        choices = tuple(
            Choice(name, domain.shown_name, domain.label.name if domain.label else "", "", domain.key.uuid)
            for name, domain in sorted(names.items())
        )
        question = Question(
            source=HOST_NAME,
            source_label="black",
            service=ATTACH_DEVICE,
            argument=f"{device.klass}:{device.port}",
            sentence=f"give {one_line(device.description, _MOST)}, at {device.location}, to a domain",
            choices=choices,
            default_target=choices[0].target if len(choices) == 1 else "",
            source_uuid=HOST_UUID,
        )
        try:
            answer = await self._ask(question)
        except QubesManagerError as error:
            # Without a screen nothing is attached.
            log.info("%s was not given to a domain: %s", device.port, error)
            return None
        chosen = names.get(answer.target)
        now = self._store.get(chosen.key) if chosen else None
        return now if now and now.state is DomainState.RUNNING else None

    async def _tell(self, title: str, text: str, domain: Domain) -> None:
        await self._notices.show(title, text, domain.key, Topic.DEVICES)
