"""What the cells of the table say, and what their columns sort by."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from qubes_manager.core.domain import (
    HOST_UUID,
    UNREAD,
    Activity,
    Domain,
    DomainClass,
    DomainConfig,
    DomainKey,
    DomainState,
    Job,
    Usage,
)
from qubes_manager.core.interfaces import Interface
from qubes_manager.core.labels import LABELS
from qubes_manager.models.domain_columns import COLUMN_INDEX, COLUMNS
from tests.build import domain

HOST = Domain(DomainKey("test:///x", HOST_UUID), "dom0", DomainState.RUNNING)
UNREAD_WORK = domain(config=UNREAD)


def cells(shown: Domain) -> dict[str, str]:
    """What is not empty, by the column's id."""
    return {column.id: text for column in COLUMNS if (text := column.value(shown))}


def in_order(column: str, domains: Sequence[Domain]) -> list[str]:
    return [d.name for d in sorted(domains, key=COLUMNS[COLUMN_INDEX[column]].sort_key)]


def test_of_a_domain_that_has_not_been_read_nothing_is_claimed() -> None:
    assert cells(UNREAD_WORK) == {"state": "Running", "name": "work", "host": "test:///x"}
    assert cells(domain()).keys() - cells(UNREAD_WORK).keys() == {"class", "backup"}


def test_a_domain_that_was_read_shows_all_that_is_known() -> None:
    config = DomainConfig(
        label=LABELS["red"],
        klass=DomainClass.APP,
        template="debian",
        interfaces=(Interface("network", "default"), Interface("user")),
        include_in_backups=False,
        default_dispvm="dvm",
        initial_memory_kib=512 << 10,
    )
    usage = Usage(cpu_history=(3.0, 41.6), disk_allocation=3 << 29, addresses=("10.0.2.15", "fe80::1"))
    assert cells(domain(config=config, usage=usage, autostart=True)) == {
        "state": "Running",
        "name": "work",
        "label": "red",
        "class": "AppVM",
        "template": "debian",
        "netvm": "default",
        "cpu": "42 %",
        "memory": "512 MiB",
        "disk": "1.5 GiB",
        "ip": "10.0.2.15, fe80::1",
        "autostart": "yes",
        "default_dispvm": "dvm",
        "backup": "left out",
        "host": "test:///x",
    }


def test_the_host_has_no_backup_of_its_own_and_the_black_label() -> None:
    shown = cells(HOST)
    assert "backup" not in shown
    assert (shown["label"], shown["class"]) == ("black", "AdminVM")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "Running"),
        ({"outdated": True}, "Running, restart to update"),
        ({"config": DomainConfig(job=Job.REMOVE), "outdated": True}, "Deleting…"),
        ({"config": DomainConfig(job=Job.CREATE), "activity": Activity.STARTING}, Activity.STARTING.value),
    ],
)
def test_the_state_says_first_what_is_being_done(changes: dict[str, Any], text: str) -> None:
    assert cells(domain(**changes))["state"] == text


def test_figures_sort_as_numbers_and_the_unknown_is_less_than_nothing() -> None:
    unknown, none, little, much = (
        domain(name, usage=usage)
        for name, usage in (
            ("b-unknown", Usage()),
            ("a-none", Usage(cpu_history=(0.0,), disk_allocation=0)),
            ("z-little", Usage(cpu_history=(9.0,), disk_allocation=9 << 30, memory_kib=9 << 20)),
            ("c-much", Usage(cpu_history=(10.0,), disk_allocation=10 << 30, memory_kib=10 << 20)),
        )
    )
    for column in ("cpu", "disk"):
        assert in_order(column, [much, little, none, unknown]) == ["b-unknown", "a-none", "z-little", "c-much"], column
    assert in_order("memory", [much, little, none]) == ["a-none", "z-little", "c-much"]


def test_the_host_comes_first_and_names_sort_whatever_their_case() -> None:
    assert in_order("name", [domain("work"), domain("Cash"), domain("bank"), HOST]) == ["dom0", "bank", "Cash", "work"]


def test_labels_sort_by_trust_and_states_by_life_with_names_among_equals() -> None:
    def labelled(name: str, label: str) -> Domain:
        return domain(name, config=DomainConfig(label=LABELS.get(label)))

    domains = [labelled("d", ""), labelled("c", "black"), labelled("b", "red"), labelled("a", "red")]
    assert in_order("label", domains) == ["a", "b", "c", "d"]
    halted = replace(domain("a"), state=DomainState.HALTED)
    states = [state.value for state in DomainState]
    assert states.index("Running") < states.index("Halted")
    assert in_order("state", [halted, domain("c"), domain("b")]) == ["b", "c", "a"]
