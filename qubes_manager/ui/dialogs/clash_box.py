"""The choice of what becomes of a file whose name is taken where it goes."""

from qubes_manager.core.crossing.file_messages import Clash
from qubes_manager.ui.look.fields import ComboBox

CLASH_NAME = "If the name is taken"
_WORDS = {
    Clash.NUMBER: "keep both, numbered",
    Clash.REPLACE: "replace what is there",
    Clash.SKIP: "skip what comes",
}


def clash_box() -> ComboBox:
    """A field for it, whose data are of ``Clash``; nothing is lost unless the user wants that."""
    box = ComboBox()
    for clash, words in _WORDS.items():
        box.addItem(words, clash)
    return box
