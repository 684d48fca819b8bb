"""The sandbox around what shows guests' windows."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON, sandbox_trouble
from qubes_manager.backend.viewers.programs import CONSOLE, ViewerProgram
from qubes_manager.backend.viewers.sandbox import gtk_command, viewer_command
from qubes_manager.core.errors import NotFound, Refused
from tests.waiting import PATIENCE

# What each attempt says is kept: its result, or the name of the error.
ATTEMPTS = """
import errno, json, os
said = {}
def attempt(name, act):
    try:
        said[name] = act()
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
    except MemoryError:
        said[name] = "MemoryError"
"""
SAID = "print(json.dumps(said))"


def inside(code: str, environment: dict[str, str], program: ViewerProgram = CONSOLE) -> dict[str, Any]:
    """What came of attempts in a viewer's sandbox, each a line "attempt(name, function)"."""
    with viewer_command(program, environment=environment) as command:
        words = [*command.words[: command.words.index(SYSTEM_PYTHON) + 1], "-c", f"{ATTEMPTS}\n{code}\n{SAID}"]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE, check=False, pass_fds=command.files
        )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home with a secret in it, and an X server's socket."""
    if trouble := sandbox_trouble():
        # A chroot, or a kernel without user namespaces for users.
        pytest.skip(trouble)
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
    found = inside(
        f"""
attempt("secret", lambda: open("{home}/secret").read())
attempt("own home", lambda: os.listdir(os.environ["HOME"]))
for place in ("/home", "/root", "/var", "/tmp", "/etc", "/dev"):
    attempt(place, lambda: os.listdir(place))
attempt("variables", lambda: " ".join(os.environ))
attempt("our other code", lambda: sorted(os.listdir("/app/qubes_manager")))
""",
        environment,
    )
    assert {found[absent] for absent in ("secret", "/home", "/root")} == {"ENOENT"}
    assert (found["own home"], found["/tmp"]) == ([], [".X11-unix"])
    assert set(found["/var"]) <= {"cache"}
    assert "passwd" not in found["/etc"]
    assert sorted(found["/dev"]) == ["null", "urandom"]
    assert "BUS" not in found["variables"]
    assert found["our other code"] == ["__init__.py", "core", "viewers"]


def test_a_viewer_has_no_network_and_sees_no_other_process(environment: dict[str, str]) -> None:
    found = inside(
        """
attempt("interfaces", lambda: [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line])
attempt("processes", lambda: [name for name in os.listdir("/proc") if name.isdigit()])
for place in ("/x", "/usr/x", "/dev/x", "/run/home/x", "/run/user/x", "/app/x"):
    attempt(place, lambda: open(place, "w"))
""",
        environment,
    )
    assert found.pop("interfaces") == ["lo"]
    assert len(found.pop("processes")) <= 2
    assert set(found.values()) <= {"EROFS", "EACCES"}, found


def test_a_viewer_has_the_screen_and_its_key(environment: dict[str, str]) -> None:
    display = environment["DISPLAY"]
    found = inside(
        f"""
attempt("screen", lambda: os.path.exists("/tmp/.X11-unix/X{display[1:-2]}"))
attempt("key", lambda: open(os.environ["XAUTHORITY"]).read())
attempt("display", lambda: os.environ["DISPLAY"])
""",
        environment,
    )
    assert found == {"screen": True, "key": "cookie", "display": display}


def test_a_viewer_has_no_memory_beyond_its_limit_and_no_call_that_only_an_attacker_makes(
    environment: dict[str, str],
) -> None:
    found = inside(
        """
import mmap
kept = []
def fill(make):
    while True:
        kept.append(make())
attempt("own", lambda: fill(lambda: bytearray(8 << 20)))
taken = sum(map(len, kept))
kept.clear()
attempt("shared", lambda: mmap.mmap(-1, 8 << 20))
attempt("file in memory", lambda: os.memfd_create("picture"))
attempt("segment", lambda: __import__("ctypes").CDLL(None).shmget(0, 1 << 20, 0o1600))
attempt("semaphores", lambda: __import__("ctypes").CDLL(None).semget(0, 32000, 0o1600))
attempt("queue", lambda: __import__("ctypes").CDLL(None).msgget(0, 0o1600))
attempt("lock", lambda: __import__("fcntl").lockf(open("/usr/bin/env"), 1 | 4))
attempt("file", lambda: open("/tmp/x", "wb", buffering=0).write(bytes(64 << 20)))
attempt("process", os.fork)
attempt("network", lambda: __import__("socket").socket())
attempt("namespaces", lambda: __import__("ctypes").CDLL(None).unshare(0x10000000))
attempt("limits", lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_DATA, (1 << 20, 1 << 20)))
said["taken"] = taken
""",
        environment,
        replace(CONSOLE, memory=100 << 20),
    )
    assert found.pop("taken") < 100 << 20
    assert found.pop("file") <= 16 << 20
    assert found == {
        "own": "MemoryError",
        "shared": "ENOSYS",
        "file in memory": "ENOSYS",
        "segment": -1,
        "semaphores": -1,
        "queue": -1,
        "lock": "ENOSYS",
        "process": "ENOSYS",
        "network": "ENOSYS",
        "namespaces": -1,
        "limits": "ENOSYS",
    }


def test_without_a_screen_of_this_machine_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="a console needs an X display"):
        gtk_command(CONSOLE, (), -1, {})
    with pytest.raises(Refused, match="not on this machine"):
        gtk_command(CONSOLE, (), -1, {"DISPLAY": "far:0"})
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotFound, match="bubblewrap"), viewer_command(CONSOLE, environment={"DISPLAY": ":0"}):
        pass
