"""Who may reach whom as a table of all pairs."""

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from qubes_manager.core.policy.reach import reaches
from qubes_manager.core.policy.subject import Subject
from qubes_manager.services.crossing.policy_files import PolicyFiles
from qubes_manager.ui.dialogs.policy.reach_matrix import ALLOWED, ASKED, ReachMatrix

NAMES = [f"domain-{n:02}" for n in range(20)]
SYSTEM = {name: Subject(name, label="red") for name in NAMES}


def shown(qtbot: QtBot, files: PolicyFiles, rules: str, service: str) -> ReachMatrix:
    files.replace("30-user", rules)
    matrix = ReachMatrix()
    qtbot.addWidget(matrix)
    matrix.show_reaches(reaches(files.load(), SYSTEM, services=[service]), SYSTEM)
    matrix.resize(1000, 700)
    matrix.show()
    return matrix


def cell(matrix: ReachMatrix, source: str, target: str) -> tuple[str, str]:
    """What stands there, and what a screen reader says."""
    model = matrix.model()
    rows = [model.headerData(n, Qt.Orientation.Vertical) for n in range(matrix.rowCount())]
    columns = [model.headerData(n, Qt.Orientation.Horizontal) for n in range(matrix.columnCount())]
    item = matrix.item(rows.index(source), columns.index(target))
    assert item
    return item.text(), item.data(Qt.ItemDataRole.AccessibleTextRole)


def test_each_pair_says_what_is_let_through(qtbot: QtBot, files: PolicyFiles) -> None:
    rules = "my.S * domain-00 domain-01 allow\nmy.S * domain-00 domain-02 deny\nmy.S * @anyvm @anyvm ask\n"
    matrix = shown(qtbot, files, rules, "my.S")

    allowed, words = cell(matrix, "domain-00", "domain-01")
    assert (allowed, words) == (ALLOWED, "domain-00 to domain-01: allowed: my.S (30-user.policy:1)")
    assert cell(matrix, "domain-00", "domain-02") == ("", "domain-00 to domain-02: not allowed")
    assert cell(matrix, "domain-05", "domain-02")[0] == ASKED
    assert cell(matrix, "domain-05", "domain-05")[0] == ""


def test_of_several_services_the_most_is_told(qtbot: QtBot, files: PolicyFiles) -> None:
    rules = "my.S +a domain-00 domain-01 ask\nmy.S +b domain-00 domain-01 allow\nmy.S +c domain-00 domain-01 ask\n"

    assert cell(shown(qtbot, files, rules, "my.S"), "domain-00", "domain-01")[0] == ALLOWED


def test_twenty_domains_fit_side_by_side(qtbot: QtBot, files: PolicyFiles) -> None:
    matrix = shown(qtbot, files, "my.S * @anyvm @anyvm ask\n", "my.S")

    assert matrix.rowCount() == 20
    assert not matrix.horizontalScrollBar().isVisible()
    assert not matrix.verticalScrollBar().isVisible()
    # Names stand upright above their columns, whole.
    tall = matrix.fontMetrics().horizontalAdvance(NAMES[0])
    assert matrix.horizontalHeader().height() > tall
