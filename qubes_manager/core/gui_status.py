"""How things stand with a running domain's windows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from qubes_manager.core.text import one_line


class GuiPhase(StrEnum):
    """What the supervisor of a domain's windows is at."""

    WAITING = "waiting for the guest"
    CONNECTING = "connecting"
    SHOWN = "shown"
    # The guest has not opened its port in time; its screen can still be seen in the console.
    SILENT = "no answer"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class GuiStatus:
    """The phase, how many windows there are, how many were ever mapped, and what is wrong where something is."""

    uuid: str
    phase: GuiPhase
    windows: int = 0
    mapped: int = 0
    message: str = ""

    def to_data(self) -> dict[str, object]:
        """As plain data, for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, object]) -> "GuiStatus":
        """What ``to_data`` gave; raises KeyError, ValueError."""
        return cls(
            str(data["uuid"]),
            GuiPhase(str(data["phase"])),
            int(str(data["windows"])),
            int(str(data["mapped"])),
            one_line(str(data["message"]), 400),
        )
