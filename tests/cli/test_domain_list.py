"""Which domains qvm-ls lists, and in which order."""

import threading

import libvirt
import pytest

from qubes_manager.backend.domains import domain_reader
from qubes_manager.cli import domain_list
from qubes_manager.cli.domain_list import list_domains
from qubes_manager.cli.ls_options import ls_parser
from qubes_manager.core.domain import INTERNAL, Domain, DomainClass, DomainConfig, DomainKey, DomainState
from tests.cli.conftest import DEBIAN, WORK


def listed(uri: str, *words: str) -> int:
    return list_domains(ls_parser().parse_args(["-c", uri, "--raw-list", *words]), {})


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], "dom0 Vault debian work"),
        (["--running"], "dom0 work"),
        (["--running", "--paused"], "dom0 Vault work"),
        (["--halted"], "debian"),
        (["--saved"], ""),
        (["--class", "TemplateVM", "AppVM"], "debian work"),
        (["--label", "blue"], "work"),
        (["--tags", "daily", "other"], "work"),
        (["--tags", "money"], "Vault work"),
        (["--exclude-tags", "daily"], "dom0 Vault debian"),
        (["--template-source", "debian"], "work"),
        (["--netvm-is", "open"], "work"),
        (["--netvm-is", "none", "--class", "TemplateVM", "StandaloneVM"], "Vault debian"),
        (["--internal", "y"], "work"),
        (["--internal", "no"], "dom0 Vault debian"),
        (["--servicevm", "yes"], ""),
        (["--features", "menu=short"], "work"),
        (["--features", "menu=long"], ""),
        (["--prefs", "label=blue"], "work"),
        (["--tags", "money", "--paused"], "Vault"),
        (["--exclude", "work", "--exclude", "dom0"], "Vault debian"),
        (["--exclude", WORK, "--exclude", "dom0"], "Vault debian"),
        ([DEBIAN], "debian"),
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


@pytest.mark.parametrize(
    ("words", "shown"),
    [([], False), (["--all"], True), (["disp1"], True), (["--internal", "y"], True), (["--paused"], False)],
)
def test_disposables_that_only_wait_are_listed_where_they_are_asked_for(words: list[str], shown: bool) -> None:
    config = DomainConfig(klass=DomainClass.DISPOSABLE, features=((INTERNAL, "1"),))
    ready = Domain(DomainKey("x", "1"), "disp1", DomainState.PAUSED, persistent=False, config=config)
    assert all(test(ready) for test in domain_list._tests(ls_parser().parse_args(words))) is shown


def test_people_read_why_a_domain_stands_still_and_scripts_find_the_columns_that_they_know(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines(*words: str) -> list[str]:
        assert list_domains(ls_parser().parse_args(["-c", host, *words]), {}) == 0
        return capsys.readouterr().out.splitlines()

    head, *rest = lines()
    assert head.split()[-1] == "REASON"
    assert next(line for line in rest if line.startswith("Vault")).endswith("nobody knows why")
    assert "REASON" not in lines("--running")[0]
    assert "Vault|Paused|StandaloneVM|-|-|-" in lines("--raw-data")
    assert lines("-O", "name,state", "Vault")[1].split() == ["Vault", "Paused"]


def test_raw_data_have_bars_and_figures_of_use_are_read_only_when_they_are_shown(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ls_parser().parse_args(["-c", host, "--raw-data", "-O", "name,state,ip", "work"])
    assert list_domains(options, {}) == 0
    assert capsys.readouterr().out.startswith("work|Running|")


class HungList:
    """A real connection whose bulk call does not come back."""

    def __init__(self, uri: str) -> None:
        self._raw = libvirt.open(uri)
        self.answers = threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._raw, name)

    def getAllDomainStats(self, _stats: int, _flags: int) -> None:
        self.answers.wait(60)


def test_where_the_list_does_not_come_names_do_and_the_call_is_named(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain_reader, "_LIST_TIMEOUT", 0.3)
    hung = HungList(host)
    options = ls_parser().parse_args(["-c", host, "--raw-data", "-O", "name,state,ip"])
    assert list_domains(options, {host: lambda _uri: hung}) == 1
    hung.answers.set()
    told = capsys.readouterr()
    assert told.out == "Vault|NA|-\ndebian|NA|-\nwork|NA|-\n"
    assert "cannot list the domains: the host did not answer within 0 s" in told.err
