"""Files of a guest that lies, through real ports and a real broker, toward this machine and toward another guest.

The guest's service program is replaced by ``hostile_files.py``. Most is played at once, since each command in a guest
takes its time; the tests look at what came of it.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.guests.guest_tools import python_folder
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.crossing.broker_messages import TransferStatus
from qubes_manager.core.crossing.file_messages import Failure, Go, Offer, Stored
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.json_lines import Message
from qubes_manager.services.crossing.address import socket_path
from qubes_manager.services.crossing.link import BrokerLink
from tests.guest.archive.archives import file, folder, hostile, special
from tests.guest.archive.test_unpacking import REFUSED
from tests.integration import hostile_files
from tests.integration.conftest import COMMANDS, World
from tests.integration.test_crossing_calls import Said, run_in
from tests.waiting import PATIENCE

pytestmark = pytest.mark.guest
# A broker that waits five seconds where others wait two minutes.
BROKER = """
import sys
from qubes_manager.core.crossing import ports
ports.STALL = 5.0
from qubes_manager.__main__ import main
sys.exit(main())
"""
# The other guest's tools too; and back.
IMPATIENT = f"""
sed -i 's/^STALL = .*/STALL = %s/' /{python_folder()}/qubes_manager/core/crossing/ports.py
kill $(pidof crossing); rm -rf /home/user/QubesIncoming
"""
TAKE_OVER = """
cat >/tmp/hostile.py; rm -f /tmp/orders /tmp/answers
kill -9 $(pidof start-crossing) $(pidof crossing)
setsid python3 /tmp/hostile.py >/tmp/hostile.log 2>&1 </dev/null & echo $! >/tmp/hostile.pid
while kill -0 $(cat /tmp/hostile.pid) && ! [ -p /tmp/answers ]; do sleep 0.1; done
[ -p /tmp/answers ] || cat /tmp/hostile.log >&2
"""
GIVE_BACK = "kill -9 $(cat /tmp/hostile.pid); setsid /etc/start-crossing >/dev/null 2>&1 </dev/null &"
ANSWERS = """
connect='import socket; socket.socket(socket.AF_UNIX).connect("/run/qubes-manager-crossing/calls")'
until python3 -c "$connect" 2>/dev/null; do sleep 0.2; done
"""
TARGETS = ("dom0", "callee")
SECRET = "what the file holds"
MIB = 1 << 20
PLAIN = Offer(MIB, 10)
HALF = hostile([file("small")])[:600]


def write(data: bytes | Message) -> list[object]:
    """A step of an order."""
    raw = data if isinstance(data, bytes) else data.to_json().encode() + b"\n"
    return ["write", b64encode(raw).decode()]


@dataclass(frozen=True)
class Lie:
    """What is told in the call, then offered, then sent; and what is said of it by a guest, and here if otherwise."""

    reason: str
    archive: bytes = hostile([file("small")])
    offer: bytes | Message = PLAIN
    told: tuple[int, int] = (MIB, 10)
    here: str = ""
    # How it goes on after the archive, and what is said to have been sent; None for the truth.
    then: str = ""
    sent: int | None = None

    def order(self, target: str) -> dict[str, object]:
        size, count = self.told
        call = {"service": FILECOPY, "argument": "", "target": target, "names": ["x"], "count": count, "size": size}
        flood = [[self.then, None]] if self.then else []
        steps = [write(self.offer), ["until", "\n"], write(self.archive), *flood, ["sent", self.sent]]
        return {"call": call, "steps": steps}


def packed(name: str) -> bytes:
    return hostile([file(f"before {name}"), *REFUSED[name]])


def offer(size: int, count: int) -> bytes:
    return json.dumps({"type": "offer", "size": size, "count": count}).encode() + b"\n"


def giant() -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo("giant")
    info.size = 1 << 40
    return info, b""


LIES = {
    **{
        name: Lie(reason, packed(name), here=here)
        for name, reason, here in (
            ("climbs out", "no plain name", ""),
            ("climbs out in the middle", "no plain name", ""),
            ("absolute", "no plain name", ""),
            ("controls in a name", "unusual characters", ""),
            ("reordered name", "unusual characters", ""),
            ("device", "no file, folder or link", ""),
            ("disk", "no file, folder or link", ""),
            ("pipe", "no file, folder or link", ""),
            ("hard link", "no file, folder or link", ""),
            ("hard link out", "no file, folder or link", ""),
            ("twice", "came twice", ""),
            # What unpacks it says so of late (Python 3.13.5), before it is looked at here.
            ("negative size", "makes? no sense|no archive, or a broken one", ""),
            ("huge", "more comes than was said", ""),
            ("ends in the middle", "ends in the middle", ""),
        )
    },
    "a link out, and a file through it": Lie(
        "has a target that cannot be copied",
        hostile([folder("a"), special("a/b", tarfile.SYMTYPE, "/etc"), file("a/b/evil")]),
        here="“a/b/evil” cannot be written here",
    ),
    "a digest of something else": Lie("the digests differ", hostile([file("small")])[:-1] + b"?"),
    "more bytes than were told": Lie("there is no room", offer=Offer(1 << 40, 10), here="asked about 10 files"),
    "as many bytes as can be said": Lie("there is no room", offer=Offer(1 << 53, 10), told=(1 << 53, 10)),
    "more bytes than can be said": Lie("makes no sense: size is no whole number", offer=offer((1 << 53) + 1, 10)),
    "less than nothing": Lie("makes no sense: size is no whole number", offer=offer(-1, 10)),
    "a negative number of files": Lie("makes no sense: count is no whole number", offer=offer(1, -10)),
    "an endless number of files": Lie("more comes than was said", b"", Offer(5, 1), (5, 1), then="members"),
    "a file without end": Lie("more comes than was said", hostile([giant()], b""), Offer(5, 1), (5, 1), then="zeros"),
    "less sent than came": Lie("sent more than|than the 7", HALF, sent=7),
    "more sent than comes": Lie(
        "not sent what it announced|not moved a byte|let this wait for|sent anything for",
        hostile([file("small")])[:600],
        sent=1 << 53,
    ),
    "a negative number sent": Lie("let this wait for|sent anything for", hostile([file("small")])[:600], sent=-1),
}


# What a guest's receiver says to each is tried in tests/guest/archive/test_unpacking.py: emulation is slow.
_ALIKE = {"climbs out in the middle", "disk", "pipe", "hard link out", "twice", "less than nothing", "reordered name"}
TOLD = [(name, target) for name in LIES for target in TARGETS if target == "dom0" or name not in _ALIKE]


@dataclass
class Scene:
    """The hostile guest, the other one, this machine's home, the broker's process; and what came of the lies."""

    hostile: DomainKey
    other: DomainKey
    home: Path
    environment: dict[str, str]
    broker: int
    before: int = 0
    answers: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def memory(self, what: str) -> int:
        """Of the broker, in KiB (proc(5): status)."""
        return int(Path(f"/proc/{self.broker}/status").read_text().partition(f"{what}:")[2].split()[0])

    def landed(self) -> list[str]:
        """All that is on this machine, hidden or not."""
        return sorted(str(path.relative_to(self.home)) for path in (self.home / "QubesIncoming").glob("caller/**/*"))


class Stage:
    """The scene within one test, and what the broker tells meanwhile."""

    def __init__(self, scene: Scene, world: World) -> None:
        self.scene = scene
        self.world = world
        self._told: list[TransferStatus] = []
        self._link = BrokerLink(world.uri)
        self._link.heard.connect(lambda news: self._told.append(news) if isinstance(news, TransferStatus) else None)
        self._following = asyncio.create_task(self._link.follow())

    def close(self) -> None:
        self._following.cancel()

    async def there(self, line: str) -> Said:
        """Run a command in the other guest."""
        return await run_in(self.world, self.scene.other, f"cd; {line}")

    async def landed_there(self) -> str:
        """All that the hostile guest has brought there, hidden or not."""
        return (await self.there("ls -A QubesIncoming/caller; ls -d /etc/evil /tmp/evil ~/evil 2>/dev/null")).out

    async def here(self, line: str) -> Said:
        """Run a command of ours on this machine."""
        command, *words = line.rsplit("qvm-", 1)
        if words:
            name, _, rest = words[0].partition(" ")
            line = f"{command}{COMMANDS}/qvm-{name} --connect {self.world.uri} {rest}"
        process = await asyncio.create_subprocess_shell(
            line, cwd=self.scene.home, env=self.scene.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())

    async def transfer(self, check: Callable[[TransferStatus], bool]) -> TransferStatus:
        """Wait for what is told of one."""
        await self.world.until(lambda: any(map(check, self._told)), "it is told")
        return next(filter(check, self._told))


async def play(world: World, key: DomainKey, *orders: dict[str, object]) -> list[dict[str, Any]]:
    out, line = bytearray(), f"cat >{hostile_files.ORDERS} && cat {hostile_files.ANSWERS}"
    async with asyncio.timeout(300):
        assert not await world.commands.run(key, line, user="root", data=json.dumps(orders).encode(), out=out.extend), (
            "the hostile program has ended"
        )
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def scene(
    daemon: PrivateDaemon, two_guests: tuple[DomainKey, DomainKey], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """All lies, told to both targets."""
    home = tmp_path_factory.mktemp("hostile")
    policy = home / "config/qubes-manager/policy.d/30-user.policy"
    policy.parent.mkdir(parents=True)
    policy.write_text("qubes.Filecopy * @anyvm @anyvm allow\nqubes.Filecopy * @anyvm @adminvm allow\n")
    # Sockets lie there, and their paths are short.
    state = tempfile.mkdtemp(prefix="qm-")
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": state}
    words = [sys.executable, "-c", BROKER, "broker", "--connect", daemon.uri, "--grace", "600"]
    broker = subprocess.Popen(words, env=environment)
    made = Scene(*two_guests, home, environment, broker.pid)

    async def begin() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await world.until(lambda: socket_path(daemon.uri).exists(), "the broker listens")
        assert broker.poll() is None
        await root(world, made.other, IMPATIENT % 5.0)
        await root(world, made.hostile, TAKE_OVER, Path(hostile_files.__file__).read_bytes())
        # What each kind of call takes the first time does not count.
        await play(world, made.hostile, *(LIES["absolute"].order(target) for target in TARGETS))
        made.before = made.memory("VmRSS")
        answers = await play(world, made.hostile, *(LIES[name].order(target) for name, target in TOLD))
        made.answers = dict(zip(TOLD, answers, strict=True))
        await world.hosts.close()

    async def end() -> None:
        world = World(daemon.uri)
        await world.hosts.load(daemon.uri)
        await root(world, made.hostile, GIVE_BACK)
        await root(world, made.other, IMPATIENT % 120.0)
        for key in two_guests:
            await root(world, key, ANSWERS)
        await world.hosts.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", state)
        try:
            asyncio.run(begin())
            yield made
        finally:
            broker.terminate()
            broker.wait(PATIENCE)
            asyncio.run(end())
            shutil.rmtree(state)


async def root(world: World, key: DomainKey, line: str, data: bytes = b"") -> None:
    said = bytearray()
    assert await world.commands.run(key, line, user="root", data=data, err=said.extend) == 0
    assert not said, said.decode()


def plain(reason: str) -> str:
    """A reason, which is one plain line."""
    assert reason and len(reason) < 500 and reason.isprintable(), reason
    return reason


def reasons(answer: dict[str, Any]) -> list[str]:
    """What was said of a lie: by who received it, and by the broker."""
    found = []
    for line in answer["said"].splitlines():
        message = json.loads(line)
        if message["type"] == Failure.TYPE:
            found.append(message["reason"])
    return [plain(reason) for reason in [*found, answer["ended"]["reason"]] if reason]


@pytest.mark.parametrize(("name", "target"), TOLD)
def test_a_lie_is_answered_with_one_plain_line(scene: Scene, name: str, target: str) -> None:
    lie, answer = LIES[name], scene.answers[name, target]
    assert answer["ended"]["code"] not in (0, None), answer
    wanted = lie.here if target == "dom0" and lie.here else lie.reason
    assert any(re.search(wanted, reason) for reason in reasons(answer)), answer


@pytest.fixture
async def stage(scene: Scene, world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setenv("XDG_STATE_HOME", scene.environment["XDG_STATE_HOME"])
    for key in (scene.hostile, scene.other):
        await world.until(lambda key=key: (d := world.store.get(key)) and d.is_read, "it is read")  # type: ignore[misc]
    stage = Stage(scene, world)
    yield stage
    stage.close()


async def test_nothing_of_all_that_has_landed(stage: Stage) -> None:
    assert stage.scene.landed() == []
    assert await stage.landed_there() == ""


@pytest.mark.parametrize("target", TARGETS)
async def test_who_goes_on_after_the_end_is_cut_off_there(stage: Stage, target: str) -> None:
    whole = Lie("", hostile([file("whole", SECRET.encode())]), then="zeros")
    [answer] = await play(stage.world, stage.scene.hostile, whole.order(target))
    assert (answer["ended"]["code"], '"stored"' in answer["said"]) == (0, True), answer
    if target == "dom0":
        assert stage.scene.landed() == ["QubesIncoming/caller/whole"]
        landed = stage.scene.home / "QubesIncoming/caller/whole"
        assert landed.read_text() == SECRET
        landed.unlink()
    else:
        assert (await stage.there("cat QubesIncoming/caller/whole && rm QubesIncoming/caller/whole")).out == SECRET
        assert await stage.landed_there() == ""


@pytest.mark.parametrize("target", TARGETS)
async def test_a_sender_that_stops_in_the_middle_leaves_nothing(stage: Stage, target: str) -> None:
    half = Lie("", hostile([file("half", bytes(100_000))])[:70_000], then="stop")
    playing = asyncio.create_task(play(stage.world, stage.scene.hostile, half.order(target)))
    over = await stage.transfer(lambda status: status.is_over)
    await root(stage.world, stage.scene.hostile, "kill -CONT $(cat /tmp/hostile.pid)")
    [answer] = await playing
    assert re.search("has not sent anything for 5 s|let this wait for 5 seconds|exit code 1", plain(over.message))
    assert stage.scene.landed() == []
    assert await stage.landed_there() == ""
    assert any(re.search("has not sent anything for|let this wait for", reason) for reason in reasons(answer)), answer


RECEIVERS: dict[str, tuple[str, list[list[object]]]] = {
    "never reads": ("has not read what it was sent for|has not moved a byte for", [write(Go()), ["wait", None]]),
    "has something else": (
        "has something else than what was sent",
        [write(Go()), ["until", SECRET], ["drain", None], write(Stored("0" * 64)), ["sent", None], ["end", 0]],
    ),
    "has it before it has come": (
        "has something else|has ended",
        [write(Go()), write(Stored("0" * 64)), ["sent", None], ["end", 0]],
    ),
    "gives a reason that deceives": (
        "all is well",
        [write(Failure("all is well\n\x1b[2J\u202egpj.exe" + "x" * 9000)), ["sent", None], ["end", 1]],
    ),
    "says no end of nonsense": ("says too much|no sense", [["zeros", None]]),
}


@pytest.mark.parametrize("source", TARGETS)
@pytest.mark.parametrize("name", RECEIVERS)
async def test_a_receiver_that_cannot_be_trusted_gets_nothing_deleted(stage: Stage, name: str, source: str) -> None:
    reason, steps = RECEIVERS[name]
    serving = asyncio.create_task(play(stage.world, stage.scene.hostile, {"steps": [["until", "\n"], *steps]}))
    # More than there is room for on the way, where nobody reads.
    size = 8_000_000 if name == "never reads" else 1000
    line = f"head -c {size} /dev/zero >moved && printf '%s' '{SECRET}' >>moved && qvm-move-to-vm caller moved"
    said = await (stage.here(line) if source == "dom0" else stage.there(line))
    await serving
    assert said.code not in (0, 126), said
    [told] = said.err.splitlines()[-1:]
    assert re.search(reason, plain(told)), said
    kept = "wc -c <moved && rm moved"
    left = (await (stage.here(kept) if source == "dom0" else stage.there(kept))).out
    assert int(left) == size + len(SECRET)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([write(Offer(1 << 53, 1)), ["wait", None]], "there is no room in “dom0”"),
        ([write(Offer(5, 1)), ["members", None]], "more comes than was said"),
        ([write(Offer(5, 1)), write(hostile([giant()], b"")), ["zeros", None]], "more comes than was said"),
        ([write(Offer(5, 1)), write(b"half"), ["stop", None]], "has not sent anything for 5 s"),
    ],
    ids=["no room", "files without end", "a file without end", "stops"],
)
async def test_what_the_user_fetches_is_bounded_too(stage: Stage, steps: list[list[object]], reason: str) -> None:
    serving = asyncio.create_task(play(stage.world, stage.scene.hostile, {"steps": steps}))
    said = await stage.here("qvm-copy-from-vm caller /home/user/x")
    assert said.code == 1, said
    assert reason in plain(said.err.strip()), said
    assert stage.scene.landed() == []
    await root(stage.world, stage.scene.hostile, "kill -CONT $(cat /tmp/hostile.pid)")
    await serving


async def test_all_that_costs_the_broker_little_memory(stage: Stage) -> None:
    scene = stage.scene
    most, now = scene.memory("VmHWM"), scene.memory("VmRSS")
    print(f"the broker has had {scene.before} KiB before, {most} KiB at most, {now} KiB after")
    assert most - scene.before < 32 << 10
