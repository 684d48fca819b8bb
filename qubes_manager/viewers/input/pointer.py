"""The pointer, its buttons and the wheel, on their way to the guest; places are pixels of the guest's screen."""

from collections.abc import Callable, Collection

from qubes_manager.viewers.protocol.packets import ButtonAction, PointerPosition, ToGuest, WheelMotion

# A notch of the wheel, in Qt's eighths of a degree and in thousandths.
_NOTCH, _THOUSAND = 120, 1000


class Pointer:
    """Where the pointer is for the guest, and which buttons it has down: what goes down there also goes up."""

    def __init__(self, say: Callable[[ToGuest], object]) -> None:
        self._say = say
        self._buttons: list[int] = []
        self._last: PointerPosition | None = None
        # What was turned of the wheel and is less than a thousandth of a notch, in _NOTCH-ths of that.
        self._rest = [0, 0]
        self._finger: int | None = None

    def move(self, wid: int, x: int, y: int, modifiers: tuple[str, ...]) -> None:
        """The pointer is over a window, or was dragged out of it."""
        position = PointerPosition(wid, x, y, modifiers, tuple(self._buttons))
        if position != self._last:
            self._last = position
            self._say(position)

    def is_at(self, x: int, y: int) -> bool:
        """Whether the guest was told this place last."""
        return self._last is not None and (self._last.x, self._last.y) == (x, y)

    def press(self, wid: int, button: int, x: int, y: int, modifiers: tuple[str, ...]) -> None:
        """A button, as X numbers it, went down."""
        self._buttons.append(button)
        self._act(wid, button, True, x, y, modifiers)

    def keep_down(self, wid: int, buttons: Collection[int], x: int, y: int, modifiers: tuple[str, ...]) -> None:
        """Only these are held still: of one that went up over a window that was gone by then nobody has heard."""
        for button in [button for button in self._buttons if button not in buttons]:
            self.release(wid, button, x, y, modifiers)

    def release(self, wid: int, button: int, x: int, y: int, modifiers: tuple[str, ...]) -> None:
        """A button went up."""
        if button in self._buttons:
            self._buttons.remove(button)
            self._act(wid, button, False, x, y, modifiers)

    def release_all(self, wid: int, x: int, y: int) -> None:
        """The desktop takes the pointer: which buttons go up is not heard of."""
        self.keep_down(wid, (), x, y, ())

    def turn(self, wid: int, right: int, down: int, x: int, y: int, modifiers: tuple[str, ...]) -> None:
        """The wheel turned, or two fingers moved; in eighths of a degree, of which a notch has 120."""
        whole = []
        for axis, turned in enumerate((right, down)):
            # A change of direction begins anew.
            rest = self._rest[axis] if self._rest[axis] * turned >= 0 else 0
            sign = 1 if turned + rest >= 0 else -1
            parts, left = divmod(abs(turned * _THOUSAND + rest), _NOTCH)
            self._rest[axis] = sign * left
            whole.append(sign * parts)
        if any(whole):
            self._say(WheelMotion(wid, whole[0], whole[1], x, y, modifiers))

    def touch(
        self, wid: int, fingers: list[tuple[int, bool, int, int]], modifiers: tuple[str, ...], *, begins: bool = False
    ) -> None:
        """Fingers by their numbers, whether each is on the screen, and where: the first that comes is the pointer.

        One that *begins* it has none before it on the screen.
        """
        if begins and self._finger is not None:
            self._finger = None
            self.release_all(wid, *fingers[0][2:])
        for finger, is_down, x, y in fingers:
            if self._finger is None and is_down:
                self._finger = finger
                self.move(wid, x, y, modifiers)
                self.press(wid, 1, x, y, modifiers)
            elif finger == self._finger and is_down:
                self.move(wid, x, y, modifiers)
            elif finger == self._finger:
                self._finger = None
                self.release(wid, 1, x, y, modifiers)

    def _act(self, wid: int, button: int, pressed: bool, x: int, y: int, modifiers: tuple[str, ...]) -> None:
        self._last = None
        self._say(ButtonAction(wid, button, pressed, x, y, modifiers, tuple(self._buttons)))
