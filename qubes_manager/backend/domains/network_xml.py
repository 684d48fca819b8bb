"""What keeps a domain's network apart, in its XML: the program in QEMU's place, and the rules it is started with."""

from lxml import etree
from lxml.builder import E

from qubes_manager.backend.domains.qemu_xml import set_variable

# As ``network/emulator.py`` reads it; it is loaded by the system's Python alone.
_RULES = "QUBES_MANAGER_FIREWALL"


def put_isolation(root: etree._Element, emulator: str, rules: str) -> None:
    """Let the domain be started by *emulator*, a program of ours, with *rules*."""
    _put_emulator(root, emulator)
    set_variable(root, _RULES, rules)


def take_isolation(root: etree._Element, qemu: str) -> None:
    """Let the domain be started by the program *qemu* itself."""
    _put_emulator(root, qemu)
    set_variable(root, _RULES, "")


def _put_emulator(root: etree._Element, path: str) -> None:
    devices = root.find("devices")
    if devices is None:
        devices = etree.SubElement(root, "devices")
    element = devices.find("emulator")
    if element is None:
        element = E.emulator()
        devices.insert(0, element)
    element.text = path
