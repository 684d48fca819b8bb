"""What stands in the window's middle: the table, or why there is nothing in it."""

from collections.abc import Set
from enum import Enum, auto

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QStackedWidget

from qubes_manager.core.settings import Settings
from qubes_manager.models.domain_table import DomainTableModel
from qubes_manager.services.hosts.store import DomainStore, HostPhase
from qubes_manager.ui.actions import ActionSet
from qubes_manager.ui.feedback.empty_state import EmptyState
from qubes_manager.ui.look.icons import icon
from qubes_manager.ui.table.domain_view import DomainView

_NO_DOMAINS = (
    "A domain is a virtual machine for one of your activities: work, personal, things you do not trust. "
    "The assistant makes a template and the first three from it; or make one from a disk image or an ISO, "
    "or try three small demo domains first."
)


class Page(Enum):
    """What can stand there."""

    CONNECTING = auto()
    TABLE = auto()
    EMPTY = auto()
    NOTHING_FITS = auto()


def page_for(guests: int, known: int, rows: int, phases: Set[HostPhase]) -> Page:
    """Which page to show.

    *guests* are the domains without the hosts, *known* all that the table has, *rows* those that it shows, and *phases*
    those of the connections.
    """
    if not known and phases <= {HostPhase.CONNECTING}:
        return Page.CONNECTING
    if not guests and HostPhase.CONNECTED in phases:
        return Page.EMPTY
    return Page.NOTHING_FITS if known and not rows else Page.TABLE


class TablePages(QStackedWidget):
    """Shows the page that fits, and opens the set-up assistant at the first time that there is no domain.

    *actions* are the window's. ``show_all_wanted`` says that the user wants no filter.
    """

    show_all_wanted = Signal()

    def __init__(
        self, view: DomainView, model: DomainTableModel, store: DomainStore, actions: ActionSet, settings: Settings
    ) -> None:
        super().__init__()
        self._model = model
        self._store = store
        self._settings = settings
        self._assistant = actions["assistant"]
        # Nobody sits before a window of which a picture is taken.
        self.offers_setup = True
        self._show_all = QAction(icon("close"), "Show all domains", self)
        self._show_all.triggered.connect(self.show_all_wanted)
        self._pages = {
            Page.CONNECTING: EmptyState("Connecting…", "Waiting for libvirt.", []),
            Page.TABLE: view,
            Page.EMPTY: EmptyState("No domains yet", _NO_DOMAINS, [self._assistant, actions["new"], actions["demo"]]),
            Page.NOTHING_FITS: EmptyState(
                "No domain fits", "Change the search text or the filter to see more.", [self._show_all], picture=False
            ),
        }
        for widget in self._pages.values():
            self.addWidget(widget)

    def recolour(self) -> None:
        """Take the icon anew after a change of colours."""
        self._show_all.setIcon(icon("close"))

    def choose(self) -> None:
        """Show the page that fits what store and model hold now."""
        phases = {status.phase for status in self._store.hosts.values()}
        page = page_for(self._store.guest_count, self._model.total, self._model.rowCount(), phases)
        if page is Page.EMPTY and self.offers_setup and not self._settings.setup_offered:
            self._settings.setup_offered = True
            self._assistant.trigger()
        self.setCurrentWidget(self._pages[page])
