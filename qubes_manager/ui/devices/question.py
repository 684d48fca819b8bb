"""What is asked before a device goes somewhere."""

from PySide6.QtWidgets import QWidget

from qubes_manager.ui.feedback.confirm import finished
from qubes_manager.ui.look.plain import PlainBox


async def agrees(window: QWidget, title: str, question: str, more: str, verb: str) -> bool:
    """Ask, above a window that comes to the front; the safe answer is the default."""
    come_forward(window.window())
    box = PlainBox(window, title, question, more)
    box.setIcon(PlainBox.Icon.Warning)
    go = box.addButton(verb, PlainBox.ButtonRole.AcceptRole)
    safe = box.addButton(PlainBox.StandardButton.Cancel)
    box.setDefaultButton(safe)
    box.setEscapeButton(safe)
    await finished(box)
    return box.clickedButton() is go


def come_forward(window: QWidget) -> None:
    """Bring a window to the front, where what is asked above it is seen."""
    if window.isMinimized():
        window.showNormal()
    window.show()
    window.raise_()
    window.activateWindow()


def sentence(text: str) -> str:
    """Some words as a sentence."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
