"""qubes-policy-lint: what is wrong with files by themselves."""

from pathlib import Path

from tests.cli.conftest import run

RULE = "qubes.Filecopy * work vault allow\n"


def test_each_fault_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "x.policy"
    file.write_text("# fine\n!include nowhere\n!include-dir nowhere\n* * work vault maybe\n")
    done = run("qubes-policy-lint", file)
    assert (done.returncode, done.stdout) == (
        1,
        f"{file}:4: error: 'maybe' is no action: use allow, ask or deny\n",
    )
    shown = run("qubes-policy-lint", "--show-line", file)
    assert shown.stdout.endswith("allow, ask or deny: * * work vault maybe\n")


def test_what_is_whole_is_passed_in_silence() -> None:
    done = run("qubes-policy-lint", "-", data=RULE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_for_one_service_has_rules_of_three_words() -> None:
    assert run("qubes-policy-lint", "-i", "-", data="work vault allow\n").returncode == 0
    assert run("qubes-policy-lint", "-", data="work vault allow\n").returncode == 1


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    done = run("qubes-policy-lint", tmp_path / "none", "-", data=RULE)
    assert done.returncode == 1
    assert done.stdout == f"{tmp_path}/none:0: error: the file cannot be read: No such file or directory\n"
