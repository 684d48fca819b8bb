"""What toolkits are told of the host's scale: by the real ones, on a display of the test's own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.guest.session import scale
from tests.screen import Screen
from tests.waiting import PATIENCE

GTK = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
Gtk.init()
label = Gtk.Label(label="x" * 100)
screen = Gdk.Screen.get_default()
print(screen.get_monitor_scale_factor(0), screen.get_resolution())
"""
QT = """
import sys
from PySide6.QtGui import QGuiApplication
app = QGuiApplication(sys.argv)
screen = app.primaryScreen()
print(screen.devicePixelRatio(), screen.logicalDotsPerInch())
"""


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"), manager=())
    yield screen
    screen.close()


@pytest.mark.parametrize(("dpi", "whole", "factor"), [(96, 1, 1.0), (120, 1, 1.25), (192, 2, 2.0), (240, 2, 2.5)])
def test_what_toolkits_draw_is_as_large_as_the_hosts_dots_want(
    screen: Screen, has_glib: None, dpi: int, whole: int, factor: float
) -> None:
    subprocess.run(["xrdb", "-merge"], input=f"Xft.dpi:\t{dpi}\n", text=True, env=screen.environment, check=True)
    assert scale.Display(screen.environment["DISPLAY"]).dpi() == dpi
    environment = {**screen.environment, **scale.words(dpi)}

    def says(*words: str) -> list[float]:
        done = subprocess.run([*words], env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE)
        return [float(word) for word in done.stdout.split()]

    # Text is as large in either: dots per inch times the factor of the window.
    gtk_whole, gtk_dpi = says(SYSTEM_PYTHON, "-c", GTK)
    assert gtk_whole == whole
    assert gtk_whole * gtk_dpi == pytest.approx(dpi)
    qt_factor, qt_dpi = says(sys.executable, "-c", QT)
    assert qt_factor == factor
    assert qt_dpi == 96


@pytest.mark.parametrize("dpi", [0, -1, 47, 481, 100_000])
def test_a_host_that_says_nonsense_has_the_usual_scale(dpi: int) -> None:
    assert scale.words(dpi) == scale.words(96)


def test_what_is_no_setting_in_the_file_is_passed_over(tmp_path: Path) -> None:
    assert scale.read(tmp_path) == {}
    (tmp_path / scale.FILE).write_text("GDK_SCALE=2\nPATH=/tmp/evil\nx\nXCURSOR_SIZE=48; reboot\n")
    assert scale.read(tmp_path) == {"GDK_SCALE": "2"}
    scale.write(tmp_path, 192)
    assert scale.read(tmp_path) == scale.words(192)


def test_there_is_no_scale_without_a_display() -> None:
    with pytest.raises(OSError, match="there is no display :987"):
        scale.Display(":987")
