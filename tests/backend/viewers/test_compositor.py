"""A viewer's way to the compositor: what is carried, and what a viewer that was taken over gets of a real desktop."""

import json
import os
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import sandbox_trouble
from qubes_manager.backend.viewers.compositor import way_to_compositor
from qubes_manager.backend.viewers.programs import ViewerProgram
from qubes_manager.backend.viewers.sandbox import viewer_command
from qubes_manager.core.errors import QubesManagerError
from tests.backend.viewers.test_registry_filter import (
    BIND,
    DISPLAY,
    GET_REGISTRY,
    REGISTRY,
    SCREENCOPY,
    SEAT,
    message,
)
from tests.backend.viewers.test_windows_sandbox import WINDOW
from tests.desktops.sway import SwayDesktop
from tests.waiting import PATIENCE, until


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """A compositor that says what the test says."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wayland"))
        listener.listen()
        listener.settimeout(PATIENCE)
        yield listener


def exactly(end: socket.socket, size: int) -> bytes:
    end.settimeout(PATIENCE)
    data = b""
    while len(data) < size and (more := end.recv(size - len(data))):
        data += more
    return data


def connected(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A viewer's end, and the compositor's; the viewer that holds the way has gone already."""
    with way_to_compositor(listener.getsockname()) as way:
        listener.accept()[0].close()
        viewer = socket.socket(socket.AF_UNIX)
        viewer.connect(way.path)
        compositor, _address = listener.accept()
    return viewer, compositor


def test_words_and_descriptors_are_carried_both_ways(listener: socket.socket) -> None:
    viewer, compositor = connected(listener)
    with viewer, compositor:
        for a, b in ((viewer, compositor), (compositor, viewer)):
            read, write = os.pipe()
            socket.send_fds(a, [message(7, 0, 1)], [read])
            os.close(read)
            b.settimeout(PATIENCE)
            data, files, _flags, _address = socket.recv_fds(b, 100, 4)
            assert data == message(7, 0, 1)
            os.write(write, b"here")
            assert os.read(files[0], 4) == b"here"
            os.close(write)
            os.close(files[0])


def test_neither_side_s_slowness_loses_anything(listener: socket.socket) -> None:
    viewer, compositor = connected(listener)
    much = message(7, 0, *range(1000)) * 2000
    with viewer, compositor:
        sender = threading.Thread(target=viewer.sendall, args=(much,))
        sender.start()
        assert exactly(compositor, len(much)) == much
        sender.join(PATIENCE)


def test_who_hangs_up_ends_it_for_both_with_all_that_was_said(listener: socket.socket) -> None:
    for which in (0, 1):
        pair = connected(listener)
        with pair[0], pair[1]:
            pair[which].sendall(message(7, 0, 1))
            pair[which].close()
            assert exactly(pair[1 - which], 100) == message(7, 0, 1)


def test_a_viewer_that_reaches_for_the_screen_is_cut_off(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    viewer, compositor = connected(listener)
    with viewer, compositor:
        viewer.sendall(message(DISPLAY, GET_REGISTRY, REGISTRY))
        assert exactly(compositor, 12) == message(DISPLAY, GET_REGISTRY, REGISTRY)
        compositor.sendall(SCREENCOPY + SEAT)
        assert exactly(viewer, len(SEAT)) == SEAT
        viewer.sendall(message(REGISTRY, BIND, 2, "zwlr_screencopy_manager_v1", 3, 5))
        assert exactly(compositor, 1) == b""
        assert exactly(viewer, 1) == b""
    assert "a viewer was cut off from the compositor: it reaches for what it was not offered" in caplog.text


def test_descriptors_that_are_never_used_are_not_kept(listener: socket.socket) -> None:
    viewer, compositor = connected(listener)
    with viewer, compositor, Path(os.devnull).open() as null:
        socket.send_fds(viewer, [b"x"], [null.fileno()] * 40)
        assert exactly(compositor, 1) == b""


async def test_a_way_has_room_for_few_and_leaves_nothing(listener: socket.socket, tmp_path: Path) -> None:
    with way_to_compositor(listener.getsockname()) as way:
        listener.accept()[0].close()
        # As a sandbox keeps it, which has it mounted.
        kept = tmp_path / "kept"
        os.link(way.path, kept)
        viewers = [socket.socket(socket.AF_UNIX) for _n in range(5)]
        for viewer in viewers:
            viewer.connect(str(kept))
        assert exactly(viewers[4], 1) == b""
        held = [listener.accept()[0] for _n in range(4)]
        # One that goes, goes there too; in which order they came is the threads'.
        viewers.pop(0).close()
        [ended], _, _ = select.select(held, (), (), PATIENCE)
        assert exactly(ended, 1) == b""
        assert not Path(way.path).parent.exists()
    # One that never came leaves nothing either.
    with way_to_compositor(listener.getsockname()) as way:
        pass
    await until(lambda: not Path(way.path).parent.exists())
    for end in (*viewers, *held):
        end.close()


def test_a_compositor_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QubesManagerError, match=r"the compositor at .*wayland does not answer"):
        way_to_compositor(str(tmp_path / "wayland")).__enter__()


# What a viewer holds on to for the compositor, whether it is mapped or not.
FILLS = """
import os, tempfile
from qubes_manager.viewers.confined import start_nothing_else
start_nothing_else()
kept, taken = [], 0
try:
    while True:
        kept.append(tempfile.TemporaryFile(dir=os.environ["XDG_RUNTIME_DIR"]))
        os.posix_fallocate(kept[-1].fileno(), 0, 16 << 20)
        taken += 16
except OSError as error:
    print(taken, os.strerror(error.errno))
"""
# A viewer that was taken over, as it would try: what the compositor names, and then what it does not name.
TAKEN_OVER = """
import json, os, socket, stat, struct
from qubes_manager.viewers.confined import start_nothing_else
start_nothing_else()
end = socket.socket(socket.AF_UNIX)
end.connect(os.environ["WAYLAND_DISPLAY"])
end.settimeout(60)
end.sendall(struct.pack("=III", 1, 12 << 16 | 1, 2) + struct.pack("=III", 1, 12 << 16, 3))
data, names = b"", {}
while True:
    while len(data) < 8 or len(data) < struct.unpack("=II", data[:8])[1] >> 16:
        data += end.recv(4096)
    sender, word = struct.unpack("=II", data[:8])
    message, data = data[8:word >> 16], data[word >> 16:]
    if sender == 3:
        break
    if sender == 2:
        name, length = struct.unpack("=II", message[:8])
        names[message[8:7 + length].decode()] = name
text = NAME.encode() + b"\\0"
text += b"\\0" * (-len(text) % 4)
body = struct.pack("=II", NUMBER, len(NAME) + 1) + text + struct.pack("=II", 1, 4)
try:
    end.sendall(struct.pack("=II", 2, 8 + len(body) << 16) + body + struct.pack("=III", 1, 12 << 16, 5))
    answer = "cut off" if not end.recv(4096) else "answered"
except OSError:
    answer = "cut off"
sockets = [
    os.path.join(folder, name) for top in ("/run", "/tmp") for folder, _folders, files in os.walk(top) for name in files
    if stat.S_ISSOCK(os.lstat(os.path.join(folder, name)).st_mode)
]
print(json.dumps([sorted(names), answer, sockets, os.environ.get("DISPLAY")]))
"""


@pytest.fixture
def sway(tmp_path: Path) -> Iterator[SwayDesktop]:
    if not shutil.which("sway") or sandbox_trouble():
        pytest.skip("needs sway and a sandbox")
    desktop = SwayDesktop(tmp_path)
    yield desktop
    desktop.close()


def started(code: str, desktop: SwayDesktop) -> "subprocess.Popen[bytes]":
    """Python code that runs where a viewer's program would; its way lives on without our copy of its end."""
    program = ViewerProgram("nothing", is_ours=True)
    with viewer_command(program, environment=desktop.environment) as command:
        words = [*command.words[: command.words.index("-m")], "-c", code]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=command.files)


def run(code: str, desktop: SwayDesktop) -> str:
    process = started(code, desktop)
    said, complaints = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complaints.decode()
    return said.decode()


def test_a_taken_over_viewer_neither_sees_nor_drives_other_windows(sway: SwayDesktop) -> None:
    # What sway offers to every client.
    offered = {name: number for name, (number, _version) in sway.hands._globals.items()}
    tools = {
        "zwlr_screencopy_manager_v1",
        "zwlr_export_dmabuf_manager_v1",
        "zwp_virtual_keyboard_manager_v1",
        "zwlr_virtual_pointer_manager_v1",
        "zwlr_foreign_toplevel_manager_v1",
        "zwlr_data_control_manager_v1",
        "wl_data_device_manager",
    }
    assert tools <= set(offered)
    number = offered["zwlr_screencopy_manager_v1"]
    code = TAKEN_OVER.replace("NUMBER", str(number)).replace("NAME", repr("zwlr_screencopy_manager_v1"))
    names, answer, sockets, display = json.loads(run(code, sway))
    assert {"wl_compositor", "xdg_wm_base", "wl_seat"} <= set(names)
    assert not tools & set(names)
    assert (answer, sockets, display) == ("cut off", ["/run/wayland"], None)


def test_pictures_for_the_compositor_have_an_end(sway: SwayDesktop) -> None:
    assert run(FILLS, sway) == "512 No space left on device\n"


def test_a_whole_window_is_drawn_on_wayland(sway: SwayDesktop) -> None:
    with started(WINDOW, sway) as process:
        assert process.stdout
        assert process.stdout.readline() == b"wayland\n"
        sway.until(lambda: sway.extent((255, 0, 0)), "a red window")
        process.kill()
