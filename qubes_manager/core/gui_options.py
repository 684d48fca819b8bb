"""The options of domains' windows: for all domains, and for one, whose own value wins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product

from qubes_manager.core.crossing.pixels import MOST_BYTES
from qubes_manager.core.domain import Domain, DomainClass
from qubes_manager.core.errors import BadInput
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.key_sequence import COPY_KEYS, FULLSCREEN_KEYS, PASTE_KEYS, parse_key_sequence
from qubes_manager.core.labels import LABELS
from qubes_manager.core.values import parse_bool, parse_number

Value = bool | int | str
Section = dict[str, Value]


@dataclass(frozen=True, slots=True)
class GuiOption:
    """One option: its key, its value when nothing was set, what it means, and the range of a number.

    One whose default is a text is a sequence of keys.
    """

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
        if isinstance(self.default, str):
            return str(parse_key_sequence(str(value), self.key))
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise BadInput(self.key, str(value)[:80], f"give a whole number from {self.low} to {self.high}")
        return value

    def parse(self, text: str) -> Value:
        """The value that *text* is for this option; raises BadInput."""
        if isinstance(self.default, bool):
            return parse_bool(text, self.key)
        if isinstance(self.default, str):
            return self.check(text)
        return parse_number(text, self.key, self.low, self.high)


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
        GuiOption("fullscreen_keys", FULLSCREEN_KEYS, "keys that take a window to the whole screen, and back"),
        GuiOption("secure_copy_sequence", COPY_KEYS, "keys that copy from a domain’s clipboard"),
        GuiOption("secure_paste_sequence", PASTE_KEYS, "keys that paste into a domain’s clipboard"),
        GuiOption("max_clipboard_size", 64_000, "bytes that the inter-domain clipboard takes", 256, MOST_BYTES),
        GuiOption("clipboard_seconds", 60, "seconds until what was copied is forgotten; 0 never forgets", 0, 3600),
        GuiOption("clipboard_wipe", False, "a domain’s clipboard forgets what was pasted after a minute"),
        GuiOption("clipboard_images", False, "the inter-domain clipboard takes pictures too, as plain pixels"),
    )
}


# Options that must not have the same keys, and what theirs do.
KEY_OPTIONS = {
    "secure_copy_sequence": "copy",
    "secure_paste_sequence": "paste",
    "fullscreen_keys": "switch full screen",
}
# What else stands in a domain's section: what it was called last, for who reads the file.
NAME = "name"


@dataclass(slots=True)
class GuiOptions:
    """What was set: for all domains, and by the UUID of a domain."""

    everywhere: Section = field(default_factory=dict)
    domains: dict[str, Section] = field(default_factory=dict)

    def value(self, key: str, uuid: str = "") -> Value:
        """The value in force, for a domain or for all."""
        own = self.domains.get(uuid, {})
        return own.get(key, self.everywhere.get(key, GUI_OPTIONS[key].default))

    def refuse_same_keys(self, values: Mapping[str, Value | None], uuid: str = "") -> None:
        """Raise BadInput when *values*, set for a domain or for all, would have the same keys do two things.

        None takes back what was set. What holds for all is tried with what each domain has of its own, too.
        """
        section = {**(self.domains.get(uuid, {}) if uuid else self.everywhere), **values}
        own: Section = {key: value for key, value in section.items() if value is not None}
        later = GuiOptions(self.everywhere, {**self.domains, uuid: own}) if uuid else GuiOptions(own, self.domains)
        for key in KEY_OPTIONS.keys() & values.keys():
            others = [option for option in KEY_OPTIONS if option != key]
            for where, other in product((uuid,) if uuid else ("", *self.domains), others):
                keys = later.value(key, where)
                if keys == later.value(other, where):
                    raise BadInput(key, str(keys), f"these keys {KEY_OPTIONS[other]} already; choose others")

    def source(self, domain: Domain) -> str:
        """The UUID under which a domain's options stand: those of a disposable are its template's."""
        own, is_disposable = domain.key.uuid, domain.klass is DomainClass.DISPOSABLE
        return domain.config.template_uuid if is_disposable and own not in self.domains else own

    def rules(self, domain: Domain) -> GuiRules:
        """The rules for the windows of a domain. One without a label wears the colour of the least trust."""
        label = domain.label or LABELS["red"]
        uuid = self.source(domain)
        return GuiRules(
            domain.name,
            label.colour,
            border_width=int(self.value("border_width", uuid)),
            allow_fullscreen=bool(self.value("allow_fullscreen", uuid)),
            override_redirect_protection=bool(self.value("override_redirect_protection", uuid)),
            allow_utf8_titles=bool(self.value("allow_utf8_titles", uuid)),
            windows_count_limit=int(self.value("windows_count_limit", uuid)),
            copy_keys=str(self.value("secure_copy_sequence", uuid)),
            paste_keys=str(self.value("secure_paste_sequence", uuid)),
            fullscreen_keys=str(self.value("fullscreen_keys", uuid)),
            shown=domain.shown_name if domain.title else "",
        )


def find_option(key: str) -> GuiOption:
    """Return an option by its key; raises BadInput."""
    if key not in GUI_OPTIONS:
        raise BadInput("window option", key[:80], f"use one of {', '.join(GUI_OPTIONS)}")
    return GUI_OPTIONS[key]


def parse_gui_options(data: object, complain: Callable[[str], None] = lambda _trouble: None) -> GuiOptions:
    """Return what a YAML document says; *complain* hears of each part that cannot be used, by its key."""
    options = GuiOptions()
    for name, part in _mapping("windows", data, complain).items():
        if name == "global":
            options.everywhere = _section("global", part, complain)
        elif name == "domains":
            for domain, own in _mapping("domains", part, complain).items():
                if section := _section(f"domains: {domain}", own, complain):
                    options.domains[str(domain)] = section
        else:
            complain(str(BadInput("windows", str(name)[:80], "use only global and domains")))
    return options


def _mapping(place: str, value: object, complain: Callable[[str], None]) -> Mapping[object, object]:
    if isinstance(value, Mapping):
        return value
    if value is not None:
        complain(str(BadInput(place, type(value).__name__, "give a mapping of names to values")))
    return {}


def _section(place: str, part: object, complain: Callable[[str], None]) -> Section:
    section: Section = {}
    for key, value in _mapping(place, part, complain).items():
        if key == NAME:
            continue
        try:
            section[str(key)] = find_option(str(key)).check(value)
        except BadInput as error:
            complain(str(error))
    return section
