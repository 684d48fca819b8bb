"""How a property of a domain is changed: read, held against what the user has seen, written, read back."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey
from qubes_manager.core.errors import HostCallFailed, Overtaken, Refused
from qubes_manager.core.labels import Label
from qubes_manager.core.text import one_line
from qubes_manager.services.hosts.domain_access import actions_on
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.references import with_names
from qubes_manager.services.hosts.store import DomainStore, refuse_saved

if TYPE_CHECKING:
    from qubes_manager.backend.domains.domain_xml import DomainEdit
    from qubes_manager.backend.domains.metadata import MetadataEdit


@dataclass(frozen=True, slots=True)
class Aim:
    """What a change is to make true: the property, its value then, and how that is read."""

    name: str
    wanted: object
    read: Callable[[DomainConfig], object]


class PropertyEdits:
    """What all setters share."""

    def __init__(self, hosts: Hosts, store: DomainStore) -> None:
        self._hosts = hosts
        self._store = store
        self._shown: Domain | None = None

    def since(self, shown: Domain) -> Self:
        """Return setters that change what stands as it was *shown*; they raise Overtaken for what others set since."""
        setters = copy.copy(self)
        setters._shown = shown
        return setters

    def _domain(self, key: DomainKey) -> Domain:
        domain = self._store.require(key)
        if domain.is_host:
            raise Refused("dom0 is this machine; it has no properties to set")
        return domain

    async def stored(self, key: DomainKey) -> Domain:
        """Return a domain with what its next start uses; a running one may have been started with something else."""
        domain = self._domain(key)
        config = await actions_on(self._hosts, domain).stored_config()
        find = self._store.get
        named = with_names(config, lambda uuid: find(DomainKey(key.connection, uuid)))
        return replace(domain, config=named)

    async def _edit(self, key: DomainKey, change: "Callable[[MetadataEdit], None]", aim: Aim | None = None) -> None:
        domain = self._domain(key)

        def edit(document: "MetadataEdit") -> None:
            if aim:
                self._refuse_overtaken(domain, aim, document.config)
            change(document)

        await actions_on(self._hosts, domain).edit_metadata(edit)
        await self._hosts.refresh(key)

    async def _configure(self, key: DomainKey, aim: Aim, change: "Callable[[DomainEdit], None]") -> None:
        await self._refuse_saved(key)
        domain = self._domain(key)

        def edit(document: "DomainEdit") -> None:
            self._refuse_overtaken(domain, aim, document.config)
            # So that after a write that had no effect the document still differs from what is wanted.
            if aim.read(document.config) != aim.wanted:
                change(document)

        try:
            await actions_on(self._hosts, domain).edit_config(edit)
        except Overtaken:
            raise
        except (Refused, HostCallFailed) as error:
            found = aim.read((await self.stored(key)).config)
            raise Refused(
                f"{aim.name} of “{domain.name}” is still {_words(found)}, not {_words(aim.wanted)}: {error}",
                error.details,
            ) from error
        await self._hosts.refresh(key)

    def _refuse_overtaken(self, domain: Domain, aim: Aim, now: DomainConfig) -> None:
        if self._shown is None:
            return
        shown, found = aim.read(self._shown.config), aim.read(now)
        if found not in (shown, aim.wanted):
            raise Overtaken(
                f"{aim.name} of “{domain.name}” was {_words(shown)} when you looked and is {_words(found)} now: "
                "somebody else has changed it, and it stays so; look again"
            )

    async def _refuse_saved(self, key: DomainKey) -> None:
        await self._hosts.refresh(key)
        refuse_saved(self._domain(key))


def _words(value: object) -> str:
    """A property's value, for one line."""
    return one_line(str(value.name if isinstance(value, Label) else value or "none"), 60)
