"""Lists of applications, desktop entries, and the options of windows."""

import configparser
import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.applications import Application, check_id, dump_applications, parse_applications
from qubes_manager.core.desktop_entry import desktop_entry, exec_line, submenu
from qubes_manager.core.domain import Domain, DomainConfig, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, GuestError
from qubes_manager.core.gui_options import GuiOptions, dump_gui_options, parse_gui_options
from qubes_manager.core.gui_rules import GuiRules
from qubes_manager.core.gui_status import GuiPhase, GuiStatus
from qubes_manager.core.labels import LABELS


def listed(*entries: object) -> bytes:
    return json.dumps({"apps": entries}).encode()


def test_a_list_is_read_by_name_and_comes_back_as_it_was() -> None:
    apps = (
        Application("org.gnome.Calc", "Calculator", "adds", ("Utility",), ("text/plain",), True, b"\1" * 9216),
        Application("firefox-esr", "Firefox"),
    )
    assert parse_applications(dump_applications(reversed(apps))) == apps


def test_what_is_malformed_in_a_list_is_left_out() -> None:
    entries = [
        {"id": "good", "name": "Good\x1b[1m\n‮", "icon": "not base64", "mime": ["a/b", "../c", 5], "categories": "x"},
        {"id": "../../etc/passwd", "name": "x"},
        {"id": "-rf", "name": "x"},
        {"id": "a b", "name": "x"},
        {"id": "nameless", "name": 7, "terminal": "yes", "icon": "AAAA"},
        {"name": "no id"},
        "text",
        None,
        {"id": "good", "name": "Good"},
    ]
    good, nameless = parse_applications(listed(*entries))
    assert (good.id, good.name) == ("good", "Good")
    assert nameless == Application("nameless", "nameless")
    first = parse_applications(listed(entries[0]))[0]
    assert (first.name, first.icon, first.mime_types, first.categories) == ("Good", b"", ("a/b",), ())
    assert len(parse_applications(listed(*({"id": f"a{n}"} for n in range(5000))))) == 1000


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"apps": 5}', b"\xff", b"[" * 100_000, b'{"apps": []}' + b" " * (17 << 20)]
)
def test_a_list_that_makes_no_sense_is_refused(data: bytes) -> None:
    with pytest.raises(GuestError, match="makes no sense"):
        parse_applications(data)


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.booleans(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_no_list_breaks_the_parser(value: object) -> None:
    with contextlib.suppress(GuestError):
        parse_applications(listed(value, {"id": "x", "name": value, "icon": value, "mime": value}))


@pytest.mark.parametrize("text", ["", "-x", ".x", "a/b", "a b", "a\n", "x" * 201, "ü", "a;b", "$(x)"])
def test_ids_are_checked(text: str) -> None:
    with pytest.raises(BadInput):
        check_id(text)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)


@given(NAMES, NAMES)
def test_values_stay_values(name: str, comment: str) -> None:
    text = desktop_entry({"Type": "Application", "Name": name, "Comment": comment, "Exec": "true"})
    parser = configparser.RawConfigParser(delimiters="=", comment_prefixes="#", strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    assert parser.sections() == ["Desktop Entry"]
    assert list(parser["Desktop Entry"]) == ["Type", "Name", "Comment", "Exec"]


def test_line_ends_do_not_start_a_new_key() -> None:
    assert desktop_entry({"Name": "a\nExec=evil\r\\ "}) == "[Desktop Entry]\nName=a\\nExec=evil\\r\\\\ \n"
    assert desktop_entry({"Name": "  two"}).splitlines()[1] == "Name=\\s two"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "work", "firefox-esr"], "run work firefox-esr"),
        (["a b", 'q"q', "$x", "`y`", "b\\s", "50%"], r'"a b" "q\"q" "\$x" "\`y\`" "b\\s" "50%%"'),
        (["", ";rm", "ü"], '"" ";rm" "ü"'),
    ],
)
def test_words_of_an_exec_line_are_quoted(words: list[str], line: str) -> None:
    assert exec_line(words) == line


@pytest.mark.skipif(shutil.which("desktop-file-validate") is None, reason="desktop-file-validate is not installed")
@given(NAMES, st.lists(NAMES, min_size=1, max_size=4))
def test_the_desktop_s_own_checker_takes_any_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, words: list[str]
) -> None:
    path = Path(tmp_path_factory.mktemp("entry")) / "x.desktop"
    path.write_text(
        desktop_entry({"Type": "Application", "Name": f"x: {name}", "Exec": exec_line(["/usr/bin/true", *words])})
    )
    done = subprocess.run(["desktop-file-validate", "--no-hints", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_names_in_a_menu_file_are_escaped() -> None:
    assert "<Name>a&lt;b&amp;</Name>" in submenu("a<b&", "d", "c")


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


def test_rules_and_statuses_cross_to_other_programs() -> None:
    rules = GuiRules("work", "#000000", allow_fullscreen=True)
    assert GuiRules.of(json.loads(rules.to_json())) == rules
    status = GuiStatus("u", GuiPhase.SHOWN, 2, 5, "text")
    assert GuiStatus.of(json.loads(json.dumps(status.to_data()))) == status
