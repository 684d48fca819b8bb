"""The options of windows, by UUID."""

from pathlib import Path

import pytest
import yaml

from qubes_manager.core.domain import Domain, DomainKey, DomainState
from qubes_manager.core.errors import BadInput, Refused
from qubes_manager.services.files.gui_options_file import GuiOptionsFile

FIRST, SECOND = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def domain(uuid: str, name: str = "untrusted") -> Domain:
    return Domain(DomainKey("x", uuid), name, DomainState.HALTED)


@pytest.fixture
def domains() -> list[Domain]:
    return []


@pytest.fixture
def file(tmp_path: Path, domains: list[Domain]) -> GuiOptionsFile:
    return GuiOptionsFile(tmp_path / "windows.yaml", lambda: domains)


def written(file: GuiOptionsFile) -> object:
    return yaml.safe_load(file.path.read_text())


def test_a_later_domain_of_the_same_name_inherits_nothing(file: GuiOptionsFile) -> None:
    file.put({"allow_fullscreen": True}, domain(FIRST))
    file.rename(FIRST, "old")
    options, _trouble = file.load()
    assert options.value("allow_fullscreen", FIRST) and not options.value("allow_fullscreen", SECOND)
    assert written(file) == {"domains": {FIRST: {"name": "old", "allow_fullscreen": True}}}
    file.rename(SECOND, "nothing of it is written")
    file.forget(domain(FIRST, "old"))
    assert written(file) == {"domains": {}}


def test_a_name_is_bound_to_the_domain_that_has_it(file: GuiOptionsFile, domains: list[Domain]) -> None:
    file.path.write_text("domains:\n  untrusted:\n    border_width: 9\n    future: 1\n  nobody:\n    border_width: 3\n")
    assert file.load()[0].value("border_width", FIRST) == 6
    domains.append(domain(FIRST))
    assert file.load()[0].value("border_width", FIRST) == 9
    assert written(file) == {
        "domains": {
            "nobody": {"border_width": 3},
            FIRST: {"name": "untrusted", "border_width": 9, "future": 1},
        }
    }
    domains[:] = [domain(SECOND)]
    assert file.load()[0].value("border_width", SECOND) == 6


def test_the_same_keys_do_not_do_two_things(file: GuiOptionsFile) -> None:
    copy, paste, work = "secure_copy_sequence", "secure_paste_sequence", domain(FIRST)
    with pytest.raises(BadInput, match=f"{copy}: 'Ctrl-Shift-v' cannot be used; these keys paste already"):
        file.put({copy: "shift+ctrl+V"})
    with pytest.raises(BadInput, match="these keys copy already"):
        file.put({paste: "Ctrl-Shift-c"}, work)
    with pytest.raises(BadInput, match=f"{paste}: 'Win-F11' cannot be used; these keys switch full screen already"):
        file.put({paste: "Win-F11"})
    with pytest.raises(BadInput, match="fullscreen_keys: 'Ctrl-Shift-c' cannot be used; these keys copy already"):
        file.put({"fullscreen_keys": "Ctrl-Shift-c"}, work)
    file.put({copy: "Ctrl-Shift-v", paste: "Win-v"})
    # What a domain has of its own stays, and so what holds for all may be wrong for it.
    file.put({paste: "Win-x"}, work)
    with pytest.raises(BadInput, match="'Win-x' cannot be used"):
        file.put({copy: "Win-x"})
    with pytest.raises(BadInput, match="these keys copy already"):
        file.put({paste: None})
    assert written(file) == {
        "global": {copy: "Ctrl-Shift-v", paste: "Win-v"},
        "domains": {FIRST: {"name": "untrusted", paste: "Win-x"}},
    }


def test_a_file_that_cannot_be_written_is_read_all_the_same(file: GuiOptionsFile, domains: list[Domain]) -> None:
    domains.append(domain(FIRST))
    file.path.write_text(f"domains: {{untrusted: {{border_width: 9}}, {FIRST}: {{border_width: 8}}, x: [")
    assert "line 1" in file.load()[1]
    with pytest.raises(Refused, match=r"windows\.yaml is not written to"):
        file.put({"border_width": 5}, domain(FIRST))
    file.path.write_text("global: [1]\n")
    with pytest.raises(Refused, match="what stands under “global” is no mapping"):
        file.put({"border_width": 5})
    assert file.path.read_text() == "global: [1]\n"


def test_values_are_set_and_taken_back_beside_what_is_not_known(file: GuiOptionsFile) -> None:
    file.path.write_text("later: {a: 1}\nglobal: {border_width: 9, shade: true, windows_count_limit: many}\n")
    options, trouble = file.load()
    assert options.value("border_width") == 9
    assert "'later'" in trouble and "(and 2 more)" in trouble
    file.put({"allow_fullscreen": True, "border_width": None})
    file.put({"border_width": 3}, domain(FIRST))
    file.put({"border_width": None}, domain(FIRST))
    assert written(file) == {
        "later": {"a": 1},
        "global": {"shade": True, "windows_count_limit": "many", "allow_fullscreen": True},
        "domains": {},
    }
    with pytest.raises(BadInput, match="border_width: '99' cannot be used"):
        file.put({"border_width": 99})
