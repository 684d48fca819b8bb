"""What the store answers, and how it announces."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from qubes_manager.core.domain import HOST_UUID, Activity, Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import NotFound, Refused
from qubes_manager.services.hosts.store import BATCH_SECONDS, Batch, DomainStore, HostPhase, HostStatus

HERE, THERE = "test:///here", "test:///there"


def domain(name: str, uri: str = HERE, state: DomainState = DomainState.HALTED, **config: Any) -> Domain:
    return Domain(DomainKey(uri, f"uuid-of-{name}"), name, state, config=DomainConfig(**config))


def store_of(*domains: Domain) -> DomainStore:
    store = DomainStore()
    store.put(domains)
    return store


def test_a_name_belongs_to_one_connection() -> None:
    here, there = domain("work"), domain("work", THERE)
    store = store_of(there, here)
    assert store.named(HERE, "work") is here
    assert store.named(THERE, "work") is there
    assert store.named(HERE, "mail") is None
    assert store.named("test:///elsewhere", "work") is None


def test_a_name_that_is_taken_is_refused_on_its_own_connection_only() -> None:
    store = store_of(domain("work"))
    with pytest.raises(Refused, match=r"^there is a domain “work” already; choose another name$"):
        store.refuse_taken(HERE, "work")
    store.refuse_taken(HERE, "mail")
    store.refuse_taken(THERE, "work")


def test_a_renamed_domain_frees_its_name() -> None:
    old = domain("work")
    store = store_of(old)
    store.put([replace(old, name="office")])
    assert store.named(HERE, "work") is None
    assert store.named(HERE, "office") is store.require(old.key)


def test_a_template_is_found_by_what_the_domain_records() -> None:
    template = domain("debian")
    work = domain("work", template_uuid=template.key.uuid, template="as it was called once")
    store = store_of(template, work)
    assert store.template_of(work) is template
    assert store.template_of(template) is None
    assert store.template_of(domain("other", template_uuid="uuid-of-nobody")) is None
    # The template of another host's domain is on that host.
    assert store.template_of(domain("away", THERE, template_uuid=template.key.uuid)) is None
    assert store.template_of(Domain(DomainKey(HERE, "1"), "unread", DomainState.HALTED)) is None


def test_only_a_halted_domain_is_handed_out_as_halted() -> None:
    crashed, running = domain("crashed", state=DomainState.CRASHED), domain("work", state=DomainState.PAUSED)
    store = store_of(crashed, running)
    assert store.require_halted(crashed.key) is crashed
    with pytest.raises(Refused, match=r"^“work” is running: shut it down first$"):
        store.require_halted(running.key)
    with pytest.raises(NotFound, match="does not exist any more"):
        store.require_halted(DomainKey(HERE, "nobody"))


async def test_a_listener_is_first_told_all_that_is_there() -> None:
    store = store_of(domain("a"), domain("b"))
    heard: list[Any] = []
    store.on_batch(heard.append)
    assert heard == []
    await asyncio.sleep(3 * BATCH_SECONDS)
    assert heard == [Batch(added=tuple(store.domains.values()))]


async def test_one_that_listens_late_takes_nothing_away_from_the_others() -> None:
    gone = domain("gone")
    store = store_of(gone, domain("kept"))
    heard: list[Batch] = []
    store.on_batch(heard.append)
    store.flush()
    store.remove([gone.key])
    store.on_batch(lambda _batch: None)
    store.flush()
    assert [batch.removed for batch in heard][:2] == [(), (gone.key,)]


async def test_changes_that_come_together_are_announced_together() -> None:
    kept, gone = domain("kept"), domain("gone")
    store = store_of(kept, gone)
    heard: list[Any] = []
    store.on_batch(heard.append)
    store.flush()
    heard.clear()
    paused = replace(kept, state=DomainState.PAUSED)
    store.put([replace(kept, state=DomainState.RUNNING)])
    store.put([paused, domain("new")])
    store.remove([gone.key])
    await asyncio.sleep(3 * BATCH_SECONDS)
    assert heard == [Batch((domain("new"),), (paused,), (gone.key,))]


async def test_what_says_nothing_new_is_not_announced() -> None:
    old = domain("work")
    store = store_of(old)
    heard: list[Any] = []
    store.on_batch(heard.append)
    store.flush()
    heard.clear()
    store.put([replace(old)])
    store.remove([DomainKey(HERE, "nobody")])
    store.put([domain("short")])
    store.remove([domain("short").key])
    store.flush()
    assert heard == []


async def test_the_first_reading_is_news_even_of_an_xml_that_says_nothing() -> None:
    unread = Domain(DomainKey(HERE, "1"), "work", DomainState.HALTED)
    store = store_of(unread)
    heard: list[Any] = []
    store.on_batch(heard.append)
    store.flush()
    heard.clear()
    store.put([replace(unread, config=DomainConfig())])
    store.flush()
    assert store.require(unread.key).is_read
    assert [batch.changed for batch in heard] == [(store.require(unread.key),)]


async def test_an_activity_is_shown_while_it_lasts_and_no_longer() -> None:
    work = domain("work")
    store = store_of(work)

    def fail() -> None:
        with store.activity(work.key, Activity.COPYING):
            assert store.require(work.key).activity is Activity.COPYING
            raise Refused("no")

    with pytest.raises(Refused):
        fail()
    assert store.require(work.key) == work
    with store.activity(work.key, Activity.REMOVING):
        store.remove([work.key])
    assert store.get(work.key) is None


def test_a_connection_is_told_of_when_it_changes() -> None:
    store = DomainStore()
    heard: list[Any] = []
    connecting = HostStatus(HERE, HostPhase.CONNECTING)
    store.set_host(connecting)
    store.on_host(heard.append)
    store.set_host(connecting)
    store.set_host(HostStatus(HERE, HostPhase.CONNECTED))
    assert [status.phase for status in heard] == [HostPhase.CONNECTING, HostPhase.CONNECTED]
    assert store.hosts == {HERE: HostStatus(HERE, HostPhase.CONNECTED)}


HOST = Domain(DomainKey("x", HOST_UUID), "dom0", DomainState.RUNNING)
WORK = Domain(DomainKey("x", "1"), "work", DomainState.HALTED)


def test_guests_are_counted_once_and_hosts_never() -> None:
    store = DomainStore()
    store.put([HOST, WORK, replace(WORK, key=DomainKey("y", "1")), replace(HOST, key=DomainKey("y", HOST_UUID))])
    assert (store.guest_count, len(store.domains)) == (2, 4)
    store.put([replace(WORK, state=DomainState.RUNNING), replace(HOST, id=9), WORK])
    assert store.guest_count == 2
    store.remove([WORK.key, WORK.key, HOST.key, DomainKey("z", "1")])
    assert (store.guest_count, len(store.domains)) == (1, 2)


def test_a_uuid_tells_apart_what_names_do_not() -> None:
    nil = DomainKey("x", "00000000-0000-0000-0000-000000000000")
    guest, other = replace(WORK, key=nil, name="dom0"), replace(WORK, key=DomainKey("x", "other"))
    twin = replace(WORK, key=DomainKey("x", "twin"), name="other")
    store = store_of(guest, HOST, twin, other)
    assert store.named("x", "dom0") == HOST
    assert store.named("x", nil.uuid) == guest
    # A domain cannot take another's place by a name that is the other's UUID.
    assert store.named("x", "other") == other
    assert (store.guest_count, guest.is_host) == (3, False)
