"""qvm-move-to-vm: as qvm-move, but the domain is named; the policy still decides."""

from collections.abc import Sequence

from qubes_manager.guest.commands.copying import copy_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    return copy_command("qvm-move-to-vm", arguments, moves=True, has_target=True)
