"""qubes.OpenInVM: opens files or folders of another domain here, and sends back what the user has changed.

With ``view-only`` in its argument they are read-only, and nothing goes back.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from qubes_manager.core.crossing.file_messages import ALL_NAMES, VIEW_ONLY, Changed, Failure, Go, Offer, Stored
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.guest.archive.hidden_folder import make_hidden_folder
from qubes_manager.guest.archive.names import shown_name
from qubes_manager.guest.archive.packing import pack
from qubes_manager.guest.archive.placing import place_beside
from qubes_manager.guest.archive.unpacking import refuse_without_room, unpack
from qubes_manager.guest.archive.walking import survey
from qubes_manager.guest.exchange import (
    Incoming,
    clear_up_when_ended,
    incoming_folder,
    line,
    plain_reason,
    send,
    source_domain,
    standard_input,
)
from qubes_manager.guest.opening.opened_files import OpenedFiles, make_read_only
from qubes_manager.guest.opening.programs import Opening

# On a disk: /tmp may be memory.
_FOLDER = "/var/tmp"  # noqa: S108 - mkdtemp makes a folder of our own there


def main(arguments: Sequence[str] = ()) -> int:
    """Entry point."""
    words = "+".join(arguments).split("+")
    clear_up_when_ended()
    try:
        _serve(words)
    except (QubesManagerError, OSError) as error:
        # Whom it is to be told to may have gone.
        with suppress(OSError):
            send(line(Failure(plain_reason(error))))
        return 1
    return 0


def _serve(words: Sequence[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="opened-", dir=os.environ.get("TMPDIR", _FOLDER)))
    try:
        tops = _take(folder, all_names=ALL_NAMES in words)
        if VIEW_ONLY in words:
            _view(folder, tops)
        else:
            _edit(folder, tops)
    finally:
        _remove(folder)


def _take(folder: Path, *, all_names: bool) -> tuple[str, ...]:
    """Take the files into *folder*; returns the names of those that are in no other."""
    incoming = Incoming(standard_input())
    offer = incoming.expect(Offer)
    refuse_without_room(folder, offer)
    send(line(Go()))
    taken = unpack(incoming.read, folder, offer, all_names=all_names)
    send(line(Stored(taken.sha256, taken.renamed)))
    return taken.names


def _view(folder: Path, tops: Sequence[str]) -> None:
    make_read_only(folder, tops)
    with Opening(own_bus=True) as opening:
        opening.open([str(folder / top) for top in tops])
        opening.watch.wait_for_end()


def _edit(folder: Path, tops: Sequence[str]) -> None:
    files = OpenedFiles(folder, tops)
    try:
        with Opening(own_bus=True) as opening:
            opening.open([str(folder / top) for top in tops])
            opening.watch.wait_for_end()
        changed, missing = files.look()
        if not opening.watch.has_seen_window and not changed:
            print("no window came for what was opened: a program that ran already may have taken it", file=sys.stderr)
        for name in missing:
            print(f"{shown_name(name)}: is no longer there, and is left as it was", file=sys.stderr)
        _send_back(folder, changed)
    except (SystemExit, OSError):
        # The other side has gone: what the user has changed is not to go with it.
        _keep(folder, files.look()[0])
        raise


def _keep(folder: Path, changed: Sequence[str]) -> None:
    """Put changed files where those of their domain land."""
    landing = incoming_folder(source_domain())
    hidden = make_hidden_folder(landing)
    try:
        for name in changed:
            shutil.copyfile(folder / name, hidden.path / "0", follow_symlinks=False)
            place_beside(hidden.path / "0", landing, Path(name).name)
    finally:
        hidden.remove()


def _send_back(folder: Path, changed: Sequence[str]) -> None:
    back = Path(tempfile.mkdtemp(dir=folder))
    for number, name in enumerate(changed):
        os.link(folder / name, back / str(number), follow_symlinks=False)
        send(line(Changed(name)))
    found = survey([back / str(number) for number in range(len(changed))])
    send(line(Offer(found.size, found.count)))
    if changed:
        pack(found, send, problem=lambda path, reason: print(f"{shown_name(path)}: {reason}", file=sys.stderr))


def _remove(folder: Path) -> None:
    # Folders that were made read-only cannot be emptied.
    for path, _folders, _files in os.walk(folder):
        with suppress(OSError):
            os.chmod(path, 0o700)  # noqa: PTH101 - a name of any bytes
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
