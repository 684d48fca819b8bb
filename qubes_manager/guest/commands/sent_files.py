"""What a move has sent, so that just that can be deleted when the receiver has it."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from qubes_manager.guest.archive.walking import Entry, Problem, identity


class SentFiles:
    """The files, folders and links that went out, in a temporary file: there may be more than memory is for."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 - close() does it

    def add(self, entry: Entry) -> None:
        """*entry* has gone out whole; a folder comes after what is in it."""
        self._file.write(json.dumps([entry.path, entry.is_folder, identity(entry.status)]) + "\n")

    def delete(self, problem: Problem) -> None:
        """Delete them, but no file that is another one by now, and no folder with anything left in it.

        What stays is told to *problem*, but not the folders around it.
        """
        for path, is_folder, sent in self._entries():
            try:
                if is_folder:
                    # Something else may be in it, or somebody else have taken it away.
                    with suppress(OSError):
                        os.rmdir(path)  # noqa: PTH106 - a name of any bytes
                elif sent == identity(os.lstat(path)):
                    os.unlink(path)  # noqa: PTH108
                else:
                    problem(path, "was changed after it had been sent, and stays")
            except OSError as error:
                problem(path, f"cannot be deleted: {error.strerror}")

    def _entries(self) -> Iterator[tuple[str, bool, tuple[int, ...]]]:
        self._file.seek(0)
        for line in self._file:
            path, is_folder, sent = json.loads(line)
            yield path, is_folder, tuple(sent)

    def close(self) -> None:
        """Forget them."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
