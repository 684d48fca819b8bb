"""How a long job says where it is, and learns that it is to stop."""

from qubes_manager.core.errors import Cancelled


class Progress:
    """What a long job tells its steps; this one keeps silent and is never cancelled, so that all can share one.

    Receivers override it. A job calls it from whatever thread it is in, but never from two at once.
    """

    __slots__ = ()

    @property
    def is_cancelled(self) -> bool:
        """Whether the user wants the job to stop."""
        return False

    def step(self, text: str, total: int = 0) -> None:
        """A new step begins: what it does, and the bytes that it will take, 0 where they are not known."""

    def at(self, done: int, total: int = 0) -> None:
        """So many bytes of the present step are done; *total*, unless it is 0, replaces what the step began with."""

    def update(self, text: str, done: int, total: int) -> None:
        """How the present step stands, in words of its own: a rate, what it waits for."""
        self.step(text, total)
        self.at(done)

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled when the job is to stop; to be called where it can be undone."""
        if self.is_cancelled:
            raise Cancelled()


SILENT = Progress()
