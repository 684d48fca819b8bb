"""The viewer's side of its talk with the service, in a process of its own under the system's Python."""

import subprocess
from pathlib import Path

from qubes_manager.backend.host.host_facts import SYSTEM_PYTHON
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.viewer_messages import Go, Launch, Windows, parse_event
from tests.waiting import PATIENCE

RULES = GuiRules("work", "#3465a4")
VIEWER = """
from gi.repository import GLib
from qubes_manager.core.viewer_messages import Windows
from qubes_manager.viewers.host import Host

host = Host()
print("printed", flush=True)
print("first", host.first_rules().domain)
host.wait_for_go(lambda order: print("before", order))
host.report(Windows(3))
host.watch(lambda order: print("after", order, flush=True))
GLib.MainLoop().run()
"""


def test_orders_come_one_by_one_and_unknown_ones_are_logged_and_passed_over() -> None:
    lines = (
        "not JSON",
        RULES.to_json(),
        '{"type": "stop"}',
        Launch("early").to_json(),
        "x" * 100_000,
        Go().to_json(),
        Launch("late").to_json(),
        '{"type": "rules", "domain": 5}',
        Go().to_json(),
    )
    done = subprocess.run(
        [SYSTEM_PYTHON, "-c", VIEWER],
        input="".join(line + "\n" for line in lines),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert [parse_event(line.encode()) for line in done.stdout.splitlines()] == [Windows(3)]
    assert done.stderr.splitlines() == [
        "printed",
        "not understood: no JSON: b'not JSON'",
        "first work",
        "not understood: unknown order 'stop'",
        "before Launch(startup_id='early')",
        "not understood: colour is missing",
        "after Launch(startup_id='late')",
        "after Go()",
    ]
