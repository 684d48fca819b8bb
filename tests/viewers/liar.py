"""A domain without a guest: its viewer in its sandbox, and a server played at the other end of its socket."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.viewers.wire.framing import FrameReader
from qubes_manager.viewers.wire.rencode import Packet
from tests.desktops.desktop import Box, Colour, Desktop
from tests.native_guest import PREAMBLE
from tests.native_viewer import NativeViewer
from tests.viewers.lies import opened, painted
from tests.viewers.wire.saying import FORMS, framed
from tests.waiting import PATIENCE

HONEST = 1


class Server:
    """Says packets in the words of a version, and hears what it is told."""

    def __init__(self, version: str) -> None:
        self.connection, self._end = socket.socketpair()
        self._end.settimeout(PATIENCE)
        self._form = FORMS[version]
        self.said = 0
        # How often each kind of packet has come for each window, and the newest ping that was answered.
        self.heard: Counter[tuple[str, int]] = Counter()
        self.answered = 0
        self._end.sendall(PREAMBLE.format(version).encode())
        self.say([[b"hello", {b"version": version.encode()}], [b"startup-complete"]])
        self._ear = threading.Thread(target=self._hear, daemon=True)
        self._ear.start()

    def _hear(self) -> None:
        reader = FrameReader(self._form)
        try:
            while data := self._end.recv(64 << 10):
                for packet in reader.feed(data):
                    if isinstance(packet, list) and isinstance(packet[0], bytes) and isinstance(packet[1], int):
                        self._note(packet[0].decode(), packet[1])
        except OSError:
            return

    def _note(self, name: str, number: int) -> None:
        if name == "ping_echo":
            self.answered = number
        else:
            self.heard[name, number] += 1

    def say(self, packets: Iterable[Packet]) -> None:
        """Say packets as fast as they are read; to a viewer that has ended nothing."""
        for packet in packets:
            self.said += 1
            self.send(framed(packet, self._form))

    def halves(self, packet: Packet) -> tuple[bytes, bytes]:
        """A packet in two parts, for ``send``."""
        whole = framed(packet, self._form)
        return whole[: len(whole) // 2], whole[len(whole) // 2 :]

    def send(self, data: bytes) -> None:
        """Send bytes."""
        with suppress(BrokenPipeError):
            self._end.sendall(data)

    def close(self) -> None:
        """Hang up."""
        self._end.close()


class PlayedDomain:
    """A domain with an honest window of a *colour* at a place."""

    def __init__(self, desktop: Desktop, rules: GuiRules, version: str, colour: Colour, place: Box) -> None:
        self.desktop, self.rules, self.colour = desktop, rules, colour
        self._log = desktop.folder / f"{rules.domain}.log"
        self.server = Server(version)
        self.viewer = NativeViewer(desktop, self.server.connection, rules, program="gui_program", log=self._log)
        self.viewer.until_connected()
        box = (place.x, place.y, place.width, place.height)
        self.server.say([opened(HONEST, *box, title=b"honest", set_initial_position=True)])
        self.server.say([painted(HONEST, place.width, place.height, pixel=bytes((*colour[::-1], 255)))])
        self.window = desktop.window(f"[{rules.domain}] honest")

    def until_read(self, what: str) -> None:
        """Wait until the viewer has read all that was said; it must not have ended."""
        self.server.say([[b"ping", self.server.said]])
        said = self.server.said - 1
        self.desktop.until(lambda: self.server.answered == said or not self.viewer.is_running, f"{what} is read")
        if not self.viewer.is_running:
            pytest.fail(f"the viewer has ended after {what}: {self._log.read_text()[-3000:]}")

    def until_usable(self, what: str) -> None:
        """Wait until a click in the honest window and a key come to its server, and its frame is seen."""
        self._until_told("button-action", self._click, what)
        self._until_told("key-action", partial(self.desktop.keys, "a"), what)
        colour = self.rules.colour
        frame = int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:], 16)
        self.desktop.until(lambda: self.desktop.border(self.window) == {frame}, f"the frame after {what}")

    def _until_told(self, name: str, act: Callable[[], object], what: str) -> None:
        before = self.server.heard[name, HONEST]

        def is_told() -> bool:
            self.desktop.raise_window(self.window)
            act()
            return self.server.heard[name, HONEST] > before

        self.desktop.until(is_told, f"a {name} comes from [{self.rules.domain}] after {what}")

    def _click(self) -> None:
        box = self.desktop.box(self.window)
        self.desktop.click(box.x + box.width // 2, box.y + box.height // 2)

    def memory(self) -> int:
        """The most bytes of address space that its viewer has had."""
        status = Path(f"/proc/{self.viewer.processes()[-1]}/status").read_text()
        return int(status.partition("VmPeak:")[2].split()[0]) << 10

    def until_ended(self) -> str:
        """Wait until the viewer has ended; returns the last that it said."""
        self.desktop.until(lambda: not self.viewer.is_running, "it ends")
        return self._log.read_text().splitlines()[-1]

    def close(self) -> int:
        """End the viewer; returns its exit code."""
        code = self.viewer.close()
        self.server.close()
        return code
