"""Applications that are not known yet."""

from tests.cli.conftest import run


def test_applications_that_are_not_known_yet_are_said_to_be_so(uri: str) -> None:
    done = run("qvm-appmenus", "-c", uri, "--update", "domain-00001")
    assert (done.returncode, done.stdout) == (1, "")
    assert "qvm-sync-appmenus asks for them" in done.stderr
    assert run("qvm-appmenus", "-c", uri, "--get-available", "domain-00001").stdout == ""
    missing = run("qvm-appmenus", "-c", uri, "--set-whitelist=/nonexistent", "domain-00001")
    assert (missing.returncode, "cannot be read" in missing.stderr) == (1, True)
