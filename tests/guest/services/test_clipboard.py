"""The services of a guest's clipboard, over the clipboard of a real X server."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from qubes_manager.core.crossing.pixels import MOST_BYTES, split_pixels
from tests.screen import Screen
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
# Has the clipboard and answers nobody.
MUTE = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
import time
window = Gtk.Window()
window.realize()
Gdk.selection_owner_set(window.get_window(), Gdk.SELECTION_CLIPBOARD, 0, True)
Gdk.flush()
print("owns", flush=True)
time.sleep(600)
"""
# Has a picture there, and no text, as a program that draws does.
DRAWS = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, GdkPixbuf, Gtk
picture = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, True, 8, 3, 2)
picture.fill(0xff000080)
Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD).set_image(picture)
print("owns", flush=True)
Gtk.main()
"""


class Guest:
    """A display, on which the services run as they do in a guest."""

    def __init__(self, screen: Screen) -> None:
        self.environment = screen.environment

    def serve(self, service: str, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", f"qubes_manager.guest.services.{service}", *arguments],
            input=data,
            capture_output=True,
            env=self.environment,
            cwd=ROOT,
            timeout=PATIENCE,
            check=False,
        )

    def copy(self, data: bytes, target: str = "UTF8_STRING") -> None:
        """Let a program of the guest's have the clipboard."""
        subprocess.run(
            ["xclip", "-selection", "clipboard", "-target", target],
            input=data,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    @contextlib.contextmanager
    def running(self, program: str) -> Iterator[subprocess.Popen[bytes]]:
        """Let a program in Python of the guest's have the clipboard."""
        words = ["/usr/bin/python3", "-c", program]
        with subprocess.Popen(words, env=self.environment, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"owns\n"
            yield process
            process.kill()

    def look(self, target: str = "UTF8_STRING") -> bytes:
        """What a program of the guest's finds on the clipboard."""
        words = ["xclip", "-selection", "clipboard", "-out", "-target", target]
        return subprocess.run(words, env=self.environment, capture_output=True, check=False).stdout


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    screen = Screen(tmp_path_factory.mktemp("screen"))
    yield screen
    screen.close()


@pytest.fixture
def guest(screen: Screen) -> Guest:
    return Guest(screen)


def test_the_text_on_the_clipboard_is_said(guest: Guest) -> None:
    guest.copy("größe\tשלום\n".encode())
    assert guest.serve("clipboard_copy").stdout.decode() == "größe\tשלום\n"


def test_of_a_text_without_end_a_byte_more_than_may_be_is_said(guest: Guest) -> None:
    guest.copy(b"x" * 8_000_000)
    assert len(guest.serve("clipboard_copy").stdout) == MOST_BYTES + 1


def test_nothing_is_said_of_a_clipboard_that_has_no_text(guest: Guest) -> None:
    with guest.running(DRAWS):
        done = guest.serve("clipboard_copy")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_program_that_does_not_answer_is_not_waited_for(guest: Guest) -> None:
    with guest.running(MUTE) as mute:
        done = guest.serve("clipboard_copy")
        assert mute.poll() is None
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"does not answer" in done.stderr


def test_without_a_display_it_is_said_so(guest: Guest) -> None:
    guest.environment = {**guest.environment, "DISPLAY": ":4711"}
    for service in ("clipboard_copy", "clipboard_paste"):
        done = guest.serve(service, data=b"text")
        assert (done.returncode, done.stderr) == (1, b"no session of windows runs here\n")


def test_what_is_pasted_is_on_the_clipboard_when_the_service_has_ended(guest: Guest) -> None:
    done = guest.serve("clipboard_paste", data="größe\n".encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert guest.look().decode() == "größe\n"
    # It can be pasted as often as one likes.
    assert guest.look("STRING").decode() == "größe\n"


def test_more_than_may_be_is_not_put_on_the_clipboard(guest: Guest) -> None:
    guest.copy(b"before")
    assert guest.serve("clipboard_paste", data=b"x" * (MOST_BYTES + 1)).returncode == 1
    assert guest.look() == b"before"


def test_what_is_to_be_forgotten_is_gone_unless_something_else_was_copied(
    guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = Path(guest.environment["XDG_RUNTIME_DIR"]) / "bin"
    sleep.mkdir(exist_ok=True)
    over = sleep / "over"
    # A minute that is over when the test says so.
    (sleep / "sleep").write_text(f'#!/bin/sh\ntest "$1" = 60 || exit; until [ -e {over} ]; do /bin/sleep 0.05; done\n')
    (sleep / "sleep").chmod(0o700)
    guest.environment = {**guest.environment, "PATH": f"{sleep}:{os.environ['PATH']}"}
    guest.serve("clipboard_paste", "wipe", data=b"password")
    assert guest.look() == b"password"
    over.touch()
    wait_until(lambda: not guest.look())
    over.unlink()
    guest.serve("clipboard_paste", "wipe", data=b"password")
    guest.copy(b"mine")
    over.touch()
    time.sleep(0.6)
    assert guest.look() == b"mine"


def test_a_picture_is_said_as_its_pixels_and_pasted_as_a_png(guest: Guest) -> None:
    picture, file = Image.new("RGBA", (3, 2), (255, 0, 0, 128)), BytesIO()
    picture.save(file, "PNG")
    with guest.running(DRAWS):
        width, height, pixels = split_pixels(guest.serve("clipboard_copy", "image").stdout)
    assert (width, height, bytes(pixels)) == (3, 2, picture.tobytes())
    guest.serve("clipboard_paste", "image+wipe", data=file.getvalue())
    assert guest.look("image/png") == file.getvalue()


def test_a_picture_of_too_many_pixels_is_not_unpacked(guest: Guest) -> None:
    file = BytesIO()
    Image.new("1", (5000, 5000)).save(file, "PNG")
    guest.copy(file.getvalue(), "image/png")
    done = guest.serve("clipboard_copy", "image")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"5000 x 5000 pixels, and 16,000,000 are taken at most" in done.stderr


@pytest.mark.parametrize(("service", "data"), [("clipboard_copy", b""), ("clipboard_paste", b"text")])
def test_a_domain_without_xclip_says_what_to_install(service: str, data: bytes, guest: Guest, tmp_path: Path) -> None:
    guest.environment = {**guest.environment, "PATH": str(tmp_path)}
    done = guest.serve(service, data=data)
    assert (done.returncode, done.stderr) == (1, b"xclip is not installed here, which reads and sets the clipboard\n")
