"""The options of windows."""

from dataclasses import replace

import pytest

from qubes_manager.core.domain import Domain, DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.gui_options import GuiOptions, parse_gui_options
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.labels import LABELS


def domain(name: str, label: str = "blue") -> Domain:
    return Domain(
        DomainKey("x", "1" if name == "work" else "2"),
        name,
        DomainState.RUNNING,
        config=DomainConfig(label=LABELS.get(label)),
    )


def test_a_domain_s_own_window_option_wins() -> None:
    options = parse_gui_options(
        {
            "global": {"allow_fullscreen": True, "border_width": 9},
            "domains": {"1": {"name": "work", "allow_fullscreen": False}},
        }
    )
    assert options.rules(domain("work")) == GuiRules("work", "#3465a4", border_width=9)
    assert options.rules(domain("other")).allow_fullscreen
    assert options.rules(domain("none", "")).colour == "#cc0000"
    config = DomainConfig(klass=DomainClass.DISPOSABLE, title="Letter", label=LABELS["blue"])
    titled = replace(domain("other"), name="disp7", persistent=False, config=config)
    assert (options.rules(titled).title("x"), options.rules(titled).domain) == ("[Letter (disp7)] x", "disp7")


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ([], "windows"),
        ({"everywhere": {}}, "everywhere"),
        ({"global": {"fullscreen": True}}, "fullscreen"),
        ({"global": {"allow_fullscreen": 1}}, "allow_fullscreen"),
        ({"global": {"border_width": True}}, "border_width"),
        ({"global": {"windows_count_limit": 0}}, "windows_count_limit"),
        ({"global": {"secure_copy_sequence": "c"}}, "secure_copy_sequence"),
        ({"global": {"fullscreen_keys": "F11"}}, "fullscreen_keys"),
        ({"global": {"clipboard_seconds": 3601}}, "clipboard_seconds"),
        ({"global": []}, "global"),
        ({"domains": {"work": {"startup_timeout": "long"}}}, "startup_timeout"),
    ],
)
def test_window_options_that_make_no_sense_are_named(document: object, part: str) -> None:
    troubles: list[str] = []
    assert parse_gui_options(document, troubles.append) == GuiOptions()
    assert len(troubles) == 1 and part in troubles[0]


def test_what_makes_sense_beside_them_holds() -> None:
    options = parse_gui_options({"global": {"fullscreen": 1, "border_width": 9}, "x": 1, "domains": {"1": {"a": 1}}})
    assert options == GuiOptions({"border_width": 9})


def test_keys_are_written_as_in_qubes() -> None:
    options = parse_gui_options({"global": {"secure_paste_sequence": "ctrl-mod4-V", "fullscreen_keys": "alt-f11"}})
    rules = options.rules(domain("work"))
    assert (rules.copy_keys, rules.paste_keys, rules.fullscreen_keys) == ("Ctrl-Shift-c", "Ctrl-Win-v", "Alt-F11")
    assert options.rules(domain("other")).fullscreen_keys == "Alt-F11"
    assert GuiOptions().rules(domain("work")).fullscreen_keys == "Win-F11"


def test_nothing_is_set_by_an_empty_file() -> None:
    assert parse_gui_options(None) == GuiOptions()


def test_a_disposable_has_the_options_of_its_template_unless_it_has_its_own() -> None:
    options = GuiOptions({}, {"base": {"allow_fullscreen": True}, "named": {"border_width": 9}})
    config = DomainConfig(klass=DomainClass.DISPOSABLE, template_uuid="base")

    def rules(uuid: str) -> GuiRules:
        return options.rules(Domain(DomainKey("x", uuid), uuid, DomainState.RUNNING, config=config))

    assert rules("disp1").allow_fullscreen
    assert (rules("named").allow_fullscreen, rules("named").border_width) == (False, 9)
