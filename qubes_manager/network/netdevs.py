"""QEMU's user networking on its command line, as libvirt writes it, and what takes its place."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_OPTION = "-netdev"
_KIND = "user"
# The card by which a domain is the network of others: libvirt puts “host” before an alias of ours (“ua-”).
DOWNSTREAM = "hostua-qubes-downstream"


def user_netdevs(words: "Sequence[str]") -> dict[int, str]:
    """Return where on a command line user networking is asked for, and the id of each."""
    return {
        place + 1: netdev
        for place, word in enumerate(words[:-1])
        if word == _OPTION and (netdev := _user_id(words[place + 1]))
    }


def with_taps(words: "Sequence[str]", taps: "Iterable[tuple[int, str, int]]") -> list[str]:
    """Return the command line with a tap's descriptor in place of each of *taps*: place, id, descriptor."""
    changed = list(words)
    for place, netdev, tap in taps:
        changed[place] = json.dumps({"type": "tap", "id": netdev, "fd": str(tap), "vhost": False})
    return changed


def domain_uuid(words: "Sequence[str]") -> str:
    """Return the UUID of the domain that a command line is for; empty where it names none."""
    return next((words[place + 1] for place, word in enumerate(words[:-1]) if word == "-uuid"), "")


def goes_on(words: "Sequence[str]") -> bool:
    """Whether the domain goes on from where it was saved, or comes from another machine."""
    return "-incoming" in words


def _user_id(value: str) -> str:
    """The id of a netdev of that kind, in QEMU's JSON or in its older form; empty for others."""
    if value.startswith("{"):
        try:
            fields = json.loads(value)
        except ValueError:
            return ""
        return str(fields.get("id", "")) if fields.get("type") == _KIND else ""
    kind, *options = value.split(",")
    found = dict(option.partition("=")[::2] for option in options)
    return found.get("id", "") if kind == _KIND else ""
