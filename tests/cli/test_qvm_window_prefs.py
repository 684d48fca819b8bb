"""The options of windows, by command."""

from pathlib import Path

from tests.cli.conftest import run


def test_window_options_are_set_shown_and_taken_back(uri: str) -> None:
    prefs = "qvm-window-prefs", "-c", uri
    assert run(*prefs, "domain-00001", "allow_fullscreen").stdout == "False\n"
    assert run(*prefs, "global", "allow_fullscreen", "yes").returncode == 0
    assert run(*prefs, "domain-00001", "allow_fullscreen").stdout == "True\n"
    assert run(*prefs, "domain-00001", "allow_fullscreen", "False").returncode == 0
    assert run(*prefs, "domain-00001", "allow_fullscreen").stdout == "False\n"
    assert run(*prefs, "domain-00001", "--hide-default").stdout.split() == ["allow_fullscreen", "-", "False"]
    assert run(*prefs, "--default", "domain-00001", "allow_fullscreen").returncode == 0
    assert run(*prefs, "domain-00001", "--hide-default").stdout == ""
    for words, part in (
        (("border_width", "500"), "1 to 40"),
        (("allow_fullscreen", "perhaps"), "True or False"),
        (("colour", "red"), "use one of"),
    ):
        bad = run(*prefs, "global", *words)
        assert (bad.returncode, len(bad.stderr.splitlines())) == (1, 1)
        assert part in bad.stderr
    assert "no such domain" in run(*prefs, "nobody", "border_width", "5").stderr


def test_what_is_wrong_in_the_file_is_told_and_stays(uri: str, tmp_path: Path) -> None:
    prefs = "qvm-window-prefs", "-c", uri
    file = tmp_path / "config/qubes-manager/windows.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("global: {shade: 1, border_width: 9}\n")
    shown = run(*prefs, "global", "border_width")
    assert shown.stdout == "9\n"
    assert f"{file}: window option: 'shade' cannot be used" in shown.stderr
    assert run(*prefs, "global", "allow_fullscreen", "True").returncode == 0
    assert file.read_text() == "global:\n  shade: 1\n  border_width: 9\n  allow_fullscreen: true\n"
    file.write_text("global: {")
    refused = run(*prefs, "global", "allow_fullscreen", "True")
    assert refused.returncode == 1 and "is not written to, so that nothing in it is lost" in refused.stderr
    assert "line 1" in run(*prefs, "global", "border_width").stderr
    assert file.read_text() == "global: {"
