"""What devices there are, followed: by libvirt's node device events, and by what domains have.

Sticks that flap, and the dozen events of one that is plugged in, are one change: the devices are listed when it has
been quiet for a moment, and a device is announced once.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.devices.device import Device
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.events import Event, HostEvent, HostEventKind
from qubes_manager.core.signal import Signal
from qubes_manager.services.devices.devices import Devices
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import Batch, DomainStore

# Seconds: of quiet before the devices are listed, and for which that is put off at most.
QUIET, LATEST = 0.4, 2.0
# Seconds for which a device is new, and in which one that comes again is no news.
NEW, FLAPPING = 120.0, 30.0
# Seconds after which a list that failed is tried again.
_AGAIN = 10.0
# How much longer than a list takes nothing is listed after it: one of a machine that is far away is a call for each
# device, and domains that start one after the other are no reason to make them all the time.
_REST = 4.0
Identity = tuple[DeviceClass, str, str]


def identity(device: Device) -> Identity:
    """What tells a device from all others, and from another one in its place."""
    return device.klass, device.location, device.ident


@dataclass(frozen=True, slots=True)
class DeviceNews:
    """What there is now, and what came and went since the last time; at first nothing has come.

    *again* are those that came back after a moment: no news for people, who need not be told each time that one flaps.
    """

    offered: tuple[Offered, ...] = ()
    came: tuple[Device, ...] = ()
    again: tuple[Device, ...] = ()
    went: tuple[Device, ...] = ()
    trouble: str = ""


class DeviceWatch:
    """Follows the devices of one connection's host while ``run`` runs. *clock* is in seconds."""

    def __init__(
        self, hosts: Hosts, store: DomainStore, devices: Devices, uri: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hosts = hosts
        self._store = store
        self._devices = devices
        self._uri = uri
        self._clock = clock
        self.changed = Signal[DeviceNews]()
        self.news = DeviceNews()
        self._since: dict[Identity, float] = {}
        self._last_seen: dict[Identity, float] = {}
        self._is_first = True
        self._listed_before: set[DeviceClass] = set()
        self._domains_changed = False
        self._dirty = asyncio.Event()
        self._had: dict[DomainKey, object] = {}

    @property
    def uri(self) -> str:
        """The connection."""
        return self._uri

    def is_new(self, device: Device) -> bool:
        """Whether it came a short time ago."""
        came = self._since.get(identity(device))
        return came is not None and self._clock() - came < NEW

    def look(self) -> None:
        """List the devices soon."""
        self._dirty.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        listening = self._store.on_batch(self._on_batch)
        try:
            with self._hosts.connection(self._uri).listen() as events:
                hearing = asyncio.ensure_future(self._hear(events))
                try:
                    await self._list_when_needed()
                finally:
                    hearing.cancel()
        finally:
            listening()

    async def _hear(self, events: "asyncio.Queue[Event]") -> None:
        while True:
            event = await events.get()
            if isinstance(event, HostEvent) and event.kind is HostEventKind.NODE_DEVICES:
                self._dirty.set()

    async def _list_when_needed(self) -> None:
        self._dirty.set()
        while True:
            await self._dirty.wait()
            await self._until_quiet()
            begun = self._clock()
            offered, troubles = await self._devices.listed(self._uri)
            # What cannot be listed just now has not gone.
            kept = [one for one in self.news.offered if one.device.klass in troubles]
            self._take([*offered, *kept], "; ".join(map(str, troubles.values())), set(troubles))
            await asyncio.sleep(_REST * (self._clock() - begun))
            if troubles:
                retrying = asyncio.get_running_loop().call_later(_AGAIN, self._dirty.set)
                await self._dirty.wait()
                retrying.cancel()

    async def _until_quiet(self) -> None:
        if self._is_first:
            self._dirty.clear()
            return
        end = self._clock() + LATEST
        while self._dirty.is_set() and self._clock() < end:
            self._dirty.clear()
            await asyncio.sleep(QUIET)
        self._dirty.clear()

    def _take(self, offered: list[Offered], trouble: str, unlisted: set[DeviceClass]) -> None:
        now, before = self._clock(), {identity(one.device): one.device for one in self.news.offered}
        present = {identity(one.device): one.device for one in offered}
        came = [device for key, device in present.items() if key not in before and device.klass in self._listed_before]
        fresh = [device for device in came if now - self._last_seen.get(identity(device), -FLAPPING) >= FLAPPING]
        went = [device for key, device in before.items() if key not in present]
        for device in fresh:
            self._since[identity(device)] = now
        self._last_seen |= dict.fromkeys((*present, *map(identity, went)), now)
        self._forget(now, present)
        # The first list of a class is no news.
        self._listed_before |= set(self._devices.classes) - unlisted
        again = tuple(device for device in came if device not in fresh)
        news = DeviceNews(tuple(offered), tuple(fresh), again, tuple(went), trouble)
        if news != self.news or self._is_first or self._domains_changed:
            self._tell(news)
        self._is_first = self._domains_changed = False

    def _forget(self, now: float, present: dict[Identity, Device]) -> None:
        """Keep nothing of what went long ago: a device that calls itself otherwise each time makes no list grow."""
        for known in (self._since, self._last_seen):
            for key in [key for key, at in known.items() if key not in present and now - at > NEW]:
                del known[key]

    def _tell(self, news: DeviceNews) -> None:
        self.news = news
        self.changed.emit(news)

    def _on_batch(self, batch: Batch) -> None:
        """See whether a domain has other devices than before."""
        for domain in (*batch.added, *batch.changed):
            if domain.key.connection == self._uri and self._had.get(domain.key) != (has := _has(domain)):
                self._had[domain.key] = has
                self._domains_changed = True
                self._dirty.set()
        for key in batch.removed:
            if self._had.pop(key, None):
                self._domains_changed = True
                self._dirty.set()


def _has(domain: Domain) -> object:
    config = domain.config
    return (domain.name, domain.state.is_active, config.disks, config.host_devices, config.assignments)
