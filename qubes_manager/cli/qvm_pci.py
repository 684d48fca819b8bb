"""qvm-pci: list PCI devices, and give them to domains from their next start on."""

from collections.abc import Sequence

from qubes_manager.cli.devices import main_of
from qubes_manager.core.devices.identity import DeviceClass


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    about = "List PCI devices, and give them to domains from their next start on."
    return main_of("qvm-pci", about, DeviceClass.PCI, argv)
