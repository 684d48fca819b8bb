"""The set-up assistant."""

import qasync
from PySide6.QtWidgets import QLabel, QWidget

from qubes_manager.services.setup.host_check import Finding, Verdict
from qubes_manager.ui.dialogs.setup_assistant import SetupAssistant
from tests.ui.conftest import run
from tests.waiting import until


def test_the_assistant_collects_a_plan_and_says_what_is_wrong(parent: QWidget, loop: qasync.QEventLoop) -> None:
    async def check() -> list[Finding]:
        return [Finding("KVM", Verdict.POOR, "there is none", "Buy a new machine.")]

    async def walk() -> None:
        assistant = SetupAssistant(parent, check, [], ["work"])
        assistant.show()
        await until(lambda: any("Buy a new machine." in x.text() for x in assistant.host.findChildren(QLabel)))
        page = assistant.template
        page.recipe.packages.setText("firefox-esr, Bad_Name")
        assert not page.isComplete()
        assert "Bad_Name" in page.problem.text()
        page.recipe.packages.setText("firefox-esr, mousepad")
        assert page.isComplete()
        _wanted, name, _label = assistant.domains.rows[2]
        name.setText("9lives")
        assert not assistant.domains.isComplete()
        name.setText("surf")
        assert assistant.domains.isComplete()
        plan = assistant.plan()
        assert plan and plan.recipe
        assert plan.recipe.packages == ("firefox-esr", "mousepad")
        assert plan.domains == (("personal", "yellow"), ("surf", "red")), "work is there already"
        page.skip.setChecked(True)
        assert assistant.plan() is None

    run(loop, walk())
