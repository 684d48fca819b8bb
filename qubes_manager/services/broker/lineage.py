"""Whose doing a disposable is: what a domain's calls have made counts as that domain's, however often that went on."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from qubes_manager.core.domain import DomainKey
from qubes_manager.core.errors import Refused
from qubes_manager.services.hosts.store import DomainStore

# Disposables that there may be at a time of a domain's doing, and of its disposables': each takes a domain's memory.
MOST = 8


class Kin(NamedTuple):
    """Who shares what each may have: a domain by itself, or all the disposables of its doing.

    They are apart, since a disposable is for what is not trusted: it must not use up what its maker may have.
    """

    origin: DomainKey
    is_made: bool


class Lineage:
    """Whose doing each disposable is that was made while this broker runs, and how many there are of each one's."""

    def __init__(self, store: DomainStore) -> None:
        self._store = store
        # By whom.
        self._made: dict[DomainKey, Kin] = {}
        # Those that are being made, which libvirt may not know yet; and how many of whom have no name yet.
        self._held: set[DomainKey] = set()
        self._unnamed = Counter[Kin]()

    def kin(self, key: DomainKey) -> Kin:
        """Whom a domain belongs to."""
        maker = self._made.get(key)
        return Kin(maker.origin, True) if maker else Kin(key, False)

    @contextmanager
    def place(self, maker: DomainKey) -> Iterator[Callable[[DomainKey], None]]:
        """Have room for one more that *maker* wants; the block makes it, and is its first program.

        What this yields is told which it is before it runs: what it does while it boots counts. Raises Refused when
        there are too many already.
        """
        kin = self.kin(maker)
        self._made = {key: by for key, by in self._made.items() if key in self._held or self._store.get(key)}
        if self._unnamed[kin] + list(self._made.values()).count(kin) >= MOST:
            raise Refused(f"{MOST} disposables run already that this domain has had made: close some first")
        named: list[DomainKey] = []

        def note(key: DomainKey) -> None:
            self._unnamed[kin] -= not named
            named.append(key)
            self._made[key] = kin
            self._held.add(key)

        self._unnamed[kin] += 1
        try:
            yield note
        finally:
            self._unnamed[kin] -= not named
            self._held.difference_update(named)
