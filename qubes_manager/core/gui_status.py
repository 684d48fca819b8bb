"""How things stand with a running domain's windows."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.json_lines import Fields, Message

_MAX_MESSAGE = 400


class GuiPhase(StrEnum):
    """What the supervisor of a domain's windows is at."""

    WAITING = "waiting for the guest"
    CONNECTING = "connecting"
    SHOWN = "shown"
    # Another of the user's programs has the port, on another screen as a rule; the message says which.
    ELSEWHERE = "shown elsewhere"
    # The guest has not opened its port in time; its screen can still be seen in the console.
    SILENT = "no answer"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GuiStatus(Message):
    """The phase, how many windows there are, how often some were mapped, and what is wrong where something is."""

    TYPE: ClassVar[str] = "status"
    uuid: str
    phase: GuiPhase
    windows: int = 0
    mapped: int = 0
    message: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "GuiStatus":
        """The status in a message; raises BadMessage."""
        return cls(
            fields.uuid("uuid"),
            fields.choice("phase", GuiPhase),
            fields.number("windows"),
            fields.number("mapped"),
            fields.sentence("message", _MAX_MESSAGE),
        )
