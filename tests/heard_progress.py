"""A progress that tests look at afterwards, and that asks to stop where they say."""

from qubes_manager.core.progress import Progress


class HeardProgress(Progress):
    """Keeps what it was told; is cancelled as soon as the step *stop_at* has begun, where one is named."""

    def __init__(self, stop_at: str = "") -> None:
        self.steps: list[str] = []
        self.amounts: dict[str, list[tuple[int, int]]] = {}
        self._stop_at = stop_at

    @property
    def is_cancelled(self) -> bool:
        return self._stop_at in self.steps

    def step(self, text: str, total: int = 0) -> None:
        self.steps.append(text)
        self.amounts[text] = [(0, total)]

    def at(self, done: int, total: int = 0) -> None:
        told = self.amounts[self.steps[-1]]
        told.append((done, total or told[-1][1]))
