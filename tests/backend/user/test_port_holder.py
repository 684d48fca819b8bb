"""One of the user's programs at a time has a port, and the others know which."""

import os
import signal
import subprocess
import sys
from uuid import uuid4

import pytest

from qubes_manager.backend.user.port_holder import HeldPort, PortHolder, PortTaken

HERE = PortHolder(os.getpid(), "qubes-manager gui", ":7", "/run/gui.sock")
HOLD = """
import sys, time
from qubes_manager.backend.user.port_holder import HeldPort, PortHolder
held = HeldPort(sys.argv[1], "windows", PortHolder.here("another", "/sock"))
print(flush=True)
time.sleep(60)
"""


def test_who_comes_second_is_told_who_has_it_and_gets_it_afterwards() -> None:
    uuid = str(uuid4())
    held = HeldPort(uuid, "windows", HERE)
    with pytest.raises(PortTaken) as taken:
        HeldPort(uuid, "windows", HERE)
    assert taken.value.holder == HERE
    assert str(taken.value) == f"qubes-manager gui (process {os.getpid()}) on display :7 has it"
    for other in (HeldPort(uuid, "serial console", HERE), HeldPort(str(uuid4()), "windows", HERE)):
        other.close()
    held.close()
    HeldPort(uuid, "windows", HERE).close()


def test_a_program_that_dies_has_it_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-3")
    uuid = str(uuid4())
    with subprocess.Popen([sys.executable, "-c", HOLD, uuid], stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(PortTaken) as taken:
            HeldPort(uuid, "windows", HERE)
        assert taken.value.holder == PortHolder(other.pid, "another", "wayland-3", "/sock")
        other.send_signal(signal.SIGKILL)
    HeldPort(uuid, "windows", HERE).close()
