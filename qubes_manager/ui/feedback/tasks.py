"""Coroutines that the window starts; what they raise is shown, never lost."""

from collections.abc import Callable

from qubes_manager.core.background import Background
from qubes_manager.core.errors import QubesManagerError


class Tasks(Background):
    """Runs coroutines in the background and hands their errors to *show*."""

    def __init__(self, show: Callable[[QubesManagerError], object]) -> None:
        super().__init__(lambda error: show(_for_people(error)))


def _for_people(error: BaseException) -> QubesManagerError:
    if isinstance(error, QubesManagerError):
        return error
    return QubesManagerError("Something in this program went wrong; its log has more.", repr(error))
