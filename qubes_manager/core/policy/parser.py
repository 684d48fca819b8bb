"""Reading a set of policy files into rules, in the order in which they hold."""

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.policy.rule_lines import (
    BadRule,
    deny_all,
    parse_old_rule,
    parse_rule,
    parse_service,
    service_of,
)
from qubes_manager.core.policy.rules import Fault, Rule

# Lines of all files together, and files that include one another.
MAX_LINES, MAX_DEPTH = 100_000, 20
# Beyond these nobody reads on.
MAX_FAULTS = 200
# Where !compat-4.0 finds files of the form that Qubes 4.0 had, one a service.
LEGACY_FOLDER = "compat-4.0"
_ENDS = re.compile(r"\r\n|\r|\n")


class Unreadable(QubesManagerError):
    """A file or folder that cannot be read; says why."""


class Reader(Protocol):
    """Where policy files come from; all paths are relative to the policy's folder unless they begin with ``/``."""

    def text(self, path: str) -> str:
        """What a file says; raises Unreadable."""
        ...

    def policies(self, folder: str) -> Sequence[str]:
        """The paths of the policy files in a folder, in their order; raises Unreadable."""
        ...

    def legacy(self) -> Sequence[str]:
        """The names of the files in LEGACY_FOLDER, each a service or ``service+argument``; none without the folder."""
        ...


@dataclass(slots=True)
class Reading:
    """What was read: rules in their order, and what was wrong.

    *doubtful* has a rule for each service that a broken line seems to be about: it denies that service.
    """

    rules: list[Rule] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    doubtful: list[Rule] = field(default_factory=list)


def read_policy(paths: Iterable[str], reader: Reader) -> Reading:
    """Read the files of *paths*, one after the other. Whatever is wrong becomes a fault; raises nothing."""
    loader = _Loader(reader)
    for path in paths:
        loader.file(path)
    return loader.reading


def read_service_file(path: str, reader: Reader) -> Reading:
    """Read a file that ``!include-service`` is to take in, as if it were for any service."""
    loader = _Loader(reader)
    loader.service_file(path, None, None, "")
    return loader.reading


class _Loader:
    def __init__(self, reader: Reader) -> None:
        self.reading = Reading()
        self._reader = reader
        self._lines = 0
        # The files that are being read now, each included by the one before.
        self._open: list[str] = []

    def file(self, path: str) -> None:
        self._each_line(path, self._line)

    def service_file(self, path: str, service: str | None, argument: str | None, folder: str) -> None:
        def on_line(line: str, file: str, number: int) -> None:
            # What Qubes 4.0 wrote otherwise.
            line = line.replace("$include:", "!include ").replace("$", "@").replace(",", " ")
            if not line.startswith("!"):
                self.reading.rules.append(parse_old_rule(service, argument, line, file, number))
                return
            directive, *words = line.split()
            if directive != "!include" or len(words) != 1:
                raise BadRule(
                    f"{line.split()[0]!r} cannot stand here: !include FILE is the only directive of such files"
                )
            self.service_file(posixpath.join(folder, words[0]), service, argument, folder)

        self._each_line(path, on_line)

    def _each_line(self, path: str, on_line: Callable[[str, str, int], None]) -> None:
        path = posixpath.normpath(path)
        text = self._enter(path)
        self._open.append(path)
        for number, line in enumerate(_ENDS.split(text), 1):
            line = line.strip(" \t")
            if not line or line.startswith("#"):
                continue
            self._lines += 1
            if self._lines > MAX_LINES or len(self.reading.faults) >= MAX_FAULTS:
                self._fault(path, number, "this is more than is read of a policy", "")
                break
            try:
                on_line(line, path, number)
            except (BadRule, Unreadable) as error:
                self._fault(path, number, str(error), line)
        self._open.pop()

    def _enter(self, path: str) -> str:
        if path in self._open:
            raise BadRule(f"{path} includes itself")
        if len(self._open) >= MAX_DEPTH:
            raise BadRule(f"{path} is included by too many files, each by the one before")
        try:
            return self._reader.text(path)
        except Unreadable as error:
            if self._open:
                raise
            self._fault(path, 0, str(error), "")
            return ""

    def _line(self, line: str, file: str, number: int) -> None:
        if not line.startswith("!"):
            self.reading.rules.append(parse_rule(line, file, number))
            return
        directive, *words = line.split()
        match directive, words:
            case "!include", [path]:
                self.file(path)
            case "!include-dir", [folder]:
                for path in self._reader.policies(folder):
                    self.file(path)
            case "!include-service", [service, argument, path]:
                self.service_file(path, *parse_service(service, argument), "")
            case "!compat-4.0", []:
                self._legacy()
            case (("!include" | "!include-dir" | "!include-service" | "!compat-4.0"), _):
                raise BadRule(f"{directive} takes {_TAKES[directive]}")
            case _:
                raise BadRule(f"there is no directive {directive!r}: use {', '.join(_TAKES)}")

    def _legacy(self) -> None:
        # As in Qubes, what is about one argument comes before what is about all, and denies what it does not name.
        named = sorted((name.partition("+") for name in self._reader.legacy()), key=lambda n: (n[0], not n[1], n[2]))
        for service, plus, rest in named:
            path = f"{LEGACY_FOLDER}/{service}{plus}{rest}"
            argument = plus + rest or None
            self.service_file(path, service, argument, LEGACY_FOLDER)
            if argument is not None:
                self.reading.rules.append(deny_all(service, argument, path, 0, "deny (what the file does not name)"))

    def _fault(self, file: str, number: int, reason: str, line: str) -> None:
        self.reading.faults.append(Fault(file, number, reason, line))
        if service := service_of(line):
            self.reading.doubtful.append(deny_all(service, None, file, number, line))


_TAKES = {
    "!include": "the path of a file",
    "!include-dir": "the path of a folder",
    "!include-service": "a service, an argument and the path of a file",
    "!compat-4.0": "nothing",
}
