"""What a domain's network lets through: everything, all but the home network, or what its rules say."""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Sequence

from PySide6.QtCore import QModelIndex, QObject, QPersistentModelIndex, Qt, QTimer
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from qubes_manager.core.errors import BadInput, QubesManagerError
from qubes_manager.core.firewall.control import NetworkState
from qubes_manager.core.firewall.firewall import Firewall, Kind, Packet, checked_rules
from qubes_manager.core.firewall.rules import Action, Address, FirewallRule, Protocol
from qubes_manager.core.sizes import format_size
from qubes_manager.core.text import one_cell
from qubes_manager.core.values import parse_number
from qubes_manager.services.network.firewalls import DNS_ADDRESSES
from qubes_manager.ui.dialogs.firewall.rows import ACTIONS, HEADS, PROTOCOLS, cells_of, rule_of
from qubes_manager.ui.dialogs.form_dialog import FormDialog, number_box
from qubes_manager.ui.dialogs.hint_dialog import Spawn
from qubes_manager.ui.look.fields import ComboBox
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.look.plain import PlainLabel

LookUp = Callable[[str], Awaitable[Sequence[Address]]]
ReadState = Callable[[], Awaitable[NetworkState | None]]
_UNTIL, _COUNT = len(HEADS), len(HEADS) + 1
_CHOICES = {0: ACTIONS, 2: PROTOCOLS}
_EXPIRE = Qt.ItemDataRole.UserRole
_KINDS = {
    Kind.EVERYTHING: "everything, the home network too",
    Kind.NO_HOME_NETWORK: "everything but the home network",
    Kind.ONLY_THESE: "only what these rules say",
}
_LOOK_MS, _PAUSE_MS = 2000, 400
# Of the columns but the last, which takes the rest.
_WIDTHS = (90, 170, 75, 75, 150, 80)


class FirewallDialog(FormDialog):
    """Shows and changes a firewall; ``firewall`` is what was entered.

    *look_up* tells addresses of names, *state* what goes through while the domain runs.
    """

    def __init__(
        self, parent: QWidget, name: str, firewall: Firewall, look_up: LookUp, state: ReadState, spawn: Spawn
    ) -> None:
        super().__init__(parent, f"Firewall of {name}", "Save")
        self.resize(900, 520)
        self._look_up, self._state, self._spawn = look_up, state, spawn
        self.kind = ComboBox()
        for kind, words in _KINDS.items():
            self.kind.addItem(words, kind)
        self.home = QCheckBox("Rules may lead into the home network")
        self.home.setToolTip("Private addresses, and whatever is on a link of this machine. This machine itself never")
        self.table = QTreeWidget()
        self._make_table()
        self.minutes = number_box(1, 24 * 60, 30, " min")
        self.try_out = QLineEdit()
        self.try_out.setPlaceholderText("example.org:443, or an address; udp:192.0.2.1:53")
        self.verdict = PlainLabel(wraps=True)
        self.way_out = PlainLabel(wraps=True)
        self._lay_out()
        self._fill(firewall)
        for signal in (self.kind.currentIndexChanged, self.table.itemChanged, self.home.toggled):
            signal.connect(self._judge)
        self.table.model().rowsInserted.connect(self._judge)
        self.table.model().rowsRemoved.connect(self._judge)
        # Names are looked up when nothing has been typed for a moment, not at each key.
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self._try)
        self.try_out.textChanged.connect(lambda: self._pause.start())
        self._judge()
        self.finish(self.kind)
        self._watch()

    def _make_table(self) -> None:
        table = self.table
        table.setHeaderLabels([*HEADS, "Until", "So far"])
        table.setRootIsDecorated(False)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        table.setItemDelegate(_Cells(table))
        for column, width in enumerate(_WIDTHS):
            table.setColumnWidth(column, width)

    def _lay_out(self) -> None:
        self.add_field("It reaches", self.kind)
        self.add_field("Home network", self.home)
        self.add_field("Rules", self.table, lambda: self.firewall)
        self.buttons = {name: QPushButton(name) for name in ("Add", "Remove", "Up", "Down", "Allow everything for…")}
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        for name, work in zip(
            self.buttons,
            (self._add, self._remove, lambda: self._move(-1), lambda: self._move(1), self._open_for),
            strict=True,
        ):
            button = self.buttons[name]
            button.setAutoDefault(False)
            button.clicked.connect(lambda _checked=False, do=work: do())
            layout.addWidget(button)
        self.minutes.setAccessibleName("Minutes")
        layout.addWidget(self.minutes)
        layout.addStretch(1)
        self.form.addRow("", row)
        self.add_field("What becomes of", self.try_out)
        for label in (self.verdict, self.way_out):
            self.form.addRow("", label)
        self.add_note(
            "The first rule that matches decides, and what none matches is refused. Connections that are forbidden by "
            "what you save are cut."
        )

    def _fill(self, firewall: Firewall) -> None:
        self.kind.setCurrentIndex(self.kind.findData(firewall.kind))
        self.home.setChecked(firewall.home)
        for rule in firewall.rules if firewall.kind is Kind.ONLY_THESE else ():
            self.table.addTopLevelItem(_item(rule))

    # What was entered.

    @property
    def firewall(self) -> Firewall:
        """The firewall; raises BadInput for the first rule that is none."""
        if (kind := self.kind.currentData()) is not Kind.ONLY_THESE:
            return Firewall(home=kind is Kind.EVERYTHING)
        rules = []
        for number in range(self.table.topLevelItemCount()):
            try:
                rules.append(self._rule(self._row(number)))
            except BadInput as error:
                raise BadInput(f"rule {number}, {error.field}", error.found, str(error).partition("; ")[2]) from None
        return Firewall(checked_rules(rules), self.home.isChecked())

    def _row(self, number: int) -> QTreeWidgetItem:
        item = self.table.topLevelItem(number)
        assert item
        return item

    @staticmethod
    def _rule(item: QTreeWidgetItem) -> FirewallRule:
        cells = [item.text(column) for column in range(len(HEADS))]
        return rule_of(cells, item.data(0, _EXPIRE), time.time())

    def _judge(self) -> None:
        only_these = self.kind.currentData() is Kind.ONLY_THESE
        for field in (self.home, self.table):
            self.show_field(field, only_these)
        for name, button in self.buttons.items():
            button.setVisible(only_these or name == "Allow everything for…")
        self.table.blockSignals(True)
        for number in range(self.table.topLevelItemCount()):
            item = self._row(number)
            try:
                self._rule(item)
                item.setIcon(0, icon("start" if item.text(0) == Action.ACCEPT else "kill"))
            except BadInput:
                item.setIcon(0, icon("warning"))
        self.table.blockSignals(False)
        self.validate()
        self._pause.start()

    # Rules.

    def _add(self) -> None:
        item = _item(FirewallRule(Action.ACCEPT))
        self.table.addTopLevelItem(item)
        self.table.setCurrentItem(item)
        self.table.editItem(item, 1)

    def _remove(self) -> None:
        if (item := self.table.currentItem()) is not None:
            self.table.takeTopLevelItem(self.table.indexOfTopLevelItem(item))

    def _move(self, by: int) -> None:
        item = self.table.currentItem()
        if item is None:
            return
        place = self.table.indexOfTopLevelItem(item)
        if 0 <= place + by < self.table.topLevelItemCount():
            self.table.takeTopLevelItem(place)
            self.table.insertTopLevelItem(place + by, item)
            self.table.setCurrentItem(item)

    def _open_for(self) -> None:
        """Let everything through for some minutes: a rule before all others, which goes by itself."""
        try:
            before = self.firewall
        except BadInput:
            return
        rule = FirewallRule(
            Action.ACCEPT, expire=int(time.time()) + 60 * self.minutes.value(), comment="everything, for a while"
        )
        if before.kind is not Kind.ONLY_THESE:
            self.table.clear()
            for present in before.rules:
                self.table.addTopLevelItem(_item(present))
            self.kind.setCurrentIndex(self.kind.findData(Kind.ONLY_THESE))
        self.table.insertTopLevelItem(0, _item(rule))

    # What would become of a connection.

    def _try(self) -> None:
        text = self.try_out.text().strip()
        if not text:
            self.verdict.setText("")
            return
        try:
            protocol, host, port = parse_place(text)
            firewall = self.firewall
        except QubesManagerError as error:
            self.verdict.setText(str(error))
            return
        self._spawn(self._decide(text, firewall, protocol, host, port))

    async def _decide(self, text: str, firewall: Firewall, protocol: Protocol, host: str, port: int) -> None:
        names = sorted(firewall.names)
        found = await asyncio.gather(self._look_up(host), *map(self._look_up, names))
        if self.try_out.text().strip() != text:
            return
        known = dict(zip(names, found[1:], strict=True))
        lines = []
        for address in found[0]:
            decision = firewall.decide(
                Packet(address, protocol, port), time.time(), lambda name: known.get(name, ()), DNS_ADDRESSES
            )
            if decision.barrier:
                why = decision.barrier.value
            else:
                rules = firewall.rules
                why = "no rule lets it through" if decision.rule is None else f"{rules[decision.rule]}"
            word = "goes through" if decision.action is Action.ACCEPT else "is refused"
            lines.append(f"{address} {word}: {why}")
        self.verdict.setText("\n".join(lines[:4]) or f"{host} is not known: nothing goes there by its name")

    # What goes through.

    def _watch(self) -> None:
        self._is_looking = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(_LOOK_MS)
        self.finished.connect(self._timer.stop)
        self._spawn(self._show_state())

    def _look(self) -> None:
        """Ask again, unless the answer before has not come yet."""
        if not self._is_looking:
            self._spawn(self._show_state())

    async def _show_state(self) -> None:
        self._is_looking = True
        try:
            await self._show_state_once()
        finally:
            self._is_looking = False

    async def _show_state_once(self) -> None:
        now = time.time()
        try:
            state = await self._state()
        except QubesManagerError as error:
            self.way_out.setText(str(error))
            return
        if not self._timer.isActive():
            return
        counts = dict(zip(state.rules.splitlines(), state.counts, strict=False)) if state else {}
        troubles = dict(zip(state.troubles[::2], state.troubles[1::2], strict=False)) if state else {}
        self.table.blockSignals(True)
        for number in range(self.table.topLevelItemCount()):
            self._show_row(self._row(number), counts, troubles, now)
        self.table.blockSignals(False)
        if state:
            way = f"there is no way out: {state.trouble}. " if state.trouble else ""
            self.way_out.setText(f"{way}{state.refused[0]} packets were refused so far.")

    def _show_row(
        self, item: QTreeWidgetItem, counts: dict[str, tuple[int, int]], troubles: dict[str, str], now: float
    ) -> None:
        expire = item.data(0, _EXPIRE)
        item.setText(_UNTIL, "" if expire is None else _left(expire - now))
        try:
            rule = self._rule(item)
        except BadInput:
            return
        packets, size = counts.get(str(rule)) or counts.get(rule.bare) or (0, 0)
        said = troubles.get(rule.name, "") or (f"{packets} packets, {format_size(size)}" if packets else "")
        item.setText(_COUNT, one_cell(said))


class _Cells(QStyledItemDelegate):
    """Editors of cells: a choice where there is one, none where the program tells."""

    def createEditor(
        self, parent: QWidget, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QWidget:
        if index.column() >= len(HEADS):
            return None  # type: ignore[return-value]  # Qt's word for “not to be edited”.
        if (choices := _CHOICES.get(index.column())) is None:
            return super().createEditor(parent, option, index)
        box = ComboBox(parent)
        box.addItems(choices)
        box.setCurrentText(str(index.data()))
        return box

    def setModelData(self, editor: QWidget, model: QObject, index: QModelIndex | QPersistentModelIndex) -> None:
        if isinstance(editor, ComboBox):
            model.setData(index, editor.currentText())  # type: ignore[attr-defined]
        else:
            super().setModelData(editor, model, index)  # type: ignore[arg-type]


def parse_place(text: str) -> tuple[Protocol, str, int]:
    """Return protocol, host and port of “udp:example.org:53”; TCP and 443 where nothing is said. Raises BadInput."""
    first, _, rest = text.partition(":")
    protocol, place = (Protocol(first), rest) if first in tuple(Protocol) else (Protocol.TCP, text)
    try:
        return protocol, str(ipaddress.ip_address(place.strip("[]"))), 443
    except ValueError:
        host, is_port, port = place.rpartition(":")
    if not is_port:
        return protocol, place, 443
    return protocol, host.strip("[]"), parse_number(port, "port", 0, 65535)


def _item(rule: FirewallRule) -> QTreeWidgetItem:
    item = QTreeWidgetItem([*cells_of(rule), "", ""])
    item.setData(0, _EXPIRE, rule.expire)
    flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
    item.setFlags(flags | Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsDragEnabled)
    return item


def _left(seconds: float) -> str:
    if seconds <= 0:
        return "over"
    return f"{int(seconds // 60)}:{int(seconds % 60):02d} min"
