"""A judge with what it refused, and short words for what a guest says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.protocol.packets import Box, FromGuest, Metadata, NewWindow, WindowMetadata
from qubes_manager.viewers.rules.judge import Judge

RULES = GuiRules("work", "#3465a4", border_width=6)
SCREEN = Box(0, 0, 1280, 800)


@dataclass
class Watched:
    """A judge, and the words for what it refused."""

    rules: GuiRules = RULES
    screens: Sequence[Box] = (SCREEN,)
    places_known: bool = True
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judge = Judge(self.rules, self.screens, self.refused.append, self.places_known)
        self.admit = self.judge.admit

    def asked(self, wid: int, box: Box, managed: bool = True, **said: Any) -> list[FromGuest]:
        """What becomes of a new window."""
        return self.admit(NewWindow(wid, box, managed, Metadata(**said)))

    def opened(self, wid: int = 1, size: tuple[int, int] = (400, 300), **said: Any) -> NewWindow:
        """An ordinary window."""
        [window] = self.asked(wid, Box(100, 100, *size), **said)
        assert isinstance(window, NewWindow)
        return window

    def popped_up(self, wid: int, box: Box, **said: Any) -> NewWindow:
        """A menu or the like."""
        [window] = self.asked(wid, box, managed=False, **said)
        assert isinstance(window, NewWindow)
        return window

    def told(self, wid: int = 1, **said: Any) -> Metadata:
        """What is left of what is said of a window; nothing where it is left out."""
        found = self.admit(WindowMetadata(wid, Metadata(**said)))
        assert all(isinstance(packet, WindowMetadata) and packet.wid == wid for packet in found)
        return found[0].metadata if found and isinstance(found[0], WindowMetadata) else Metadata()


@pytest.fixture
def watched() -> Watched:
    """A judge of one screen's windows."""
    return Watched()


@pytest.fixture
def judging() -> Callable[..., Watched]:
    """Makes judges that are not the usual one."""
    return Watched
