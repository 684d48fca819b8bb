"""The frame in the label's colour: what of the host's window is ours, on each side of the guest's picture."""

from dataclasses import dataclass, replace

from PySide6.QtCore import QPoint, QSize

from qubes_manager.core.gui_rules import GuiRules


@dataclass(frozen=True, slots=True)
class Frame:
    """Widths of the frame's sides, in the screen's pixels, and its colour (``#rrggbb``)."""

    left: int
    top: int
    right: int
    bottom: int
    colour: str
    # The upper side is a title bar of ours.
    has_title_bar: bool = False

    @classmethod
    def of(cls, rules: GuiRules) -> "Frame":
        """The frame that *rules* ask for."""
        width = rules.border_width
        return cls(width, width, width, width, rules.colour)

    def with_title_bar(self, height: int) -> "Frame":
        """The same frame with a title bar of that many pixels above."""
        return replace(self, top=height, has_title_bar=True)

    @property
    def corner(self) -> QPoint:
        """Where the guest's picture begins."""
        return QPoint(self.left, self.top)

    @property
    def both(self) -> QSize:
        """What the frame adds to the guest's size."""
        return QSize(self.left + self.right, self.top + self.bottom)

    def within(self, outer: QSize) -> tuple[int, int]:
        """What is left for the guest of a host's window of *outer*: width and height, at least 1."""
        left = outer - self.both
        return max(1, left.width()), max(1, left.height())


NO_FRAME = Frame(0, 0, 0, 0, "#000000")
