"""qubes.VMExec and qubes.VMExecGUI: run the command that the argument stands for (``command_words``)."""

import os
import sys
from collections.abc import Sequence

from qubes_manager.core.errors import BadInput
from qubes_manager.guest.command_words import decode_words

# As shells say it: there is no such program, and it cannot be run.
_MISSING, _CANNOT = 127, 126


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point; on success the command takes this program's place."""
    try:
        words = decode_words(arguments[0] if arguments else "")
        os.execvp(words[0], words)  # noqa: S606 - no shell: the words are the policy's to judge
    except BadInput as error:
        print(error, file=sys.stderr)
        return _MISSING
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return _MISSING if isinstance(error, FileNotFoundError) else _CANNOT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
