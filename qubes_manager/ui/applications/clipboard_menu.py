"""The inter-domain clipboard in the tray: what waits, who may get it, and Clear. Made when the menu opens."""

from collections.abc import Callable, Sequence

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QWidget

from qubes_manager.core.domain import Domain
from qubes_manager.core.operations import OPERATIONS
from qubes_manager.services.crossing.clipboard import Clipboards
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.ui.look.icons import icon, label_icon
from qubes_manager.ui.look.plain import menu_text

# More of them do not fit a screen; “Paste to…” has a search field.
_MOST = 30
Trigger = Callable[[str, Sequence[Domain]], object]


class ClipboardMenu(QMenu):
    """*trigger* does an operation to domains; *paste_to* and *clear* are the window's actions for that."""

    def __init__(
        self,
        window: QWidget,
        clipboards: Clipboards,
        store: DomainStore,
        trigger: Trigger,
        paste_to: QAction,
        clear: QAction,
    ) -> None:
        super().__init__("Clipboard", window)
        self.setIcon(icon("copy"))
        self._clipboards = clipboards
        self._store = store
        self._trigger = trigger
        self._paste_to = paste_to
        self._clear = clear
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        for submenu in self.findChildren(QMenu):
            submenu.deleteLater()
        self.clear()
        held = self._clipboards.held
        self.addAction(menu_text(held.sentence) if held else "Empty").setEnabled(False)
        self.addSeparator()
        domains = list(self._store.domains.values())
        self._add_domains("&Copy from", "clipboard-copy", domains)
        if held:
            # It does not cross to another host.
            others = [d for d in self._store.of_host(held.uri) if d.name != held.source]
            self._add_domains("&Paste into", "clipboard-paste", others)
        self.addActions([self._paste_to, self._clear])

    def _add_domains(self, title: str, operation: str, those: Sequence[Domain]) -> None:
        domains = list(filter(OPERATIONS[operation].applies, those))
        submenu = self.addMenu(title)
        submenu.setEnabled(bool(domains))
        for domain in sorted(domains, key=lambda domain: domain.shown_name.casefold())[:_MOST]:
            action = submenu.addAction(menu_text(domain.shown_name))
            if picture := label_icon(domain.label):
                action.setIcon(picture)
            action.triggered.connect(lambda _checked=False, domain=domain: self._trigger(operation, [domain]))
        if len(domains) > _MOST:
            submenu.addAction(f"{len(domains) - _MOST} more in the window").setEnabled(False)
