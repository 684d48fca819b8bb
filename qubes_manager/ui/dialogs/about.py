"""What this program is."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from qubes_manager import __version__
from qubes_manager.ui.look.icons import program_icon


def show_about(parent: QWidget) -> None:
    """Say what this program is, beside whatever else goes on."""
    box = QMessageBox(parent)
    box.setWindowTitle("About Qubes Manager")
    box.setIconPixmap(program_icon().pixmap(64, 64))
    box.setText(f"Qubes Manager for libvirt {__version__}")
    box.setInformativeText("Security domains with coloured labels on any Linux machine. GPL-3.0-or-later.")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()
