"""Fields for files that domains are made of: an image and its checksum, a tunnel."""

import asyncio
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from qubes_manager.core.background import Background
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import one_line, plain_tip
from qubes_manager.services.files.checksum_lists import checksum_for

_IMAGES = (
    "Disk images (*.qcow2 *.img *.raw *.iso *.vmdk *.vdi *.vhdx *.qcow2.xz *.img.xz *.raw.xz *.gz *.zst);;All files (*)"
)
_TUNNELS = "WireGuard files (*.conf);;All files (*)"


class _TextWithButton(QWidget):
    """A line of text, and a button that helps to fill it."""

    def __init__(self, placeholder: str, button: str, says: str) -> None:
        super().__init__()
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        choose = QPushButton(button)
        choose.setAccessibleName(says)
        choose.setAutoDefault(False)
        choose.clicked.connect(self.choose)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(choose)
        self.setFocusProxy(self.line)

    @property
    def value(self) -> str:
        """What is in the line."""
        return self.line.text().strip()

    def choose(self) -> None:
        """Open what the button stands for."""

    def _open(self, title: str, filters: str) -> QFileDialog:
        dialog = QFileDialog(self, title, "", filters)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.open()
        return dialog


class ImageField(_TextWithButton):
    """The path of an image."""

    def __init__(self) -> None:
        super().__init__("a disk image to copy, or an ISO to install from", "Choose…", "Choose the image")
        self.path = self.line
        self.line.setAccessibleName("Image")

    def choose(self) -> None:
        """Let the user choose the image."""
        self._open("Choose a disk image or an ISO", _IMAGES).fileSelected.connect(self.line.setText)


class TunnelField(_TextWithButton):
    """The path of a WireGuard file."""

    def __init__(self) -> None:
        super().__init__("the file for wg-quick, as you got it", "Choose…", "Choose the WireGuard file")
        self.path = self.line
        self.line.setAccessibleName("WireGuard file")

    def choose(self) -> None:
        """Let the user choose the file."""
        self._open("Choose a WireGuard file", _TUNNELS).fileSelected.connect(self.line.setText)


class ChecksumField(_TextWithButton):
    """The checksum that the image of *image* must have: typed, pasted, or taken from a list."""

    def __init__(self, image: ImageField) -> None:
        super().__init__("SHA-256 or SHA-512, if you have one", "From a list…", "Take the checksum from a list")
        self.text = self.line
        self._image = image
        self._reading = Background()
        self.destroyed.connect(self._reading.cancel)
        self.line.setAccessibleName("Checksum")

    def choose(self) -> None:
        """Let the user choose a SHA256SUMS or SHA512SUMS file."""
        dialog = self._open(
            "Choose the list of checksums", "Lists of checksums (*SUMS* *.sha256 *.sha512);;All files (*)"
        )
        dialog.fileSelected.connect(self.take_from)

    def take_from(self, path: str) -> None:
        """Take the image's checksum from a list."""

        async def read() -> None:
            try:
                found = await asyncio.to_thread(checksum_for, Path(path), Path(self._image.value))
            except QubesManagerError as error:
                self.line.clear()
                self.line.setPlaceholderText(one_line(str(error)))
                self.line.setToolTip(plain_tip(str(error)))
            else:
                self.line.setText(found)

        self._reading.spawn(read())
