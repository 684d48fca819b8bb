"""qvm-device: devices of any class."""

import argparse
from collections.abc import Sequence

from qubes_manager.cli.devices import add_actions, run_action
from qubes_manager.cli.options import DONE, new_parser
from qubes_manager.core.devices.identity import DeviceClass


class _ListClasses(argparse.Action):
    """Print the classes and exit, as --version does."""

    def __call__(self, parser: argparse.ArgumentParser, *_words: object) -> None:
        print("\n".join(DeviceClass))
        parser.exit(DONE)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    parser = new_parser("qvm-device", "List, attach and assign devices.")
    parser.add_argument("--list-device-classes", action=_ListClasses, nargs=0, help="list the classes, and exit")
    parser.add_argument("CLASS", choices=[klass.value for klass in DeviceClass], help="the class of devices")
    add_actions(parser, None)
    options = parser.parse_args(argv)
    return run_action(options, DeviceClass(options.CLASS))
