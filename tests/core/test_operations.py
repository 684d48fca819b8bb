"""What can be done to a domain, and when."""

import pytest

from qubes_manager.core.domain import (
    HOST_UUID,
    INTERNAL,
    Activity,
    Domain,
    DomainClass,
    DomainConfig,
    DomainKey,
    DomainState,
)
from qubes_manager.core.operations import OPERATIONS, Risk
from tests.build import domain


def test_every_operation_that_loses_data_says_what_is_lost() -> None:
    assert OPERATIONS["kill"].sentence([domain()]) == "Kill “work”? Its unsaved work is lost."
    three = [domain(name) for name in ("a", "b", "c")]
    assert OPERATIONS["kill"].sentence(three) == "Kill 3 domains (“a”, “b”, “c”)? Their unsaved work is lost."
    assert all(op.consequence for op in OPERATIONS.values() if op.risk is Risk.DATA)


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        (DomainState.RUNNING, {"pause", "shutdown", "restart", "kill", "run"}),
        (DomainState.PAUSED, {"start", "kill"}),
        (DomainState.SAVED, {"start", "delete", "discard-saved"}),
        (DomainState.HALTED, {"start", "delete", "rename"}),
        (DomainState.CRASHED, {"start", "delete", "rename"}),
        (DomainState.HALTING, {"kill"}),
    ],
)
def test_operations_apply_only_where_they_can(state: DomainState, allowed: set[str]) -> None:
    power = {"start", "pause", "shutdown", "restart", "kill", "run", "delete", "rename", "discard-saved"}
    found = {name for name in power if OPERATIONS[name].applies(domain(state=state))}
    assert found == allowed


def test_nothing_but_logs_can_be_done_to_the_host_and_nothing_to_a_stale_row() -> None:
    host = Domain(DomainKey("x", HOST_UUID), "dom0", DomainState.RUNNING)
    assert not [op.id for op in OPERATIONS.values() if op.applies(host)]
    assert [op.id for op in OPERATIONS.values() if op.applies(domain(stale=True))] == ["logs"]


def test_a_domain_that_is_shutting_down_can_still_be_killed() -> None:
    busy = domain(activity=Activity.HALTING)
    assert OPERATIONS["kill"].applies(busy)
    assert not OPERATIONS["pause"].applies(busy)


def test_a_disposable_that_waits_for_its_use_can_be_looked_at_and_ended() -> None:
    config = DomainConfig(klass=DomainClass.DISPOSABLE, features=((INTERNAL, "1"),), crossing_ports=True)
    for state in (DomainState.RUNNING, DomainState.PAUSED):
        waits = domain(state=state, persistent=False, config=config)
        found = [op.id for op in OPERATIONS.values() if op.applies(waits)]
        assert found == ["kill", "logs", "console", "serial"]
