"""The user's settings: what there is, and what each may be."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from qubes_manager.core.errors import BadInput

APPEARANCES = ("system", "light", "dark")
FILTERS = ("all", "running", "halted", "templates", "standalone", "user")


@dataclass(slots=True)
class ColumnSetting:
    """One column of the table, in its place: width in pixels, and whether it is shown."""

    id: str
    width: int
    visible: bool


@dataclass(slots=True)
class Settings:
    """All settings, with their defaults."""

    connections: list[str] = field(default_factory=list)
    appearance: str = "system"
    columns: list[ColumnSetting] = field(default_factory=list)
    sort_column: str = "name"
    sort_descending: bool = False
    filter: str = "all"
    unasked: list[str] = field(default_factory=list)
    window_width: int = 1180
    window_height: int = 720
    show_details: bool = True
    show_applications: bool = True
    show_toolbar: bool = True
    setup_offered: bool = False


def parse_settings(data: object) -> Settings:
    """Return the settings that a YAML document holds; raises BadInput naming the key. Unknown keys are refused."""
    if data is None:
        return Settings()
    if not isinstance(data, Mapping):
        raise BadInput("settings", type(data).__name__, "the file must hold a mapping of names to values")
    known = {f.name for f in fields(Settings)}
    for key in data:
        if key not in known:
            raise BadInput("settings", str(key), f"use only {', '.join(sorted(known))}")
    settings = Settings()
    for name, value in data.items():
        if name == "columns":
            settings.columns = [_column(entry) for entry in _list(name, value)]
        elif isinstance(getattr(settings, name), list):
            setattr(settings, name, [_typed(name, entry, str) for entry in _list(name, value)])
        else:
            setattr(settings, name, _typed(name, value, type(getattr(settings, name))))
    _choice("appearance", settings.appearance, APPEARANCES)
    _choice("filter", settings.filter, FILTERS)
    _range("window_width", settings.window_width)
    _range("window_height", settings.window_height)
    return settings


def _list(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadInput(name, str(value)[:80], "give a list")
    return value


def _typed(name: str, value: object, kind: type) -> object:
    # bool is an int in Python, but not to a person.
    if type(value) is not kind:
        raise BadInput(name, str(value)[:80], f"give a value of the kind {kind.__name__}")
    return value


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(name, value[:80], f"use one of {', '.join(allowed)}")


def _range(name: str, value: int) -> None:
    if not 100 <= value <= 20000:
        raise BadInput(name, str(value), "give 100 to 20000 pixels")


def _column(entry: object) -> ColumnSetting:
    if not isinstance(entry, Mapping) or set(entry) != {"id", "width", "visible"}:
        raise BadInput("columns", str(entry)[:80], "each entry has id, width and visible")
    width = entry["width"]
    if type(width) is not int or not 0 <= width <= 5000:
        raise BadInput("columns", str(width)[:80], "a width is 0 to 5000 pixels")
    return ColumnSetting(
        str(_typed("columns", entry["id"], str)), width, bool(_typed("columns", entry["visible"], bool))
    )
