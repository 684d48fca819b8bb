"""What commands say, made harmless on its way out: names, errors and notes may come from anybody.

All that a command prints passes here, so no command need think of it. What ``qvm-run`` passes on of a guest goes to the
stream below, by rules of its own.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from qubes_manager.core.errors import QubesManagerError
from qubes_manager.core.text import harmless

# Our own typographic signs, for terminals that have ASCII or Latin-1 only.
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "–": "-", "—": "-", "└": "+", "─": "-"})


class HarmlessStream:
    """A text stream that writes out what would steer a terminal, and what its encoding does not have."""

    def __init__(self, stream: TextIO) -> None:
        self.below = stream

    def write(self, text: str) -> int:
        """Write *text*; returns its length. Raises BrokenPipeError, QubesManagerError."""
        with _errors_in_plain_words():
            self.below.write(encodable(harmless(text), self.below.encoding))
        return len(text)

    def flush(self) -> None:
        """Pass on what is kept; raises as ``write``."""
        with _errors_in_plain_words():
            self.below.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


@contextlib.contextmanager
def _errors_in_plain_words() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # Whoever read has enough, and need not be told.
        raise
    except OSError as error:
        raise QubesManagerError(f"the output cannot be written: {error.strerror}") from error


def encodable(text: str, encoding: str | None) -> str:
    """Return *text* with what *encoding* does not have put into plainer signs, or written out."""
    if text.isascii():
        return text
    name = encoding or "ascii"
    try:
        text.encode(name)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(name, "backslashreplace").decode(name)
    return text


@contextlib.contextmanager
def harmless_output() -> Iterator[None]:
    """Let standard output and standard error be harmless meanwhile."""
    before = sys.stdout, sys.stderr
    # A command that was started with one of them closed has None there.
    sys.stdout, sys.stderr = (s if s is None or _is_harmless(s) else cast(TextIO, HarmlessStream(s)) for s in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _is_harmless(stream: object) -> bool:
    return isinstance(stream, HarmlessStream)


def finish_output() -> OSError | QubesManagerError | None:
    """Flush standard output; returns why not all was taken. The rest is dropped: Python would complain at exit."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except (OSError, QubesManagerError) as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def steer(codes: str) -> None:
    """Write control codes of our own to standard error, which is a terminal."""
    stream = sys.stderr
    (stream.below if isinstance(stream, HarmlessStream) else stream).write(codes)
