"""When a domain is not taken away."""

from typing import Any

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.services.domains.removal import Removal, refuse_removal
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore


async def forget(domain: Domain) -> None:
    raise AssertionError(f"{domain.name} was forgotten")


async def test_a_domain_whose_volumes_are_not_known_yet_is_not_removed() -> None:
    store = DomainStore()
    unread = Domain(DomainKey("test:///x", "1"), "work", DomainState.HALTED)
    store.put([unread])
    with pytest.raises(Refused, match="“work” cannot be removed yet"):
        await Removal(Hosts(store, watch=False), store, forget).remove(unread.key)
    # Nor is it said that its disks stay, when nobody knows whose they are.
    with pytest.raises(Refused, match="has not been read"):
        await Removal(Hosts(store, watch=False), store, forget).describe_loss(unread)
    assert store.get(unread.key) == unread


def test_removal_is_refused_while_others_need_the_domain() -> None:
    def domain(name: str, **config: Any) -> Domain:
        return Domain(DomainKey("x", name), name, DomainState.HALTED, config=DomainConfig(**config))

    template = domain("debian")
    users = [domain("b", template="debian"), domain("a", template="debian"), template]
    with pytest.raises(Refused, match="“debian” is the template of a, b: give them another one first"):
        refuse_removal(template, users)
    with pytest.raises(Refused, match="default dispvm of c"):
        refuse_removal(template, [domain("c", default_dispvm="debian")])
    refuse_removal(template, [template])
