"""Which domains the table shows."""

from collections.abc import Callable
from dataclasses import dataclass

from qubes_manager.core.domain import Domain, DomainClass

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
        NamedFilter("halted", "Halted", lambda d: not d.state.is_active),
        NamedFilter("templates", "Templates", lambda d: d.klass is DomainClass.TEMPLATE),
        NamedFilter("standalone", "Standalone", lambda d: d.klass is DomainClass.STANDALONE),
        NamedFilter("user", "User domains", lambda d: d.klass in _USER_CLASSES),
    )
}


@dataclass(frozen=True, slots=True)
class TableFilter:
    """A named filter and the words that are searched for; all of them must be found."""

    named: NamedFilter = FILTERS["all"]
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, filter_id: str, search: str) -> "TableFilter":
        """Make a filter of its name and the text in the search field."""
        return cls(FILTERS.get(filter_id, FILTERS["all"]), tuple(search.casefold().split()))

    def accepts(self, domain: Domain, haystack: str) -> bool:
        """Whether the table shows *domain*; *haystack* is its case-folded text."""
        return self.named.accepts(domain) and all(word in haystack for word in self.words)


def haystack(domain: Domain) -> str:
    """The text of a domain that is searched, case-folded."""
    config = domain.config
    words = [domain.name, domain.state.value, domain.label.name if domain.label else ""]
    if domain.is_read:
        words += [config.klass.value, config.template, config.netvm, *config.tags, config.notes[:1000]]
    return " ".join((*words, *domain.usage.addresses)).casefold()
