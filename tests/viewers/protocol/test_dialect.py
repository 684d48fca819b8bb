"""A hello says what is needed, and nothing of the host."""

import getpass
import os
import platform
import socket

import pytest

from qubes_manager.viewers.protocol.dialect import NEW, OLD, Dialect, UnknownServer, dialect_of, hello
from qubes_manager.viewers.protocol.packets import (
    ClientHello,
    Cursor,
    Draw,
    Greeting,
    KeyboardLayout,
    LostWindow,
    NewWindow,
    ServerHello,
    WindowIcon,
)
from qubes_manager.viewers.protocol.session import GuestSession
from qubes_manager.viewers.wire.rencode import encode
from tests.viewers.wire.corpus import conversations
from tests.viewers.wire.saying import FORMS

_HELLO = ClientHello(1920, 1080, 120, KeyboardLayout("de,ru", ",phonetic", "compose:menu"))


@pytest.mark.parametrize("dialect", [OLD, NEW], ids=["3.1", "6"])
def test_a_hello_says_nothing_of_the_host(dialect: Dialect) -> None:
    said = hello(dialect, _HELLO)
    raw = encode(said)
    for secret in (socket.gethostname(), platform.release(), platform.machine(), getpass.getuser()):
        assert secret.encode() not in raw
    # What the guest is told is the same on all machines, but for these.
    differing = {"desktop_size", "dpi", "dpi.x", "dpi.y", "keymap", "xkbmap_layout", "xkbmap_variant", "xkbmap_options"}
    other = hello(dialect, ClientHello(1, 1, 96))
    assert {key for key, value in said.items() if other[key] != value} <= differing
    assert not {"hostname", "username", "user", "uuid", "platform", "machine_id", "screen_sizes"} & set(said)
    assert os.environ.get("XDG_CURRENT_DESKTOP", "no desktop").encode() not in raw


def test_a_hello_asks_for_no_compression_but_that_of_pictures() -> None:
    for dialect in (OLD, NEW):
        said = hello(dialect, _HELLO)
        assert (said["compression_level"], said["zlib"], said["lz4"]) == (0, False, False)
        assert not [key for key in said if key.split(".")[-1] in ("lzo", "brotli", "zstd")]
        assert said["encodings"] == ("rgb32", "rgb24", "scroll")


@pytest.mark.parametrize(
    ("version", "dialect"),
    [
        ("3.1", OLD),
        ("3.1.3", OLD),
        ("3.1.9-r0", OLD),
        ("5.0.4", NEW),
        ("5.1", NEW),
        ("6.5.5", NEW),
        ("6.6-r37000M", NEW),
    ],
)
def test_versions_that_are_known(version: str, dialect: Dialect) -> None:
    assert dialect_of(version) is dialect


@pytest.mark.parametrize("version", ["3.0.13", "4.4.6", "7.0", "31.1", "6", "", "x6.5", "unknown"])
def test_versions_that_are_not(version: str) -> None:
    with pytest.raises(UnknownServer):
        dialect_of(version)


@pytest.mark.parametrize("version", FORMS)
def test_what_a_server_of_each_version_says_is_understood(version: str) -> None:
    session = GuestSession()
    heard = list(session.feed(f"qubes-manager-gui 1 xpra {version}\n".encode() + conversations()[version]))
    kinds = {Greeting, ServerHello, NewWindow, Draw, WindowIcon, Cursor, LostWindow}
    assert kinds <= {type(said) for said in heard}
    assert set(session.dropped) <= {"unknown"} and session.dropped["unknown"] <= 1
