"""Rules as rows, and rows as rules."""

import pytest

from qubes_manager.core.errors import BadInput
from qubes_manager.core.firewall.rules import parse_line
from qubes_manager.ui.dialogs.firewall.rows import HEADS, cells_of, rule_of

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    "line",
    [
        "accept",
        "drop 192.0.2.0/24 tcp 22-80 comment=not there",
        "accept example.org udp 53",
        "accept specialtarget=dns",
        "accept specialtarget=dns proto=udp",
        "drop proto=icmp icmptype=8",
        "accept 2001:db8::/32",
        "accept expire=1800000100",
    ],
)
def test_a_rule_comes_back_from_its_cells(line: str) -> None:
    rule = parse_line(line, NOW)
    cells = cells_of(rule)
    assert len(cells) == len(HEADS)
    assert rule_of(cells, rule.expire, NOW) == rule


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        (("allow", "", "any", "", ""), "action"),
        (("accept", "not a host", "any", "", ""), "dsthost"),
        (("accept", "", "any", "80", ""), "dstports"),
        (("accept", "", "tcp", "99999", ""), "dstports"),
        (("accept", "", "sctp", "", ""), "proto"),
        (("accept", "", "tcp", "", "<b>"), "comment"),
        (("accept", "example.org", "dns", "", ""), "specialtarget"),
    ],
)
def test_what_is_no_rule_says_where(cells: tuple[str, ...], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        rule_of(cells, None, NOW)
    assert refused.value.field == field
