"""Applications of domains that have no windows."""

from tests.cli.conftest import run


def test_what_has_no_windows_starts_no_application(uri: str) -> None:
    assert run("qubes-manager", "run", "-c", uri, "domain-00001", "firefox").returncode == 1
    assert run("qubes-manager", "run", "-c", uri, "nobody", "firefox").returncode == 1
    assert "not running" in run("qvm-console", "-c", uri, "domain-00000").stderr
    refused = run("qvm-run", "-c", uri, "--gui", "domain-00001", "xterm")
    assert (refused.returncode, "has no session for windows" in refused.stderr) == (1, True)
