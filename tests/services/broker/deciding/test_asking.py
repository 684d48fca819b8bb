"""Asking by a program of its own; in its place stand small ones that answer at once, late, or nonsense."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from qubes_manager.core.crossing.broker_messages import OfferScreen
from qubes_manager.core.crossing.question import Answer, Choice, Question
from qubes_manager.core.crossing.session_messages import SessionGrant
from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.broker.deciding.asking import MOST, MOST_OF_ALL, Asker
from qubes_manager.services.broker.deciding.session_answers import Blocked, SessionAnswers
from qubes_manager.services.broker.desktop.screens import Screens
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.programs.client import Client
from tests.waiting import until

URI = "test:///x"
UNTRUSTED, WORK = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(2))
QUESTION = Question(
    "untrusted",
    "red",
    "qubes.Filecopy",
    choices=(Choice("work", "work", uuid=WORK),),
    can_grant=True,
    source_uuid=UNTRUSTED,
)
# Reads the question, and ends with its input, as the real one does.
WAITS = "import sys; sys.stdin.readline(); open(sys.argv[1] + '/asked', 'a').write('.'); sys.stdin.read()"
# The first one asked blocks its source as soon as three are there; the others wait.
BLOCKS = f"""
import sys, time
from pathlib import Path
sys.stdin.readline()
asked = Path(sys.argv[1], 'asked')
open(asked, 'a').write('.')
if sys.argv[-1] == '0':
    while len(asked.read_text()) < 3:
        time.sleep(0.01)
    print({Answer(block_source=True).to_json()!r})
else:
    sys.stdin.read()
"""


class World:
    """An asker with a screen, and programs in the place of the window."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.screens = Screens()
        store = DomainStore()
        names = {UNTRUSTED: "untrusted", WORK: "work"}
        store.put([Domain(DomainKey(URI, uuid), name, DomainState.RUNNING) for uuid, name in names.items()])
        self.lineage = Lineage(store)
        self.session = SessionAnswers(URI, store, self.lineage)
        self.client = Client(asyncio.StreamReader(), None)  # type: ignore[arg-type]
        self.screens.offer(self.client, OfferScreen(":7", xauthority="/x"))

    def made(self) -> Question:
        """One of a disposable that “untrusted” has had made."""
        uuid = str(uuid4())
        with self.lineage.place(DomainKey(URI, UNTRUSTED)) as note:
            note(DomainKey(URI, uuid))
        return replace(QUESTION, source="disp1", origin="untrusted", source_uuid=uuid)

    def asker(self, script: str) -> Asker:
        return Asker(self.screens, self.session, lambda: "dark", (sys.executable, "-c", script, str(self.folder)))

    def saying(self, answer: Answer) -> Asker:
        return self.asker(f"import sys; sys.stdin.readline(); print({answer.to_json()!r})")

    async def until_asked(self, count: int) -> None:
        asked = self.folder / "asked"
        await until(lambda: asked.exists() and len(asked.read_text()) == count)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_an_answer_comes_back(world: World) -> None:
    assert await world.saying(Answer("work")).ask(QUESTION) == Answer("work")
    assert await world.saying(Answer()).ask(QUESTION) == Answer()
    assert not world.session.rules.grants


async def test_the_window_comes_to_the_screen_that_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-9")
    names = ("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
    asker = world.asker(
        f"import os, sys; print([os.environ.get(n) for n in {names}], sys.argv[-2:], file=sys.stderr); sys.exit(1)"
    )

    with pytest.raises(Refused, match=r"\[':7', None, '/x'\] \['dark', '0'\]"):
        await asker.ask(QUESTION)


async def test_where_the_newest_screen_is_dead_the_one_before_it_is_asked_on(world: World) -> None:
    dead = Client(asyncio.StreamReader(), None)  # type: ignore[arg-type]
    world.screens.offer(dead, OfferScreen(":9"))
    asker = world.asker(
        f"import os; os.environ['DISPLAY'] == ':7' or exit('cannot open display'); print({Answer('work').to_json()!r})"
    )
    assert await asker.ask(QUESTION) == Answer("work")

    world.screens.withdraw(world.client)
    with pytest.raises(Refused, match="could not be shown: cannot open display"):
        await asker.ask(QUESTION)


async def test_without_a_screen_nobody_is_asked(world: World) -> None:
    world.screens.withdraw(world.client)

    with pytest.raises(Refused, match="there is no screen to ask on"):
        await world.saying(Answer("work")).ask(QUESTION)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("", "could not be shown: its window was ended"),
        ("import sys; sys.exit('no display')", "could not be shown: no display"),
        ("print('yes')", "not understood: no JSON"),
        ("print('x' * 100_000)", "not understood"),
        (f"print({Answer('banking').to_json()!r})", "none of the choices: 'banking'"),
        (f"print({Answer('work', block_source=True).to_json()!r})", "though a target was chosen"),
    ],
    ids=["nothing", "a complaint", "no JSON", "a flood", "another target", "yes and no"],
)
async def test_what_is_no_answer_is_a_no_with_its_reason(
    world: World, script: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.deciding.asking._END_PATIENCE", 0.5)
    with pytest.raises(Refused, match=reason):
        await world.asker(script).ask(QUESTION)


async def test_a_program_that_is_not_there_is_a_no(world: World) -> None:
    asker = Asker(world.screens, world.session, lambda: "system", ("/nonexistent",))

    with pytest.raises(Refused, match="could not be shown: No such file"):
        await asker.ask(QUESTION)


async def test_a_grant_and_a_block_are_kept(world: World) -> None:
    await world.saying(Answer("work", grant_session=True)).ask(QUESTION)
    assert world.session.rules.grants == (SessionGrant("untrusted", "qubes.Filecopy", "", "work"),)

    await world.saying(Answer(block_source=True)).ask(QUESTION)
    assert world.session.rules.blocked == ("untrusted",)


async def test_a_grant_that_was_not_offered_is_not_kept(world: World) -> None:
    with pytest.raises(Refused, match="nothing to grant"):
        await world.saying(Answer("work", grant_session=True)).ask(replace(QUESTION, can_grant=False))
    assert not world.session.rules.grants


async def test_few_questions_of_one_source_wait_and_others_have_their_own(world: World) -> None:
    asker = world.asker(WAITS)
    waiting = [asyncio.create_task(asker.ask(QUESTION)) for _ in range(MOST)]
    await world.until_asked(MOST)

    with pytest.raises(Refused, match=f"{MOST} requests of “untrusted” wait for you already"):
        await asker.ask(QUESTION)
    waiting.append(asyncio.create_task(asker.ask(replace(QUESTION, source="work", source_uuid=WORK))))
    await world.until_asked(MOST + 1)

    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert await world.saying(Answer("work")).ask(QUESTION) == Answer("work")


async def test_there_is_an_end_to_all_questions(world: World) -> None:
    asker = world.asker(WAITS)
    sources = [str(uuid4()) for _ in range(MOST_OF_ALL // MOST)] * MOST
    waiting = [asyncio.create_task(asker.ask(replace(QUESTION, source_uuid=source))) for source in sources]
    await asyncio.sleep(0)

    with pytest.raises(Refused, match=f"{MOST_OF_ALL} requests wait for you already"):
        await asker.ask(QUESTION)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def test_a_window_goes_when_the_call_is_given_up(world: World) -> None:
    asking = asyncio.create_task(world.asker(WAITS).ask(QUESTION))
    await world.until_asked(1)
    assert windows(world)

    asking.cancel()
    await asyncio.wait([asking])

    assert not windows(world)


async def test_a_window_that_does_not_end_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qubes_manager.services.broker.deciding.asking._END_PATIENCE", 0.2)
    asking = asyncio.create_task(world.asker(f"{WAITS}; import time; time.sleep(60)").ask(QUESTION))
    await world.until_asked(1)

    asking.cancel()
    await asyncio.wait([asking])

    assert not windows(world)


async def test_a_block_takes_the_other_questions_of_the_same_source_away(world: World) -> None:
    asker = world.asker(BLOCKS)
    asking = [asyncio.create_task(asker.ask(QUESTION)) for _ in range(MOST)]

    blocking, *others = await asyncio.gather(*asking, return_exceptions=True)

    assert blocking == Answer(block_source=True)
    assert [type(other) for other in others] == [Blocked] * (MOST - 1)


async def test_a_block_takes_the_questions_of_its_disposables_away_too(world: World) -> None:
    asker = world.asker(BLOCKS)
    made, other = world.made(), replace(QUESTION, source="banking", source_uuid=WORK)
    blocking, asked, waiting = (asyncio.create_task(asker.ask(q)) for q in (QUESTION, made, other))

    await asyncio.wait([blocking, asked])

    assert asked.exception()
    assert not waiting.done()
    waiting.cancel()


async def test_whoever_asks_in_vain_again_and_again_is_not_heard_for_a_while(world: World) -> None:
    asker = world.asker(WAITS)
    for count in range(6):
        # Its window comes, and is gone before anybody can answer.
        asking = asyncio.create_task(asker.ask(QUESTION))
        await world.until_asked(count + 1)
        asking.cancel()
        await asyncio.wait([asking])

    with pytest.raises(Refused, match="too many requests of “untrusted” came to nothing"):
        await asker.ask(QUESTION)
    # Nobody else pays for it, nor for what disposables do.
    other = asyncio.create_task(asker.ask(world.made()))
    await world.until_asked(7)
    other.cancel()
    await asyncio.wait([other])


async def test_whoever_is_allowed_may_ask_as_often_as_it_has_to(world: World) -> None:
    asker = world.saying(Answer("work"))
    for _ in range(8):
        assert await asker.ask(QUESTION) == Answer("work")


def windows(world: World) -> list[str]:
    """The programs that stand in for windows and have not ended; this process has other children too."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in children if os.fsencode(world.folder) in Path(f"/proc/{pid}/cmdline").read_bytes()]
