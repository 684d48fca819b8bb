"""The options of domains' windows: for all domains, and for one, whose own value wins."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qubes_manager.core.domain import Domain
from qubes_manager.core.errors import BadInput
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.labels import LABELS

Value = bool | int
Section = dict[str, Value]


@dataclass(frozen=True, slots=True)
class GuiOption:
    """One option: its key, its value when nothing was set, what it means, and the range of a number."""

    key: str
    default: Value
    about: str
    low: int = 0
    high: int = 0

    def check(self, value: object) -> Value:
        """Return *value* when the option may have it; raises BadInput."""
        # bool is an int in Python, but not to a person.
        if isinstance(value, bool) and isinstance(self.default, bool):
            return value
        if isinstance(self.default, bool):
            raise BadInput(self.key, str(value)[:80], "use true or false")
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise BadInput(self.key, str(value)[:80], f"give a whole number from {self.low} to {self.high}")
        return value


# Names and defaults are those that users of Qubes OS know.
GUI_OPTIONS: dict[str, GuiOption] = {
    option.key: option
    for option in (
        GuiOption("allow_fullscreen", False, "a window may cover the whole screen"),
        GuiOption("override_redirect_protection", True, "an unmanaged window covers at most 90 % of the screen"),
        GuiOption("allow_utf8_titles", False, "titles may have characters beyond ASCII"),
        GuiOption("windows_count_limit", 500, "windows that a domain may open", 1, 10_000),
        GuiOption("border_width", 6, "width of the coloured border in pixels", 1, 40),
        GuiOption("startup_timeout", 45, "seconds to wait for the guest’s agents", 5, 600),
        GuiOption("max_clipboard_size", 64_000, "characters that the inter-domain clipboard takes", 256, 256_000),
    )
}


@dataclass(slots=True)
class GuiOptions:
    """What was set: for all domains, and by the name of a domain."""

    everywhere: Section = field(default_factory=dict)
    domains: dict[str, Section] = field(default_factory=dict)

    def value(self, key: str, domain: str = "") -> Value:
        """The value in force, for a domain or for all."""
        own = self.domains.get(domain, {})
        return own.get(key, self.everywhere.get(key, GUI_OPTIONS[key].default))

    def put(self, key: str, value: Value | None, domain: str = "") -> None:
        """Set a value, or with None take back what was set; raises BadInput."""
        if key not in GUI_OPTIONS:
            raise BadInput("window option", key[:80], f"use one of {', '.join(GUI_OPTIONS)}")
        section = self.domains.setdefault(domain, {}) if domain else self.everywhere
        section.pop(key, None)
        if value is not None:
            section[key] = GUI_OPTIONS[key].check(value)
        if domain and not section:
            del self.domains[domain]

    def rules(self, domain: Domain) -> GuiRules:
        """The rules for the windows of a domain. One without a label wears the colour of the least trust."""
        label = domain.label or LABELS["red"]
        return GuiRules(
            domain.name,
            label.colour,
            border_width=int(self.value("border_width", domain.name)),
            allow_fullscreen=bool(self.value("allow_fullscreen", domain.name)),
            override_redirect_protection=bool(self.value("override_redirect_protection", domain.name)),
            allow_utf8_titles=bool(self.value("allow_utf8_titles", domain.name)),
            windows_count_limit=int(self.value("windows_count_limit", domain.name)),
        )


def parse_gui_options(data: object) -> GuiOptions:
    """Return what a YAML document says; raises BadInput naming the key. Unknown keys are refused."""
    options = GuiOptions()
    document = _mapping("windows", {} if data is None else data)
    for name, part in document.items():
        if name == "global":
            _apply_section(options, _mapping("global", part), "")
        elif name == "domains":
            for domain, section in _mapping("domains", part).items():
                _apply_section(options, _mapping(f"domains: {domain}", section), str(domain))
        else:
            raise BadInput("windows", str(name)[:80], "use only global and domains")
    return options


def dump_gui_options(options: GuiOptions) -> dict[str, object]:
    """The YAML document of what was set."""
    return {"global": dict(options.everywhere), "domains": {name: dict(s) for name, s in options.domains.items()}}


def _mapping(field_name: str, value: object) -> Mapping[object, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadInput(field_name, type(value).__name__, "give a mapping of names to values")
    return value


def _apply_section(options: GuiOptions, section: Mapping[object, object], domain: str) -> None:
    for key, value in section.items():
        option = GUI_OPTIONS.get(str(key))
        if option is None:
            raise BadInput("window option", str(key)[:80], f"use one of {', '.join(GUI_OPTIONS)}")
        options.put(option.key, option.check(value), domain)
