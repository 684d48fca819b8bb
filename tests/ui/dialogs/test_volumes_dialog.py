"""The volumes of a domain: what is shown of each, and what may be done to which."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import qasync
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from qubes_manager.backend.storage.volume_store import VolumeSizes
from qubes_manager.core.domain import UNREAD, Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.progress import SILENT, Progress
from qubes_manager.core.volumes import OwnVolume, Role
from qubes_manager.services.assembly import Services
from qubes_manager.services.volumes.domain_volumes import DomainVolumes, VolumeInfo
from qubes_manager.services.volumes.template_roots import TemplateRoots
from qubes_manager.ui.dialogs.name_dialog import SizeDialog
from qubes_manager.ui.dialogs.volumes_dialog import VolumesDialog
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import MessageBar
from tests.build import domain
from tests.ui.conftest import run, tip_says
from tests.waiting import until

TINY = domain("tiny", config=DomainConfig(revision=3, keep_revisions=2))
WORK = domain("work", config=DomainConfig(template="tiny"))
GIB = 1 << 30
ROOT = VolumeInfo(
    "tiny",
    Role.ROOT,
    OwnVolume(Role.ROOT, "pool", "tiny.root@3", revision=3, digest="abc", verified="sha512:def"),
    VolumeSizes(10 * GIB, 3 * GIB),
    revisions=(1, 2, 3),
)
PRIVATE = VolumeInfo(
    "work", Role.PRIVATE, OwnVolume(Role.PRIVATE, "pool", "work.<b>private"), VolumeSizes(2 * GIB, GIB)
)
KERNEL = VolumeInfo("work", Role.KERNEL, OwnVolume(Role.KERNEL, "pool", "work.kernel", digest="123"), None)
BORROWED = replace(ROOT, domain="work", source="tiny:root", revisions=())


class Volumes(DomainVolumes):
    """Stands in for a pool: has what a test says, and notes what is asked."""

    def __init__(self, services: Services, found: list[VolumeInfo]) -> None:
        super().__init__(services.hosts, services.store, services.uses, services.roots, services.commands.run)
        self.found = found
        self.asked: list[object] = []
        self.refusal: QubesManagerError | None = None

    async def list(self, domain: Domain) -> list[VolumeInfo]:
        return self.found

    async def resize(self, key: DomainKey, name: str, size: int) -> None:
        self._note("resize", name, size)

    async def keep(self, key: DomainKey, count: int) -> None:
        self._note("keep", count)

    async def verify(self, domain: Domain, record: OwnVolume, *, progress: Progress = SILENT) -> str:
        self._note("verify", record.name)
        return record.digest

    async def export(self, key: DomainKey, name: str, target: Path, *, progress: Progress = SILENT) -> str:
        self._note("export", name, target)
        return "789"

    def _note(self, *what: object) -> None:
        self.asked.append(what)
        if self.refusal:
            raise self.refusal


class Roots(TemplateRoots):
    """Stands in for a template's revisions."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.hosts, services.store, services.uses, services.frozen_copies)
        self.reverted: list[int | None] = []

    async def revert(self, key: DomainKey, revision: int | None = None) -> int:
        self.reverted.append(revision)
        return revision or 0


class Scene:
    """The dialog of one domain over stand-ins; ``latest`` is what the store says of it now."""

    def __init__(self, loop: qasync.QEventLoop, services: Services, bar: MessageBar) -> None:
        self._loop, self._services, self._bar = loop, services, bar
        self.roots = Roots(services)
        self.latest: Domain | None = None

    def shows(
        self, shown: Domain, found: list[VolumeInfo], work: Callable[[VolumesDialog, Volumes], Awaitable[None]]
    ) -> None:
        self.latest = shown
        volumes = Volumes(self._services, found)

        async def all_of_it() -> None:
            dialog = VolumesDialog(
                self._bar, shown, lambda: self.latest, volumes, self.roots, Jobs(self._bar), self._loop.create_task
            )
            await until(lambda: dialog.tree.topLevelItemCount() or dialog.hint.text())
            await work(dialog, volumes)

        run(self._loop, all_of_it())


@pytest.fixture
def scene(qtbot: QtBot, loop: qasync.QEventLoop, services: Services) -> Scene:
    bar = MessageBar()
    qtbot.addWidget(bar)
    return Scene(loop, services, bar)


def rows(dialog: VolumesDialog) -> list[list[str]]:
    items = [dialog.tree.topLevelItem(n) for n in range(dialog.tree.topLevelItemCount())]
    return [[item.text(column) for column in range(5)] for item in items if item]


def choose(dialog: VolumesDialog, row: int) -> None:
    dialog.tree.clearSelection()
    item = dialog.tree.topLevelItem(row)
    assert item
    item.setSelected(True)


def enabled(dialog: VolumesDialog) -> set[str]:
    buttons = {
        "enlarge": dialog.enlarge_button,
        "verify": dialog.verify_button,
        "export": dialog.export_button,
        "revert": dialog.revert_button,
    }
    return {name for name, button in buttons.items() if button.isEnabled()}


def test_a_template_shows_its_revisions_newest_first_and_what_is_known_of_its_bytes(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, _volumes: Volumes) -> None:
        assert rows(dialog) == [
            ["root, revision 3 (current)", "10.0 GiB", "3.0 GiB", "pool", "sha512:def"],
            ["    revision 2", "", "", "", ""],
            ["    revision 1", "", "", "", ""],
        ]
        assert dialog.revisions.isVisibleTo(dialog)

    scene.shows(TINY, [ROOT], work)


def test_an_appvm_shows_whose_root_it_has_and_a_volume_that_is_gone(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, volumes: Volumes) -> None:
        assert rows(dialog) == [
            ["root", "10.0 GiB", "3.0 GiB", "tiny:root", "sha512:def"],
            ["private", "2.0 GiB", "1.0 GiB", "pool", ""],
            ["kernel", "gone", "", "pool", "sha256:123"],
        ]
        assert not dialog.revisions.isVisibleTo(dialog)
        private = dialog.tree.topLevelItem(1)
        assert private and tip_says(private.toolTip(0)) == PRIVATE.record.name
        volumes.found = []
        await dialog.reload()
        assert dialog.hint.text() == "“work” has no volume that this program made."

    scene.shows(WORK, [BORROWED, PRIVATE, KERNEL], work)


def test_only_what_a_volume_allows_can_be_done(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, _volumes: Volumes) -> None:
        expected: list[set[str]] = [{"enlarge", "export", "verify"}, {"revert"}, {"revert"}]
        expected += [{"enlarge", "export"}, {"verify"}, set()]
        assert enabled(dialog) == set(), "nothing is chosen"
        for row, wanted in enumerate(expected):
            choose(dialog, row)
            assert enabled(dialog) == wanted, rows(dialog)[row]

    scene.shows(TINY, [ROOT, PRIVATE, KERNEL, BORROWED], work)


def test_a_volume_is_enlarged_to_what_was_asked_for(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, volumes: Volumes) -> None:
        def asking() -> list[SizeDialog]:
            return [w for w in QApplication.topLevelWidgets() if isinstance(w, SizeDialog) and w.isVisible()]

        choose(dialog, 0)
        dialog.enlarge_button.click()
        await until(asking)
        [form] = asking()
        assert form.size_box.minimum() == 2
        form.size_box.setValue(5)
        volumes.found = [replace(PRIVATE, sizes=VolumeSizes(5 * GIB, GIB))]
        form.accept()
        await until(lambda: rows(dialog)[0][1] == "5.0 GiB")
        assert volumes.asked == [("resize", "private", 5 * GIB)]

    scene.shows(WORK, [PRIVATE], work)


def test_that_a_volume_is_unchanged_is_said_and_so_is_why_it_is_not(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, volumes: Volumes) -> None:
        choose(dialog, 0)
        dialog.verify_button.click()
        await until(lambda: "tiny:root is what it was when it was made (sha256 abc)" in dialog.hint.text())
        volumes.refusal = Refused("“tiny:root” has changed since it was made")
        dialog.verify_button.click()
        await until(lambda: dialog.hint.text() == "⚠ “tiny:root” has changed since it was made")

    scene.shows(TINY, [ROOT], work)


def test_an_export_says_where_it_is_with_its_checksum(scene: Scene, tmp_path: Path) -> None:
    async def work(dialog: VolumesDialog, volumes: Volumes) -> None:
        await dialog.export(WORK, PRIVATE, tmp_path / "p.qcow2")
        assert volumes.asked == [("export", "private", tmp_path / "p.qcow2")]
        # A long path may be broken anywhere.
        assert dialog.hint.text().replace("\u200b", "") == f"Written to {tmp_path}/p.qcow2 (sha256 789)."

    scene.shows(WORK, [PRIVATE], work)


def test_another_revision_is_made_current_and_the_list_read_anew(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, volumes: Volumes) -> None:
        choose(dialog, 2)
        volumes.found = [replace(ROOT, record=replace(ROOT.record, revision=1))]
        dialog.revert_button.click()
        await until(lambda: dialog.hint.text() == "Domains start from revision 1 of “tiny” from now on.")
        assert scene.roots.reverted == [1]
        assert rows(dialog)[0][0] == "root, revision 1 (current)"

    scene.shows(TINY, [ROOT], work)


def test_revisions_to_keep_are_set_once_when_they_change(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, volumes: Volumes) -> None:
        assert (dialog.keep.value(), dialog.keep.minimum()) == (2, 1)
        dialog.keep.editingFinished.emit()
        dialog.keep.setValue(5)
        dialog.keep.editingFinished.emit()
        await until(lambda: volumes.asked)
        # Of a domain that is read anew just now nobody knows what it keeps.
        scene.latest = replace(TINY, config=UNREAD)
        dialog.keep.editingFinished.emit()
        await asyncio.sleep(0.01)
        assert volumes.asked == [("keep", 5)]

    scene.shows(TINY, [ROOT], work)


def test_the_dialog_closes_with_its_domain(scene: Scene) -> None:
    async def work(dialog: VolumesDialog, _volumes: Volumes) -> None:
        closed: list[int] = []
        dialog.finished.connect(closed.append)
        scene.latest = None
        await dialog.reload()
        assert closed == [0]

    scene.shows(WORK, [PRIVATE], work)
