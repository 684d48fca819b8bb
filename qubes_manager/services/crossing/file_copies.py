"""Domains' files as the window and the commands see them: what there is, and copies of it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qubes_manager.core.crossing.broker_messages import MAX_LINE, CancelTransfer, News, TransferStatus
from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.core.crossing.file_requests import (
    MAX_PATHS,
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
from qubes_manager.core.crossing.listing import Listing
from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Cancelled, QubesManagerError, Refused
from qubes_manager.core.signal import Signal
from qubes_manager.services.crossing.links import BrokerLinks

# Seconds for a folder of a slow guest.
_LIST_PATIENCE = 130.0
_ASK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be copied on a connection; *source* and *target* are domains, None is this machine.

    *paths* are whole ones of the source. *move* deletes them when the target has all, which only this machine's can be.
    """

    uri: str
    source: DomainKey | None
    target: DomainKey | None
    paths: Sequence[str]
    move: bool = False
    clash: Clash = Clash.NUMBER
    ignore_links: bool = False


class FileCopies:
    """Asks the brokers; all of it raises QubesManagerError."""

    def __init__(self, links: BrokerLinks) -> None:
        self._links = links
        self._own: set[tuple[str, int]] = set()
        # A domain has sent files to this machine.
        self.arrived = Signal[FilesArrived]()
        links.added.connect(lambda link: link.heard.connect(self._on_news))

    def _on_news(self, news: News) -> None:
        if isinstance(news, FilesArrived):
            self.arrived.emit(news)

    def is_own(self, uri: str, transfer: int) -> bool:
        """Whether a transfer of a connection is one that was begun here, and is waited for."""
        return (uri, transfer) in self._own

    async def listing(self, key: DomainKey, path: str) -> Listing:
        """What a folder of a running domain holds; *path* empty is its user's home."""
        answer = await self._links.link(key.connection).ask(ListFiles(key.uuid, path), FileList, _LIST_PATIENCE)
        return answer.listing

    async def copy(
        self,
        copy: Copy,
        *,
        on_status: Callable[[TransferStatus], object] = lambda _status: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> CopyReport:
        """Copy, and return what has become of it; a target that does not run is started.

        *on_status* hears how far it is, if the link is followed. It is given up when *is_stopped* says so, or when this
        is cancelled; not when this program ends.
        """
        return await self._carry(copy.uri, _request(copy), on_status, is_stopped)

    async def open(
        self,
        uri: str,
        paths: Sequence[str],
        *,
        view_only: bool,
        template: DomainKey | None = None,
        source: DomainKey | None = None,
        on_status: Callable[[TransferStatus], object] = lambda _status: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> CopyReport:
        """Open files of *source* (None: this machine) in a new disposable of *template* (None: the default) until they
        are closed.

        Unless it is *view_only* what was changed there is put into its place; a domain's files can only be viewed.
        *on_status* and *is_stopped* as for ``copy``.
        """
        request = OpenFiles(template.uuid if template else "", tuple(paths), view_only, source.uuid if source else "")
        return await self._carry(uri, request, on_status, is_stopped)

    async def convert(
        self,
        uri: str,
        paths: Sequence[str],
        *,
        on_status: Callable[[TransferStatus], object] = lambda _status: None,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> CopyReport:
        """Make clean copies of PDF files and pictures of this machine, each by a disposable of the default's.

        *on_status* and *is_stopped* as for ``copy``.
        """
        return await self._carry(uri, ConvertFiles("", tuple(paths)), on_status, is_stopped)

    async def _carry(
        self,
        uri: str,
        request: CopyFiles | OpenFiles | ConvertFiles,
        on_status: Callable[[TransferStatus], object],
        is_stopped: Callable[[], bool],
    ) -> CopyReport:
        if len(request.paths) > MAX_PATHS or len(request.to_json()) >= MAX_LINE:
            raise Refused("too many names at once: put the files into a folder, or take them in turns")
        link = self._links.link(uri)
        self._links.want(uri)
        begun = await link.ask(request, CopyBegun)
        self._own.add((uri, begun.transfer))

        def on_news(news: News) -> None:
            if isinstance(news, TransferStatus) and news.transfer == begun.transfer:
                on_status(news)

        disconnect = link.heard.connect(on_news)
        # It has limits of its own.
        waiting = asyncio.ensure_future(link.ask(AwaitCopy(begun.transfer), CopyReport, None))
        stopped = False
        try:
            while not (await asyncio.wait([waiting], timeout=_ASK_SECONDS))[0]:
                if is_stopped() and not stopped:
                    stopped = True
                    # It may have ended in this moment.
                    with contextlib.suppress(QubesManagerError):
                        await link.do(CancelTransfer(begun.transfer))
            return await waiting
        except asyncio.CancelledError:
            with contextlib.suppress(QubesManagerError):
                await asyncio.shield(link.do(CancelTransfer(begun.transfer)))
            raise
        except QubesManagerError:
            if stopped:
                raise Cancelled() from None
            raise
        finally:
            self._own.discard((uri, begun.transfer))
            disconnect()
            waiting.cancel()


def _request(copy: Copy) -> CopyFiles:
    source, target = (key.uuid if key else "" for key in (copy.source, copy.target))
    return CopyFiles(source, target, tuple(copy.paths), copy.move, copy.clash, copy.ignore_links)
