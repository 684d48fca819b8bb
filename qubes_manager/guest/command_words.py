"""How a command's words stand in the argument of a call, as in Qubes (qubes.VMExec).

Words are joined by ``+``. Letters, digits, ``.`` and ``_`` stand for themselves, ``--`` for ``-``, and ``-XX`` for any
other byte by its hexadecimal digits.
"""

import re
from collections.abc import Sequence

from qubes_manager.core.errors import BadInput

_ESCAPED = re.compile(rb"--|-([0-9A-F]{2})")
_PLAIN = re.compile(rb"[A-Za-z0-9._]")
_WORD = re.compile(r"(?:[A-Za-z0-9._]|--|-[0-9A-F]{2})*", re.ASCII)


def encode_words(words: Sequence[str]) -> str:
    """The argument that stands for *words*."""
    return "+".join(_encode(word.encode("utf-8", "surrogateescape")) for word in words)


def decode_words(argument: str) -> list[str]:
    """The words for which *argument* stands; raises BadInput."""
    parts = argument.split("+")
    if not argument or not all(_WORD.fullmatch(part) for part in parts):
        raise BadInput("command", argument[:80], "it is not encoded as qubes.VMExec wants it")
    words = [_ESCAPED.sub(_byte, part.encode("ascii")) for part in parts]
    if not words[0] or any(b"\0" in word for word in words):
        raise BadInput("command", argument[:80], "a program has a name, and no word has a zero byte")
    return [word.decode("utf-8", "surrogateescape") for word in words]


def _encode(word: bytes) -> str:
    def one(number: int) -> str:
        byte = bytes([number])
        return byte.decode() if _PLAIN.match(byte) else "--" if byte == b"-" else f"-{number:02X}"

    return "".join(map(one, word))


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()) if match[1] else b"-"
