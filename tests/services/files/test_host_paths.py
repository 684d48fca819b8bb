"""Where what belongs to a domain lies."""

from pathlib import Path

import pytest

from qubes_manager.services.files.host_paths import console_log_path, nvram_path


def test_a_console_is_logged_where_the_hosts_folders_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = console_log_path("qemu:///session", "u-u-i-d")
    assert path == f"{tmp_path}/libvirt/qemu/log/u-u-i-d-console.log"
    assert Path(path).parent.is_dir()
    assert console_log_path("qemu+ssh://far/session", "work") == ""


def test_uefi_variables_go_by_uuid_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert nvram_path("qemu:///session", "u-u-i-d") == f"{tmp_path}/libvirt/qemu/nvram/u-u-i-d_VARS.fd"
    assert nvram_path("qemu:///system", "u").startswith("/var/lib/libvirt/qemu/nvram/")
    assert nvram_path("qemu+ssh://far/session", "u") == ""
