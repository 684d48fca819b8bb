"""Several hosts at once."""

from pathlib import Path

from qubes_manager.core.domain import DomainState
from qubes_manager.core.labels import LABELS
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore, HostPhase
from tests.services.conftest import World
from tests.waiting import until


async def test_all_domains_come_with_their_labels(hosts: Hosts) -> None:
    domains = [d for d in hosts.store.domains.values() if not d.is_host]
    assert {d.klass for d in domains} == {"AppVM"}
    assert sum(d.state is DomainState.RUNNING for d in domains) == 20
    assert {d.label for d in domains} == set(LABELS.values())
    assert hosts.store.hosts[hosts.uris[0]].phase is HostPhase.CONNECTED


async def test_autostart_that_changes_elsewhere_is_seen_on_refresh(hosts: Hosts) -> None:
    domain = next(d for d in hosts.store.domains.values() if not d.is_host)
    connection = hosts.connection(hosts.uris[0])
    await connection.on_domain(domain.key.uuid, "set", lambda handle: handle.setAutostart(1))
    hosts.refresh_flags()
    await until(lambda: hosts.store.domains[domain.key].autostart)


async def test_a_host_that_is_not_there_does_not_stop_the_others(tmp_path: Path) -> None:
    hosts = Hosts(DomainStore(), watch=True)
    hosts.follow("qemu+unix:///session?socket=/no/such/socket")
    hosts.follow("test:///default")
    await until(lambda: {s.phase for s in hosts.store.hosts.values()} == {HostPhase.CONNECTED, HostPhase.DISCONNECTED})
    assert any(d.name == "test" for d in hosts.store.domains.values())
    await hosts.close()


async def test_who_follows_a_connection_twice_keeps_the_one_that_is_in_use(hosts: Hosts) -> None:
    connection = hosts.connection(hosts.uris[0])
    hosts.follow(hosts.uris[0])
    assert hosts.connection(hosts.uris[0]) is connection and connection.is_open


async def test_a_domain_with_the_nil_uuid_that_is_called_dom0_is_one_of_the_guests(qemu_world: World) -> None:
    nil = "00000000-0000-0000-0000-000000000000"
    xml = f"""<domain type='qemu'><name>dom0</name><uuid>{nil}</uuid><memory>16384</memory>
    <os><type>hvm</type></os></domain>"""
    connection = qemu_world.hosts.connection(qemu_world.uri)
    await connection.call("define", lambda raw: raw.defineXML(xml))
    try:
        await qemu_world.hosts.refresh_host(qemu_world.uri)
        assert qemu_world.named(nil).name == "dom0"
        await qemu_world.properties.rename(qemu_world.named(nil).key, "guest")
        assert qemu_world.named("guest").key.uuid == nil
    finally:
        await connection.on_domain(nil, "undefine", lambda domain: domain.undefine())
