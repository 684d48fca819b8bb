"""Applications of domains that have no windows."""

from tests.cli.conftest import run


def test_what_has_no_windows_starts_no_application(uri: str) -> None:
    failed = run("qubes-manager", "run", "-c", uri, "domain-00001", "firefox")
    # Its stderr is no terminal, and what goes wrong is there all the same.
    assert (failed.returncode, "was not made for windows" in failed.stderr) == (1, True)
    failed = run("qubes-manager", "run", "-c", uri, "nobody", "firefox")
    assert (failed.returncode, failed.stderr) == (1, "nobody: firefox: no such domain: nobody\n")
    assert "not running" in run("qvm-console", "-c", uri, "domain-00000").stderr
    refused = run("qvm-run", "-c", uri, "--gui", "domain-00001", "xterm")
    assert (refused.returncode, "has no session for windows" in refused.stderr) == (1, True)
