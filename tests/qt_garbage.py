"""What a test leaves of Qt is collected on its thread: see qubes_manager.ui.garbage."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def collected_here() -> Iterator[None]:
    """Let no other thread collect during a test of widgets, nor find anything of it afterwards."""
    gc.disable()
    # What was there before is not looked through again: it is most of what there is.
    gc.freeze()
    yield
    gc.collect()
    gc.enable()
