"""What is said of a domain's windows when they cannot come, and the ways to its port; with the small guest."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.guests import guest_port
from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.domain import GUI_PORT, DomainKey
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.services.gui.supervisor import GuiSupervisor
from tests.integration.conftest import World, remove_domain
from tests.screen import Screen
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.guest]
CHANNEL = f"<channel type='unix'><target type='virtio' name='{GUI_PORT}'/></channel>"


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"))
    yield screen
    screen.close()


@pytest.fixture
async def ported(world: World, daemon: PrivateDaemon, tiny_guest: TinyGuest) -> AsyncIterator[DomainKey]:
    """A halted domain that has the port, and nothing inside that opens it."""
    key = await world.demo.create_one(daemon.uri, tiny_guest, "ported", "orange", frozenset())
    connection = libvirt.open(daemon.uri)
    connection.lookupByName("ported").attachDeviceFlags(CHANNEL, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    connection.close()
    await world.hosts.refresh(key)
    yield key
    remove_domain(daemon.uri, "ported")


class Heard(list[GuiStatus | None]):
    """What a supervisor told."""

    def __call__(self, _uuid: str, status: GuiStatus | None) -> None:
        self.append(status)

    def phases(self) -> list[GuiPhase | None]:
        return [status.phase if status else None for status in self]


async def test_a_guest_that_offers_no_windows_is_said_to_be_silent(
    world: World, ported: DomainKey, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", screen.environment["DISPLAY"])
    heard = Heard()
    supervisor = GuiSupervisor(world.hosts, world.store, GuiOptions({"startup_timeout": 5}), world.log_paths)
    supervisor.on_change(heard)
    assert supervisor.is_idle
    await world.lifecycle.start(ported)
    await world.until(lambda: GuiPhase.SILENT in heard.phases(), "it is said to be silent")
    assert heard.phases() == [GuiPhase.WAITING, GuiPhase.SILENT]
    assert heard[-1] and heard[-1].message == "nothing in “ported” offers windows after 5 s"
    # Late is better than never: as soon as something opens the port, it is tried. That it speaks no xpra is said too.
    speak = "port=$(ls /dev/vport*p* | tail -n 1); exec 3<>$port; echo x >&3; sleep 20 &"
    assert await world.commands.run(ported, speak, user="root") == 0
    await world.until(lambda: heard.phases()[2:3] == [GuiPhase.CONNECTING], "it is tried")
    await world.lifecycle.kill(ported)
    await world.until(lambda: heard[-1] is None and supervisor.is_idle, "a domain that has ended is left alone")


async def test_what_is_missing_on_the_host_is_named(
    world: World, ported: DomainKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    supervisor = GuiSupervisor(world.hosts, world.store, GuiOptions(), world.log_paths)
    supervisor.on_change(heard)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    await world.lifecycle.start(ported)
    await world.until(lambda: GuiPhase.FAILED in heard.phases(), "the failure")
    assert heard[-1] and "there is no screen" in heard[-1].message
    await supervisor.close()


@pytest.mark.parametrize("direct", [True, False], ids=["the port's own socket", "carried by libvirt"])
async def test_both_ways_to_the_port_carry_what_is_said(
    world: World, ported: DomainKey, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not direct:

        def refuse(_path: str) -> None:
            raise PermissionError("not this user's")

        monkeypatch.setattr(guest_port, "_connect", refuse)
    await world.lifecycle.start(ported)
    assert await world.commands.run(ported, "true") == 0
    connection = world.hosts.connection(world.uri)
    port = await guest_port.read_port(connection, ported.uuid, GUI_PORT)
    assert port and not port.is_open
    end = await guest_port.open_channel(connection, ported.uuid, GUI_PORT, port)
    size = 3 << 20
    echo = (
        f"port=$(ls /dev/vport*p* | tail -n 1); exec 3<>$port; head -c {size} <&3 >/tmp/got; cat /tmp/got >&3; sleep 1"
    )
    talk = asyncio.create_task(world.commands.run(ported, echo, user="root"))
    # Nobody speaks before the guest has opened the port (guest_port.py says why).
    while not (now := await guest_port.read_port(connection, ported.uuid, GUI_PORT)) or not now.is_open:
        await asyncio.sleep(0.1)
    sent = bytes(range(256)) * (size // 256)
    end.settimeout(PATIENCE)
    await asyncio.to_thread(end.sendall, sent)
    got = b""
    while len(got) < size:
        got += await asyncio.to_thread(end.recv, 1 << 20)
    assert got == sent
    assert await talk == 0
    end.close()
    await world.lifecycle.kill(ported)


async def test_a_domain_without_the_port_has_no_way_to_it(world: World, fresh: DomainKey) -> None:
    await world.lifecycle.start(fresh)
    assert await guest_port.read_port(world.hosts.connection(world.uri), fresh.uuid, GUI_PORT) is None


def test_notices_are_shown_as_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qubes_manager.backend.host.desktop_notice import show_notice

    tool = tmp_path / "notify-send"
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/words\necho 42\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert show_notice("work: x", "<b>bold</b> & -more", replaces="7", urgent=True) == "42"
    words = (tmp_path / "words").read_text().splitlines()
    assert words[-3:] == ["--", "work: x", "&lt;b&gt;bold&lt;/b&gt; &amp; -more"]
    assert "--replace-id=7" in words
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert show_notice("a", "b", replaces="no number") == ""
