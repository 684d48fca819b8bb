"""Which domains qvm-ls lists, and in which order."""

import pytest

from qubes_manager.cli.domain_list import list_domains
from qubes_manager.cli.ls_options import ls_parser


def listed(uri: str, *words: str) -> int:
    return list_domains(ls_parser().parse_args(["-c", uri, "--raw-list", *words]), {})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], "dom0 Vault debian work"),
        (["--running"], "dom0 work"),
        (["--running", "--paused"], "dom0 Vault work"),
        (["--halted"], "debian"),
        (["--class", "TemplateVM", "AppVM"], "debian work"),
        (["--label", "blue"], "work"),
        (["--tags", "daily", "other"], "work"),
        (["--tags", "money"], "Vault work"),
        (["--exclude-tags", "daily"], "dom0 Vault debian"),
        (["--template-source", "debian"], "work"),
        (["--netvm-is", "user"], "work"),
        (["--netvm-is", "none", "--class", "TemplateVM", "StandaloneVM"], "Vault debian"),
        (["--internal", "y"], "work"),
        (["--internal", "no"], "dom0 Vault debian"),
        (["--servicevm", "yes"], ""),
        (["--features", "menu=short"], "work"),
        (["--features", "menu=long"], ""),
        (["--prefs", "label=blue"], "work"),
        (["--tags", "money", "--paused"], "Vault"),
        (["--exclude", "work", "--exclude", "dom0"], "Vault debian"),
        (["--ignore-case"], "dom0 debian Vault work"),
        (["--reverse"], "work dom0 debian Vault"),
        (["--sort", "state", "--reverse", "--exclude", "dom0"], "work Vault debian"),
        (["--sort", "label", "--class", "AppVM", "TemplateVM"], "debian work"),
        (["work", "debian"], "debian work"),
    ],
)
def test_filters_narrow_and_columns_sort(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], names: str
) -> None:
    assert listed(host, *words) == 0
    assert capsys.readouterr().out.split() == names.split()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--prefs", "colour=red"], "property: 'colour' cannot be used"),
        (["--features", "menu"], "features: 'menu' cannot be used; use NAME=VALUE"),
        (["--exclude", "nobody"], "no such domain: nobody"),
        (["--sort", "size"], "field: 'size' cannot be used"),
    ],
)
def test_a_filter_that_means_nothing_is_said_and_nothing_is_listed(
    host: str, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert listed(host, *words) == 1
    told = capsys.readouterr()
    assert reason in told.err
    assert told.out == ""


def test_raw_data_have_bars_and_figures_of_use_are_read_only_when_they_are_shown(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ls_parser().parse_args(["-c", host, "--raw-data", "-O", "name,state,ip", "work"])
    assert list_domains(options, {}) == 0
    assert capsys.readouterr().out.startswith("work|Running|")
