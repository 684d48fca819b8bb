"""The port that windows come through, as libvirt's XML tells of it."""

import socket
from pathlib import Path

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.guests.gui_port import GuiPort, connect_gui_port, read_gui_port
from qubes_manager.core.domain import GUI_PORT
from qubes_manager.core.errors import HostCallFailed

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
        ([AGENT, channel("state='connected'")], GuiPort("channel1", "/gui", True)),
        ([AGENT, channel("state='disconnected'")], GuiPort("channel1", "/gui", False)),
        ([channel()], GuiPort("channel1", "/gui", False)),
        ([channel(source="")], GuiPort("channel1", "", False)),
        ([channel(alias="")], None),
        ([AGENT, "<channel/>"], None),
    ],
    ids=["open", "shut", "not said", "no socket", "not running yet", "no such port"],
)
async def test_the_port_is_found_and_is_open_when_the_guest_has_opened_it(
    driver: LibvirtConnection, channels: list[str], port: GuiPort | None
) -> None:
    driver.handles[UUID] = Guest(*channels)
    assert await read_gui_port(driver, UUID) == port


async def test_the_ports_own_socket_is_taken_where_it_may_be(driver: LibvirtConnection, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "port"))
        listener.listen()
        end = await connect_gui_port(driver, UUID, GuiPort("channel1", str(tmp_path / "port"), True))
        other, _address = listener.accept()
        with end, other:
            end.sendall(b"hello")
            assert other.recv(10) == b"hello"
            assert end.gettimeout() is None


async def test_a_port_that_somebody_else_has_is_said_to_be_so(driver: LibvirtConnection, tmp_path: Path) -> None:
    driver.handles[UUID] = Guest()
    with pytest.raises(HostCallFailed, match="cannot be opened; another program may use it") as caught:
        await connect_gui_port(driver, UUID, GuiPort("channel1", str(tmp_path / "missing"), True))
    assert "Active console session exists" in caught.value.details
