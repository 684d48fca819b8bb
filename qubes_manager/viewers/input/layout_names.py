"""The names of the host's keyboard layouts, by which a guest makes the same map."""

from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

from qubes_manager.viewers.protocol.packets import KeyboardLayout

# Of xkeyboard-config, on every host with a desktop: https://www.freedesktop.org/wiki/Software/XKeyboardConfig/
_REGISTRY = (Path("/usr/share/X11/xkb/rules/evdev.xml"), Path("/usr/share/X11/xkb/rules/evdev.extras.xml"))
# Rules, model, layout, variant and options, each ended by a zero, are in the property _XKB_RULES_NAMES.
_FIELDS = 5
_MOST_GROUPS = 4


def layout_of_property(value: bytes) -> KeyboardLayout | None:
    """The layout that X's root window tells; None when it tells none."""
    fields = value.decode("latin-1").split("\0")
    if len(fields) < _FIELDS or not fields[2]:
        return None
    return KeyboardLayout(fields[2], fields[3], _of_keys_alone(fields[4]))


def layout_of_descriptions(descriptions: Sequence[str]) -> KeyboardLayout | None:
    """The layout whose groups a keyboard map calls so (``German (no dead keys)``); None when the first is not known.

    A map has no other names. Options it has none of, either: what they do to keys is seen by what these mean.
    """
    # X has room for four, and those after one that is not known would be counted wrongly.
    known = [_registry()[text] for text in takewhile(_registry().__contains__, descriptions[:_MOST_GROUPS])]
    if not known:
        return None
    return KeyboardLayout(",".join(name for name, _ in known), ",".join(variant for _, variant in known).rstrip(","))


def _of_keys_alone(options: str) -> str:
    """Options without those that switch layouts: which one is typed in is the host's to say."""
    return ",".join(word for word in options.split(",") if word and not word.startswith(("grp:", "grp_led:")))


@cache
def _registry() -> dict[str, tuple[str, str]]:
    """Layouts and variants by what people call them."""
    # On Wayland only.
    from xml.etree import ElementTree

    names: dict[str, tuple[str, str]] = {}
    for path in _REGISTRY:
        if not path.exists():
            continue
        for _event, layout in ElementTree.iterparse(path):  # noqa: S314  The system's own file.
            if layout.tag != "layout":
                continue
            name = layout.findtext("configItem/name", "")
            names.setdefault(layout.findtext("configItem/description", ""), (name, ""))
            for item in layout.iterfind("variantList/variant/configItem"):
                names.setdefault(item.findtext("description", ""), (name, item.findtext("name", "")))
            # One is in memory at a time.
            layout.clear()
    return names
