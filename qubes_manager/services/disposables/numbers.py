"""The numbers in disposables' names: one that was used is not used again for a week."""

import json
import secrets
import time
from collections.abc import Collection
from pathlib import Path

from qubes_manager.backend.user.domain_lock import file_lock
from qubes_manager.backend.user.small_files import write_whole
from qubes_manager.core.disposables import NUMBERS, REST, choose_number
from qubes_manager.core.errors import Refused


class DisposableNumbers:
    """Remembers in the file *path* when each number was used. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, taken: Collection[int]) -> int:
        """Return a number that is none of *taken*, and remember it; raises Refused where that cannot be remembered."""
        if len(taken) >= NUMBERS:
            raise Refused(f"there are {len(taken)} disposables already: end some first")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_lock(self._path):
                now = time.time()
                used = {n: when for n, when in self._read().items() if now - REST < when <= now}
                number = choose_number(used, taken, now, secrets.randbelow)
                used[number] = now
                write_whole(self._path, json.dumps(used).encode())
        except OSError as error:
            raise Refused(f"the numbers of disposables cannot be kept: {self._path}: {error.strerror}") from error
        return number

    def _read(self) -> dict[int, float]:
        """What is remembered; nothing where the file is not there, or holds something else."""
        try:
            document = json.loads(self._path.read_bytes())
            return {int(number): float(when) for number, when in document.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}
