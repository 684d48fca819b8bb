"""Tells what AT-SPI sees of the program, as JSON. Run by the system's Python, which has pyatspi.

accessible.py tree        all controls that show: role, name, text, place, states
accessible.py press NAME  press a menu item or button by its accessible action
"""

import json
from collections.abc import Iterator
from typing import Any

import pyatspi

APPLICATION = "Qubes Manager"
MAX_NODES = 6000
# Whatever comes from AT-SPI: pyatspi has no types.
Node = Any


def application() -> Node:
    for child in pyatspi.Registry.getDesktop(0):
        if child is not None and child.name in (APPLICATION, "qubes-manager", "python3", "python"):
            return child
    return None


def role(node: Node) -> str:
    """The role's name; newer releases of AT-SPI call a push button a button."""
    name: str = node.getRoleName()
    return "push button" if name == "button" else name


def describe(node: Node, depth: int) -> dict[str, object]:
    entry: dict[str, object] = {"role": role(node), "name": node.name, "depth": depth}
    states = node.getState()
    entry["states"] = [s for s in ("showing", "enabled", "focused", "checked", "selected", "modal") if has(states, s)]
    try:
        box = node.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
        entry["box"] = [box.x, box.y, box.width, box.height]
    except NotImplementedError:
        entry["box"] = [0, 0, 0, 0]
    try:
        text = node.queryText()
        entry["text"] = text.getText(0, min(text.characterCount, 5000))
    except NotImplementedError:
        entry["text"] = ""
    return entry


def has(states: Any, name: str) -> bool:
    return bool(states.contains(getattr(pyatspi, f"STATE_{name.upper()}")))


def walk(node: Node, depth: int = 0) -> Iterator[tuple[Node, int]]:
    yield node, depth
    for child in node:
        if child is not None:
            yield from walk(child, depth + 1)


def main() -> None:
    app = application()
    if app is None:
        print("[]")
        return
    found = []
    for node, depth in walk(app):
        try:
            found.append(describe(node, depth))
        except Exception as error:  # a control that goes away while it is looked at
            found.append({"role": "gone", "name": str(error), "depth": depth, "states": [], "box": [0] * 4, "text": ""})
        if len(found) >= MAX_NODES:
            break
    print(json.dumps(found))


main()
