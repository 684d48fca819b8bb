"""Block devices and images: which are offered to whom, and what is said of each attempt."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
import qasync
from PySide6.QtWidgets import QWidget

from qubes_manager.core.devices import BlockDevice, DiskRequest
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import QubesManagerError, Refused, TimedOut
from qubes_manager.core.events import HostEvent, HostEventKind
from qubes_manager.core.hardware import Disk
from qubes_manager.services.assembly import Services
from qubes_manager.services.devices.block_devices import BlockDevices, OfferedDevice
from qubes_manager.ui.dialogs.devices_dialog import DevicesDialog
from tests.build import domain
from tests.ui.conftest import run, tip_says
from tests.waiting import until

URI = "test:///default"


def here(name: str, *disks: Disk) -> Domain:
    return domain(name, key=DomainKey(URI, name), config=DomainConfig(disks=disks))


WORK, BANK = here("work"), here("bank", Disk("sda", "usb", source="/dev/sdb"), Disk("sdz", "sata", kind="cdrom"))
TWO_DRIVES = here(
    "two-drives", Disk("sda", "sata", kind="cdrom"), Disk("sdb", "sata", kind="cdrom", source="/iso/b.iso")
)
STICK = BlockDevice("/dev/sdc", bus="usb", vendor="ACME", model="Stick\n\x1b[31m", serial="\x07S1", size=8 << 30)
FREE, HELD = OfferedDevice(STICK), OfferedDevice(BlockDevice("/dev/sdb"), ((BANK, BANK.config.disks[0]),))


class Offers(BlockDevices):
    """Stands in for the machine's drives: offers what a test says, and notes what is asked."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.hosts, services.store, services.uses)
        self.found = [FREE, HELD]
        self.asked: list[object] = []
        self.refusal: QubesManagerError | None = None

    async def offered(self, uri: str) -> list[OfferedDevice]:
        assert uri == URI
        return list(self.found)

    async def attach(self, key: DomainKey, request: DiskRequest) -> str:
        self._note(key, request)
        return "sdd"

    async def detach(self, key: DomainKey, target: str, timeout: float = 0) -> None:
        self._note("detach", key, target)

    async def insert(self, key: DomainKey, target: str, source: str) -> None:
        self._note("insert", key, target, source)

    async def eject(self, key: DomainKey, target: str) -> None:
        self._note("eject", key, target)

    def _note(self, *what: object) -> None:
        self.asked.append(what)
        if self.refusal:
            raise self.refusal


class Scene:
    """The dialog over libvirt's test driver, of which only the connection counts."""

    def __init__(self, parent: QWidget, loop: qasync.QEventLoop, services: Services) -> None:
        self._parent, self._loop, self._services = parent, loop, services
        self.offers = Offers(services)

    def shows(self, work: Callable[[DevicesDialog], Awaitable[None]], chosen: Domain | None = None) -> None:
        """Do *work* with the dialog once it has shown the devices for the first time."""

        async def all_of_it() -> None:
            services = self._services
            dialog = DevicesDialog(
                self._parent, services.hosts, services.store, self.offers, self._loop.create_task, URI, chosen
            )
            await until(lambda: dialog.tree.topLevelItemCount() == len(self.offers.found))
            await work(dialog)
            dialog.reject()

        run(self._loop, all_of_it())

    def add(self, domain: Domain) -> None:
        """Let the host have one more domain."""
        self._services.store.put([domain])

    def plug(self, device: OfferedDevice) -> None:
        """Add a device, as the host tells it."""
        self.offers.found.append(device)
        self._services.hosts.connection(URI).announce(HostEvent(HostEventKind.NODE_DEVICES))


@pytest.fixture
def scene(parent: QWidget, loop: qasync.QEventLoop, services: Services) -> Iterator[Scene]:
    async def connect() -> None:
        await services.hosts.load(URI)
        services.store.put([WORK, BANK, replace(here("gone"), stale=True)])

    run(loop, connect())
    yield Scene(parent, loop, services)
    run(loop, services.hosts.close())


def rows(dialog: DevicesDialog) -> list[list[str]]:
    items = [dialog.tree.topLevelItem(n) for n in range(dialog.tree.topLevelItemCount())]
    return [[item.text(column) for column in range(4)] for item in items if item]


def choose(dialog: DevicesDialog, row: int, domain: str = "work") -> None:
    dialog.tree.clearSelection()
    item = dialog.tree.topLevelItem(row)
    assert item
    item.setSelected(True)
    dialog.domain.setCurrentIndex(dialog.domain.findText(domain))


def enabled(dialog: DevicesDialog) -> set[str]:
    buttons = {
        "attach": dialog.attach_button,
        "detach": dialog.detach_button,
        "insert": dialog.insert_button,
        "eject": dialog.eject_button,
    }
    return {name for name, button in buttons.items() if button.isEnabled()}


def test_each_device_is_a_line_with_who_has_it_whatever_it_calls_itself(scene: Scene) -> None:
    async def work(dialog: DevicesDialog) -> None:
        assert rows(dialog) == [
            ["sdc", "ACME Stick (8.0 GiB)", "S1", ""],
            ["sdb", "disk", "", "bank (sda)"],
        ]
        assert dialog.hint.text().startswith("Nothing is attached by itself.")
        scene.offers.found = []
        await dialog.reload()
        assert dialog.hint.text().startswith("The host offers no block device.")

    scene.shows(work)


def test_domains_that_are_there_are_offered_and_the_chosen_one_is_proposed(scene: Scene) -> None:
    async def work(dialog: DevicesDialog) -> None:
        names = [dialog.domain.itemText(n) for n in range(dialog.domain.count())]
        # The test driver has one of its own.
        assert names == ["bank", "test", "work"], "neither the host nor what is not connected"
        assert dialog.domain.currentText() == "work"

    scene.shows(work, WORK)


def test_only_what_can_be_done_is_offered(scene: Scene) -> None:
    scene.offers.found += [
        OfferedDevice(BlockDevice("/dev/sr0", "optical drive", media=False)),
        OfferedDevice(BlockDevice("/dev/sda", in_use="mounted on /")),
        OfferedDevice(BlockDevice("/home/u/install.iso", "image")),
    ]

    async def work(dialog: DevicesDialog) -> None:
        assert "attach" not in enabled(dialog), "nothing is chosen"
        expected: dict[tuple[int, str], set[str]] = {
            (0, "work"): {"attach"},
            (0, "bank"): {"attach", "eject"},
            (1, "work"): {"detach"},
            (2, "work"): set(),
            (2, "bank"): {"insert", "eject"},
            (3, "work"): set(),
            (4, "work"): {"attach"},
            (4, "bank"): {"attach", "insert", "eject"},
        }
        for (row, name), wanted in expected.items():
            choose(dialog, row, name)
            assert enabled(dialog) == wanted, (row, name)

    scene.shows(work)


def test_it_is_attached_as_the_fields_say_and_the_place_is_told(scene: Scene) -> None:
    async def work(dialog: DevicesDialog) -> None:
        choose(dialog, 0)
        dialog.persistent.setChecked(True)
        dialog.bus.setCurrentText("virtio")
        dialog.attach_button.click()
        await until(lambda: dialog.hint.text() == "work has /dev/sdc as sdd.")
        request = DiskRequest("/dev/sdc", True, bus="virtio", persistent=True)
        assert scene.offers.asked == [(WORK.key, request)]

    scene.shows(work)


def test_what_can_only_be_read_is_attached_so(scene: Scene) -> None:
    scene.offers.found = [OfferedDevice(replace(STICK, read_only=True)), OfferedDevice(BlockDevice("/i.img", "image"))]

    async def work(dialog: DevicesDialog) -> None:
        for row in (0, 1):
            choose(dialog, row)
            dialog.attach_button.click()
            await until(lambda: dialog.hint.text().startswith("work has"))
            dialog.hint.clear()
        assert scene.offers.asked == [
            (WORK.key, DiskRequest("/dev/sdc", True, read_only=True)),
            (WORK.key, DiskRequest("/i.img", False)),
        ]

    scene.shows(work)


def test_a_refusal_is_said_with_libvirt_s_words_behind_it_and_the_devices_read_anew(scene: Scene) -> None:
    scene.offers.refusal = Refused("“bank” uses /dev/sdc: detach it there first", "error: <b>\n  line two")

    async def work(dialog: DevicesDialog) -> None:
        choose(dialog, 0)
        scene.offers.found = [HELD, FREE]
        dialog.attach_button.click()
        await until(lambda: dialog.hint.text() == "⚠ “bank” uses /dev/sdc: detach it there first")
        assert tip_says(dialog.hint.toolTip()) == "error: <b>\n  line two"
        assert [row[0] for row in rows(dialog)] == ["sdb", "sdc"]

    scene.shows(work)


def test_it_is_detached_from_all_who_have_it_and_who_keeps_it_is_said(scene: Scene) -> None:
    disk = Disk("vdz", "virtio", source="/dev/sdb")
    scene.offers.found = [replace(HELD, holders=(*HELD.holders, (WORK, disk)))]

    async def work(dialog: DevicesDialog) -> None:
        choose(dialog, 0)
        dialog.detach_button.click()
        await until(lambda: dialog.hint.text() == "work no longer has /dev/sdb.")
        assert scene.offers.asked == [("detach", BANK.key, "sda"), ("detach", WORK.key, "vdz")]
        scene.offers.refusal = TimedOut("“bank” keeps sda")
        dialog.detach_button.click()
        await until(lambda: dialog.hint.text() == "⚠ “bank” keeps sda")
        assert len(scene.offers.asked) == 3, "the others are left alone"

    scene.shows(work)


def test_each_drive_is_offered_with_its_disc_and_the_chosen_one_is_used(scene: Scene) -> None:
    scene.offers.found = [OfferedDevice(BlockDevice("/iso/install.iso", "image"))]

    async def work(dialog: DevicesDialog) -> None:
        choose(dialog, 0, "two-drives")
        assert [dialog.drive.itemText(n) for n in range(dialog.drive.count())] == ["sda: empty", "sdb: /iso/b.iso"]
        dialog.drive.setCurrentIndex(1)
        dialog.insert_button.click()
        await until(lambda: dialog.hint.text() == "/iso/install.iso is in the drive sdb of two-drives.")
        # What is chosen stays chosen.
        dialog.eject_button.click()
        await until(lambda: dialog.hint.text() == "The drive sdb of two-drives is empty.")
        choose(dialog, 0, "work")
        assert dialog.drive.count() == 0 and not dialog.drive.isEnabled()

    scene.add(TWO_DRIVES)
    scene.shows(work)


def test_a_disc_goes_into_the_drive_of_the_domain_and_out_again(scene: Scene) -> None:
    scene.offers.found = [OfferedDevice(BlockDevice("/iso/install.iso", "image"))]

    async def work(dialog: DevicesDialog) -> None:
        choose(dialog, 0, "bank")
        dialog.insert_button.click()
        await until(lambda: dialog.hint.text() == "/iso/install.iso is in the drive sdz of bank.")
        dialog.eject_button.click()
        await until(lambda: dialog.hint.text() == "The drive sdz of bank is empty.")
        assert scene.offers.asked == [("insert", BANK.key, "sdz", "/iso/install.iso"), ("eject", BANK.key, "sdz")]

    scene.shows(work)


def test_a_stick_that_is_plugged_in_appears_and_what_was_chosen_stays_so(scene: Scene) -> None:
    async def work(dialog: DevicesDialog) -> None:
        choose(dialog, 1)
        scene.plug(OfferedDevice(BlockDevice("/dev/sdd")))
        await until(lambda: "sdd" in [row[0] for row in rows(dialog)])
        assert [item.text(0) for item in dialog.tree.selectedItems()] == ["sdb"]
        assert scene.offers.asked == [], "nothing is attached by itself"

    scene.shows(work)


def test_an_image_that_was_added_is_chosen_and_listed_once(scene: Scene) -> None:
    async def work(dialog: DevicesDialog) -> None:
        path = "/home/u/<b>disk.img"
        dialog.add_image(path)
        await until(lambda: [item.text(0) for item in dialog.tree.selectedItems()] == [path])
        scene.offers.found.append(OfferedDevice(BlockDevice(path, "image")))
        await dialog.reload()
        assert [row[0] for row in rows(dialog)].count(path) == 1
        assert [tip_says(item.toolTip(0)) for item in dialog.tree.selectedItems()] == [path]

    scene.shows(work)


def test_a_closed_dialog_reads_no_more(scene: Scene) -> None:
    async def work(dialog: DevicesDialog) -> None:
        dialog.reject()
        await until(lambda: not dialog._watching.running)
        scene.plug(OfferedDevice(BlockDevice("/dev/sdd")))
        assert len(rows(dialog)) == 2

    scene.shows(work)
