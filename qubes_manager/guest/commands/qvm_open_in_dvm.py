"""qvm-open-in-dvm: opens files or a web address in a new disposable; what is changed there comes back."""

from collections.abc import Sequence

from qubes_manager.guest.commands.opening import open_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    return open_command("qvm-open-in-dvm", arguments)
