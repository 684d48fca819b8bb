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
