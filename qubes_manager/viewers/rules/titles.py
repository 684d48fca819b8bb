"""What windows are called: always with their domain's name, and nothing in it that could mislead."""

import re

from qubes_manager.core.gui_rules import MAX_TITLE
from qubes_manager.core.text import one_line

_NO_CLASS = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_CLASS, _MAX_REASON = 64, 200


def kept(title: str) -> str:
    """As much of a guest's title as is needed to make the host's, now and when the rules have changed."""
    # Less of it is shown, of however long a one.
    return title[: 2 * MAX_TITLE]


def class_names(domain: str, names: tuple[str, str]) -> tuple[str, str]:
    """The instance and class of a window: no guest's is taken for a host's program, or for another domain's."""
    instance, group = names
    return f"{domain}:{_word(instance)}", f"{domain}:{_word(group)}"


def role(text: str) -> str:
    """A window's role."""
    return _word(text)


def reason(text: str) -> str:
    """Why a server ends the session, in a line that is safe to show."""
    return one_line(text, _MAX_REASON)


def _word(text: str) -> str:
    return _NO_CLASS.sub("_", text[:_MAX_CLASS])
