"""The tree of devices, as a view."""

from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QTreeView

from qubes_manager.models.devices_model import NAME, WHAT, WHERE
from qubes_manager.ui.devices.device_menu import is_held_key

# Of the width that there is: names and places are long, and the port is not.
_SHARES = {NAME: 0.31, WHAT: 0.27, WHERE: 0.29}


class DevicesTree(QTreeView):
    """Gives each column its share of the width. A key that is held activates once."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if is_held_key(event):
            event.accept()
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        for column, share in _SHARES.items():
            self.setColumnWidth(column, int(share * self.viewport().width()))
