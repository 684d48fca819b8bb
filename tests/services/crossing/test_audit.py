"""The log of decisions."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest

from qubes_manager.services.crossing import audit
from qubes_manager.services.crossing.audit import Audit, AuditFilter, Decider, Decision, Outcome
from tests.waiting import PATIENCE

ONE = Decision("work", "qubes.Filecopy", "", "@default", Outcome.ALLOWED, Decider.USER, "personal", "30-user.policy:1")


@pytest.fixture
def log(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "logs" / "decisions.jsonl")


def test_what_was_written_is_read_newest_first(log: Audit) -> None:
    assert log.read() == []
    for when in (1.0, 2.0, 3.0):
        assert log.write(replace(ONE, when=when))
    assert log.read() == [replace(ONE, when=when) for when in (3.0, 2.0, 1.0)]
    assert [decision.when for decision in log.read(limit=2)] == [3.0, 2.0]
    assert log.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("wanted", "times"),
    [
        (AuditFilter(source="vault"), [2.0]),
        (AuditFilter(target="personal"), [3.0, 1.0]),
        (AuditFilter(service="qubes.OpenURL"), [3.0]),
        (AuditFilter(outcome=Outcome.REFUSED), [2.0]),
        (AuditFilter(since=2.0), [3.0, 2.0]),
        (AuditFilter(text="NO SCREEN"), [2.0]),
    ],
)
def test_filters_choose(log: Audit, wanted: AuditFilter, times: list[float]) -> None:
    log.write(replace(ONE, when=1.0))
    refused = Decision("vault", "qubes.Filecopy", "", "dom0", Outcome.REFUSED, Decider.BROKER, reason="no screen")
    log.write(replace(refused, when=2.0))
    log.write(replace(ONE, when=3.0, service="qubes.OpenURL"))
    assert [decision.when for decision in log.read(wanted)] == times


def test_damaged_lines_are_passed_over(log: Audit) -> None:
    log.write(replace(ONE, when=1.0))
    with log.path.open("ab") as file:
        file.write(b'\xff\n[]\n{"when": 1}\n{"when": NaN}\n' + b"[" * 5000 + b'\n{"source": "wor')
    log.write(replace(ONE, when=2.0))
    assert [decision.when for decision in log.read()] == [2.0, 1.0]


def test_old_files_are_kept_up_to_a_number(log: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_FILE", 1000)
    for when in range(100):
        log.write(replace(ONE, when=float(when)))
    assert len(list(log.path.parent.iterdir())) <= audit.KEPT + 1
    assert sum(path.stat().st_size for path in log.path.parent.iterdir()) < 1000 * (audit.KEPT + 2)
    times = [decision.when for decision in log.read()]
    assert times == sorted(times, reverse=True)
    assert times[0] == 99.0


def test_what_others_named_is_made_harmless_and_short(log: Audit) -> None:
    log.write(replace(ONE, target="\x1b[31m" + "x" * 5000, reason="one\ntwo"))
    (decision,) = log.read()
    assert len(decision.target) <= 600
    assert "\x1b" not in log.path.read_text()
    assert decision.reason == "one two"


def _write_many(path: Path, source: str) -> None:
    log = Audit(path)
    for number in range(50):
        assert log.write(replace(ONE, source=source, when=float(number)))


def test_programs_that_write_at_once_lose_nothing(log: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    context = multiprocessing.get_context("fork")
    programs = [context.Process(target=_write_many, args=(log.path, name)) for name in ("a", "b", "c")]
    for program in programs:
        program.start()
    for program in programs:
        program.join(PATIENCE)
    assert [program.exitcode for program in programs] == [0, 0, 0]
    assert sorted((d.source, d.when) for d in log.read()) == [(n, float(i)) for n in "abc" for i in range(50)]


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("a file in the place of the folder")
    assert not Audit(tmp_path / "logs" / "decisions.jsonl").write(ONE)
    assert "a decision is missing" in caplog.text


def test_what_was_called_by_odd_characters_is_written_too(log: Audit) -> None:
    odd = replace(ONE, when=1.0, service="\U0001f600" * 64, argument="\U0001f600" * 512, target="\U0001f600" * 64)
    assert log.write(odd)
    [read] = log.read()
    assert (read.source, read.outcome, read.went_to) == (ONE.source, ONE.outcome, ONE.went_to)
    assert read.argument.startswith("\U0001f600")
