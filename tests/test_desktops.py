"""The desktops that tests look at: what is put on them is seen, and what is done to it happens."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.desktops.desktop import Desktop
from tests.desktops.sway import SwayDesktop
from tests.desktops.x11 import X11Desktop
from tests.native_guest import NativeGuest
from tests.waiting import PATIENCE

DESKTOPS: dict[str, Callable[[Path], Desktop]] = {"x11": X11Desktop, "wayland": SwayDesktop}
GREEN, RED = (0, 128, 0), (255, 0, 0)
WINDOW = """
import sys
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPainter, QRasterWindow

class Window(QRasterWindow):
    def paintEvent(self, event):
        painter = QPainter(self)
        painter.fillRect(0, 0, self.width(), self.height(), QColor(255, 0, 0))
        painter.fillRect(6, 6, self.width() - 12, self.height() - 12, QColor(0, 128, 0))

    def keyPressEvent(self, event):
        print(event.text() or Qt.Key(event.key()).name, end=" ", flush=True)

    def mousePressEvent(self, event):
        print(event.button().name, *event.position().toPoint().toTuple(), end=" ", flush=True)

    def wheelEvent(self, event):
        if event.angleDelta().y():
            print("wheel", event.angleDelta().y(), end=" ", flush=True)

app = QGuiApplication(sys.argv)
window = Window()
window.setTitle("tried")
window.resize(300, 200)
window.show()
app.exec()
"""


@pytest.fixture(params=DESKTOPS)
def desktop(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[Desktop]:
    desktop = DESKTOPS[request.param](shared_folder)
    yield desktop
    desktop.close()


def test_what_is_done_to_a_window_happens(desktop: Desktop) -> None:
    said = desktop.folder / "said"
    with said.open("w") as output:
        program = subprocess.Popen([sys.executable, "-c", WINDOW], env=desktop.environment, stdout=output)
    try:
        window = desktop.window("tried")
        desktop.raise_window(window)
        desktop.until(lambda: desktop.focused() == window, "it has the keyboard")
        desktop.resize(window, 500, 300)
        desktop.move(window, 200, 150)
        desktop.until(lambda: desktop.extent(RED) == desktop.box(window), "it is all seen")
        box = desktop.box(window)
        assert (box.x, box.y, box.width, box.height) == (200, 150, 500, 300)
        desktop.wears(window, RED)
        assert desktop.extent(GREEN) == box.within(6)

        expected: list[str] = []

        def until_said(more: str) -> None:
            expected.append(more)
            desktop.until(lambda: said.read_text() == "".join(expected), f"it has said {expected}: see {said}")

        desktop.type("aB")
        # A program reads keys by the map that holds when it comes to them.
        until_said("a Key_Shift B ")
        for layout, text, words in (("de", "zß@", "z ß Key_AltGr @ "), ("ru", "привет", "п р и в е т ")):
            desktop.layout(layout)
            desktop.type(text)
            until_said(words)
        desktop.click(box.x + 50, box.y + 60, 3)
        desktop.click(box.x + 50, box.y + 60, 5)
        until_said("RightButton 50 60 wheel -120 ")
        desktop.set_fullscreen(window, True)
        desktop.until(lambda: desktop.is_fullscreen(window), "it is as large as the screen")
        desktop.set_fullscreen(window, False)
        desktop.until(lambda: not desktop.is_fullscreen(window), "it is as it was")
        desktop.close_window(window)
        desktop.until(lambda: not desktop.windows("tried"), "it has closed")
    finally:
        program.terminate()
        program.wait(PATIENCE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["3.1", "6.5"])
def test_a_native_guest_takes_programs_and_answers(version: str, shared_folder: Path) -> None:
    guest = NativeGuest(shared_folder / "guest", version)
    try:
        terminal = guest.terminal("a terminal", "echo here >said; exec cat")
        said = guest.folder / "said"
        while not said.exists():
            assert terminal.poll() is None
        with guest.connect() as connection:
            assert connection.recv(100).decode() == f"qubes-manager-gui 1 xpra {version}\n"
    finally:
        guest.close()
    assert terminal.poll() is not None
