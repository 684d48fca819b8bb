"""Why a domain's processors stand still."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

# More disks than this are counted.
_NAMED_DISKS = 3


class Pause(Enum):
    """libvirt's reasons (virDomainPausedReason, and a crash whose QEMU is kept); the value is for people."""

    UNKNOWN = "nobody knows why"
    USER = "by the user"
    MIGRATION = "it is being moved to another host"
    SAVE = "its state is being saved"
    DUMP = "its memory is being written to a file"
    IO_ERROR = "I/O error"
    WATCHDOG = "its watchdog has run out"
    FROM_SNAPSHOT = "it was paused when its snapshot was made"
    SHUTTING_DOWN = "it is shutting down"
    SNAPSHOT = "a snapshot is being made"
    PANIC = "its system has crashed (panic)"
    STARTING = "it is starting"
    POSTCOPY = "it runs on another host while its memory is moved"
    POSTCOPY_FAILED = "moving it to another host failed"
    API_ERROR = "libvirt could not let it go on"

    @property
    def is_trouble(self) -> bool:
        """Whether nobody wanted it, and somebody must do something."""
        return self in (Pause.IO_ERROR, Pause.WATCHDOG, Pause.PANIC, Pause.POSTCOPY_FAILED, Pause.API_ERROR)

    @property
    def is_passing(self) -> bool:
        """Whether somebody is at work on the domain, who will let it go on or end it."""
        return self in (
            Pause.MIGRATION,
            Pause.SAVE,
            Pause.DUMP,
            Pause.SHUTTING_DOWN,
            Pause.SNAPSHOT,
            Pause.STARTING,
            Pause.POSTCOPY,
        )


@dataclass(frozen=True, slots=True)
class DiskError:
    """A disk whose host could not write or read: its target name, and whether there was no space."""

    target: str
    is_full: bool


def pause_words(pause: Pause, errors: Sequence[DiskError] = ()) -> str:
    """Why a domain stands still: ``no space for vdb``, ``by the user``."""
    if pause is not Pause.IO_ERROR or not errors:
        return pause.value
    full = _names([e.target for e in errors if e.is_full])
    broken = _names([e.target for e in errors if not e.is_full])
    return ", ".join(filter(None, (full and f"no space for {full}", broken and f"I/O error on {broken}")))


def _names(targets: Sequence[str]) -> str:
    more = len(targets) - _NAMED_DISKS
    return " and ".join(filter(None, (", ".join(targets[:_NAMED_DISKS]), f"{more} more" if more > 0 else "")))
