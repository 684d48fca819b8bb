"""What new domains get when nothing else is said (qubes-prefs)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.core.disposables import MOST_PRELOADED
from qubes_manager.core.errors import BadInput
from qubes_manager.core.interfaces import SPELLINGS
from qubes_manager.core.values import MAX_MEMORY_MIB, parse_number
from qubes_manager.services.files.yaml_file import Document, YamlFile

Defaults = dict[str, str]
_NOTHING = ("", "none", "None")


@dataclass(frozen=True, slots=True)
class GlobalProperty:
    """A property of no domain: its name, its value when nothing was set, what it is for, and what refuses a value.

    *check* raises BadInput.
    """

    name: str
    default: str
    about: str
    check: Callable[[str], object] = lambda _value: None


def _check_delay(value: str) -> None:
    try:
        float(value)
    except ValueError:
        raise BadInput("preload_dispvm_delay", value[:80], "give seconds, or -1") from None


GLOBAL_PROPERTIES: dict[str, GlobalProperty] = {
    p.name: p
    for p in (
        GlobalProperty("clockvm", "", "the domain that others take the time from; empty for the host"),
        GlobalProperty("default_dispvm", "", "what disposables are made of when a domain says nothing"),
        GlobalProperty("default_netvm", "isolated", f"what new domains connect to: {SPELLINGS}"),
        GlobalProperty("default_pool", "qubes-manager", "the storage pool of new volumes"),
        GlobalProperty("default_template", "", "the template of new domains"),
        GlobalProperty(
            "preload_dispvm_delay",
            "3",
            "seconds before a disposable that was kept ready is replaced; -1: with the last one",
            _check_delay,
        ),
        GlobalProperty(
            "preload_dispvm_max",
            "0",
            "how many disposables of default_dispvm are kept ready",
            lambda value: parse_number(value, "preload_dispvm_max", 0, MOST_PRELOADED),
        ),
        GlobalProperty(
            "preload_dispvm_threshold",
            "",
            "MiB of memory that they leave free; empty for 5 % of it",
            lambda value: parse_number(value, "preload_dispvm_threshold", 0, MAX_MEMORY_MIB) if value else None,
        ),
    )
}


def find_global(name: str) -> GlobalProperty:
    """Return a property by name; raises BadInput."""
    if name not in GLOBAL_PROPERTIES:
        raise BadInput("property", name[:80], f"use one of {', '.join(GLOBAL_PROPERTIES)}")
    return GLOBAL_PROPERTIES[name]


def _parse(data: object, complain: Callable[[str], None]) -> Defaults:
    defaults: Defaults = {}
    for name, value in data.items() if isinstance(data, Mapping) else ():
        try:
            find_global(str(name))
            if not isinstance(value, str) or len(value) > 255:
                raise BadInput(str(name), str(value)[:80], "give a name")
            defaults[str(name)] = value
        except BadInput as error:
            complain(str(error))
    return defaults


class GlobalDefaults:
    """Reads and writes ``defaults.yaml``. Blocks."""

    def __init__(self, path: Path) -> None:
        self._file = YamlFile[Defaults](path, _parse)

    def get(self, name: str) -> str:
        """The value in force; raises BadInput for an unknown name."""
        prop = find_global(name)
        return self._file.load()[0].get(name, prop.default)

    def set(self, name: str, value: str | None) -> None:
        """Set a value, or with None go back to the default; raises BadInput, Refused, OSError."""
        prop = find_global(name)
        if value is not None:
            prop.check("" if value in _NOTHING else value)

        def edit(document: Document) -> None:
            document.pop(name, None)
            if value is not None:
                document[name] = "" if value in _NOTHING else value

        self._file.change(edit)
