"""The trust colours that a domain can wear."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Label:
    """A trust colour: its name, its RGB value and its place in the order from least to most trusted."""

    name: str
    colour: str
    index: int


# Names, order and values are those that users of Qubes OS know.
LABELS: dict[str, Label] = {
    name: Label(name, colour, index)
    for index, (name, colour) in enumerate(
        (
            ("red", "#cc0000"),
            ("orange", "#f57900"),
            ("yellow", "#edd400"),
            ("green", "#73d216"),
            ("gray", "#555753"),
            ("blue", "#3465a4"),
            ("purple", "#75507b"),
            ("black", "#000000"),
        ),
        start=1,
    )
}


def readable_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour (ITU-R BT.601's luma)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
