"""Who is whose network."""

from dataclasses import replace

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import Refused
from qubes_manager.core.interfaces import Interface
from qubes_manager.services.hosts.store import DomainStore
from qubes_manager.services.network.providers import (
    clients_of,
    provider_named,
    provider_of,
    refuse_loop,
    way_out,
    who_loses_network,
)

URI = "test:///x"


def domain(name: str, via: str = "", **config: object) -> Domain:
    own = {"interfaces": (Interface("user"),), "emulator": "/x/qubes-manager/network/qemu", "provides_network": True}
    network = {"network": via, "network_uuid": via and f"uuid of {via}"}
    read = DomainConfig(**{**own, **network, **config})  # type: ignore[arg-type]
    return Domain(DomainKey(URI, f"uuid of {name}"), name, DomainState.HALTED, config=read)


def store_of(*domains: Domain) -> DomainStore:
    store = DomainStore()
    store.put(domains)
    return store


def test_the_way_out_is_told_from_the_nearest_to_the_last() -> None:
    client, vpn, gate = domain("client", "vpn"), domain("vpn", "gate"), domain("gate")
    store = store_of(client, vpn, gate)
    assert [d.name for d in way_out(store, client)] == ["vpn", "gate"]
    assert provider_of(store, gate) is None
    assert [d.name for d in clients_of(vpn, [client, vpn, gate])] == ["client"]


def test_a_loop_has_an_end_and_is_refused() -> None:
    one, two, three = domain("one", "two"), domain("two", "three"), domain("three", "two")
    store = store_of(one, two, three)
    assert [d.name for d in way_out(store, one)] == ["two", "three"]
    with pytest.raises(Refused, match="“two” would be its own network: two → three → two"):
        refuse_loop(store, two, three)


@pytest.mark.parametrize("name", ["isolated", "open", "user", "none", "bridge", "network", ""])
def test_words_that_mean_something_else_are_no_domains(name: str) -> None:
    assert provider_named(store_of(domain(name or "x")), URI, name) is None


def test_only_who_gives_it_is_a_network() -> None:
    store = store_of(domain("vpn"), domain("work", provides_network=False))
    assert provider_named(store, URI, "work") is None
    found = provider_named(store, URI, "vpn")
    assert found and found.name == "vpn"


def test_who_is_started_by_another_program_has_nobodys_network() -> None:
    client = domain("client", "vpn", emulator="/usr/bin/qemu-system-x86_64")
    assert client.config.via == ""
    assert client.config.netvm == "open"
    # Its card may come first or last.
    card = Interface("user", is_downstream=True)
    assert domain("vpn", interfaces=(card,)).config.netvm == ""
    assert domain("vpn", "gate", interfaces=(card, Interface("user"))).config.netvm == "gate"


def test_who_ends_takes_the_network_of_those_that_go_on() -> None:
    vpn, idle = domain("vpn"), domain("idle", "vpn")
    work, mail = (replace(domain(name, "vpn"), state=DomainState.RUNNING) for name in ("work", "mail"))
    everybody = [vpn, idle, work, mail]
    assert who_loses_network([vpn], everybody) == "mail, work will have no network until it runs again."
    assert who_loses_network([vpn, work], everybody) == "mail will have no network until it runs again."
    assert who_loses_network([vpn, work, mail], everybody) == who_loses_network([work], everybody) == ""
