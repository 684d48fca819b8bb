"""A talk with a server whose side is said here, in the words of each version."""

import getpass
import os
import platform

import pytest

from qubes_manager.viewers.protocol import packets
from qubes_manager.viewers.protocol.dialect import ProtocolBroken, UnknownServer
from qubes_manager.viewers.protocol.packets import Box, FromGuest, Greeting
from qubes_manager.viewers.protocol.session import GuestSession
from qubes_manager.viewers.wire.framing import RENCODE, RENCODEPLUS, FrameReader, frame
from qubes_manager.viewers.wire.rencode import Packet, Sayable, Value

_SERVERS = pytest.mark.parametrize(("version", "form"), [("3.1.3", RENCODE), ("6.5.5", RENCODEPLUS)])


def _greeted(version: str = "3.1.3") -> GuestSession:
    session = GuestSession()
    assert list(session.feed(f"qubes-manager-gui 1 xpra {version}\n".encode())) == [Greeting(version)]
    return session


def _heard(data: bytes, form: int = RENCODE) -> list[Packet]:
    found = list(FrameReader(form).feed(data))
    assert all(isinstance(packet, list) for packet in found)
    return [packet for packet in found if isinstance(packet, list)]


def _hear(session: GuestSession, *said: list[Sayable], form: int = RENCODE) -> list[FromGuest]:
    return list(session.feed(b"".join(frame(form, packet) for packet in said)))


@_SERVERS
def test_the_guest_greets_and_the_viewer_says_hello_in_the_form_of_its_version(version: str, form: int) -> None:
    session = _greeted(version)
    (hello,) = _heard(session.say(packets.ClientHello(1920, 1080, 120, packets.KeyboardLayout("de,us"))), form)
    assert hello[0] == b"hello"
    said: list[Sayable] = ["hello", {"version": version}]
    assert _hear(session, said, ["startup-complete"], form=form) == [
        packets.ServerHello(version),
        packets.StartupComplete(),
    ]


@_SERVERS
def test_of_the_host_the_guest_learns_the_screen_and_the_layout_alone(version: str, form: int) -> None:
    session = _greeted(version)
    said = session.say(packets.ClientHello(1920, 1080, 120, packets.KeyboardLayout("de", "neo", "ctrl:nocaps")))
    (hello,) = _heard(said, form)
    facts = {getpass.getuser(), platform.node(), *platform.uname(), str(os.getuid())}
    assert not [fact for fact in facts if len(fact) > 2 and fact.encode() in said]
    # What was said, bounds of ours, and the one key of a keymap that is the same everywhere.
    assert _numbers(hello) <= {0, 1, 1080, 1920, 120} | {64} | {38, 97}
    # Not how busy it is, nor how far away the guest is.
    assert _heard(session.say(packets.PingEcho(7)), form) == [[b"ping_echo", 7, 0, 0, 0, -1]]


def _numbers(value: Value) -> set[int]:
    match value:
        case bool():
            return set()
        case int():
            return {value}
        case list():
            return {number for item in value for number in _numbers(item)}
        case dict():
            return {number for item in value.values() for number in _numbers(item)}
        case _:
            return set()


def test_the_greeting_may_come_in_pieces_and_with_what_follows() -> None:
    session = GuestSession()
    assert not list(session.feed(b"qubes-manager-gui 1 xp"))
    found = list(session.feed(b"ra 3.1.3\n" + frame(RENCODE, ["ping", 7])))
    assert found == [Greeting("3.1.3"), packets.Ping(7)]


def test_a_guest_that_does_not_greet_has_tools_for_3_1() -> None:
    session = GuestSession()
    assert not list(session.feed(b""))
    assert session.assume_old_tools() == Greeting("3.1")
    assert _heard(session.say(packets.Focus(0))) == [[b"focus", 0, []]]
    assert _hear(session, ["hello", {"version": "3.1.3"}]) == [packets.ServerHello("3.1.3")]


def test_a_guest_that_greets_late_is_spoken_to_as_it_was_if_that_was_right() -> None:
    session = GuestSession()
    session.assume_old_tools()
    assert not list(session.feed(b""))
    assert not list(session.feed(b"qubes-manager-gui 1 "))
    assert list(session.feed(b"xpra 3.1.3\n" + frame(RENCODE, ["ping", 7]))) == [packets.Ping(7)]
    assert _hear(session, ["ping", 8]) == [packets.Ping(8)]
    late = GuestSession()
    late.assume_old_tools()
    with pytest.raises(ProtocolBroken, match="too slow"):
        list(late.feed(b"qubes-manager-gui 1 xpra 6.5.5\n"))


@pytest.mark.parametrize("line", [b"SSH-2.0-OpenSSH\n", bytes(200), b"qubes-manager-gui 1 xpra \n", b"\n"])
def test_who_greets_otherwise_is_not_the_bridge(line: bytes) -> None:
    with pytest.raises(ProtocolBroken):
        list(GuestSession().feed(line))


@pytest.mark.parametrize("version", ["7.0", "4.4.6", "2.5", "nonsense", "3.10"])
def test_a_version_that_is_not_known_is_said(version: str) -> None:
    with pytest.raises(UnknownServer, match=f"xpra {version}, and this program knows 3.1, 5 and 6"):
        list(GuestSession().feed(f"qubes-manager-gui 1 xpra {version}\n".encode()))


def test_newer_guest_tools_are_said() -> None:
    with pytest.raises(UnknownServer, match="with newer guest tools"):
        list(GuestSession().feed(b"qubes-manager-gui 2 xpra 6.5\n"))


def test_a_server_of_another_version_than_was_greeted_with_is_said() -> None:
    with pytest.raises(UnknownServer, match=r"xpra 7\.1"):
        _hear(_greeted("6.5.5"), ["hello", {"version": "7.1"}], form=RENCODEPLUS)


def test_what_is_no_packet_ends_the_session_in_plain_words() -> None:
    with pytest.raises(ProtocolBroken, match="its display server is not understood: what came is no packet"):
        list(_greeted().feed(b"Segmentation fault\n"))


def test_nothing_is_said_before_the_guest_has_greeted() -> None:
    with pytest.raises(ValueError, match="greeted"):
        GuestSession().say(packets.Focus(0))


def test_what_is_not_understood_is_dropped_and_counted_by_names_of_ours() -> None:
    session = _greeted()
    packets_of_theirs: list[list[Sayable]] = [
        ["notify_show", 1, "x"],
        ["x" * 1000],
        [7],
        ["ping", "soon"],
        ["draw"],
        ["new-window", 0, 0, 0, 1, 1, {}, {}],
        ["lost-window", 3],
    ]
    assert _hear(session, *packets_of_theirs) == [packets.LostWindow(3)]
    assert session.dropped == {
        "unknown": 1,
        "malformed": 2,
        "malformed ping": 1,
        "malformed draw": 1,
        "malformed new-window": 1,
    }


def test_the_server_hears_which_of_its_own_sizes_a_size_of_ours_came_after() -> None:
    session = _greeted()
    _hear(session, ["window-resized", 3, 10, 20, 5], ["window-move-resize", 4, 0, 0, 10, 20, 9])
    (said,) = _heard(session.say(packets.ConfigureWindow(3, Box(1, 2, 30, 40))))
    assert said == [b"configure-window", 3, 1, 2, 30, 40, {}, 5, {}, False]
    _hear(session, ["lost-window", 3])
    (said,) = _heard(session.say(packets.ConfigureWindow(3, Box(1, 2, 30, 40))))
    assert said[7] == 0


def test_a_wheel_that_turned_less_than_a_notch_says_nothing_yet() -> None:
    session = _greeted()
    assert session.say(packets.WheelMotion(1, 0, 400, 5, 6)) == b""
    assert _heard(session.say(packets.WheelMotion(1, 0, 700, 5, 6))) == [
        [b"button-action", 1, 5, True, [5, 6], [], []],
        [b"button-action", 1, 5, False, [5, 6], [], []],
    ]
