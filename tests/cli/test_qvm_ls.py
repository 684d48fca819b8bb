"""Tables and trees of domains."""

import pytest

from qubes_manager.cli.uris import likely_uris
from tests.cli.conftest import run


def test_qvm_ls_formats_filters_and_sorts(uri: str) -> None:
    lines = run("qvm-ls", "-c", uri).stdout.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "CLASS", "LABEL", "TEMPLATE", "NETVM"]
    assert lines[1].split() == ["dom0", "Running", "AdminVM", "black", "-", "-"]
    assert lines[2].split() == ["domain-00000", "Halted", "AppVM", "red", "debian-12", "-"]
    assert len(lines) == 12
    assert run("qvm-ls", "-c", uri, "--raw-list", "--halted").stdout.split() == [
        f"domain-0000{i}" for i in (0, 2, 4, 6, 8)
    ]
    assert run("qvm-ls", "-c", uri, "--raw-data", "-O", "name,vcpus", "domain-00003").stdout == "domain-00003|2\n"
    assert run("qvm-ls", "-c", uri, "--raw-list", "--label", "red", "--class", "AppVM").stdout.split() == [
        "domain-00000",
        "domain-00008",
    ]
    reverse = run("qvm-ls", "-c", uri, "--raw-list", "--reverse").stdout.split()
    assert reverse[-2:] == ["domain-00000", "dom0"]
    assert run("qvm-ls", "-c", uri, "--raw-list", "--prefs", "label=blue").stdout == "domain-00005\n"
    assert run("qvm-ls", "-c", uri, "--running", "--exclude", "domain-00001", "--raw-list").stdout.count("\n") == 5
    for name in ("simple", "network", "kernel", "full", "prefs", "disk"):
        assert run("qvm-ls", "-c", uri, "--format", name).returncode == 0, name


def test_qvm_ls_draws_the_tree_of_networks() -> None:
    tree = run("qvm-ls", "-c", "test:///default", "--tree").stdout
    assert [line.split()[0] for line in tree.splitlines()] == ["NAME", "dom0", "test"]


@pytest.mark.parametrize(
    ("words", "uris"),
    [
        (["--raw-list", "work"], ["qemu:///session"]),
        (["-c", "test:///a", "--connect", "test:///b", "work"], ["test:///a", "test:///b"]),
        # What only the parser understands is left to it.
        (["--con", "test:///a"], []),
        (["-ctest:///a", "--connect=test:///b"], []),
        (["work", "-c"], []),
        (["--help"], []),
        (["--help-formats"], []),
        (["-c", "test:///a", "--version"], []),
    ],
)
def test_connections_are_begun_before_the_options_are_parsed(words: list[str], uris: list[str]) -> None:
    assert likely_uris(words) == uris


@pytest.mark.parametrize("option", [("-c",), ("--connect",), ("--conn",)])
def test_every_way_to_name_a_connection_is_heard(uri: str, option: tuple[str, ...]) -> None:
    expected = run("qvm-ls", "-c", uri, "--raw-list").stdout
    assert run("qvm-ls", *option, uri, "--raw-list").stdout == expected
    assert run("qvm-ls", f"--connect={uri}", "--raw-list").stdout == expected
