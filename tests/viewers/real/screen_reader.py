"""Tells what a screen reader hears of programs, a line each. Run by the system's Python, which has pyatspi.

"active NAME" of a window that has got the keyboard, "named NAME" of what has another name now.
"""

from typing import Any

import pyatspi


def tell(event: Any) -> None:
    word = "active" if event.type.major == "activate" else "named"
    print(word, event.source.name, flush=True)


pyatspi.Registry.registerEventListener(tell, "window:activate", "object:property-change:accessible-name")
print("listens", flush=True)
pyatspi.Registry.start()
