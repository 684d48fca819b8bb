"""Hosts of libvirt's own test driver: each connection to one has domains, a pool and their states of its own."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import libvirt
from lxml import etree
from lxml.builder import E

from qubes_manager.backend.domains.new_domain import NewDomain
from qubes_manager.backend.storage.volume_store import POOL
from qubes_manager.core.volumes import volume_format

RUNNING, PAUSED, HALTED = libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_SHUTOFF
FOLDER = "/pool"
_STATE = "{http://libvirt.org/schemas/domain/test/1.0}runstate"


def write_host(
    folder: Path, domains: Iterable[NewDomain], volumes: Iterable[str] = (), states: Mapping[str, int] = {}
) -> str:
    """Describe a host in *folder* and return its URI; *states* says which domains are not halted, by name."""
    pool = E.pool(E.name(POOL), E.target(E.path(FOLDER)), *(_volume(name) for name in volumes), type="dir")
    network = E.network(E.name("default"), E.forward(mode="nat"), E.ip(address="192.168.122.1"))
    node = E.node(network, *(_domain(new, states.get(new.name, HALTED)) for new in domains), pool)
    path = folder / "host.xml"
    path.write_text(etree.tostring(node, encoding="unicode"))
    return f"test://{path}"


def _volume(name: str) -> etree._Element:
    element: etree._Element = E.volume(
        E.name(name), E.capacity(str(1 << 20)), E.target(E.format(type=volume_format(name)))
    )
    return element


def _domain(new: NewDomain, state: int) -> etree._Element:
    # The test driver has no q35 machine and only 32-bit x86.
    root = etree.fromstring(new.xml().replace(' machine="q35"', "").replace("x86_64", "i686"))
    root.set("type", "test")
    runstate = etree.SubElement(root, _STATE)
    runstate.text = str(state)
    return root
