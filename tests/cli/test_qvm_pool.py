"""Storage pools by command, on the test driver."""

import pytest

from qubes_manager.cli import qvm_pool


def said(uri: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """The exit code, and the lines of output or of complaint."""
    code = qvm_pool.main(["-c", uri, *words])
    told = capsys.readouterr()
    return code, (told.err if code else told.out).splitlines()


def test_pools_are_listed_and_shown(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["list"], ["ls"]):
        code, lines = said(host, capsys, *words)
        assert (code, lines[1].split()) == (0, ["qubes-manager", "dir", "yes", "/pool"])
    code, lines = said(host, capsys, "info", "qubes-manager")
    pairs = dict(line.split() for line in lines)
    assert (code, pairs["dir_path"], pairs["volumes"]) == (0, "/pool", "3")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["info", "nowhere"], "there is no storage pool “nowhere”"),
        (
            ["remove", "nowhere"],
            "the host has no storage pool “nowhere”: define it again (virsh pool-define)",
        ),
        (["remove", "qubes-manager"], "the pool “qubes-manager” has 3 volumes: remove or move them first"),
        (["add", "x", "dir"], "option: '' cannot be used; give -o dir_path=FOLDER"),
        (["add", "x", "dir", "-o", "dir_path=here"], "option: 'dir_path=here' cannot be used"),
        (["add", "x", "dir", "-o", "dir_path=/x", "-o", "y=z"], "option: 'dir_path=/x, y=z' cannot be used"),
        (["add", "x", "zfs", "-o", "dir_path=/x"], "driver: 'zfs' cannot be used; only pools of the driver dir"),
        (["add", "1x", "dir", "-o", "dir_path=/x"], "name: '1x' cannot be used"),
        (["set", "qubes-manager", "-o", "dir_path=/x"], "a pool's folder cannot be changed"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    code, lines = said(host, capsys, *words)
    assert (code, len(lines)) == (1, 1)
    assert lines[0].partition(": ")[2].startswith(line)


def test_the_kinds_are_told_without_any_host(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = said("test:///no/such/host", capsys, "drivers")
    assert (code, [line.split()[0] for line in lines]) == (0, ["dir", "fs", "netfs"])
