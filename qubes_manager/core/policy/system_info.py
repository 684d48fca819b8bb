"""Domains out of the JSON that Qubes describes a system with (``qubesd-query internal.GetSystemInfo``)."""

import json
from collections.abc import Mapping

from qubes_manager.core.errors import BadInput
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.policy.subject import Subject
from qubes_manager.core.policy.tokens import Kind

_ALLOWED = "write {“domains”: {NAME: {“type”: …, “tags”: […], …}}}, as Qubes does"


def parse_system_info(text: bytes) -> dict[str, Subject]:
    """The domains by their names; raises BadInput."""
    try:
        said = json.loads(text)
        domains = said["domains"]
        # Newer ones have each domain a second time, by its UUID.
        return {name: _subject(name, d) for name, d in domains.items() if not name.startswith(Kind.UUID.value)}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise BadInput("system information", f"{type(error).__name__}: {error}"[:200], _ALLOWED) from None


def _subject(name: str, domain: Mapping[str, object]) -> Subject:
    tags = domain.get("tags", ())
    if not isinstance(tags, list | tuple):
        raise TypeError(f"the tags of {name} are no list")
    return Subject(
        name,
        str(domain.get("uuid") or ""),
        str(domain.get("type") or ""),
        # Qubes tells the colour and not the label's name.
        str(domain.get("label") or "").replace("0x", "#"),
        frozenset(map(str, tags)),
        str(domain.get("template") or ""),
        bool(domain.get("template_for_dispvms")),
        str(domain.get("default_dispvm") or ""),
        domain.get("power_state") == "Running" or name == HOST_NAME,
        bool(domain.get("internal")),
    )
