"""Notices of a session's programs: D-Bus starts what takes them, and they go to the host a few at a time."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.core.crossing.services import MAX_NOTICE
from qubes_manager.core.errors import Refused
from qubes_manager.guest import notifications
from qubes_manager.guest.notifications import NoticeSender
from tests.guest.conftest import GUEST
from tests.guest.domains import PlayedCall
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
# What D-Bus starts here: the program, and calls that are noted in a file, the last one with what was said.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from qubes_manager.core.errors import Refused
from qubes_manager.guest.notifications import main

class Call:
    def __init__(self, service): Path(sys.argv[2], "service").write_text(service)
    def write(self, data): Path(sys.argv[2], "new").write_bytes(data)
    def finish(self): Path(sys.argv[2], "new").rename(Path(sys.argv[2], "notice"))
    def result(self): raise Refused("no more")
    def __enter__(self): return self
    def __exit__(self, *_error): pass

code = main([], lambda service, **_more: Call(service), idle=float(sys.argv[3]))
Path(sys.argv[2], "ended").touch()
sys.exit(code)
"""
NOTIFY = "gdbus call --session --dest org.freedesktop.Notifications --object-path /org/freedesktop/Notifications"


@pytest.fixture
def folder(tmp_path: Path, has_glib: None) -> Path:
    if not all(map(shutil.which, ("dbus-run-session", "gdbus", "notify-send"))):
        pytest.skip("no session can be had: install dbus, libglib2.0-bin and libnotify-bin")
    return tmp_path


def in_session(folder: Path, line: str, idle: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a shell's line in a session that has the service's file, its program that of the test."""
    program, service = folder / "program.py", folder / "share/dbus-1/services/notifications.service"
    program.write_text(PROGRAM)
    service.parent.mkdir(parents=True)
    words = f"{SYSTEM_PYTHON} {program} {ROOT} {folder} {idle}"
    installed = (GUEST / "notifications.service").read_text()
    service.write_text(installed.replace("/usr/lib/qubes-manager/notifications", words))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_DIRS": f"{folder}/share:/usr/share"}
    return subprocess.run(
        ["dbus-run-session", "--", "/bin/sh", "-c", line],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_notice_of_any_program_is_sent_as_its_title_and_text(folder: Path) -> None:
    wait = "until [ -e notice ]; do sleep 0.05; done"
    done = in_session(folder, f"cd {folder}; notify-send -a mail 'New mail' 'From Alice\nand Bob'; {wait}")
    assert done.returncode == 0, done
    assert (folder / "notice").read_text() == "New mail\nFrom Alice\nand Bob"
    assert (folder / "service").read_text() == "qubes.Notifications"


def test_who_waits_for_a_notices_end_is_told_and_it_ends_when_nobody_needs_it(folder: Path) -> None:
    wait = "until [ -e ended ]; do sleep 0.05; done"
    line = f"cd {folder}; notify-send --wait title; {NOTIFY} --method org.freedesktop.Notifications.GetCapabilities"
    done = in_session(folder, f"{line}; {wait}", idle=0.5)
    assert (done.returncode, done.stdout) == (0, "(['body'],)\n"), done


class Host:
    """Takes notices."""

    def __init__(self) -> None:
        self.calls: list[PlayedCall] = []

    def call(self, service: str, *_words: object, **_more: object) -> PlayedCall:
        self.calls.append(PlayedCall())
        if len(self.calls) == 1:
            raise Refused("the policy does not allow it")
        return self.calls[-1]

    @property
    def said(self) -> list[bytes]:
        return [call.said for call in self.calls if call.is_finished]


def test_of_many_the_newest_are_sent_and_one_that_was_refused_stops_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "_RATE", 20)
    host = Host()
    sender = NoticeSender(host.call)
    for number in range(20):
        sender.add(number, f"notice\n{number}", "text")
    sender.add(19, "changed", "é" * MAX_NOTICE)
    sender.drop(18)
    sender.start()
    wait_until(lambda: sender.is_idle, "all are sent")
    assert host.said[:-1] == [f"notice {number}\ntext".encode() for number in range(13, 18)]
    assert host.said[-1].decode() == "changed\n" + "é" * ((MAX_NOTICE - 8) // 2)
    assert len(host.said[-1]) <= MAX_NOTICE
