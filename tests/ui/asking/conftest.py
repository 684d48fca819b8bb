"""Questions that are asked in tests."""

import pytest

from qubes_manager.core.crossing.question import Choice, Question


@pytest.fixture
def question() -> Question:
    """From a red domain, about three files, with choices in three groups and none of them preselected."""
    return Question(
        "untrusted",
        "red",
        "qubes.Filecopy",
        names=("report.pdf", "notes.txt"),
        count=3,
        size=5 << 20,
        choices=(
            Choice("work", "work", "blue", "Running"),
            Choice("web", "web", "red", "Running"),
            Choice("@dispvm:web", "New disposable of web", "red", "Disposable"),
            Choice("vault", "vault", "black", "Halted"),
        ),
        can_grant=True,
    )
