"""Hosts on libvirt’s own test driver."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.domains import write_domains
from qubes_manager.services.hosts.hosts import Hosts
from qubes_manager.services.hosts.store import DomainStore
from tests.waiting import until


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    """Forty domains, half of them running, that are followed."""
    uri = f"test://{write_domains(tmp_path / 'forty.xml', 40)}"
    hosts = Hosts(DomainStore(), watch=True)
    hosts.follow(uri)
    await until(lambda: len(hosts.store.domains) == 41 and all(d.is_read for d in hosts.store.domains.values()))
    yield hosts
    await hosts.close()
