"""Opening in another domain, with the real command, the real service, a screen, and programs as desktops have them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.guest.commands.opening import open_command
from tests.guest.conftest import Guest
from tests.guest.domains import Domain
from tests.screen import Screen

# Each gets the files' paths. They change what they got, and show a window for a moment.
EDIT = "for file; do printf edited >>$file; done; xmessage -timeout 1 editor"
EMPTY = "for file; do : >$file; done; xmessage -timeout 1 editor"
LOOK = "xmessage -timeout 1 viewer; printf edited >>$1"
LATE = "sleep 1; " + EDIT
LAUNCHER = f"setsid sh -c 'sleep 1; {EDIT}' sh \"$@\" & exit 0"
ATOMIC = 'cp "$1" "$1.new"; printf edited >>"$1.new"; mv "$1.new" "$1"; xmessage -timeout 1 editor'
ACTIVATED = """
import sys
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gio, GLib, Gtk
def open_files(app, files, _count, _hint):
    window = Gtk.ApplicationWindow(application=app)
    window.show()
    for file in files:
        with open(file.get_path(), "a") as opened:
            opened.write("edited")
    GLib.timeout_add(1000, window.destroy)
app = Gtk.Application(application_id="org.example.Editor", flags=Gio.ApplicationFlags.HANDLES_OPEN)
app.connect("open", open_files)
app.run(sys.argv)
"""


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    """The session of the domain that opens."""
    there = Screen(tmp_path_factory.mktemp("screen"))
    yield there
    there.close()


class Desktop(Domain):
    """A domain that opens files, with one program for texts."""

    def __init__(self, guest: Guest, screen: Screen, folder: Path) -> None:
        session = {name: screen.environment[name] for name in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS")}
        super().__init__(folder, environment={**guest.environment, **session, "HOME": str(folder)})
        self._guest = guest
        config = folder / "config"
        config.mkdir()
        self.environment["XDG_CONFIG_HOME"] = str(config)
        self.work = folder / "work"
        self.work.mkdir()
        self.environment["TMPDIR"] = str(self.work)
        (config / "mimeapps.list").write_text("[Default Applications]\ntext/plain=org.example.Editor.desktop\n")

    def install(self, script: str, *lines: str) -> None:
        """The program for texts is a shell script."""
        path = self.home / "editor"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self._guest.install("org.example.Editor", "MimeType=text/plain", *lines, command=f"{path} %U")

    def install_activated(self) -> None:
        """The program for texts is one that D-Bus starts."""
        program = self.home / "editor.py"
        program.write_text(ACTIVATED)
        services = self._guest.applications.parent / "dbus-1/services"
        services.mkdir(parents=True)
        (services / "org.example.Editor.service").write_text(
            f"[D-BUS Service]\nName=org.example.Editor\nExec={SYSTEM_PYTHON} {program} --gapplication-service\n"
        )
        self.install("exit 1", "DBusActivatable=true")

    def start(self, module: str, arguments: object = (), python: str = str(SYSTEM_PYTHON)) -> "subprocess.Popen[bytes]":
        assert isinstance(arguments, list | tuple)
        return super().start(module, arguments, python)


@pytest.fixture
def disposable(has_glib: None, tmp_path: Path, screen: Screen) -> Desktop:
    """The domain that opens."""
    folder = tmp_path / "disposable"
    folder.mkdir()
    return Desktop(Guest(folder / "files"), screen, folder)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the domain whose files they are, which is also its home."""
    folder = tmp_path / "personal"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def nothing_is_left(disposable: Desktop) -> Iterator[None]:
    """No file stays in the domain that opened it."""
    yield
    assert not list(disposable.work.iterdir())


def edit(disposable: Domain, *arguments: str) -> int:
    return open_command("qvm-open-in-dvm", arguments, caller=disposable.call)


@pytest.mark.parametrize("script", [EDIT, LATE, LAUNCHER, ATOMIC], ids=["plain", "slow", "launcher", "atomic"])
def test_what_is_edited_comes_back(
    script: str, disposable: Desktop, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disposable.install(script)
    (here / "a.txt").write_text("before ")
    (here / "a.txt").chmod(0o640)
    assert edit(disposable, "a.txt") == 0
    assert (here / "a.txt").read_text() == "before edited"
    assert (here / "a.txt").stat().st_mode & 0o777 == 0o640
    assert (here / "a.txt~").read_text() == "before "
    assert sorted(path.name for path in here.iterdir() if path.name not in ("QubesIncoming", ".config")) == [
        "a.txt",
        "a.txt~",
    ]
    assert capsys.readouterr().err == "qvm-open-in-dvm: “a.txt” is changed; the old one is “a.txt~”\n"


def test_a_program_that_dbus_starts_is_waited_for(disposable: Desktop, here: Path) -> None:
    disposable.install_activated()
    (here / "a.txt").write_text("before ")
    assert edit(disposable, "a.txt") == 0
    assert (here / "a.txt").read_text() == "before edited"


def test_several_files_and_folders_go_at_once(disposable: Desktop, here: Path) -> None:
    disposable.install(EDIT)
    (here / "other").mkdir()
    for name in ("a.txt", "other/b.txt"):
        (here / name).write_text(f"{name} ")
    assert edit(disposable, "a.txt", "other/b.txt") == 0
    assert (here / "a.txt").read_text() == "a.txt edited"
    assert (here / "other/b.txt").read_text() == "other/b.txt edited"
    [asked] = disposable.asked
    assert (asked.service, asked.argument, asked.target) == ("qubes.OpenInVM", "", "@dispvm")
    assert (asked.names, asked.count, asked.size) == (("a.txt", "b.txt"), 2, 18)


def test_an_emptied_file_comes_back_empty(disposable: Desktop, here: Path) -> None:
    disposable.install(EMPTY)
    (here / "a.txt").write_text("before")
    assert edit(disposable, "a.txt") == 0
    assert (here / "a.txt").read_text() == ""


def test_what_is_not_changed_is_not_touched(
    disposable: Desktop, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disposable.install("xmessage -timeout 1 editor")
    (here / "a.txt").write_text("before")
    os.utime(here / "a.txt", (5, 5))
    assert edit(disposable, "a.txt") == 0
    assert (here / "a.txt").stat().st_mtime == 5
    assert [path.name for path in here.iterdir() if path.name not in ("QubesIncoming", ".config")] == ["a.txt"]
    assert capsys.readouterr().err == ""


def test_what_is_only_viewed_never_comes_back(disposable: Desktop, here: Path) -> None:
    disposable.install(LOOK)
    (here / "a.txt").write_text("before")
    assert edit(disposable, "--view-only", "a.txt") == 0
    assert (here / "a.txt").read_text() == "before"
    assert disposable.asked[0].argument == "view-only"


@pytest.mark.parametrize("option", [[], ["--view-only"]], ids=["edit", "view"])
def test_a_file_that_nothing_opens_is_said(
    option: list[str], disposable: Desktop, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert edit(disposable, *option, "a.png") == 1
    assert "no program here opens “a.png” (image/png)" in capsys.readouterr().err


def test_a_domain_without_windows_says_so(disposable: Desktop, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del disposable.environment["DISPLAY"]
    (here / "a.txt").write_text("x")
    assert edit(disposable, "a.txt") == 1
    assert "no session here that shows windows" in capsys.readouterr().err


def test_a_disposable_that_is_killed_meanwhile_changes_nothing(
    disposable: Desktop, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disposable.install("printf edited >>$1; sleep 1; kill -9 $(ps -o ppid= -p $$)")
    (here / "a.txt").write_text("before")
    assert edit(disposable, "a.txt") in (1, 125)
    # What is left goes with the disposable.
    shutil.rmtree(next(disposable.work.iterdir()))
    assert (here / "a.txt").read_text() == "before"
    assert [path.name for path in here.iterdir() if path.name not in ("QubesIncoming", ".config")] == ["a.txt"]


def test_what_was_changed_for_a_domain_that_has_gone_is_kept(disposable: Desktop, here: Path) -> None:
    disposable.install("printf edited >>$1; sleep 1; kill -TERM $(ps -o ppid= -p $$); sleep 1")
    (here / "a.txt").write_text("before ")
    (disposable.incoming).mkdir(parents=True)
    (disposable.incoming / "a.txt").write_text("other")
    assert edit(disposable, "a.txt") == 1
    assert (disposable.incoming / "a (2).txt").read_text() == "before edited"
    assert (here / "a.txt").read_text() == "before "


def test_an_address_is_opened_by_the_browser(disposable: Desktop, here: Path, tmp_path: Path) -> None:
    config = disposable.home / "config/mimeapps.list"
    config.write_text("[Default Applications]\nx-scheme-handler/https=org.example.Editor.desktop\n")
    disposable.install('printf %s "$1" >"$HOME/opened"; xmessage -timeout 600 browser; touch "$HOME/closed"')
    assert edit(disposable, "https://example.org/a?b=c&d") == 0
    # It is not waited for longer than until its window is there.
    assert not (disposable.home / "closed").exists()
    assert (disposable.home / "opened").read_text() == "https://example.org/a?b=c&d"
    assert disposable.asked[0].service == "qubes.OpenURL"
