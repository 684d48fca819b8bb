"""A desktop whose user has a screen reader."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.screen import Screen


@contextlib.contextmanager
def with_bus(folder: Path) -> Iterator[Screen]:
    """A screen with its buses, where a screen reader has said that it runs."""
    screen = Screen(folder)
    try:
        set_wanted(screen, True)
        yield screen
    finally:
        screen.close()


def set_wanted(screen: Screen, wanted: bool) -> None:
    """Say as a screen reader does whether windows are to be read."""
    value = f"variant:boolean:{str(wanted).lower()}"
    words = ("/org/a11y/bus", "org.freedesktop.DBus.Properties.Set", "string:org.a11y.Status", "string:IsEnabled")
    screen.run("dbus-send", "--session", "--print-reply", "--dest=org.a11y.Bus", *words, value)
