"""One user at two screens: a domain's port has one owner, who can be asked for it, and libvirt never waits for it."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.guests.consoles import open_serial_line
from qubes_manager.backend.guests.guest_port import has_clients, read_port
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.user.port_holder import PortTaken
from qubes_manager.backend.user.user_folder import user_folder
from qubes_manager.backend.viewers.needs import windows_trouble
from qubes_manager.core.domain import GUI_PORT, DomainKey
from qubes_manager.core.errors import HostCallFailed
from qubes_manager.core.gui_messages import Port
from qubes_manager.services.gui.ports import hold_port
from tests.integration.conftest import COMMANDS, World, remove_domain
from tests.integration.test_gui_supervisor import CHANNEL
from tests.screen import Screen
from tests.waiting import PATIENCE, soon

pytestmark = [pytest.mark.guest]


@pytest.fixture(scope="module")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Screen]]:
    screens = [Screen(tmp_path_factory.mktemp("screen")) for _ in range(2)]
    yield screens
    for screen in screens:
        screen.close()


@pytest.fixture
async def ported(world: World, daemon: PrivateDaemon, tiny_guest: TinyGuest) -> AsyncIterator[DomainKey]:
    """A running domain with the port for windows."""
    key = await world.demo.create_one(daemon.uri, tiny_guest, "ported", "orange", frozenset())
    connection = libvirt.open(daemon.uri)
    connection.lookupByName("ported").attachDeviceFlags(CHANNEL, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    connection.close()
    await world.hosts.refresh(key)
    await world.lifecycle.start(key)
    yield key
    remove_domain(daemon.uri, "ported")


class Watch(threading.Thread):
    """Asks libvirt for its list again and again; knows how long it took at worst."""

    def __init__(self, uri: str) -> None:
        super().__init__(daemon=True)
        self._uri = uri
        self._over = threading.Event()
        self.worst = 0.0
        self.count = 0

    def run(self) -> None:
        while not self._over.wait(0.1):
            begun = time.monotonic()
            subprocess.run(["virsh", "-c", self._uri, "list"], capture_output=True, timeout=PATIENCE, check=True)
            self.worst = max(self.worst, time.monotonic() - begun)
            self.count += 1

    def end(self) -> None:
        self._over.set()
        self.join(PATIENCE)


class Service:
    """The gui service of one screen, as it is started by the manager."""

    def __init__(self, uri: str, screen: Screen) -> None:
        self._uri = uri
        self.environment = {**os.environ, **screen.environment, "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}
        self.display = screen.environment["DISPLAY"]
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "qubes_manager", "gui", "--connect", self._uri]
        self.process = subprocess.Popen(words, env=self.environment)

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def show(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask for the domain's windows on this screen."""
        command: list[str | Path] = [COMMANDS / "qvm-start-gui", "--connect", self._uri, *words, "ported"]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )


@pytest.fixture
async def services(
    world: World, daemon: PrivateDaemon, ported: DomainKey, screens: list[Screen]
) -> AsyncIterator[list[Service]]:
    assert ported
    services = [Service(daemon.uri, screen) for screen in screens]
    try:
        # Who asks on a screen that has none yet would start another.
        await world.until(lambda: len(list(user_folder().glob("gui-*.sock"))) == len(services), "both services listen")
        yield services
    finally:
        for service in services:
            service.end()


async def test_libvirt_answers_whatever_two_screens_want(
    world: World, daemon: PrivateDaemon, ported: DomainKey, services: list[Service]
) -> None:
    watch = Watch(daemon.uri)
    watch.start()
    try:
        await asyncio.sleep(2)
        calm = watch.worst
        # Who waits and goes stays in the backlog while another one is served: three of them filled it. Then the turns
        # change.
        for turn, (which, seconds) in enumerate([(1, 2), (1, 2), (1, 7), (0, 1), (0, 1), (1, 1), (0, 1)]):
            services[which].end(signal.SIGKILL if turn % 2 else signal.SIGTERM)
            services[which].start()
            await asyncio.sleep(seconds)
    finally:
        watch.end()
    assert watch.count > 10
    assert watch.worst < 1 + 4 * calm, watch.worst
    print(f"the slowest of {watch.count} lists took {watch.worst:.2f} s")
    # Where they ended up, the next one finds them.
    with pytest.raises(PortTaken) as caught:
        async with soon():
            while True:
                (await hold_port(daemon.uri, ported.uuid, Port.WINDOWS)).close()
                await asyncio.sleep(0.1)
    assert caught.value.holder
    assert caught.value.holder.pid in [service.process.pid for service in services]
    port = await read_port(world.hosts.connection(daemon.uri), ported.uuid, GUI_PORT)
    assert port
    # Without a viewer that could show windows nobody is connected.
    if not windows_trouble():
        await world.until(lambda: has_clients(port.path), "somebody has the port")


async def test_a_serial_line_is_read_by_one_and_never_by_force(world: World, ported: DomainKey) -> None:
    connection = world.hosts.connection(world.uri)
    end = await open_serial_line(connection, ported.uuid)
    with pytest.raises(HostCallFailed, match="cannot open the serial console; another program may have it"):
        await open_serial_line(connection, ported.uuid)
    end.close()
    async with soon():
        while True:
            with contextlib.suppress(HostCallFailed):
                (await open_serial_line(connection, ported.uuid)).close()
                break
            await asyncio.sleep(0.1)


async def test_who_asks_second_is_told_by_whom_and_where_and_may_take_them_over(services: list[Service]) -> None:
    first, second = services
    assert (await asyncio.to_thread(first.show, "--take-over")).stderr == ""
    told = await asyncio.to_thread(second.show)
    assert told.returncode == 1
    who = f"qubes-manager gui (process {first.process.pid}) on display {first.display}"
    assert told.stderr.startswith(
        f"qvm-start-gui: the windows of “ported” are shown by {who}; “qvm-start-gui --take-over"
    )
    assert (await asyncio.to_thread(first.show)).returncode == 0
    for giver, taker in ((first, second), (second, first)):
        taken = await asyncio.to_thread(taker.show, "--take-over")
        assert (taken.returncode, taken.stderr) == (0, "")
        told = await asyncio.to_thread(giver.show)
        assert f"(process {taker.process.pid}) on display {taker.display}" in told.stderr
    # When its owner dies the windows go to whoever is left.
    first.end(signal.SIGKILL)
    shown = 1
    async with soon():
        while shown:
            shown = (await asyncio.to_thread(second.show)).returncode
    first.start()
