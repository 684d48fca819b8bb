"""A policy and domains for the pages of the policy dialog."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QTreeWidget

from qubes_manager.core.policy.subject import Subject, System
from qubes_manager.services.crossing.policy_files import PolicyFiles

SYSTEM: System = {
    subject.name: subject
    for subject in (
        Subject("dom0", klass="AdminVM", label="black", is_running=True),
        Subject("work", label="blue", default_dispvm="dvm"),
        Subject("vault", label="red"),
        Subject("dvm", label="red", template_for_dispvms=True),
    )
}
RULES = "my.Service * work vault allow\nmy.Service * work @dispvm ask\nother.One +x vault work deny\n"
_RUNNING: set[asyncio.Future[None]] = set()


@pytest.fixture
def files(tmp_path: Path) -> PolicyFiles:
    files = PolicyFiles(tmp_path / "policy.d")
    files.replace("30-user", RULES)
    return files


def start(work: Coroutine[Any, Any, None]) -> None:
    """Runs work as a dialog does, unless the test is over: a timer may still tick then."""
    try:
        _RUNNING.add(task := asyncio.ensure_future(work))
    except RuntimeError:
        work.close()
    else:
        task.add_done_callback(_RUNNING.discard)


def rows(table: QTreeWidget) -> list[list[str]]:
    """What a table shows."""
    items = [item for n in range(table.topLevelItemCount()) if (item := table.topLevelItem(n)) and not item.isHidden()]
    return [[item.text(column) for column in range(table.columnCount())] for item in items]
