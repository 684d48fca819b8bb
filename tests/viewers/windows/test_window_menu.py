"""What stands in the menu of a window."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from PySide6.QtGui import QGuiApplication, QScreen, QWindow

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Wish
from qubes_manager.viewers.windows.menu_window import Entry
from qubes_manager.viewers.windows.window_menu import entries

RULES = GuiRules("r&d", "#3465a4")
OF_DOMAIN = ["&Close", "&Shut down r&&d", "&Kill r&&d"]


@dataclass
class Acts:
    """What was done."""

    done: list[object] = field(default_factory=list)

    def close(self) -> None:
        self.done.append("close")

    def toggle_fullscreen(self) -> None:
        self.done.append("full screen")

    def move_to(self, screen: QScreen) -> None:
        self.done.append(screen)

    def wish(self, what: Wish) -> None:
        self.done.append(what)


@pytest.fixture
def window(qapp: QGuiApplication) -> Iterator[QWindow]:
    window = QWindow()
    window.show()
    yield window
    window.destroy()


def texts(found: list[Entry]) -> list[str]:
    return [entry.text for entry in found]


def test_it_offers_what_can_be_done_with_the_window_as_it_is(window: QWindow) -> None:
    acts = Acts()
    assert texts(entries(window, RULES, acts)) == ["Mi&nimise", "Ma&ximise", *OF_DOMAIN]
    window.showMaximized()
    assert texts(entries(window, RULES, acts)) == ["Mi&nimise", "&Restore", *OF_DOMAIN]
    window.showNormal()
    allowed = replace(RULES, allow_fullscreen=True)
    [*_, full, _close, _shut_down, _kill] = entries(window, allowed, acts)
    assert (full.text, full.keys) == ("&Full screen", "Win+F11")
    window.showFullScreen()
    # It can be left whether or not it is allowed.
    assert texts(entries(window, RULES, acts)) == ["Mi&nimise", "Leave &full screen", *OF_DOMAIN]


def test_to_kill_takes_a_second_choice(window: QWindow) -> None:
    acts = Acts()
    close, shut_down, kill = entries(window, RULES, acts)[-3:]
    assert kill.act is None
    [now] = kill.entries
    for entry in (close, shut_down, now):
        assert entry.act
        entry.act()
    assert acts.done == ["close", Wish.SHUT_DOWN, Wish.KILL]
