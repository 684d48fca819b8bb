"""The sandbox around what shows guests' windows."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.viewers.sandbox import SYSTEM_PYTHON, viewer_command
from qubes_manager.core.errors import NotFound, Refused


def inside(script: str, environment: dict[str, str]) -> str:
    """What a shell script says in a viewer's sandbox."""
    command = viewer_command("gui", environment=environment)
    words = command[: command.index(SYSTEM_PYTHON)]
    done = subprocess.run([*words, "/bin/sh", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home with a secret in it, and an X server's socket."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text("the user's own")
    (home / ".Xauthority").write_text("cookie")
    listener = socket.socket(socket.AF_UNIX)
    place = Path("/tmp/.X11-unix")
    place.mkdir(exist_ok=True)
    # No X server goes so high, and no other test run has this process's number.
    number = 10_000 + os.getpid()
    path = place / f"X{number}"
    listener.bind(str(path))
    yield {"HOME": str(home), "DISPLAY": f":{number}.0", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/bus"}
    listener.close()
    path.unlink()


def test_a_viewer_sees_nothing_of_the_user_s(environment: dict[str, str]) -> None:
    home = environment["HOME"]
    said = inside(f"cat {home}/secret; ls -A ~ /home /root /var /tmp /etc 2>&1; env", environment)
    assert "the user's own" not in said
    assert f"cat: {home}/secret: No such file or directory" in said
    for place in ("/home", "/root", "/var"):
        assert f"cannot access '{place}'" in said
    assert "passwd" not in said
    assert "DBUS" not in said
    assert "HOME=/run/home" in said


def test_a_viewer_has_no_network_and_sees_no_other_process(environment: dict[str, str]) -> None:
    said = inside(
        "ls /sys/class/net 2>&1; cat /proc/net/dev; ls -d /proc/[0-9]*; touch /usr/x; ls -a /app/*", environment
    )
    assert said.count("lo:") == 1
    assert "eth" not in said
    assert len([line for line in said.splitlines() if line.startswith("/proc/")]) <= 4
    assert "Read-only file system" in said or "Permission denied" in said
    assert "viewers" in said
    assert "services" not in said


def test_a_viewer_has_the_screen_and_its_key(environment: dict[str, str]) -> None:
    display = environment["DISPLAY"]
    socket_path = f"/tmp/.X11-unix/X{display[1:-2]}"
    said = inside(f'test -S {socket_path} && echo screen; cat "$XAUTHORITY"; echo $DISPLAY', environment)
    assert said.splitlines() == ["screen", f"cookie{display}"]


def test_without_a_screen_of_this_machine_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="no X display"):
        viewer_command("gui", environment={})
    with pytest.raises(Refused, match="not on this machine"):
        viewer_command("gui", environment={"DISPLAY": "far:0"})
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotFound, match="bubblewrap"):
        viewer_command("gui", environment={"DISPLAY": ":0"})
