"""Figures of running domains."""

import asyncio

from qubes_manager.core.domain import DomainState
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.usage_poller import UsagePoller


async def test_figures_are_read_for_visible_running_rows_only(hosts: Hosts) -> None:
    domains = [d for d in hosts.store.domains.values() if not d.is_host]
    running = next(d for d in domains if d.state is DomainState.RUNNING)
    halted = next(d for d in domains if d.state is DomainState.HALTED)
    poller = UsagePoller(hosts, hosts.store)
    poller.show([running.key, halted.key])
    for _ in range(3):
        poller.poll()
        await poller.settled()
        await asyncio.sleep(0.05)
    assert hosts.store.domains[running.key].usage.cpu_percent is not None
    others = [d for d in hosts.store.domains.values() if d.key != running.key]
    assert all(d.usage.cpu_percent is None for d in others)
