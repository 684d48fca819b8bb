"""The user's settings: what there is, and what each may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

from qubes_manager.core.errors import BadInput

APPEARANCES = ("system", "light", "dark")
FILTERS = ("all", "running", "saved", "halted", "templates", "standalone", "user")
_CHOICES = {"appearance": APPEARANCES, "filter": FILTERS}


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
    show_devices: bool = False
    show_toolbar: bool = True
    show_waiting: bool = False
    setup_offered: bool = False


def parse_settings(data: object, complain: Callable[[str], None] = lambda _trouble: None) -> Settings:
    """Return the settings that a YAML document holds; *complain* hears of each that cannot be used, by its key."""
    settings = Settings()
    known = {f.name for f in fields(Settings)}
    for name, value in data.items() if isinstance(data, Mapping) else ():
        try:
            if name not in known:
                raise BadInput("settings", str(name)[:80], f"use only {', '.join(sorted(known))}")
            setattr(settings, name, _checked(settings, name, value))
        except BadInput as error:
            complain(str(error))
    return settings


def _checked(settings: Settings, name: str, value: object) -> object:
    present = getattr(settings, name)
    if name == "columns":
        return [_column(entry) for entry in _list(name, value)]
    if isinstance(present, list):
        return [_typed(name, entry, str) for entry in _list(name, value)]
    checked = _typed(name, value, type(present))
    if name in _CHOICES:
        _choice(name, str(checked), _CHOICES[name])
    if name in ("window_width", "window_height") and isinstance(checked, int):
        _range(name, checked)
    return checked


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
