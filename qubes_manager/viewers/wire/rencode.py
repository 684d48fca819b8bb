"""rencode and rencodeplus, the forms in which xpra writes a packet's values: 3.1 in the first, 5 and 6 in the other.

Strings come out as bytes in both, since the first knows nothing else, and who wants text knows how much of it. The
typecodes are those of https://github.com/aresch/rencode and of xpra/net/rencodeplus in
https://github.com/Xpra-org/xpra.

The decoder is our own. That of PyPI (``rencode`` 1.0.9, in C) reads a packet in 5 µs for our 10, but ends the program
with SIGSEGV on 100 KB of lists in lists, makes 70 MiB of 1 MB of empty tables, and knows no bytes of rencodeplus.
"""

import struct
from collections.abc import Mapping, Sequence

# The longest that servers say is a hello: 414 items in 6.5, four deep.
MAX_ITEMS = 10_000
MAX_DEPTH = 12
_MAX_DIGITS = 20

Value = None | bool | int | float | bytes | list["Value"] | dict[bytes | int, "Value"]
Packet = list[Value]
Sayable = bool | int | str | Sequence["Sayable"] | Mapping[str, "Sayable"] | Mapping[int, "Sayable"]

_NEGATIVE, _POSITIVES, _NEGATIVES = 70, 44, 32
_LIST, _DICT, _DECIMAL, _END = 59, 60, 61, 127
_TRUE, _FALSE, _NONE = 67, 68, 69
_FIXED_DICT, _FIXED_STRING, _FIXED_LIST = 102, 128, 192
_NUMBERS = {
    62: struct.Struct("!b"),
    63: struct.Struct("!h"),
    64: struct.Struct("!i"),
    65: struct.Struct("!q"),
    66: struct.Struct("!f"),
    44: struct.Struct("!d"),
}
_CONSTANTS: dict[int, Value] = {
    **{code: code for code in range(_POSITIVES)},
    **{_NEGATIVE + n: -1 - n for n in range(_NEGATIVES)},
    _TRUE: True,
    _FALSE: False,
    _NONE: None,
}


class Malformed(ValueError):
    """Bytes that are no value, or one with more in it than any server says."""


def decode(data: bytes) -> Value:
    """The value that *data* holds, whole; raises Malformed.

    What it takes is bounded: less than 100 bytes for each of MAX_ITEMS items, and the strings, which are parts of
    *data*.
    """
    reader = _Reader(data)
    try:
        value = reader.value(0)
    except (IndexError, struct.error):
        raise Malformed("it ends in the middle") from None
    if reader.at != len(data):
        raise Malformed("there is more after its end")
    return value


class _Reader:
    __slots__ = ("at", "data", "left")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.left = MAX_ITEMS

    def value(self, depth: int) -> Value:
        self.left -= 1
        if self.left < 0:
            raise Malformed("too many items")
        code = self.data[self.at]
        self.at += 1
        if code >= _FIXED_STRING:
            if code < _FIXED_LIST:
                return self._bytes(code - _FIXED_STRING)
            return self._list(code - _FIXED_LIST, depth + 1)
        if code in _CONSTANTS:
            return _CONSTANTS[code]
        if code in _NUMBERS:
            number: int | float = _NUMBERS[code].unpack_from(self.data, self.at)[0]
            self.at += _NUMBERS[code].size
            return number
        if 48 <= code <= 57:
            return self._bytes(self._length())
        if _FIXED_DICT <= code < _END:
            return self._dict(code - _FIXED_DICT, depth + 1)
        if code == _LIST:
            return self._list(None, depth + 1)
        if code == _DICT:
            return self._dict(None, depth + 1)
        if code == _DECIMAL:
            return self._decimal()
        raise Malformed(f"no value begins with {code}")

    def _bytes(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) != count:
            raise Malformed("a string is longer than the packet")
        self.at += count
        return found

    def _length(self) -> int:
        # Its end is a colon, or in rencodeplus a slash after what is no text.
        begin = self.at - 1
        while self.data[self.at] not in b":/":
            self.at += 1
            if self.at - begin > _MAX_DIGITS:
                raise Malformed("a length of too many digits")
        digits = self.data[begin : self.at]
        self.at += 1
        if not digits.isdigit():
            raise Malformed("a length that is no number")
        return int(digits)

    def _decimal(self) -> int:
        end = self.data.find(_END, self.at, self.at + _MAX_DIGITS + 1)
        digits = self.data[self.at : end]
        if end < 0 or not digits.removeprefix(b"-").isdigit():
            raise Malformed("a number that is none")
        self.at = end + 1
        return int(digits)

    def _more(self, count: int | None, done: int) -> bool:
        if count is not None:
            return done < count
        if self.data[self.at] != _END:
            return True
        self.at += 1
        return False

    def _list(self, count: int | None, depth: int) -> list[Value]:
        if depth > MAX_DEPTH:
            raise Malformed("too deep")
        found: list[Value] = []
        while self._more(count, len(found)):
            found.append(self.value(depth))
        return found

    def _dict(self, count: int | None, depth: int) -> dict[bytes | int, Value]:
        if depth > MAX_DEPTH:
            raise Malformed("too deep")
        found: dict[bytes | int, Value] = {}
        done = 0
        while self._more(count, done):
            key = self.value(depth)
            if not isinstance(key, bytes | int):
                raise Malformed("a key that is neither text nor a number")
            found[key] = self.value(depth)
            done += 1
        return found


def encode(value: Sayable) -> bytes:
    """*value* in either form: they differ in bytes alone, which are never said. Integers have 64 bits and a sign."""
    if value is True or value is False:
        return bytes([_TRUE if value else _FALSE])
    if isinstance(value, int):
        return _encode_number(value)
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")
        return (bytes([_FIXED_STRING + len(raw)]) if len(raw) < 64 else b"%d:" % len(raw)) + raw
    if isinstance(value, Mapping):
        inside = b"".join(encode(key) + encode(item) for key, item in value.items())
        return _enclose(len(value), _FIXED_DICT, _END - _FIXED_DICT, _DICT, inside)
    return _enclose(len(value), _FIXED_LIST, 256 - _FIXED_LIST, _LIST, b"".join(map(encode, value)))


def _encode_number(value: int) -> bytes:
    if 0 <= value < _POSITIVES:
        return bytes([value])
    if -_NEGATIVES <= value < 0:
        return bytes([_NEGATIVE - 1 - value])
    size = next(size for size in range(4) if -(1 << (8 << size) - 1) <= value < 1 << (8 << size) - 1)
    return bytes([62 + size]) + value.to_bytes(1 << size, "big", signed=True)


def _enclose(count: int, fixed: int, limit: int, begin: int, inside: bytes) -> bytes:
    return bytes([fixed + count]) + inside if count < limit else bytes([begin]) + inside + bytes([_END])
