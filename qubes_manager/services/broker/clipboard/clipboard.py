"""The inter-domain clipboard: takes one content out of a domain, hands it to the one the user names, and forgets it."""

import asyncio
import io
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from qubes_manager.core.crossing.clipboard import Clipboard, Content, Kind, clean_text
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
from qubes_manager.core.crossing.pixels import IMAGE, MOST_BYTES, MOST_IMAGE_BYTES, WIPE, split_pixels
from qubes_manager.core.crossing.services import CLIPBOARD_COPY, CLIPBOARD_PASTE
from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey, DomainState
from qubes_manager.core.errors import QubesManagerError, Refused
from qubes_manager.core.gui_options import GuiOptions
from qubes_manager.core.key_sequence import parse_key_sequence
from qubes_manager.core.names import HOST_NAME
from qubes_manager.core.service_messages import Done
from qubes_manager.services.broker.known_domains import KnownDomains
from qubes_manager.services.broker.requests import Requests
from qubes_manager.services.hosts.store import Batch, DomainStore
from qubes_manager.services.programs.client import Client

# Milliseconds for which a window must have had the keyboard before its keys paste: what jumps there under the user's
# fingers gets nothing.
FOCUSED = 1000
# Seconds after which a key that was pressed is not worth being heeded any more.
_OLD = 60.0
# Seconds for a guest to say what is on its clipboard, or to take a text.
GUEST_PATIENCE = 20.0
# Seconds between two looks whether a content's time is over: the machine may have slept.
_LOOK = 1.0

# Raises Refused unless the policy lets what is on a domain's clipboard go to another, both of which the user has
# chosen; before something goes to the host he is asked once more.
May = Callable[[Domain, Domain], Awaitable[None]]


class AskGuest(Protocol):
    """Gives *data* to a guest's service and returns what it says, *limit* bytes at most, as ``HostCalls.ask``."""

    async def __call__(
        self, key: DomainKey, service: str, argument: str = "", data: bytes = b"", *, limit: int, timeout: float
    ) -> bytes:
        """Raises GuestError, Refused, TimedOut."""
        ...


class InterDomainClipboard:
    """Carries, by *ask* and as *may* lets it.

    *load* reads the options of windows, and blocks; *tell* hears how it stands at every change.
    """

    def __init__(
        self,
        store: DomainStore,
        known: KnownDomains,
        ask: AskGuest,
        may: May,
        load: Callable[[], GuiOptions],
        tell: Callable[[ClipboardStatus], object],
    ) -> None:
        self._known = known
        self._ask = ask
        self._may = may
        self._load = load
        self._tell = tell
        self._clipboard = Clipboard()
        # Set, and another one put in its place, at every change.
        self._change = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        store.on_batch(self._on_batch)

    def serve(self, requests: Requests) -> None:
        """Answer what is asked of the clipboard."""
        requests.serve(CopyClipboard, self._copy)
        requests.serve(PasteClipboard, self._paste)
        requests.serve(PutClipboard, self._put)
        requests.serve(GiveText, self._give)
        requests.serve(TakeClipboard, self._take)
        requests.serve(WipeClipboard, self._wipe)
        requests.serve(ReadClipboard, self._read)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing that would be lost."""
        return self.status.is_empty

    @property
    def status(self) -> ClipboardStatus:
        """What there is, without what it says."""
        content = self._clipboard.content
        if content is None:
            return ClipboardStatus()
        age = int((_now() - content.since) * 1000)
        return ClipboardStatus(content.origin.name, content.origin.source, content.kind, content.size, age)

    async def _copy(self, _client: Client, request: CopyClipboard) -> ClipboardSaid:
        domain = await self._require(request.uuid)
        copying = self._clipboard.begin_copy(request.uuid, domain.name, _time_of(request.when))
        self._changed()
        try:
            options = await asyncio.to_thread(self._load)
            kind, data = await self._fetch(domain, options)
            content = self._clipboard.finish_copy(copying, kind, data, _now())
        finally:
            self._clipboard.fail_copy(copying)
            self._changed()
        self._forget_later(content, options)
        return _copied(content, options)

    async def _put(self, _client: Client, request: PutClipboard) -> ClipboardSaid:
        options = await asyncio.to_thread(self._load)
        data = clean_text(request.data, int(options.value("max_clipboard_size")), "of the host")
        copying = self._clipboard.begin_copy(HOST_UUID, HOST_NAME, _now())
        content = self._clipboard.finish_copy(copying, Kind.TEXT, data, _now())
        self._changed()
        self._forget_later(content, options)
        return _copied(content, options)

    async def _paste(self, _client: Client, request: PasteClipboard) -> ClipboardSaid:
        target = await self._require(request.uuid)
        if request.when and request.focused < FOCUSED:
            raise Refused(
                f"nothing was pasted: a window of “{target.name}” took the keyboard less than a second before; "
                "if it is the one that you mean, press the keys again"
            )
        content = await self._take_for(target, _time_of(request.when))
        try:
            await self._hand_over(target, content.kind, content.data)
        except QubesManagerError as error:
            raise QubesManagerError(
                f"it was not pasted into “{target.name}”, and is wiped: {error}; copy it again", error.details
            ) from error
        return ClipboardSaid(
            f"Pasted {_amount(content)} from “{content.origin.name}” into “{target.name}”, and wiped the inter-domain "
            "clipboard. Now paste there as you always do."
        )

    async def _give(self, _client: Client, request: GiveText) -> ClipboardSaid:
        target = await self._require(request.uuid)
        options = await asyncio.to_thread(self._load)
        data = clean_text(request.data, int(options.value("max_clipboard_size")), "of the host")
        await self._may(await self._require(HOST_UUID), target)
        await self._hand_over(target, Kind.TEXT, data)
        return ClipboardSaid(
            f"Pasted {len(data):,} bytes from the host into “{target.name}”. Now paste there as you always do."
        )

    async def _take(self, _client: Client, _request: TakeClipboard) -> ClipboardText:
        content = await self._take_for(await self._require(HOST_UUID), _now())
        if content.kind is Kind.IMAGE:
            raise Refused("the host’s clipboard takes no picture of a domain’s; it was wiped")
        return ClipboardText.holding(content.origin.name, content.data)

    async def _take_for(self, target: Domain, when: float) -> Content:
        """Take out what there is, for *target*; raises Refused."""
        pasting = self._clipboard.begin_paste(target.key.uuid, when)
        while self._clipboard.is_awaited(pasting):
            await self._change.wait()
        await self._may(await self._require(pasting.origin.source), target)
        content = self._clipboard.take(pasting)
        self._changed()
        return content

    async def _wipe(self, _client: Client, _request: WipeClipboard) -> Done:
        self._clipboard.wipe(_now())
        self._changed()
        return Done()

    async def _read(self, _client: Client, _request: ReadClipboard) -> ClipboardStatus:
        return self.status

    async def _fetch(self, domain: Domain, options: GuiOptions) -> tuple[Kind, bytes]:
        uuid = domain.key.uuid
        # A byte more than any text may have, so that it is known to be too long.
        data = await self._ask(domain.key, CLIPBOARD_COPY, limit=MOST_BYTES + 1, timeout=GUEST_PATIENCE)
        try:
            return Kind.TEXT, clean_text(data, int(options.value("max_clipboard_size", uuid)), f"of “{domain.name}”")
        except Refused:
            if not options.value("clipboard_images", uuid):
                raise
            picture = await self._ask(domain.key, CLIPBOARD_COPY, IMAGE, limit=MOST_IMAGE_BYTES, timeout=GUEST_PATIENCE)
            if not picture:
                raise
        return Kind.IMAGE, await asyncio.to_thread(_as_png, picture, domain.name)

    async def _hand_over(self, target: Domain, kind: Kind, data: bytes) -> None:
        options = await asyncio.to_thread(self._load)
        words = [IMAGE] if kind is Kind.IMAGE else []
        if options.value("clipboard_wipe", target.key.uuid):
            words.append(WIPE)
        await self._ask(target.key, CLIPBOARD_PASTE, "+".join(words), data, limit=0, timeout=GUEST_PATIENCE)

    def _forget_later(self, content: Content, options: GuiOptions) -> None:
        """Forget *content* when its time is over."""
        seconds = float(options.value("clipboard_seconds", content.origin.source))
        if self._expiry:
            self._expiry.cancel()
        if seconds:
            self._expire(content, _since_boot() + seconds)

    def _expire(self, content: Content, end: float) -> None:
        """Forget *content* at *end*; the loop's own clock stands still while the machine sleeps."""
        if (left := end - _since_boot()) > 0:
            self._expiry = asyncio.get_running_loop().call_later(min(left, _LOOK), self._expire, content, end)
        else:
            self._clipboard.expire(content)
            self._changed()

    async def _require(self, uuid: str) -> Domain:
        """A domain, as soon as it has been read; raises NotFound, Refused when it has no clipboard now."""
        domain = await self._known.domain(uuid)
        if not domain.is_host and domain.state is not DomainState.RUNNING:
            raise Refused(f"“{domain.name}” does not run: it has no clipboard now")
        return domain

    def _on_batch(self, batch: Batch) -> None:
        stopped = {key.uuid for key in batch.removed}
        stopped |= {d.key.uuid for d in (*batch.added, *batch.changed) if not d.is_host and not d.state.is_active}
        if any(self._clipboard.forget(uuid) for uuid in stopped):
            self._changed()

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
        self._tell(self.status)


def _now() -> float:
    """Seconds, in whole milliseconds as viewers tell them, so that no key is older than itself."""
    return time.monotonic_ns() // 1_000_000 / 1000


def _since_boot() -> float:
    """Seconds, those in which the machine slept too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _time_of(pressed: int) -> float:
    """When keys were pressed, in seconds; raises Refused when it was long ago. A viewer's word may be a guest's."""
    when = min(pressed / 1000, _now()) if pressed else _now()
    if when < _now() - _OLD:
        raise Refused("the keys were pressed too long ago: press them again")
    return when


def _copied(content: Content, options: GuiOptions) -> ClipboardSaid:
    keys = parse_key_sequence(str(options.value("secure_paste_sequence"))).spoken
    return ClipboardSaid(
        f"Copied {_amount(content)} from “{content.origin.name}”. Press {keys} over a window of the domain that is "
        "to get it, or choose “Paste into it” there."
    )


def _amount(content: Content) -> str:
    return f"{'a picture of ' if content.kind is Kind.IMAGE else ''}{content.size:,} bytes"


def _as_png(data: bytes, name: str) -> bytes:
    """A picture of plain pixels as PNG; raises Refused when it is none."""
    from PIL import Image

    try:
        width, height, pixels = split_pixels(data)
    except ValueError as error:
        raise Refused(f"the picture on the clipboard of “{name}” was not copied: {error}") from None
    file = io.BytesIO()
    Image.frombuffer("RGBA", (width, height), bytes(pixels), "raw", "RGBA", 0, 1).save(file, "PNG", compress_level=1)
    return file.getvalue()
