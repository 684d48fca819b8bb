"""Consoles as the gui service runs them, onto domains that say what they like; guests' are in tests/integration/gui."""

import asyncio
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import sandbox_trouble
from qubes_manager.backend.viewers import viewer_process
from qubes_manager.backend.viewers.programs import CONSOLE
from qubes_manager.backend.viewers.viewer_process import ViewerProcess
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Connected
from tests.desktops.x11 import X11Desktop
from tests.waiting import PATIENCE, soon, until

RULES = GuiRules("work", "#3465a4")
# RFC 6143, 7.4: 32 bits of a pixel, of which 24 are colours.
PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[X11Desktop]:
    if trouble := sandbox_trouble():
        pytest.skip(trouble)
    # One that ends by itself is to be told from one that is killed.
    monkeypatch.setattr(viewer_process, "_END_PATIENCE", PATIENCE)
    desktop = X11Desktop(tmp_path)
    for name, value in desktop.environment.items():
        monkeypatch.setenv(name, value)
    yield desktop
    desktop.close()


def says_its_size(screen: socket.socket, width: int, height: int) -> None:
    """Be a VNC server whose screen is that large (RFC 6143), as far as to say so."""
    with screen:
        screen.sendall(b"RFB 003.008\n")
        assert screen.recv(12, socket.MSG_WAITALL) == b"RFB 003.008\n"
        screen.sendall(b"\1\1")
        screen.recv(1)
        screen.sendall(bytes(4))
        screen.recv(1)
        screen.sendall(struct.pack(">HH", width, height) + PIXELS + struct.pack(">I", 4) + b"test")
        while screen.recv(1 << 16):
            pass


async def console_of(desktop: X11Desktop, width: int, height: int) -> ViewerProcess:
    ours, theirs = socket.socketpair()
    threading.Thread(target=says_its_size, args=(theirs, width, height), daemon=True).start()
    viewer = await ViewerProcess.start(CONSOLE, ["screen", str(ours.fileno())], desktop.folder / "console.log", [ours])
    viewer.send(RULES)
    return viewer


async def test_a_domain_that_says_it_has_a_huge_screen_loses_its_console_alone(desktop: X11Desktop) -> None:
    honest = await console_of(desktop, 3840, 2160)
    huge = await console_of(desktop, 20_000, 20_000)
    try:
        async with soon():
            # Its end is the end of what it says; 1.6 GB are beyond what it may take.
            assert [event async for event in huge.events()] == []
            assert await huge.end() != 0
            said = honest.events()
            assert await anext(said) == Connected()
        await asyncio.to_thread(desktop.window, "[work] screen")
    finally:
        assert await honest.end() == 0


async def test_the_screen_of_a_real_qemu_is_shown(desktop: X11Desktop) -> None:
    place = desktop.folder / "vnc"
    # It stands still, and draws what it says of that by itself.
    words = ["-S", "-nodefaults", "-vga", "std", "-display", "none", "-vnc", f"unix:{place}"]
    qemu = subprocess.Popen(["qemu-system-x86_64", *words])
    try:
        await until(lambda: place.is_socket() or qemu.poll() is not None)
        screen = socket.socket(socket.AF_UNIX)
        screen.connect(str(place))
        number = str(screen.fileno())
        viewer = await ViewerProcess.start(CONSOLE, ["screen", number], desktop.folder / "console.log", [screen])
        viewer.send(RULES)
        async with soon():
            assert await anext(viewer.events()) == Connected()
        window = await asyncio.to_thread(desktop.window, "[work] screen")
        await asyncio.to_thread(desktop.until, lambda: _has_letters(desktop, window), "what QEMU says of itself")
        assert await viewer.end() == 0
    finally:
        qemu.kill()
        qemu.wait(PATIENCE)


def _has_letters(desktop: X11Desktop, window: str) -> bool:
    """Whether there is something bright in the middle of a window's black."""
    box = desktop.box(window)
    x, y = box.x + box.width // 2, box.y + box.height // 2
    colours = desktop.colours((x - 200, y - 150, x + 200, y + 150))
    return (0, 0, 0) in colours and any(min(colour) > 150 for colour in colours)


async def test_a_serial_line_is_shown_and_typed_into(desktop: X11Desktop) -> None:
    ours, line = socket.socketpair()
    viewer = await ViewerProcess.start(CONSOLE, ["serial", str(ours.fileno())], desktop.folder / "log", [ours])
    viewer.send(RULES)
    with line:
        line.settimeout(PATIENCE)
        try:
            async with soon():
                assert await anext(viewer.events()) == Connected()
            window = await asyncio.to_thread(desktop.window, "[work] serial console")
            desktop.raise_window(window)
            await asyncio.to_thread(desktop.until, lambda: desktop.focused() == window, "it has the keyboard")
            line.sendall(b"\x1b[48;2;200;30;60m" + 500 * b" " + b"\x1b[0m\r\nlogin: ")
            await asyncio.to_thread(desktop.until, lambda: desktop.extent((200, 30, 60)), "what was said is shown")
            await asyncio.to_thread(desktop.keys, "a")
            assert await asyncio.to_thread(line.recv, 10) == b"a"
        finally:
            assert await viewer.end() == 0
