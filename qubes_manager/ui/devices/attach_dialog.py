"""Asks how a drive or an image is to be attached, for who does not want it as it commonly is."""

from collections.abc import Sequence
from pathlib import PurePath

from PySide6.QtWidgets import QCheckBox, QWidget

from qubes_manager.core.devices.block import BUSES, IMAGE_FORMATS, BlockDevice, DiskRequest, identity_of
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.models.device_tree import Entry, is_image
from qubes_manager.ui.devices.domain_box import DomainBox
from qubes_manager.ui.devices.giving import default_options, never_gets, taken
from qubes_manager.ui.dialogs.form_dialog import FormDialog
from qubes_manager.ui.look.fields import ComboBox

_BUS_WORDS = {"usb": "a USB drive", "virtio": "a virtio disk (fast)", "scsi": "a SCSI disk"}


class AttachDialog(FormDialog):
    """A domain, a bus, a format, read-only, and whether later starts have it too."""

    def __init__(self, parent: QWidget, entry: Entry, domains: Sequence[Domain], chosen: DomainKey | None) -> None:
        assert isinstance(entry.device, BlockDevice)
        super().__init__(parent, f"Attach {entry.title}", "Attach")
        self._entry = entry
        self._device = entry.device
        self.domain = DomainBox()
        self.domain.offer_domains(domains)
        if chosen:
            self.domain.choose(chosen)
        self.bus = ComboBox()
        for bus in sorted(BUSES, key=list(_BUS_WORDS).index):
            self.bus.addItem(_BUS_WORDS[bus], bus)
        self.format = ComboBox()
        self.format.addItems(IMAGE_FORMATS)
        self.format.setToolTip("Bytes as they are on the disk (raw), or a qcow2 image of a disk")
        self.read_only = QCheckBox("The domain can only read it")
        self.persistent = QCheckBox("It is there at later starts too")
        self._fill()

    def _fill(self) -> None:
        self.add_note(self._entry.summary)
        self.add_field("Domain", self.domain, self._check)
        self.add_field("As", self.bus)
        self.add_field("Format", self.format)
        self.show_field(self.format, is_image(self._device))
        self.format.setCurrentText(default_options(self._device).get("format", IMAGE_FORMATS[0]))
        self.add_field("Read-only", self.read_only)
        self.add_field("Keep", self.persistent)
        if self._device.read_only:
            self.read_only.setChecked(True)
            self.read_only.setEnabled(False)
        self.domain.currentIndexChanged.connect(self._on_domain)
        self.read_only.toggled.connect(self.validate)
        self.finish(self.domain)
        self._on_domain()

    def _on_domain(self) -> None:
        domain = self.domain.domain
        # What does not run has it at its next start, or not at all.
        halted = domain is not None and not domain.state.is_active
        self.persistent.setEnabled(not halted)
        if halted:
            self.persistent.setChecked(True)
        self.validate()

    def _check(self) -> None:
        domain = self.domain.domain
        if domain is None:
            raise BadInput("domain", "", "there is no domain to give it to")
        if any(holder.domain.key == domain.key for holder in self._entry.holders):
            raise Refused(f"“{domain.name}” has it already")
        if reason := never_gets(domain, self._device):
            raise Refused(f"“{domain.name}” {reason}")
        if not self.read_only.isChecked() and (reason := taken(self._entry)):
            raise Refused(reason)

    @property
    def target(self) -> DomainKey:
        """The domain that gets it."""
        assert self.domain.domain
        return self.domain.domain.key

    def request(self) -> DiskRequest:
        """What the fields say."""
        device = self._device
        return DiskRequest(
            str(PurePath(device.path)),
            is_device=not is_image(device),
            image_format=self.format.currentText() if is_image(device) else IMAGE_FORMATS[0],
            bus=self.bus.currentData(),
            read_only=self.read_only.isChecked() or device.read_only,
            persistent=self.persistent.isChecked(),
            chosen=None if is_image(device) else identity_of(device),
        )
