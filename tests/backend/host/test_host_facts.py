"""What the host tells of itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from qubes_manager.backend.host import host_facts
from qubes_manager.backend.host.host_facts import host_validation, installing, sandbox_trouble, sound_trouble
from tests.sound import sound_server


def test_what_virt_host_validate_says_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "virt-host-validate"
    tool.write_text(
        "#!/bin/sh\n"
        "echo '  QEMU: Checking for hardware virtualization                                 : \033[32mPASS\033[0m'\n"
        "echo '  QEMU: Checking for device assignment IOMMU support                         : WARN (No ACPI table)'\n"
        "echo 'anything else'\n"
        "exit 1\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert host_validation() == [
        ("for hardware virtualization", "PASS", ""),
        ("for device assignment IOMMU support", "WARN", "No ACPI table"),
    ]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what tools there are and what they do, by shell; there are no others."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host_facts, "_SBIN", "")

    def have(**scripts: str) -> None:
        for name, script in scripts.items():
            tool = tmp_path / name.replace("_", "-")
            tool.write_text(f"#!/bin/sh\n{script}\n")
            tool.chmod(0o755)

    return have


def offers(version: str) -> str:
    return f"echo 'x:'; echo '  Installed: (none)'; echo '  Candidate: {version}'"


@pytest.mark.parametrize(
    ("offered", "advice"),
    [
        ("0.8.0-2", "Run “apt-get install bubblewrap”."),
        ("1:0.8-1", "Run “apt-get install bubblewrap”."),
        ("(none)", ""),
    ],
)
def test_what_cannot_be_had_is_not_advised(tools: Callable[..., None], offered: str, advice: str) -> None:
    tools(apt_cache=offers(offered))
    assert installing("bubblewrap") == advice


def test_a_system_of_other_packages_gets_no_advice_of_debian(tools: Callable[..., None]) -> None:
    tools()
    assert installing("bubblewrap") == ""


def test_without_a_sandbox_nothing_is_shown(tools: Callable[..., None]) -> None:
    tools()
    assert sandbox_trouble() == "bubblewrap is not installed"
    tools(bwrap="echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    assert "No permissions to create new namespace" in sandbox_trouble()


def test_why_nothing_is_heard_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/native")
    assert sound_trouble("qemu:///session")[0] == "no sound server answers"
    assert sound_trouble("qemu:///system")[0] == "QEMU does not run as you there"
    with sound_server() as server:
        monkeypatch.setenv("PULSE_SERVER", server.address)
        assert sound_trouble("qemu:///session") == ("", "")
        monkeypatch.setattr(host_facts, "_EMULATOR", "/usr/bin/true")
        assert sound_trouble("qemu:///session")[0] == "QEMU lacks the part that plays"
