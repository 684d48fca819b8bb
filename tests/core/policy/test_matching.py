"""Whom tokens stand for."""

import pytest

from qubes_manager.core.policy.evaluation import Deny
from tests.core.policy.calls import SYSTEM, decide, policy


@pytest.mark.parametrize(
    ("source", "target", "matches"),
    [
        ("*", "*", "work>personal work>dom0 dom0>work work>@default work>@dispvm"),
        ("@anyvm", "@anyvm", "work>personal work>@default work>@dispvm work>@dispvm:debian-dvm"),
        ("work", "personal", "work>personal work>uuid:22222222"),
        ("@adminvm", "work", "dom0>work"),
        ("work", "dom0", "work>dom0 work>@adminvm"),
        ("work", "@default", "work>@default work>nobody work>"),
        ("work", "@dispvm", "work>@dispvm"),
        ("work", "@dispvm:fedora-dvm", "work>@dispvm work>@dispvm:fedora-dvm"),
        ("work", "@dispvm:debian-dvm", "work>@dispvm:debian-dvm"),
        ("work", "@dispvm:@tag:throw-away", "work>@dispvm work>@dispvm:fedora-dvm"),
        ("@tag:office", "@tag:offline", "work>vault"),
        ("@type:AppVM", "@type:TemplateVM", "work>fedora"),
        ("@type:AdminVM", "@type:DispVM", "dom0>disp12"),
        ("@dispvm:fedora-dvm", "work", "disp12>work"),
        ("@dispvm:@tag:throw-away", "work", "disp12>work"),
    ],
)
def test_tokens_match_whom_they_stand_for(source: str, target: str, matches: str) -> None:
    rules = policy(f"* * {source} {target} deny notify=no")
    calls = [
        (asking, to)
        for asking in ("work", "dom0", "disp12")
        for to in (*SYSTEM, "", "@adminvm", "@default", "@dispvm", "@dispvm:fedora-dvm", "@dispvm:debian-dvm", "nobody")
    ]
    matched = {f"{a}>{t}" for a, t in calls if isinstance(v := decide(rules, a, t), Deny) and v.rule}
    wanted = {call for call in matches.split() if "uuid" not in call}
    assert wanted <= matched
    if "*" not in (source, target) and "@anyvm" not in (source, target):
        assert matched == wanted
