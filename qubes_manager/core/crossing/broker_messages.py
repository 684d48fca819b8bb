"""What is said between the broker and the user's other programs: the manager, the commands, the gui service.

Each request is answered once, with ``Done``, ``Failed``, or what was asked for; long ones are made on a connection of
their own. Who follows is told news besides. A new message is a class with its place in one of the three unions below.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from qubes_manager.core.crossing.clipboard_messages import (
    ClipboardSaid,
    ClipboardStatus,
    ClipboardText,
    CopyClipboard,
    GiveText,
    PasteClipboard,
    PutClipboard,
    ReadClipboard,
    TakeClipboard,
    WipeClipboard,
)
from qubes_manager.core.crossing.file_requests import (
    AwaitCopy,
    ConvertFiles,
    CopyBegun,
    CopyFiles,
    CopyReport,
    FileList,
    FilesArrived,
    ListFiles,
    OpenFiles,
)
from qubes_manager.core.crossing.guest_messages import MAX_SENTENCE
from qubes_manager.core.crossing.session_messages import RevokeGrant, SessionRules, Unblock
from qubes_manager.core.json_lines import Fields, Message, Wire
from qubes_manager.core.service_messages import Done, Failed, Follow, Notice

# Bytes of a line here, both ways.
MAX_LINE = 1 << 20
# Characters of a display's name, of a path, of a D-Bus address.
_MAX_PLACE = 4096


@dataclass(frozen=True, slots=True)
class OfferScreen(Message):
    """Whoever says this has a screen, where questions and notices may come as long as it stays connected.

    As in the environment (DISPLAY, WAYLAND_DISPLAY, XAUTHORITY, DBUS_SESSION_BUS_ADDRESS, XDG_RUNTIME_DIR); empty is
    not set. The newest one counts.
    """

    TYPE: ClassVar[str] = "screen"
    display: str = ""
    wayland: str = ""
    xauthority: str = ""
    dbus: str = ""
    runtime_dir: str = ""

    @classmethod
    def of(cls, fields: Fields) -> "OfferScreen":
        """The message in *fields*; raises BadMessage."""
        names = ("display", "wayland", "xauthority", "dbus", "runtime_dir")
        return cls(*(fields.text(name, _MAX_PLACE) for name in names))


@dataclass(frozen=True, slots=True)
class CancelTransfer(Message):
    """Stop what is crossing."""

    TYPE: ClassVar[str] = "cancel"
    transfer: int

    @classmethod
    def of(cls, fields: Fields) -> "CancelTransfer":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.number("transfer"))


class TransferPhase(StrEnum):
    """What a transfer is at."""

    ASKING = "asking"
    STARTING = "starting the target"
    MOVING = "moving"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TransferStatus(Message):
    """How something stands that crosses, or crossed until just now: then its phase is DONE or FAILED, and last of all.

    *source* and *target* are names, ``dom0`` for this machine; their UUIDs stand beside them, empty where it is none or
    not known yet. *sentence* says what it is, *message* what is being waited for or why it failed. *moved* are the
    bytes of both directions, *total* those that were announced (0: not known), *rate* is in bytes a second.
    """

    TYPE: ClassVar[str] = "transfer"
    transfer: int
    source: str
    target: str
    source_uuid: str
    target_uuid: str
    service: str
    sentence: str
    phase: TransferPhase
    message: str = ""
    moved: int = 0
    total: int = 0
    rate: int = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be said of it."""
        return self.phase in (TransferPhase.DONE, TransferPhase.FAILED)

    @classmethod
    def of(cls, fields: Fields) -> "TransferStatus":
        """The message in *fields*; raises BadMessage."""
        return cls(
            fields.number("transfer"),
            fields.sentence("source", MAX_SENTENCE),
            fields.sentence("target", MAX_SENTENCE),
            fields.text("source_uuid", 36),
            fields.text("target_uuid", 36),
            fields.text("service", MAX_SENTENCE),
            fields.sentence("sentence", MAX_SENTENCE),
            fields.choice("phase", TransferPhase),
            fields.sentence("message", MAX_SENTENCE),
            fields.number("moved"),
            fields.number("total"),
            fields.number("rate"),
        )


Request = (
    Follow
    | OfferScreen
    | CancelTransfer
    | CopyClipboard
    | PasteClipboard
    | PutClipboard
    | GiveText
    | TakeClipboard
    | WipeClipboard
    | ReadClipboard
    | ListFiles
    | CopyFiles
    | AwaitCopy
    | OpenFiles
    | ConvertFiles
    | RevokeGrant
    | Unblock
)
Answer = Done | Failed | ClipboardSaid | ClipboardText | ClipboardStatus | FileList | CopyBegun | CopyReport
News = TransferStatus | Notice | ClipboardStatus | SessionRules | FilesArrived
_REQUESTS, _REPLIES = Wire[Request](Request, MAX_LINE), Wire[Answer | News](Answer | News, MAX_LINE)


def parse_request(line: bytes) -> Request:
    """The request that a line holds; raises BadMessage."""
    return _REQUESTS.parse(line)


def parse_reply(line: bytes) -> Answer | News:
    """The answer, or the news, that a line holds; raises BadMessage."""
    return _REPLIES.parse(line)
