"""What new domains get when nothing else is said (qubes-prefs)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.errors import BadInput
from qubes_manager.services.files.yaml_file import YamlFile

Defaults = dict[str, str]
_NOTHING = ("", "none", "None")


@dataclass(frozen=True, slots=True)
class GlobalProperty:
    """A property of no domain: its name, its value when nothing was set, and what it is for."""

    name: str
    default: str
    about: str


GLOBAL_PROPERTIES: dict[str, GlobalProperty] = {
    p.name: p
    for p in (
        GlobalProperty("clockvm", "", "the domain that others take the time from; empty for the host"),
        GlobalProperty("default_dispvm", "", "what disposables are made of when a domain says nothing"),
        GlobalProperty("default_netvm", "user", "what new domains connect to: user, a libvirt network, or none"),
        GlobalProperty("default_pool", "qubes-manager", "the storage pool of new volumes"),
        GlobalProperty("default_template", "", "the template of new domains"),
    )
}


def find_global(name: str) -> GlobalProperty:
    """Return a property by name; raises BadInput."""
    if name not in GLOBAL_PROPERTIES:
        raise BadInput("property", name[:80], f"use one of {', '.join(GLOBAL_PROPERTIES)}")
    return GLOBAL_PROPERTIES[name]


def _parse(data: object) -> Defaults:
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise BadInput("defaults", type(data).__name__, "the file must hold a mapping of names to values")
    for name, value in data.items():
        find_global(str(name))
        if not isinstance(value, str) or len(value) > 255:
            raise BadInput(str(name), str(value)[:80], "give a name")
    return dict(data)


class GlobalDefaults:
    """Reads and writes ``defaults.yaml``. Blocks."""

    def __init__(self, path: Path) -> None:
        self._file = YamlFile[Defaults](path, _parse, dict)

    def get(self, name: str) -> str:
        """The value in force; raises BadInput for an unknown name."""
        prop = find_global(name)
        return self._file.load()[0].get(name, prop.default)

    def set(self, name: str, value: str | None) -> None:
        """Set a value, or with None go back to the default; raises BadInput, OSError."""
        find_global(name)
        values, _trouble = self._file.load()
        values.pop(name, None)
        if value is not None:
            values[name] = "" if value in _NOTHING else value
        self._file.save(values)
