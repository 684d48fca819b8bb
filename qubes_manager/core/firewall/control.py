"""What is asked of a domain's keeper while the domain runs, and what it answers: one line of JSON each."""

import json
import re
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.firewall import MAX_RULES, Firewall, parse_firewall
from qubes_manager.core.json_lines import BadMessage, Fields, Message, Wire

# Bytes of a line: as many rules as there may be, each as long as it may be.
MAX_CONTROL_LINE = 1 << 20
_MAX_RULES_TEXT = MAX_CONTROL_LINE // 2
_MAX_WORDS = 300
_BAR = "|"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_VIA = " via="


@dataclass(frozen=True, slots=True)
class SetFirewall(Message):
    """From now on these rules hold."""

    TYPE: ClassVar[str] = "set"
    rules: str
    home: bool

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read it; raises BadMessage."""
        return cls(fields.raw("rules", _MAX_RULES_TEXT), fields.truth("home"))


@dataclass(frozen=True, slots=True)
class SetVia(Message):
    """From now on the network is that of the domain of a UUID; of an empty one, this machine's."""

    TYPE: ClassVar[str] = "via"
    via: str

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read it; raises BadMessage."""
        return cls(_via(fields.sentence("via", _MAX_WORDS)))


def _via(text: str) -> str:
    """What may be a domain's UUID, or empty; raises BadMessage."""
    if text and not _UUID.fullmatch(text):
        raise BadMessage(f"{text[:80]!r} is no domain")
    return text


@dataclass(frozen=True, slots=True)
class AskNetwork(Message):
    """How is it?"""

    TYPE: ClassVar[str] = "ask"


@dataclass(frozen=True, slots=True)
class NetworkState(Message):
    """How a domain's network is: why there is no way out, whose it is, which rules hold, and what went through each.

    *counts* has packets and bytes of each rule, *refused* those of what none let through; *troubles* are names that are
    not known, each followed by why.
    """

    TYPE: ClassVar[str] = "state"
    trouble: str
    rules: str
    home: bool
    counts: tuple[tuple[int, int], ...] = ()
    refused: tuple[int, int] = (0, 0)
    troubles: tuple[str, ...] = ()
    via: str = ""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read it; raises BadMessage."""
        counts = fields.numbers("counts", 2 * (MAX_RULES + 1))
        if not counts or len(counts) % 2:
            raise BadMessage(f"counts are {len(counts)} numbers, and no pairs of them")
        pairs = tuple(zip(counts[::2], counts[1::2], strict=True))
        return cls(
            fields.sentence("trouble", _MAX_WORDS),
            fields.raw("rules", _MAX_RULES_TEXT),
            fields.truth("home"),
            pairs[1:],
            pairs[0],
            fields.sentences("troubles", 2 * MAX_RULES, _MAX_WORDS),
            _via(fields.sentence("via", _MAX_WORDS)),
        )


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """What was asked was not done, and why."""

    TYPE: ClassVar[str] = "failed"
    reason: str

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Read it; raises BadMessage."""
        return cls(fields.sentence("reason", _MAX_WORDS))


QUESTIONS: Wire[SetFirewall | SetVia | AskNetwork] = Wire(SetFirewall | SetVia | AskNetwork, MAX_CONTROL_LINE)
ANSWERS: Wire[NetworkState | Failed] = Wire(NetworkState | Failed, MAX_CONTROL_LINE)


def state_line(state: NetworkState) -> str:
    """The state as a line, whose counts are one list that begins with what was refused."""
    counts = [number for pair in (state.refused, *state.counts) for number in pair]
    return json.dumps({"type": state.TYPE, **asdict(state), "counts": counts, "refused": None})


def read_rules(text: str, now: float) -> tuple[Firewall, str]:
    """Return what the variable of a domain's emulator tells: its firewall, and the UUID of the domain whose network it
    has; raises BadInput.

    It says whether the home network is on, and whose network it is, and then each rule, with a bar before it: of all
    that a rule is written in none is a bar, and libvirt keeps no line ends in attributes.
    """
    first, *lines = text.split(_BAR)
    home, is_via, via = first.partition(_VIA)
    if home not in ("home=on", "home=off"):
        raise BadInput("home", home[:80], "begin with home=on or home=off")
    if is_via and not _UUID.fullmatch(via):
        raise BadInput("via", via[:80], "name a domain by its UUID")
    return parse_firewall("\n".join(lines), now, home=home == "home=on"), via


def rules_text(firewall: Firewall, via: str = "") -> str:
    """As ``read_rules`` reads it; comments are left out, since the kernel takes no variable of any length."""
    first = f"home={'on' if firewall.home else 'off'}" + (f"{_VIA}{via}" if via else "")
    return _BAR.join((first, *(rule.bare for rule in firewall.rules)))
