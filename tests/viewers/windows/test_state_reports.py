"""The guest hears of a window's states when they stand, and of none that it said itself."""

from qubes_manager.viewers.protocol.packets import (
    Box,
    ConfigureWindow,
    MapWindow,
    Metadata,
    ToGuest,
    UnmapWindow,
    WindowMetadata,
    WindowState,
)
from tests.viewers.windows.conftest import Guest


def reports(guest: Guest, count: int) -> list[ToGuest]:
    """What was said of states since the window came, when there are that many."""
    guest.until(lambda: len(_of_states(guest)) >= count)
    return _of_states(guest)


def _of_states(guest: Guest) -> list[ToGuest]:
    return [
        said
        for said in guest.told
        if isinstance(said, UnmapWindow)
        or (isinstance(said, MapWindow | ConfigureWindow) and said.state != WindowState())
    ]


def test_a_window_that_was_maximised_and_at_once_restored_says_nothing(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200))
    window.showMaximized()
    window.showNormal()
    window.showMinimized()
    assert reports(guest, 1) == [UnmapWindow(1)]
    window.showNormal()
    [_, shown] = reports(guest, 2)
    assert isinstance(shown, MapWindow)
    assert shown.state == WindowState(False, False, False)


def test_what_the_guest_said_itself_is_not_told_back(guest: Guest) -> None:
    window = guest.open(1, Box(0, 0, 300, 200), metadata=Metadata(fullscreen=True))
    guest.say(WindowMetadata(1, Metadata(fullscreen=False, maximized=True)))
    window.showNormal()
    [said] = reports(guest, 1)
    assert isinstance(said, ConfigureWindow)
    assert said.state == WindowState(False, False, False)
