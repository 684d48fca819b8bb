"""A libvirtd of our own, from its start to its end."""

import shutil
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.host import private_daemon
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.core.errors import NotFound, QubesManagerError, TimedOut


def stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shell script be the libvirtd that is found first."""
    tool = folder / "libvirtd"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_it_keeps_all_below_its_folder_and_comes_again_after_a_crash(shared_folder: Path) -> None:
    daemon = PrivateDaemon(shared_folder / "own")
    with pytest.raises(RuntimeError, match="has not been started"):
        _ = daemon.pid
    daemon.start()
    first = daemon.pid
    raw = libvirt.open(daemon.uri)
    raw.defineXML("<domain type='qemu'><name>d</name><memory>1024</memory><os><type>hvm</type></os></domain>")
    raw.close()
    assert (shared_folder / "own/config/libvirt/qemu/d.xml").exists()
    daemon.crash()
    daemon.start()
    assert daemon.pid != first
    raw = libvirt.open(daemon.uri)
    assert [domain.name() for domain in raw.listAllDomains()] == ["d"]
    raw.close()
    daemon.stop()
    with pytest.raises(libvirt.libvirtError):
        libvirt.open(daemon.uri)


def test_a_folder_whose_sockets_would_have_too_long_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QubesManagerError, match="has too long a path for sockets"):
        PrivateDaemon(tmp_path / ("x" * 100))


def test_one_that_ends_at_once_says_what_it_said(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(shared_folder, "echo 'cannot read its settings'; exit 3", monkeypatch)
    with pytest.raises(QubesManagerError, match="libvirtd ended at once with code 3") as caught:
        PrivateDaemon(shared_folder / "own").start()
    assert caught.value.details == "cannot read its settings\n"


def test_one_that_opens_no_socket_is_not_waited_for_for_ever(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(shared_folder, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(private_daemon, "START_TIMEOUT", 0.2)
    daemon = PrivateDaemon(shared_folder / "own")
    with pytest.raises(TimedOut, match="did not open its socket within 0 s"):
        daemon.start()
    daemon.stop()


def test_a_machine_without_libvirt_is_told_what_to_install(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    with pytest.raises(NotFound, match="install libvirt-daemon"):
        PrivateDaemon(shared_folder / "own").start()
    assert not (shared_folder / "own").exists()


def test_it_is_started_when_somebody_listens_not_when_its_socket_is_there(
    shared_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = PrivateDaemon(shared_folder / "own")
    code = (
        f"import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('{daemon.socket}'); time.sleep(0.3); "
        f"open('{shared_folder}/own/listens', 'w'); s.listen(); time.sleep(20)"
    )
    stand_in(shared_folder, f'mkdir -p "{daemon.socket.parent}"; exec /usr/bin/python3 -c "{code}"', monkeypatch)
    daemon.start()
    assert (shared_folder / "own/listens").exists()
    daemon.stop()
