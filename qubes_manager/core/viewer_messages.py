"""What is said between the gui service and a viewer: orders to the viewer, and the events that it reports.

A guest may have got at its viewer: of what an event says nothing is taken on trust.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.json_lines import MAX_STARTUP_ID, BadMessage, Fields, Message, shown

_MAX_WINDOWS = 10_000
_MAX_WHAT, _MAX_REASON = 80, 200


@dataclass(frozen=True, slots=True)
class Go(Message):
    """The guest is there: connect to it."""

    TYPE: ClassVar[str] = "go"


@dataclass(frozen=True, slots=True)
class Launch(Message):
    """An application is being launched; *startup_id* is the desktop's name for that, or empty."""

    TYPE: ClassVar[str] = "launch"
    startup_id: str


Order = GuiRules | Go | Launch


@dataclass(frozen=True, slots=True)
class Connected(Message):
    """The guest's session, screen or serial line is shown."""

    TYPE: ClassVar[str] = "connected"


@dataclass(frozen=True, slots=True)
class Windows(Message):
    """How many windows there are now."""

    TYPE: ClassVar[str] = "windows"
    count: int


@dataclass(frozen=True, slots=True)
class Mapped(Message):
    """A window, or several at once, came to the screen: no menu and no tip."""

    TYPE: ClassVar[str] = "mapped"


@dataclass(frozen=True, slots=True)
class Denied(Message):
    """Something that the guest tried was not allowed."""

    TYPE: ClassVar[str] = "denied"
    what: str


@dataclass(frozen=True, slots=True)
class Unusable(Message):
    """Nothing can be shown on this machine, however often it is tried."""

    TYPE: ClassVar[str] = "unusable"
    reason: str


class Crossing(StrEnum):
    """What keys of the inter-domain clipboard do: take a domain's text, or hand it one."""

    COPY = "copy"
    PASTE = "paste"


@dataclass(frozen=True, slots=True)
class Pressed(Message):
    """Keys of the inter-domain clipboard were pressed over a window of the domain.

    *when* is in milliseconds of the host's monotonic clock, *focused* for how many of them the window had had the
    keyboard.
    """

    TYPE: ClassVar[str] = "pressed"
    what: Crossing
    when: int
    focused: int


class Wish(StrEnum):
    """What the user may want of a domain at one of its windows."""

    SHUT_DOWN = "shut down"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Wished(Message):
    """The user chose that from the menu of a window of the domain, which a viewer can do to its own domain only."""

    TYPE: ClassVar[str] = "wished"
    what: Wish


ViewerEvent = Connected | Windows | Mapped | Denied | Unusable | Pressed | Wished


def parse_order(line: bytes) -> Order:
    """The order that a line holds; raises BadMessage."""
    fields = Fields(line)
    match fields.type:
        case GuiRules.TYPE:
            return GuiRules.of(fields)
        case Go.TYPE:
            return Go()
        case Launch.TYPE:
            return Launch(fields.text("startup_id", MAX_STARTUP_ID))
        case unknown:
            raise BadMessage(f"unknown order {shown(unknown)}")


def parse_event(line: bytes) -> ViewerEvent:
    """The event that a line holds; raises BadMessage."""
    fields = Fields(line)
    match fields.type:
        case Connected.TYPE:
            return Connected()
        case Windows.TYPE:
            return Windows(fields.number("count", _MAX_WINDOWS))
        case Mapped.TYPE:
            return Mapped()
        case Denied.TYPE:
            return Denied(fields.sentence("what", _MAX_WHAT))
        case Unusable.TYPE:
            return Unusable(fields.sentence("reason", _MAX_REASON))
        case Pressed.TYPE:
            return Pressed(fields.choice("what", Crossing), fields.number("when"), fields.number("focused"))
        case Wished.TYPE:
            return Wished(fields.choice("what", Wish))
        case unknown:
            raise BadMessage(f"unknown event {shown(unknown)}")
