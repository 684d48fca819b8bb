"""A disk that is full, for real: the pool lies on a file system of four MiB."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.backend.host.private_daemon import PrivateDaemon
from qubes_manager.backend.storage import volume_store
from qubes_manager.core.creation_request import CreationRequest
from qubes_manager.core.errors import QubesManagerError
from tests.integration.conftest import World


@pytest.fixture
def small_daemon() -> Iterator[PrivateDaemon]:
    folder = Path(tempfile.mkdtemp(prefix="qm-", dir="/var/tmp"))
    (folder / "data").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder / "data")]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        shutil.rmtree(folder)
        pytest.skip("only root can mount the small file system that this needs")
    daemon = PrivateDaemon(folder)
    daemon.start()
    yield daemon
    daemon.stop()
    subprocess.run(["umount", str(folder / "data")], check=True)
    shutil.rmtree(folder)


async def test_a_full_disk_is_said_and_nothing_is_left(small_daemon: PrivateDaemon, shared_folder: Path) -> None:
    image = shared_folder / "system.img"
    image.write_bytes(os.urandom(12 << 20))
    run_tool_now(["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext2", image])
    image.write_bytes(image.read_bytes()[: 6 << 20] + os.urandom(6 << 20))
    world = World(small_daemon.uri)
    await world.hosts.load(small_daemon.uri)
    with pytest.raises(QubesManagerError, match="the disk is full: free some space and try again"):
        await world.creation.create(world.uri, CreationRequest("made", "red", image=image, graphics=False))
    assert await volume_store.volume_names(world.hosts.connection(world.uri), volume_store.POOL) == []
    assert not world.named("made")
    await world.hosts.close()
