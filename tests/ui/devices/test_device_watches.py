"""Every connection's devices are followed while it is there, and again when it comes back."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import qasync
from PySide6.QtWidgets import QWidget

from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.core.domain import DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.events import HostEvent, HostEventKind
from qubes_manager.core.hardware import Disk
from qubes_manager.core.labels import LABELS
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices import watch
from qubes_manager.services.devices.devices import Devices
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.devices.notices import DeviceNotices
from qubes_manager.services.devices.watch import DeviceNews
from qubes_manager.services.hosts.store import HostPhase, HostStatus
from qubes_manager.ui.devices import device_watches
from qubes_manager.ui.devices.device_watches import DeviceWatches
from tests.build import domain
from tests.device_samples import CAMERA, ISO, MICROPHONE, STICK, guest
from tests.device_samples import URI as SESSION
from tests.ui.conftest import run
from tests.waiting import until

URI = "test:///default"
WORK = domain("work", key=DomainKey(URI, "work"), config=DomainConfig(label=LABELS["blue"]))


class Plugged(Devices):
    """What a test says that is plugged in."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.hosts, services.store, ())
        self.found: list[Offered] = [Offered(STICK)]

    @property
    def classes(self) -> tuple[DeviceClass, ...]:
        return tuple(DeviceClass)

    async def listed(self, uri: str, classes: Any = ()) -> tuple[list[Offered], dict[DeviceClass, Exception]]:
        return list(self.found), {}


class Scene:
    """Watches over libvirt's test driver, of which only the connection counts."""

    def __init__(self, services: Services, parent: QWidget) -> None:
        self.services = services
        self.plugged = services.__dict__["devices"] = Plugged(services)
        self.noticed: list[str] = []
        self.notices = DeviceNotices(asyncio.ensure_future, self._show)
        self.watches = DeviceWatches(services, self.notices, parent)

    def _show(self, _title: str, text: str, **_more: object) -> str:
        self.noticed.append(text)
        return ""

    def names(self) -> list[str]:
        return [one.device.port for listing in self.watches.listings for one in listing.offered]

    def event(self) -> None:
        self.services.hosts.connection(URI).announce(HostEvent(HostEventKind.NODE_DEVICES))

    def phase(self, phase: HostPhase) -> None:
        self.services.store.set_host(HostStatus(URI, phase))


@pytest.fixture
def scene(
    loop: qasync.QEventLoop, services: Services, parent: QWidget, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    monkeypatch.setattr(watch, "QUIET", 0.01)

    async def connect() -> None:
        await services.hosts.load(URI)
        services.store.put([WORK])
        services.store.flush()

    scene = Scene(services, parent)
    run(loop, connect())
    yield scene
    run(loop, services.hosts.close())


def test_what_comes_is_listed_and_told_and_new_for_a_while(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        following = asyncio.ensure_future(scene.watches.run())
        assert scene.watches.is_listing
        scene.phase(HostPhase.CONNECTED)
        await until(lambda: scene.names() == ["sdb"])
        assert not scene.watches.is_listing
        scene.plugged.found += [Offered(CAMERA), Offered(ISO)]
        scene.event()
        await until(lambda: scene.names() == ["sdb", "1-6", ISO.path])
        # Images are added by people, and no news to them.
        assert [name for _klass, name, _ident in scene.watches.listings[0].new] == ["usb-1-6"]
        await until(lambda: scene.noticed)
        assert scene.noticed[0].startswith("“Chicony Camera” (camera) is here.")
        assert scene.watches._aged.isActive()
        following.cancel()

    run(loop, work())


def test_a_connection_that_comes_back_is_followed_again(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        following = asyncio.ensure_future(scene.watches.run())
        scene.phase(HostPhase.CONNECTED)
        await until(lambda: scene.names() == ["sdb"])
        scene.phase(HostPhase.DISCONNECTED)
        await until(lambda: scene.watches.listings == [])
        # Nobody follows meanwhile.
        scene.plugged.found.append(Offered(CAMERA))
        scene.event()
        await asyncio.sleep(0.05)
        assert scene.watches.listings == []
        scene.phase(HostPhase.CONNECTED)
        await until(lambda: scene.names() == ["sdb", "1-6"])
        following.cancel()

    run(loop, work())


def test_who_has_it_is_shown_as_he_is_now(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        following = asyncio.ensure_future(scene.watches.run())
        scene.plugged.found = [Offered(STICK, (Holder(WORK, "sda"),))]
        scene.phase(HostPhase.CONNECTED)
        await until(lambda: scene.names() == ["sdb"])
        told: list[bool] = []
        scene.watches.changed.connect(lambda: told.append(True))
        red = replace(WORK, config=replace(WORK.config, label=LABELS["red"]))
        scene.services.store.put([red])
        await until(lambda: told)
        [listing] = scene.watches.listings
        assert listing.offered[0].holders[0].domain.label == LABELS["red"]
        following.cancel()

    run(loop, work())


def test_images_that_were_added_and_discs_in_drives_are_there(loop: qasync.QEventLoop, scene: Scene) -> None:
    async def work() -> None:
        following = asyncio.ensure_future(scene.watches.run())
        scene.phase(HostPhase.CONNECTED)
        await until(lambda: scene.names() == ["sdb"])
        scene.watches.add_image("/home/u/a.img")
        disc = Disk("sdz", "sata", kind="cdrom", source="/iso/debian.iso")
        scene.services.store.put([replace(WORK, config=replace(WORK.config, disks=(disc,)))])
        await until(lambda: scene.names() == ["sdb", "/home/u/a.img", "/iso/debian.iso"])
        following.cancel()

    run(loop, work())


class Heard:
    """A sound server that a test speaks for; None ends it."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[frozenset[DomainKey] | None] = asyncio.Queue()
        self.followers = 0
        self.asked: list[str] = []

    async def follow(self, uri: str) -> AsyncGenerator[frozenset[DomainKey], None]:
        self.asked.append(uri)
        self.followers += 1
        try:
            while (keys := await self.news.get()) is not None:
                yield keys
            raise HostCallFailed("the sound server does not answer")
        finally:
            self.followers -= 1


def test_who_hears_is_followed_and_again_when_the_sound_server_comes_back(
    loop: qasync.QEventLoop, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_watches, "_AGAIN", 0.01)
    heard = scene.services.__dict__["microphones"] = Heard()
    work, bank = guest("work"), guest("bank")
    looks: list[bool] = []

    async def follow() -> None:
        scene.services.store.put([work, bank])
        watches = scene.watches
        watch = watches._watch(SESSION)
        watch.look = lambda: looks.append(True)  # type: ignore[method-assign]
        told: list[list[str]] = []
        watches.changed.connect(lambda: told.append([domain.name for domain in watches.hearing]))
        following = asyncio.ensure_future(watches.follow(SESSION))
        heard.news.put_nowait(frozenset({work.key, bank.key}))
        await until(lambda: told and told[-1] == ["bank", "work"])
        assert looks
        heard.news.put_nowait(None)
        await until(lambda: told[-1] == [])
        heard.news.put_nowait(frozenset({work.key}))
        await until(lambda: told[-1] == ["work"])
        # What was listed says it too, as where the server's news are late; who does not run hears nothing.
        heard.news.put_nowait(frozenset())
        await until(lambda: told[-1] == [])
        watch.news = DeviceNews((Offered(MICROPHONE, (Holder(bank, "mic"),)),))
        assert watches.hearing == [bank]
        scene.services.store.put([replace(bank, state=DomainState.HALTED)])
        assert watches.hearing == []
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert heard.followers == 0, "nobody follows what is not followed any more"

    run(loop, follow())


def test_nobody_asks_the_sound_server_about_what_it_cannot_know(loop: qasync.QEventLoop, scene: Scene) -> None:
    heard = scene.services.__dict__["microphones"] = Heard()

    async def work() -> None:
        following = asyncio.ensure_future(scene.watches.follow(URI))
        await until(lambda: scene.names() == ["sdb"])
        assert heard.asked == []
        following.cancel()

    run(loop, work())
