"""What crosses now on all connections, and what crossed until just now, for who shows it."""

from collections import deque

from PySide6.QtCore import QObject, Signal

from qubes_manager.core.crossing.broker_messages import CancelTransfer, News, TransferStatus
from qubes_manager.services.crossing.link import BrokerLink
from qubes_manager.services.crossing.links import BrokerLinks

# Those that are over and are still told of.
_KEPT = 20
Watched = tuple[BrokerLink, TransferStatus]


class TransferWatch(QObject):
    """Hears of every transfer; ``changed`` says that something is another than before."""

    changed = Signal()

    def __init__(self, links: BrokerLinks, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._links: list[BrokerLink] = []
        self._over: deque[Watched] = deque(maxlen=_KEPT)
        links.added.connect(self._on_link)

    @property
    def running(self) -> list[Watched]:
        """Those in progress, with the link that they can be stopped by."""
        return [(link, status) for link in self._links for status in link.transfers.values()]

    @property
    def over(self) -> list[Watched]:
        """The last ones that have ended, the newest first."""
        return list(self._over)[::-1]

    @staticmethod
    async def cancel(watched: Watched) -> None:
        """Stop one; raises QubesManagerError."""
        link, status = watched
        await link.do(CancelTransfer(status.transfer))

    def _on_link(self, link: BrokerLink) -> None:
        self._links.append(link)
        link.heard.connect(lambda news: self._on_news(link, news))
        link.lost.connect(self.changed.emit)

    def _on_news(self, link: BrokerLink, news: News) -> None:
        if isinstance(news, TransferStatus):
            if news.is_over:
                self._over.append((link, news))
            self.changed.emit()
