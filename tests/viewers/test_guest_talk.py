"""The talk with a guest over its socket, in Qt's loop."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from pytestqt.qtbot import QtBot

from qubes_manager.guest.session import gui_bridge
from qubes_manager.viewers import guest_talk
from qubes_manager.viewers.guest_talk import GuestTalk
from qubes_manager.viewers.protocol.dialect import OLD, ProtocolBroken
from qubes_manager.viewers.protocol.packets import (
    ClientHello,
    CloseWindow,
    FromGuest,
    Greeting,
    LostWindow,
    ScreenChanged,
)
from qubes_manager.viewers.wire.framing import frame
from tests.waiting import PATIENCE

GREETING = b"qubes-manager-gui 1 xpra 3.1.3\n"


@dataclass
class Ear:
    """What was heard of a guest."""

    packets: list[FromGuest] = field(default_factory=list)
    pauses: int = 0
    ends: list[ProtocolBroken | str] = field(default_factory=list)

    def pause(self) -> None:
        self.pauses += 1


class Guest:
    """A guest's end of its socket, and the talk that the host has with it."""

    def __init__(self) -> None:
        self.host, self.socket = socket.socketpair()
        self.ear = Ear()

    def talk(self) -> GuestTalk:
        return GuestTalk(self.host, self.ear.packets.append, self.ear.pause, self.ear.ends.append)

    def close(self) -> None:
        self.socket.close()
        self.host.close()


@pytest.fixture
def guest() -> Iterator[Guest]:
    guest = Guest()
    yield guest
    guest.close()


def lost(wid: int) -> bytes:
    return frame(OLD.form, ["lost-window", wid])


def test_packets_come_in_order_and_each_lot_is_followed_by_a_pause(qtbot: QtBot, guest: Guest) -> None:
    ear, _talk = guest.ear, guest.talk()
    guest.socket.sendall(GREETING + lost(1) + lost(2))
    qtbot.waitUntil(lambda: len(ear.packets) == 3)
    assert ear.packets == [Greeting("3.1.3"), LostWindow(1), LostWindow(2)]
    assert ear.pauses >= 1


def test_screens_may_change_before_the_guest_has_greeted(qtbot: QtBot, guest: Guest) -> None:
    ear, talk = guest.ear, guest.talk()
    talk.say(ScreenChanged(100, 100, 96))
    guest.socket.sendall(GREETING)
    qtbot.waitUntil(lambda: ear.packets == [Greeting("3.1.3")])
    talk.say(ClientHello(100, 100))
    guest.socket.settimeout(PATIENCE)
    assert b"hello" in guest.socket.recv(100) and ear.ends == []


def test_a_bridge_that_missed_its_hosts_coming_greets_in_time_and_an_old_server_waits_long_enough() -> None:
    # Of 3.1: seconds until it drops a client that says nothing (its server_core.py, _accept_timeout).
    accepts = 21
    assert gui_bridge.LONGEST_WAIT < guest_talk._GREETING_PATIENCE / 1000 < accepts


def test_a_guest_without_a_greeting_has_older_tools(
    qtbot: QtBot, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_talk, "_GREETING_PATIENCE", 10)
    ear, talk = guest.ear, guest.talk()
    qtbot.waitUntil(lambda: bool(ear.packets))
    assert ear.packets == [Greeting(OLD.name)]
    talk.say(ClientHello(100, 100))
    guest.socket.settimeout(PATIENCE)
    assert guest.socket.recv(1) == b"P"


def test_a_flood_of_small_packets_lets_the_loop_turn(
    qtbot: QtBot, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_talk, "_SLICE", 0)
    ear, _talk = guest.ear, guest.talk()
    guest.socket.sendall(GREETING + b"".join(lost(wid) for wid in range(1, 101)))
    qtbot.waitUntil(lambda: len(ear.packets) == 101)
    assert ear.pauses >= 100
    assert ear.packets[-1] == LostWindow(100)


def test_what_is_not_understood_ends_the_talk(qtbot: QtBot, guest: Guest) -> None:
    ear, _talk = guest.ear, guest.talk()
    guest.socket.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    qtbot.waitUntil(lambda: bool(ear.ends))
    assert isinstance(ear.ends[0], ProtocolBroken)
    guest.socket.sendall(GREETING)
    qtbot.wait(50)
    assert not ear.packets


def test_the_end_of_the_connection_is_told_once(qtbot: QtBot, guest: Guest) -> None:
    ear, talk = guest.ear, guest.talk()
    guest.socket.sendall(GREETING)
    guest.socket.close()
    qtbot.waitUntil(lambda: bool(ear.ends))
    talk.say(CloseWindow(1))
    assert ear.ends == ["the guest closed the connection"]


def test_a_guest_that_does_not_read_is_hung_up_on(qtbot: QtBot, guest: Guest) -> None:
    ear, talk = guest.ear, guest.talk()
    guest.socket.sendall(GREETING)
    qtbot.waitUntil(lambda: bool(ear.packets))
    for wid in range(1 << 20):
        talk.say(CloseWindow(wid))
        if ear.ends:
            break
    assert ear.ends == ["the guest does not read"]


def test_what_is_dropped_is_logged_by_kind_in_a_few_lines(
    qtbot: QtBot, guest: Guest, capsys: pytest.CaptureFixture[str]
) -> None:
    ear, _talk = guest.ear, guest.talk()
    guest.socket.sendall(GREETING + frame(OLD.form, ["bell", 1]) * 250 + frame(OLD.form, ["lost-window"]) + lost(1))
    qtbot.waitUntil(lambda: LostWindow(1) in ear.packets)
    guest.socket.close()
    qtbot.waitUntil(lambda: bool(ear.ends))
    said = capsys.readouterr().err.splitlines()
    assert said[-1].endswith("1 not understood: malformed lost-window")
    assert 1 <= len(said) - 1 <= 3
    assert all(line.endswith(" not understood: unknown") for line in said[:-1])


def test_what_comes_too_fast_waits_in_order_and_what_was_drawn_is_shown_meanwhile(qtbot: QtBot, guest: Guest) -> None:
    ear, waits = guest.ear, [0.0]
    _talk = GuestTalk(guest.host, ear.packets.append, ear.pause, ear.ends.append, lambda: waits[0])
    guest.socket.sendall(GREETING)
    qtbot.waitUntil(lambda: len(ear.packets) == 1)
    waits[0] = 0.001
    before = ear.pauses
    guest.socket.sendall(b"".join(lost(wid) for wid in range(1, 6)))
    qtbot.waitUntil(lambda: len(ear.packets) == 6)
    assert ear.packets[1:] == [LostWindow(wid) for wid in range(1, 6)]
    # One packet at a time.
    assert ear.pauses >= before + 5
