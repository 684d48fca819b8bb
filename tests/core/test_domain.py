"""The snapshot of a domain, before and after its XML was read."""

from dataclasses import replace

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
from qubes_manager.core.labels import LABELS
from qubes_manager.core.volume_use import are_known

KEY = DomainKey("test:///x", "1")
FRESH = Domain(KEY, "work", DomainState.HALTED)


def test_a_domain_is_not_read_until_its_xml_has_come() -> None:
    assert FRESH.config is UNREAD
    assert not FRESH.is_read
    assert replace(FRESH, config=DomainConfig(vcpus=2)).is_read
    # What is not known stays so, whatever else is heard of the domain.
    assert not replace(FRESH, state=DomainState.RUNNING, stale=True).is_read


def test_an_empty_xml_that_was_read_is_told_from_one_that_was_not() -> None:
    read = replace(FRESH, config=DomainConfig())
    assert read.is_read
    assert read != FRESH
    assert DomainConfig() != UNREAD
    assert replace(FRESH) == FRESH


def test_what_uses_a_volume_is_known_only_when_all_have_been_read() -> None:
    read = replace(FRESH, config=DomainConfig())
    assert are_known([read])
    assert not are_known([read, FRESH])


def test_class_and_label_are_not_guessed() -> None:
    assert (FRESH.klass, FRESH.label) == (None, None)
    read = replace(FRESH, config=DomainConfig(label=LABELS["red"]))
    assert (read.klass, read.label) == (DomainClass.STANDALONE, LABELS["red"])


def test_a_copy_of_what_was_not_read_was_not_read_either() -> None:
    assert not replace(FRESH, config=replace(FRESH.config, notes="x")).is_read


def test_the_host_has_its_class_and_colour_whatever_was_read() -> None:
    host = Domain(DomainKey("test:///x", HOST_UUID), "dom0", DomainState.RUNNING)
    assert (host.klass, host.label) == (DomainClass.ADMIN, LABELS["black"])


def test_a_job_or_an_activity_keeps_a_domain_busy() -> None:
    assert not FRESH.is_busy
    assert replace(FRESH, activity=Activity.STARTING).is_busy
    assert replace(FRESH, config=DomainConfig(job=Job.CREATE)).is_busy


def test_memory_is_what_it_has_and_else_what_it_will_have() -> None:
    config = DomainConfig(initial_memory_kib=1 << 20, maximum_memory_kib=4 << 20)
    assert FRESH.memory_kib == 0
    assert replace(FRESH, usage=Usage(memory_kib=7)).memory_kib == 7
    assert replace(FRESH, config=config).memory_kib == 1 << 20
    assert replace(FRESH, config=config, usage=Usage(memory_kib=2 << 20)).memory_kib == 2 << 20
