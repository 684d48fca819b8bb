"""What the host tells of itself."""

from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import host_validation


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
