"""qvm-usb: list, attach and assign whole USB devices."""

from collections.abc import Sequence

from qubes_manager.cli.devices import main_of
from qubes_manager.core.devices.identity import DeviceClass


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return main_of("qvm-usb", "List, attach and assign whole USB devices.", DeviceClass.USB, argv)
