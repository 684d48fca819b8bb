"""Setting a guest's clock by the host's word."""

import os
import time
from datetime import UTC, datetime

import pytest

from qubes_manager.core.errors import Refused
from qubes_manager.guest.commands.qvm_sync_clock import main
from qubes_manager.guest.crossing.client import CallFailed
from tests.guest.domains import PlayedCall


class Host:
    """What the host says when it is asked, or raises."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self.answers = list(answers)

    def call(self, service: str, argument: str = "", target: str = "@default", **_more: object) -> PlayedCall:
        assert (service, argument, target) == ("qubes.GetDate", "", "@default")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return PlayedCall(answer)


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def date(ahead: float) -> bytes:
    return datetime.fromtimestamp(time.time() + ahead, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00\n").encode()


def synchronized(host: Host, *arguments: str) -> tuple[int, list[float]]:
    """The exit code, and by how much the clock was put on."""
    clock = list[float]()
    code = main(arguments, host.call, lambda moment: clock.append(moment - time.time()))
    return code, clock


@pytest.mark.parametrize("ahead", [3600, -86400 * 365])
def test_a_clock_that_is_wrong_is_set(ahead: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, [change] = synchronized(Host(date(ahead)), "--if-off", "5")
    assert (code, abs(change - ahead) < 60) == (0, True)
    assert f"{'slow' if ahead > 0 else 'fast'}, and is right now" in capsys.readouterr().err


def test_a_clock_that_is_right_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert synchronized(Host(date(0)), "--if-off", "60") == (0, [])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("answer", [b"", b"2026-01-01T00:00:00\n", b"now", b"\xff", b"x" * 1000], ids=range(5))
def test_what_is_no_date_sets_no_clock(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert synchronized(Host(answer)) == (1, [])
    assert "no date" in capsys.readouterr().err


def test_it_waits_for_somebody_who_answers_as_long_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qubes_manager.guest.commands.qvm_sync_clock._PAUSE", 0.001)
    nobody = CallFailed("nobody is there")
    assert synchronized(Host(nobody, nobody, date(3600)), "--wait", "600")[0] == 0
    assert synchronized(Host(nobody)) == (125, [])


def test_where_the_policy_denies_it_nothing_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert synchronized(Host(Refused("the policy does not allow it")), "--wait", "600") == (126, [])
    assert "not allowed" in capsys.readouterr().err


def test_only_root_asks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert synchronized(Host()) == (1, [])
    assert "sudo qvm-sync-clock" in capsys.readouterr().err
