"""The options of windows."""

import pytest

from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput
from qubes_manager.core.gui_options import GuiOptions, dump_gui_options, parse_gui_options
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.labels import LABELS


def domain(name: str, label: str = "blue") -> Domain:
    return Domain(DomainKey("x", "1"), name, DomainState.RUNNING, config=DomainConfig(label=LABELS.get(label)))


def test_a_domain_s_own_window_option_wins() -> None:
    options = parse_gui_options(
        {"global": {"allow_fullscreen": True, "border_width": 9}, "domains": {"work": {"allow_fullscreen": False}}}
    )
    assert options.rules(domain("work")) == GuiRules("work", "#3465a4", border_width=9)
    assert options.rules(domain("other")).allow_fullscreen
    assert options.rules(domain("none", "")).colour == "#cc0000"
    assert parse_gui_options(dump_gui_options(options)) == options
    options.put("allow_fullscreen", None, "work")
    assert options.domains == {}


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ([], "windows"),
        ({"everywhere": {}}, "everywhere"),
        ({"global": {"fullscreen": True}}, "fullscreen"),
        ({"global": {"allow_fullscreen": 1}}, "allow_fullscreen"),
        ({"global": {"border_width": True}}, "border_width"),
        ({"global": {"windows_count_limit": 0}}, "windows_count_limit"),
        ({"global": []}, "global"),
        ({"domains": {"work": {"startup_timeout": "long"}}}, "startup_timeout"),
    ],
)
def test_window_options_that_make_no_sense_are_named(document: object, part: str) -> None:
    with pytest.raises(BadInput, match=part):
        parse_gui_options(document)


def test_nothing_is_set_by_an_empty_file() -> None:
    assert parse_gui_options(None) == GuiOptions()
