"""How something stands that crosses, in words for people."""

from qubes_manager.core.crossing.broker_messages import TransferPhase, TransferStatus
from qubes_manager.core.crossing.services import FILECOPY
from qubes_manager.core.sizes import format_size

# A rate is worth a guess of the time that is left only after some bytes.
_FEW = 1 << 20


def how_far(status: TransferStatus) -> str:
    """How far it is: bytes, rate, time left; or what is being waited for."""
    if status.message or status.phase is not TransferPhase.MOVING:
        return status.message or status.phase.value
    words = [
        f"{format_size(status.moved)} of {format_size(status.total)}" if status.total else format_size(status.moved)
    ]
    if status.rate:
        words.append(f"{format_size(status.rate)}/s")
        if status.moved > _FEW and status.total > status.moved:
            words.append(f"{duration((status.total - status.moved) // status.rate)} left")
    return ", ".join(words)


def goes_on(status: TransferStatus) -> bool:
    """Whether people may wait for it: not what is being asked about, which they see, nor what only stays open."""
    if status.is_over or status.phase is TransferPhase.ASKING:
        return False
    return status.phase is TransferPhase.STARTING or status.service == FILECOPY or status.moved < status.total


def title(status: TransferStatus) -> str:
    """What goes where: first what no guest has written, which it could write before it else."""
    return f"{status.source} → {status.target}: {status.sentence}"


def duration(seconds: int) -> str:
    """A time in words, with one unit."""
    if seconds < 100:
        return f"{max(seconds, 1)} s"
    return f"{(seconds + 30) // 60} min" if seconds < 100 * 60 else f"{(seconds + 1800) // 3600} h"
