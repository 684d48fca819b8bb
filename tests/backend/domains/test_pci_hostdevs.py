"""PCI devices in what a halted domain starts with, on a real libvirt of the system's kind."""

import os
from collections.abc import AsyncIterator, Iterator

import libvirt
import pytest

from qubes_manager.backend.connection.connection import LibvirtConnection
from qubes_manager.backend.domains.config_xml import parse_config
from qubes_manager.backend.domains.domain_actions import define, undefine
from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.domains.pci_hostdevs import hostdev_xml, put_pci, take_pci
from qubes_manager.backend.xml import parse
from qubes_manager.core.domain import DomainConfig, DomainKey
from qubes_manager.core.errors import BadInput, HostCallFailed, NotFound, Refused
from tests.system_daemon import system_daemon

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a system’s libvirtd is root’s")
ONE, TWO = "0000_00_02.0", "0000_00_03.0"
NONE = "0000_7f_1f.7"


@pytest.fixture(scope="module")
def system() -> Iterator[str]:
    with system_daemon() as uri:
        yield uri


@pytest.fixture
async def connection(system: str) -> AsyncIterator[LibvirtConnection]:
    found = LibvirtConnection(system, watch=False)
    await found.open()
    yield found
    await found.close()


@pytest.fixture
async def key(connection: LibvirtConnection) -> AsyncIterator[DomainKey]:
    uuid = await define(connection, "work", NewDomain("work", DomainConfig(), virt_type="qemu").xml())
    yield DomainKey(connection.uri, uuid)
    await undefine(connection, uuid, "work")


async def stored(connection: LibvirtConnection, key: DomainKey) -> str:
    return await connection.on_domain(key.uuid, "read", lambda domain: domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


async def ports(connection: LibvirtConnection, key: DomainKey) -> list[str]:
    return sorted(one.address for one in parse_config(await stored(connection, key)).host_devices)


def test_libvirt_takes_it_from_its_driver_and_gives_it_back() -> None:
    element = parse(hostdev_xml("0000_03_1f.7"))
    assert dict(element.items()) == {"mode": "subsystem", "type": "pci", "managed": "yes"}
    address = element.find("source/address")
    assert address is not None
    assert dict(address.items()) == {"domain": "0x0000", "bus": "0x03", "slot": "0x1f", "function": "0x7"}
    with pytest.raises(BadInput):
        hostdev_xml("0000_03_1f.7' x='")


@needs_root
async def test_they_come_and_go_as_asked_however_often(connection: LibvirtConnection, key: DomainKey) -> None:
    before = await stored(connection, key)
    for _ in range(2):
        await put_pci(connection, key, "work", [ONE, TWO])
        assert await ports(connection, key) == [ONE, TWO]
    await take_pci(connection, key, "work", [ONE])
    assert await ports(connection, key) == [TWO]
    for _ in range(2):
        await take_pci(connection, key, "work", [ONE, TWO, NONE])
        assert await ports(connection, key) == []
    disks = [disk.target for disk in parse_config(before).disks]
    assert [disk.target for disk in parse_config(await stored(connection, key)).disks] == disks


@needs_root
async def test_all_come_or_none(connection: LibvirtConnection, key: DomainKey, monkeypatch: pytest.MonkeyPatch) -> None:
    attach = libvirt.virDomain.attachDeviceFlags

    def attach_one(domain: libvirt.virDomain, xml: str, flags: int) -> int:
        if 'slot="0x03"' in xml:
            raise libvirt.libvirtError("no room")
        return int(attach(domain, xml, flags))

    monkeypatch.setattr(libvirt.virDomain, "attachDeviceFlags", attach_one)
    with pytest.raises(HostCallFailed):
        await put_pci(connection, key, "work", [ONE, TWO])
    assert await ports(connection, key) == []


@needs_root
async def test_what_another_program_writes_over_is_made_again(
    connection: LibvirtConnection, key: DomainKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, attach = await stored(connection, key), libvirt.virDomain.attachDeviceFlags
    undone: list[int] = []

    def attach_and_lose(domain: libvirt.virDomain, xml: str, flags: int) -> int:
        done = int(attach(domain, xml, flags))
        if len(undone) < limit:
            undone.append(1)
            domain.connect().defineXML(before)
        return done

    monkeypatch.setattr(libvirt.virDomain, "attachDeviceFlags", attach_and_lose)
    limit = 1
    await put_pci(connection, key, "work", [ONE])
    assert await ports(connection, key) == [ONE]
    await take_pci(connection, key, "work", [ONE])
    limit = 99
    with pytest.raises(Refused, match="another program keeps changing it"):
        await put_pci(connection, key, "work", [ONE])


@needs_root
async def test_only_a_halted_domain_changes(connection: LibvirtConnection, key: DomainKey) -> None:
    start = libvirt.VIR_DOMAIN_START_PAUSED
    await connection.on_domain(key.uuid, "start", lambda domain: domain.createWithFlags(start))
    try:
        for act in (put_pci, take_pci):
            with pytest.raises(Refused, match="“work” is running: PCI devices come and go with a start"):
                await act(connection, key, "work", [ONE])
    finally:
        await connection.on_domain(key.uuid, "kill", lambda domain: domain.destroy())
    assert await ports(connection, key) == []
    with pytest.raises(NotFound):
        await put_pci(connection, DomainKey(key.connection, "1" * 8 + key.uuid[8:]), "gone", [ONE])
