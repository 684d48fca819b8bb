"""What file managers run: its entries, and what their user is told."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qubes_manager.backend.guests.guest_tools import tool_files
from qubes_manager.guest.commands.file_action import _ACTIONS, main, run

DEBIAN = Path(__file__).parents[3] / "qubes_manager/guest/debian"
PROGRAM = "/usr/lib/qubes-manager/file-action"


def _fail() -> int:
    print("a\x1b[31m: no\n", file=sys.stderr)
    return 1


def _misuse() -> int:
    print("usage: x", file=sys.stderr)
    raise SystemExit(2)


def test_what_goes_wrong_is_shown_in_words_that_are_safe() -> None:
    shown = list[str]()
    assert run(_fail, shown.append) == 1
    assert run(_misuse, shown.append) == 2
    assert shown == ["a\\x1b[31m: no", "usage: x"]


def test_nothing_is_shown_when_all_went_well() -> None:
    shown = list[str]()

    def well() -> int:
        print("moved", file=sys.stderr)
        return 0

    assert run(well, shown.append) == 0
    assert shown == []


def test_files_whose_names_look_like_options_are_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["copy", "--without-progress"]) == 1
    assert "--without-progress: No such file" in capsys.readouterr().err
    assert main(["open", "--view-only"]) == 1
    assert "--view-only: No such file" in capsys.readouterr().err


def test_each_entry_of_the_menus_runs_an_action_that_there_is() -> None:
    actions = ElementTree.parse(DEBIAN / "uca.xml").getroot()
    commands = [action.findtext("command", "").split() for action in actions]
    ours = [words for words in commands if words[0] == PROGRAM]
    assert {words[1] for words in ours} == _ACTIONS.keys()
    assert all(words[2:] == ["%F"] for words in ours)
    assert len({action.findtext("unique-id") for action in actions}) == len(actions)
    scripts = [path.read_text().splitlines()[1] for path in (DEBIAN / "nautilus").iterdir()]
    assert sorted(scripts) == sorted(f'exec {PROGRAM} {action} "$@"' for action in _ACTIONS)


def test_guests_get_what_the_menus_run_and_all_commands() -> None:
    files = tool_files()
    assert files[PROGRAM.removeprefix("/")].mode == 0o755
    scripts = [file for place, file in files.items() if "/nautilus/" in place]
    assert [file.mode for file in scripts] == [0o755] * len(_ACTIONS)
    commands = {place.removeprefix("usr/bin/") for place in files if place.startswith("usr/bin/")}
    assert commands >= {
        *("qvm-copy", "qvm-move", "qvm-copy-to-vm", "qvm-move-to-vm", "qvm-open-in-vm", "qvm-open-in-dvm"),
        *("qvm-run-vm", "qvm-convert-pdf", "qvm-convert-img"),
    }


def test_every_module_that_guests_get_runs_without_the_rest(tmp_path: Path) -> None:
    """What a guest has is the core and the guest's part alone, and Python's own library."""
    for place, file in tool_files().items():
        if place.endswith(".py"):
            path = tmp_path / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
    [folder] = tmp_path.glob("usr/lib/qubes-manager/python*")
    modules = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for part in ("commands", "services", "opening", "archive")
        for path in (folder / "qubes_manager/guest" / part).glob("*.py")
        if path.name != "__init__.py"
    ]
    assert len(modules) > 30
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}", *modules],
        check=True,
    )
