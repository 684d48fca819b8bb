"""The dialog of a domain's firewall."""

import asyncio
import ipaddress
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.control import NetworkState
from qubes_manager.core.firewall.firewall import Firewall, Kind, parse_firewall
from qubes_manager.core.firewall.rules import Address, Protocol
from qubes_manager.ui.dialogs.firewall.firewall_dialog import FirewallDialog, parse_place

NAMES = {"example.org": "192.0.2.80", "192.0.2.80": "192.0.2.80", "10.0.0.1": "10.0.0.1", "127.0.0.1": "127.0.0.1"}
RULES = "accept example.org tcp 443 comment=the shop\ndrop 198.51.100.0/24"
Show = Callable[..., FirewallDialog]


async def look_up(name: str) -> list[Address]:
    return [ipaddress.ip_address(NAMES[name])] if name in NAMES else []


@pytest.fixture
def show(parent: QWidget) -> Show:
    def show(firewall: Firewall, state: NetworkState | None = None) -> FirewallDialog:
        async def tell() -> NetworkState | None:
            return state

        def spawn(work: Coroutine[Any, Any, object]) -> None:
            asyncio.run(work)

        return FirewallDialog(parent, "work", firewall, look_up, tell, spawn)

    return show


def chosen(dialog: FirewallDialog, kind: Kind) -> None:
    dialog.kind.setCurrentIndex(dialog.kind.findData(kind))


@pytest.mark.parametrize(
    "firewall", [Firewall(), Firewall(home=True), Firewall(()), parse_firewall(RULES, 0, home=True)]
)
def test_what_is_shown_and_left_alone_stays(show: Show, firewall: Firewall) -> None:
    dialog = show(firewall)
    assert dialog.firewall == firewall
    assert dialog.kind.currentData() is firewall.kind
    assert dialog.table.isVisibleTo(dialog) == (firewall.kind is Kind.ONLY_THESE)


def test_rules_are_added_edited_moved_and_taken_away(show: Show) -> None:
    dialog = show(parse_firewall(RULES, 0))
    dialog.buttons["Add"].click()
    item = dialog.table.currentItem()
    assert item
    item.setText(0, "drop")
    item.setText(1, "203.0.113.9")
    for _ in range(3):
        dialog.buttons["Up"].click()
    assert [str(rule.host) for rule in dialog.firewall.rules] == ["203.0.113.9/32", "example.org", "198.51.100.0/24"]
    dialog.buttons["Down"].click()
    assert str(dialog.firewall.rules[1].host) == "203.0.113.9/32"
    dialog.buttons["Remove"].click()
    assert dialog.firewall == parse_firewall(RULES, 0)


def test_a_rule_that_is_none_is_said_at_once_and_not_saved(show: Show) -> None:
    dialog = show(parse_firewall(RULES, 0))
    item = dialog.table.topLevelItem(1)
    assert item
    item.setText(3, "http")
    assert not dialog.ok.isEnabled()
    problems = [label.text() for label in dialog.findChildren(QLabel, "problem") if not label.isHidden()]
    assert ["rule 1, dstports" in text for text in problems] == [True]
    item.setText(2, "tcp")
    item.setText(3, "80")
    assert dialog.ok.isEnabled()


def test_everything_for_a_while_is_a_rule_before_all_others(show: Show) -> None:
    dialog = show(Firewall())
    dialog.minutes.setValue(5)
    dialog.buttons["Allow everything for…"].click()
    first, *others = dialog.firewall.rules
    assert first.expire is not None
    assert 290 <= first.expire - time.time() <= 301
    assert tuple(others) == Firewall().rules
    item = dialog.table.topLevelItem(0)
    assert item
    asyncio.run(dialog._show_state())
    assert item.text(5) in ("5:00 min", "4:59 min")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("example.org:443", "192.0.2.80 goes through: action=accept dsthost=example.org proto=tcp"),
        ("example.org", "192.0.2.80 goes through: action=accept dsthost=example.org proto=tcp"),
        ("udp:192.0.2.80:443", "192.0.2.80 is refused: no rule lets it through"),
        ("10.0.0.1:80", "10.0.0.1 is refused: the home network is switched off for this domain"),
        ("127.0.0.1:80", "127.0.0.1 is refused: no domain reaches this machine"),
        ("nobody.example:1", "nobody.example is not known"),
        ("example.org:x", "port: 'x' cannot be used"),
    ],
)
def test_what_would_become_of_a_connection_is_told(qtbot: QtBot, show: Show, place: str, said: str) -> None:
    dialog = show(parse_firewall(RULES, 0))
    dialog.try_out.setText(place)
    qtbot.waitUntil(lambda: bool(dialog.verdict.text()))
    assert dialog.verdict.text().replace("\u200b", "").startswith(said)


def test_what_went_through_each_rule_stands_beside_it(show: Show) -> None:
    state = NetworkState(
        "", parse_firewall(RULES, 0).lines, False, ((12, 4096), (0, 0)), (7, 500), ("example.org", "?")
    )
    dialog = show(parse_firewall(RULES, 0), state)
    item = dialog.table.topLevelItem(0)
    assert item
    assert item.text(6) == "?"
    assert "7 packets were refused" in dialog.way_out.text()
    state = NetworkState("pasta is gone", state.rules, False, state.counts, (0, 0))
    dialog = show(parse_firewall(RULES, 0), state)
    item = dialog.table.topLevelItem(0)
    assert item
    assert item.text(6) == "12 packets, 4.0 KiB"
    assert "no way out: pasta is gone" in dialog.way_out.text()


def test_cells_that_the_program_fills_are_not_edited(show: Show) -> None:
    dialog = show(parse_firewall(RULES, 0))
    item = dialog.table.topLevelItem(0)
    assert item
    for column in (5, 6):
        dialog.table.editItem(item, column)
        assert dialog.table.state() != dialog.table.State.EditingState


def test_places_are_read() -> None:
    assert parse_place("udp:example.org:53") == (Protocol.UDP, "example.org", 53)
    assert parse_place("[2001:db8::1]:80") == (Protocol.TCP, "2001:db8::1", 80)
    assert parse_place("2001:db8::1") == (Protocol.TCP, "2001:db8::1", 443)
    with pytest.raises(BadInput):
        parse_place("a:99999")


def test_each_control_has_a_name_and_rules_are_dragged(show: Show) -> None:
    dialog = show(parse_firewall(RULES, 0))
    for control in (dialog.kind, dialog.home, dialog.table, dialog.try_out, dialog.minutes):
        assert control.accessibleName(), control
    assert dialog.table.dragDropMode() == dialog.table.DragDropMode.InternalMove
    # A rule that is dropped on another comes between them, and none comes into another.
    item = dialog.table.topLevelItem(0)
    assert item
    assert not item.flags() & Qt.ItemFlag.ItemIsDropEnabled
