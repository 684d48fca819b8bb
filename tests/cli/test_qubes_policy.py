"""qubes-policy, in a home of its own."""

import pytest

from qubes_manager.services.files.user_folders import UserFolders
from tests.cli.conftest import run

RULE = "qubes.Filecopy * work vault allow\n"


def test_files_are_replaced_listed_shown_and_removed() -> None:
    assert run("qubes-policy").stdout == ""
    assert run("qubes-policy", "--replace", "30-user", data=RULE).returncode == 0
    assert run("qubes-policy", "-r", "include/mine", data="work vault allow\n").returncode == 0
    assert run("qubes-policy", "--list").stdout == "30-user\n"
    assert run("qubes-policy", "--list", "include/").stdout == "mine\n"
    assert run("qubes-policy", "--get", "30-user").stdout == RULE
    assert (UserFolders.of_environment().policy / "30-user.policy").read_text() == RULE
    assert run("qubes-policy", "--remove", "30-user").returncode == 0
    gone = run("qubes-policy", "-g", "30-user")
    assert (gone.returncode, "there is no policy file '30-user'" in gone.stderr) == (1, True)


def test_a_policy_that_would_be_broken_is_not_written() -> None:
    done = run("qubes-policy", "--replace", "30-user", data="qubes.Filecopy * work vault maybe\n")
    assert done.returncode == 1
    assert "30-user.policy:1: 'maybe' is no action: use allow, ask or deny; nothing was changed" in done.stderr
    assert run("qubes-policy").stdout == ""


@pytest.mark.parametrize("words", [["--get"], ["--list", "30-user"], ["--get", "--remove", "x"]])
def test_words_that_do_not_go_together_are_refused(words: list[str]) -> None:
    assert run("qubes-policy", *words).returncode == 2


def test_commands_of_the_policy_need_no_libvirt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUBES_MANAGER_URI", "qemu+ssh://nowhere.invalid/system")
    assert run("qubes-policy").returncode == 0
