"""The folder in which a copy comes to be, beside where it goes: nobody sees it, and it is locked while it is in use."""

import fcntl
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.guest.archive.files import FOLDER
from qubes_manager.guest.archive.names import HIDDEN, is_hidden


@dataclass(frozen=True, slots=True)
class HiddenFolder:
    """Where it is; *lock* is the folder itself, open, and locked until that is closed."""

    path: Path
    lock: int

    def remove(self) -> None:
        """Take it away with all that is in it, and let go of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def make_hidden_folder(folder: Path) -> HiddenFolder:
    """A new one in *folder*; those that were left by who was killed are removed. Raises OSError."""
    for old in folder.glob(f"{HIDDEN}*"):
        if is_hidden(old.name):
            _remove_forgotten(old)
    while True:
        path = folder / f"{HIDDEN}{os.urandom(8).hex()}"
        path.mkdir(0o700)
        # Somebody who clears up may take a new one for a forgotten one before it is locked.
        with suppress(FileNotFoundError, BlockingIOError):
            return _locked(path)


def _locked(path: Path) -> HiddenFolder:
    lock = os.open(path, FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(lock).st_nlink:
            raise FileNotFoundError(path)
    except BaseException:
        os.close(lock)
        raise
    return HiddenFolder(path, lock)


def _remove_forgotten(old: Path) -> None:
    with suppress(OSError):
        held = os.open(old, FOLDER)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            os.close(held)
