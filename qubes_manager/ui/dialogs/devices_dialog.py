"""Block devices: what there is, who has it; attaching and detaching by hand."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.background import Background
from qubes_manager.core.devices import BUSES, BlockDevice, DiskRequest
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.events import HostEvent, HostEventKind
from qubes_manager.core.text import one_line, plain_tip
from qubes_manager.services.devices.block_devices import BlockDevices, OfferedDevice
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.look.icons import icon, label_icon

_OFFERED = Qt.ItemDataRole.UserRole
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
        self.setWindowTitle(f"Block devices of {chosen.name}" if chosen else "Block devices")
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
        self.domain = QComboBox()
        self.domain.setAccessibleName("Domain")
        for domain in sorted(self._store.of_host(self._uri), key=lambda d: d.name):
            if not domain.is_host and not domain.stale:
                patch = label_icon(domain.label) or icon("state-halted")
                self.domain.addItem(patch, domain.name, domain.key)
                if chosen and domain.key == chosen.key:
                    self.domain.setCurrentIndex(self.domain.count() - 1)
        self.domain.currentIndexChanged.connect(self._update_buttons)
        self.bus = QComboBox()
        self.bus.addItems(["usb", *[bus for bus in BUSES if bus != "usb"]])
        self.bus.setAccessibleName("Bus")
        self.bus.setToolTip("How the domain sees it: as a USB drive, or on a paravirtual bus")
        self.read_only = QCheckBox("Read-only")
        self.persistent = QCheckBox("Keep for later starts")
        self.attach_button = QPushButton(icon("devices"), "Attach")
        self.attach_button.clicked.connect(lambda: self.start(self._attach()))
        row = QHBoxLayout()
        for title, field in (("Domain:", self.domain), ("as", self.bus)):
            row.addWidget(QLabel(title))
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
        self.insert_button = QPushButton("Insert into CD drive")
        self.insert_button.clicked.connect(lambda: self.start(self._insert()))
        self.eject_button = QPushButton("Eject CD drive")
        self.eject_button.clicked.connect(lambda: self.start(self._eject()))
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)
        row = QHBoxLayout()
        for button in (image, refresh, self.insert_button, self.eject_button):
            button.setAutoDefault(False)
            row.addWidget(button)
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

    def _drives(self) -> list[str]:
        """The CD-ROM drives of the domain."""
        domain = self._target()
        return [d.target for d in domain.config.disks if d.kind == "cdrom"] if domain else []

    def _update_buttons(self) -> None:
        chosen = self._chosen()
        free = chosen is not None and not chosen.used_by and chosen.device.media
        self.attach_button.setEnabled(free and self._target() is not None)
        self.detach_button.setEnabled(bool(chosen and chosen.holders))
        disc = chosen is not None and (chosen.device.kind in ("image", "optical drive"))
        self.insert_button.setEnabled(bool(disc and self._drives()))
        self.eject_button.setEnabled(bool(self._drives()))

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
        chosen, domain, drives = self._chosen(), self._target(), self._drives()
        if chosen and domain and drives:
            await self._devices.insert(domain.key, drives[0], chosen.device.path)
            self.hint.setText(f"{chosen.device.path} is in the drive {drives[0]} of {domain.name}.")

    async def _eject(self) -> None:
        domain, drives = self._target(), self._drives()
        if domain and drives:
            await self._devices.eject(domain.key, drives[0])
            self.hint.setText(f"The drive {drives[0]} of {domain.name} is empty.")
