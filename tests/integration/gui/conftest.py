"""A desktop with two running Debian domains that all tests of windows share: they take a minute to come."""

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.viewers.needs import windows_trouble
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.domain import DomainClass, DomainKey
from tests.desk import Desk, Programs
from tests.integration.conftest import World, remove_all
from tests.integration.desk.conftest import BOOT
from tests.integration.test_templates import KEPT

TROUBLE = " ".join(windows_trouble()).strip()
MARKS = [
    pytest.mark.guest,
    pytest.mark.debian,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(TROUBLE), reason=TROUBLE),
]
BLUE, RED, GREEN = (0x34, 0x65, 0xA4), (0xCC, 0, 0), (0x73, 0xD2, 0x16)
HOSTILE = Path(__file__).parent.with_name("hostile_gui.py")


@pytest.fixture(scope="package")
def desk(daemon: PrivateDaemon, debian: DomainKey, trixie: DomainKey) -> Iterator[Desk]:
    """A desktop with two running domains whose sessions are there: work (blue) of Debian 12, untrusted (red) of 13."""
    # The names of the guests' templates must be the domains' only tie.
    assert debian and trixie
    folder = Path(tempfile.mkdtemp(prefix="qm-desk-", dir="/var/tmp"))

    async def make() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        for name, label, template in (("work", "blue", "debian"), ("untrusted", "red", "trixie")):
            request = CreationRequest(
                name, label, DomainClass.APP, template=template, memory=1024, private_size=64 << 20
            )
            await world.creation.create(world.uri, request)
        await world.hosts.close()

    async def take_away() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await remove_all(world, KEPT)
        await world.hosts.close()

    asyncio.run(make())
    desk = Desk(folder, daemon.uri)
    try:
        desk.run("qvm-window-prefs", "global", "startup_timeout", BOOT)
        desk.run("qvm-start", "work", "untrusted")
        for name in ("work", "untrusted"):
            ready = "until [ -S /run/qubes-manager-gui/xpra.sock ]; do sleep 1; done"
            desk.run("qvm-run", "-u", "root", name, ready, timeout=BOOT)
        yield desk
    finally:
        desk.close()
        asyncio.run(take_away())
        shutil.rmtree(folder, ignore_errors=True)


def in_guest(desk: Programs, name: str, command: str, user: str = "user", check: bool = True) -> str:
    return desk.run("qvm-run", "-p", "-u", user, name, command, check=check).stdout.strip()


def open_terminal(desk: Programs, name: str, title: str, options: str = "") -> str:
    """Open a terminal in a domain's session and return its window."""
    desk.run("qvm-run", name, f"setsid -f xterm {options} -T {title} -e sh >/dev/null 2>&1")
    return desk.window(f"[{name}] {title}")


def be_hostile(desk: Programs, name: str, *words: str) -> None:
    """Run the hostile program in a domain's session."""
    program = base64.b64encode(HOSTILE.read_bytes()).decode()
    in_guest(desk, name, f"echo {program} | base64 -d >/tmp/hostile.py")
    desk.run("qvm-run", name, f"setsid -f python3 /tmp/hostile.py {' '.join(words)} >/tmp/hostile.out 2>&1")


def end_hostile(desk: Programs, name: str) -> None:
    in_guest(desk, name, "pkill -f [h]ostile.py; true")
    desk.until(lambda: not desk.windows(f"[{name}] hostile"), "the hostile windows go")
