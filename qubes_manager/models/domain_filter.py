"""Which domains the table shows."""

from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.disposables import disposable_number
from qubes_manager.core.domain import Domain, DomainClass, DomainState

_USER_CLASSES = (DomainClass.APP, DomainClass.STANDALONE, DomainClass.DISPOSABLE)


@dataclass(frozen=True, slots=True)
class NamedFilter:
    """A filter that people choose by name."""

    id: str
    text: str
    accepts: Callable[[Domain], bool]


FILTERS: dict[str, NamedFilter] = {
    f.id: f
    for f in (
        NamedFilter("all", "All", lambda d: True),
        NamedFilter("running", "Running", lambda d: d.state.is_active),
        NamedFilter("saved", "Saved", lambda d: d.state is DomainState.SAVED),
        NamedFilter("halted", "Halted", lambda d: d.state.is_over),
        NamedFilter("templates", "Templates", lambda d: d.klass is DomainClass.TEMPLATE),
        NamedFilter("standalone", "Standalone", lambda d: d.klass is DomainClass.STANDALONE),
        NamedFilter("user", "User domains", lambda d: d.klass in _USER_CLASSES),
    )
}


@dataclass(frozen=True, slots=True)
class TableFilter:
    """A named filter and the words that are searched for; all of them must be found.

    Disposables that only wait are among the domains if it *shows_waiting*.
    """

    named: NamedFilter = FILTERS["all"]
    words: tuple[str, ...] = ()
    shows_waiting: bool = False

    @classmethod
    def of(cls, filter_id: str, search: str, *, shows_waiting: bool = False) -> "TableFilter":
        """Make a filter of its name and the text in the search field."""
        return cls(FILTERS.get(filter_id, FILTERS["all"]), tuple(search.casefold().split()), shows_waiting)

    def accepts(self, domain: Domain, haystack: str) -> bool:
        """Whether the table shows *domain*; *haystack* is its case-folded text."""
        if not self.shows_waiting and may_only_wait(domain):
            return False
        return self.named.accepts(domain) and all(word in haystack for word in self.words)


def may_only_wait(domain: Domain) -> bool:
    """Whether a domain is a disposable that only waits, or may turn out to be one when its XML has been read."""
    if domain.is_read or domain.persistent or domain.is_host:
        return domain.only_waits
    return disposable_number(domain.name) is not None


def haystack(domain: Domain) -> str:
    """The text of a domain that is searched, case-folded."""
    config = domain.config
    words = [domain.shown_name, domain.state_text, domain.label.name if domain.label else ""]
    if domain.is_read:
        words += [config.klass.value, config.template, config.netvm, *config.tags, config.notes[:1000]]
    return " ".join((*words, *domain.usage.addresses)).casefold()
