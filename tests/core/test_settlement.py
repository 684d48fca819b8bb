"""What is to be decided about templates' runs, and what people are told of it."""

from dataclasses import replace

import pytest

from qubes_manager.core.domain import DomainClass, DomainConfig, DomainKey, DomainState
from qubes_manager.core.hardware import Disk
from qubes_manager.core.settlement import Outcome, Settlement, needs_care, needs_guard, needs_settling
from qubes_manager.core.volumes import OwnVolume, Role
from tests.build import domain

ROOT = OwnVolume(Role.ROOT, "qubes-manager", "debian.root@2.qcow2", 2)
PLAIN = Disk("vda", source="/pool/debian.root@2.qcow2")


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, True),
        ({"config": DomainConfig()}, False),
        ({"state": DomainState.RUNNING}, False),
        ({"state": DomainState.PAUSED}, False),
        ({"state": DomainState.CRASHED}, True),
        ({"state": DomainState.SAVED}, False),
        ({"stale": True}, False),
    ],
)
def test_only_a_run_that_is_known_to_have_ended_is_to_be_settled(changes: dict[str, object], needs: bool) -> None:
    ended = domain(state=DomainState.HALTED, config=DomainConfig(trial=2))
    assert needs_settling(replace(ended, **changes)) is needs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "kept", "words"),
    [
        (Outcome.COMMITTED, True, "“debian” has a new revision 3; domains get it at their next start."),
        (Outcome.DROPPED, False, "what its run changed is dropped, and revision 3 stays current."),
        (Outcome.DISCARDED, False, "The saved state of “debian” was discarded"),
        (Outcome.SET_ASIDE, False, "If its run ended well, go to revision 4"),
        (Outcome.PUT_AWAY, False, "what the run had changed stays as revision 4"),
    ],
)
def test_a_person_is_told_what_became_of_the_run(outcome: Outcome, kept: bool, words: str) -> None:
    settlement = Settlement(DomainKey("x", "1"), "debian", outcome, 4, 3)
    assert settlement.is_kept is kept
    assert words in settlement.sentence


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({}, True),
        ({"disks": (replace(PLAIN, transient=True),)}, False),
        ({"disks": (replace(PLAIN, source="/pool/other.qcow2"),)}, False),
        ({"disks": ()}, False),
        ({"trial": 3}, False),
        ({"klass": DomainClass.STANDALONE}, False),
    ],
)
def test_a_template_whose_root_others_could_write_to_is_to_be_guarded(changes: dict[str, object], needs: bool) -> None:
    config = DomainConfig(klass=DomainClass.TEMPLATE, revision=2, volumes=(ROOT,), disks=(PLAIN,))
    halted = domain(state=DomainState.HALTED, config=replace(config, **changes))  # type: ignore[arg-type]
    assert needs_guard(halted) is needs
    assert not needs_guard(replace(halted, state=DomainState.RUNNING))
    assert not needs_guard(replace(halted, stale=True))
    assert needs_care(halted) is (needs or bool(halted.config.trial))
