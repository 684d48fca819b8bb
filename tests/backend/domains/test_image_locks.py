"""Who holds an image file that QEMU could not lock; a real lock is in tests/integration/test_stray_runs.py."""

from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.image_locks import find_holders, is_lock_failure
from qubes_manager.backend.domains.new_domain import DiskSpec, NewDomain
from qubes_manager.core.domain import DomainConfig
from tests.driver import RUNNING, write_host

# As libvirt 9.0 hands on what QEMU 7.2 says, at a start and at a hot-plug.
AT_START = """internal error: process exited while connecting to monitor: -blockdev {}: Failed to get "write" lock
Is another process using the image [/pool/a.qcow2]?"""
AT_PLUG = """internal error: unable to execute QEMU command 'blockdev-add': Failed to get shared "write" lock"""


@pytest.mark.parametrize(
    ("text", "is_lock"),
    [(AT_START, True), (AT_PLUG, True), ("Failed to get shared memory", False), ("", False)],
    ids=["start", "plug", "something else", "nothing"],
)
def test_a_file_that_others_hold_is_told_from_other_failures(text: str, is_lock: bool) -> None:
    assert is_lock_failure(text) is is_lock


async def test_who_writes_is_named_before_those_who_read(tmp_path: Path) -> None:
    domains = [
        NewDomain("writer", DomainConfig(), disks=(DiskSpec("/pool/a"),)),
        NewDomain("reader", DomainConfig(), disks=(DiskSpec("/pool/a", cdrom=True), DiskSpec("/pool/b", cdrom=True))),
        NewDomain("halted", DomainConfig(), disks=(DiskSpec("/pool/a"),)),
    ]
    uri = write_host(tmp_path, domains, states={"writer": RUNNING, "reader": RUNNING})
    connection = LibvirtConnection(uri, watch=False)
    await connection.open()

    def uuid(raw: libvirt.virConnect) -> str:
        return str(raw.lookupByName("writer").UUIDString())

    assert await find_holders(connection, ["/pool/a", "/pool/c"], "") == {"writer": "/pool/a"}
    assert await find_holders(connection, ["/pool/b"], "") == {"reader": "/pool/b"}
    assert await find_holders(connection, ["/pool/a"], await connection.call("find", uuid)) == {"reader": "/pool/a"}
    assert await find_holders(connection, ["/pool/c"], "") == {}
    await connection.close()
