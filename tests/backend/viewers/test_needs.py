"""Whether windows can be shown on this machine, and what they share."""

import socket
from pathlib import Path

import pytest

from qubes_manager.backend.host import host_facts
from qubes_manager.backend.viewers import own_python, seccomp
from qubes_manager.backend.viewers.needs import shares_screen, windows_trouble
from qubes_manager.backend.viewers.programs import CONSOLE, WINDOWS


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has a sandbox."""
    monkeypatch.setattr(host_facts, "sandbox_trouble", lambda: "")


@pytest.mark.usefixtures("apart")
def test_what_our_windows_need_is_what_this_program_brings() -> None:
    assert windows_trouble() == ("", "")


@pytest.mark.usefixtures("apart")
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_python, "_place_of", lambda _package: None)
    assert windows_trouble()[0].startswith("PySide6 is not installed")
    monkeypatch.setattr(seccomp, "_LIBRARY", "libnothing.so.2")
    assert "install libseccomp" in windows_trouble()[0]
    monkeypatch.setattr(host_facts, "sandbox_trouble", lambda: "the kernel gives no sandbox")
    assert windows_trouble() == ("the kernel gives no sandbox", "")


def test_x11_is_shared_and_wayland_is_not(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "wayland-0"))
    wayland = {"WAYLAND_DISPLAY": "wayland-0", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert shares_screen(WINDOWS, wayland) is False
    assert shares_screen(WINDOWS, {"DISPLAY": ":0"}) is True
    # Consoles are X programs, under XWayland.
    assert shares_screen(CONSOLE, {**wayland, "DISPLAY": ":0"}) is True
    assert shares_screen(CONSOLE, wayland) is None
