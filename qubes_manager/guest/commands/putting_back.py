"""Puts a file that was edited elsewhere into the place of the original, which is kept."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qubes_manager.guest.archive.files import ORIGIN
from qubes_manager.guest.archive.hidden_folder import make_hidden_folder
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.placing import numbered_name, place_beside
from qubes_manager.guest.archive.walking import identity

_MOST_KEPT = 1000


@dataclass(frozen=True, slots=True)
class PutBack:
    """What has become of an edited file: whether it has the original's place, and the whole of it in words."""

    is_in_place: bool
    sentence: str


def put_back(edited: Path, original: Path, sent: tuple[int, ...], rescue: Path) -> PutBack:
    """Replace *original*, which was *sent* like that, by *edited*.

    The old one stays beside it, as ``name~``. When the original was changed here meanwhile both stay. What cannot be
    put there lands in the folder *rescue*; whatever happens, there is a whole original and a whole edited file. Raises
    OSError when even that fails; *edited* is untouched then.
    """
    name = shown_name(original.name)
    try:
        # On the same file system, where nobody sees it; one that is left by who was killed goes with the next.
        hidden = make_hidden_folder(original.parent)
        try:
            _copy(edited, hidden.path / "0")
            return _take_place(hidden.path / "0", original, sent, name)
        finally:
            hidden.remove()
    except OSError as error:
        landed = place_beside(edited, rescue, original.name)
        return PutBack(False, f"“{name}” cannot be replaced ({error.strerror}): the edited file is {landed}")


def _copy(edited: Path, fresh: Path) -> None:
    """Make *fresh*, which is on the disk then."""
    with edited.open("rb") as source, fresh.open("xb") as target:
        with suppress(OSError):
            # Where it is from stands there, on a host.
            os.setxattr(target.fileno(), ORIGIN, os.getxattr(source.fileno(), ORIGIN))
        shutil.copyfileobj(source, target, 1 << 18)
        target.flush()
        os.fsync(target.fileno())


def _take_place(fresh: Path, original: Path, sent: tuple[int, ...], name: str) -> PutBack:
    folder = os.open(original.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not _is_as_sent(original, sent):
            beside = place_beside(fresh, original.parent, numbered_name(original.name, 2))
            stays = f"“{name}” was changed here meanwhile and stays"
            return PutBack(False, f"{stays}: the edited file is “{shown_name(beside.name)}” beside it")
        shutil.copymode(original, fresh)
        kept = _keep(original)
        fresh.replace(original)
        os.fsync(folder)
    finally:
        os.close(folder)
    return PutBack(True, f"“{name}” is changed; the old one is “{shown_name(kept.name)}”")


def _is_as_sent(original: Path, sent: tuple[int, ...]) -> bool:
    with suppress(FileNotFoundError):
        return identity(os.lstat(original)) == sent
    return False


def _keep(original: Path) -> Path:
    """Give the old file another name too, one that is free."""
    for number in range(1, _MOST_KEPT):
        kept = original.with_name(f"{original.name}~" if number == 1 else f"{original.name}~{number}~")
        try:
            kept.hardlink_to(original)
        except FileExistsError:
            continue
        except OSError:
            # A file system without hard links.
            with original.open("rb") as source, kept.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 18)
            shutil.copystat(original, kept)
        return kept
    raise OSError(17, "too many old ones are kept beside it")
