"""Connections that tests of the backend share."""

from collections.abc import AsyncIterator

import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.host.private_daemon import PrivateDaemon


@pytest.fixture
async def driver() -> AsyncIterator[LibvirtConnection]:
    """libvirt's own test driver; what a test puts among its handles stands for a domain."""
    connection = LibvirtConnection("test:///default", watch=False)
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
async def qemu(daemon: PrivateDaemon) -> AsyncIterator[LibvirtConnection]:
    """The QEMU driver of a libvirtd of our own."""
    connection = LibvirtConnection(daemon.uri, watch=True)
    await connection.open()
    yield connection
    await connection.close()
