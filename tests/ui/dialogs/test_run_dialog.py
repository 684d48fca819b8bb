"""Running a command in domains: its output is a guest's, and shown as such."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import qasync
from PySide6.QtWidgets import QWidget

from qubes_manager.backend.guests.guest_agent import Bounds
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import GuestError
from qubes_manager.services.assembly import Services
from qubes_manager.services.domains.guest_commands import GuestCommands
from qubes_manager.ui.dialogs.run_dialog import RunDialog
from tests.build import domain
from tests.ui.conftest import run
from tests.waiting import until

WORK, BANK = domain("work"), domain("bank")


class Guests(GuestCommands):
    """Stands in for guests: each says what a test has it say, or hangs, or has no agent."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.hosts, services.store, services.lifecycle, services.gui_options)
        self.output = b""
        self.asked: list[tuple[str, str, str]] = []
        self.ended: list[str] = []

    async def run(
        self,
        key: DomainKey,
        command: str,
        *,
        user: str = "",
        data: bytes = b"",
        out: Callable[[bytes], None] | None = None,
        err: Callable[[bytes], None] | None = None,
        autostart: bool = True,
        startup_timeout: float | None = None,
        bounds: Bounds | None = None,
        started: Callable[[int], Awaitable[object]] | None = None,
    ) -> int:
        self.asked.append((key.uuid, command, user))
        if command == "hang":
            try:
                await asyncio.Event().wait()
            finally:
                self.ended.append(key.uuid)
        if key == BANK.key:
            raise GuestError("no guest agent answers in “bank”")
        assert out and err
        out(self.output)
        err(b"trouble\n")
        return 3


@pytest.fixture
def guests(services: Services) -> Guests:
    return Guests(services)


@pytest.fixture
def dialog(parent: QWidget, loop: qasync.QEventLoop, guests: Guests) -> RunDialog:
    return RunDialog(parent, guests, [WORK, BANK], loop.create_task)


async def says(dialog: RunDialog, guests: Guests, command: str, user: str = "") -> list[str]:
    """The lines that are there when a command has ended everywhere."""
    count = len(guests.asked)
    dialog.command.setText(command)
    dialog.user.setText(user)
    dialog.button.click()
    await until(lambda: len(guests.asked) == count + 2 and dialog.button.text() == "Run")
    return dialog.output.toPlainText().split("\n")


def test_each_domain_answers_behind_its_name_and_one_that_fails_says_why(
    dialog: RunDialog, loop: qasync.QEventLoop, guests: Guests
) -> None:
    guests.output = b"one\ntwo\n"
    assert run(loop, says(dialog, guests, "cat x", " root ")) == [
        "[work] $ cat x",
        "one",
        "two",
        "trouble",
        "[work] exit code 3",
        "[bank] $ cat x",
        "[bank] no guest agent answers in “bank”",
    ]
    assert guests.asked == [("work", "cat x", "root"), ("bank", "cat x", "root")]


def test_escapes_and_what_does_not_print_are_stripped_from_the_output(
    dialog: RunDialog, loop: qasync.QEventLoop, guests: Guests
) -> None:
    guests.output = b"a\x1b]0;owned\x07b\x1b[31mc\x00 <b>\xff \xe2\x80\xae[bank] exit code 0"
    assert run(loop, says(dialog, guests, "x"))[1] == "abc <b>\ufffd [bank] exit code 0"


def test_output_without_end_is_bounded_in_both_directions(
    dialog: RunDialog, loop: qasync.QEventLoop, guests: Guests
) -> None:
    guests.output = b"y" * 100_000 + b"\n" + b"line\n" * 20_000
    lines = run(loop, says(dialog, guests, "yes"))
    assert len(lines) == 5000
    assert lines[-1].startswith("[bank]"), "the newest stay"
    guests.output = b"y" * 100_000
    assert max(map(len, run(loop, says(dialog, guests, "yes")))) == 4000


def test_without_a_command_nothing_is_run(dialog: RunDialog, loop: qasync.QEventLoop, guests: Guests) -> None:
    async def work() -> None:
        dialog.command.setText("  ")
        dialog.button.click()
        await asyncio.sleep(0.01)

    run(loop, work())
    assert (dialog.button.text(), guests.asked) == ("Run", [])


@pytest.mark.parametrize("end", [lambda dialog: dialog.button.click(), lambda dialog: dialog.reject()])
def test_stopping_and_closing_end_what_runs_and_leave_the_other_domains_alone(
    dialog: RunDialog, loop: qasync.QEventLoop, guests: Guests, end: Callable[[RunDialog], None]
) -> None:
    async def work() -> None:
        dialog.command.setText("hang")
        dialog.button.click()
        await until(lambda: guests.asked)
        assert dialog.button.text() == "Stop"
        end(dialog)
        await until(lambda: guests.ended == ["work"])
        await until(lambda: dialog.button.text() == "Run")
        assert guests.asked == [("work", "hang", "")]

    run(loop, work())
