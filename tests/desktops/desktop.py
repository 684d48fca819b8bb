"""What one can see and do on a desktop, whatever shows it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.screen import FAILED, PICTURES
from tests.waiting import PATIENCE

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """A part of the screen, in pixels of its picture."""

    x: int
    y: int
    width: int
    height: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def within(self, margin: int) -> "Box":
        """What is left of it inside of a margin."""
        return Box(self.x + margin, self.y + margin, self.width - 2 * margin, self.height - 2 * margin)


class Display(ABC):
    """A screen with a keyboard and a mouse; places are pixels of its picture."""

    # What programs that come to this screen need to know.
    environment: dict[str, str]
    folder: Path
    # Seconds for what does not come as soon as it is wanted.
    patience = PATIENCE
    # Buttons of the mouse that come to its windows, beside the right one and the wheel.
    buttons: tuple[int, ...] = (1, 2, 8, 9)

    @abstractmethod
    def grab(self, target: Path) -> None:
        """Save a picture of the whole screen."""

    def picture(self, name: str = "") -> Image.Image:
        """What the screen shows; kept under *name* when it is given."""
        path = PICTURES / f"{name}.png" if name else self.folder / "screen.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.grab(path)
        return Image.open(path).convert("RGB")

    def colours(self, area: tuple[int, int, int, int]) -> set[Colour]:
        """All colours of an area of the screen (left, top, right, bottom)."""
        return colours_of(self.picture().crop(area))

    def pixel(self, x: int, y: int) -> Colour:
        """The colour of one pixel."""
        [colour] = self.colours((x, y, x + 1, y + 1))
        return colour

    def extent(self, colour: Colour) -> Box | None:
        """The smallest part of the screen that has all pixels of a colour; None when there is none."""
        return extent_of(self.picture(), colour)

    def until(self, check: Callable[[], object], what: str) -> None:
        """Wait until *check* holds."""
        end = time.monotonic() + self.patience
        while not check():
            if time.monotonic() > end:
                self.picture(FAILED)
                pytest.fail(f"not within {self.patience:.0f} s: {what}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """What programs have said, for a test that failed."""
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))

    @abstractmethod
    def layout(self, name: str, options: str = "") -> None:
        """Have another layout of the keyboard, and options: names of X's, such as "de" and "compose:ralt"."""

    @abstractmethod
    def keys(self, *keys: str) -> None:
        """Press keys one after the other: names of X's, or several that are joined by "+"."""

    @abstractmethod
    def type(self, text: str) -> None:
        """Type a text on the keyboard's layout."""

    @abstractmethod
    def hold(self, key: str) -> None:
        """Press a key and keep it down."""

    @abstractmethod
    def let_go(self, key: str) -> None:
        """Let a key up."""

    @abstractmethod
    def point(self, x: int, y: int) -> None:
        """Move the pointer to a place."""

    @abstractmethod
    def press(self, button: int = 1) -> None:
        """Press a button of the mouse (1 is the left one, 4 to 7 are turns of the wheel) and keep it down."""

    @abstractmethod
    def release(self, button: int = 1) -> None:
        """Let a button of the mouse up."""

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Point somewhere and press a button for a moment."""
        self.point(x, y)
        self.press(button)
        self.release(button)

    def drag(
        self, start: tuple[int, int], end: tuple[int, int], button: int = 1, follows: Callable[[], object] | None = None
    ) -> None:
        """Pull from one place to another, in some steps, as a hand does, and let go when what is pulled *follows*."""
        self.point(*start)
        self.press(button)
        for step in range(1, 9):
            self.point(*(a + (b - a) * step // 8 for a, b in zip(start, end, strict=True)))
        if follows:
            self.until(lambda: self._tremble(end) and follows(), "what is dragged follows")
        self.release(button)

    def _tremble(self, place: tuple[int, int]) -> bool:
        """Move the pointer a little and back: a window that is dragged late follows the next movement only."""
        self.point(place[0] - 1, place[1])
        self.point(*place)
        return True

    @abstractmethod
    def close(self) -> None:
        """End it, and what was started for it."""


class Desktop(Display):
    """Its windows too, which are known by the number that the desktop gives them; sizes are pixels of the picture."""

    @abstractmethod
    def named(self) -> dict[str, str]:
        """All windows that have a frame, by their numbers, oldest first, with their titles."""

    @abstractmethod
    def box(self, window: str) -> Box:
        """Where a window's inside lies."""

    @abstractmethod
    def is_fullscreen(self, window: str) -> bool:
        """Whether the desktop shows it in full screen."""

    @abstractmethod
    def focused(self) -> str:
        """The window that has the keyboard; empty when none has."""

    def windows(self, title: str) -> list[str]:
        """The windows whose title starts with *title*, as far as they are on the screen."""
        return [number for number, named in self.named().items() if named.startswith(title)]

    def titles(self) -> list[str]:
        """The titles of all windows that have a frame."""
        return list(self.named().values())

    def border(self, window: str, width: int = 6) -> set[Colour]:
        """All colours in a window's border."""
        self.raise_window(window)
        left, top, right, bottom = self.box(window).corners
        picture = self.picture()
        strips = [
            (left, top, right, top + width),
            (left, bottom - width, right, bottom),
            (left, top, left + width, bottom),
            (right - width, top, right, bottom),
        ]
        return {colour for strip in strips for colour in colours_of(picture.crop(strip))}

    def wears(self, window: str, colour: Colour, width: int = 6) -> None:
        """Wait until a window's whole border has a colour."""
        self.until(lambda: self.border(window, width) == {colour}, f"a border of {colour}")

    def is_framed(self, inside: Box, colour: Colour, width: int = 6) -> bool:
        """Whether there is a border right around a part of the screen, as a menu has it."""
        picture = self.picture()
        x, y = inside.x + inside.width // 2, inside.y + inside.height // 2
        left, top, right, bottom = inside.corners
        around = [*((left - 1 - n, y) for n in range(width)), *((right + n, y) for n in range(width))]
        around += [*((x, top - 1 - n) for n in range(width)), *((x, bottom + n) for n in range(width))]
        return all(picture.getpixel(place) == colour for place in around)

    def logs(self) -> str:
        return f"{self.titles()}\n{super().logs()}"

    def window(self, title: str) -> str:
        """Wait for a window and return its number."""
        found: list[str] = []

        def look() -> list[str]:
            found[:] = self.windows(title)
            return found

        self.until(look, f"a window {title!r}")
        return found[-1]

    @abstractmethod
    def raise_window(self, window: str) -> None:
        """Put it on top and give it the keyboard."""

    @abstractmethod
    def move(self, window: str, x: int, y: int) -> None:
        """Put its upper left corner, about, at a place."""

    @abstractmethod
    def resize(self, window: str, width: int, height: int) -> None:
        """Give its inside a size, as far as it takes it."""

    @abstractmethod
    def close_window(self, window: str) -> None:
        """Ask it to close, as its button does."""

    @abstractmethod
    def set_fullscreen(self, window: str, wanted: bool) -> None:
        """Put it into full screen or out of it, as the desktop's own key does."""


def colours_of(picture: Image.Image) -> set[Colour]:
    """All colours of an RGB picture."""
    data = picture.tobytes()
    return set(zip(data[::3], data[1::3], data[2::3], strict=True))


def extent_of(picture: Image.Image, colour: Colour) -> Box | None:
    """The smallest part of an RGB picture that has all pixels of a colour; None when there is none."""
    bands = zip(picture.split(), colour, strict=True)
    red, green, blue = (band.point([255 * (n == value) for n in range(256)]) for band, value in bands)
    found = ImageChops.multiply(ImageChops.multiply(red, green), blue).getbbox()
    return None if found is None else Box(found[0], found[1], found[2] - found[0], found[3] - found[1])
