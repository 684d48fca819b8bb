"""What is asked on a terminal before disposables end."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest

from qubes_manager.cli import qvm_kill, qvm_shutdown
from qubes_manager.cli.asking import may_end
from qubes_manager.core.domain import UNREAD, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.services.gui import open_windows as windows

DISPOSABLE = Domain(
    DomainKey("x", "1"),
    "disp7",
    DomainState.RUNNING,
    persistent=False,
    config=DomainConfig(klass=DomainClass.DISPOSABLE),
)
# What qvm-kill does not wait for.
UNKNOWN = replace(DISPOSABLE, config=UNREAD)
APP = replace(DISPOSABLE, persistent=True, config=DomainConfig(klass=DomainClass.APP))
Main = Callable[[list[str]], int]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def two_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_windows() -> dict[str, int]:
        return {"1": 2}

    monkeypatch.setattr(windows, "open_windows", open_windows)


@pytest.mark.parametrize("domain", [DISPOSABLE, UNKNOWN], ids=["read", "not read"])
@pytest.mark.parametrize(("answer", "ends"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
async def test_a_disposable_with_windows_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], domain: Domain, answer: str, ends: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert await may_end([APP, domain]) is ends
    told = capsys.readouterr()
    assert "All that is in “disp7” is gone then, and there are 2 windows open. End? [y/N]" in told.out
    assert ("nothing was ended" in told.err) is not ends


@pytest.mark.parametrize("domains", [[APP], [replace(DISPOSABLE, key=DomainKey("x", "2"))], []])
async def test_others_are_not(monkeypatch: pytest.MonkeyPatch, domains: list[Domain]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    assert await may_end(domains)


async def test_without_a_terminal_nobody_is_asked() -> None:
    assert await may_end([DISPOSABLE])


@pytest.mark.parametrize(
    ("main", "unasked"),
    [
        (qvm_kill.main, ["-f"]),
        (qvm_kill.main, ["--yes"]),
        (qvm_shutdown.main, ["-y"]),
        (qvm_shutdown.main, ["--force"]),
    ],
    ids=["kill -f", "kill --yes", "shutdown -y", "shutdown --force"],
)
def test_the_commands_ask_unless_they_are_told_not_to(
    host: str, monkeypatch: pytest.MonkeyPatch, main: Main, unasked: list[str]
) -> None:
    async def no(_domains: object) -> bool:
        return False

    monkeypatch.setattr(f"{main.__module__}.may_end", no)
    assert main(["-c", host, "work"]) == 1
    assert main(["-c", host, *unasked, "work"]) == 0
