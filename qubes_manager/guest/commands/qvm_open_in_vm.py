"""qvm-open-in-vm: opens files or a web address in another domain; what is changed there comes back."""

from collections.abc import Sequence

from qubes_manager.guest.commands.opening import open_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    return open_command("qvm-open-in-vm", arguments, has_target=True)
