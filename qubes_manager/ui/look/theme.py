"""Light, dark, or as the desktop has it."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

_SCHEMES = {"system": Qt.ColorScheme.Unknown, "light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
_Role = QPalette.ColorRole
_DARK = {
    _Role.Window: "#2b2b2e",
    _Role.WindowText: "#e8e8ea",
    _Role.Base: "#1f1f22",
    _Role.AlternateBase: "#262629",
    _Role.Text: "#e8e8ea",
    _Role.Button: "#37373b",
    _Role.ButtonText: "#e8e8ea",
    _Role.BrightText: "#ff6b6b",
    _Role.ToolTipBase: "#37373b",
    _Role.ToolTipText: "#e8e8ea",
    _Role.PlaceholderText: "#9a9aa0",
    _Role.Highlight: "#2f6fb3",
    _Role.HighlightedText: "#ffffff",
    _Role.Link: "#7db4f0",
    _Role.LinkVisited: "#b79be0",
}
_DARK_DISABLED = "#77777d"


def set_appearance(name: str) -> None:
    """Use light or dark colours, or follow the desktop."""
    hints = QApplication.styleHints()
    hints.setColorScheme(_SCHEMES[name])
    # A desktop without a Qt theme of its own (a bare window manager) has no dark colours to ask for.
    if name == "dark" and hints.colorScheme() is not Qt.ColorScheme.Dark:
        QApplication.setPalette(_dark_palette())
    else:
        QApplication.setPalette(QPalette())


def _dark_palette() -> QPalette:
    palette = QPalette()
    for role, colour in _DARK.items():
        palette.setColor(role, QColor(colour))
    for role in (_Role.WindowText, _Role.Text, _Role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DARK_DISABLED))
    return palette
