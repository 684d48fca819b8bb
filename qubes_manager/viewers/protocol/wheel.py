"""Turns of a wheel as clicks of buttons, since the server moves the guest's pointer by XTEST, which knows no others."""

from collections.abc import Iterator

from qubes_manager.viewers.protocol.packets import ButtonAction, WheelMotion

NOTCH = 1000
# So fast that nobody turns; the rest of it is forgotten.
_MAX_CLICKS = 10
_UP, _DOWN, _LEFT, _RIGHT = 4, 5, 6, 7


class Wheel:
    """Keeps what is left over of a notch, and forgets it when the wheel turns back or over another window."""

    def __init__(self) -> None:
        self._wid = 0
        self._left = {_DOWN: 0, _RIGHT: 0}

    def clicks(self, motion: WheelMotion) -> list[ButtonAction]:
        """The clicks of *motion*, each down and up."""
        if motion.wid != self._wid:
            self._wid, self._left = motion.wid, {_DOWN: 0, _RIGHT: 0}
        return [
            action
            for turned, forth, back in ((motion.down, _DOWN, _UP), (motion.right, _RIGHT, _LEFT))
            for action in self._axis(motion, turned, forth, back)
        ]

    def _axis(self, motion: WheelMotion, turned: int, forth: int, back: int) -> Iterator[ButtonAction]:
        left = self._left[forth]
        whole = turned if left * turned < 0 else left + turned
        notches = abs(whole) // NOTCH
        self._left[forth] = whole - notches * NOTCH * (1 if whole > 0 else -1)
        for _ in range(min(notches, _MAX_CLICKS)):
            for pressed in (True, False):
                button = forth if whole > 0 else back
                yield ButtonAction(motion.wid, button, pressed, motion.x, motion.y, motion.modifiers)
