"""Files to and from real guests, by the commands, through a real broker; one has our tools, one only an agent."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.guests.tiny_guest import TinyGuest
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.crossing.guest_messages import REFUSED
from qubes_manager.core.domain import DomainKey
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.policy_files import ANY
from tests.asked_user import AskedUser
from tests.asked_user import bare_screen as bare_screen
from tests.integration.conftest import COMMANDS, Guest, World, remove_domain
from tests.integration.crossing import make_crossing_domain
from tests.screen import PICTURES, Screen
from tests.waiting import PATIENCE

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def tools(daemon: PrivateDaemon, python_guest: TinyGuest) -> Iterator[str]:
    """A running guest that has our tools."""

    async def make() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        key = await make_crossing_domain(world, daemon.uri, python_guest, "tools")
        # Its agent answers before its service program does.
        await world.commands.run(key, "until [ -S /run/qubes-manager-crossing/calls ]; do sleep 0.2; done")
        await world.hosts.close()

    asyncio.run(make())
    yield "tools"
    remove_domain(daemon.uri, "tools")


@pytest.fixture
async def home(world: World, daemon: PrivateDaemon, tmp_path: Path) -> AsyncIterator[Path]:
    """This machine's home folder, with a broker that has it."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home)}
    words: list[str | Path] = [COMMANDS / "qubes-manager", "broker", "--connect", daemon.uri, "--grace", "600"]
    broker = subprocess.Popen(words, env=environment)
    await world.until(lambda: socket_path(daemon.uri).exists(), "the broker listens")
    assert broker.poll() is None
    yield home
    broker.terminate()
    broker.wait(PATIENCE)


async def command(uri: str, *words: object) -> str:
    """Run a command of ours; the test fails where it does."""
    name, *rest = map(str, words)
    process = await asyncio.create_subprocess_exec(
        COMMANDS / name, "--connect", uri, *rest, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def digest_there(world: World, key: DomainKey, path: str) -> str:
    out = bytearray()
    await world.commands.run(key, f"sha256sum {path}", out=out.extend)
    return out.decode().partition(" ")[0]


@pytest.mark.parametrize("name", ["tools", "shared"], ids=["by our tools", "by the agent alone"])
async def test_files_go_there_and_come_back_marked(
    world: World, daemon: PrivateDaemon, tools: str, guest: Guest, home: Path, tmp_path: Path, name: str
) -> None:
    assert {tools, guest.name} == {"tools", "shared"}
    domain = await world.appears(name)
    data = os.urandom(700_000)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a b").write_bytes(data)
    await command(daemon.uri, "qvm-move-to-vm", name, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    there = bytearray()
    await world.commands.run(domain.key, "cd; echo $PWD/QubesIncoming/dom0/tree", out=there.extend)
    folder = there.decode().strip()
    assert await digest_there(world, domain.key, f"'{folder}/a b'") == hashlib.sha256(data).hexdigest()
    told = await command(daemon.uri, "qvm-copy-from-vm", "-v", name, folder)
    assert told == f"{hashlib.sha256(data).hexdigest()}  tree/a b\n"
    landed = home / "QubesIncoming" / name / "tree/a b"
    assert landed.read_bytes() == data
    assert os.getxattr(landed, "user.xdg.origin.url") == f"domain:{name}".encode()
    await command(daemon.uri, "qvm-copy-from-vm", name, folder)
    assert sorted(path.name for path in landed.parent.parent.iterdir()) == ["tree", "tree (2)"]


@pytest.mark.parametrize(("source", "target"), [("tools", "shared"), ("shared", "tools")])
async def test_files_go_from_one_guest_to_another_that_has_other_means(
    world: World, daemon: PrivateDaemon, tools: str, guest: Guest, home: Path, source: str, target: str
) -> None:
    assert {tools, guest.name, home.name} == {"tools", "shared", "home"}
    one, other = await world.appears(source), await world.appears(target)
    path = f"/tmp/from-{source}"
    assert await world.commands.run(one.key, f"head -c 300000 /dev/urandom >{path}") == 0
    await command(daemon.uri, "qvm-copy-from-vm", "--to", target, source, path)
    there = f"~/QubesIncoming/{source}/from-{source}"
    assert await digest_there(world, other.key, there) == await digest_there(world, one.key, path)
    # A name that is taken: as the user says, also where the target's own tools take it.
    assert await world.commands.run(one.key, f"echo new >{path}") == 0
    for existing, lines in (("skip", b"300000 1\n"), ("replace", b"4 1\n")):
        await command(daemon.uri, "qvm-copy-from-vm", "--existing", existing, "--to", target, source, path)
        found = bytearray()
        count = f"stat -c %s {there}; ls ~/QubesIncoming/{source} | wc -l"
        await world.commands.run(other.key, f"echo $({count})", out=found.extend)
        assert found == lines


@pytest.mark.parametrize("target", ["dom0", "shared"], ids=["to this machine", "to a guest with an agent alone"])
async def test_a_guest_sends_by_its_own_command(
    world: World, tools: str, guest: Guest, home: Path, target: str
) -> None:
    world.policy_files.folder.mkdir(parents=True, exist_ok=True)
    world.policy_files.replace("30-user", "qubes.Filecopy * @anyvm * allow\n", token=ANY)
    one, other = await world.appears(tools), await world.appears(guest.name)
    assert await world.commands.run(one.key, "head -c 200000 /dev/urandom >/tmp/sent") == 0
    digest = await digest_there(world, one.key, "/tmp/sent")
    said = bytearray()
    line = f"qvm-move-to-vm {target} /tmp/sent"
    # The guest's tools are heard of by a broker that has only just started.
    assert await world.commands.run(one.key, line, err=said.extend) == 0, said.decode()
    assert await world.commands.run(one.key, "test -e /tmp/sent") == 1
    if target == "dom0":
        landed = home / "QubesIncoming" / tools / "sent"
        assert hashlib.sha256(landed.read_bytes()).hexdigest() == digest
        assert os.getxattr(landed, "user.xdg.origin.url") == f"domain:{tools}".encode()
    else:
        assert await digest_there(world, other.key, f"~/QubesIncoming/{tools}/sent") == digest


@pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb and xdotool")
async def test_what_a_guest_sends_goes_where_the_user_says_and_nowhere_else(
    world: World,
    daemon: PrivateDaemon,
    tools: str,
    bare_screen: Screen,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    domain, user = await world.appears(tools), AskedUser(bare_screen)
    monkeypatch.setenv("DISPLAY", bare_screen.environment["DISPLAY"])
    following = asyncio.create_task(BrokerLink(daemon.uri).follow())

    async def send() -> tuple[int, str]:
        said = bytearray()
        line = "echo secret >/tmp/report.txt && qvm-copy /tmp/report.txt 2>&1"
        return await world.commands.run(domain.key, line, out=said.extend), said.decode()

    sending = asyncio.create_task(send())
    await user.sees("“tools” asks: Copy files")
    bare_screen.picture(PICTURES / "asked.png")
    await user.presses("Escape")
    code, said = await sending
    assert code == REFUSED
    assert "the user said no" in said

    sending = asyncio.create_task(send())
    await user.sees("“tools” asks: Copy files")
    await user.presses("d", "o", "m", "0", "Down", "Return")
    assert await sending == (0, "")
    assert (home / "QubesIncoming/tools/report.txt").read_text() == "secret\n"
    following.cancel()
