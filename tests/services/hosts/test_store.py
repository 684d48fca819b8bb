"""What the store counts."""

from dataclasses import replace

from qubes_manager.core.domain import HOST_UUID, Domain, DomainKey, DomainState
from qubes_manager.services.hosts.store import DomainStore

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
