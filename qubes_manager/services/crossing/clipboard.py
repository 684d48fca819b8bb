"""The inter-domain clipboards as the window and the commands see them: one in the broker of each connection."""

import asyncio
import time
from dataclasses import dataclass

from qubes_manager.core.crossing.broker_messages import News, Request
from qubes_manager.core.crossing.clipboard import Kind
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
from qubes_manager.core.crossing.pixels import MOST_BYTES
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.core.signal import Signal
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks

# Seconds for the user to be asked.
_ASKING_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class Held:
    """What the clipboard of a connection holds: *size* bytes from *source*, since a time of the monotonic clock."""

    uri: str
    source: str
    kind: Kind
    size: int
    since: float

    @property
    def sentence(self) -> str:
        """It in a few words, with its age."""
        seconds = int(time.monotonic() - self.since)
        age = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
        what = "a picture, " if self.kind is Kind.IMAGE else ""
        return f"{what}{self.size:,} bytes from {self.source}, {age} ago"


class Clipboards:
    """What can be done with the clipboards. Sentences to show come back; all of it raises QubesManagerError."""

    def __init__(self, links: BrokerLinks) -> None:
        self._links = links
        self._held: dict[str, Held] = {}
        # What was copied last and is still there, as far as it was heard.
        self.changed = Signal[Held | None]()
        links.added.connect(self._on_link)

    @property
    def held(self) -> "Held | None":
        """What was copied last and is still there, as far as it was heard."""
        return max(self._held.values(), key=lambda held: held.since, default=None)

    async def copy(self, key: DomainKey) -> str:
        """Take what is on a domain's own clipboard."""
        return await self._say(key.connection, CopyClipboard(key.uuid))

    async def paste(self, key: DomainKey) -> str:
        """Put what the clipboard of its connection holds on a domain's own, and wipe it."""
        return await self._say(key.connection, PasteClipboard(key.uuid))

    async def put(self, uri: str, text: str) -> str:
        """Take a text of the host's, as if it were copied in dom0."""
        _require_short(text)
        return await self._say(uri, PutClipboard.holding(text))

    async def give(self, key: DomainKey, text: str) -> str:
        """Put a text of the host's on a domain's clipboard."""
        _require_short(text)
        return await self._say(key.connection, GiveText.holding(key.uuid, text))

    async def take(self) -> tuple[str, str]:
        """Return what was copied last, for the host's clipboard, and the name of its domain; it is wiped.

        Raises Refused when there is nothing; policy and user may say no.
        """
        if self.held is None:
            raise Refused("the inter-domain clipboard is empty: copy something into it first")
        link = self._links.link(self.held.uri)
        answer = await link.ask(TakeClipboard(), ClipboardText, _ASKING_PATIENCE)
        return answer.data.decode("utf-8", "replace"), answer.source

    async def wipe(self) -> None:
        """Forget what is held on all connections."""
        await asyncio.gather(*map(self.wipe_at, list(self._held)))

    async def wipe_at(self, uri: str) -> None:
        """Forget what the clipboard of a connection holds."""
        await self._links.link(uri).do(WipeClipboard())

    async def read(self, uri: str) -> ClipboardStatus:
        """Ask how the clipboard of a connection stands."""
        return await self._links.link(uri).ask(ReadClipboard(), ClipboardStatus)

    async def _say(self, uri: str, request: Request) -> str:
        # What becomes of it is worth knowing from now on.
        self._links.want(uri)
        return (await self._links.link(uri).ask(request, ClipboardSaid)).text

    def _on_link(self, link: BrokerLink) -> None:
        link.heard.connect(lambda news: self._on_news(link.uri, news))
        link.lost.connect(lambda: self._set(link.uri, ClipboardStatus()))

    def _on_news(self, uri: str, news: News) -> None:
        if isinstance(news, ClipboardStatus):
            self._set(uri, news)

    def _set(self, uri: str, status: ClipboardStatus) -> None:
        self._held.pop(uri, None)
        if not status.is_empty:
            self._held[uri] = Held(uri, status.source, status.kind, status.size, time.monotonic() - status.age / 1000)
        self.changed.emit(self.held)


def _require_short(text: str) -> None:
    # More would not go through the socket.
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise Refused(
            f"the text has more than {MOST_BYTES:,} bytes, the most that the inter-domain clipboard may take: "
            "select less, or send it as a file"
        )
