"""Where systems are built: large, for a while, and partly other identities' than the user's."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from qubes_manager.backend.host.host_tools import run_tool_now
from qubes_manager.core.errors import QubesManagerError

_REMOVAL_SECONDS = 300


def scratch_folder() -> Path:
    """Where large files lie while they are made."""
    return Path(os.environ.get("QUBES_MANAGER_SCRATCH") or "/var/tmp")  # noqa: S108 - large, and kept from other users


@contextlib.contextmanager
def build_folder() -> Iterator[Path]:
    """Give an empty folder for mmdebstrap; it is gone with all that is in it when the block ends, however it ends."""
    # Identities of a user namespace must get through to this folder: a home that only its owner enters is no place.
    work = Path(tempfile.mkdtemp(prefix="qubes-manager-template-", dir=scratch_folder()))
    try:
        work.chmod(0o711)
        yield work
    finally:
        _unmount(work)
        _remove(work)


def helper() -> Sequence[str]:
    """What runs a command as the root of a user namespace; nothing for root itself."""
    return [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]


def _unmount(work: Path) -> None:
    """Take away what a killed mmdebstrap has left mounted; only root's is not in a namespace that went with it."""
    if os.geteuid():
        return
    # proc_pid_mountinfo(5): the fifth field, in which a blank would be written otherwise; folders of ours have none.
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    for place in reversed([place for place in places if place.startswith(f"{work}/")]):
        with contextlib.suppress(QubesManagerError):
            run_tool_now(["umount", "--lazy", place])


def _remove(work: Path) -> None:
    """Remove the work folder; what belongs to identities of the namespace is removed by its root."""
    shutil.rmtree(work, ignore_errors=True)
    if work.exists():
        # That root may enter our folders, but neither list them nor remove them: so each thing is named.
        left = [path for folder in (work, work / "made") if folder.exists() for path in folder.iterdir()]
        with contextlib.suppress(QubesManagerError):
            run_tool_now([*helper(), "rm", "-rf", "--one-file-system", "--", *left], timeout=_REMOVAL_SECONDS)
        shutil.rmtree(work, ignore_errors=True)
