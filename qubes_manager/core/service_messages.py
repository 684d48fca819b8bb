"""What is said to and by all our programs that serve others through a socket.

Each request is answered once, with ``Done``, ``Failed`` or what was asked for. Who follows is told news besides.
"""

from dataclasses import dataclass
from typing import ClassVar

from qubes_manager.core.json_lines import Fields, Message

# Characters of what is said to people.
MAX_SENTENCE = 1000


@dataclass(frozen=True, slots=True)
class Follow(Message):
    """Tell me how all stands, and news from now on."""

    TYPE: ClassVar[str] = "follow"


@dataclass(frozen=True, slots=True)
class Done(Message):
    """What was requested is done."""

    TYPE: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """What was requested could not be done."""

    TYPE: ClassVar[str] = "failed"
    reason: str

    @classmethod
    def of(cls, fields: Fields) -> "Failed":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.sentence("reason", MAX_SENTENCE))


@dataclass(frozen=True, slots=True)
class Notice(Message):
    """Something went wrong that nobody waits for."""

    TYPE: ClassVar[str] = "notice"
    text: str

    @classmethod
    def of(cls, fields: Fields) -> "Notice":
        """The message in *fields*; raises BadMessage."""
        return cls(fields.sentence("text", MAX_SENTENCE))
