"""The log of a domain's network: short, whatever its guest does."""

import time
from pathlib import Path

_MOST = 256 << 10


class NetworkLog:
    """Appends lines to a file; when it is full, it becomes the one before and a new one is begun."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, line: str) -> None:
        """Add a line; where that cannot be done it is lost, and the network goes on."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.exists() and self._path.stat().st_size > _MOST:
                self._path.replace(self._path.with_suffix(".log.1"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        except OSError:
            return
