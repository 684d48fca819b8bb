"""Light, dark, or as the desktop has it."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

_SCHEMES = {"system": Qt.ColorScheme.Unknown, "light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}


def set_appearance(name: str) -> None:
    """Use light or dark colours, or follow the desktop."""
    QGuiApplication.styleHints().setColorScheme(_SCHEMES[name])
