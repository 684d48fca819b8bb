"""The port that windows come through, as libvirt's XML tells of it."""

import contextlib
import socket
import threading
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.connection.local import is_local
from qubes_manager.backend.guests import guest_port
from qubes_manager.backend.guests.guest_port import GuestPort, has_clients, open_channel, read_port
from qubes_manager.core.domain import GUI_PORT
from qubes_manager.core.errors import HostCallFailed
from tests.waiting import PATIENCE, soon

UUID = "11111111-1111-4111-8111-111111111111"
AGENT = "<channel><target name='org.qemu.guest_agent.0' state='connected'/><alias name='a'/></channel>"


class Guest:
    """Stands for a running domain with these channels; others have its ports open already."""

    def __init__(self, *channels: str) -> None:
        self._channels = channels

    def XMLDesc(self) -> str:
        return f"<domain><devices>{''.join(self._channels)}</devices></domain>"

    def connect(self) -> "Guest":
        return self

    def newStream(self, _flags: int) -> "Guest":
        return self

    def openChannel(self, _name: str, _stream: object, _flags: int) -> None:
        raise libvirt.libvirtError("Active console session exists for this domain")


def channel(state: str = "", source: str = "<source path='/gui'/>", alias: str = "<alias name='channel1'/>") -> str:
    return f"<channel>{source}<target name='{GUI_PORT}' {state}/>{alias}</channel>"


@pytest.mark.parametrize(
    ("channels", "port"),
    [
        ([AGENT, channel("state='connected'")], GuestPort("channel1", "/gui", True)),
        ([AGENT, channel("state='disconnected'")], GuestPort("channel1", "/gui", False)),
        ([channel()], GuestPort("channel1", "/gui", False)),
        ([channel(source="")], GuestPort("channel1", "", False)),
        ([channel(alias="")], None),
        ([AGENT, "<channel/>"], None),
    ],
    ids=["open", "shut", "not said", "no socket", "not running yet", "no such port"],
)
async def test_the_port_is_found_and_is_open_when_the_guest_has_opened_it(
    driver: LibvirtConnection, channels: list[str], port: GuestPort | None
) -> None:
    driver.handles[UUID] = Guest(*channels)
    assert await read_port(driver, UUID, GUI_PORT) == port


async def test_the_ports_own_socket_is_taken_where_it_may_be(driver: LibvirtConnection, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "port"))
        listener.listen()
        end = await open_channel(driver, UUID, GUI_PORT, GuestPort("channel1", str(tmp_path / "port"), True))
        other, _address = listener.accept()
        with end, other:
            end.sendall(b"hello")
            assert other.recv(10) == b"hello"
            assert end.gettimeout() is None


async def test_a_port_that_somebody_else_has_is_said_to_be_so(driver: LibvirtConnection, tmp_path: Path) -> None:
    driver.handles[UUID] = Guest()
    with pytest.raises(HostCallFailed, match="cannot open the port org") as caught:
        await open_channel(driver, UUID, GUI_PORT, GuestPort("channel1", str(tmp_path / "missing"), True))
    assert "Active console session exists" in caught.value.details


async def test_a_port_that_has_a_client_is_not_opened_again_even_through_libvirt(
    driver: LibvirtConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest_port, "_LEAVING", 0.1)
    path = str(tmp_path / "port")
    driver.handles[UUID] = Guest()
    port = GuestPort("channel1", path, True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen(1)
        assert not has_clients(path)
        client.connect(path)
        with pytest.raises(HostCallFailed, match="another program has it open"):
            await open_channel(driver, UUID, GUI_PORT, port)
        served, _address = listener.accept()
        with pytest.raises(HostCallFailed, match="another program has it open"):
            await open_channel(driver, UUID, GUI_PORT, port)
        client.close()
        # It is free when whoever serves it has seen that; until then it is not taken for the next one's.
        assert has_clients(path)
        monkeypatch.setattr(guest_port, "_LEAVING", PATIENCE)
        threading.Timer(0.05, served.close).start()
        (await open_channel(driver, UUID, GUI_PORT, port)).close()


async def test_a_full_backlog_is_no_reason_to_wait(
    driver: LibvirtConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in another network namespace, whose sockets are not listed here.
    monkeypatch.setattr(guest_port, "has_clients", lambda _path: False)
    path = str(tmp_path / "port")
    driver.handles[UUID] = Guest()
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as clients:
        listener.bind(path)
        listener.listen(0)
        clients.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        async with soon():
            with pytest.raises(HostCallFailed, match="other programs wait for it"):
                await open_channel(driver, UUID, GUI_PORT, GuestPort("channel1", path, True))


@pytest.mark.parametrize(
    ("uri", "is_here"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///session?socket=/run/x", True),
        ("qemu+ssh://you@host/system", False),
        ("qemu+tls://host:16514/system", False),
    ],
)
def test_paths_of_another_machine_are_none_of_ours(uri: str, is_here: bool) -> None:
    assert is_local(uri) is is_here


def test_a_port_that_qemu_connects_itself_has_no_socket_for_us() -> None:
    channel = etree.fromstring("<channel type='unix'><source mode='connect' path='/elsewhere'/></channel>")
    assert guest_port.socket_of(channel) == ""
