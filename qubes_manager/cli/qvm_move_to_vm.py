"""qvm-move-to-vm: move files of this machine into a domain."""

from collections.abc import Sequence

from qubes_manager.cli.copying import send_command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point."""
    return send_command("qvm-move-to-vm", argv, moves=True)
