"""Where a libvirtd keeps its files."""

from pathlib import Path

import pytest

from qubes_manager.backend.host.daemon_paths import daemon_paths, is_on_this_machine


def test_paths_are_known_only_for_daemons_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    session, system = daemon_paths("qemu:///session"), daemon_paths("qemu:///system")
    assert session and system
    assert session.qemu_logs == tmp_path / "cache/libvirt/qemu/log"
    assert system.qemu_logs == Path("/var/log/libvirt/qemu")
    for uri in ("qemu+ssh://host/system", "test:///default", "xen:///", f"qemu+unix:///session?socket={tmp_path}/none"):
        assert daemon_paths(uri) is None, uri


@pytest.mark.parametrize(
    ("uri", "here"),
    [
        ("qemu:///session", True),
        ("qemu+unix:///session?socket=/run/sock", True),
        ("test:///default", True),
        ("qemu+ssh://host/system", False),
        ("qemu+ssh:///system", False),
        ("qemu://host/system", False),
        ("an-alias", False),
    ],
)
def test_paths_mean_the_same_on_this_machine_only(uri: str, here: bool) -> None:
    assert is_on_this_machine(uri) is here
