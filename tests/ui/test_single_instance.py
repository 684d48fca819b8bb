"""One running window for each user."""

from pathlib import Path

from pytestqt.qtbot import QtBot

from qubes_manager.services.gui.address import window_path
from qubes_manager.ui.single_instance import SingleInstance, raise_running


def test_a_second_start_raises_the_first(qtbot: QtBot) -> None:
    address, raised = window_path(), []
    assert not raise_running(address)
    instance = SingleInstance(address, lambda: raised.append(True))
    assert raise_running(address)
    qtbot.waitUntil(lambda: len(raised) == 1)
    instance.deleteLater()


def test_what_a_killed_window_left_is_no_window(qtbot: QtBot) -> None:
    address = window_path()
    address.touch()
    assert not raise_running(address)
    raised: list[bool] = []
    instance = SingleInstance(address, lambda: raised.append(True))
    assert raise_running(address)
    qtbot.waitUntil(lambda: bool(raised))
    instance.deleteLater()


def test_it_listens_where_nobody_else_comes() -> None:
    folder: Path = window_path().parent
    assert window_path().is_absolute()
    assert folder.stat().st_mode & 0o077 == 0
