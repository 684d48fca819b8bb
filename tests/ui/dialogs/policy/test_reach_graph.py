"""The drawing of who may reach whom."""

from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from qubes_manager.core.policy.reach import reaches
from qubes_manager.core.policy.subject import Subject
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.reach_graph import ReachGraph
from tests.ui.dialogs.policy.conftest import SYSTEM


def test_allowed_is_red_and_asked_is_orange(qtbot: QtBot, files: PolicyFiles) -> None:
    graph = ReachGraph()
    qtbot.addWidget(graph)
    graph.resize(600, 400)
    colours = []
    for service in ("my.Service", "qubes.Filecopy"):
        graph.show_reaches(reaches(files.load(), SYSTEM, sources=["work"], services=[service]), SYSTEM)
        colours.append(colours_of(graph))
    assert {"#cc0000", "#f57900", "#3465a4"} <= colours[0]
    assert "#f57900" in colours[1]
    assert "work to vault" in graph.accessibleDescription()


def test_nothing_is_drawn_as_nothing(qtbot: QtBot) -> None:
    graph = ReachGraph()
    qtbot.addWidget(graph)
    graph.show_reaches([], SYSTEM)
    assert not {"#cc0000", "#f57900"} & colours_of(graph)


def test_a_drawing_of_very_many_is_of_the_first_of_them(qtbot: QtBot, files: PolicyFiles) -> None:
    graph = ReachGraph()
    qtbot.addWidget(graph)
    many = {f"d{n}": Subject(f"d{n}") for n in range(300)}
    graph.show_reaches(reaches(files.load(), many, sources=["d0"]), many)
    assert 50 <= len({name for pair in graph.arrows for name in pair}) <= 60
    graph.grab()


def colours_of(graph: ReachGraph) -> set[str]:
    image = graph.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    return {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
