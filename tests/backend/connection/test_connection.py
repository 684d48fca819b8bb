"""The connection to a libvirtd."""

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.core.errors import HostUnreachable


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("qemu+unix:///session?socket=/no/such/socket", "libvirtd is not running there"),
        ("test:///no/such/file", "cannot connect to test:///no/such/file"),
        ("qemu+ssh://127.0.0.1:1/session?command=false", "the host ended the connection"),
    ],
)
async def test_a_connection_that_fails_says_what_to_do(uri: str, part: str) -> None:
    connection = LibvirtConnection(uri, watch=True)
    with pytest.raises(HostUnreachable, match=part) as caught:
        await connection.open()
    assert "\n" not in str(caught.value)


def test_the_test_driver_is_the_real_libvirt() -> None:
    assert libvirt.getVersion() >= 9_000_000
