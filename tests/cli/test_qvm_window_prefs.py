"""The options of windows, by command."""

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
