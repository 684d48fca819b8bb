"""Making a domain from a disk image or an ISO."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QWidget

from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.core.names import check_name
from qubes_manager.services.creation_request import DEFAULT_MEMORY, DEFAULT_VCPUS, CreationRequest, parse_checksum
from qubes_manager.ui.form_dialog import FormDialog, label_box

_FILTER = "Disk images (*.qcow2 *.img *.raw *.iso *.vmdk *.vdi *.vhdx);;All files (*)"


class NewDomainDialog(FormDialog):
    """Asks for what a new domain needs; name, colour and image are enough."""

    def __init__(self, parent: QWidget, uris: Sequence[str], is_taken: Callable[[str, str], bool]) -> None:
        super().__init__(parent, "New domain", "Create")
        self._is_taken = is_taken
        self.connection = QComboBox()
        self.connection.addItems(list(uris))
        self.name = QLineEdit()
        self.name.setPlaceholderText("work")
        self.label = label_box("blue")
        self.image = QLineEdit()
        self.image.setPlaceholderText("a disk image to copy, or an ISO to install from")
        self.image.setAccessibleName("Image")
        self.checksum = QLineEdit()
        self.checksum.setPlaceholderText("SHA-256 or SHA-512, if you have one")
        self.memory = QSpinBox()
        self.memory.setRange(64, 1 << 22)
        self.memory.setValue(DEFAULT_MEMORY)
        self.memory.setSuffix(" MiB")
        self.vcpus = QSpinBox()
        self.vcpus.setRange(1, 512)
        self.vcpus.setValue(DEFAULT_VCPUS)
        self.network = QComboBox()
        self.network.addItem("user networking", "user")
        self.network.addItem("none", "")
        self.network.setEditable(False)
        self.add_field("Name", self.name, self._check_name)
        self.add_field("Label", self.label)
        self.add_field("Image", self._image_row(), self._check_image)
        self.add_field("Checksum", self.checksum, self._check_checksum)
        self.add_field("Memory", self.memory)
        self.add_field("Processors", self.vcpus)
        self.add_field("Network", self.network)
        if len(uris) > 1:
            self.add_field("Connection", self.connection)
        for field in (self.name, self.image, self.checksum):
            field.textChanged.connect(self.validate)
        self.connection.currentTextChanged.connect(self.validate)
        self.ok.setEnabled(False)
        self.finish(self.name)

    def _image_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        choose = QPushButton("Choose…")
        choose.setAccessibleName("Choose the image")
        choose.clicked.connect(self._choose)
        layout.addWidget(self.image, 1)
        layout.addWidget(choose)
        return row

    def _choose(self) -> None:
        dialog = QFileDialog(self, "Choose a disk image or an ISO", "", _FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.image.setText)
        dialog.open()

    def _check_name(self) -> None:
        check_name(self.name.text())
        if self._is_taken(self.connection.currentText(), self.name.text()):
            raise Refused("there is a domain of that name already; choose another")

    def _check_image(self) -> None:
        # Whether the file is there and what it is, is looked at when the domain is created: not on this thread.
        if not self.image.text().strip():
            raise BadInput("image", "", "choose a disk image or an ISO")

    def _check_checksum(self) -> None:
        if self.checksum.text().strip():
            parse_checksum(self.checksum.text())

    def request(self) -> tuple[str, CreationRequest]:
        """The connection and what to make on it."""
        return self.connection.currentText(), CreationRequest(
            name=self.name.text(),
            label=self.label.currentData(),
            image=Path(self.image.text().strip()),
            checksum=self.checksum.text().strip(),
            memory=self.memory.value(),
            vcpus=self.vcpus.value(),
            netvm=self.network.currentData(),
        )
