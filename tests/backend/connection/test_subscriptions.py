"""What libvirt tells by itself."""

import asyncio

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.core.events import HostEventKind
from tests.waiting import PATIENCE


async def test_a_node_device_that_appears_is_heard_of() -> None:
    connection = LibvirtConnection("test:///default", watch=True)
    await connection.open()
    with connection.listen() as events:
        names = "<wwnn>2000000012341234</wwnn><wwpn>1000000012341234</wwpn>"
        host = f"<capability type='scsi_host'><capability type='fc_host'>{names}</capability></capability>"
        xml = f"<device><parent>scsi_host2</parent>{host}</device>"
        await connection.call("plug in", lambda raw: raw.nodeDeviceCreateXML(xml, 0))
        event = await asyncio.wait_for(events.get(), PATIENCE)
    assert event.kind is HostEventKind.NODE_DEVICES
    await connection.close()
