"""Questions with an exit code for an answer."""

from tests.cli.conftest import run


def test_qvm_check_tells(uri: str) -> None:
    assert run("qvm-check", "-c", uri, "domain-00001").returncode == 0
    assert run("qvm-check", "-c", uri, "--running", "domain-00001").returncode == 0
    assert run("qvm-check", "-c", uri, "--running", "domain-00000").returncode == 1
    assert run("qvm-check", "-c", uri, "--template", "domain-00000").returncode == 1
    assert run("qvm-check", "-c", uri, "nobody").returncode == 1
