"""Text that others wrote, in every widget of the window: nothing of it is taken for markup, and no file is opened."""

import ast
import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import qasync
from PySide6.QtGui import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QDialog, QLabel, QMenu, QTextEdit, QWidget
from pytestqt.qtbot import QtBot

import qubes_manager.models
import qubes_manager.ui
from qubes_manager.core.applications import Application
from qubes_manager.core.devices.block import BlockDevice
from qubes_manager.core.devices.usb import UsbDevice
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState, Usage
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.firewall.control import NetworkState
from qubes_manager.core.firewall.firewall import parse_firewall
from qubes_manager.core.firewall.rules import Address
from qubes_manager.core.hardware import Disk
from qubes_manager.core.interfaces import Interface
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.core.policy.subject import System
from qubes_manager.core.settings import Settings
from qubes_manager.core.text import plain_tip
from qubes_manager.models.device_tree import Entry, Listing
from qubes_manager.services.assembly import Services
from qubes_manager.services.crossing.audit import Decider, Decision, Outcome
from qubes_manager.services.crossing.subjects import subjects
from qubes_manager.services.devices.kind import Holder, Offered
from qubes_manager.services.setup.host_check import Finding, Verdict
from qubes_manager.ui.devices.attach_dialog import AttachDialog
from qubes_manager.ui.dialogs.app_shortcuts_dialog import AppShortcutsDialog
from qubes_manager.ui.dialogs.firewall.firewall_dialog import FirewallDialog
from qubes_manager.ui.dialogs.hint_dialog import HintDialog
from qubes_manager.ui.dialogs.log_viewer import LogViewer
from qubes_manager.ui.dialogs.name_dialog import NameDialog, PassphraseDialog, SizeDialog
from qubes_manager.ui.dialogs.new_domain_dialog import NewDomainDialog, Offer
from qubes_manager.ui.dialogs.policy.policy_dialog import PolicyDialog
from qubes_manager.ui.dialogs.run_dialog import RunDialog
from qubes_manager.ui.dialogs.settings_dialog import SettingsDialog
from qubes_manager.ui.dialogs.setup_assistant import HostPage
from qubes_manager.ui.dialogs.template_dialog import TemplateDialog
from qubes_manager.ui.dialogs.volumes_dialog import VolumesDialog
from qubes_manager.ui.feedback.confirm import Confirmation
from qubes_manager.ui.feedback.jobs import Jobs
from qubes_manager.ui.feedback.message_bar import Level, MessageBar
from qubes_manager.ui.main_window import MainWindow
from tests.ui.conftest import run, shown_box, tip_says

# What a walk over all widgets is fed with; FIFO stands for a path that hangs whoever opens it.
MARKUP = "<img src='FIFO'><h1>big</h1><!-- &amp; <b>\x1b[31m\u202e"
EXEMPT = Path("look/plain.py")
PACKAGES = [Path(package.__file__ or "").parent for package in (qubes_manager.ui, qubes_manager.models)]
GUESSING = {"QLabel", "QMessageBox", "QErrorMessage", "QInputDialog", "QTextBrowser", "QTextEdit", "QToolTip"}
SAFE_CALLS = {"setToolTip": "plain_tip", "setWhatsThis": "plain_tip", "setWindowTitle": "window_title"}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path for path in sorted(package.rglob("*.py")) if not path.match(f"*/{EXEMPT}"))


def is_our_own(argument: ast.expr, helper: str) -> bool:
    match argument:
        case ast.Constant(value=str()) | ast.Constant(value=int()):
            return True
        case ast.IfExp(body=one, orelse=other):
            return is_our_own(one, helper) and is_our_own(other, helper)
        case ast.Call(func=ast.Name(id=name)):
            return name == helper
    return False


def test_only_one_module_makes_widgets_that_guess_what_is_markup() -> None:
    found = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.ImportFrom(module=str(module), names=names) if module.startswith("PySide6"):
                    found += [f"{path.name}: {alias.name}" for alias in names if alias.name in GUESSING]
                case ast.Attribute(attr="setHtml" | "appendHtml" | "insertHtml" | "setMarkdown" as name):
                    found.append(f"{path.name}: {name}")
    assert found == []


def test_every_tip_and_title_is_ours_or_made_plain() -> None:
    found = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr=name), args=[*_, text]) if helper := SAFE_CALLS.get(name):
                    found += [] if is_our_own(text, helper) else [f"{path.name}:{node.lineno}: {name}"]
    assert found == []


@pytest.fixture
def markup(tmp_path: Path) -> Iterator[str]:
    """Markup with a picture that is a FIFO; afterwards nobody has it open."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    yield MARKUP.replace("FIFO", str(fifo))
    QApplication.processEvents()
    # Without a reader this fails, as it must (ENXIO in open(2)).
    with pytest.raises(OSError, match="No such device"):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def hostile_domain(markup: str) -> Domain:
    config = DomainConfig(
        template=markup,
        notes=markup,
        tags=frozenset({markup}),
        virt_type=markup,
        machine=markup,
        disks=(Disk(markup, bus=markup, source=f"/{markup}"),),
        interfaces=(Interface(markup, source=markup),),
        others=((markup, markup),),
        gui_port=True,
    )
    return Domain(
        DomainKey("test:///x", "1"), markup, DomainState.HALTED, config=config, usage=Usage(addresses=(markup,))
    )


def hostile_devices(markup: str) -> list[Listing]:
    """Devices that call themselves markup, at a machine that does, which a domain of that name has."""
    drive = BlockDevice("/dev/sdb", vendor=markup, model=markup, filesystem=markup, label=markup, in_use=markup)
    stick = UsbDevice("2-1", 2, 4, "0781", "5581", markup, markup, markup)
    image = BlockDevice(f"/{markup}", kind="image")
    offered = tuple(Offered(one, (Holder(hostile_domain(markup), markup),)) for one in (drive, stick, image))
    return [Listing("qemu:///x", offered, trouble=markup)]


def check_devices(window: MainWindow) -> None:
    """Look at every cell and every line of a menu of the devices."""
    devices = window.devices
    for entry in devices.model.entries():
        place = devices.model.index_of(entry.key)
        for column in range(devices.model.columnCount()):
            check_tip(place.siblingAtColumn(column).data(Qt.ItemDataRole.ToolTipRole))
            for role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
                check_harmless(place.siblingAtColumn(column).data(role))
        devices.page.choose(entry.key)
        devices.page.more_button.menu().aboutToShow.emit()
    devices_menu = window.window_actions["device-list"].menu()
    assert isinstance(devices_menu, QMenu)
    devices_menu.aboutToShow.emit()
    for menu in window.findChildren(QMenu):
        for action in menu.actions():
            check_harmless(action.text())


def check_all(root: QWidget) -> int:
    """Look at every widget below *root*; returns how many texts were found that look like markup."""
    found = 0
    for widget in [root, *root.findChildren(QWidget)]:
        if isinstance(widget, QLabel):
            looks = Qt.mightBeRichText(widget.text()) or "<" in widget.text()
            found += looks
            assert not looks or widget.textFormat() is Qt.TextFormat.PlainText, widget.text()
            check_harmless(widget.text())
        if isinstance(widget, QTextEdit):
            found += "<" in widget.toPlainText()
            assert "<img" not in widget.toHtml()
        if isinstance(widget, QComboBox):
            for row in range(widget.count()):
                check_harmless(widget.itemText(row))
        check_tip(widget.toolTip())
        check_harmless(widget.windowTitle())
        check_harmless(widget.accessibleName())
    for menu in root.findChildren(QMenu):
        for action in menu.actions():
            check_tip(action.toolTip())
    return found


def check_tip(tip: str) -> None:
    if Qt.mightBeRichText(tip):
        # Markup of ours around text that is escaped: what is read holds the other's markup as text.
        assert tip.startswith("<p style='white-space: pre-wrap'>")
        assert tip.count("<") == 2
        check_harmless(tip_says(tip))


def check_harmless(text: str) -> None:
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_whole_window_takes_nothing_for_markup(
    qtbot: QtBot, loop: qasync.QEventLoop, services: Services, markup: str
) -> None:
    window = MainWindow(services, Settings(setup_offered=True))
    qtbot.addWidget(window)

    async def walk() -> None:
        services.store.put([hostile_domain(markup)])
        services.store.flush()
        window.devices.page.show_devices(hostile_devices(markup), [hostile_domain(markup)], is_listing=False)
        window.devices.show()
        window.show()
        check_devices(window)
        window.view.selectRow(0)
        window.applications.panel.tell_trouble(markup)
        for level in Level:
            window.messages.show_message(level, markup, details=markup, buttons=[("Do it", lambda: None)])
        window.messages.show_error(QubesManagerError(markup, markup))
        window.messages.show_progress(markup).update(markup, 1, 2)
        QApplication.processEvents()
        assert check_all(window) >= 15
        for column in range(window.model.columnCount()):
            index = window.model.index(0, column)
            check_tip(index.data(Qt.ItemDataRole.ToolTipRole) or "")
            check_harmless(index.data(Qt.ItemDataRole.DisplayRole))

    run(loop, walk())


def policy_dialog(parent: QWidget, services: Services, domain: Domain, markup: str) -> QDialog:
    (services.folders.policy / "include").mkdir(parents=True)
    (services.folders.policy / "30-user.policy").write_text(f"qubes.Filecopy * {markup}\n* * <b>a @tag:<b>b deny\n")
    services.audit.write(Decision(markup, markup, markup, markup, Outcome.REFUSED, Decider.POLICY, reason=markup))

    async def system() -> System:
        return subjects([domain])

    dialog = PolicyDialog(parent, services.policy_files, services.audit, system, asyncio.ensure_future)
    dialog.tabs.setCurrentWidget(dialog.decisions)
    return dialog


def firewall_dialog(parent: QWidget, markup: str) -> FirewallDialog:
    """A firewall whose keeper tells markup."""

    async def state() -> NetworkState:
        rules = "action=accept dsthost=a.example"
        return NetworkState(markup, rules, False, ((1, 1),), (1, 1), ("a.example", markup))

    async def look_up(_name: str) -> list[Address]:
        return []

    rules = parse_firewall("accept a.example", 0)
    dialog = FirewallDialog(parent, markup, rules, look_up, state, asyncio.ensure_future)
    dialog.try_out.setText(markup)
    return dialog


def dialogs(parent: QWidget, services: Services, domain: Domain, markup: str) -> list[QDialog]:
    """Each dialog, of a domain whose every text is markup; those of work begin to do it."""
    spawn = asyncio.ensure_future
    uri, key = domain.key.connection, domain.key
    app = Application("x", markup, comment=markup)
    return [
        NameDialog(parent, markup, "Make", markup, lambda _name: True),
        PassphraseDialog(parent, markup, markup),
        SizeDialog(parent, markup, 1 << 30),
        SettingsDialog(parent, domain, [domain], [(markup, markup)]),
        NewDomainDialog(parent, [Offer(uri, templates=(markup,), pools=(markup,))], lambda _uri, _name: True),
        RunDialog(parent, services.commands, [domain], spawn),
        AppShortcutsDialog(parent, domain, [app], spawn),
        AttachDialog(parent, Entry(uri, Offered(BlockDevice(f"/dev/{markup}", vendor=markup))), [domain], None),
        LogViewer(parent, services.logs, services.clipboards, spawn, domain, uri),
        VolumesDialog(
            parent, domain, lambda: services.store.get(key), services.volumes, services.roots, Jobs(MessageBar()), spawn
        ),
        TemplateDialog(parent, lambda _name: True),
        firewall_dialog(parent, markup),
        policy_dialog(parent, services, domain, markup),
    ]


def test_dialogs_take_nothing_for_markup(
    loop: qasync.QEventLoop, services: Services, parent: QWidget, markup: str
) -> None:
    domain = hostile_domain(markup)
    services.store.put([domain])

    async def walk() -> None:
        shown = dialogs(parent, services, domain, markup)
        for dialog in shown:
            dialog.show()
        # What they begin fails, since there is no connection, and says so.
        await asyncio.sleep(0.1)
        for dialog in shown:
            check_all(dialog)
            dialog.close()

    run(loop, walk())


def test_findings_about_the_host_take_nothing_for_markup(qtbot: QtBot, loop: qasync.QEventLoop, markup: str) -> None:
    async def found() -> list[Finding]:
        return [Finding(markup, verdict, markup, markup) for verdict in Verdict]

    page = HostPage(found)
    qtbot.addWidget(page)
    run(loop, page._fill())
    assert check_all(page) == len(Verdict)


def test_questions_take_nothing_for_markup(qtbot: QtBot, loop: qasync.QEventLoop, parent: QWidget, markup: str) -> None:
    domain = hostile_domain(markup)

    async def ask() -> None:
        asking = asyncio.ensure_future(Confirmation(parent, set()).ask(OPERATIONS["delete"], [domain], markup))
        box = await shown_box()
        assert check_all(box) == 2
        box.reject()
        await asking

    run(loop, ask())


def test_tips_and_huge_texts_stay_small(qtbot: QtBot, parent: QWidget, markup: str) -> None:
    parent.show()
    # A tool tip is a label that guesses; drawing it would open what it names.
    QLabel(plain_tip(markup), parent).grab()
    assert "<img" in tip_says(plain_tip(markup))
    bar = MessageBar()
    qtbot.addWidget(bar)
    huge = "<h1>x" * 1_000_000
    bar.show_message(Level.ERROR, huge, details=huge)
    assert len(bar.texts[0]) < 5000
    assert len(plain_tip(huge)) < 20_000


def test_a_hint_says_an_error_as_it_is(qtbot: QtBot, loop: qasync.QEventLoop, parent: QWidget, markup: str) -> None:
    async def fail() -> None:
        raise QubesManagerError(markup, markup)

    async def work() -> None:
        dialog = HintDialog(parent, asyncio.ensure_future)
        dialog.start(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert check_all(dialog.hint) == 1

    run(loop, work())
