"""What of a Wayland compositor a viewer gets to know: an allow-list over its registry (pure).

A compositor offers interfaces in one place, wl_registry, and a client makes use of one by its number there. Some offer
every client pictures of the screen, a keyboard that types into other windows, the list of windows, the clipboard. The
messages themselves need not be understood: each has a header with its object, its kind and its length (the Wayland
protocol's "wire format").
"""

import struct
from collections.abc import Iterator

from qubes_manager.core.errors import Refused

# Windows of one's own, what is drawn in them, keys and pointer while they have the focus, and the screen's scale. No
# clipboard: what passes from one domain to another is not the desktop's to give.
ALLOWED = frozenset(
    {
        *("wl_compositor", "wl_subcompositor", "wl_shm", "wl_seat", "wl_output", "wp_viewporter"),
        *("xdg_wm_base", "xdg_wm_dialog_v1", "xdg_activation_v1", "xdg_toplevel_icon_manager_v1"),
        *("zxdg_decoration_manager_v1", "org_kde_kwin_server_decoration_manager", "zxdg_output_manager_v1"),
        *("wp_fractional_scale_manager_v1", "wp_cursor_shape_manager_v1"),
        *("zwp_text_input_manager_v1", "zwp_text_input_manager_v2", "zwp_text_input_manager_v3"),
    }
)
_HEADER = struct.Struct("=II")
_NUMBER = struct.Struct("=I")
_DISPLAY, _GET_REGISTRY = 1, 1
_GLOBAL, _GLOBAL_REMOVE = 0, 1
# A client needs one; libraries beside Qt may have their own.
_MOST_REGISTRIES = 16


class RegistryFilter:
    """The talk of one viewer with the compositor."""

    def __init__(self) -> None:
        self._asked, self._told = _Messages(), _Messages()
        self._registries: set[int] = set()
        self._offered: set[int] = set()

    def check(self, data: bytes) -> None:
        """Look at what the viewer says; raises Refused when it is not to reach the compositor."""
        for sender, kind, message in self._asked.add(data):
            if (sender, kind) == (_DISPLAY, _GET_REGISTRY):
                self._registries.add(_number(message))
                if len(self._registries) > _MOST_REGISTRIES:
                    raise Refused(f"it asks for more than {_MOST_REGISTRIES} registries")
            elif sender in self._registries and _number(message) not in self._offered:
                raise Refused("it reaches for what it was not offered")

    def admit(self, data: bytes) -> bytes:
        """What of the compositor's words the viewer hears; a message that is not whole yet waits."""
        return b"".join(
            message for sender, kind, message in self._told.add(data) if self._is_heard(sender, kind, message)
        )

    def _is_heard(self, sender: int, kind: int, message: bytes) -> bool:
        if sender not in self._registries:
            return True
        name = _number(message)
        if kind == _GLOBAL and _text(message, _HEADER.size + _NUMBER.size) in ALLOWED:
            self._offered.add(name)
        return name in self._offered


class _Messages:
    """Cuts a stream into messages. A message has 64 KiB at most, and so has what waits for its end."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Each message that is whole: its object, its kind, and all of it; raises Refused for what is none."""
        data, at = self._rest + data, 0
        while len(data) - at >= _HEADER.size:
            sender, word = _HEADER.unpack_from(data, at)
            size, kind = word >> 16, word & 0xFFFF
            if size < _HEADER.size:
                raise Refused(f"a message of {size} bytes")
            if len(data) - at < size:
                break
            yield sender, kind, data[at : at + size]
            at += size
        self._rest = data[at:]


def _number(message: bytes) -> int:
    """A message's first argument."""
    if len(message) < _HEADER.size + _NUMBER.size:
        raise Refused("a message without the number that belongs to it")
    return int(_NUMBER.unpack_from(message, _HEADER.size)[0])


def _text(message: bytes, at: int) -> str:
    """A text in a message: its length with the zero at its end, and its bytes."""
    length = _NUMBER.unpack_from(message, at)[0] if len(message) >= at + _NUMBER.size else 0
    return message[at + _NUMBER.size :][: max(length - 1, 0)].decode("utf-8", "replace")
