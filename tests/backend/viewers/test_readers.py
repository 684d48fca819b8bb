"""A viewer's way to screen readers: when there is one, how long it lasts, and what a hostile viewer gets."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.viewers import readers
from qubes_manager.backend.viewers.readers import way_to_readers
from tests.backend.viewers.accessibility_bus import set_wanted, with_bus
from tests.screen import Screen
from tests.waiting import PATIENCE, until

REGISTRY, ROOT = "org.a11y.atspi.Registry", "/org/a11y/atspi/accessible/root"
KEYS = "/org/a11y/atspi/registry/deviceeventcontroller"
CONTROLLER = "org.a11y.atspi.DeviceEventController"
OTHER = """
import sys
from gi.repository import Gio, GLib
kind = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], kind)
Gio.bus_own_name_on_connection(bus, "org.example.Other", 0, lambda *_: print("there", flush=True), None)
GLib.MainLoop().run()
"""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Screen]:
    """A desktop's buses, on which a screen reader runs."""
    with with_bus(tmp_path) as screen:
        yield screen


def said(address: str, *words: str) -> str:
    """What a bus answers to a message."""
    done = subprocess.run(
        ["dbus-send", f"--bus={address}", "--print-reply", "--reply-timeout=5000", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


async def test_there_is_a_way_where_a_screen_reader_runs(bus: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    async with way_to_readers(bus.environment) as way:
        assert way
    set_wanted(bus, False)
    async with way_to_readers(bus.environment) as way:
        assert way is None
    set_wanted(bus, True)
    async with way_to_readers({**bus.environment, "DBUS_SESSION_BUS_ADDRESS": ""}) as way:
        assert way is None
    monkeypatch.setattr(readers, "_PROXY", "no-such-proxy")
    async with way_to_readers(bus.environment) as way:
        assert way is None


@pytest.fixture
def address(bus: Screen) -> str:
    """The accessibility bus itself."""
    return bus.run("xprop", "-root", "AT_SPI_BUS").split('"')[1]


@pytest.fixture
def other(address: str) -> Iterator[None]:
    """Another program on the bus, called org.example.Other."""
    program = subprocess.Popen(["/usr/bin/python3", "-c", OTHER, address], stdout=subprocess.PIPE)
    assert program.stdout and program.stdout.readline()
    yield
    program.kill()
    program.wait(PATIENCE)
    program.stdout.close()


async def test_one_that_was_taken_over_reads_and_presses_nothing_of_others(
    bus: Screen, address: str, other: None
) -> None:
    count = ("org.freedesktop.DBus.Properties.Get", "string:org.a11y.atspi.Accessible", "string:ChildCount")
    press = (f"{CONTROLLER}.GenerateKeyboardEvent", "int32:38", "string:", "uint32:0")
    hear = (f"{CONTROLLER}.GetKeystrokeListeners",)
    names = ("--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.ListNames")
    async with way_to_readers(bus.environment) as way:
        assert way
        through = f"unix:path={way.path}"
        for path, words in ((ROOT, count), (KEYS, press), (KEYS, hear)):
            assert "method return" in said(address, f"--dest={REGISTRY}", path, *words), "the bus itself gives it"
            assert "AccessDenied" in said(through, f"--dest={REGISTRY}", path, *words)
        # It may ask what is listened for.
        asked = said(through, f"--dest={REGISTRY}", "/org/a11y/atspi/registry", f"{REGISTRY}.GetRegisteredEvents")
        assert "method return" in asked
        # That others are there it does not even see.
        assert "org.example.Other" in said(address, *names)
        assert "org.example.Other" not in said(through, *names)
        assert "method return" not in said(through, "--dest=org.example.Other", "/", "org.freedesktop.DBus.Peer.Ping")


async def test_it_ends_with_its_viewer_and_leaves_nothing(bus: Screen) -> None:
    async with way_to_readers(bus.environment) as way:
        assert way
        viewer = socket.socket(fileno=os.dup(way.lease))
    assert Path(way.path).exists()
    viewer.close()
    await until(lambda: not Path(way.path).parent.exists())


def joined(address: str) -> socket.socket | None:
    """A connection through a viewer's way; None when it is not taken."""
    viewer = socket.socket(socket.AF_UNIX)
    viewer.settimeout(PATIENCE)
    try:
        viewer.connect(address)
        viewer.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        if viewer.recv(100).startswith(b"OK"):
            viewer.sendall(b"BEGIN\r\n")
            return viewer
    except OSError:
        pass
    viewer.close()
    return None


async def test_one_that_was_taken_over_gets_few_connections(bus: Screen) -> None:
    async with way_to_readers(bus.environment) as way:
        assert way
        viewers = list[socket.socket]()
        while len(viewers) < 20 and (viewer := joined(way.path)):
            viewers.append(viewer)
        for viewer in viewers:
            viewer.close()
        assert 1 <= len(viewers) <= 6


async def test_a_message_that_is_never_whole_takes_no_memory_of_the_hosts(bus: Screen) -> None:
    async with way_to_readers(bus.environment) as way:
        assert way
        viewer = joined(way.path)
        assert viewer
        # A call whose body has 100 MiB.
        viewer.sendall(struct.pack("<cBBBIII", b"l", 1, 0, 1, 100 << 20, 1, 0))
        with viewer, pytest.raises(ConnectionError):
            for _ in range(80):
                viewer.sendall(bytes(1 << 20))
        await until(lambda: not Path(way.path).parent.exists())


async def test_what_ends_all_programs_of_a_session_leaves_nothing_either(bus: Screen) -> None:
    async with way_to_readers(bus.environment) as way:
        assert way
        folder = Path(way.path).parent
        told = [
            int(process.parent.name)
            for process in Path("/proc").glob("[0-9]*/cmdline")
            if os.fsencode(folder) in process.read_bytes()
        ]
        assert len(told) == 2
        for process in told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        await until(lambda: not folder.exists())


@pytest.mark.parametrize("failure", ["no files", "cancelled"])
async def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    async def address(_environment: object) -> str:
        return "unix:path=/nonexistent"

    def fail(*_words: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files") if failure == "no files" else asyncio.CancelledError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(readers, "_bus_address", address)
    if failure == "no files":
        monkeypatch.setattr(socket, "socketpair", fail)
    else:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", fail)
    with pytest.raises((OSError, asyncio.CancelledError)):
        async with way_to_readers({}):
            pass
    assert list(tmp_path.iterdir()) == []
