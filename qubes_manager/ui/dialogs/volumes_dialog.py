"""The volumes of a domain: how large, how full, from where; and the revisions of a template."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.core.volumes import MAX_KEEP, Role
from qubes_manager.services.volumes.domain_volumes import DomainVolumes, VolumeInfo
from qubes_manager.services.volumes.template_roots import TemplateRoots
from qubes_manager.ui.dialogs.form_dialog import number_box
from qubes_manager.ui.dialogs.hint_dialog import HintDialog, Spawn
from qubes_manager.ui.dialogs.name_dialog import SizeDialog
from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.look.plain import PlainLabel, window_title

_HEADS = ("Volume", "Size", "Takes", "From", "Checksum")
_INFO = Qt.ItemDataRole.UserRole


class VolumesDialog(HintDialog):
    """Shows and changes the volumes of one domain."""

    def __init__(
        self,
        parent: QWidget,
        domain: Domain,
        latest: Callable[[], Domain | None],
        volumes: DomainVolumes,
        roots: TemplateRoots,
        jobs: Jobs,
        spawn: Spawn,
    ) -> None:
        super().__init__(parent, spawn)
        self._latest, self._volumes, self._roots, self._jobs = latest, volumes, roots, jobs
        self._name = domain.name
        self.setWindowTitle(window_title(f"Volumes of {domain.name}"))
        self.resize(720, 340)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(_HEADS)
        self.tree.setRootIsDecorated(False)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setAccessibleName("Volumes")
        self.tree.itemSelectionChanged.connect(self._update_buttons)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.hint)
        self.revisions = self._revision_row(domain)
        layout.addWidget(self.revisions)
        layout.addLayout(self._buttons())
        self.start(self.reload())

    def _revision_row(self, domain: Domain) -> QWidget:
        config = domain.config
        self.keep = number_box(1, MAX_KEEP, config.keep_revisions, "")
        self._kept = config.keep_revisions
        self.keep.setAccessibleName("Revisions to keep")
        self.keep.editingFinished.connect(self._keep)
        self.revert_button = QPushButton("Make current")
        self.revert_button.setToolTip("Let domains start from the chosen revision from now on")
        self.revert_button.clicked.connect(lambda: self.start(self._revert()))
        box = QWidget()
        row = QHBoxLayout(box)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(PlainLabel("Revisions to keep:"))
        row.addWidget(self.keep)
        row.addStretch(1)
        row.addWidget(self.revert_button)
        box.setVisible(bool(config.revision))
        return box

    def _buttons(self) -> QHBoxLayout:
        self.enlarge_button = QPushButton("Enlarge…")
        self.verify_button = QPushButton("Verify again")
        self.export_button = QPushButton("Export…")
        row = QHBoxLayout()
        for button, work in (
            (self.enlarge_button, self._enlarge),
            (self.verify_button, self._verify),
            (self.export_button, self._choose_export),
        ):
            button.setAutoDefault(False)
            button.clicked.connect(lambda _checked=False, w=work: self.start(w()))
            row.addWidget(button)
        row.addStretch(1)
        closing = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        closing.rejected.connect(self.reject)
        row.addWidget(closing)
        return row

    async def reload(self) -> None:
        """Read the volumes anew."""
        domain = self._latest()
        if domain is None:
            self.reject()
            return
        found = await self._volumes.list(domain)
        self.tree.clear()
        for info in found:
            self.tree.addTopLevelItem(self._item(info))
            for number in reversed(info.revisions):
                if number != info.record.revision:
                    item = QTreeWidgetItem([f"    revision {number}", "", "", "", ""])
                    item.setData(0, _INFO, number)
                    self.tree.addTopLevelItem(item)
        for column in range(len(_HEADS)):
            self.tree.resizeColumnToContents(column)
        self.hint.setText("" if found else f"“{domain.name}” has no volume that this program made.")
        self._update_buttons()

    def _item(self, info: VolumeInfo) -> QTreeWidgetItem:
        record, sizes = info.record, info.sizes
        name = info.role.value + (
            f", revision {record.revision} (current)" if record.revision and not info.source else ""
        )
        cells = [name, format_size(sizes.capacity) if sizes else "gone", format_size(sizes.allocation) if sizes else ""]
        cells += [info.source or record.pool, record.verified or (f"sha256:{record.digest}" if record.digest else "")]
        item = QTreeWidgetItem([one_cell(cell) for cell in cells])
        item.setData(0, _INFO, info)
        item.setToolTip(0, plain_tip(record.name))
        item.setToolTip(4, plain_tip(cells[4]))
        return item

    def _chosen(self) -> VolumeInfo | int | None:
        items = self.tree.selectedItems()
        found: VolumeInfo | int | None = items[0].data(0, _INFO) if items else None
        return found

    def _update_buttons(self) -> None:
        chosen = self._chosen()
        own = isinstance(chosen, VolumeInfo) and not chosen.source
        disk = own and isinstance(chosen, VolumeInfo) and chosen.role in (Role.ROOT, Role.PRIVATE)
        self.enlarge_button.setEnabled(disk)
        self.export_button.setEnabled(disk)
        self.verify_button.setEnabled(own and isinstance(chosen, VolumeInfo) and bool(chosen.record.digest))
        self.revert_button.setEnabled(isinstance(chosen, int))

    def _require(self) -> tuple[Domain, VolumeInfo]:
        domain, chosen = self._latest(), self._chosen()
        if domain is None or not isinstance(chosen, VolumeInfo):
            raise QubesManagerError("choose a volume first")
        return domain, chosen

    async def _enlarge(self) -> None:
        domain, info = self._require()
        dialog = SizeDialog(self, info.vid, info.sizes.capacity if info.sizes else 0)
        if await finished(dialog) == QDialog.DialogCode.Accepted:
            await self._volumes.resize(domain.key, info.role.value, dialog.bytes)
            await self.reload()

    async def _verify(self) -> None:
        domain, info = self._require()
        digest = await self._jobs.run(
            f"Verifying {info.vid}",
            lambda progress: self._volumes.verify(domain, info.record, progress=progress),
        )
        self.hint.setText(f"{info.vid} is what it was when it was made (sha256 {digest}).")

    async def _choose_export(self) -> None:
        domain, info = self._require()
        dialog = QFileDialog(self, f"Export {info.vid}", f"{info.domain}-{info.role.value}.qcow2")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)
        if await finished(dialog) == QDialog.DialogCode.Accepted:
            await self.export(domain, info, Path(dialog.selectedFiles()[0]))

    async def export(self, domain: Domain, info: VolumeInfo, target: Path) -> None:
        """Write a volume to *target*."""
        digest = await self._jobs.run(
            f"Exporting {info.vid}",
            lambda progress: self._volumes.export(domain.key, info.role.value, target, progress=progress),
        )
        self.hint.setText(f"Written to {target} (sha256 {digest}).")

    def _keep(self) -> None:
        domain = self._latest()
        # Who only passes the field changes nothing, whatever others have set since it was shown.
        if domain and self.keep.value() != self._kept:
            self._kept = self.keep.value()
            self.start(self._volumes.keep(domain.key, self.keep.value()))

    async def _revert(self) -> None:
        domain, chosen = self._latest(), self._chosen()
        if domain and isinstance(chosen, int):
            await self._roots.revert(domain.key, chosen)
            await self.reload()
            self.hint.setText(f"Domains start from revision {chosen} of “{domain.name}” from now on.")
