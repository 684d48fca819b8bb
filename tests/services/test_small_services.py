"""Services that need no libvirt."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_facts import host_validation
from qubes_manager.backend.user.domain_lock import domain_lock
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.services.files.global_defaults import GlobalDefaults
from qubes_manager.services.hosts.read_order import ReadOrder


def test_an_older_reading_does_not_take_the_place_of_a_newer_one() -> None:
    order = ReadOrder()
    first, second = order.begin(), order.begin()
    assert order.news(second, ["a"]) == {"a"}
    assert order.news(first, ["a", "b"]) == {"b"}
    assert order.news(order.begin(), ["a", "b"]) == {"a", "b"}


def test_global_defaults_are_kept_checked_and_taken_back(tmp_path: Path) -> None:
    defaults = GlobalDefaults(tmp_path / "defaults.yaml")
    assert defaults.get("default_netvm") == "user"
    defaults.set("default_template", "debian-12")
    defaults.set("default_netvm", "none")
    assert (defaults.get("default_template"), defaults.get("default_netvm")) == ("debian-12", "")
    defaults.set("default_netvm", None)
    assert defaults.get("default_netvm") == "user"
    with pytest.raises(BadInput, match="use one of clockvm"):
        defaults.set("default_colour", "red")
    (tmp_path / "defaults.yaml").write_text("default_template: [1]\n")
    assert defaults.get("default_template") == ""
    assert (tmp_path / "defaults.broken.yaml").exists()


async def test_a_domain_is_changed_by_one_program_at_a_time() -> None:
    holder = (
        "import asyncio, sys; from qubes_manager.backend.user.domain_lock import domain_lock\n"
        "async def main():\n"
        "    async with domain_lock('u', 'work'):\n"
        "        print('held', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE)
    assert process.stdout
    assert await asyncio.to_thread(process.stdout.readline) == b"held\n"
    with pytest.raises(Refused, match="“work” is being changed by another"):
        async with domain_lock("u", "work", 0.1):
            pass
    async with domain_lock("other", "mail", 0.1):
        pass
    # Whoever dies lets go.
    process.kill()
    process.wait()
    async with domain_lock("u", "work", 1):
        pass
    async with domain_lock("u", "work", 0, shared=True), domain_lock("u", "work", 0, shared=True):
        with pytest.raises(Refused):
            async with domain_lock("u", "work", 0):
                pass


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
