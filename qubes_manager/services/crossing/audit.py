"""The log of what was asked between domains and what became of it: who, whom, which service; never content."""

import heapq
import itertools
import json
import logging
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from qubes_manager.backend.user.domain_lock import file_lock
from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.json_lines import shown
from qubes_manager.core.text import one_line

# Bytes of one file, and how many older ones are kept beside it: a week of what a domain may fill it with.
MAX_FILE, KEPT = 1 << 20, 15
# Bytes of a record, and characters of what is in it: each may take twelve bytes, and where it is too long all is short.
MAX_RECORD = 2048
_MAX_TEXT, _SHORT = 600, 30
log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a call."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class Decider(StrEnum):
    """Who or what decided."""

    POLICY = "policy"
    USER = "user"
    # What the user had said for the whole session.
    GRANT = "session grant"
    BLOCK = "block"
    # Why it could not be asked or done at all: no screen, too many requests.
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the log. *target* is what the caller named, *went_to* where it went; *rule* is ``file:line``.

    *when* is in seconds since 1970.
    """

    source: str
    service: str
    argument: str
    target: str
    outcome: Outcome
    by: Decider
    went_to: str = ""
    rule: str = ""
    reason: str = ""
    connection: str = ""
    when: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which decisions are wanted; what is empty is any. *text* is looked for in all that they say."""

    source: str = ""
    target: str = ""
    service: str = ""
    outcome: Outcome | None = None
    since: float = 0.0
    text: str = ""

    def takes(self, decision: Decision) -> bool:
        """Whether a decision is wanted."""
        return (
            self.source in ("", decision.source)
            and self.target in ("", decision.target, decision.went_to)
            and self.service in ("", decision.service)
            and self.outcome in (None, decision.outcome)
            and decision.when >= self.since
            and self.text.casefold() in " ".join(str(value) for value in asdict(decision).values()).casefold()
        )


class Audit:
    """Writes and reads the log. Blocks.

    All programs of the user write to the same files, one after the other; full ones are kept as ``….1``, ``….2``, ….
    What is of many that are alike has files of its own, so that it pushes nothing else out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.often = path.with_name(f"{path.stem}.often{path.suffix}")

    def write(self, decision: Decision, *, is_of_many: bool = False) -> bool:
        """Add a decision; returns whether it is in the log. What goes wrong is logged and stops nobody."""
        line = _line(decision, _MAX_TEXT)
        if len(line) > MAX_RECORD:
            line = _line(decision, _SHORT)
        try:
            with file_lock(self.path):
                _append(self.often if is_of_many else self.path, line)
        except (OSError, QubesManagerError) as error:
            log.error("a decision is missing in %s: %s", self.path, error)
            return False
        return True

    def read(self, wanted: AuditFilter | None = None, limit: int = 1000) -> list[Decision]:
        """At most *limit* decisions, the newest first; lines that are damaged are passed over. Raises OSError."""
        wanted = wanted or AuditFilter()
        logs = (_decisions(path) for path in (self.path, self.often))
        newest_first = heapq.merge(*logs, key=lambda decision: decision.when, reverse=True)
        return list(itertools.islice(filter(wanted.takes, newest_first), limit))


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
        file.seek(0, os.SEEK_END)
        size = file.tell()
        # After a crash the last line may have no end; it is not to spoil the next one too.
        is_torn = size and not _ends_well(path, size)
        file.write(b"\n" + line if is_torn else line)
        size = file.tell()
    if size >= MAX_FILE:
        for number in range(KEPT, 0, -1):
            older = _numbered(path, number - 1)
            if older.exists():
                older.replace(_numbered(path, number))


def _decisions(path: Path) -> Iterator[Decision]:
    for number in range(KEPT + 1):
        try:
            with _numbered(path, number).open("rb") as file:
                data = file.read(MAX_FILE + MAX_RECORD)
        except FileNotFoundError:
            continue
        yield from filter(None, map(_parse, reversed(data.split(b"\n"))))


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def _line(decision: Decision, limit: int) -> bytes:
    texts = {k: one_line(v, limit) if isinstance(v, str) else v for k, v in asdict(decision).items()}
    return json.dumps(texts, ensure_ascii=True).encode() + b"\n"


def _ends_well(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


_TEXTS = {f.name for f in fields(Decision)} - {"when", "outcome", "by"}


def _parse(line: bytes) -> Decision | None:
    try:
        said = json.loads(line)
        texts = {name: said.get(name, "") for name in _TEXTS}
        when = float(said["when"])
        if not all(isinstance(text, str) for text in texts.values()) or not math.isfinite(when):
            return None
        return Decision(
            **{name: one_line(text, _MAX_TEXT) for name, text in texts.items()},
            outcome=Outcome(said["outcome"]),
            by=Decider(said["by"]),
            when=when,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        log.debug("passed over in the audit log: %s", shown(line))
        return None
