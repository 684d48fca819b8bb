"""The inter-domain clipboard: one text on its way from a named source to a target that the user names."""

from dataclasses import dataclass

from qubes_manager.core.errors import Refused
from qubes_manager.core.signal import Signal

# Characters; the default of the windows' clipboard limit.
MAX_SIZE = 64_000


@dataclass(frozen=True, slots=True)
class ClipboardContent:
    """A text and the domain that it came from."""

    source: str
    text: str

    @property
    def size(self) -> int:
        """Bytes of the text in UTF-8."""
        return len(self.text.encode("utf-8", "surrogatepass"))


class InterDomainClipboard:
    """Holds at most one text. Taking it wipes it, so that no third domain can have it."""

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        self._content: ClipboardContent | None = None
        self._max_size = max_size
        # Something was put in, taken or wiped.
        self.changed = Signal[ClipboardContent | None]()

    @property
    def content(self) -> ClipboardContent | None:
        """What waits, if anything."""
        return self._content

    def set_limit(self, max_size: int) -> None:
        """Take at most *max_size* characters from now on."""
        self._max_size = max_size

    def put(self, source: str, text: str) -> ClipboardContent:
        """Put *text* in, in place of what was there; raises Refused for an empty or too long one."""
        if not text:
            raise Refused("there is nothing to copy")
        if len(text) > self._max_size:
            raise Refused(
                f"the text has {len(text):,} characters, and the inter-domain clipboard takes {self._max_size:,}: "
                "select less, or save it to a file"
            )
        self._set(ClipboardContent(source, text))
        return ClipboardContent(source, text)

    def take(self, target: str) -> str:
        """Return the text for *target* and wipe it; raises Refused when it is empty or came from there."""
        if self._content is None:
            raise Refused("the inter-domain clipboard is empty")
        if self._content.source == target:
            raise Refused(f"the text came from “{target}” itself; paste it into another domain")
        text = self._content.text
        self._set(None)
        return text

    def wipe(self) -> None:
        """Forget the text."""
        self._set(None)

    def _set(self, content: ClipboardContent | None) -> None:
        self._content = content
        self.changed.emit(content)
