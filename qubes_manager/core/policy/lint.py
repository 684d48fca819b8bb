"""What is wrong with one policy file by itself; what it includes is not looked at."""

from collections.abc import Sequence

from qubes_manager.core.policy.parser import read_policy, read_service_file
from qubes_manager.core.policy.rules import Fault


def lint(text: str, file: str, *, of_service: bool = False) -> tuple[Fault, ...]:
    """The faults of *text*, called *file*; with *of_service* it is one that ``!include-service`` takes in."""
    reader = _Alone(text)
    reading = read_service_file(file, reader) if of_service else read_policy([file], reader)
    return tuple(reading.faults)


class _Alone:
    """Has one file, and of every other that it is empty."""

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self, path: str) -> str:
        # It comes first; whatever is included after it, itself too, is another matter.
        text, self._text = self._text, ""
        return text

    def policies(self, folder: str) -> Sequence[str]:
        return ()

    def legacy(self) -> Sequence[str]:
        return ()
