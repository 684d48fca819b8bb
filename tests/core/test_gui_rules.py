"""What is said to the programs that show windows, and what they answer."""

import json

from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.gui_status import GuiPhase, GuiStatus


def test_rules_and_statuses_cross_to_other_programs() -> None:
    rules = GuiRules("work", "#000000", allow_fullscreen=True)
    assert GuiRules.of(json.loads(rules.to_json())) == rules
    status = GuiStatus("u", GuiPhase.SHOWN, 2, 5, "text")
    assert GuiStatus.of(json.loads(json.dumps(status.to_data()))) == status
