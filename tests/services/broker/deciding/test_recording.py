"""What is in the log of decisions when a guest asks without end."""

from pathlib import Path
from uuid import uuid4

import pytest

from qubes_manager.core.domain import DomainKey
from qubes_manager.services.broker.deciding import recording
from qubes_manager.services.broker.deciding.recording import EACH, MOST_KINDS, Recorder
from qubes_manager.services.broker.lineage import Lineage
from qubes_manager.services.crossing import audit
from qubes_manager.services.crossing.audit import Audit, AuditFilter, Decider, Decision, Outcome
from qubes_manager.services.hosts.store import DomainStore
from tests.waiting import PATIENCE, until


class World:
    def __init__(self, folder: Path) -> None:
        self.audit = Audit(folder / "decisions.jsonl")
        self.lineage = Lineage(DomainStore())
        self.recorder = Recorder(self.audit, self.lineage)
        self.evil, self.work = (DomainKey("test:///x", str(uuid4())) for _ in range(2))

    async def write(self, key: DomainKey, service: str, argument: str = "", outcome: Outcome | None = None) -> None:
        source = "evil" if key == self.evil else "work"
        outcome = outcome or (Outcome.REFUSED if key == self.evil else Outcome.ALLOWED)
        reason = "no rule" if outcome is Outcome.REFUSED else ""
        decision = Decision(source, service, argument, "vault", outcome, Decider.POLICY, reason=reason)
        await self.recorder.write(key, decision)

    def reasons(self) -> list[str]:
        return [decision.reason for decision in self.audit.read()[::-1]]


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_the_first_ones_of_a_kind_are_written_and_the_others_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for the machine to write them all before it is over.
    monkeypatch.setattr(recording, "SPAN", 2.0)
    monkeypatch.setattr(recording, "FIRST_COUNT", PATIENCE)
    for number in range(EACH + 7):
        await world.write(world.evil, "my.Service", str(number))
    assert world.reasons() == ["no rule"] * EACH
    await until(lambda: len(world.reasons()) > EACH)
    assert world.reasons()[EACH:] == ["no rule; the last of 7 more like this"]
    # From then on it is written again.
    await world.write(world.evil, "my.Service")
    assert world.reasons()[-1] == "no rule"


async def test_what_others_do_stays_in_the_log_whatever_services_are_called(world: World) -> None:
    await world.write(world.work, "qubes.Filecopy")
    for number in range(2000):
        await world.write(world.evil, f"my.Service{number}", "a" * 512)
    await world.recorder.close()
    written = world.audit.read(limit=5000)
    assert [d.service for d in written if d.source == "work"] == ["qubes.Filecopy"]
    assert len(written) <= 1 + MOST_KINDS[Outcome.REFUSED] + EACH + 1


async def test_what_disposables_of_its_making_do_counts_together(world: World) -> None:
    made = [DomainKey("test:///x", str(uuid4())) for _ in range(EACH + 1)]
    for key in made:
        with world.lineage.place(world.evil) as note:
            note(key)
        await world.recorder.write(key, Decision("disp", "s", "", "", Outcome.REFUSED, Decider.POLICY))
        # They are gone again at once.
    assert len(world.reasons()) == EACH


async def test_each_call_that_was_allowed_has_its_line_and_pushes_no_refusal_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_FILE", 4000)
    await world.write(world.evil, "my.Service")
    for number in range(EACH + 7):
        await world.write(world.work, "qubes.Filecopy", str(number))
    arguments = [d.argument for d in world.audit.read()]
    assert arguments == [str(number) for number in reversed(range(EACH + 7))] + [""]
    for number in range(300):
        await world.write(world.work, "qubes.Filecopy", str(number))
    assert world.audit.read()[0].argument == "299"
    assert world.audit.read()[-1].outcome is Outcome.REFUSED


async def test_a_guest_that_asks_all_week_pushes_nothing_of_others_out(world: World) -> None:
    await world.write(world.work, "qubes.Filecopy")
    for _day in range(round(7 * 86_400 / recording.SPAN)):
        for number in range(EACH * 2 * MOST_KINDS[Outcome.REFUSED]):
            # What JSON writes with twelve bytes a character.
            await world.write(world.evil, f"my.Service{number % (2 * MOST_KINDS[Outcome.REFUSED])}", "\U00020000" * 512)
        await world.recorder.close()
    assert [d.source for d in world.audit.read(AuditFilter(source="work"))] == ["work"]


async def test_an_allowed_call_is_not_hidden_behind_others_that_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_FILE", 4000)
    for number in range(100):
        await world.write(world.evil, f"my.Service{number}")
    for _ in range(EACH + 1):
        await world.write(world.evil, "qubes.Filecopy", outcome=Outcome.ALLOWED)
    for _ in range(500):
        await world.write(world.evil, "qubes.GetDate", outcome=Outcome.ALLOWED)
    await world.recorder.close()
    copies = world.audit.read(AuditFilter(service="qubes.Filecopy"))
    assert [d.reason for d in copies] == ["the last of 1 more like this", *[""] * EACH]


async def test_what_was_counted_is_in_the_log_though_nobody_ends_this_program(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "FIRST_COUNT", 0.05)
    for _ in range(EACH + 7):
        await world.write(world.evil, "my.Service")
    await until(lambda: world.reasons()[-1] == "no rule; the last of 7 more like this")
    for _ in range(5):
        await world.write(world.evil, "my.Service")
    await until(lambda: world.reasons()[-1] == "no rule; the last of 12 more like this")
    # It is not said again when the hour is over, nor when this program ends.
    written = len(world.reasons())
    await world.recorder.close()
    assert len(world.reasons()) == written
