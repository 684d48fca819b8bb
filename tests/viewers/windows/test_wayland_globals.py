"""What a compositor tells of itself and its screens; it is played, since those with such scales are whole desktops."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qubes_manager.viewers.windows.wayland_globals import FRACTIONS, read_globals, read_ratios, tells_scales
from tests.waiting import PATIENCE

OFFERED = ["wl_compositor", "zxdg_output_manager_v1", "wp_fractional_scale_manager_v1", "wl_output", "wl_output"]
SYNC, GET_REGISTRY, BIND, GET_OUTPUT = 0, 1, 0, 1


def message(sender: int, opcode: int, arguments: bytes) -> bytes:
    return struct.pack("=II", sender, 8 + len(arguments) << 16 | opcode) + arguments


def text(words: str) -> bytes:
    data = words.encode() + b"\0"
    return struct.pack("=I", len(data)) + data + bytes(-len(data) % 4)


class Compositor:
    """Answers as *offered* says; a screen has *pixels*, *units* and a *transform*."""

    def __init__(
        self,
        offered: list[str],
        screens: list[tuple[tuple[int, int], tuple[int, int], int]],
        answer: Callable[[bytes], bytes] = lambda told: told,
    ) -> None:
        self._offered, self._screens, self._answer = offered, screens, answer
        self._registry, self._manager = 0, 0
        self._outputs: list[int] = []

    def serve(self, client: socket.socket) -> None:
        data = b""
        while more := client.recv(1 << 16):
            data += more
            while len(data) >= 8 and len(data) >= (size := struct.unpack_from("=II", data)[1] >> 16):
                sender, word = struct.unpack_from("=II", data)
                client.sendall(self._answer(self._told(sender, word & 0xFFFF, data[8:size])))
                data = data[size:]

    def _told(self, sender: int, opcode: int, words: bytes) -> bytes:
        if sender == 1 and opcode == SYNC:
            return message(struct.unpack("=I", words)[0], 0, bytes(4))
        if sender == 1 and opcode == GET_REGISTRY:
            (self._registry,) = struct.unpack("=I", words)
            told = [struct.pack("=I", n) + text(name) + struct.pack("=I", 4) for n, name in enumerate(self._offered)]
            return b"".join(message(self._registry, 0, one) for one in told)
        (made,) = struct.unpack("=I", words[-4:])
        if sender == self._registry and opcode == BIND:
            if self._offered[struct.unpack_from("=I", words)[0]] == "wl_output":
                return self._pixels(made)
            self._manager = made
        elif sender == self._manager and opcode == GET_OUTPUT:
            made, output = struct.unpack("=II", words)
            number = self._outputs.index(output)
            units = self._screens[number][1]
            return message(made, 1, struct.pack("=ii", *units)) + message(made, 3, text(f"DP-{number}"))
        return b""

    def _pixels(self, output: int) -> bytes:
        pixels, _units, transform = self._screens[len(self._outputs)]
        self._outputs.append(output)
        geometry = (
            struct.pack("=iiiii", 0, 0, 300, 200, 0) + text("maker") + text("model") + struct.pack("=i", transform)
        )
        others = message(output, 1, struct.pack("=Iiii", 2, 640, 480, 60))
        return message(output, 0, geometry) + message(output, 1, struct.pack("=Iiii", 3, *pixels, 60)) + others


@contextmanager
def listening(folder: Path, compositor: Compositor) -> Iterator[dict[str, str]]:
    """The surroundings of a program that finds a compositor."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(folder / "wayland-9"))
        door.listen(1)
        door.settimeout(PATIENCE)

        def serve() -> None:
            client, _address = door.accept()
            with client:
                compositor.serve(client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield {"XDG_RUNTIME_DIR": str(folder), "WAYLAND_DISPLAY": "wayland-9"}
        thread.join(PATIENCE)


def test_the_names_of_all_that_is_offered_are_read(tmp_path: Path) -> None:
    with listening(tmp_path, Compositor(OFFERED, [])) as environment:
        assert read_globals(environment) == dict.fromkeys(OFFERED, 4)


def test_windows_are_told_their_scales_by_newer_compositors() -> None:
    assert not tells_scales({"wl_compositor": 5})
    assert tells_scales({"wl_compositor": 6}) and tells_scales({"wl_compositor": 4, FRACTIONS: 1})


def test_each_screen_has_as_many_pixels_to_a_unit_as_its_mode_has_to_its_place(tmp_path: Path) -> None:
    # At 150 % a screen of odd width is not whole units wide; the second one lies on its side.
    screens = [((1366, 768), (911, 512), 0), ((1280, 800), (640, 1024), 1)]
    with listening(tmp_path, Compositor(OFFERED, screens)) as environment:
        assert read_ratios(environment) == {"DP-0": 1.5, "DP-1": 1.25}


def test_a_compositor_that_tells_windows_whole_scales_is_not_asked_further(tmp_path: Path) -> None:
    whole = [name for name in OFFERED if "fractional" not in name]
    with listening(tmp_path, Compositor(whole, [((1280, 800), (1024, 640), 0)] * 2)) as environment:
        assert read_ratios(environment) == {}


@pytest.mark.parametrize(
    "answer",
    [
        lambda told: told[:-3],
        lambda told: told[:8],
        lambda told: b"\0" * len(told),
        lambda told: told.replace(b"DP-", b""),
    ],
    ids=["cut", "short", "noughts", "other"],
)
def test_nonsense_is_no_answer(
    tmp_path: Path, answer: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qubes_manager.viewers.windows.wayland_globals._PATIENCE", 0.2)
    screens = [((0, 0), (0, 0), 0)] * 2
    with listening(tmp_path, Compositor(OFFERED, screens, answer)) as environment:
        assert read_ratios(environment) == {}


def test_nobody_there_is_no_answer(tmp_path: Path) -> None:
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "WAYLAND_DISPLAY": "wayland-9"}
    assert (read_globals(environment), read_ratios(environment)) == ({}, {})
