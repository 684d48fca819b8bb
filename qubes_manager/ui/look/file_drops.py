"""Files that are dropped on a row of a view."""

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent

from qubes_manager.ui.look.dragged_files import DraggedFiles, holds_files, of_mime


class FileDrops:
    """Makes a view take files: to be named before the view's class, with ``setAcceptDrops``."""

    def file_target(self, event: QDropEvent) -> Any:
        """What lies below the mouse that can get what is dragged; None where nothing can."""
        raise NotImplementedError

    def take_files(self, dragged: DraggedFiles, target: Any, event: QDropEvent) -> None:
        """Files are dropped on a target."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files, whatever is below the mouse yet."""
        if holds_files(event.mimeData()):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Take files over somebody who can get them."""
        if self.file_target(event) and holds_files(event.mimeData()):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:
        """Files are dropped."""
        target, dragged = self.file_target(event), of_mime(event.mimeData())
        if target and dragged:
            # The original stays where it is, whatever the other program thinks.
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
            self.take_files(dragged, target, event)
