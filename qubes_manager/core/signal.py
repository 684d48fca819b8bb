"""Telling others what happened, without knowing them."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVarTuple

log = logging.getLogger(__name__)
Values = TypeVarTuple("Values")


class Signal(Generic[*Values]):
    """Something that happens now and then, such as ``Signal[Batch]``; listeners hear of it in their order.

    A listener may connect and disconnect others while it is told: who is disconnected hears nothing any more, and who
    is new hears of the next time. What a listener raises is its own defect: it leaves a trace in the log, and neither
    the other listeners nor who emits pays for it.
    """

    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[*Values], object]] = {}

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def connect(self, listener: Callable[[*Values], object]) -> Callable[[], None]:
        """Call *listener* from now on; what is returned ends that, and may be called again."""
        # One that connects twice hears twice, and ends each on its own.
        token = object()
        self._listeners[token] = listener

        def disconnect() -> None:
            self._listeners.pop(token, None)

        return disconnect

    def emit(self, *values: *Values) -> None:
        """Tell all listeners."""
        for token, listener in list(self._listeners.items()):
            if token in self._listeners:
                try:
                    listener(*values)
                except Exception:
                    log.exception("a listener failed")
