"""qvm-move: moves files into another domain, which is chosen when the policy asks."""

from collections.abc import Sequence

from qubes_manager.guest.commands.copying import copy_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    return copy_command("qvm-move", arguments, moves=True)
