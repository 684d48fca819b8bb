"""What the server of a session does by its settings, which are those of guests: a real one, on this machine."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.native_guest import NativeGuest

# An xpra that was started, by itself or by an interpreter of Python.
STARTED = re.compile(r'execve\("[^"]*", \[((?:"[^"]*python3?", )?"(?:[^"]*/)?xpra", .*)\].* = 0$', re.MULTILINE)


class TracedGuest(NativeGuest):
    """One whose server tells what it starts."""

    def start(self, *words: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        trace = ("strace", "-D", "-f", "-qq", "-s", "200", "-e", "trace=execve", "-o", self.folder / "calls")
        return super().start(*trace, *words, environment=environment)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["3.1", "6.5"])
def test_a_session_begins_with_one_xpra_and_no_other(shared_folder: Path, version: str) -> None:
    server = TracedGuest(shared_folder / "guest", version)
    server.close()
    # One that only asks something costs as much as most of the server’s own start.
    assert len(started := STARTED.findall((shared_folder / "guest/calls").read_text())) == 1, started
