"""Block devices: what there is, who has it; attaching and detaching by hand."""

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.background import Background
from qubes_manager.core.devices import BUSES, IMAGE_FORMATS, OPTICAL_DRIVE, BlockDevice, DiskRequest, cd_drives
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.events import HostEvent, HostEventKind
from qubes_manager.core.hardware import Disk
from qubes_manager.core.text import one_line, plain_tip
from qubes_manager.services.devices.block_devices import BlockDevices, OfferedDevice
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.look.fields import ComboBox
from qubes_manager.ui.look.icons import icon, label_icon
from qubes_manager.ui.look.plain import PlainLabel, window_title

_OFFERED = Qt.ItemDataRole.UserRole
_DRIVE_LETTERS = 16
_HEADS = ("Device", "Description", "Serial", "Used by")


class DevicesDialog(HintDialog):
    """Lists a host's block devices. Nothing is attached but by the button."""

    def __init__(
        self,
        parent: QWidget,
        hosts: Hosts,
        store: DomainStore,
        devices: BlockDevices,
        spawn: Spawn,
        uri: str,
        chosen: Domain | None,
    ) -> None:
        super().__init__(parent, spawn)
        self._hosts, self._store, self._uri = hosts, store, uri
        self._devices = devices
        self._images: list[str] = []
        self.setWindowTitle(window_title(f"Block devices of {chosen.name}" if chosen else "Block devices"))
        self.resize(760, 420)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(_HEADS)
        self.tree.setRootIsDecorated(False)
        self.tree.setUniformRowHeights(True)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setAccessibleName("Block devices and images")
        self.tree.itemSelectionChanged.connect(self._update_buttons)
        self.hint.setText("Looking for block devices…")
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.hint)
        layout.addLayout(self._controls(chosen))
        layout.addLayout(self._bottom())
        self._watching = Background(lambda error: self.hint.setText(f"⚠ {error}"))
        self._watching.spawn(self._follow())
        self.finished.connect(lambda _code: self._watching.cancel())
        self._update_buttons()

    def _controls(self, chosen: Domain | None) -> QHBoxLayout:
        self.domain = ComboBox()
        self.domain.setAccessibleName("Domain")
        for domain in sorted(self._store.of_host(self._uri), key=lambda d: d.shown_name):
            if not domain.is_host and not domain.stale and not domain.only_waits:
                patch = label_icon(domain.label) or icon("state-halted")
                self.domain.addItem(patch, one_line(domain.shown_name), domain.key)
                if chosen and domain.key == chosen.key:
                    self.domain.setCurrentIndex(self.domain.count() - 1)
        self.domain.currentIndexChanged.connect(self._update_buttons)
        self.drive = ComboBox()
        self.drive.setAccessibleName("CD-ROM drive")
        # A long path must not widen the dialog.
        self.drive.setSizeAdjustPolicy(ComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.drive.setMinimumContentsLength(_DRIVE_LETTERS)
        self.drive.setToolTip("The CD-ROM drives of the domain, and what is in them now")
        self.drive.currentIndexChanged.connect(self._update_buttons)
        self.bus = ComboBox()
        self.bus.addItems(["usb", *[bus for bus in BUSES if bus != "usb"]])
        self.bus.setAccessibleName("Bus")
        self.bus.setToolTip("How the domain sees it: as a USB drive, or on a paravirtual bus")
        self.format = ComboBox()
        self.format.addItems(IMAGE_FORMATS)
        self.format.setAccessibleName("Format")
        self.format.setToolTip("What an image file is: bytes as they are on the disk (raw), or a qcow2 image of a disk")
        self.read_only = QCheckBox("Read-only")
        self.persistent = QCheckBox("Keep for later starts")
        self.attach_button = QPushButton(icon("devices"), "Attach")
        self.attach_button.clicked.connect(lambda: self.start(self._attach()))
        row = QHBoxLayout()
        for title, field in (("Domain:", self.domain), ("as", self.bus), ("Format:", self.format)):
            row.addWidget(PlainLabel(title))
            row.addWidget(field)
        row.addWidget(self.read_only)
        row.addWidget(self.persistent)
        row.addStretch(1)
        row.addWidget(self.attach_button)
        return row

    def _bottom(self) -> QHBoxLayout:
        self.detach_button = QPushButton("Detach")
        self.detach_button.clicked.connect(lambda: self.start(self._detach()))
        image = QPushButton("Add an image file…")
        image.clicked.connect(self._choose_image)
        refresh = QPushButton(icon("refresh"), "Refresh")
        refresh.clicked.connect(lambda: self.start(self.reload()))
        self.insert_button = QPushButton("Insert")
        self.insert_button.setToolTip("Put the chosen disc into the drive, for later starts too")
        self.insert_button.clicked.connect(lambda: self.start(self._insert()))
        self.eject_button = QPushButton("Eject")
        self.eject_button.clicked.connect(lambda: self.start(self._eject()))
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)
        row = QHBoxLayout()
        drive = PlainLabel("CD drive:")
        drive.setBuddy(self.drive)
        for button in (image, refresh, self.insert_button, self.eject_button):
            button.setAutoDefault(False)
        for widget in (image, refresh, drive, self.drive, self.insert_button, self.eject_button):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.detach_button)
        row.addWidget(closing)
        return row

    # What is there.

    async def reload(self) -> None:
        """Read the devices anew; what is chosen stays chosen."""
        offered = await self._devices.offered(self._uri)
        known = {o.device.path for o in offered}
        offered += [OfferedDevice(BlockDevice(p, kind="image")) for p in self._images if p not in known]
        chosen = self._chosen()
        self.tree.clear()
        for entry in offered:
            device = entry.device
            name = device.path if device.kind == "image" else device.ident
            cells = [one_line(text, 120) for text in (name, device.description, device.serial, entry.used_by)]
            item = QTreeWidgetItem(cells)
            item.setData(0, _OFFERED, entry)
            item.setToolTip(0, plain_tip(device.path))
            self.tree.addTopLevelItem(item)
            if chosen and chosen.device.path == device.path:
                item.setSelected(True)
        for column in range(len(_HEADS)):
            self.tree.resizeColumnToContents(column)
        self.hint.setText(
            "Nothing is attached by itself. Choose a device and a domain, then Attach."
            if offered
            else "The host offers no block device. Plug one in, or add an image file."
        )
        self._update_buttons()

    async def _follow(self) -> None:
        """Read the devices at every event of the host's node devices, until the dialog is closed."""
        with self._hosts.connection(self._uri).listen() as events:
            self.start(self.reload())
            while True:
                event = await events.get()
                if isinstance(event, HostEvent) and event.kind is HostEventKind.NODE_DEVICES:
                    self.start(self.reload())

    def _chosen(self) -> OfferedDevice | None:
        items = self.tree.selectedItems()
        return items[0].data(0, _OFFERED) if items else None

    def _target(self) -> Domain | None:
        key: DomainKey | None = self.domain.currentData()
        return self._store.get(key) if key else None

    def _show_drives(self) -> None:
        """Offer the drives of the domain; the one that was chosen stays chosen."""
        domain, before = self._target(), self.drive.currentData()
        with QSignalBlocker(self.drive):
            self.drive.clear()
            for drive in cd_drives(domain) if domain else ():
                self.drive.addItem(f"{drive.target}: {one_line(drive.source, 60) or 'empty'}", drive)
                if before and drive.target == before.target:
                    self.drive.setCurrentIndex(self.drive.count() - 1)
        self.drive.setEnabled(self.drive.count() > 0)

    def _update_buttons(self) -> None:
        self._show_drives()
        drive: Disk | None = self.drive.currentData()
        chosen = self._chosen()
        free = chosen is not None and not chosen.used_by and chosen.device.media
        self.format.setEnabled(chosen is not None and chosen.device.kind == "image")
        self.attach_button.setEnabled(free and self._target() is not None)
        self.detach_button.setEnabled(bool(chosen and chosen.holders))
        disc = chosen is not None and (chosen.device.kind in ("image", OPTICAL_DRIVE))
        self.insert_button.setEnabled(bool(disc and drive))
        self.eject_button.setEnabled(bool(drive))

    # What the user does.

    def _choose_image(self) -> None:
        dialog = QFileDialog(self, "Choose a disk image")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.add_image)
        dialog.open()

    def add_image(self, path: str) -> None:
        """Offer an image file beside the devices."""
        self._images.append(path)
        self.start(self._reload_and_choose(path))

    async def _reload_and_choose(self, path: str) -> None:
        await self.reload()
        for item in self.tree.findItems(one_line(path, 120), Qt.MatchFlag.MatchExactly):
            item.setSelected(True)

    async def _attach(self) -> None:
        chosen, domain = self._chosen(), self._target()
        if not chosen or not domain:
            return
        device = chosen.device
        request = DiskRequest(
            device.path,
            is_device=device.kind != "image",
            image_format=self.format.currentText() if device.kind == "image" else IMAGE_FORMATS[0],
            bus=self.bus.currentText(),
            read_only=self.read_only.isChecked() or device.read_only,
            persistent=self.persistent.isChecked(),
        )
        self.hint.setText(f"Attaching {device.path} to {domain.name}…")
        try:
            target = await self._devices.attach(domain.key, request)
        finally:
            await self.reload()
        self.hint.setText(f"{domain.name} has {device.path} as {target}.")

    async def _detach(self) -> None:
        chosen = self._chosen()
        if not chosen:
            return
        for domain, disk in chosen.holders:
            self.hint.setText(f"Waiting for {domain.name} to let go of {disk.target}…")
            try:
                await self._devices.detach(domain.key, disk.target)
            finally:
                await self.reload()
            self.hint.setText(f"{domain.name} no longer has {chosen.device.path}.")

    async def _insert(self) -> None:
        chosen, domain, drive = self._chosen(), self._target(), self.drive.currentData()
        if chosen and domain and drive:
            await self._devices.insert(domain.key, drive.target, chosen.device.path)
            self._update_buttons()
            self.hint.setText(f"{chosen.device.path} is in the drive {drive.target} of {domain.name}.")

    async def _eject(self) -> None:
        domain, drive = self._target(), self.drive.currentData()
        if domain and drive:
            await self._devices.eject(domain.key, drive.target)
            self._update_buttons()
            self.hint.setText(f"The drive {drive.target} of {domain.name} is empty.")
