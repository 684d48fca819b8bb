"""The programs that show what guests draw, each with what it may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewerProgram:
    """A module of ``viewers``.

    *is_ours* says whether it runs under our own interpreter with Qt alone, and calls nothing of the kernel that it does
    not need; the others run under the system's Python, whose libraries they need. *memory* is in bytes.
    """

    module: str
    is_ours: bool
    memory: int = 1 << 30


# What shows the windows of applications, and what shows screens and serial lines: a screen of 4K takes 100 MiB.
WINDOWS = ViewerProgram("gui_program", is_ours=True)
CONSOLE = ViewerProgram("console", is_ours=False, memory=256 << 20)
