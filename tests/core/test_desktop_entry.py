"""Desktop entries and menus."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubes_manager.core.desktop_entry import desktop_entry, exec_line, submenu

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
