"""Applications grouped by domain, as a tree of two levels; the favourites of all domains come first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, Qt, QTimer
from PySide6.QtGui import QIcon

from qubes_manager.core.applications import Application
from qubes_manager.core.domain import Domain, DomainKey
from qubes_manager.core.text import one_cell, plain_tip
from qubes_manager.services.applications.app_lists import AppLists, selected
from qubes_manager.services.applications.app_menus import DISPOSABLE
from qubes_manager.services.hosts.store import Batch, DomainStore

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()
FAVOURITES = "Favourites"
_PAUSE_MS = 100
_DROP = "files that are dropped here are viewed or edited in a new one"


@dataclass(frozen=True, slots=True)
class Entry:
    """One application in one domain, or *in_disposable* in a new disposable of it."""

    domain: Domain
    application: Application
    in_disposable: bool = False

    @property
    def is_favourite(self) -> bool:
        """Whether it comes first."""
        return not self.in_disposable and self.application.id in self.domain.config.favourites


@dataclass(frozen=True, slots=True)
class Group:
    """A domain (none for the favourites) and what its menu shows, to be started *in_disposable* or in it."""

    domain: Domain | None
    applications: Sequence[Application]
    entries: Sequence[Entry] = ()
    in_disposable: bool = False

    @property
    def title(self) -> str:
        """What the group is called."""
        if self.domain is None:
            return FAVOURITES
        return f"{DISPOSABLE}: {self.domain.name}" if self.in_disposable else self.domain.shown_name

    def entry(self, row: int) -> Entry:
        """The application in that row."""
        if self.domain is None:
            return self.entries[row]
        return Entry(self.domain, self.applications[row], self.in_disposable)

    def __len__(self) -> int:
        return len(self.applications) if self.domain else len(self.entries)


def make_groups(domains: Sequence[Domain], lists: AppLists, words: Sequence[str] = ()) -> list[Group]:
    """The groups of the domains that have applications, favourites first; all *words* must be found in each entry.

    Disposables have one each though no application of theirs is known yet: files can be opened in a new one.
    """
    groups, disposables, favourites = [], [], []
    for domain in domains:
        if domain.is_internal:
            continue
        name = domain.shown_name.casefold()
        shown = [
            app
            for app in selected(domain, lists.of(domain))
            if all(w in name or w in app.name.casefold() for w in words)
        ]
        if shown:
            groups.append(Group(domain, shown))
            entries = (Entry(domain, app) for app in shown)
            favourites += [entry for entry in entries if entry.is_favourite]
        if domain.config.template_for_dispvms and (shown or all(word in name for word in words)):
            disposables.append(Group(domain, shown, in_disposable=True))
    first = [Group(None, (), favourites)] if favourites else []
    return [*first, *groups, *disposables]


class ApplicationsModel(QAbstractItemModel):
    """Follows store and lists. *icons* gives the picture of an application or a domain."""

    def __init__(
        self, store: DomainStore, lists: AppLists, icons: Callable[[Domain | None, Application | None], QIcon | None]
    ) -> None:
        super().__init__()
        self._store = store
        self._lists = lists
        self._icons = icons
        self._words: tuple[str, ...] = ()
        self._seen: dict[DomainKey, object] = {}
        self.groups: list[Group] = []
        # The domains of a large host come in many batches; the tree is made once for some of them.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PAUSE_MS)
        self._later.timeout.connect(self.rebuild)
        store.on_batch(self._on_batch)
        lists.changed.connect(self.rebuild)

    def set_search(self, text: str) -> None:
        """Show only what has all words of *text*."""
        words = tuple(text.casefold().split())
        if words != self._words:
            self._words = words
            self.rebuild()

    def rebuild(self) -> None:
        """Take everything anew."""
        self._later.stop()
        domains = [d for d in self._store.domains.values() if not d.stale and self._has_something(d)]
        groups = make_groups(sorted(domains, key=lambda d: d.shown_name.casefold()), self._lists, self._words)
        if groups or self.groups:
            self.beginResetModel()
            self.groups = groups
            self.endResetModel()

    def _has_something(self, domain: Domain) -> bool:
        return bool(self._lists.of(domain)) or domain.config.template_for_dispvms

    def _on_batch(self, batch: Batch) -> None:
        # Figures change all the time; what stands here seldom does.
        news = {domain.key: _what_shows(domain) for domain in (*batch.added, *batch.changed)}
        changed = any(self._seen.get(key) != value for key, value in news.items())
        self._seen.update(news)
        for key in batch.removed:
            changed |= self._seen.pop(key, None) is not None
        if changed and not self._later.isActive():
            self._later.start()

    # What Qt asks.

    def index(self, row: int, column: int, parent: Index = ROOT) -> QModelIndex:
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    def parent(self, child: Index = ROOT) -> QModelIndex:  # type: ignore[override]
        number = child.internalId() if child.isValid() else 0
        return self.createIndex(number - 1, 0, 0) if number else QModelIndex()

    def rowCount(self, parent: Index = ROOT) -> int:
        if not parent.isValid():
            return len(self.groups)
        return 0 if parent.internalId() else len(self.groups[parent.row()])

    def columnCount(self, parent: Index = ROOT) -> int:
        return 1

    def entry(self, index: Index) -> Entry | None:
        """The application at an index; None for a group."""
        number = index.internalId() if index.isValid() else 0
        return self.groups[number - 1].entry(index.row()) if number else None

    def domain(self, index: Index) -> Domain | None:
        """The domain that an index belongs to."""
        if entry := self.entry(index):
            return entry.domain
        return self.groups[index.row()].domain if index.isValid() else None

    def disposables_of(self, index: Index) -> Domain | None:
        """What new disposables are made of at an index; None where none are offered."""
        if not index.isValid():
            return None
        group = self.groups[(index.internalId() or index.row() + 1) - 1]
        return group.domain if group.in_disposable else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        entry = self.entry(index)
        if entry is None:
            return self._group_data(self.groups[index.row()], role)
        app = entry.application
        in_favourites = self.groups[index.internalId() - 1].domain is None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return f"{app.name} ({one_cell(entry.domain.name)})" if in_favourites else app.name
            case Qt.ItemDataRole.AccessibleTextRole:
                where = f"a new disposable of {entry.domain.name}" if entry.in_disposable else entry.domain.name
                return f"{app.name} in {one_cell(where)}"
            case Qt.ItemDataRole.ToolTipRole:
                where = f"a new disposable of {entry.domain.name}" if entry.in_disposable else entry.domain.name
                return plain_tip(f"{app.comment or app.name} — in {where}")
            case Qt.ItemDataRole.DecorationRole:
                return self._icons(entry.domain, app)
        return None

    def _group_data(self, group: Group, role: int) -> Any:
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return one_cell(group.title)
            case Qt.ItemDataRole.DecorationRole:
                return self._icons(group.domain, None)
            case Qt.ItemDataRole.ToolTipRole if group.domain:
                label = group.domain.label.name if group.domain.label else "no label"
                notice = self._lists.notice(group.domain)
                told = f"{group.title}: {label}, {group.domain.state.value}{notice and '; '}{notice}"
                return plain_tip(f"{told}; {_DROP}" if group.in_disposable else told)
        return None


def _what_shows(domain: Domain) -> object:
    config = domain.config
    return (
        domain.shown_name,
        domain.label,
        domain.stale,
        domain.klass,
        domain.is_internal,
        (config.muted, config.audiovm),
        (config.menu, config.favourites, config.template_uuid, config.template_for_dispvms),
    )
