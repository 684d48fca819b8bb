"""The entries of file managers, in homes that are there already."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.guest.conftest import GUEST

SCRIPTS = ".local/share/nautilus/scripts"
ACTIONS = ".config/Thunar/uca.xml"
OWN = """<?xml version="1.0" encoding="UTF-8"?>
<actions>
<action>
\t<name>Mine &amp; only mine</name>
\t<unique-id>1700000000-1</unique-id>
\t<command>mine %f</command>
</action>
</actions>
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home, where both file managers are installed."""
    for name in ("nautilus", "thunar"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.touch(0o755)
    found = tmp_path / "home"
    found.mkdir()
    ours = tmp_path / "ours"
    (ours / "xdg/Thunar").mkdir(parents=True)
    (ours / "xdg/Thunar/uca.xml").write_bytes((GUEST / "uca.xml").read_bytes())
    (ours / "nautilus").symlink_to(GUEST / "nautilus")
    return found


def give(home: Path) -> None:
    """What happens each time when the domain starts."""
    subprocess.run(
        ["/bin/sh", GUEST / "file_manager_entries.sh", home.parent / "ours"],
        check=True,
        env={"HOME": str(home), "PATH": f"{home.parent}/bin:/usr/bin:/bin"},
    )


def scripts(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (home / SCRIPTS).iterdir()}


def action_ids(home: Path) -> list[str]:
    actions = ElementTree.parse(home / ACTIONS).getroot()
    return [action.findtext("unique-id", "") for action in actions]


def test_nautilus_has_all_of_them_and_keeps_what_the_user_made_of_them(home: Path) -> None:
    give(home)
    all_of_them = {path.name: path.read_text() for path in (GUEST / "nautilus").iterdir()}
    assert scripts(home) == all_of_them
    assert all((home / SCRIPTS / name).stat().st_mode & 0o111 for name in all_of_them)
    (home / SCRIPTS / "View in disposable").write_text("mine")
    (home / SCRIPTS / "Edit in disposable").unlink()
    give(home)
    assert scripts(home)["View in disposable"] == "mine"
    assert "Edit in disposable" not in scripts(home)


def test_an_entry_of_the_users_by_that_name_stays(home: Path) -> None:
    (home / SCRIPTS).mkdir(parents=True)
    (home / SCRIPTS / "Open in another domain").write_text("mine")
    give(home)
    assert scripts(home)["Open in another domain"] == "mine"


def test_actions_of_the_users_own_get_ours_beside_them_once(home: Path) -> None:
    (home / ACTIONS).parent.mkdir(parents=True)
    (home / ACTIONS).write_text(OWN)
    give(home)
    first, *added = action_ids(home)
    assert first == "1700000000-1"
    assert set(added) == {
        *("qubes-manager-copy", "qubes-manager-move", "qubes-manager-open", "qubes-manager-view"),
        *("qubes-manager-edit", "qubes-manager-convert-pdf", "qubes-manager-convert-img"),
    }
    assert "Mine &amp; only mine" in (home / ACTIONS).read_text()
    (home / ACTIONS).write_text(OWN)
    give(home)
    assert action_ids(home) == ["1700000000-1"], "the user has taken them away"


def test_what_a_user_took_away_of_ours_does_not_come_back(home: Path) -> None:
    """Thunar writes all that it had into a file of the user's, when the first one is changed."""
    give(home)
    assert not (home / ACTIONS).exists()
    (home / ACTIONS).parent.mkdir(parents=True)
    (home / ACTIONS).write_text(OWN)
    give(home)
    assert action_ids(home) == ["1700000000-1"]


def test_where_no_file_manager_is_nothing_is_made(home: Path) -> None:
    for program in (home.parent / "bin").iterdir():
        program.unlink()
    give(home)
    assert list(home.iterdir()) == []
