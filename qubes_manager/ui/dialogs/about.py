"""What this program is."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from qubes_manager import __version__
from qubes_manager.ui.look.icons import program_icon
from qubes_manager.ui.look.plain import PlainBox


def show_about(parent: QWidget) -> None:
    """Say what this program is, beside whatever else goes on."""
    box = PlainBox(
        parent,
        "About Qubes Manager",
        f"Qubes Manager for libvirt {__version__}",
        "Security domains with coloured labels on any Linux machine. GPL-3.0-or-later.",
    )
    box.setIconPixmap(program_icon().pixmap(64, 64))
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()
