"""A person before a screen, who is asked whether something may cross."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.screen import Screen
from tests.waiting import GUEST_PATIENCE, soon


class AskedUser:
    """Sees windows by their titles, and presses keys once a window has had the focus for as long as it wants."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    async def sees(self, title: str, count: int = 1) -> None:
        """Wait until so many windows have *title* in theirs."""
        async with asyncio.timeout(GUEST_PATIENCE):
            while await self.count(title) != count:
                await asyncio.sleep(0.05)

    async def count(self, title: str) -> int:
        """How many windows have *title* in theirs now."""
        return len(await self._run("xdotool", "search", "--onlyvisible", "--name", title))

    async def presses(self, *keys: str) -> None:
        """Press keys, by xdotool's names for them, one after the other, once a window that asks takes them."""
        async with soon():
            while "asks:" not in await self._run("xdotool", "getwindowfocus", "getwindowname"):
                await asyncio.sleep(0.05)
        await self._run("xdotool", "sleep", "2.5", "key", "--delay", "50", *keys)

    async def _run(self, *words: str) -> list[str]:
        return (await asyncio.to_thread(self._screen.run, *words)).split()


@pytest.fixture
def bare_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A screen without a window manager; programs started after this draw on the screen that they are given."""
    folder = tmp_path / "screen"
    folder.mkdir()
    screen = Screen(folder, manager=())
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    yield screen
    screen.close()
