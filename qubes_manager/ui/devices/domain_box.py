"""A choice of the domain that is to get a device."""

from collections.abc import Iterable

from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QStandardItemModel

from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.text import one_line
from qubes_manager.services.devices.places import machine_of
from qubes_manager.ui.devices.giving import is_guest
from qubes_manager.ui.look.fields import ComboBox
from qubes_manager.ui.look.icons import icon, label_icon


class DomainBox(ComboBox):
    """Domains with their colours, those that run first; the one that was chosen stays so while others come and go.

    At first none is: nobody is to get a device because his name comes first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setPlaceholderText("Choose a domain")
        self._domains: list[Domain] = []
        self._offered: list[object] = []
        self._wanted: DomainKey | None = None
        self._machine: str | None = None
        # What the user chooses by hand is not changed by what was proposed before and comes later.
        self.activated.connect(self._forget_wanted)

    @property
    def domain(self) -> Domain | None:
        """The one that is chosen."""
        row = self.currentIndex()
        return self._domains[row] if 0 <= row < len(self._domains) else None

    def offer_domains(self, domains: Iterable[Domain]) -> None:
        """Offer these, as far as people would give them anything."""
        before = self.domain
        shown = sorted(filter(is_guest, domains), key=lambda d: (not d.state.is_active, d.shown_name.casefold()))
        offered: list[object] = [(_named(domain), domain.key, domain.label) for domain in shown]
        self._domains = shown
        if offered != self._offered:
            self._offered = offered
            with QSignalBlocker(self):
                self.clear()
                for domain in shown:
                    self.addItem(label_icon(domain.label) or icon("state-halted"), _named(domain))
                self.setCurrentIndex(self._row_of(before.key) if before else -1)
            self._enable()
        if self._wanted:
            self.choose(self._wanted)

    def offer_machine(self, machine: str | None) -> None:
        """Let only the domains of a machine be chosen by hand; None: those of all."""
        if machine != self._machine:
            self._machine = machine
            self._enable()

    def choose(self, key: DomainKey) -> None:
        """Choose a domain, now or when it comes."""
        row = self._row_of(key)
        self._wanted = key if row < 0 else None
        if row >= 0:
            self.setCurrentIndex(row)

    def _forget_wanted(self) -> None:
        self._wanted = None

    def _enable(self) -> None:
        items = self.model()
        assert isinstance(items, QStandardItemModel)
        for row, domain in enumerate(self._domains):
            is_there = self._machine is None or machine_of(domain.key.connection) == self._machine
            items.item(row).setEnabled(is_there)

    def _row_of(self, key: DomainKey) -> int:
        # Qt's own search compares objects of Python by what they are, not by what they say.
        return next((row for row, domain in enumerate(self._domains) if domain.key == key), -1)


def _named(domain: Domain) -> str:
    return f"{one_line(domain.shown_name, 60)}{'' if domain.state.is_active else ' (halted)'}"
