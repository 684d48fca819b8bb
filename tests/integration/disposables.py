"""What tests of disposables share."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from qubes_manager.backend.host.daemon_paths import daemon_paths
from qubes_manager.services.broker.disposables.disposal import DisposalKeeper
from tests.integration.conftest import World


def layers(world: World) -> list[str]:
    """The throw-away files that are there, as the host's file system has them."""
    paths = daemon_paths(world.uri)
    assert paths
    return [path.name for path in paths.volumes.iterdir() if ".TRANSIENT-" in path.name]


@asynccontextmanager
async def keeping(world: World, windows: Mapping[str, int]) -> AsyncIterator[DisposalKeeper]:
    """What ends disposables, with windows that the test opens and closes."""
    keeper = DisposalKeeper(world.uri, world.store, world.disposables, world.commands, lambda u: windows.get(u, 0), 1)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
