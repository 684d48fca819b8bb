"""qubes.VMShell: the user's shell, which reads its commands from the caller."""

import os
import sys
from collections.abc import Sequence


def main(_arguments: Sequence[str] = ()) -> int:
    """Entry point; the shell takes this program's place. Raises OSError when there is none."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    # Its first word with a dash: it reads the user's profile, as when they log in.
    os.execv(shell, [f"-{os.path.basename(shell)}"])  # noqa: S606, PTH119


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
