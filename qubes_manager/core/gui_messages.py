"""What is said between the gui service and its clients, the manager and the commands."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.gui_status import GuiStatus
from qubes_manager.core.json_lines import MAX_STARTUP_ID, BadMessage, Fields, Message, shown
from qubes_manager.core.service_messages import Done, Failed, Follow, Notice


class ConsoleKind(StrEnum):
    """What of a domain a console shows."""

    SCREEN = "screen"
    SERIAL = "serial"


class Port(StrEnum):
    """What of a domain one program at a time may have."""

    WINDOWS = "windows"
    SERIAL = "serial console"


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
    take_over: bool


@dataclass(frozen=True, slots=True)
class Show(Message):
    """Show a domain's windows here; *take_over* them from whoever of the user's programs shows them elsewhere."""

    TYPE: ClassVar[str] = "show"
    uuid: str
    take_over: bool


@dataclass(frozen=True, slots=True)
class Release(Message):
    """Let go of a domain's port, windows or console: another of the user's services takes it over."""

    TYPE: ClassVar[str] = "release"
    uuid: str
    port: Port


@dataclass(frozen=True, slots=True)
class AnnounceLaunch(Message):
    """An application is being launched in a domain; *startup_id* is the desktop's name for that, or empty."""

    TYPE: ClassVar[str] = "launching"
    uuid: str
    startup_id: str


Request = Follow | Reload | OpenConsole | Show | Release | AnnounceLaunch


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
            return OpenConsole(fields.uuid("uuid"), fields.choice("kind", ConsoleKind), fields.truth("take_over"))
        case Show.TYPE:
            return Show(fields.uuid("uuid"), fields.truth("take_over"))
        case Release.TYPE:
            return Release(fields.uuid("uuid"), fields.choice("port", Port))
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
            return Failed.of(fields)
        case Notice.TYPE:
            return Notice.of(fields)
        case ApplicationsRead.TYPE:
            return ApplicationsRead(fields.uuid("uuid"))
        case GuiStatus.TYPE:
            return GuiStatus.of(fields)
        case StatusGone.TYPE:
            return StatusGone(fields.uuid("uuid"))
        case unknown:
            raise BadMessage(f"unknown message {shown(unknown)}")
