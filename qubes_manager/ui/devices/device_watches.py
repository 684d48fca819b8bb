"""Follows the devices of every connection that is there, for the page, the menus and the notices."""

import asyncio
import contextlib
import logging
from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from qubes_manager.core.background import Background
from qubes_manager.core.devices.block import IMAGE, BlockDevice
from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.sound import can_be_heard
from qubes_manager.models.device_tree import Listing, inserted_discs, is_image
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.kind import Offered
from qubes_manager.services.devices.notices import DeviceNotices
from qubes_manager.services.devices.places import machine_of
from qubes_manager.services.devices.watch import NEW, DeviceNews, DeviceWatch, identity
from qubes_manager.services.hosts.store import Batch, HostPhase

log = logging.getLogger(__name__)
# Seconds after which a watch that failed is tried again.
_AGAIN = 10.0
# Seconds after which a host that has told of no device is taken to have none.
_PATIENCE = 5.0
# Milliseconds for which changes of domains are gathered.
_PAUSE_MS = 100


class DeviceWatches(QObject):
    """One watch for each connection. ``changed`` says that something that is shown is another than before."""

    changed = Signal()

    def __init__(self, services: Services, notices: DeviceNotices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._notices = notices
        self._watches: dict[str, DeviceWatch] = {}
        self._connected: dict[str, None] = {}
        self._settled: set[str] = set()
        self._images: dict[str, None] = {}
        self._hearing: dict[str, frozenset[DomainKey]] = {}
        self._seen: dict[DomainKey, object] = {}
        self._later = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._later.timeout.connect(self.changed.emit)
        # When the last that is new is so no more.
        self._aged = QTimer(self, singleShot=True, interval=int((NEW + 1) * 1000))
        self._aged.timeout.connect(self.changed.emit)
        services.store.on_batch(self._on_batch)

    @property
    def listings(self) -> list[Listing]:
        """What there is now."""
        return [self._listing(uri) for uri in self._connected]

    @property
    def hearing(self) -> list[Domain]:
        """The domains that hear the microphone, by name: as the sound server tells it, and as it was listed last."""
        keys = {key for keys in self._hearing.values() for key in keys}
        for uri in self._connected:
            offered = (one for one in self._watches[uri].news.offered if one.device.klass is DeviceClass.MIC)
            keys |= {holder.domain.key for one in offered for holder in one.holders}
        there = (domain for key in keys if (domain := self._services.store.get(key)) and domain.state.is_active)
        return sorted(there, key=lambda domain: domain.shown_name.casefold())

    @property
    def is_listing(self) -> bool:
        """Whether some connection has not told its devices yet."""
        return not self._connected or not self._settled.issuperset(self._connected)

    def uris_of(self, machine: str) -> list[str]:
        """The connections to a machine, from which domains can have its devices."""
        return [uri for uri in self._connected if machine_of(uri) == machine]

    def add_image(self, path: str) -> None:
        """Offer an image file of this machine until the program ends."""
        self._images[path] = None
        self.changed.emit()

    def look(self) -> None:
        """List all devices anew."""
        for watch in self._watches.values():
            watch.look()

    async def run(self) -> None:
        """Follow all connections until cancelled; one that comes back is followed again."""
        wake = asyncio.Event()
        background = Background()
        following: dict[str, asyncio.Task[None]] = {}
        stop = self._services.store.on_host(lambda _status: wake.set())
        try:
            while True:
                await wake.wait()
                wake.clear()
                for uri, status in self._services.store.hosts.items():
                    if status.phase is HostPhase.CONNECTED:
                        if uri not in following or following[uri].done():
                            following[uri] = background.spawn(self.follow(uri))
                    elif task := following.pop(uri, None):
                        task.cancel()
                        self._connected.pop(uri, None)
                        self.changed.emit()
        finally:
            stop()
            await background.close()

    async def follow(self, uri: str) -> None:
        """Follow one connection's devices until cancelled."""
        watch = self._watches.get(uri) or self._watch(uri)
        self._connected[uri] = None
        self.changed.emit()
        asyncio.get_running_loop().call_later(_PATIENCE, self._settle, uri)
        beside = Background()
        if can_be_heard(uri):
            beside.spawn(self._follow_microphone(uri, watch))
        try:
            while True:
                try:
                    await watch.run()
                except QubesManagerError as error:
                    log.warning("the devices of %s are not followed: %s", uri, error)
                await asyncio.sleep(_AGAIN)
        finally:
            await beside.close()

    async def _follow_microphone(self, uri: str, watch: DeviceWatch) -> None:
        """Follow who hears until cancelled; the sound server may end, and come again."""
        said = ""
        try:
            while True:
                try:
                    async with contextlib.aclosing(self._services.microphones.follow(uri)) as news:
                        async for keys in news:
                            said = ""
                            self._on_hearing(uri, keys, watch)
                except QubesManagerError as error:
                    if said != str(error):
                        log.warning("who hears the microphone is not followed: %s", error)
                    said = str(error)
                # Without the server nobody hears.
                self._on_hearing(uri, frozenset(), watch)
                await asyncio.sleep(_AGAIN)
        finally:
            if self._hearing.pop(uri, None):
                self.changed.emit()

    def _on_hearing(self, uri: str, keys: frozenset[DomainKey], watch: DeviceWatch) -> None:
        if self._hearing.get(uri, frozenset()) != keys:
            self._hearing[uri] = keys
            self.changed.emit()
        watch.look()

    def _watch(self, uri: str) -> DeviceWatch:
        services = self._services
        watch = self._watches[uri] = DeviceWatch(services.hosts, services.store, services.devices, uri)
        watch.changed.connect(lambda news: self._on_news(uri, news))
        return watch

    def _on_news(self, uri: str, news: DeviceNews) -> None:
        self._notices.hear(uri, news)
        if news.came or news.again:
            self._aged.start()
        self._settle(uri)

    def _settle(self, uri: str) -> None:
        self._settled.add(uri)
        self.changed.emit()

    def _listing(self, uri: str) -> Listing:
        watch, store = self._watches[uri], self._services.store
        news = watch.news
        images = [Offered(BlockDevice(path, kind=IMAGE)) for path in self._images] if not machine_of(uri) else []
        discs = inserted_discs(store.of_host(uri))
        offered = tuple(self._present(one) for one in (*news.offered, *images, *discs))
        # An image comes by its user's hand: he knows.
        plugged = (one.device for one in news.offered if not is_image(one.device))
        new = frozenset(identity(device) for device in plugged if watch.is_new(device))
        return Listing(uri, offered, new, news.trouble)

    def _present(self, offered: Offered) -> Offered:
        """A device with the domains that have it as they are now."""
        get = self._services.store.get
        return replace(
            offered, holders=tuple(replace(h, domain=get(h.domain.key) or h.domain) for h in offered.holders)
        )

    def _on_batch(self, batch: Batch) -> None:
        news = {domain.key: _what_shows(domain) for domain in (*batch.added, *batch.changed)}
        changed = any(self._seen.get(key) != value for key, value in news.items())
        self._seen.update(news)
        for key in batch.removed:
            changed |= self._seen.pop(key, None) is not None
        if changed and not self._later.isActive():
            self._later.start()


def _what_shows(domain: Domain) -> object:
    config = domain.config
    return (
        domain.shown_name,
        domain.state.is_active,
        domain.stale,
        config.label,
        config.disks,
        config.devices_denied,
        config.assignments,
        config.template_for_dispvms,
    )
