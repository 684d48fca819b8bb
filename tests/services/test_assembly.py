"""The one wiring: one of each, and nothing loaded before it is asked for."""

import inspect
import subprocess
import sys
from functools import cached_property
from pathlib import Path

import pytest

from qubes_manager.core.devices.identity import DeviceClass
from qubes_manager.services.assembly import Services

MEMBERS = [name for name, member in inspect.getmembers_static(Services) if isinstance(member, cached_property)]


def belongs_to_us(value: object) -> bool:
    return type(value).__module__.startswith("qubes_manager.services.") and not inspect.isroutine(value)


def reachable(root: object) -> list[object]:
    """All objects of services that hang on *root* by their attributes."""
    found: dict[int, object] = {}
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in found or not belongs_to_us(value):
            continue
        found[id(value)] = value
        slots = [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
        waiting += [*getattr(value, "__dict__", {}).values(), *slots]
    return list(found.values())


async def test_no_service_has_a_copy_of_its_own_of_another() -> None:
    services = Services.connecting(watch=True)
    members = [getattr(services, name) for name in MEMBERS]
    kinds = [type(member) for member in members]
    everything = [*reachable(services), *(o for member in members for o in reachable(member))]
    for kind in set(kinds):
        assert len({id(o) for o in everything if type(o) is kind}) == 1, kind.__name__
    assert len(kinds) == len(set(kinds))
    # The check sees what hangs on a service.
    assert services.virt_types in reachable(services.creation)
    assert services.roots in reachable(services.cloning)


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    program = "import sys; import qubes_manager.services.assembly; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("qubes_manager.services.")}
    needed = ("assembly", "devices", "devices.wiring", "user_files", "hosts", "hosts.hosts", "hosts.store")
    assert ours == {f"qubes_manager.services.{name}" for name in needed}


def test_all_kinds_of_devices_are_there() -> None:
    assert set(Services.connecting(watch=False).devices.classes) == set(DeviceClass)


async def test_users_files_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("config", "data", "state", "cache"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    services = Services.connecting(watch=False)
    services.defaults.set("default_template", "debian")
    services.gui_options.put({"border_width": 9})
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    locks = "state/qubes-manager/run/locks"
    assert written == ["config/qubes-manager/defaults.yaml", "config/qubes-manager/windows.yaml", locks]
    assert services.log_paths.manager == tmp_path / "state/qubes-manager/manager.log"
    assert services.folders.guests == tmp_path / "cache/qubes-manager"
    assert services.folders.applications == tmp_path / "data/qubes-manager/applications"
    # What was asked for stays as it was: nobody else's environment changes it.
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    assert services.defaults.get("default_template") == "debian"
