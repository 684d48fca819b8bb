"""What is said between the gui service and its clients, the manager and the commands.

Each request is answered once, with ``Done`` or ``Failed``. Who follows is told news besides.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.gui_status import GuiStatus
from qubes_manager.core.json_lines import MAX_STARTUP_ID, BadMessage, Fields, Message, shown

# Characters of what is said to people.
MAX_SENTENCE = 1000


class ConsoleKind(StrEnum):
    """What of a domain a console shows."""

    SCREEN = "screen"
    SERIAL = "serial"


@dataclass(frozen=True, slots=True)
class Follow(Message):
    """Tell me how all windows stand, and news from now on."""

    TYPE: ClassVar[str] = "follow"


@dataclass(frozen=True, slots=True)
class Reload(Message):
    """Read the options of windows anew."""

    TYPE: ClassVar[str] = "reload"


@dataclass(frozen=True, slots=True)
class OpenConsole(Message):
    """Open a console of a domain."""

    TYPE: ClassVar[str] = "console"
    uuid: str
    kind: ConsoleKind


@dataclass(frozen=True, slots=True)
class AnnounceLaunch(Message):
    """An application is being launched in a domain; *startup_id* is the desktop's name for that."""

    TYPE: ClassVar[str] = "launching"
    uuid: str
    startup_id: str


Request = Follow | Reload | OpenConsole | AnnounceLaunch


@dataclass(frozen=True, slots=True)
class Done(Message):
    """What was requested is done."""

    TYPE: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """What was requested could not be done."""

    TYPE: ClassVar[str] = "failed"
    reason: str


@dataclass(frozen=True, slots=True)
class Notice(Message):
    """Something went wrong that nobody waits for."""

    TYPE: ClassVar[str] = "notice"
    text: str


@dataclass(frozen=True, slots=True)
class ApplicationsRead(Message):
    """The list of a domain's applications was read."""

    TYPE: ClassVar[str] = "applications"
    uuid: str


@dataclass(frozen=True, slots=True)
class StatusGone(Message):
    """A domain's windows are not looked after any more."""

    TYPE: ClassVar[str] = "gone"
    uuid: str


Answer = Done | Failed
News = GuiStatus | StatusGone | Notice | ApplicationsRead


def parse_request(line: bytes) -> Request:
    """The request that a line holds; raises BadMessage."""
    fields = Fields(line)
    match fields.type:
        case Follow.TYPE:
            return Follow()
        case Reload.TYPE:
            return Reload()
        case OpenConsole.TYPE:
            return OpenConsole(fields.uuid("uuid"), fields.choice("kind", ConsoleKind))
        case AnnounceLaunch.TYPE:
            return AnnounceLaunch(fields.uuid("uuid"), fields.text("startup_id", MAX_STARTUP_ID))
        case unknown:
            raise BadMessage(f"unknown request {shown(unknown)}")


def parse_reply(line: bytes) -> Answer | News:
    """The answer, or the news, that a line holds; raises BadMessage."""
    fields = Fields(line)
    match fields.type:
        case Done.TYPE:
            return Done()
        case Failed.TYPE:
            return Failed(fields.sentence("reason", MAX_SENTENCE))
        case Notice.TYPE:
            return Notice(fields.sentence("text", MAX_SENTENCE))
        case ApplicationsRead.TYPE:
            return ApplicationsRead(fields.uuid("uuid"))
        case GuiStatus.TYPE:
            return GuiStatus.of(fields)
        case StatusGone.TYPE:
            return StatusGone(fields.uuid("uuid"))
        case unknown:
            raise BadMessage(f"unknown message {shown(unknown)}")
