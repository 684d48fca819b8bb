"""Where the program's own command line leads."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libvirt
import pytest

from qubes_manager.__main__ import main
from qubes_manager.ui import app


class Window:
    """Stands for the window; keeps what it was opened with."""

    def __init__(self) -> None:
        self.options: Any = None
        self.uris: Sequence[str] = ()
        self.names: list[str] = []

    def __call__(self, options: Any, uris: Sequence[str], openers: Any) -> int:
        self.options, self.uris = options, uris
        assert os.environ["QT_NO_GLIB"] == "1"
        for uri in uris:
            self.names += [domain.name() for domain in openers[uri](uri).listAllDomains()]
        return 7


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Window:
    window = Window()
    monkeypatch.setattr(app, "run", window)
    monkeypatch.delenv("QT_NO_GLIB")
    return window


@pytest.mark.parametrize("name", ["setup", "gui", "run"])
def test_a_sub_command_has_options_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: qubes-manager {name} ")


def test_the_window_opens_on_what_was_named_and_connects_meanwhile(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUBES_MANAGER_URI", "test:///no/such/host")
    assert main(["-c", "test:///default", "-c", "test:///default"]) == 7
    assert (window.uris, window.names) == (["test:///default"], ["test"])
    monkeypatch.setenv("QUBES_MANAGER_URI", "test:///default")
    assert main([]) == 7
    assert window.uris == ["test:///default"]


def test_a_picture_goes_where_the_user_stands_even_when_the_folder_is_new(
    window: Window, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["-c", "test:///default", "--picture", "new/window.png"]) == 7
    assert window.options.picture == tmp_path / "new/window.png"
    assert (tmp_path / "new").is_dir()


def test_a_libvirtd_of_its_own_lives_as_long_as_the_window(
    window: Window, shared_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--private-libvirtd", str(shared_folder / "own"), "-c", "test:///default"]) == 7
    (uri,) = window.uris
    assert capsys.readouterr().out == f"using a private libvirtd: {uri}\n"
    with pytest.raises(libvirt.libvirtError):
        libvirt.open(uri)


def test_a_machine_without_qt_says_what_to_do(
    window: Window, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "qubes_manager.ui.app", None)
    assert main(["-c", "test:///default"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("qubes-manager: Qt cannot be loaded (")
    assert line.endswith("“make run” installs what it needs")


def test_looking_at_the_host_opens_no_window(window: Window, capsys: pytest.CaptureFixture[str]) -> None:
    main(["-c", "test:///default", "--check-host"])
    assert window.options is None
    assert " libvirt: " in capsys.readouterr().out


def test_a_machine_without_libvirt_gets_a_report_too(window: Window, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "qemu+unix:///session?socket=/no/such/socket", "--check-host"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("NO  libvirt: ")
    assert " machine: " in told.out
    assert told.err == ""
