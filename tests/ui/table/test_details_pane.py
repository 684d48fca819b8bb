"""The chosen domain at a glance, whatever it is called and whatever stands in its notes."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from qubes_manager.core.domain import (
    HOST_UUID,
    UNREAD,
    Activity,
    DomainClass,
    DomainConfig,
    DomainKey,
    DomainState,
    Usage,
)
from qubes_manager.core.hardware import Disk
from qubes_manager.core.interfaces import Interface
from qubes_manager.ui.look.plain import PlainField
from qubes_manager.ui.table.details_pane import DetailsPane, hardware, overview
from tests.build import domain

MARKUP = "<img src='/etc/hostname'><b>x</b>"
HOSTILE = DomainConfig(
    template=MARKUP,
    notes=f"{MARKUP}\n\x1b[31mred\x07\u202e" + "y" * 5000,
    tags=frozenset({MARKUP}),
    virt_type=MARKUP,
    machine=MARKUP,
    disks=(Disk(MARKUP, bus=MARKUP, source=f"/{MARKUP}"),),
    interfaces=(Interface(MARKUP, source=MARKUP),),
    others=((MARKUP, MARKUP),),
)


@pytest.fixture
def pane(qtbot: QtBot) -> DetailsPane:
    pane = DetailsPane()
    qtbot.addWidget(pane)
    return pane


def labels(pane: DetailsPane) -> list[QLabel]:
    body = pane.widget()
    return body.findChildren(QLabel) if body else []


def fields(pane: DetailsPane) -> list[PlainField]:
    body = pane.widget()
    return body.findChildren(PlainField) if body else []


def title(pane: DetailsPane) -> str:
    """What stands beside the picture, on top."""
    return labels(pane)[1].text()


def test_nothing_that_a_domain_says_of_itself_is_taken_for_markup(pane: DetailsPane) -> None:
    shown = domain(MARKUP, config=HOSTILE, usage=Usage(addresses=(MARKUP,)))
    pane.show_domains([shown])
    marked = [label for label in labels(pane) if "<" in label.text()]
    assert [label.text() for label in marked if label.textFormat() is not Qt.TextFormat.PlainText] == []
    texts = [field.toPlainText() for field in fields(pane) if "<" in field.toPlainText()]
    assert len(marked) + len(texts) >= 11
    assert all(MARKUP in text for text in texts)


def test_what_is_copied_is_what_it_says_to_the_letter(pane: DetailsPane) -> None:
    """virsh takes a UUID or a path from here."""
    path = "/var/lib/libvirt/images/a-long-name-that-has-to-break-somewhere-in-the-pane.qcow2"
    config = DomainConfig(disks=(Disk("vda", "virtio", source=path),))
    shown = domain("work", config=config)
    pane.resize(280, 600)
    pane.show_domains([shown])
    pane.show()
    copied = []
    for field in fields(pane):
        field.selectAll()
        field.copy()
        copied.append(QGuiApplication.clipboard().text())
        assert field.width() <= 280
    assert shown.key.uuid in copied
    assert f"{path} (virtio)" in copied
    # A long one takes several lines, and no scroll bar.
    (long,) = [field for field in fields(pane) if path in field.toPlainText()]
    assert long.height() > 1.5 * fields(pane)[0].height()


def test_notes_are_one_line_of_bounded_length_without_escapes() -> None:
    notes = dict(overview(domain(config=HOSTILE), HOSTILE))["Notes"]
    assert notes.startswith(f"{MARKUP} redyyy")
    assert len(notes) == 400


def test_the_overview_says_what_the_table_has_no_room_for() -> None:
    config = DomainConfig(template="debian", revision=3, trial=4, tags=frozenset({"b", "a"}))
    rows = dict(overview(domain(config=config, outdated=True, persistent=False, agent=False), config))
    assert rows["Template"] == "debian (has a newer system: restart to update)"
    assert rows["Revision"] == "3; revision 4 is being written"
    assert (rows["Tags"], rows["Label"]) == ("a, b", "none")
    assert (rows["Kept by libvirt"], rows["Guest agent"]) == ("no, transient", "silent")
    assert dict(overview(domain(activity=Activity.STARTING), config))["State"] == Activity.STARTING.value


def test_the_overview_says_whether_it_is_heard() -> None:
    key, app = DomainKey("qemu:///session", "1"), DomainConfig(klass=DomainClass.APP, muted=True)
    halted = DomainState.HALTED
    assert dict(overview(domain(key=key, state=halted, config=app), app))["Sound"] == "muted"
    assert "Sound" not in dict(overview(domain(key=key, state=halted), DomainConfig()))


def test_of_an_unread_domain_there_is_no_class_and_of_the_host_no_agent() -> None:
    assert dict(overview(domain(config=UNREAD), UNREAD))["Class"] == ""
    host = replace(domain("dom0", config=UNREAD), key=DomainKey("test:///x", HOST_UUID))
    assert overview(host, UNREAD) == [
        ("State", "Running"),
        ("Label", "black"),
        ("Class", "AdminVM"),
        ("Connection", "test:///x"),
    ]


def test_the_hardware_names_each_disk_and_counts_what_is_equal() -> None:
    config = DomainConfig(
        initial_memory_kib=1 << 20,
        vcpus=2,
        virt_type="qemu",
        emulated=True,
        disks=(
            Disk("vda", "virtio", source="/v/root.qcow2", transient=True),
            Disk("vdb", "virtio", source="/v/private", read_only=True, encrypted=True),
            Disk("sda", "sata", kind="cdrom"),
        ),
        interfaces=(Interface("network", "default", "52:54:00:00:00:01", "virtio"), Interface("user")),
        others=(("controller", "usb"), ("video", "virtio"), ("controller", "usb"), ("controller", "sata")),
    )
    assert hardware(domain(config=config), config) == [
        ("Memory", "1.0 GiB"),
        ("Processors", "2"),
        ("Virtualisation", "qemu (software emulation: slow)"),
        ("Disk vda", "/v/root.qcow2 (virtio, thrown away at its end)"),
        ("Disk vdb", "/v/private (virtio, read-only, encrypted)"),
        ("Disk sda", "empty (sata, optical)"),
        ("Network", "network default virtio 52:54:00:00:00:01"),
        ("Network", "open: reaches this machine’s own services"),
        ("Controller", "usb × 2, sata"),
        ("Video", "virtio"),
    ]


def test_a_network_of_its_own_is_called_so() -> None:
    emulator = "/home/me/.local/share/qubes-manager/network/qemu-system-x86_64"
    config = DomainConfig(interfaces=(Interface("user", mac="52:54:00:00:00:01"),), emulator=emulator)
    assert ("Network", "isolated 52:54:00:00:00:01") in hardware(domain(config=config), config)
    # What libvirt has served by passt is on this machine's network, whoever starts QEMU.
    config = replace(config, interfaces=(Interface("user", backend="passt"),))
    assert ("Network", "open: reaches this machine’s own services") in hardware(domain(config=config), config)


def test_with_none_or_many_chosen_it_says_so(pane: DetailsPane) -> None:
    def hint() -> str:
        label = pane.widget()
        assert isinstance(label, QLabel)
        return label.text()

    assert hint() == "Choose a domain to see its details."
    pane.show_domains([domain("work")])
    assert title(pane) == "work"
    pane.show_domains([domain("a"), domain("b")])
    assert hint() == "2 domains chosen."
    pane.show_domains([domain("work")])
    assert title(pane) == "work", "what was shown before is shown again"


def test_figures_that_change_nothing_here_leave_the_pane_as_it_is(pane: DetailsPane) -> None:
    pane.show_domains([domain("work")])
    body = pane.widget()
    pane.show_domains([domain("work", usage=Usage(cpu_history=(1.0, 2.0)))])
    assert pane.widget() is body
    pane.show_domains([domain("work", agent=True)])
    assert pane.widget() is not body


def test_a_domain_that_was_renamed_has_its_new_name_here_too(pane: DetailsPane) -> None:
    work = domain("work")
    pane.show_domains([work])
    pane.show_domains([replace(work, name="play")])
    assert title(pane) == "play"
