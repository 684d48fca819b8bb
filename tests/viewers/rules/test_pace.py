"""What a guest makes the user's desktop do in a second."""

from qubes_manager.viewers.protocol.packets import Box, Draw, LostWindow, Metadata, NewWindow, PixelFormat
from qubes_manager.viewers.rules.pace import Pace

BOX = Box(0, 0, 1, 1)
WINDOW, PICTURE = NewWindow(1, BOX, True, Metadata()), Draw(1, BOX, 4, PixelFormat.BGRX, b"\0" * 4, 1)


class Guest:
    """Says what it likes at a time of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    def opened_within(self, seconds: float) -> int:
        """How many windows it opens and closes when it does nothing else."""
        end, count = self.now + seconds, 0
        while self.now <= end:
            if wait := self.pace.wait():
                # As a timer has it.
                self.now += max(wait, 0.001)
            else:
                self.pace.spend(WINDOW)
                self.pace.spend(LostWindow(1))
                count += 1
        return count


def test_a_program_opens_its_windows_at_once() -> None:
    guest = Guest()
    for _ in range(150):
        guest.pace.spend(WINDOW)
    assert guest.pace.wait() == 0


def test_windows_without_end_come_at_a_pace_that_a_desktop_bears() -> None:
    guest = Guest()
    first, then = guest.opened_within(1), guest.opened_within(10)
    assert 180 < first < 250 and 400 < then < 500
    guest.now += 60
    # What was saved in a rest is no more than at the start.
    assert guest.opened_within(1) <= first + 1


def test_pictures_cost_nothing_here() -> None:
    guest = Guest()
    for _ in range(10_000):
        guest.pace.spend(PICTURE)
    assert guest.pace.wait() == 0
