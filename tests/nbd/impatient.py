"""What serves devices, with less patience: what takes a minute in life takes a moment in a test."""

import re
from pathlib import Path

from qubes_manager.nbd import keeper

_SOURCES = Path(keeper.__file__).parent


def impatient(folder: Path, **seconds: float) -> Path:
    """Copy the programs into *folder* with constants of the keeper's changed by name, and return where they are."""
    folder.mkdir()
    text = (_SOURCES / "keeper.py").read_text()
    line = "".join(f"{name} = {value}\n" for name, value in seconds.items())
    assert all(re.search(rf"\b{name}\b", text) for name in seconds)
    changed = text.replace('\n\nif __name__ == "__main__"', f'\n{line}\nif __name__ == "__main__"')
    assert changed != text
    (folder / "keeper.py").write_text(changed)
    (folder / "plugin.py").write_text((_SOURCES / "plugin.py").read_text())
    return folder
